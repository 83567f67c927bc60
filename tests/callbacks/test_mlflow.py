"""Against a real MLflow server, with real training."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from http.client import HTTPConnection

import mlflow
import pandas as pd
import pyarrow.parquet as pq
import pytest
from requests.exceptions import ConnectionError as NoConnection

from batchtrainingbooster import LightGBMTrainer, XGBoostTrainer
from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.callbacks.mlflow import MLflowCallback
from batchtrainingbooster.callbacks.mlflow_content import flat, texts
from batchtrainingbooster.callbacks.mlflow_run import (
    created,
    experiment_named,
    is_unreachable,
    metric,
    reopened,
)
from batchtrainingbooster.core.events import RunEnd, RunStart, TrainingStart, VisitEnd
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.core.stopping import StopReason
from batchtrainingbooster.errors import ConfigError, MissingDependencyError

SCORE = """
import json, sys
sys.modules["pyspark"] = None
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
rows = pd.read_csv(sys.argv[2])
for uri in sys.argv[3:]:
    model = mlflow.pyfunc.load_model(uri)
    proba = model.predict(rows, params={"proba": True})
    print(json.dumps([list(model.predict(rows)), list(proba.columns), proba.to_numpy().tolist()]))
"""


class Server:
    """An MLflow server of its own, which may be killed and come again."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self):
        quiet = {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
            "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db",
            "--artifacts-destination", str(self.folder / "artifacts"),
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **quiet},
                start_new_session=True,
                stdout=log,
                stderr=log,
            )

    def wait(self):
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            asked = HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                asked.request("GET", "/health")
                if asked.getresponse().status == 200:
                    return self
            except OSError:
                time.sleep(0.1)
            finally:
                asked.close()
        raise AssertionError((self.folder / "log").read_text())

    def kill(self):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module", autouse=True)
def _quiet_client():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        yield


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def people(started, spark, shared_data):
    """Read while the server starts."""
    return spark.read.csv(str(shared_data / "obesity.csv"), header=True, inferSchema=True).cache()


@pytest.fixture(scope="module")
def server(started, people):
    return started.wait()


@pytest.fixture
def client(server):
    return mlflow.MlflowClient(server.uri)


def train(people, callbacks, **training):
    return XGBoostTrainer().fit(
        people,
        None,
        "NObeyesdad",
        {"n_estimators": 3, "max_depth": 3, "eval_metric": ["merror", "mlogloss"]},
        {
            "num_batches": 2,
            "num_epochs": 2,
            "validation_fraction": 0.2,
            "callbacks": callbacks,
            **training,
        },
        {"initial_lr": 0.3, "decay_rate": 0.9},
    )


