"""SIGTERM and Ctrl-C finish the round and write the checkpoint; two runs do not share a folder."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import outcome_of

from batchtrainingbooster import XGBoostTrainer
from batchtrainingbooster.data.checkpoints import complete_checkpoints
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.errors import CheckpointError

COMMAND = str(Path(sys.executable).with_name("batchtrainingbooster"))
CONFIG_MODEL = {"n_estimators": 5, "max_depth": 3, "n_jobs": 2, "eval_metric": "mlogloss"}


def configs(folder, **changes):
    config_training = {
        "num_batches": 3, "num_epochs": 2, "validation_fraction": 0.2, "max_patience": 99,
        "checkpoint_dir": str(folder / "run"), **changes,
    }  # fmt: skip
    return [CONFIG_MODEL, config_training, {"initial_lr": 0.3, "decay_rate": 0.8}]


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


@pytest.mark.slow
def test_signals_finish_the_round_and_the_run_goes_on_where_it_was(run, tmp_path, spark, rows):
    run_folder = Folder(str(tmp_path / "run"))
    process = run(configs(tmp_path))
    assert process.wait() == 0
    undisturbed = outcome_of(tmp_path)
    shutil.rmtree(tmp_path / "run")
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)):
        before = complete_checkpoints(run_folder)
        process = run(configs(tmp_path), seconds_a_round=0.15)
        wait_for(lambda known=before: complete_checkpoints(run_folder)[-1:] != known[-1:])
        if number is signal.SIGTERM:
            # Meanwhile the folder is taken: for another process at once, by name.
            frame = spark.read.parquet(rows)
            with pytest.raises(CheckpointError, match=rf"is in use by process {process.pid} on "):
                XGBoostTrainer().fit(frame, None, "y", *configs(tmp_path))
        process.send_signal(number)
        assert process.wait(30) == code
        log = (tmp_path / "log").read_text()
        assert f"{number.name}: training ends after this round" in log
        line = [each for each in log.splitlines() if "  Interrupted: " in each][-1]
        assert f"visits are kept in {tmp_path}/run, and the same call goes on from there" in line
        assert not (tmp_path / "run" / "lock.json").exists()
        assert (tmp_path / "run" / "staged" / "manifest.json").exists()
        assert outcome_of(tmp_path) is None
    process = run(configs(tmp_path, resume="must"))
    assert process.wait() == 0, (tmp_path / "log").read_text()
    assert outcome_of(tmp_path) == undisturbed
    log = (tmp_path / "log").read_text()
    assert log.count("Resumed after") == 2
    assert "Batches: reusing" in log
    # The batches lay beside the checkpoints, and go once the run has come to its end.
    assert not (tmp_path / "run" / "staged").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_command_line_says_in_one_line_where_it_goes_on(rows, tmp_path, number, code):
    config_model, config_training, schedule = configs(tmp_path, num_epochs=500)
    file = tmp_path / "config.yaml"
    content = {
        "target_column": "y",
        "train": {"path": rows},
        "config_model": config_model,
        "config_training": config_training,
        "config_lr_scheduler": schedule,
        "model_dir": str(tmp_path / "model"),
        "spark": {"spark.master": "local[2]"},
    }
    file.write_text(yaml.safe_dump(content))
    command = [COMMAND, "-q", "train", str(file)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: complete_checkpoints(Folder(str(tmp_path / "run"))))
    process.send_signal(number)
    said = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == code
    (line,) = [each for each in said if "Interrupted" in each]
    assert f"visits are kept in {tmp_path}/run, and the same call goes on from there" in line
    assert "Traceback" not in "\n".join(said)
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_command_line_ends_in_a_line_when_it_is_told_to_while_staging(rows, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(
        yaml.safe_dump({
            "target_column": "y", "train": {"path": rows}, "model_dir": str(tmp_path / "model"),
            "config_model": CONFIG_MODEL, "spark": {"spark.master": "local[1]"},
            "config_training": {"num_batches": 3, "staging_dir": str(tmp_path / "staged")},
        })
    )  # fmt: skip
    command = [COMMAND, "-q", "train", str(file)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for((tmp_path / "staged" / "UNFINISHED").exists)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 143
    assert said.count("terminated") == 1
    assert not any(line.startswith(("Traceback", "error")) for line in said)
    # Nothing half-written passes for whole, and nobody is kept from starting again.
    assert not (tmp_path / "staged" / "manifest.json").exists()
    assert not (tmp_path / "staged" / "lock.json").exists()
