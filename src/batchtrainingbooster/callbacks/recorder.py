"""Adds up the events of a run in this process."""

from __future__ import annotations

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.core.events import Event, StopRequest
from batchtrainingbooster.core.record import RunRecord


class Recorder(Callback):
    """Keeps what is known of the run.

    Attributes
    ----------
    record : RunRecord
    """

    def __init__(self) -> None:
        self.record = RunRecord()

    def on_event(self, event: Event) -> StopRequest | None:
        """Add the event."""
        self.record.take(event)
        return None
