"""What training takes is what was planned."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchtrainingbooster import XGBoostTrainer
from batchtrainingbooster.comparison.arms import EXTERNAL_MEMORY, INCREMENTAL
from batchtrainingbooster.comparison.strategies import in_a_process, tasks_of
from batchtrainingbooster.core.preparation import prepare
from batchtrainingbooster.core.request import parse_request
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.placing import place_rows
from batchtrainingbooster.data.staging import stage
from batchtrainingbooster.errors import NotEnoughMemoryError

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


@pytest.mark.slow
def test_batches_that_would_not_fit_are_refused_before_anything_is_written(
    spark, rows, tmp_path, monkeypatch
):
    frame = spark.read.parquet(rows)
    available = 150 * 10**6
    for module in ("core.base_trainer", "data.reader"):
        monkeypatch.setattr(f"batchtrainingbooster.{module}.available_bytes", lambda: available)
    config_training = {"num_batches": 1, "staging_dir": str(tmp_path / "s"), "class_weight": None}

    def fit(**changes):
        return XGBoostTrainer().fit(
            frame, None, "y", {"n_estimators": 1}, {**config_training, **changes}
        )

    with pytest.raises(NotEnoughMemoryError, match=r"batch 1 of 1: .*would fit") as caught:
        fit()
    assert not (tmp_path / "s").exists()
    enough = int(re.search(r"num_batches=(\d+) would fit", str(caught.value)).group(1))
    assert fit(num_batches=enough).info.n_rounds == enough
    # Memory may go while the run lasts: each batch is judged when its turn comes.
    monkeypatch.setattr(
        "batchtrainingbooster.data.reader.available_bytes", iter([available, 10**6]).__next__
    )
    with pytest.raises(NotEnoughMemoryError, match=rf"batch \d+ of {enough}: .* 0\.001 GB are av"):
        fit(num_batches=enough)
