import re
import subprocess
import sys
from pathlib import Path

import pytest

from batchtrainingbooster import BoostedModel
from batchtrainingbooster.cli.memory import peak_memory

COMMAND = str(Path(sys.executable).parent / "batchtrainingbooster")


@pytest.mark.slow
def test_demo_trains_on_the_flights_and_says_what_came_of_it(tmp_path):
    done = subprocess.run(
        [COMMAND, "demo", "--output", str(tmp_path / "demo")],
        capture_output=True, text=True, timeout=500, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    ending = re.findall(r"^(\w[\w ]+?)  +(.*)$", done.stdout, re.MULTILINE)
    shown = dict(ending[-10:])
    assert list(shown) == [
        "rows", "batches", "rounds", "best metric", "seconds", "model", "peak memory", "report",
        "plots", "log",
    ]  # fmt: skip
    assert shown["rows"] == "327,346: 261,877 for training, 65,469 for validation"
    assert shown["batches"].startswith("4, visited ")
    assert float(shown["best metric"].split()[-1]) > 0.76
    assert re.fullmatch(r"[\d.]+ staging, [\d.]+ training, [\d.]+ in total", shown["seconds"])
    assert re.fullmatch(r"[\d.]+ GB Python, [\d.]+ GB Java", shown["peak memory"])
    for name in ("report", "log"):
        assert Path(shown[name]).stat().st_size > 1000
    assert sorted(path.stem for path in Path(shown["plots"]).iterdir()) == [
        "class_balance", "feature_importance", "learning_curve", "learning_rate", "time_by_stage",
    ]  # fmt: skip
    # Nothing lies anywhere else, and what is told to look at is there.
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    for name in ("mlflow.db", "mlflow-files", "tensorboard", "events.jsonl", "history.parquet"):
        assert (tmp_path / "demo" / name).exists()
    commands = re.findall(r"^(\w.*?) +# ", done.stdout, re.MULTILINE)
    assert [command.split()[0] for command in commands] == [
        "batchtrainingbooster", "batchtrainingbooster", "mlflow", "tensorboard",
    ]  # fmt: skip
    (listing,) = (command for command in commands if " runs " in command)
    done = subprocess.run(
        [COMMAND, *listing.split()[1:]], capture_output=True, text=True, cwd=tmp_path
    )
    assert "auc" in done.stdout, done.stderr
    assert BoostedModel.load(shown["model"]).info.metric == "auc"


def test_peak_memory_counts_what_was_used():
    before = float(peak_memory().split()[0])
    block = bytearray(300_000_000)
    after = float(peak_memory().split()[0])
    del block
    assert after - before > 0.1 or before > 0.4
