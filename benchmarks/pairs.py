"""What is run: contenders that take turns, each a process of its own."""

from __future__ import annotations

from typing import Literal

import attrs

FEW_ROUNDS = 20
MANY_ROUNDS = 100
BATCHES = 10
# The larger data set of the memory pair, in as many batches as make them of equal size.
TIMES = 4


@attrs.frozen
class Contender:
    """A module of ``contenders`` and its options.

    Attributes
    ----------
    name : str
        In tables.
    module : str
    options : tuple of str
        ``{staging}`` stands for a folder that the contenders of a turn share, ``{turn}`` for its
        number.
    data : {"base", "large", "none"}
        The data set that it is given.
    """

    name: str
    module: str
    options: tuple[str, ...] = ()
    data: Literal["base", "large", "none"] = "base"


@attrs.frozen
class Pair:
    """Contenders that are compared; some need nobody to compare with."""

    name: str
    contenders: tuple[Contender, ...]

    @property
    def needs_large(self) -> bool:
        """Whether one of them is given the larger data set."""
        return any(contender.data == "large" for contender in self.contenders)


def ours(rounds: int, batches: int = BATCHES, *more: str) -> tuple[str, ...]:
    """Options of our own contender."""
    return ("--rounds", str(rounds), "--batches", str(batches), *more)


def against_a_loop(booster: str, rounds: int) -> Pair:
    """Our ``fit``, and a loop by hand over the batches that it left."""
    both = ("--booster", booster, "--staging-dir", "{staging}")
    return Pair(
        f"fit-{booster}",
        (
            Contender("ours", "ours", ours(rounds, BATCHES, *both)),
            Contender("loop by hand", "bare_loop", ("--rounds", str(rounds), *both)),
        ),
    )


PAIRS = (
    *[against_a_loop(booster, MANY_ROUNDS) for booster in ("xgboost", "catboost", "lightgbm")],
    Pair(
        "staging",
        (Contender("ours", "ours", ours(1)), Contender("plain write", "plain_write")),
    ),
    Pair(
        "spark",
        (
            # The other has no validation rows either.
            Contender("ours", "ours", ours(FEW_ROUNDS, BATCHES, "--no-validation")),
            Contender(
                "SparkXGBClassifier", "spark_xgboost", ("--trees", str(BATCHES * FEW_ROUNDS))
            ),
        ),
    ),
    Pair(
        "memory",
        (
            Contender("ours", "ours", ours(FEW_ROUNDS, BATCHES, "--cold")),
            Contender(
                "ours, 4 x rows", "ours", ours(FEW_ROUNDS, TIMES * BATCHES, "--cold"), "large"
            ),
        ),
    ),
    Pair(
        "watching",
        tuple(
            Contender(name, "ours", ours(MANY_ROUNDS, BATCHES, "--watching", name))
            for name in ("default", "nothing", "everything")
        ),
    ),
    Pair("transform", (Contender("both in turn", "transform"),)),
    Pair("import", (Contender("ours", "import_time", data="none"),)),
    Pair(
        "external",
        (
            # Log losses of the same rows in another order differ by more than what is wanted here.
            Contender(
                "ours",
                "ours",
                ours(MANY_ROUNDS, BATCHES, "--strategy", "external_memory", "--seed", "{turn}"),
            ),
            Contender(
                "all in RAM", "full_xgboost", ("--trees", str(MANY_ROUNDS), "--seed", "{turn}")
            ),
        ),
    ),
)