@contextmanager
def tracking_at(server):
    """The caller's own choice of server; MLflow puts it into the environment, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "")
        mlflow.set_tracking_uri(server.uri)
        yield patch
        mlflow.set_tracking_uri(None)


def values(client, run_id, metric):
    return [(m.step, m.value) for m in client.get_metric_history(run_id, metric)]


def run_of(client, name):
    """The one run of an experiment."""
    (found,) = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    return found


@pytest.fixture(scope="module")
def tracked(server, people, tmp_path_factory):
    """A run within one of the caller's: the model, the run, the caller's run."""
    run_dir = tmp_path_factory.mktemp("run")
    client = mlflow.MlflowClient(server.uri)
    experiment_id = client.create_experiment("obesity")
    with tracking_at(server), mlflow.start_run(experiment_id=experiment_id) as parent:
        callback = MLflowCallback(
            run_name="small trees", registered_model_name="bodies", tags={"team": "health"}
        )
        model = train(people, [callback], run_dir=str(run_dir), callbacks_strict=True)
        assert mlflow.active_run().info.run_id == parent.info.run_id
    within = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    (run,) = client.search_runs([experiment_id], within)
    return model, run, client.get_run(parent.info.run_id)


def test_settings_become_params_and_versions_tags(tracked):
    model, run, _ = tracked
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "small trees"
    params, tags = run.data.params, run.data.tags
    expected = {
        "booster": "xgboost", "target": "NObeyesdad", "objective": "multi:softprob",
        "batches": "2", "config_model.max_depth": "3", "config_training.num_epochs": "2",
        "config_model.eval_metric": "['merror', 'mlogloss']",
        "config_lr_scheduler.initial_lr": "0.3",
    }  # fmt: skip
    assert {key: params[key] for key in expected} == expected
    assert int(params["rows"]) + int(params["validation_rows"]) == 2111
    assert tags["version.xgboost"] == model.info.backend_version
    assert tags["team"] == "health"
    assert tags["stop_reason"] == "completed"


def test_metrics_have_the_rounds_of_the_history_as_steps(tracked, client):
    model, run, _ = tracked
    rows, run_id = list(model.history), run.info.run_id
    assert len(rows) == 12
    for name in ("merror", "mlogloss"):
        for part in ("train", "valid"):
            expected = [(row.round, pytest.approx(getattr(row, part)[name])) for row in rows]
            assert values(client, run_id, f"{part}_{name}") == expected
    assert values(client, run_id, "learning_rate") == [(r.round, r.learning_rate) for r in rows]
    assert [step for step, _ in values(client, run_id, "visit_seconds")] == [2, 5, 8, 11]
    best = model.info.best
    assert values(client, run_id, "best_mlogloss") == [(best.round, pytest.approx(best.value))]
    assert run.data.metrics["rounds"] == model.info.n_rounds


def test_run_of_the_caller_is_left_as_it_was(tracked):
    _, _, parent = tracked
    assert parent.info.status == "FINISHED"
    assert not parent.data.params
    assert not parent.data.metrics


def test_files_of_the_run_folder_are_artifacts(tracked, client):
    _, run, _ = tracked
    found = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"config.json", "history.parquet", "plots"} <= found <= {
        "config.json", "history.parquet", "plots", "report.html",
    }  # fmt: skip


def logged_model(client, run):
    (found,) = client.search_logged_models([run.info.experiment_id])
    assert found.source_run_id == run.info.run_id
    return found


def test_model_scores_in_a_process_without_spark(tracked, client, server, shared_data):
    model, run, _ = tracked
    path = shared_data / "obesity.csv"
    uris = [f"models:/{logged_model(client, run).model_id}", "models:/bodies/1"]
    command = [sys.executable, "-c", SCORE, server.uri, str(path), *uris]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = pd.read_csv(path)
    for line in done.stdout.splitlines()[-2:]:
        labels, classes, proba = json.loads(line)
        assert labels == list(model.predict(rows))
        assert classes == list(model.classes)
        assert proba == pytest.approx(model.predict_proba(rows))


def test_logged_model_is_linked_to_its_run_and_value(tracked, client):
    model, run, _ = tracked
    logged = logged_model(client, run)
    assert str(logged.status) == "READY"
    assert [each.model_id for each in run.outputs.model_outputs] == [logged.model_id]
    assert {m.key: m.value for m in logged.metrics} == {
        "best_mlogloss": pytest.approx(model.info.best.value)
    }


def test_model_folder_has_signature_example_and_no_pickle(tracked, server, client, tmp_path):
    _, run, _ = tracked
    uri = f"models:/{logged_model(client, run).model_id}"
    with tracking_at(server):
        folder = mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path))
    files = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert {"MLmodel", "metadata.json", "input_example.json", "requirements.txt"} <= files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib"))]
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.read_bytes()[:1] == b"\x80"]

    loaded = mlflow.pyfunc.load_model(folder)
    rows = loaded.input_example
    assert len(rows) == 5
    assert len(loaded.predict(rows)) == 5
    with pytest.raises(mlflow.MlflowException, match="Age"):
        loaded.predict(rows.drop(columns="Age"))
    with pytest.raises(mlflow.MlflowException, match="Height"):
        loaded.predict(rows.assign(Height="tall"))


def test_frames_with_missing_integers_and_booleans_are_accepted(server, client, spark):
    rows = pd.DataFrame(
        {
            "count": [i % 7 for i in range(200)],
            "small": [float("nan") if i % 3 else i % 5 for i in range(200)],
            "flag": [i % 2 == 0 for i in range(200)],
            "name": [None if i % 4 == 0 else f"n{i % 3}" for i in range(200)],
            "y": [float(i % 7) + (i % 2) for i in range(200)],
        }
    )
    listed = [
        (i % 7, None if i % 3 else i % 5, i % 2 == 0, rows["name"][i], rows["y"][i].item())
        for i in range(200)
    ]
    frame = spark.createDataFrame(
        listed, "count bigint, small int, flag boolean, name string, y double"
    )
    model = LightGBMTrainer().fit(
        frame, None, "y",
        {"n_estimators": 2, "min_data_in_leaf": 5, "verbose": -1},
        {
            "num_batches": 2, "validation_fraction": 0.2, "callbacks_strict": True,
            "callbacks": [MLflowCallback(server.uri, "types")],
        },
    )  # fmt: skip
    uri = f"models:/{logged_model(client, run_of(client, 'types')).model_id}"
    with tracking_at(server):
        loaded = mlflow.pyfunc.load_model(uri)
        example = loaded.input_example
    whole = rows.assign(small=1)
    nullable = rows.astype({"count": "Int64", "small": "Int64", "flag": object})
    for given in (rows, whole, nullable, rows.head(1), example):
        assert loaded.predict(given).tolist() == model.predict(given).tolist()


class Raising(Callback):
    def __init__(self, error, visit):
        self.error, self.visit = error, visit

    def on_visit_end(self, event):
        if event.visit == self.visit:
            raise self.error


def test_error_leaves_a_failed_run(server, client, people):
    tracking = MLflowCallback(server.uri, "failing")
    with pytest.raises(ZeroDivisionError):
        train(people, [tracking, Raising(ZeroDivisionError("by 0"), 0)], callbacks_strict=True)
    run = run_of(client, "failing")
    assert run.info.status == "FAILED"
    assert run.data.tags["failure"] == "ZeroDivisionError: by 0"
    assert [step for step, _ in values(client, run.info.run_id, "valid_mlogloss")] == [0, 1, 2]
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["history.parquet"]


def test_error_before_training_leaves_a_failed_run(server, client, people):
    with tracking_at(server) as patch:
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "early")
        with pytest.raises(ConfigError):
            train(people, [MLflowCallback()], feature_columns=["Age", "NObeyesdad"])
    run = run_of(client, "early")
    assert run.info.status == "FAILED"
    assert run.data.tags["failure"].startswith("ConfigError: ")
    assert run.data.params["booster"] == "xgboost"


def test_resumed_run_goes_on_in_its_mlflow_run(server, client, people, tmp_path):
    def go_on(*others):
        return train(
            people,
            [MLflowCallback(server.uri, "resumed"), *others],
            checkpoint_dir=str(tmp_path / "checkpoints"),
            callbacks_strict=True,
        )

    with pytest.raises(KeyboardInterrupt):
        go_on(Raising(KeyboardInterrupt(), 2))
    run = run_of(client, "resumed")
    assert run.info.status == "KILLED"
    # The third visit was not in a checkpoint, and is made again.
    assert len(values(client, run.info.run_id, "learning_rate")) == 9

    model = go_on()
    run = run_of(client, "resumed")
    assert run.info.status == "FINISHED"
    expected = [(row.round, pytest.approx(row.valid["mlogloss"])) for row in model.history]
    assert values(client, run.info.run_id, "valid_mlogloss") == expected
    assert "failure" not in run.data.tags

    go_on()
    assert run_of(client, "resumed").info.end_time == run.info.end_time
    assert logged_model(client, run)
    history = client.download_artifacts(run.info.run_id, "history.parquet", str(tmp_path))
    assert pq.read_table(history).to_pydict() == model.history.to_columns()


def test_killed_server_loses_neither_model_nor_metrics(server, client, people, tmp_path):
    class Kill(Callback):
        def on_visit_end(self, event):
            if event.visit == 1:
                server.kill()

    folder = str(tmp_path / "checkpoints")
    callbacks = [MLflowCallback(server.uri, "outage")]
    try:
        model = train(people, [*callbacks, Kill()], checkpoint_dir=folder)
    finally:
        server.start()
        server.wait()
    assert len(model.history) == 12
    run = run_of(client, "outage")
    assert run.info.status == "RUNNING"
    assert len(values(client, run.info.run_id, "learning_rate")) == 6

    train(people, callbacks, checkpoint_dir=folder)
    run = run_of(client, "outage")
    assert run.info.status == "FINISHED"
    expected = [(row.round, pytest.approx(row.valid["mlogloss"])) for row in model.history]
    assert values(client, run.info.run_id, "valid_mlogloss") == expected


def test_new_run_begins_where_the_kept_one_is_deleted(server, client):
    run = client.create_run(experiment_named(client, "deleted"))
    client.delete_run(run.info.run_id)
    for run_id in (run.info.run_id, "0" * 32):
        assert reopened(client, run_id) is None


def test_server_that_does_not_answer_is_left_alone_for_a_while():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    callback, began = MLflowCallback(uri), time.monotonic()
    callback.on_event(
        RunStart(run_id="r", booster="xgboost", target_column="y", config={}, versions={})
    )
    callback.restore({"run_id": "0" * 32})
    with pytest.raises(NoConnection) as raised:
        callback.on_event(
            TrainingStart(
                num_visits=9, rounds_per_visit=1, max_patience=1, maximize=False, state=RunState()
            )
        )
    assert is_unreachable(raised.value)
    assert callback._not_before > time.monotonic()
    callback.on_event(
        VisitEnd(
            visit=0, epoch=0, batch=0, improved=True, n_rounds=1,
            visits_without_improvement=0, seconds=1.0,
        )
    )  # fmt: skip
    # The next checkpoint does not forget where to go on.
    assert callback.state() == {"run_id": "0" * 32}
    with pytest.raises(NoConnection):
        callback.on_event(
            RunEnd(
                stop_reason=StopReason.COMPLETED, visits=1, n_rounds=1, best=None,
                seconds=1.0, seconds_by_stage={},
            )
        )  # fmt: skip
    assert time.monotonic() - began < 30


def test_more_than_a_call_takes_is_sent_in_several(server, client):
    run = created(client, experiment_named(client, "long"), None, {})
    run.log_params(texts(flat({"many": {str(i): i for i in range(250)}, "long": "x" * 9000}), 6000))
    metrics = [metric("ndcg@5", float("nan") if i == 7 else i, i) for i in range(2500)]
    run.log_metrics(metrics)
    assert metrics == []
    found = client.get_run(run.run_id).data
    assert len(found.params) == 251
    assert len(found.params["long"]) == 6000
    steps = values(client, run.run_id, "ndcg_5")
    assert [step for step, _ in steps] == list(range(2500))
    assert math.isnan(steps[7][1])
    assert steps[8] == (8, 8.0)


def test_missing_mlflow_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingDependencyError, match=r"batchtrainingbooster\[mlflow\]"):
        MLflowCallback()


def test_model_that_is_not_logged_is_not_registered():
    with pytest.raises(ConfigError, match="registered_model_name"):
        MLflowCallback(log_model=False, registered_model_name="bodies")
