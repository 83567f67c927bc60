"""What each of Spark's tasks does in a visit: it reads its share, and trains with the others."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import attrs
import numpy as np
import pyarrow as pa

from batchtrainingbooster.backends.registry import load_backend
from batchtrainingbooster.backends.settings import BoosterSettings, Problem
from batchtrainingbooster.core.ports import BatchSource, RoundMetrics
from batchtrainingbooster.core.stopping import VisitWatch
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.manifest import Manifest
from batchtrainingbooster.data.reader import StagedSource
from batchtrainingbooster.data.share import Share
from batchtrainingbooster.data.shipping import Shipped

RESULT = "rounds string, model binary"


@attrs.frozen(kw_only=True, eq=False)
class Job:
    """What stays the same from visit to visit.

    Attributes
    ----------
    key : str
        Of this run, and no other.
    booster : str
    settings : BoosterSettings
    problem : Problem
    location : str
        Of the staged folder.
    manifest : Manifest
    class_weights : ndarray, optional
    num_workers : int
    """

    key: str
    booster: str
    settings: BoosterSettings
    problem: Problem
    location: str
    manifest: Manifest
    class_weights: np.ndarray | None
    num_workers: int


@attrs.frozen(kw_only=True, eq=False)
class VisitTask:
    """One visit, as Spark runs it in the task of each worker.

    Attributes
    ----------
    job : Job
    model : Shipped, optional
        The model so far, as the backend's checkpoint has it; None where there is none.
    file : str
        What the checkpoint calls it.
    batch : int, optional
        None is all of them, on disk.
    learning_rates : sequence of float
        One for each round; without any, the model so far is measured.
    watch : VisitWatch
    """

    job: Job
    model: Shipped | None
    file: str
    batch: int | None
    learning_rates: Sequence[float]
    watch: VisitWatch

    def __call__(self, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Train; the first worker says what came of it."""
        from pyspark import BarrierTaskContext

        for _ in rows:
            pass
        context = BarrierTaskContext.get()
        rounds, model = self._train(context)
        if context.partitionId() == 0:
            found = {"rounds": [json.dumps(rounds)], "model": pa.array([model], pa.binary())}
            yield pa.RecordBatch.from_pydict(found)

    def _train(self, context: Any) -> tuple[list[dict[str, Any]], bytes]:
        job, number = self.job, context.partitionId()
        share = Share(number, job.num_workers)
        source = StagedSource(Folder(job.location), job.manifest, job.class_weights, share=share)
        backend = _backend(job, source, number, context.cpus())
        with ExitStack() as stack:
            _join(stack, context, number)
            if source.num_batches == 1 and not backend.is_started:
                # Each has its share of the rows that fix the cuts, so they find them together.
                backend.start(source)
            booster = backend.booster
            booster.restore({} if self.model is None else {self.file: self.model.read()})
            if not self.learning_rates:
                return [{"train": {}, "valid": booster.validate()}], b""
            if self.batch is None:
                dataset = stack.enter_context(booster.external_dataset(source))
            else:
                dataset = booster.dataset(source.batch(self.batch))
            rounds = self._boost(booster, dataset)
        return rounds, booster.to_bytes() if number == 0 else b""

    def _boost(self, booster: Any, dataset: Any) -> list[dict[str, Any]]:
        """Every worker is told the same metrics, and so ends with the same round."""
        rounds: list[dict[str, Any]] = []
        since = time.perf_counter()

        def record(metrics: RoundMetrics) -> bool:
            nonlocal since
            now = time.perf_counter()
            rounds.append(attrs.asdict(attrs.evolve(metrics, seconds=now - since)))
            since = now
            if not metrics.valid:
                return True
            self.watch.improves(list(metrics.valid.values())[-1], booster.n_rounds)
            return not self.watch.is_hopeless(booster.n_rounds)

        booster.boost(dataset, self.learning_rates, record)
        return rounds


class _Started:
    """A booster, and whether it holds what stays the same for the whole run."""

    def __init__(self, key: tuple[str, int], booster: Any) -> None:
        self.key = key
        self.booster = booster
        self.is_started = False

    def start(self, source: BatchSource) -> None:
        self.booster.start(source.reference(), source.validation())
        self.is_started = True


# Spark runs one task after another in the same process: what stays the same is loaded once.
_started: list[_Started] = []


def _backend(job: Job, source: BatchSource, number: int, cpus: int) -> _Started:
    key = (job.key, number)
    if [each.key for each in _started] == [key] and _started[0].is_started:
        return _started[0]
    _started.clear()
    params = {"n_jobs": cpus, **job.settings.params}
    settings = attrs.evolve(job.settings, params=params)
    found = _Started(key, load_backend(job.booster).Backend(settings, job.problem))
    if source.num_batches > 1:
        # The same sample for all of them, so that each finds the same cuts, alone.
        found.start(source)
    _started.append(found)
    return found


def _join(stack: ExitStack, context: Any, number: int) -> None:
    """Meet the other workers, for as long as the block lasts."""
    from batchtrainingbooster.backends.xgboost_collective import joined, tracker

    found = ""
    if number == 0:
        workers = context.getTaskInfos()
        host = workers[0].address.rpartition(":")[0]
        found = json.dumps(stack.enter_context(tracker(host, len(workers))))
    stack.enter_context(joined(json.loads(context.allGather(found)[0]), number))
