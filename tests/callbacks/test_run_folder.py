"""What a run leaves in its folder, and what becomes of the run where the folder fails it."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from batchtrainingbooster import BoostedModel, XGBoostTrainer
from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.callbacks.event_log import read_events
from batchtrainingbooster.callbacks.run_folder import PLOT_NAMES, RunFolder
from batchtrainingbooster.core.events import (
    Failure,
    ModelTrained,
    RunEnd,
    RunStart,
    VisitEnd,
    name_of,
)
from batchtrainingbooster.core.history import History
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.stopping import StopReason
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.lock import FolderLock
from batchtrainingbooster.errors import ConfigError, MissingDependencyError
from batchtrainingbooster.report.plots import PLOTS as ALL_PLOTS

LAYOUT = {"config.json", "events.jsonl", "history.parquet", "model", "plots", "report.html"}
PLOTS = {
    "learning_curve.png", "learning_rate.png", "class_balance.png", "time_by_stage.png",
    "feature_importance.png",
}  # fmt: skip
# What a run into a folder that has one already writes anew.
REPLACED = [
    "config.json", "history.parquet", "report.html", "plots/learning_curve.png", "model",
    "model/metadata.json",
]  # fmt: skip


@pytest.fixture(scope="module")
def frame(spark):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 3))
    table = pd.DataFrame(x, columns=["a", "b", "c"])
    table["y"] = np.where(x[:, 0] + rng.standard_normal(600) > 0, "yes", "no")
    return spark.createDataFrame(table).coalesce(1).cache()


def fit(frame, run_dir, *, rounds=5, model=None, **training):
    return XGBoostTrainer().fit(
        frame, None, "y", {"n_estimators": rounds, "max_depth": 3, **(model or {})},
        {"num_batches": 2, "validation_fraction": 0.25, "run_dir": str(run_dir), **training},
    )  # fmt: skip


def logged(run_dir):
    return [event for _, event in read_events(run_dir / "events.jsonl")]


@pytest.fixture(scope="module")
def twice(frame, tmp_path_factory):
    """A folder after a run, a copy of it, and the same after another run; and both models."""
    folder, copy = tmp_path_factory.mktemp("run") / "deep" / "run", tmp_path_factory.mktemp("copy")
    before = os.umask(0o022)
    try:
        first = fit(frame, folder)
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        # A plot that this run does not make, and half a line that a killed process has left.
        with (folder / "events.jsonl").open("ab") as stream:
            stream.write(b'{"time": "2026-01-')
        os.umask(0o027)
        second = fit(frame, f"file://{folder}", rounds=7)
    finally:
        os.umask(before)
    return copy, folder, first, second


def test_folder_has_what_the_documentation_says(twice):
    for folder in twice[:2]:
        assert {path.name for path in folder.iterdir()} == LAYOUT
        assert {path.name for path in (folder / "plots").iterdir()} == PLOTS


def test_each_file_tells_of_the_run_that_was_made(twice):
    for folder, model, rounds in zip(twice[:2], twice[2:], (5, 7), strict=True):
        record = RunRecord.of(logged(folder))
        config = json.loads((folder / "config.json").read_text())
        assert config["run_id"] == record.start.run_id
        assert config["booster"] == "xgboost"
        assert config["config"]["config_model"]["n_estimators"] == rounds
        assert config["versions"]["xgboost"]
        assert pq.read_table(folder / "history.parquet").to_pydict() == model.history.to_columns()
        for plot in (folder / "plots").iterdir():
            assert plot.read_bytes().startswith(b"\x89PNG")
        assert "<html" in (folder / "report.html").read_text(encoding="utf-8")[:2_000].lower()


def test_model_in_the_folder_is_the_one_returned_with_its_whole_record(twice):
    for folder, model in zip(twice[:2], twice[2:], strict=True):
        saved = BoostedModel.load(folder / "model")
        assert saved.native == model.native
        assert saved.record == model.record
        assert saved.record.end is not None
        # Events that come after it is made are in the log alone.
        assert saved.record == RunRecord.of(logged(folder))


def test_event_log_goes_on_where_the_folder_is_used_again(twice):
    copy, folder, *_ = twice
    first, both = (copy / "events.jsonl").read_bytes(), (folder / "events.jsonl").read_bytes()
    assert both.startswith(first + b'{"time": "2026-01-\n')
    assert [type(event) for event in logged(folder)].count(RunStart) == 2
    assert logged(folder)[: len(logged(copy))] == logged(copy)
    ids = {event.run_id for event in logged(folder) if isinstance(event, RunStart)}
    assert len(ids) == 2


def test_permissions_are_those_of_the_umask(twice):
    copy, folder, *_ = twice
    for name in REPLACED:
        modes = [stat.S_IMODE((each / name).stat().st_mode) for each in (copy, folder)]
        is_folder = (folder / name).is_dir()
        assert modes == ([0o755, 0o750] if is_folder else [0o644, 0o640]), name


def test_curve_in_the_run_folder_is_the_one_that_is_shown(twice, caplog):
    from batchtrainingbooster.report.show import show_figure

    caplog.set_level("INFO", "batchtrainingbooster")
    folder, model = twice[1], twice[3]
    file = folder / "plots" / "learning_curve.png"
    before = file.stat().st_mtime_ns
    assert show_figure(model.plot_learning_curve(), f"file://{folder}") == file
    assert str(file) in caplog.text
    assert file.stat().st_mtime_ns == before


class Untouched:
    """A frame that no Spark job may be asked of."""

    def __getattr__(self, name):
        pytest.fail(f"the frame was asked for its {name}")


@pytest.fixture
def bad(request, tmp_path):
    """A run_dir that cannot be one, and what the message says of it."""
    folder = tmp_path / "run"
    match request.param:
        case "remote":
            yield "s3://AKIA:hush@bucket/run", ["s3://***@bucket/run", "is no local folder"]
        case "a file":
            folder.write_text("mine")
            yield folder, [str(folder), "cannot be written to"]
        case "beneath a file":
            yield "/dev/null/run", ["/dev/null/run cannot be written to", "Not a directory"]
        case "not ours to write to":
            folder.mkdir(mode=0o500)
            if os.access(folder, os.W_OK):
                yield "/proc/run", ["/proc/run cannot be written to"]
            else:
                yield folder, ["cannot be written to", "Permission denied"]
        case "the log is a folder":
            (folder / "events.jsonl").mkdir(parents=True)
            yield folder, [str(folder), "cannot be written to", "Is a directory"]
        case "in use":
            folder.mkdir()
            with FolderLock(Folder(str(folder)), "run_dir", ConfigError):
                yield folder, [str(folder), "in use by process", "another run_dir"]
        case "a folder where the model goes":
            (folder / "model").mkdir(parents=True)
            (folder / "model" / "thesis.txt").write_text("mine")
            yield folder, [f"{folder}/model exists and is no saved model", "another folder"]
        case "a file where the model goes":
            folder.mkdir()
            (folder / "model").write_text("mine")
            yield folder, [f"{folder}/model exists and is no saved model", "another folder"]


@pytest.mark.parametrize(
    "bad",
    ["remote", "a file", "beneath a file", "not ours to write to", "the log is a folder", "in use",
     "a folder where the model goes", "a file where the model goes"],
    indirect=True,
)  # fmt: skip
def test_a_folder_that_cannot_be_one_is_refused_before_any_spark_job(bad):
    run_dir, facts = bad
    with pytest.raises(ConfigError) as caught:
        fit(Untouched(), run_dir)
    for fact in ("config_training: run_dir" if "in use" not in str(caught.value) else "", *facts):
        assert fact in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("run_dir", "message"),
    [
        ("", "got '', need the path of a folder"),
        ("file://", "got 'file://', need the path of a folder"),
        ("run\0", r"got 'run\x00', which no folder can be called"),
        ("run\ud800", r"got 'run\ud800', which no folder can be called"),
    ],
)
def test_what_no_folder_can_be_called_is_refused(tmp_path, monkeypatch, run_dir, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        fit(Untouched(), run_dir)
    assert str(caught.value) == f"config_training: run_dir: {message}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ({"staging_dir": "{0}/run"}, "run_dir: {0}/run is staging_dir, or lies within it"),
        ({"checkpoint_dir": "file://{0}"}, "run_dir: {0}/run is checkpoint_dir, or lies within it"),
        ({"staging_dir": "{0}/run/model"}, "staging_dir: {0}/run/model is {0}/run/model, or lies"),
    ],
)
def test_folders_within_one_another_are_refused_before_anything_is_written(
    tmp_path, folders, message
):
    with pytest.raises(ConfigError) as caught:
        fit(
            Untouched(), tmp_path / "run",
            **{key: folder.format(tmp_path) for key, folder in folders.items()},
        )  # fmt: skip
    assert f"config_training: {message.format(tmp_path)}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


class Secretive:
    """A frame that says too much of why it cannot be read."""

    def __getattr__(self, name):
        msg = "no rows at s3://AKIA:hush@bucket/rows?sig=hush"
        raise OSError(msg)


def test_a_run_that_fails_leaves_its_settings_and_why_but_no_secret(tmp_path):
    with pytest.raises(OSError, match="no rows"):
        fit(
            Secretive(), tmp_path, model={"note": ["s3://AKIA:hush@bucket/x", {"at": "b://u:hush@c"}]},
            staging_dir="s3://AKIA:hush@bucket/staged?secret_key=hush",
        )  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "events.jsonl"}
    for path in tmp_path.iterdir():
        text = path.read_text()
        assert "hush" not in text
        assert "s3://***@bucket/staged?secret_key=***" in text
    start, *_, failure, end = logged(tmp_path)
    assert start.config["config_model"]["note"] == ["s3://***@bucket/x", {"at": "b://***@c"}]
    assert failure == Failure(error="OSError", message="no rows at s3://***@bucket/rows?sig=***")
    assert isinstance(end, RunEnd)
    assert str(end.stop_reason) == "failed"


def test_the_lock_is_given_back_by_a_run_that_fails(tmp_path):
    for _ in range(2):
        with pytest.raises(OSError, match="no rows"):
            fit(Secretive(), tmp_path)
    assert [type(event) for event in logged(tmp_path)].count(RunStart) == 2


class TakesAway(Callback):
    """Puts a file in the place of the run folder."""

    def __init__(self, folder):
        self.folder = folder
        self.has = 0

    def on_visit_end(self, event: VisitEnd):
        if not self.has:
            shutil.rmtree(self.folder)
            self.folder.write_text("gone")
        self.has += 1


def test_a_folder_that_is_lost_during_the_run_does_not_cost_the_model(frame, tmp_path, caplog):
    folder = tmp_path / "run"
    callback = TakesAway(folder)
    model = fit(frame, folder, callbacks=[callback])
    assert callback.has == 2
    assert folder.read_text() == "gone"
    assert model.info.n_rounds > 0
    assert model.record.end.n_rounds == model.info.n_rounds
    assert "RunFolder failed at ModelTrained" in caplog.text


END_OF_A_RUN = """
import resource, sys
from pathlib import Path
{before}
from batchtrainingbooster import BoostedModel
from batchtrainingbooster.callbacks.run_folder import run_folder
from batchtrainingbooster.callbacks.watching import watched
from batchtrainingbooster.core.events import ModelTrained, RunStart
from batchtrainingbooster.logger.logger import setup_logger
from batchtrainingbooster.model.persistence import check_place

