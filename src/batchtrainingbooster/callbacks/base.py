"""The protocol of callbacks: a method for each event, all of them empty here."""

from __future__ import annotations

from typing import Any

from batchtrainingbooster.core import events
from batchtrainingbooster.core.events import StopRequest, name_of


class Callback:
    """Watches a run; override the methods of the events that matter to you.

    A callback observes: what it gets is frozen, and what it does cannot change the model. An error
    in one is logged, and the run goes on without its answer; with ``callbacks_strict`` the run
    fails. Callbacks are called in the order in which they were given, all of them, in the thread
    that trains; ``on_staging_progress`` alone comes from another thread.

    Examples
    --------
    >>> class Print(Callback):
    ...     def on_improvement(self, event):
    ...         print(f"better: {event.best.value:.4f}")
    """

    def on_event(self, event: events.Event) -> StopRequest | None:
        """Every event; this hands it to its own method."""
        answer: StopRequest | None = getattr(self, f"on_{name_of(type(event))}")(event)
        return answer

    def on_run_start(self, event: events.RunStart) -> None:
        """``fit`` was called, and its settings are in order."""

    def on_staging_start(self, event: events.StagingStart) -> None:
        """Spark begins to look at the data, and then to write it."""

    def on_staging_progress(self, event: events.StagingProgress) -> None:
        """How far Spark is; called from another thread, some times a second."""

    def on_staging_end(self, event: events.StagingEnd) -> None:
        """The batches lie in storage."""

    def on_training_start(self, event: events.TrainingStart) -> None:
        """The loop begins, or goes on from a checkpoint."""

    def on_epoch_start(self, event: events.EpochStart) -> None:
        """A pass over all batches begins."""

    def on_visit_start(self, event: events.VisitStart) -> None:
        """A batch is read next."""

    def on_round_end(self, event: events.RoundEnd) -> None:
        """A round was trained and evaluated."""

    def on_improvement(self, event: events.Improvement) -> None:
        """A visit gave a better model than any before."""

    def on_rollback(self, event: events.Rollback) -> None:
        """Rounds were dropped from the model."""

    def on_visit_end(self, event: events.VisitEnd) -> StopRequest | None:
        """A visit is over; return a ``StopRequest`` to end the run."""

    def on_checkpoint_written(self, event: events.CheckpointWritten) -> None:
        """The run could go on from here."""

    def on_early_stop(self, event: events.EarlyStop) -> None:
        """No more visits are made."""

    def on_model_trained(self, event: events.ModelTrained) -> None:
        """The model is there."""

    def on_failure(self, event: events.Failure) -> None:
        """``fit`` raises an error; ``on_run_end`` comes next."""

    def on_run_end(self, event: events.RunEnd) -> None:
        """The run is over, once, whatever happened."""

    def on_warning_logged(self, event: events.WarningLogged) -> None:
        """The package has logged a warning."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps for this callback, as JSON can hold it; nothing, unless asked."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what a checkpoint has kept, before ``on_training_start``."""
