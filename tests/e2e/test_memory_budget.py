"""What training takes is what was planned."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchtrainingbooster.comparison.arms import EXTERNAL_MEMORY, INCREMENTAL
from batchtrainingbooster.comparison.strategies import in_a_process, tasks_of
from batchtrainingbooster.core.preparation import prepare
from batchtrainingbooster.core.request import parse_request
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.placing import place_rows
from batchtrainingbooster.data.staging import stage

COLUMNS, BUDGET = 28, 240 * 10**6
METRICS = {"xgboost": "logloss", "catboost": "Logloss", "lightgbm": "binary_logloss"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """800,000 rows, 90 MB in float32."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("rows")
    for part in range(4):
        x = rng.standard_normal((200_000, COLUMNS), np.float32)
        y = (x[:, 0] * x[:, 1] + rng.standard_normal(len(x)) > 0).astype(np.int32)
        columns = {f"x{i}": x[:, i] for i in range(COLUMNS)}
        pq.write_table(pa.table({**columns, "y": y}), folder / f"{part}.parquet")
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize("booster", list(METRICS))
def test_training_stays_within_its_budget(spark, rows, tmp_path, booster):
    config_model = {"n_estimators": 10, "eval_metric": METRICS[booster], "n_jobs": 2}
    config_training = {"memory_budget": BUDGET, "validation_fraction": 0.1}
    request = parse_request(booster, config_model, config_training, None)
    prepared = prepare(request, spark.read.parquet(rows), None, "y")
    folder = Folder(str(tmp_path))
    manifest = stage(prepared.job, place_rows(prepared.job), folder)
    assert len(manifest.batches) > 1
    configs = [config_model, config_training, {}]
    tasks = {task.arm: task for task in tasks_of(booster, configs, prepared, folder, None)}
    outcome = in_a_process(tasks[INCREMENTAL])
    assert outcome.trained == 10 * len(manifest.batches)
    # More than half of it is used: a budget that is not used is batches for nothing.
    assert BUDGET / 2 < outcome.peak_bytes <= BUDGET
    if booster == "xgboost":
        # With the batches on disk, the same holds.
        outcome = in_a_process(tasks[EXTERNAL_MEMORY])
        assert outcome.peak_bytes <= BUDGET
