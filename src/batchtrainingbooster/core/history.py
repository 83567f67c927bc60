"""What happened in each round of a run: the single place where it is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import attrs

from batchtrainingbooster.errors import MissingDependencyError

if TYPE_CHECKING:
    import pandas as pd


@attrs.frozen
class Row:
    """One round.

    Attributes
    ----------
    visit, epoch : int
        Where the run was; from 0.
    batch : int, optional
        From 0; None where the round saw all batches.
    round : int
        Rounds before this one in the whole run, those dropped since included.
    n_rounds : int
        Rounds in the model after this one.
    learning_rate : float
    train, valid : dict of str to float
        Metrics on the batch and on the validation set.
    seconds : float
        Time that the round took, evaluation included.
    kept : bool
        False once a rollback has dropped the round's trees.
    """

    visit: int
    batch: int | None
    epoch: int
    round: int
    n_rounds: int
    learning_rate: float
    train: dict[str, float]
    valid: dict[str, float]
    seconds: float
    kept: bool = True


@attrs.frozen
class History:
    """The rounds of a run, in order."""

    rows: tuple[Row, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def deciding_metric(self) -> str | None:
        """Name of the validation metric that decides, where there is one."""
        names = list(self.rows[0].valid) if self.rows else []
        return names[-1] if names else None

    def extended(self, rows: Iterable[Row]) -> History:
        """The history with more rounds at its end."""
        return History((*self.rows, *rows))

    def cut(self, n_rounds: int) -> History:
        """The history after the model was cut to ``n_rounds`` rounds."""
        return History(
            tuple(
                attrs.evolve(row, kept=False) if row.kept and row.n_rounds > n_rounds else row
                for row in self.rows
            )
        )

    def to_columns(self) -> dict[str, list[Any]]:
        """Columns by name: those of ``Row``, with one each for ``train_...`` and ``valid_...``."""
        columns: dict[str, list[Any]] = {
            name: [getattr(row, name) for row in self.rows]
            for name in ("visit", "batch", "epoch", "round", "n_rounds", "learning_rate")
        }
        if self.rows:
            for part in ("train", "valid"):
                for metric in getattr(self.rows[0], part):
                    values = [getattr(row, part)[metric] for row in self.rows]
                    columns[f"{part}_{metric}"] = values
        columns["seconds"] = [row.seconds for row in self.rows]
        columns["kept"] = [row.kept for row in self.rows]
        return columns

    def to_pandas(self) -> pd.DataFrame:
        """One row a round.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingDependencyError.of("pandas", "spark", "History.to_pandas") from error
        return pd.DataFrame(self.to_columns())
