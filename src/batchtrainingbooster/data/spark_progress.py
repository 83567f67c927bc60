"""How far Spark is with what this thread has asked of it, by Spark's own status."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs

from batchtrainingbooster.data.connect import connect_progress
from batchtrainingbooster.data.sessions import is_connect

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SECONDS = 0.5
_GROUP, _DESCRIPTION = "spark.jobGroup.id", "spark.job.description"


@contextmanager
def spark_progress(
    frame: DataFrame, tell: Callable[[int, int], object], seconds: float = SECONDS
) -> Iterator[None]:
    """Tell from a thread of its own how many tasks are done, and how many there are.

    The jobs get a group, unless they have one, so that those of others are not counted; in Spark's
    UI they are called by what they do. A server of Spark Connect tells it of itself.

    Parameters
    ----------
    frame : DataFrame
        Of the session.
    tell : callable
        Takes tasks done, and tasks, of the stages of the jobs that run.
    seconds : float
        From one look to the next.

    Raises
    ------
    BaseException
        What ``tell`` has raised, once the work is done.
    """
    if is_connect(frame):
        with connect_progress(frame, tell):
            yield
        return
    try:
        context = frame.sparkSession.sparkContext
        group = context.getLocalProperty(_GROUP)
    except Exception:  # noqa: BLE001 - what is no frame is refused later
        yield
        return
    is_ours = group is None
    group = group or f"batchtrainingbooster-{uuid4().hex[:8]}"
    description = context.getLocalProperty(_DESCRIPTION)
    if is_ours:
        context.setJobGroup(group, description or "BatchTrainingBooster: staging")
    look = _Look(context.statusTracker(), group, tell, seconds)
    # With the variables of this one, such as the run's identity.
    thread = threading.Thread(
        target=copy_context().run, args=(look.until_over,), daemon=True, name="spark-progress"
    )
    thread.start()
    try:
        yield
    finally:
        look.over.set()
        thread.join()
        if is_ours:
            # The session may be gone; then what has ended it is the error to see.
            with suppress(Exception):
                context.setLocalProperty(_GROUP, None)
                context.setLocalProperty(_DESCRIPTION, description)
    if look.error is not None:
        raise look.error


@attrs.define(eq=False)
class _Look:
    """What the thread does, and the error of who is told, if there was one."""

    tracker: Any
    group: str
    tell: Callable[[int, int], object]
    seconds: float
    over: threading.Event = attrs.field(factory=threading.Event)
    error: BaseException | None = None

    def until_over(self) -> None:
        last = None
        while not self.over.wait(self.seconds):
            try:
                found = _tasks(self.tracker, self.group)
            except Exception:  # noqa: BLE001 - the session may be stopped under us
                return
            if found == last or not found[1]:
                continue
            last = found
            try:
                self.tell(*found)
            except BaseException as error:  # noqa: BLE001 - raised where the work is done
                self.error = error
                return


def _tasks(tracker: Any, group: str) -> tuple[int, int]:
    done = total = 0
    for job in tracker.getJobIdsForGroup(group):
        info = tracker.getJobInfo(job)
        if info is None or info.status != "RUNNING":
            continue
        for number in info.stageIds:
            stage = tracker.getStageInfo(number)
            if stage is not None:
                done += stage.numCompletedTasks
                total += stage.numTasks
    return done, total
