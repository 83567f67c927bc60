"""The callbacks of a run, called one after the other."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.core.events import Event, StopRequest

logger = logging.getLogger(__name__)


class Observers:
    """All of them are called, whatever one of them answers or raises.

    Parameters
    ----------
    callbacks : sequence of Callback
    strict : bool
        Whether an error in one is raised, when all have been called.
    """

    def __init__(self, callbacks: Sequence[Callback], *, strict: bool = False) -> None:
        self._callbacks = tuple(callbacks)
        self._strict = strict
        self._failed: set[int] = set()
        # Spark's progress is told from another thread.
        self._lock = threading.RLock()
        self._telling: int | None = None

    @property
    def are_being_told(self) -> bool:
        """Whether this thread is just telling them of something."""
        return self._telling == threading.get_ident()

    def lenient(self) -> Observers:
        """The same callbacks, whose errors are logged alone."""
        return Observers(self._callbacks)

    def emit(self, event: Event) -> list[StopRequest]:
        """Tell every callback; what they answered."""
        with self._lock:
            before, self._telling = self._telling, threading.get_ident()
            try:
                return self._emit(event)
            finally:
                self._telling = before

    def _emit(self, event: Event) -> list[StopRequest]:
        answers, errors = [], []
        for callback in self._callbacks:
            try:
                answer = callback.on_event(event)
            except Exception as error:  # noqa: BLE001 - a callback may raise anything
                self._note(callback, event, error)
                errors.append(error)
                continue
            if isinstance(answer, StopRequest):
                answers.append(answer)
        if errors and self._strict:
            raise errors[0]
        return answers

    def state(self) -> dict[str, Any]:
        """What each callback keeps, by its class, and its place among those of that class."""
        kept = {name: callback.state() for name, callback in self._named()}
        return {name: state for name, state in kept.items() if state}

    def restore(self, states: Mapping[str, Any]) -> None:
        """Give each callback what it kept."""
        for name, callback in self._named():
            if name in states:
                callback.restore(states[name])

    def _named(self) -> list[tuple[str, Callback]]:
        seen: Counter[str] = Counter()
        named = []
        for each in self._callbacks:
            kind = type(each).__qualname__
            named.append((f"{kind}:{seen[kind]}", each))
            seen[kind] += 1
        return named

    def _note(self, callback: Callback, event: Event, error: Exception) -> None:
        """The first error of a callback with its traceback; others in short."""
        first = id(callback) not in self._failed
        self._failed.add(id(callback))
        logger.error(
            "%s failed at %s: %s: %s%s",
            type(callback).__qualname__, type(event).__name__, type(error).__name__, error,
            "" if self._strict else "; training goes on",
            exc_info=error if first and not self._strict else None,
        )  # fmt: skip
