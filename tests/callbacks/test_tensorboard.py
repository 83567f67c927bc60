"""Real event files, read with TensorBoard's own reader."""

import math
import sys

import pytest

from batchtrainingbooster import XGBoostTrainer
from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.callbacks.tensorboard import TensorBoardCallback
from batchtrainingbooster.core import events
from batchtrainingbooster.core.history import History, Row
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.errors import MissingDependencyError


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


def scalars(folder):
    found = read(folder)
    return {
        tag: [(each.step, each.value) for each in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def near(pairs):
    """Event files hold float32."""
    return [(step, pytest.approx(value, rel=1e-6)) for step, value in pairs]


class Interrupting(Callback):
    def on_visit_end(self, event):
        if event.visit == 2:
            raise KeyboardInterrupt


def test_files_hold_the_history_also_of_a_resumed_run(spark, shared_data, tmp_path):
    people = spark.read.csv(str(shared_data / "obesity.csv"), header=True, inferSchema=True)
    folder = tmp_path / "board"

    def fit(*others):
        return XGBoostTrainer().fit(
            people, None, "NObeyesdad",
            {"n_estimators": 3, "max_depth": 3, "eval_metric": ["merror", "mlogloss"]},
            {
                "num_batches": 2, "num_epochs": 2, "validation_fraction": 0.2,
                "checkpoint_dir": str(tmp_path / "checkpoints"), "checkpoint_every": 2,
                "callbacks": [TensorBoardCallback(folder), *others], "callbacks_strict": True,
            },
            {"initial_lr": 0.3, "decay_rate": 0.9},
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        fit(Interrupting())
    assert len(scalars(folder)["learning_rate"]) == 9

    model = fit()
    rows, found = list(model.history), scalars(folder)
    assert found["learning_rate"] == near((row.round, row.learning_rate) for row in rows)
    for name in ("merror", "mlogloss"):
        assert found[f"train/{name}"] == near((row.round, row.train[name]) for row in rows)
        assert found[f"valid/{name}"] == near((row.round, row.valid[name]) for row in rows)
    assert [step for step, _ in found["visit_seconds"]] == [2, 5, 8, 11]
    best = model.info.best
    assert found["best/mlogloss"][-1:] == near([(best.round, best.value)])
    (text, *_) = read(folder).Tensors("settings/text_summary")
    assert b"| config_model: max_depth | 3 |" in text.tensor_proto.string_val[0]


def start_of(callback, history=(), run_id="r"):
    callback.on_event(
        events.RunStart(
            run_id=run_id, booster="xgboost", target_column="a|b", config={}, versions={}
        )
    )
    callback.on_event(
        events.TrainingStart(
            num_visits=1, rounds_per_visit=1, max_patience=1, maximize=True,
            state=RunState(history=History(tuple(history))),
        )
    )  # fmt: skip


def row(number, value):
    metrics = {"ndcg@5": value, "AUC:type=Mu": value}
    return Row(0, 0, 0, number, number + 1, 0.1, metrics, metrics, 0.0)


def test_used_folder_shows_the_last_run_and_names_are_plain(tmp_path):
    for n_rounds, run_id in ((4, "1"), (2, "2")):
        callback = TensorBoardCallback(tmp_path)
        start_of(callback, run_id=run_id)
        for i in range(n_rounds):
            callback.on_event(events.RoundEnd(row=row(i, math.nan if i == 1 else n_rounds)))
        callback.on_run_end(None)
        callback.on_run_end(None)
    assert len(list(tmp_path.iterdir())) == 2
    found = scalars(tmp_path)
    assert set(found) == {
        "train/ndcg_5", "valid/ndcg_5", "train/AUC_type_Mu", "valid/AUC_type_Mu", "learning_rate",
    }  # fmt: skip
    assert found["valid/ndcg_5"][0] == (0, 2.0)
    assert len(found["valid/ndcg_5"]) == 2
    assert math.isnan(found["valid/ndcg_5"][1][1])


def test_folder_is_not_made_before_training_begins(tmp_path):
    callback = TensorBoardCallback(tmp_path / "board")
    callback.on_run_end(None)
    assert not (tmp_path / "board").exists()


def test_folder_that_cannot_be_made_is_complained_of_once(tmp_path):
    (tmp_path / "board").touch()
    callback = TensorBoardCallback(tmp_path / "board")
    with pytest.raises(NotADirectoryError):
        start_of(callback)
    callback.on_event(events.RoundEnd(row=row(0, 1.0)))
    callback.on_run_end(None)


def test_missing_tensorboardx_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingDependencyError, match=r"batchtrainingbooster\[tensorboard\]"):
        TensorBoardCallback("board")
