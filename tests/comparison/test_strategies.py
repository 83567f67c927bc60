"""Three ways to train on the same rows, each in a process of its own."""

import numpy as np
import pandas as pd
import pytest

from batchtrainingbooster import (
    CatBoostTrainer,
    LightGBMTrainer,
    XGBoostTrainer,
    compare_strategies,
)
from batchtrainingbooster.comparison.arms import EXTERNAL_MEMORY, INCREMENTAL, ONE_BATCH
from batchtrainingbooster.errors import ConfigError, DataError

METRICS = {"XGBoostTrainer": "logloss", "CatBoostTrainer": "Logloss",
           "LightGBMTrainer": "binary_logloss"}  # fmt: skip


def table(n, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 6))
    score = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + 0.5 * rng.standard_normal(n)
    color = rng.choice(["red", "green"], n)
    columns = {f"x{i}": x[:, i] for i in range(6)}
    return pd.DataFrame({**columns, "color": color, "y": np.where(score > 0.3, "yes", "no")})


@pytest.fixture(scope="module")
def frames(spark):
    return [spark.createDataFrame(table(n, i)).cache() for i, n in enumerate((6_000, 1_000, 2_000))]


def compare(trainer, frames, test=True, model=None, **training):
    train, valid, held_back = frames
    return compare_strategies(
        trainer,
        train,
        valid,
        "y",
        {"n_estimators": 8, "max_depth": 4, "eval_metric": METRICS[type(trainer).__name__],
         "n_jobs": 2, **(model or {})},
        {"num_batches": 5, "class_weight": None, **training},
        {"initial_lr": 0.3, "decay_rate": 0.9},
        held_back if test else None,
    )  # fmt: skip


def test_xgboost_has_three_arms(frames, tmp_path):
    staging_dir = str(tmp_path / "staged")
    found = compare(XGBoostTrainer(), frames, staging_dir=staging_dir)
    batched, whole, sample = (
        found.outcome(name) for name in (INCREMENTAL, EXTERNAL_MEMORY, ONE_BATCH)
    )
    assert [arm.name for arm in found.arms] == [INCREMENTAL, EXTERNAL_MEMORY, ONE_BATCH]
    assert (batched.rows, whole.rows, sample.rows) == (1_200, 6_000, 1_200)
    assert (found.rows, found.num_batches) == (6_000, 5)
    for outcome in (batched, whole, sample):
        assert outcome.trained <= 40
        assert 0.2 < outcome.test < 0.7
        assert outcome.valid == pytest.approx(min(v for _, v in outcome.curve))
        assert 10**6 < outcome.peak_bytes < 5 * 10**8
        assert 0 < outcome.curve[0][0] < outcome.curve[-1][0] <= outcome.seconds + 1e-6
    # Every row in every tree is better than a fifth of them.
    assert whole.test < batched.test
    assert whole.test < sample.test
    assert "Batches" in found.verdict
    # What batching came to is what fit comes to.
    trainer = XGBoostTrainer()
    trainer.fit(
        frames[0], frames[1], "y",
        {"n_estimators": 8, "max_depth": 4, "eval_metric": "logloss", "n_jobs": 2},
        {"num_batches": 5, "class_weight": None, "staging_dir": staging_dir},
        {"initial_lr": 0.3, "decay_rate": 0.9},
    )  # fmt: skip
    assert trainer.model.info.best.value == batched.valid
    assert len(trainer.history) == batched.trained
    chances = trainer.model.predict_proba(frames[2].toPandas())[:, 1]
    label = (frames[2].toPandas()["y"] == "yes").to_numpy()
    expected = -np.log(np.where(label, chances, 1 - chances)).mean()
    assert batched.test == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("trainer", [CatBoostTrainer, LightGBMTrainer])
def test_others_have_two(trainer, frames):
    found = compare(trainer(), frames)
    assert [arm.name for arm in found.arms] == [INCREMENTAL, ONE_BATCH]
    assert "This booster has no external memory; xgboost has." in found.verdict
    for arm in found.arms:
        assert 0.2 < arm.outcome.test < 0.7


def test_without_test_rows(frames):
    found = compare(XGBoostTrainer(), frames, test=False)
    assert {arm.outcome.test for arm in found.arms} == {None}
    assert not found.tested


def test_an_arm_that_fails_is_said_to(frames, monkeypatch):
    # What is not there when an arm starts: it fails, and says why.
    monkeypatch.setattr(
        "batchtrainingbooster.comparison.strategies.Task",
        lambda **given: __import__("batchtrainingbooster.comparison.arms", fromlist=["Task"]).Task(
            **{**given, "staging_dir": "/nowhere"}
        ),
    )
    found = compare(XGBoostTrainer(), frames, test=False)
    for arm in found.arms:
        assert "StagingError: /nowhere is no staged folder" in arm.outcome
    assert found.verdict == ""


def test_functions_are_refused(frames):
    with pytest.raises(ConfigError, match="config_model: objective: got function; compare_"):
        compare(XGBoostTrainer(), frames, model={"objective": lambda y, p: (p - y, p * 0 + 1)})


def test_test_rows_must_be_like_the_training_rows(frames):
    train, valid, held_back = frames
    with pytest.raises(DataError, match="test_dataframe: target 'y' has classes that train"):
        compare(XGBoostTrainer(), (train, valid, held_back.replace("no", "maybe")))
