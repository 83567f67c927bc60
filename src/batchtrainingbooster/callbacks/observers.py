"""The callbacks of a run, called one after the other."""

from __future__ import annotations

import copy
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.core.events import Event, StopRequest
from batchtrainingbooster.core.redaction import said

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

    def emit(self, event: Event, *, strict: bool | None = None) -> list[StopRequest]:
        """Tell every callback; what they answered.

        All are told, also where one of them is interrupted, which is raised when they have been.
        ``strict`` may be other than that of all events.
        """
        with self._lock:
            before, self._telling = self._telling, threading.get_ident()
            try:
                return self._emit(event, strict=self._strict if strict is None else strict)
            finally:
                self._telling = before

    def _emit(self, event: Event, *, strict: bool) -> list[StopRequest]:
        answers: list[StopRequest] = []
        errors: list[BaseException] = []
        for callback in self._callbacks:
            try:
                answer = callback.on_event(event)
            except Exception as error:  # noqa: BLE001 - a callback may raise anything
                self._note(callback, f"at {type(event).__name__}", error, strict=strict)
                if strict:
                    errors.append(error)
            except BaseException as error:  # noqa: BLE001 - the others are told all the same
                errors.append(error)
            else:
                if isinstance(answer, StopRequest):
                    answers.append(answer)
        if errors:
            raise errors[0]
        return answers

    def state(self) -> dict[str, Any]:
        """What each callback keeps, by its class, and its place among those of that class.

        As JSON gives it back, so that it is a copy, and a checkpoint can hold it.
        """
        kept = {}
        for name, callback in self._named():
            with self._noted(callback, "at state()"):
                kept[name] = json.loads(json.dumps(callback.state()))
        return {name: state for name, state in kept.items() if state}

    def restore(self, states: Mapping[str, Any]) -> None:
        """Give each callback what it kept."""
        for name, callback in self._named():
            if name in states:
                with self._noted(callback, "at restore()"):
                    callback.restore(copy.deepcopy(states[name]))

    @contextmanager
    def _noted(self, callback: Callback, where: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._note(callback, where, error, strict=self._strict)
            if self._strict:
                raise

    def _named(self) -> list[tuple[str, Callback]]:
        seen: Counter[str] = Counter()
        named = []
        for each in self._callbacks:
            kind = type(each).__qualname__
            named.append((f"{kind}:{seen[kind]}", each))
            seen[kind] += 1
        return named

    def _note(self, callback: Callback, where: str, error: Exception, *, strict: bool) -> None:
        """The first error of a callback with its traceback; others in short."""
        first = id(callback) not in self._failed
        self._failed.add(id(callback))
        logger.error(
            "%s failed %s: %s: %s%s",
            type(callback).__qualname__, where, type(error).__name__, said(error),
            "" if strict else "; training goes on",
            exc_info=error if first and not strict else None,
        )  # fmt: skip
