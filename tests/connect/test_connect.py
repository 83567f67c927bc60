"""Spark Connect, against a real server; what the client does is in ``in_client.py``."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pyarrow.parquet as pq
import pytest
import yaml
from connect_cases import CASES, N, fit, frame_of, write_rows
from connect_server import connect_server

CLIENT = Path(__file__).with_name("in_client.py")
NAMES = [
    each.name
    for each in ast.parse(CLIENT.read_text()).body
    if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
]


@pytest.fixture(scope="module")
def place(spark, tmp_path_factory):
    """Rows, and what classic Spark makes of them."""
    place = tmp_path_factory.mktemp("connect")
    write_rows(place / "rows.parquet")
    rows = frame_of(spark, place / "rows.parquet")
    for case in CASES:
        model = fit(rows, case, staging_dir=str(place / case / "staged"))
        (place / case / "model").write_bytes(model.native)
    return place


@pytest.fixture(scope="module")
def hidden(place):
    """A folder that the server does not see, where a process may hide one from another."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        return None
    (place / "hidden").mkdir()
    return place / "hidden"


@pytest.fixture(scope="module")
def url(place, hidden):
    with connect_server(place, hidden) as url:
        yield url


@pytest.fixture(scope="module")
def outcomes(place, url, hidden):
    """Of every test of the client, in a process that has no classic session."""
    environment = {
        **os.environ, "BTB_CONNECT_URL": url, "BTB_CONNECT_PLACE": str(place),
    }  # fmt: skip
    if hidden is not None:
        environment["BTB_CONNECT_HIDDEN"] = str(hidden)
    file = place / "outcomes.xml"
    command = [sys.executable, "-m", "pytest", str(CLIENT), "-q", f"--junitxml={file}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert file.exists(), done.stdout + done.stderr
    found = {}
    for case in ET.parse(file).iter("testcase"):  # noqa: S314
        name = case.get("name").partition("[")[0]
        found.setdefault(name, []).extend(case)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_in_a_client(name, outcomes):
    problems = [each for each in outcomes[name] if each.tag in ("failure", "error")]
    assert not problems, "\n".join(each.text for each in problems)
    skips = [each for each in outcomes[name] if each.tag == "skipped"]
    if skips:
        pytest.skip(skips[0].get("message"))


@pytest.mark.slow
@pytest.mark.parametrize("by", ["the training file", "a variable"])
def test_the_command_line_trains_and_scores_on_a_server(by, place, url, tmp_path):
    command = Path(sys.executable).with_name("batchtrainingbooster")
    trainer, target, config_model, config_training = CASES["xgboost, external memory"]
    config = {
        "trainer": trainer.backend,
        "target_column": target,
        "train": {"format": "parquet", "path": str(place / "rows.parquet")},
        "config_model": {"n_estimators": 4, "max_depth": 3, **config_model},
        "config_training": {"num_batches": 2, **config_training},
        "config_lr_scheduler": {"initial_lr": 0.3, "decay_rate": 0.9},
        "model_dir": "model",
    }
    # No Java is looked for: there is none.
    environment = {**os.environ, "PATH": "", "JAVA_HOME": ""}
    if by == "a variable":
        environment["SPARK_REMOTE"] = url
    else:
        config["spark"] = {"spark.remote": url}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    calls = [["train", "config.yaml"]]
    if by == "a variable":
        scored = ["--output", str(tmp_path / "scored")]
        calls.append(["predict", "model", "--input", str(place / "rows.parquet"), *scored])
    for call in calls:
        done = subprocess.run(
            [command, *call], capture_output=True, text=True, env=environment, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "model" / "metadata.json").exists()
    assert by != "a variable" or len(pq.read_table(tmp_path / "scored")) == N
