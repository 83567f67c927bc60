"""When a run's checkpoints are written, and what is said of them."""

from __future__ import annotations

import logging
from typing import NoReturn

import attrs

from batchtrainingbooster.core import events
from batchtrainingbooster.core.interruption import Interruption
from batchtrainingbooster.core.ports import Backend, Checkpoint, CheckpointStore, Observer
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.core.timing import timed

logger = logging.getLogger(__name__)


class Keeper:
    """Writes every n-th checkpoint, and the last one when the run ends or is asked to.

    Parameters
    ----------
    every : int
        Visits from one checkpoint to the next.
    store : CheckpointStore, optional
        Without one, nothing is kept.
    observer : Observer
        Told of each; what it keeps for itself is part of it.
    """

    def __init__(self, every: int, store: CheckpointStore | None, observer: Observer) -> None:
        self._every = every
        self._store = store
        self._observer = observer
        self._unwritten: Checkpoint | None = None

    def resume(self, backend: Backend) -> RunState | None:
        """Where an earlier run got to, its model in the backend; None where there is none."""
        found = self._store.load() if self._store else None
        if found is None:
            return None
        backend.restore(found.model)
        self._observer.restore(found.state.callbacks)
        logger.info(
            "Resumed after %d visits, with %d rounds in the model",
            found.state.visit, backend.n_rounds,
        )  # fmt: skip
        return found.state

    def keep(self, state: RunState, backend: Backend, least_rounds: int) -> RunState:
        """Take in what a visit has come to, and write it if it is its turn.

        ``least_rounds`` are the fewest that the model may still be cut to. Returns the state with
        what the callbacks keep.
        """
        if self._store is None:
            return state
        with timed("checkpointing"):
            state = attrs.evolve(state, callbacks=self._observer.state())
            # Taken now: once the next visit has begun, this model is gone.
            self._unwritten = Checkpoint(state, backend.checkpoint(least_rounds))
            if state.visit % self._every == 0 or state.stop_reason is not None:
                self._write(self._store)
        return state

    def end_run(self, interruption: Interruption, state: RunState) -> NoReturn:
        """Write what is not written yet, and end as the signal asks."""
        kept = "nothing is kept, as there is no checkpoint_dir"
        if self._store is not None:
            self._write(self._store)
            kept = (
                f"{state.visit} visits are kept in {self._store.place}, and the same call goes on "
                "from there"
            )
        interruption.raise_(f"Interrupted: {kept}")

    def _write(self, store: CheckpointStore) -> None:
        if self._unwritten is not None:
            store.save(self._unwritten)
            visits = self._unwritten.state.visit
            self._unwritten = None
            self._observer.emit(events.CheckpointWritten(visits=visits, place=store.place))
