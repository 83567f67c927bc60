"""How far Spark is with what this thread has asked of it, by Spark's own status."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

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
    UI they are called by what they do. A session without status (Spark Connect) tells nothing.

    Parameters
    ----------
    frame : DataFrame
        Of the session.
    tell : callable
        Takes tasks done, and tasks, of the stages of the jobs that run.
    seconds : float
        From one look to the next.
    """
    try:
        context = frame.sparkSession.sparkContext
        group = context.getLocalProperty(_GROUP)
    except Exception:  # noqa: BLE001 - Spark Connect has no context; what is no frame is refused later
        yield
        return
    is_ours = group is None
    group = group or f"batchtrainingbooster-{uuid4().hex[:8]}"
    description = context.getLocalProperty(_DESCRIPTION)
    if is_ours:
        context.setJobGroup(group, description or "BatchTrainingBooster: staging")
    over = threading.Event()
    arguments = (context.statusTracker(), group, tell, over, seconds)
    thread = threading.Thread(target=_look, args=arguments, daemon=True, name="spark-progress")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        if is_ours:
            context.setLocalProperty(_GROUP, None)
            context.setLocalProperty(_DESCRIPTION, description)


def _look(
    tracker: Any,
    group: str,
    tell: Callable[[int, int], object],
    over: threading.Event,
    seconds: float,
) -> None:
    last = None
    while not over.wait(seconds):
        try:
            found = _tasks(tracker, group)
            if found != last and found[1]:
                tell(*found)
                last = found
        except Exception:  # noqa: BLE001 - the session may be stopped under us; progress is no need
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
