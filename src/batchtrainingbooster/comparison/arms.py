"""The ways to train on one staged folder: in batches, on all rows at once, on one batch alone.

Each trains in a process of its own (``python -m batchtrainingbooster.comparison.arms TASK RESULT``)
without Spark, so that its peak memory is its own, and one that runs out of memory takes nothing
else with it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from batchtrainingbooster.backends.settings import Problem
from batchtrainingbooster.core.fitting import Load
from batchtrainingbooster.core.loop import RunPlan, run_visits
from batchtrainingbooster.core.ports import Batch, BatchSource
from batchtrainingbooster.core.preparation import plan_of
from batchtrainingbooster.core.request import maximize, parse_request
from batchtrainingbooster.core.schedules import Per, Schedule
from batchtrainingbooster.core.serialization import converter
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.manifest import read_manifest
from batchtrainingbooster.data.placing import row_memory
from batchtrainingbooster.data.reader import StagedSource
from batchtrainingbooster.memory import peak_bytes, resident_bytes

INCREMENTAL = "batch by batch"
EXTERNAL_MEMORY = "external memory"
ONE_BATCH = "one batch only"


@attrs.frozen(kw_only=True)
class Task:
    """What an arm is told.

    Attributes
    ----------
    arm : str
    backend : str
    config_model, config_training, config_lr_scheduler : dict
    problem : Problem
    class_weights : list of float, optional
    staging_dir : str
    test_dir : str, optional
        Staged test rows, as its only batch.
    """

    arm: str
    backend: str
    config_model: dict[str, Any]
    config_training: dict[str, Any]
    config_lr_scheduler: dict[str, Any] | None
    problem: Problem
    class_weights: list[float] | None
    staging_dir: str
    test_dir: str | None


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of an arm.

    Attributes
    ----------
    rows : int
        Rows that each tree saw.
    n_rounds, trained : int
        Rounds in the model, and of all that were trained.
    metric : str
    valid, test : float, optional
        Of the model, by the deciding metric.
    seconds : float
        From reading the first row to the finished model; staging, which all share, is apart.
    peak_bytes : int, optional
        Memory above that of the idle process, where the system tells.
    curve : list of (float, float)
        Seconds and validation metric after each round.
    """

    rows: int
    n_rounds: int
    trained: int
    metric: str
    valid: float | None
    test: float | None
    seconds: float
    peak_bytes: int | None
    curve: list[tuple[float, float]]


class OneBatch:
    """The first batch of a source, as if it were all."""

    num_batches = 1

    def __init__(self, source: BatchSource) -> None:
        self._source = source
        self.scratch = source.scratch

    def batch(self, number: int) -> Batch:
        """The first one."""
        return self._source.batch(0)

    def reference(self) -> Batch:
        """The batch is its own reference."""
        return self._source.batch(0)

    def validation(self) -> Batch | None:
        """That of the source."""
        return self._source.validation()


@attrs.frozen
class ByRound:
    """A schedule by visit, for a run that makes the same rounds in one visit."""

    schedule: Schedule
    rounds_per_visit: int
    per: Per = "round"

    def learning_rate(self, step: int, improved: Sequence[bool]) -> float:
        """That of the visit to which the round would have belonged."""
        return self.schedule.learning_rate(step // self.rounds_per_visit, improved)


def in_one_visit(plan: RunPlan, num_visits: int) -> RunPlan:
    """As many rounds, at the same rates, with as much patience, in a single visit."""
    rounds = plan.rounds_per_visit
    schedule = plan.schedule
    return attrs.evolve(
        plan,
        num_epochs=1,
        rounds_per_visit=num_visits * rounds,
        early_stopping_rounds=plan.early_stopping_rounds or plan.patience.max_patience * rounds,
        schedule=schedule if schedule.per == "round" else ByRound(schedule, rounds),
    )


def run(task: Task) -> Outcome:
    """Train as the task says, in this process."""
    external = task.arm == EXTERNAL_MEMORY
    request = parse_request(
        task.backend, task.config_model, task.config_training, task.config_lr_scheduler
    )
    backend, problem = request.backend, task.problem
    settings = backend.with_defaults(request.settings, problem.kind)
    booster = backend.Backend(settings, attrs.evolve(problem, external_memory=external))
    folder = Folder(task.staging_dir)
    manifest = read_manifest(folder)
    weights = task.class_weights
    class_weights = None if weights is None else np.asarray(weights, np.float32)
    load = Load(
        batch_rows=tuple(part.rows for part in manifest.batches),
        validation_rows=manifest.validation.rows if manifest.validation else 0,
        row=row_memory(manifest.schema, backend.BYTES_PER_OUTPUT),
        external_memory=external,
    )
    source: BatchSource = StagedSource(folder, manifest, class_weights, load)
    larger_is_better = maximize(backend, settings, request.config)
    plan = plan_of(request, settings, source.num_batches, larger_is_better)
    rows = manifest.batches[0].rows
    if task.arm != INCREMENTAL:
        plan = in_one_visit(plan, plan.num_visits(source.num_batches))
    if external:
        plan = attrs.evolve(plan, strategy="external_memory")
        rows = sum(part.rows for part in manifest.batches)
    elif task.arm == ONE_BATCH:
        source = OneBatch(source)
    idle, start = resident_bytes(), time.perf_counter()
    state = run_visits(plan, source, booster)
    model = booster.to_bytes()
    seconds, peak = time.perf_counter() - start, peak_bytes()
    test = None
    if task.test_dir is not None:
        tested = backend.Backend(settings, attrs.evolve(problem, initial_model=model))
        test_rows = StagedSource(
            Folder(task.test_dir), read_manifest(Folder(task.test_dir)), class_weights
        ).batch(0)
        tested.start(test_rows, test_rows)
        test = list(tested.validate().values())[-1]
    name = state.history.deciding_metric or settings.metric_names[-1]
    ends = np.cumsum([row.seconds for row in state.history])
    return Outcome(
        rows=rows,
        n_rounds=booster.n_rounds,
        trained=len(state.history),
        metric=name,
        valid=state.best.value if state.best else None,
        test=test,
        seconds=seconds,
        peak_bytes=None if peak is None or idle is None else peak - idle,
        curve=[
            # Reading and loading come before the first round.
            (float(end + seconds - ends[-1]), row.valid[name])
            for end, row in zip(ends, state.history, strict=True)
            if row.valid
        ],
    )


def main(task: str, result: str) -> None:
    """Run the task in a file, and write what came of it."""
    content = json.loads(Path(task).read_text(encoding="utf-8"))
    outcome = run(converter.structure(content, Task))
    Path(result).write_text(json.dumps(converter.unstructure(outcome)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