model = BoostedModel.load(sys.argv[1])
folder = Path(sys.argv[2])
setup_logger()
start = RunStart(run_id="r", booster="b", target_column="y", config={{}}, versions={{}})
with run_folder(str(folder), check_place) as callbacks, watched(start, callbacks) as run:
    {within}
    run.observers.emit(ModelTrained(model=model, importance={{}}, evaluation=None))
    run.end = model.record.end
print("went on")
"""
FILL_THE_DISK = """
    limit = (folder / "events.jsonl").stat().st_size + 10
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
"""
HIDE_LIBRARIES = """
for name in ("matplotlib", "matplotlib.figure", "plotly", "plotly.offline", "jinja2"):
    sys.modules[name] = None
"""


def end_of_a_run(model, folder, before="", within=""):
    """What a process logs that has trained this model."""
    code = END_OF_A_RUN.format(before=before, within=within)
    command = [sys.executable, "-c", code, str(model), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "went on\n"
    return done.stderr


def test_names_of_plots_are_those_that_are_drawn():
    assert list(PLOT_NAMES) == list(ALL_PLOTS)


def of_an_earlier_run(folder):
    """What a run has left in the folder, and a plot of the user's own."""
    (folder / "plots").mkdir(parents=True)
    for name in (*PLOT_NAMES, "mine"):
        (folder / "plots" / f"{name}.png").write_text("earlier")
    (folder / "report.html").write_text("earlier")


