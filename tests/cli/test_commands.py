"""The command line, run as its users run it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from batchtrainingbooster import BoostedModel
from batchtrainingbooster.cli.describe import describe
from batchtrainingbooster.cli.jobs import run_training
from batchtrainingbooster.cli.main import cli
from batchtrainingbooster.cli.training_file import read_training_file
from batchtrainingbooster.errors import CheckpointError, ConfigError

COMMAND = str(Path(sys.executable).parent / "batchtrainingbooster")


def run(*arguments, **options):
    return subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300, **options
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A config file, its table, and what ``train`` made of them."""
    folder = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.random(400), "b": rng.random(400)})
    table["color"] = rng.choice(["red", "green"], 400)
    table["y"] = np.where(table["a"] + (table["color"] == "red") > 0.9, "yes", "no")
    table.to_csv(folder / "table.csv", index=False)
    config = {
        "trainer": "xgboost",
        "target_column": "y",
        "train": {
            "format": "csv", "path": "table.csv", "options": {"header": True, "inferSchema": True}
        },
        "config_model": {"n_estimators": 20, "max_depth": 3},
        "config_training": {
            "num_batches": 2, "validation_fraction": 0.2, "staging_dir": "staged",
            "checkpoint_dir": "run",
        },
        "config_lr_scheduler": {"initial_lr": 0.3, "decay_rate": 0.9},
        "model_dir": "model",
        "spark": {"spark.master": "local[1]"},
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    done = run("train", folder / "config.yaml", cwd="/")
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    return folder


def test_train_says_what_came_of_it(folder):
    shown = (folder / "stdout.txt").read_text()
    lines = dict(line.split(None, 1) for line in shown.splitlines())
    assert lines["rows"] == "400: 320 for training, 80 for validation"
    assert lines["batches"] == "2, visited 2 times"
    assert lines["best"].startswith("metric  validation logloss 0.")
    assert lines["model"] == str(folder / "model")
    assert "Objective: binary:logistic (inferred)" in (folder / "stderr.txt").read_text()


def test_compare_says_which_way_is_worth_its_while(folder):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    # Test rows as a table of their own; here those of training.
    config["test"] = config["train"]
    (folder / "compare.yaml").write_text(yaml.safe_dump(config))
    done = run("-q", "compare", folder / "compare.yaml", cwd="/")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("|  | rows a tree sees | rounds | validation logloss | test logloss")
    names = [line.split("|")[1].strip() for line in lines[2:5]]
    assert names == ["batch by batch", "external memory", "one batch only"]
    assert [line.split("|")[2].strip() for line in lines[2:5]] == ["160", "320", "160"]
    assert "sample of one batch: logloss" in done.stdout
    # What train has staged is used again.
    assert "320 training rows in 2 batches" in done.stdout


def test_predict_writes_what_the_model_says(folder):
    table = pd.read_csv(folder / "table.csv")
    model = BoostedModel.load(folder / "model")
    reading = ["--input", folder / "table.csv", "--format", "csv",
               "--option", "header=true", "--option", "inferSchema=true"]  # fmt: skip
    done = run("-q", "predict", folder / "model", *reading, "--output", folder / "scored")
    assert done.returncode == 0, done.stderr
    assert "400 rows scored" in done.stdout
    scored = pq.read_table(folder / "scored").to_pandas().sort_values("a")
    table = table.sort_values("a")
    np.testing.assert_array_equal(scored["prediction"], model.predict(table))
    np.testing.assert_array_equal(np.stack(scored["probability"]), model.predict_proba(table))
    again = run("predict", folder / "model", *reading, "--output", folder / "scored")
    assert again.returncode == 1
    assert "already exists" in again.stderr.lower()
    assert "Traceback" not in again.stderr
    as_csv = run("predict", folder / "model", *reading, "--output", folder / "scored",
                 "--output-format", "csv", "--mode", "overwrite")  # fmt: skip
    assert as_csv.returncode == 0, as_csv.stderr
    (part,) = (folder / "scored").glob("*.csv")
    rows = pd.read_csv(part).sort_values("a")
    chances = np.stack([json.loads(text) for text in rows["probability"]])
    np.testing.assert_allclose(chances, model.predict_proba(table), rtol=1e-6)


def inspected(path, *options):
    """Described in a process that cannot import Spark or a booster."""
    code = (
        "import sys\n"
        "for name in ('pyspark', 'xgboost', 'pandas'): sys.modules[name] = None\n"
        "from batchtrainingbooster.cli.main import main\n"
        f"sys.argv[1:] = ['inspect', {str(path)!r}, *{list(options)!r}]\n"
        "main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_inspect_describes_a_model_without_spark_or_booster(folder):
    found = json.loads(inspected(folder / "model", "--json"))
    assert found["kind"] == "saved model"
    assert found["objective"] == "binary:logistic"
    assert found["classes"] == ["no", "yes"]
    assert found["features"] == {
        "a": "numeric",
        "b": "numeric",
        "color": "categorical, 2 categories",
    }
    assert found["config_model"] == {"n_estimators": 20, "max_depth": 3}
    assert "target: y (binary, string)" in inspected(folder / "model")


def test_inspect_describes_a_staged_folder_without_spark(folder):
    found = json.loads(inspected(folder / "staged", "--json"))
    assert found["kind"] == "staged folder"
    assert found["rows"] == 400
    assert sum(part["rows"] for part in found["batches"].values()) == 400
    assert list(found["batches"]) == ["batch 1", "batch 2", "validation"]
    assert "batch 1     rows 160" in inspected(folder / "staged")


def test_inspect_verifies_models_and_checkpoints(folder, tmp_path):
    content = json.loads((folder / "model" / "metadata.json").read_text())["content"]
    parts = ("native", "history", "record", "first_data")
    model_bytes = sum(content[part]["size"] for part in parts)
    found = describe(str(folder / "model"), verify=True)
    assert found["verified"] == f"4 files, {model_bytes:,} bytes: all as they were written"
    checkpoints = describe(str(folder / "run"), verify=True)
    assert checkpoints["kind"] == "checkpoints"
    assert list(checkpoints["checkpoints"].values())[-1]["visits"] == 2
    assert checkpoints["rows"] == 400
    assert "verified" in checkpoints
    text = inspected(folder / "run")
    assert "checkpoint-000002  visits 2  bytes " in text
    shutil.copytree(folder / "run", tmp_path / "run")
    file = tmp_path / "run" / "checkpoint-000001" / "model.ubj"
    file.write_bytes(file.read_bytes()[::-1])
    with pytest.raises(CheckpointError, match=r"checkpoint-000001/model.ubj is damaged: its SHA"):
        describe(str(tmp_path / "run"), verify=True)
    done = run("inspect", tmp_path / "run", "--verify")
    assert done.returncode == 1
    assert "checkpoint-000001/model.ubj is damaged" in done.stderr


def test_inspect_refuses_other_folders(tmp_path):
    done = run("inspect", tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {tmp_path} is no staged folder (no manifest.json), no saved model (no "
        "metadata.json), and has no checkpoint\n"
    )


def test_errors_are_one_line_and_debug_shows_the_traceback(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("target_column: y\nmodel_dir: m\ntrain: {path: t, formt: csv}\n")
    done = run("train", file)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f"error: {file}: train: formt: unknown key (did you mean 'format'?)\n")
    loud = run("--debug", "train", file)
    assert loud.returncode == 1
    assert "Traceback" in loud.stderr


def test_usage_errors_have_code_2(tmp_path):
    assert run("train").returncode == 2
    assert run("train", tmp_path / "nowhere.yaml").returncode == 2
    assert run("fly").returncode == 2
    bad = run("predict", tmp_path, "--input", "x", "--output", "y", "--option", "z")
    assert bad.returncode == 2
    assert "got 'z', need KEY=VALUE" in bad.stderr


def test_settings_are_refused_before_spark_starts(folder):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["config_training"]["num_batchs"] = 3
    (folder / "bad.yaml").write_text(yaml.safe_dump(config))
    done = run(
        "train", folder / "bad.yaml", env={**os.environ, "PYSPARK_SUBMIT_ARGS": "--nonsense"}
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: config_training: num_batchs: unknown key (did you mean 'num_batches'?)\n"
    )


def test_place_that_is_taken_is_refused_before_training(folder):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["model_dir"] = "."
    (folder / "taken.yaml").write_text(yaml.safe_dump(config))
    done = run("train", folder / "taken.yaml")
    assert done.returncode == 1
    assert done.stderr == f"error: {folder} exists and is no saved model; name another folder\n"


@pytest.mark.parametrize(
    ("model_dir", "run_dir", "message"),
    [
        ("run", "run", "config_training: run_dir: {0}/run is model_dir, or lies within it"),
        ("out", "out/run", "config_training: run_dir: {0}/out/run is model_dir, or lies within it"),
        ("run/plots/m", "run", "model_dir: {0}/run/plots/m is {0}/run/plots, or lies within it"),
    ],
)
def test_a_model_that_would_replace_the_run_folder_is_refused_before_spark_starts(
    tmp_path, monkeypatch, model_dir, run_dir, message
):
    def started(**_):
        pytest.fail("Spark was started")

    monkeypatch.setattr("batchtrainingbooster.cli.jobs.start_session", started)
    # A saved model, so that the place may be saved to once more; and what else is not to be lost.
    (tmp_path / model_dir).mkdir(parents=True)
    for name in ("metadata.json", "events.jsonl"):
        (tmp_path / model_dir / name).write_text("{}")
    file = tmp_path / "c.yaml"
    file.write_text(
        f"{{target_column: y, train: {{path: t}}, model_dir: {model_dir}, "
        f"config_training: {{num_batches: 2, run_dir: {run_dir}}}}}"
    )
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError) as caught:
        run_training(read_training_file(file))
    assert message.format(tmp_path) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_model_may_be_saved_where_the_run_saves_it_anyway(tmp_path, monkeypatch):
    class StartedError(Exception):
        pass

    def started(**_):
        raise StartedError

    monkeypatch.setattr("batchtrainingbooster.cli.jobs.start_session", started)
    file = tmp_path / "c.yaml"
    file.write_text(
        "{target_column: y, train: {path: t}, model_dir: run/model, "
        "config_training: {num_batches: 2, run_dir: run}}"
    )
    with pytest.raises(StartedError):
        run_training(read_training_file(file))


def test_missing_table_is_one_line(folder):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["train"]["path"] = "nowhere.csv"
    config["model_dir"] = "other"
    (folder / "missing.yaml").write_text(yaml.safe_dump(config))
    done = run("-q", "train", folder / "missing.yaml")
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "Path does not exist" in line
    assert "nowhere.csv" in line
    assert not (folder / "other").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no YAML"),
        ("- 1", "got list, need a dict"),
        ("", "target_column: missing"),
        ("target_colum: y", r"target_colum: unknown key \(did you mean 'target_column'\?\)"),
        ("{target_column: y, train: {path: t}, model_dir: 3}", "model_dir: got 3, need a text"),
        ("{target_column: y, train: t, model_dir: m}", "train: got 't', need a dict"),
        (
            "{target_column: y, train: {path: t}, model_dir: m, trainer: catbost}",
            r"trainer: got 'catbost' \(did you mean 'catboost'\?\), need one of xgboost, ",
        ),
        ("!!python/object/apply:os.system ['touch x']", "no YAML"),
    ],
)
def test_bad_config_file_is_refused(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_training_file(tmp_path / "c.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_paths_are_relative_to_the_config_file(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "{target_column: y, train: {path: t}, valid: {path: 's3://b/v'}, model_dir: ../m,"
        " config_training: {run_dir: r, num_batches: 2}}"
    )
    file = read_training_file(tmp_path / "c.yaml")
    assert file.train.path == str(tmp_path / "t")
    assert file.valid.path == "s3://b/v"
    assert file.model_dir == str(tmp_path / ".." / "m")
    assert file.config_training == {"run_dir": str(tmp_path / "r"), "num_batches": 2}


def test_readme_config_file_is_valid(tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (tmp_path / "c.yaml").write_text(readme.split("```yaml\n")[1].split("```")[0])
    assert read_training_file(tmp_path / "c.yaml").target_column == "NObeyesdad"


def test_help_is_quick_and_lists_all_commands():
    shown = CliRunner().invoke(cli, ["--help"]).output
    for name in ("train", "compare", "predict", "inspect", "watch", "runs", "demo"):
        assert f"  {name} " in shown
    code = (
        "import sys\nfrom batchtrainingbooster.cli.main import cli\n"
        "assert not {'pyspark', 'xgboost', 'pyarrow', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
