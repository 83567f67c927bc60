"""A cluster of two executors with a JVM each, some of which are lost; see ``on_cluster.py``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from on_cluster import CONFIG_MODEL, SCHEDULE, SoftmaxLoss, fit

from batchtrainingbooster import XGBoostTrainer

SCRIPT = Path(__file__).with_name("on_cluster.py")
N_FILES, N_ROWS = 4, 1_000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """3 classes, numbers with holes, a category, in 4 files; and what a cluster made of them."""
    place = tmp_path_factory.mktemp("cluster")
    (place / "rows").mkdir()
    rng = np.random.default_rng(0)
    for part in range(N_FILES):
        x = rng.standard_normal((N_ROWS, 3))
        color = rng.integers(0, 6, N_ROWS)
        score = x[:, 0] + (color == 2) - x[:, 1] * x[:, 2] + rng.standard_normal(N_ROWS)
        columns = {f"x{i}": pa.array(x[:, i], mask=rng.random(N_ROWS) < 0.1) for i in range(3)}
        columns["color"] = [f"color {c}" for c in color]
        columns["y"] = [f"class {k}" for k in np.digitize(score, [-0.5, 1])]
        pq.write_table(pa.table(columns), place / "rows" / f"{part}.parquet")
    environment = {
        **os.environ,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        # Else executors write beside the jars.
        "SPARK_WORKER_DIR": str(place / "work"),
    }
    command = [sys.executable, str(SCRIPT), str(place / "rows"), str(place)]
    done = subprocess.run(command, env=environment, cwd=place, capture_output=True, text=True)
    assert (place / "found.json").exists(), done.stdout + done.stderr
    return place


@pytest.fixture(scope="module")
def found(place):
    return json.loads((place / "found.json").read_text())


@pytest.fixture(scope="module")
def expected(spark, place):
    """What one process makes of the same rows."""
    return fit(spark.read.parquet(str(place / "rows"))).native


def model_of(place, scenario):
    return (place / scenario / "model").read_bytes()


@pytest.mark.slow
def test_without_a_place_that_all_reach_a_run_is_refused(found):
    advice = (
        "config_training: staging_dir: needed with spark.master=local-cluster[2,1,1024]: "
        "a path or URI that the executors and this process both reach"
    )
    assert found["refused_without_a_shared_place"] == advice


@pytest.mark.slow
def test_a_cluster_comes_to_the_model_of_one_process_and_scores_alike(found, place, expected):
    assert model_of(place, "trained") == expected
    assert found["trained"] == {
        "predictions are those of this process": True,
        "rows": N_FILES * N_ROWS,
    }


@pytest.mark.slow
def test_an_executor_that_is_killed_while_staging_changes_no_byte(found, place, expected):
    assert found["executor_lost_while_staging"]["killed"] >= 1
    assert model_of(place, "executor_lost_while_staging") == expected


@pytest.mark.slow
def test_an_executor_that_is_killed_while_scoring_loses_and_doubles_no_row(found):
    scoring = found["executor_lost_while_scoring"]
    assert scoring["killed"] >= 1
    assert (scoring["rows"], scoring["same"]) == (N_FILES * N_ROWS, True)


@pytest.mark.slow
def test_visits_are_trained_across_executors_even_if_one_is_killed(found, spark, place):
    """Spark starts the visit again, with another executor."""
    across = found["visits_across_executors"]
    assert across["killed"]
    undisturbed, disturbed = across["losses"]
    assert disturbed == undisturbed
    alone = XGBoostTrainer().fit(
        spark.read.parquet(str(place / "rows")), None, "y",
        {**CONFIG_MODEL, "n_jobs": 1, "objective": SoftmaxLoss(place)},
        {"num_batches": 3, "validation_fraction": 0.2}, SCHEDULE,
    )  # fmt: skip
    assert undisturbed == pytest.approx([row.valid["mlogloss"] for row in alone.history], abs=1e-6)


@pytest.mark.slow
def test_executors_that_are_always_lost_are_an_error_and_then_it_works(found, place, expected):
    lost = found["executors_that_are_always_lost"]
    assert lost["error"] == "StagingError"
    assert "ExecutorLostFailure" in lost["message"]
    assert len(lost["message"].splitlines()) < 4, "no stack trace of Java"
    assert not lost["whole"]
    assert lost["killed"] >= 2
    assert model_of(place, "executors_that_are_always_lost") == expected