class WithFewPlots:
    """A model that makes two plots, and keeps to itself what it cannot make."""

    history = History(())

    def __init__(self, *, missing):
        self.missing = missing

    def save(self, path):
        path.mkdir(exist_ok=True)

    def plots(self):
        if self.missing:
            raise MissingDependencyError("needs matplotlib")
        return dict.fromkeys(("learning_curve", "time_by_stage"), self)

    def savefig(self, path, format):  # noqa: A002
        path.write_text(format)

    def report(self, path):
        if self.missing:
            raise MissingDependencyError("needs plotly")
        path.write_text("new")


def emit(folder, *events):
    """What the callback makes of the events."""
    callback = RunFolder(folder)
    for event in events:
        getattr(callback, f"on_{name_of(type(event))}")(event)


START = RunStart(run_id="r", booster="b", target_column="y", config={}, versions={})
END = RunEnd(
    stop_reason=StopReason.COMPLETED, visits=1, n_rounds=1, best=None, seconds=1.0,
    seconds_by_stage={},
)  # fmt: skip


def trained(*, missing):
    return ModelTrained(model=WithFewPlots(missing=missing), importance={}, evaluation=None)


def test_plots_of_an_earlier_run_that_this_one_does_not_make_are_removed(tmp_path):
    of_an_earlier_run(tmp_path)
    emit(tmp_path, START, trained(missing=False), END)
    left = {path.name: path.read_text() for path in (tmp_path / "plots").iterdir()}
    assert left == {"learning_curve.png": "png", "time_by_stage.png": "png", "mine.png": "earlier"}
    assert (tmp_path / "report.html").read_text() == "new"


