"""The arms of a comparison side by side, and what follows from them."""

from __future__ import annotations

import attrs

from batchtrainingbooster.comparison.arms import (
    EXTERNAL_MEMORY,
    INCREMENTAL,
    ONE_BATCH,
    Outcome,
)


@attrs.frozen
class Arm:
    """One way to train, and what came of it: or, as text, why it failed."""

    name: str
    outcome: Outcome | str


@attrs.frozen(kw_only=True)
class StrategyComparison:
    """Batches, all rows out of core, and one batch alone, side by side; ``str()`` is a report.

    Attributes
    ----------
    arms : tuple of Arm
    maximize : bool
        Whether a larger metric is better.
    tested : bool
        Whether there were test rows; else the arms are compared by their validation metric.
    staging_seconds : float
        Before the arms began.
    rows, num_batches : int
        Of the training data.
    external_memory : tuple of str
        The boosters that have external memory.
    """

    arms: tuple[Arm, ...]
    maximize: bool
    tested: bool
    staging_seconds: float
    rows: int
    num_batches: int
    external_memory: tuple[str, ...]

    def outcome(self, name: str) -> Outcome | None:
        """What came of an arm; None where it failed or was not run."""
        found = [arm.outcome for arm in self.arms if arm.name == name]
        return found[0] if found and isinstance(found[0], Outcome) else None

    def score(self, outcome: Outcome) -> float | None:
        """The metric that the arms are compared by."""
        return outcome.test if self.tested else outcome.valid

    @property
    def verdict(self) -> str:
        """Whether batches are worth their while, in words."""
        batched, sample = self.outcome(INCREMENTAL), self.outcome(ONE_BATCH)
        lines = []
        if batched is not None and sample is not None:
            lines.append(self._batches_or_sample(batched, sample))
        whole = self.outcome(EXTERNAL_MEMORY)
        if batched is not None and whole is not None:
            lines.append(self._batches_or_whole(batched, whole))
        if EXTERNAL_MEMORY not in [arm.name for arm in self.arms]:
            able = " and ".join(self.external_memory)
            lines.append(f"This booster has no external memory; {able} has.")
        return "\n".join(lines)

    def _batches_or_sample(self, batched: Outcome, sample: Outcome) -> str:
        ours, theirs = self.score(batched), self.score(sample)
        if ours is None or theirs is None:
            return "There are neither validation nor test rows to compare on."
        shown = f"{batched.metric} {ours:.5g} against {theirs:.5g}"
        if _is_better(ours, theirs, self.maximize):
            return f"Batches beat the sample of one batch: {shown}."
        return (
            f"Batches do not beat the sample of one batch: {shown}. Train on one batch of "
            f"{sample.rows:,} rows, take fewer and larger batches, or let every tree see every row."
        )

    def _batches_or_whole(self, batched: Outcome, whole: Outcome) -> str:
        ours, theirs = self.score(batched), self.score(whole)
        if ours is None or theirs is None:
            return ""
        better = "better" if _is_better(theirs, ours, self.maximize) else "no better"
        text = (
            f"With every tree on every row the model is {better} ({theirs:.5g}), in "
            f"{whole.seconds / batched.seconds:.1f} times the seconds."
        )
        reached = _best_within(whole, batched.seconds, self.maximize)
        if batched.valid is not None and reached is not None:
            text += (
                f" After as many seconds as batches took, its validation metric was {reached:.5g}; "
                f"theirs {batched.valid:.5g}."
            )
        return text

    def to_markdown(self) -> str:
        """The arms as a table."""
        metric = next((a.outcome.metric for a in self.arms if isinstance(a.outcome, Outcome)), "")
        columns = ["", "rows a tree sees", "rounds", f"validation {metric}", f"test {metric}",
                   "seconds", "peak memory, MB"]  # fmt: skip
        lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        for arm in self.arms:
            found = arm.outcome
            if isinstance(found, str):
                cells = [f"failed: {found}", *[""] * (len(columns) - 2)]
            else:
                peak = "" if found.peak_bytes is None else f"{found.peak_bytes / 1e6:.0f}"
                cells = [
                    f"{found.rows:,}", f"{found.n_rounds} of {found.trained}",
                    _shown(found.valid), _shown(found.test), f"{found.seconds:.1f}", peak,
                ]  # fmt: skip
            lines.append(f"| {' | '.join([arm.name, *cells])} |")
        return "\n".join(lines)

    def __str__(self) -> str:
        about = (
            f"{self.rows:,} training rows in {self.num_batches} batches; staging, which all share, "
            f"took {self.staging_seconds:.1f} s. Peak memory is above that of the idle process."
        )
        return f"{self.to_markdown()}\n\n{about}\n\n{self.verdict}"


def _is_better(value: float, other: float, maximize: bool) -> bool:
    return value > other if maximize else value < other


def _best_within(outcome: Outcome, seconds: float, maximize: bool) -> float | None:
    values = [value for end, value in outcome.curve if end <= seconds]
    if not values:
        return None
    return max(values) if maximize else min(values)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"
