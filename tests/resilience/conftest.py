"""Runs in processes of their own, and what they are held to."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SCRIPT = Path(__file__).with_name("training.py")


@pytest.fixture(scope="session")
def rows(tmp_path_factory):
    """3 classes, numbers with holes, a category; 8,000 rows in 4 files."""
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(0)
    for part in range(4):
        x = rng.standard_normal((2_000, 5)).astype(np.float32)
        color = rng.integers(0, 6, len(x))
        score = x[:, 0] + (color == 2) - x[:, 1] * x[:, 2] + rng.standard_normal(len(x))
        columns = {f"x{i}": pa.array(x[:, i], mask=rng.random(len(x)) < 0.1) for i in range(5)}
        y = np.digitize(score, [-0.5, 1])
        table = {**columns, "color": [f"color {c}" for c in color], "y": [f"class {k}" for k in y]}
        pq.write_table(pa.table(table), folder / f"{part}.parquet")
    return str(folder)


@pytest.fixture
def run(rows, tmp_path):
    """Starts a run, and gives the process."""

    def start(configs, **changes):
        spec = {
            "source": rows,
            "booster": "xgboost",
            "configs": configs,
            "outcome": str(tmp_path / "outcome"),
            **changes,
        }
        file = tmp_path / "spec.json"
        file.write_text(json.dumps(spec))
        with (tmp_path / "log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, str(SCRIPT), str(file)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    return start


def outcome_of(folder):
    """Model and history of a run that has ended, and nothing where it has not."""
    file = folder / "outcome"
    if not file.exists():
        return None
    found = file.read_bytes(), json.loads(file.with_suffix(".history").read_text())
    file.unlink()
    return found
