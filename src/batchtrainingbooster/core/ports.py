"""What the loop asks of a booster and of the staged data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np

from batchtrainingbooster.core.events import Event, StopRequest
from batchtrainingbooster.core.state import RunState


@attrs.frozen(eq=False)
class Batch:
    """Rows in memory, in the order of their hashes.

    Attributes
    ----------
    features : ndarray of shape (n_rows, n_columns), float32, Fortran order
        Missing values are NaN; categories are their codes.
    label : ndarray of shape (n_rows,), float32
        Class index, or regression target.
    weight : ndarray of shape (n_rows,), float32, optional
        Class weight times row weight; None where every row weighs 1.
    group : ndarray of shape (n_groups,), int64, optional
        For ranking: rows in each query, in the order of the rows.
    """

    features: np.ndarray
    label: np.ndarray
    weight: np.ndarray | None = None
    group: np.ndarray | None = None


@attrs.frozen
class RoundMetrics:
    """Metrics after one round, by name as the booster prints it, the deciding one last.

    Attributes
    ----------
    train, valid : dict of str to float
    seconds : float, optional
        That the round took, where the booster tells of it only later.
    """

    train: dict[str, float]
    valid: dict[str, float]
    seconds: float | None = None


@attrs.frozen(eq=False)
class Checkpoint:
    """All that is needed to go on after a visit as if nothing had happened.

    Attributes
    ----------
    state : RunState
    model : mapping of str to bytes
        What the backend keeps, by name of a file.
    """

    state: RunState
    model: Mapping[str, bytes]


class CheckpointStore(Protocol):
    """Keeps the newest checkpoint."""

    @property
    def place(self) -> str:
        """Where, for messages."""
        ...

    def load(self) -> Checkpoint | None:
        """The newest one, where there is one to go on from."""
        ...

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep it whole, or fail and keep the one before."""
        ...


class Observer(Protocol):
    """Is told what happens, and cannot change it but by asking to stop."""

    def emit(self, event: Event) -> Sequence[StopRequest]:
        """What happened."""
        ...

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps for it."""
        ...

    def restore(self, states: Mapping[str, Any]) -> None:
        """What a checkpoint has kept for it."""
        ...


class NoObserver:
    """Nobody watches."""

    def emit(self, event: Event) -> Sequence[StopRequest]:
        """Say nothing."""
        return ()

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, states: Mapping[str, Any]) -> None:
        """Take nothing."""


class BatchSource(Protocol):
    """Gives the batches of a staged folder."""

    @property
    def num_batches(self) -> int:
        """How many there are."""
        ...

    @property
    def scratch(self) -> Path:
        """Local folder with room for a copy of them."""
        ...

    def batch(self, number: int) -> Batch:
        """One batch."""
        ...

    def reference(self) -> Batch:
        """A sample over all batches, which fixes the quantile cuts."""
        ...

    def validation(self) -> Batch | None:
        """The validation rows, where there are any."""
        ...


class Backend(Protocol):
    """One booster: holds the model so far."""

    @property
    def n_rounds(self) -> int:
        """Rounds in the model so far."""
        ...

    def start(self, reference: Batch, validation: Batch | None) -> None:
        """Take what stays the same for the whole run."""
        ...

    def validate(self) -> dict[str, float]:
        """Metrics of the model so far on the validation set, the deciding one last."""
        ...

    def dataset(self, batch: Batch) -> Any:
        """The booster's own dataset of a batch."""
        ...

    def external_dataset(self, source: BatchSource) -> AbstractContextManager[Any]:
        """The booster's own dataset of all batches, on disk; only where the booster has such."""
        ...

    def boost(
        self,
        dataset: Any,
        learning_rates: Sequence[float],
        after_round: Callable[[RoundMetrics], bool],
        is_wanted: Callable[[], bool] = ...,
    ) -> None:
        """Train one round for each learning rate on top of the model so far.

        ``after_round`` is called after each, and says whether to go on; a booster that knows its
        metrics only when all rounds are over asks ``is_wanted`` instead whether to go on with them.
        A booster that finds nothing more to learn in the batch may end by itself.
        """
        ...

    def truncate(self, n_rounds: int) -> None:
        """Drop the rounds after the first ``n_rounds``."""
        ...

    def to_bytes(self) -> bytes:
        """The model so far in the booster's native format."""
        ...

    def checkpoint(self, least_rounds: int) -> dict[str, bytes]:
        """What ``restore`` needs, by name of a file; nothing where there is no model yet.

        ``least_rounds`` are the fewest rounds that the model may still be cut to.
        """
        ...

    def restore(self, files: Mapping[str, bytes]) -> None:
        """Hold the model of a checkpoint; called after ``start``.

        It must go on to the same bytes as the one that was kept.
        """
        ...
