"""What is different where the DataFrame is one of Spark Connect: Spark is behind a network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs
from pyspark.errors import PySparkException

from batchtrainingbooster.data.filesystem import Folder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_PROBE = "SEEN_BY_SPARK"


def sees(frame: DataFrame, folder: Folder) -> bool:
    """Whether the DataFrame's Spark reads in a folder what this process writes there.

    A server's address does not tell: that of a forwarded port is this machine's.
    """
    written = uuid4().hex
    folder.write(_PROBE, written.encode())
    try:
        found = frame.sparkSession.read.text(f"{folder.uri}/{_PROBE}").first()
    except PySparkException:
        return False
    finally:
        folder.delete(_PROBE)
    return found is not None and found[0] == written


@contextmanager
def connect_progress(frame: DataFrame, tell: Callable[[int, int], object]) -> Iterator[None]:
    """Tell how many tasks of what this thread asks for are done, whenever the server says so.

    Parameters and errors are those of ``spark_progress``. Before Spark 4 nothing is told.
    """
    session = frame.sparkSession
    if not hasattr(session, "registerProgressHandler"):
        yield
        return
    listener = _Listener(tell)
    session.registerProgressHandler(listener)
    try:
        yield
    finally:
        session.removeProgressHandler(listener)
    if listener.error is not None:
        raise listener.error


@attrs.define(eq=False)
class _Listener:
    """What the client calls in the thread that waits for an answer."""

    tell: Callable[[int, int], object]
    thread: int = attrs.field(factory=threading.get_ident)
    last: tuple[int, int] | None = None
    error: BaseException | None = None

    def __call__(self, stages: Any, inflight_tasks: int, operation_id: Any, done: bool) -> None:
        if self.error is not None or threading.get_ident() != self.thread:
            return
        stages = list(stages or ())
        found = (
            sum(stage.num_completed_tasks for stage in stages),
            sum(stage.num_tasks for stage in stages),
        )
        if found == self.last or not found[1]:
            return
        self.last = found
        try:
            self.tell(*found)
        except BaseException as error:  # noqa: BLE001 - raised where the work is done
            self.error = error