def test_report_and_plots_of_an_earlier_run_do_not_stay_where_this_one_can_make_none(tmp_path):
    of_an_earlier_run(tmp_path)
    emit(tmp_path, START, trained(missing=True), END)
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["mine.png"]
    assert not (tmp_path / "report.html").exists()


def test_what_an_earlier_run_has_left_stays_where_this_one_fails(tmp_path):
    of_an_earlier_run(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "metadata.json").write_text("earlier")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    emit(tmp_path, START, attrs.evolve(END, stop_reason=StopReason.FAILED))
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after.pop(tmp_path / "config.json")
    assert after == before


def test_libraries_for_plots_and_report_that_are_missing_are_named_and_the_rest_is_there(
    twice, tmp_path
):
    log = end_of_a_run(twice[1] / "model", tmp_path / "run", before=HIDE_LIBRARIES)
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == LAYOUT - {"plots", "report.html"}
    assert "needs matplotlib, which is not installed" in log
    assert log.count("which is not installed: pip install") == 2
    assert "failed" not in log
    assert f"Run folder: {tmp_path / 'run'}" in log


def test_a_full_disk_at_the_end_leaves_what_was_there_and_raises_nothing(twice, tmp_path):
    folder = tmp_path / "run"
    (folder / "model").parent.mkdir()
    shutil.copytree(twice[0] / "model", folder / "model")
    before = {path: path.read_bytes() for path in (folder / "model").iterdir()}
    log = end_of_a_run(twice[1] / "model", folder, within=FILL_THE_DISK)
    for event in ("ModelTrained", "RunEnd"):
        assert f"RunFolder failed at {event}" in log
        assert f"EventLog failed at {event}" in log
    assert {path: path.read_bytes() for path in (folder / "model").iterdir()} == before
    left = {path.name for path in folder.iterdir()}
    # No half of a file, under whatever name.
    assert left <= {"config.json", "events.jsonl", "model", "plots"}
    assert list((folder / "plots").iterdir()) == []


def test_without_a_folder_nothing_is_written(frame, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="no rows"):
        XGBoostTrainer().fit(Secretive(), None, "y", {}, {"num_batches": 2})
    assert list(Path().iterdir()) == []
