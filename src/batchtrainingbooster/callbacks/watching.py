"""A run under the eyes of its callbacks, from its first event to its last."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.callbacks.observers import Observers
from batchtrainingbooster.callbacks.recorder import Recorder
from batchtrainingbooster.core.events import (
    Failure,
    RunEnd,
    RunStart,
    StagingProgress,
    WarningLogged,
)
from batchtrainingbooster.core.redaction import without_secrets
from batchtrainingbooster.core.run_id import current_run_id, run_named
from batchtrainingbooster.core.stopping import StopReason

PACKAGE = "batchtrainingbooster"


@attrs.define
class WatchedRun:
    """What ``fit`` tells its callbacks through.

    Attributes
    ----------
    observers : Observers
    recorder : Recorder
        The first of them.
    end : RunEnd, optional
        Set once the run has come to its end.
    """

    observers: Observers
    recorder: Recorder
    end: RunEnd | None = None

    def tell_progress(self, done: int, total: int) -> None:
        """How many of Spark's tasks are done."""
        self.observers.emit(StagingProgress(tasks_done=done, tasks_total=total))


@contextmanager
def watched(
    start: RunStart, callbacks: Sequence[Callback], *, strict: bool = False
) -> Iterator[WatchedRun]:
    """Tell of the start, of warnings, of failure, and, once, of the end.

    Parameters
    ----------
    start : RunStart
    callbacks : sequence of Callback
    strict : bool
        Whether an error in one of them ends the run.
    """
    recorder = Recorder()
    run = WatchedRun(Observers((recorder, *callbacks), strict=strict), recorder)
    began = time.perf_counter()
    with run_named(start.run_id):
        try:
            with _warnings_told(run.observers, start.run_id):
                run.observers.emit(start)
                yield run
        except BaseException as error:
            seconds = time.perf_counter() - began
            _tell_of_failure(run, error, seconds)
            raise
        if run.end is not None:
            run.observers.emit(run.end)


def _tell_of_failure(run: WatchedRun, error: BaseException, seconds: float) -> None:
    """What is raised then is the error of the run, whatever callbacks make of it."""
    failure = Failure(error=type(error).__name__, message=without_secrets(str(error)))
    try:
        run.observers.emit(failure, strict=False)
    finally:
        run.observers.emit(_failed(run.recorder, error, seconds), strict=False)


def _failed(recorder: Recorder, error: BaseException, seconds: float) -> RunEnd:
    is_asked_for = isinstance(error, KeyboardInterrupt | SystemExit)
    record = recorder.record
    return RunEnd(
        stop_reason=StopReason.INTERRUPTED if is_asked_for else StopReason.FAILED,
        visits=record.visits_made,
        n_rounds=record.n_rounds,
        best=record.best,
        seconds=seconds,
        seconds_by_stage={},
    )


@contextmanager
def _warnings_told(observers: Observers, run_id: str) -> Iterator[None]:
    """What the package warns of becomes an event; how it is logged stays the application's."""
    handler = _Teller(observers, run_id)
    logger = logging.getLogger(PACKAGE)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Teller(logging.Handler):
    def __init__(self, observers: Observers, run_id: str) -> None:
        super().__init__(logging.WARNING)
        self._observers = observers
        self._run_id = run_id

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """None: whoever held it would wait for the callbacks, one of which may be logging."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        # That of another run is not ours; one that a callback gives rise to would lead to the next.
        if current_run_id() == self._run_id and not self._observers.are_being_told:
            self._observers.emit(WarningLogged(message=without_secrets(record.getMessage())))
