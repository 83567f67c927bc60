"""What is wanted, and what the runs say of it: arithmetic alone."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from generate import FEATURES
from pairs import MANY_ROUNDS, PAIRS

Run = Mapping[str, Any]

# Peak of Python above idle, in units of one batch in float32, and of the validation rows likewise.
FACTOR = 2.5
MB = 1e6


@attrs.frozen
class Target:
    """One line of the table.

    Attributes
    ----------
    what : str
    how : str
        It is computed.
    measured : float, optional
        None where it was not run, or failed.
    sign : {"<=", "<", ">="}
    bound : float
    aim : float, optional
        Better than what is wanted.
    unit : str
    """

    what: str
    how: str
    measured: float | None
    sign: str
    bound: float
    aim: float | None = None
    unit: str = ""

    @property
    def reached(self) -> bool | None:
        """None where it was not measured."""
        compare = {"<=": operator.le, "<": operator.lt, ">=": operator.ge}[self.sign]
        return None if self.measured is None else bool(compare(self.measured, self.bound))


def of(runs: Sequence[Run], pair: str, side: int) -> dict[int, Run]:
    """The runs of a contender that went well, by turn."""
    name = next(each for each in PAIRS if each.name == pair).contenders[side].name
    return {
        run["turn"]: run
        for run in runs
        if run["pair"] == pair and run["contender"] == name and run["error"] is None
    }


def median(values: Sequence[float]) -> float | None:
    """None of none."""
    return statistics.median(values) if values else None


def ratio(
    runs: Sequence[Run],
    pair: str,
    above: Callable[[Run], float],
    below: Callable[[Run], float] | None = None,
    *,
    inverse: bool = False,
) -> float | None:
    """Median over the turns of the first contender's figure over the second one's.

    Parameters
    ----------
    runs : sequence of dict
    pair : str
    above, below : callable
        The figure in a run of the first contender, and of the second; ``below`` is ``above``
        where it is not given.
    inverse : bool
        The second one's over the first one's.
    """
    first, second = of(runs, pair, 0), of(runs, pair, 1)
    both = [
        (above(first[turn]), (below or above)(second[turn])) for turn in first if turn in second
    ]
    return median([b / a if inverse else a / b for a, b in both])


def seconds(run: Run) -> float:
    """The time that counts."""
    return float(run["seconds"])


def log_loss(run: Run) -> float:
    """On the test rows."""
    return float(run["log_loss"])


def above_idle(run: Run) -> float:
    """Bytes that Python held at most during the work, over those that it held just before."""
    return float(run["peak"]["python"] - run["idle"])


def batches_held(run: Run, valid_rows: int) -> float:
    """Peak above idle, less what the validation rows may take, in units of one batch."""
    row = 4 * len(FEATURES)
    return (above_idle(run) - FACTOR * valid_rows * row) / (float(run["batch_rows"]) * row)


def finished(runs: Sequence[Run]) -> float | None:
    """Share of our runs that came to their end, all of them with ``spark.driver.memory=1g``."""
    own = [run for run in runs if run["module"] == "ours"]
    return sum(run["error"] is None for run in own) / len(own) if own else None


def targets(runs: Sequence[Run], valid_rows: int) -> list[Target]:
    """All of them, in the order of the table."""
    fit = [
        Target(
            f"fit, {name}, 10 batches x {MANY_ROUNDS} rounds",
            "seconds of fit, staging included / of a loop by hand over batches in RAM",
            ratio(runs, f"fit-{name.lower()}", seconds),
            "<=", 1.25, aim=1.0,
        )
        for name in ("XGBoost", "CatBoost", "LightGBM")
    ]  # fmt: skip
    small = of(runs, "memory", 0).values()
    return [
        *fit,
        Target(
            "staging",
            "seconds until the batches are staged / of writing the same rows by Spark",
            ratio(runs, "staging", lambda run: float(run["staging"]), seconds),
            "<=", 2.0, aim=1.4,
        ),
        Target(
            "fit against SparkXGBClassifier, 200 trees each",
            "seconds of the other / of ours",
            ratio(runs, "spark", seconds, inverse=True),
            ">=", 3.0,
        ),
        Target(
            "its test log loss",
            "ours / the other's",
            ratio(runs, "spark", log_loss),
            "<=", 1.005,
        ),
        Target(
            "Python's peak above idle",
            f"(peak - idle - {FACTOR} x validation rows in float32) / one batch in float32",
            median([batches_held(run, valid_rows) for run in small]),
            "<=", FACTOR,
        ),
        Target(
            "the same with 4 x the rows in 40 batches",
            "peak - idle with 4 x the rows / with 1 x",
            ratio(runs, "memory", above_idle, inverse=True),
            "<=", 1.1,
        ),
        Target(
            "fit with spark.driver.memory=1g",
            "share of our runs that came to their end",
            finished(runs),
            ">=", 1.0,
        ),
        Target(
            "watching a run: events, display, final evaluation",
            "seconds of fit with what is on by default, in a terminal / without any event",
            ratio(runs, "watching", seconds),
            "<=", 1.02,
        ),
        Target(
            "transform against xgboost.spark's, 200 trees each",
            "rows a second of ours / of the other",
            median([float(run["ratio"]) for run in of(runs, "transform", 0).values()]),
            ">=", 2.0,
        ),
        Target(
            "import batchtrainingbooster",
            "seconds of an interpreter that imports it, less those of one that does nothing",
            median([seconds(run) for run in of(runs, "import", 0).values()]),
            "<=", 0.3, unit=" s",
        ),
        Target(
            "external memory, 100 rounds: test log loss",
            "ours / XGBoost's on all rows in RAM",
            ratio(runs, "external", log_loss),
            "<=", 1.002,
        ),
        Target(
            "its peak memory",
            "Python's peak above idle, ours / the other's, reading its data included",
            ratio(runs, "external", above_idle),
            "<", 0.5,
        ),
        Target(
            "its time",
            "seconds of training on the staged batches / of making the matrix in RAM and training",
            ratio(
                runs, "external", lambda run: seconds(run) - float(run["staging"]), seconds
            ),
            "<=", 1.3,
        ),
    ]  # fmt: skip
