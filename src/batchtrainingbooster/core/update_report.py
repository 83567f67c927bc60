"""What an update has come to: before and after, new categories, drift."""

from __future__ import annotations

import math
from collections.abc import Iterator
from logging import INFO, WARNING

import attrs

from batchtrainingbooster.core.config import Label
from batchtrainingbooster.core.drift import Drift
from batchtrainingbooster.core.stopping import is_improvement

N_SHOWN = 5


@attrs.frozen(kw_only=True)
class UpdateReport:
    """What an update has come to.

    Attributes
    ----------
    rows : int
        New training rows; 0 where there were none, and so nothing was done.
    metric : str
        The deciding one.
    maximize : bool
        Whether a larger value is better.
    before : float, optional
        Of the earlier model on the validation rows; None without these, or where it is no number.
    after : float, optional
        The best that any round on the new rows came to, on the same rows.
    rounds_before, rounds_after : int
        Rounds of the earlier model, and of the best one that has learned from the new rows; equal
        where it is the earlier one that was left.
    new_categories : dict of str to tuple
        Categories that the earlier model had no code for, by column, in the order of their codes.
    drift : Drift, optional
        From the first training's rows; None where the model does not know these.
    """

    rows: int
    metric: str
    maximize: bool
    before: float | None
    after: float | None
    rounds_before: int
    rounds_after: int
    new_categories: dict[str, tuple[Label, ...]]
    drift: Drift | None

    @property
    def has_learned(self) -> bool:
        """Whether there are trees of the new rows."""
        return self.rounds_after > self.rounds_before

    @property
    def is_worse(self) -> bool:
        """Whether even the best round on the new rows is worse than before, or no number."""
        if self.after is None:
            return False
        if math.isnan(self.after):
            # Whatever it was before: nobody could tell whether it is any good.
            return True
        if self.before is None:
            return False
        return is_improvement(self.before, self.after, maximize=self.maximize, min_delta=0.0)

    def lines(self) -> Iterator[tuple[int, str]]:
        """In a few lines, with their levels, for the log."""
        yield WARNING if self.is_worse else INFO, f"Update: {self.outcome}"
        for column, categories in self.new_categories.items():
            first = ", ".join(map(repr, categories[:N_SHOWN]))
            more = ", ..." if categories[N_SHOWN:] else ""
            yield INFO, f"New categories of {column!r}: {len(categories):,} ({first}{more})"
        if self.drift is None:
            yield INFO, "Drift: the model does not say what its first training's rows looked like"
            return
        for shift, line in self.drift.lines():
            yield WARNING if shift == "large" else INFO, f"Drift: {line}"

    @property
    def outcome(self) -> str:
        """Before and after, in words."""
        rounds = f"{self.rounds_before} -> {self.rounds_after} rounds"
        if self.after is None:
            return f"{rounds}, not compared with the earlier model"
        before = "no number" if self.before is None else f"{self.before:.6g}"
        values = f"validation {self.metric} {before} before, {self.after:.6g} after"
        if self.is_worse:
            return f"worse: {values}, {rounds}"
        return f"{values}, {rounds}{'' if self.has_learned else ': no gain'}"
