"""The identity of a call of ``fit``, which logs, events and trackers share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from uuid import uuid4

_current: ContextVar[str | None] = ContextVar("run_id", default=None)


def new_run_id() -> str:
    """An identity that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid4().hex[:6]}"


def current_run_id() -> str | None:
    """That of the run that is made here, if one is."""
    return _current.get()


@contextmanager
def run_named(run_id: str) -> Iterator[None]:
    """Within this block, the run has this identity."""
    token = _current.set(run_id)
    try:
        yield
    finally:
        _current.reset(token)
