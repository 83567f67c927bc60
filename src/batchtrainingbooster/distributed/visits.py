"""Visits that tasks of Spark's train together, behind the ports of the loop.

Each visit is one barrier stage: all tasks run at once, each reads its share of the batch from the
staged folder, and they grow the trees over the booster's own collective. No row passes through a
JVM; the model comes back from the first of them.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from batchtrainingbooster.backends.registry import load_backend
from batchtrainingbooster.core.loop import RunPlan
from batchtrainingbooster.core.ports import Backend, Batch, BatchSource, RoundMetrics
from batchtrainingbooster.core.preparation import Prepared
from batchtrainingbooster.data.columns import refuse_no_dataframe
from batchtrainingbooster.data.reader import StagedSource
from batchtrainingbooster.data.sessions import is_connect
from batchtrainingbooster.data.shipping import ship
from batchtrainingbooster.data.spark_errors import spark_failures
from batchtrainingbooster.distributed.worker import RESULT, Job, VisitTask
from batchtrainingbooster.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

WHERE = "config_training: num_workers"
# From one look to the next at whether a visit is still wanted.
_SECONDS = 0.5
# Those of Spark's that decide whether workers can run, and their defaults.
_SETTINGS = {
    "spark.master": "",
    "spark.task.cpus": "1",
    "spark.dynamicAllocation.enabled": "false",
}


class WorkersSource:
    """The batches of a staged folder, none of which is read here."""

    def __init__(self, staged: StagedSource) -> None:
        self._staged = staged
        self.num_batches = staged.num_batches

    @property
    def scratch(self) -> Path:
        """Of this process."""
        return self._staged.scratch

    def batch(self, number: int) -> Any:
        """The number alone."""
        return number

    def reference(self) -> Any:
        """A sample, which the workers read too; the only batch may be too large for a sample."""
        return self._staged.reference() if self.num_batches > 1 else None

    def validation(self) -> Any:
        """Whether there are validation rows."""
        return True if self._staged.validation_rows else None


class Workers:
    """A booster whose rounds are trained by tasks of Spark's; the model itself is held here.

    Parameters
    ----------
    session : SparkSession
    job : Job
    booster : Backend
        Holds the model so far.
    plan : RunPlan
    """

    def __init__(self, session: Any, job: Job, booster: Backend, plan: RunPlan) -> None:
        self._session = session
        self._job = job
        self._booster = booster
        self._plan = plan
        self._file = load_backend(job.booster).NATIVE_FILE

    @property
    def n_rounds(self) -> int:
        """Rounds in the model so far."""
        return self._booster.n_rounds

    def start(self, reference: Batch, validation: Batch | None) -> None:
        """The workers read both themselves."""

    def validate(self) -> dict[str, float]:
        """Metrics of the model so far on the validation set, the deciding one last."""
        rounds, _ = self._run(None, [], lambda: True)
        return rounds[0].valid

    def dataset(self, batch: Any) -> Any:
        """The batch's number, as it came from the source."""
        return batch

    def external_dataset(self, source: Any) -> AbstractContextManager[Any]:
        """Each worker makes its own."""
        return nullcontext()

    def boost(
        self,
        dataset: int | None,
        learning_rates: Sequence[float],
        after_round: Callable[[RoundMetrics], bool],
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Train one round for each learning rate; it is told of when all are over."""
        before = self.n_rounds
        rounds, model = self._run(dataset, learning_rates, is_wanted)
        if not rounds:
            return
        self._booster.restore({self._file: model})
        for n_rounds, metrics in enumerate(rounds, before + 1):
            if not after_round(metrics):
                self._booster.truncate(n_rounds)
                return

    def truncate(self, n_rounds: int) -> None:
        """Drop the rounds after the first ``n_rounds``."""
        self._booster.truncate(n_rounds)

    def to_bytes(self) -> bytes:
        """The model so far in the booster's native format."""
        return self._booster.to_bytes()

    def checkpoint(self, least_rounds: int) -> dict[str, bytes]:
        """What ``restore`` needs."""
        return self._booster.checkpoint(least_rounds)

    def restore(self, files: Mapping[str, bytes]) -> None:
        """Hold the model of a checkpoint."""
        self._booster.restore(files)

    def _run(
        self, batch: int | None, rates: Sequence[float], is_wanted: Callable[[], bool]
    ) -> tuple[list[RoundMetrics], bytes]:
        """What the workers did; nothing where it was not wanted anymore."""
        files = self._booster.checkpoint(0)
        model = None
        if files:
            (native,) = files.values()
            model = ship(self._session, native, lasting=False)
        task = VisitTask(
            job=self._job,
            model=model,
            file=self._file,
            batch=batch,
            learning_rates=list(rates),
            watch=self._plan.watch(self.n_rounds),
        )
        n = self._job.num_workers
        try:
            with (
                spark_failures(f"training in {n} workers", otherwise=BackendError),
                cancelled_unless(is_wanted, self._session),
            ):
                frame = self._session.range(0, n, 1, n).mapInArrow(task, RESULT, barrier=True)
                # Spark starts a barrier stage again if a worker dies, but not a job's last stage.
                (row,) = frame.repartition(1).collect()
        except BackendError as error:
            if is_wanted():
                raise
            logger.info("The visit was given up: %s", error)
            return [], b""
        finally:
            if model is not None:
                model.discard()
        return [RoundMetrics(**each) for each in json.loads(row["rounds"])], bytes(row["model"])


def visits_of(
    prepared: Prepared, plan: RunPlan, staged: StagedSource, session: Any
) -> tuple[BatchSource, Backend]:
    """Where the loop finds the batches, and what trains them: this process, or workers."""
    num_workers = prepared.request.config.num_workers
    if num_workers is None:
        return staged, prepared.booster
    job = Job(
        key=uuid4().hex,
        booster=prepared.request.backend.NAME,
        settings=prepared.settings,
        problem=prepared.problem,
        location=staged.folder.uri,
        manifest=staged.manifest,
        class_weights=prepared.class_weights,
        num_workers=num_workers,
    )
    return WorkersSource(staged), Workers(session, job, prepared.booster, plan)


@contextmanager
def cancelled_unless(is_wanted: Callable[[], bool], session: Any) -> Iterator[None]:
    """Cancel what Spark is asked for in this block once it is not wanted anymore."""
    tag = f"batchtrainingbooster-{uuid4().hex}"
    over = threading.Event()
    if is_connect(session):
        add, remove, cancel = session.addTag, session.removeTag, session.interruptTag
    else:
        context = session.sparkContext
        add, remove, cancel = context.addJobTag, context.removeJobTag, context.cancelJobsWithTag

    def watch() -> None:
        while not over.wait(_SECONDS):
            if not is_wanted():
                # Again and again, as Spark may not have begun.
                with suppress(Exception):
                    cancel(tag)

    thread = threading.Thread(target=watch, daemon=True, name="visit-cancel")
    add(tag)
    thread.start()
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        with suppress(Exception):
            cancel(tag)
        raise
    finally:
        over.set()
        thread.join()
        # The session may be gone; then what has ended it is the error to see.
        with suppress(Exception):
            remove(tag)


def refuse_workers(frame: DataFrame, num_workers: int) -> None:
    """Refuse workers that Spark could never run at once, before anything is looked at.

    Raises
    ------
    ConfigError
        Saying how many it can.
    """
    refuse_no_dataframe(frame, "train_dataframe")
    with spark_failures("asking Spark for its settings"):
        asked = frame.sparkSession.conf.get
        settings = {name: str(asked(name, default)) for name, default in _SETTINGS.items()}
    refuse_workers_beside(settings, num_workers)


def refuse_workers_beside(settings: Mapping[str, str], num_workers: int) -> None:
    """Refuse workers that these settings of Spark's rule out.

    Raises
    ------
    ConfigError
        Naming the setting.
    """
    if settings["spark.dynamicAllocation.enabled"] == "true":
        msg = (
            f"{WHERE}: got {num_workers}, but spark.dynamicAllocation.enabled is true, and Spark "
            "runs no barrier stages then; set it to false"
        )
        raise ConfigError(msg)
    master, cpus = settings["spark.master"], settings["spark.task.cpus"]
    slots = slots_of(master, int(cpus))
    if slots is not None and num_workers > slots:
        msg = (
            f"{WHERE}: got {num_workers}, but Spark runs at most {slots} tasks at once here "
            f"(spark.master={master}, spark.task.cpus={cpus}), and workers must all run at once"
        )
        raise ConfigError(msg)


def slots_of(master: str, cpus: int) -> int | None:
    """Tasks that Spark runs at once on this machine; None where the master does not say.

    Examples
    --------
    >>> slots_of("local[4]", cpus=2), slots_of("local-cluster[2,1,1024]", 1), slots_of("yarn", 1)
    (2, 2, None)
    """
    if master == "local":
        return 1
    own = re.match(r"local\[(\d+|\*)", master)
    if own:
        cores = os.cpu_count() or 1 if own.group(1) == "*" else int(own.group(1))
        return cores // cpus
    cluster = re.match(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)", master)
    return int(cluster.group(1)) * (int(cluster.group(2)) // cpus) if cluster else None
