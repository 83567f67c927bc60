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
        [COMMAND, "demo", "--output", str(tmp_path)], capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    ending = re.findall(r"^(\w[\w ]+?)  +(.*)$", done.stdout, re.MULTILINE)
    shown = dict(ending[-9:])
    assert list(shown) == [
        "rows", "batches", "rounds", "best metric", "seconds", "model", "peak memory", "plots",
        "log",
    ]  # fmt: skip
    assert shown["rows"] == "327,346: 261,877 for training, 65,469 for validation"
    assert shown["batches"].startswith("4, visited ")
    assert float(shown["best metric"].split()[-1]) > 0.76
    assert re.fullmatch(r"[\d.]+ staging, [\d.]+ training, [\d.]+ in total", shown["seconds"])
    assert re.fullmatch(r"[\d.]+ GB Python, [\d.]+ GB Java", shown["peak memory"])
    for name in ("plots", "log"):
        assert Path(shown[name]).stat().st_size > 1000
    assert BoostedModel.load(shown["model"]).info.metric == "auc"


def test_peak_memory_counts_what_was_used():
    before = float(peak_memory().split()[0])
    block = bytearray(300_000_000)
    after = float(peak_memory().split()[0])
    del block
    assert after - before > 0.1 or before > 0.4
