"""What logs and displays say of visits and runs."""

from __future__ import annotations

from collections.abc import Sequence

from batchtrainingbooster.core.history import Row
from batchtrainingbooster.core.state import RunState


def of_metrics(row: Row) -> str:
    """The metrics of a round."""
    return "  ".join(
        f"{part} {name} {value:.6g}"
        for part, values in (("train", row.train), ("valid", row.valid))
        for name, value in values.items()
    )


def of_visit(rows: Sequence[Row], keep: int) -> str:
    """A visit's rate, its last metrics, and what became of its rounds."""
    last = rows[-1]
    return f"learning rate {last.learning_rate:.6g}  {of_metrics(last)}  {_outcome(rows, keep)}"


def _outcome(rows: Sequence[Row], keep: int) -> str:
    if keep == rows[-1].n_rounds:
        return f"{keep} rounds in the model"
    if keep >= rows[0].n_rounds:
        return f"cut to {keep} rounds, its best"
    return f"no gain: rolled back to {keep} rounds"


def of_run(state: RunState, *, has_validation: bool) -> str:
    """What a run has come to."""
    if state.best is None:
        if has_validation:
            return "the validation metric was never a number"
        return "no validation set, so every visit was kept"
    best = state.best
    where = "of the earlier model" if best.visit is None else f"at visit {best.visit + 1}"
    return f"best validation metric {best.value:.6g} {where}, {best.n_rounds} rounds in the model"
