"""The loop over staged batches in a process of its own, without Spark: ``loop_only.py TASK PLACE``.

TASK is one of ``batchtrainingbooster.comparison``; checkpoints, model and history go to PLACE.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

from batchtrainingbooster.comparison.arms import Task
from batchtrainingbooster.core.loop import run_visits
from batchtrainingbooster.core.preparation import plan_of
from batchtrainingbooster.core.request import maximize, parse_request
from batchtrainingbooster.core.serialization import converter
from batchtrainingbooster.data.checkpoints import CheckpointFolder
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.lock import FolderLock
from batchtrainingbooster.data.manifest import read_manifest
from batchtrainingbooster.data.reader import StagedSource
from batchtrainingbooster.errors import CheckpointError


def main(task, place):
    task = converter.structure(json.loads(Path(task).read_text()), Task)
    request = parse_request(
        task.backend, task.config_model, task.config_training, task.config_lr_scheduler
    )
    settings = request.backend.with_defaults(request.settings, task.problem.kind)
    booster = request.backend.Backend(settings, task.problem)
    staged = Folder(task.staging_dir)
    weights = None if task.class_weights is None else np.asarray(task.class_weights, np.float32)
    source = StagedSource(staged, read_manifest(staged), weights)
    is_larger_better = maximize(request.backend, settings, request.config)
    plan = plan_of(request, settings, source.num_batches, is_larger_better)
    folder = Folder(f"{place}/checkpoints")
    with FolderLock(folder, "checkpoint_dir", CheckpointError) as lock:
        store = CheckpointFolder(folder, lock, request.identity, {}, "auto")
        print("training", flush=True)
        state = run_visits(plan, source, booster, store)
    outcome = Path(place, "outcome")
    rows = [
        (r.visit, r.batch, r.round, r.n_rounds, r.kept, r.train, r.valid) for r in state.history
    ]
    outcome.with_suffix(".history").write_text(json.dumps(rows))
    outcome.write_bytes(booster.to_bytes())
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
