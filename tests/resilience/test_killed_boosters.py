"""Each booster, killed while it trains on staged batches, comes to the same bytes."""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import outcome_of

from batchtrainingbooster.comparison.strategies import tasks_of
from batchtrainingbooster.core.preparation import prepare
from batchtrainingbooster.core.request import parse_request
from batchtrainingbooster.core.serialization import converter
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.placing import place_rows
from batchtrainingbooster.data.staging import stage

N_KILLS = 4
SCRIPT = Path(__file__).with_name("loop_only.py")
ROUNDS = {"n_estimators": 15, "n_jobs": 2}
# Patience runs out, visits are dropped and cut, and rows and columns are sampled.
CASES = {
    "xgboost": (
        {**ROUNDS, "max_depth": 5, "subsample": 0.7, "colsample_bytree": 0.7,
         "early_stopping_rounds": 4, "eval_metric": "mlogloss"},
        {"warm_restart": "last", "checkpoint_every": 2},
    ),
    "lightgbm": (
        {**ROUNDS, "num_leaves": 15, "bagging_fraction": 0.7, "bagging_freq": 1,
         "feature_fraction": 0.7, "eval_metric": "multi_logloss"},
        {"warm_restart": "best"},
    ),
    "catboost": (
        {**ROUNDS, "depth": 4, "bootstrap_type": "Bernoulli", "subsample": 0.7, "rsm": 0.7,
         "eval_metric": "MultiClass"},
        {"warm_restart": "best"},
    ),
    # With statistics of categories, models of earlier visits belong to a checkpoint.
    "catboost with statistics": (
        {**ROUNDS, "depth": 4, "one_hot_max_size": 2, "max_ctr_complexity": 1,
         "eval_metric": "MultiClass"},
        {"warm_restart": "last"},
    ),
}  # fmt: skip


def task_of(spark, rows, folder, name):
    booster = name.split()[0]
    config_model, changes = CASES[name]
    config_training = {
        "num_batches": 5, "num_epochs": 3, "validation_fraction": 0.2, "max_patience": 6, **changes,
    }  # fmt: skip
    schedule = {"initial_lr": 0.5, "decay_rate": 0.9}
    request = parse_request(booster, config_model, config_training, schedule)
    prepared = prepare(request, spark.read.parquet(rows), None, "y")
    staged = Folder(str(folder / "staged"))
    stage(prepared.job, place_rows(prepared.job), staged)
    configs = [config_model, config_training, schedule]
    task = tasks_of(booster, configs, prepared, staged, None)[0]
    file = folder / "task.json"
    file.write_text(json.dumps(converter.unstructure(task)))
    return file


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_killed_at_random_moments_it_comes_to_the_same_bytes(spark, rows, tmp_path, name):
    task = task_of(spark, rows, tmp_path, name)

    def start(place):
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(task), str(place)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "training\n", process.stderr.read()
        return process, time.monotonic()

    places = tmp_path / "undisturbed", tmp_path / "killed"
    process, began = start(places[0])
    assert process.wait() == 0
    lasted = time.monotonic() - began
    undisturbed = outcome_of(places[0])
    rng = random.Random(name)  # noqa: S311
    kills, finished = 0, 0
    while kills < N_KILLS or not finished:
        process, began = start(places[1])
        if kills < N_KILLS:
            time.sleep(rng.uniform(0, 0.8 * lasted))
            process.kill()
        if process.wait() == -9:
            kills += 1
            continue
        assert process.returncode == 0, process.stderr.read()
        finished += 1
        assert outcome_of(places[1]) == undisturbed
        shutil.rmtree(places[1])
    assert (kills, finished > 0) == (N_KILLS, True)
    visits = {row[0] for row in undisturbed[1]}
    assert visits == set(range(len(visits)))
    assert {row[4] for row in undisturbed[1]} == {True, False}, "some rounds are dropped"
