"""What each of Spark's tasks does in a visit: it reads its share, and trains with the others."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa

from batchtrainingbooster.backends.registry import load_backend
from batchtrainingbooster.backends.settings import BoosterSettings, Problem
from batchtrainingbooster.core.ports import RoundMetrics
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
        with ExitStack() as stack:
            place = _join(stack, BarrierTaskContext.get(), self.job)
            rounds, model = self._train(stack, place)
        if place.number == 0:
            found = {"rounds": [json.dumps(rounds)], "model": pa.array([model], pa.binary())}
            yield pa.RecordBatch.from_pydict(found)

    def _train(self, stack: ExitStack, place: _Place) -> tuple[list[dict[str, Any]], bytes]:
        source, booster = place.source, place.booster
        booster.restore({} if self.model is None else {self.file: self.model.read()})
        if not self.learning_rates:
            return [{"train": {}, "valid": booster.validate()}], b""
        if self.batch is None:
            dataset = stack.enter_context(booster.external_dataset(source))
        else:
            dataset = booster.dataset(source.batch(self.batch))
        rounds = self._boost(booster, dataset)
        return rounds, booster.to_bytes() if place.number == 0 else b""

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


@attrs.frozen(eq=False, kw_only=True)
class _Place:
    """A worker's share, and a booster that holds what stays the same for the whole run."""

    key: str
    number: int
    source: StagedSource
    booster: Any

    def start(self) -> None:
        self.booster.start(self.source.reference(), self.source.validation())


# Spark runs one task after another in the same process: what stays the same is loaded once.
_kept: list[_Place] = []


def _join(stack: ExitStack, context: Any, job: Job) -> _Place:
    """Meet the other workers, for as long as the stack lasts; each has its share, and is ready.

    Who still holds a share from an earlier visit keeps it, whichever task it is now.
    """
    from batchtrainingbooster.backends.xgboost_collective import joined, tracker

    held = next((place.number for place in _kept if place.key == job.key), None)
    answers = [json.loads(text) for text in context.allGather(json.dumps(held))]
    numbers = shares_of(answers)
    number, is_only_batch = numbers[context.partitionId()], len(job.manifest.batches) == 1
    # Where the cuts are found together, either all find them, or none does.
    is_ready = answers == numbers if is_only_batch else held == number
    if not is_ready:
        _kept[:] = [_place(job, number, context.cpus())]
        if not is_only_batch:
            # The same sample for all of them, so that each finds the same cuts, alone.
            _kept[0].start()
    found = ""
    if number == 0:
        host = context.getTaskInfos()[context.partitionId()].address.rpartition(":")[0]
        found = json.dumps(stack.enter_context(tracker(host, job.num_workers)))
    everyone = context.allGather(found)
    stack.enter_context(joined(json.loads("".join(everyone)), number))
    if is_only_batch and not is_ready:
        _kept[0].start()
    return _kept[0]


def shares_of(held: Sequence[int | None]) -> list[int]:
    """Which share each task takes, by the one that its process holds already.

    Examples
    --------
    >>> shares_of([2, None, 0, 2])
    [2, 1, 0, 3]
    """
    free = [number for number in range(len(held)) if number not in held]
    taken: list[int] = []
    for number in held:
        is_own = number is not None and number not in taken
        taken.append(number if number is not None and is_own else free.pop(0))
    return taken


def _place(job: Job, number: int, cpus: int) -> _Place:
    params = {"n_jobs": cpus, **job.settings.params}
    settings = attrs.evolve(job.settings, params=params)
    source = StagedSource(
        Folder(job.location),
        job.manifest,
        job.class_weights,
        share=Share(number, job.num_workers),
        # The staged folder may be on another machine, though it has a path here.
        scratch=Path(tempfile.gettempdir()),
    )
    booster = load_backend(job.booster).Backend(settings, job.problem)
    return _Place(key=job.key, number=number, source=source, booster=booster)
