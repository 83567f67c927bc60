"""Seconds by stage of a run, wherever they are spent.

Stages are named where the work is done (``with timed("reading")``), by the data layer, the loop and
the boosters alike, and added up by whoever has asked for them; without one, nothing is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_seconds: ContextVar[dict[str, float] | None] = ContextVar("seconds", default=None)


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Seconds by stage, of what runs in this block; complete when it has ended.

    Examples
    --------
    >>> with measured() as seconds:
    ...     with timed("reading"):
    ...         pass
    >>> list(seconds)
    ['reading']
    """
    seconds: dict[str, float] = {}
    token = _seconds.set(seconds)
    try:
        yield seconds
    finally:
        _seconds.reset(token)


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Count the time of this block to a stage; that of stages within it is theirs alone."""
    outer = _seconds.get()
    if outer is None:
        yield
        return
    inner: dict[str, float] = {}
    token = _seconds.set(inner)
    start = time.perf_counter()
    try:
        yield
    finally:
        own = time.perf_counter() - start - sum(inner.values())
        _seconds.reset(token)
        for key, value in {**inner, name: inner.get(name, 0.0) + own}.items():
            outer[key] = outer.get(key, 0.0) + value
