"""The benchmark behind ``make bench``: its arithmetic, and all of it on few rows."""

import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click import ClickException
from click.testing import CliRunner
from contenders.task import log_loss, read
from generate import draw, generate
from memory import Peak, Sample, Sampler, peak
from pairs import PAIRS
from results_page import contender_table, page, target_table
from run import kept, machine
from targets import Target, batches_held, finished, ratio, targets

ROOT = Path(__file__).parents[2]


def run_of(pair="fit-xgboost", contender="ours", turn=0, **more):
    return {
        "pair": pair, "contender": contender, "module": "ours", "turn": turn, "error": None,
        "seconds": 2.0, "session": 1.0, "stages": {"reading": 0.5}, "log_loss": 0.4, "trees": 7,
        "idle": 100e6, "peak": {"python": 300e6, "java": 1e9, "total": 1.3e9}, "load": 0.5, **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "data"
    generate(folder, 0.001)
    return folder


def test_ratio_is_the_median_over_turns_that_both_have():
    ours = [run_of(turn=turn, seconds=seconds) for turn, seconds in enumerate([2.0, 6.0, 1.0, 9.0])]
    loop = [
        run_of(contender="loop by hand", turn=turn, seconds=seconds)
        for turn, seconds in enumerate([1.0, 2.0, 4.0])
    ]
    # 2, 3 and 0.25; the fourth turn has one side alone
    runs = [*ours, *loop]
    assert ratio(runs, "fit-xgboost", lambda run: run["seconds"]) == 2.0
    assert ratio(runs, "fit-xgboost", lambda run: run["seconds"], inverse=True) == 0.5
    assert ratio(runs, "staging", lambda run: run["seconds"]) is None


def test_failed_runs_count_for_nothing_but_the_share_that_finished():
    failed = {key: run_of()[key] for key in ("pair", "contender", "module", "turn", "load")}
    runs = [run_of(turn=1), {**failed, "error": "OutOfMemoryError"}]
    loop = [run_of(contender="loop by hand", turn=turn, module="bare_loop") for turn in range(2)]
    assert ratio([*runs, *loop], "fit-xgboost", lambda run: run["seconds"]) == 1.0
    assert finished([*runs, *loop]) == 0.5
    assert "OutOfMemoryError" in page_of([*runs, *loop])


def test_validation_rows_are_taken_off_before_batches_are_counted():
    # above idle: 200 MB; one batch: 112 MB; validation: 22.4 MB, of which 2.5 x are taken off
    run = run_of(batch_rows=1_000_000)
    assert batches_held(run, 200_000) == pytest.approx((200 - 2.5 * 22.4) / 112)


@pytest.mark.parametrize(
    ("measured", "sign", "reached"),
    [
        (1.25, "<=", True), (1.26, "<=", False), (1.25, "<", False), (1.25, ">=", True),
        (1.2, ">=", False), (None, ">=", None),
    ],
)  # fmt: skip
def test_a_target_is_reached_or_not_or_was_not_measured(measured, sign, reached):
    assert Target("fit", "a / b", measured, sign, 1.25).reached is reached


def test_table_of_targets_says_what_was_measured_and_wanted():
    lines = target_table(
        [Target("fit", "a / b", 1.5, "<=", 1.25, aim=1.0), Target("import", "s", None, "<=", 0.3)]
    ).splitlines()
    assert lines[2] == "| fit | 1.500 | <= 1.25 (aim 1) | no | a / b |"
    assert lines[3] == "| import |  | <= 0.3 | not measured | s |"


def test_table_of_contenders_has_medians():
    runs = [run_of(turn=turn, seconds=seconds) for turn, seconds in enumerate([2.0, 6.0, 1.0])]
    lines = contender_table([*runs, run_of("import", session=None, log_loss=None)]).splitlines()
    assert lines[2].split(" | ")[:5] == ["| fit-xgboost", "ours", "2.00", "reading 0.50", "1.0"]
    assert lines[2].split(" | ")[5:] == ["300", "200", "1000", "1300", "0.40000", "7 |"]
    assert " |  | " in lines[3]


def page_of(runs):
    machine = {
        "date": "2026-01-01", "cores": 2, "memory_gb": 8, "kernel": "Linux 6", "python": "3.11",
        "versions": {"numpy": "2"},
    }  # fmt: skip
    rows = {"train": 1600, "valid": 200_000, "test": 5}
    settings = {"scale": 1.0, "repeats": 1, "rows": rows, "columns": 28}
    return page(machine, settings, targets(runs, 200_000), runs)


def test_page_without_any_run_has_every_target_as_not_measured():
    text = page_of([])
    assert text.count("| not measured |") == 15
    assert "meant for full size" not in text


def test_peak_is_of_the_time_of_the_work():
    samples = [Sample(1.0, 5, 1), Sample(2.0, 3, 4), Sample(9.0, 50, 50)]
    assert peak(samples, 0.5, 2.5) == Peak(python=5, java=4, total=7)
    assert peak(samples, 8.0, 8.1) == Peak(python=50, java=50, total=100)


def test_sampler_sees_what_a_child_holds():
    child = "import time; held = bytearray(150_000_000); time.sleep(1)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    start = time.time()
    with subprocess.Popen([sys.executable, "-c", code]) as process, Sampler(process.pid) as sampler:
        process.wait()
    found = peak(sampler.samples, start, time.time())
    assert 150e6 < found.python < 250e6
    assert found.java == 0


def test_log_loss_is_that_of_scikit_learn():
    from sklearn import metrics

    label, chance = np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.2, 1.0], np.float32)
    assert log_loss(label, chance) == pytest.approx(metrics.log_loss(label, chance))


def test_larger_data_begins_with_the_smaller(tmp_path):
    assert generate(tmp_path / "1", 0.001) == {"train": 4000, "valid": 200, "test": 500}
    assert generate(tmp_path / "4", 0.001, times=4) == {"train": 16000, "valid": 200, "test": 500}
    small, large = (pq.read_table(tmp_path / name / "train") for name in ("1", "4"))
    assert large.slice(0, 4000).equals(small)
    assert len(list((tmp_path / "1" / "train").iterdir())) == 16
    features, label = read(tmp_path / "1" / "train")
    assert features.shape == (4000, 28)
    assert features.dtype == label.dtype == np.float32
    assert np.array_equal(features[:, 3], small["x3"].to_numpy())


def test_data_is_balanced_and_noisy():
    _, label, chance = draw(20_000, [1, 2])
    assert 0.45 < label.mean() < 0.55
    entropy = -(chance * np.log(chance) + (1 - chance) * np.log1p(-chance))
    assert 0.3 < entropy.mean() < 0.38


def outcome_of(name, *options):
    """The line that a contender prints, run in this process and its Spark session."""
    done = CliRunner().invoke(import_module(f"contenders.{name}").main, [*map(str, options)])
    assert done.exit_code == 0, done.output
    return json.loads(done.output.splitlines()[-1])


def test_what_is_kept_is_of_other_pairs_and_of_this_machine(tmp_path):
    file = tmp_path / "results.json"
    assert kept(file, 1.0, []) == []
    runs = [run_of(), run_of("staging"), run_of("staging", "plain write")]
    results = {"machine": machine(), "settings": {"scale": 1.0}, "runs": runs}
    file.write_text(json.dumps(results))
    assert [run["pair"] for run in kept(file, 1.0, ["staging"])] == ["fit-xgboost"]
    with pytest.raises(ClickException, match="different scale"):
        kept(file, 0.5, ["staging"])
    results["machine"]["cores"] = 1_000
    file.write_text(json.dumps(results))
    with pytest.raises(ClickException, match="different cores"):
        kept(file, 1.0, ["staging"])


@pytest.mark.slow
def test_runner_writes_what_processes_of_their_own_found(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--scale", "0.001"]
    options = ["--repeats", "1", "--only", "fit-xgboost"]
    done = subprocess.run(
        [*command, *options, "--output", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["machine"]["cores"] == os.cpu_count()
    assert found["settings"]["rows"]["train"] == 4000
    ours, loop = found["runs"]
    assert (ours["contender"], loop["contender"]) == ("ours", "loop by hand")
    assert ours["rounds"] == loop["trees"] == 1000
    assert ours["stages"]["boosting"] > 0
    assert ours["batch_rows"] == 400
    assert ours["driver_memory"] == "1g"
    assert ours["peak"]["java"] > 100e6
    assert loop["peak"]["java"] == 0
    text = (tmp_path / "results.md").read_text()
    assert "| fit, XGBoost, 10 batches x 100 rounds |" in text
    assert "meant for full size" in text


@pytest.mark.slow
def test_loop_by_hand_trains_on_the_batches_that_ours_left(spark, data, tmp_path):
    options = ["--rounds", 2, "--staging-dir", tmp_path / "staged"]
    ours = outcome_of("ours", data, "--batches", 3, "--booster", "lightgbm", *options)
    assert ours["rounds"] == 6
    for booster in ("lightgbm", "catboost"):
        loop = outcome_of("bare_loop", data, "--booster", booster, *options)
        assert (loop["trees"], loop["batches"]) == (6, 3)
        assert loop["log_loss"] == pytest.approx(ours["log_loss"], rel=0.05)


@pytest.mark.slow
def test_other_contenders_print_what_the_runner_reads(spark, data):
    assert 0 < outcome_of("import_time", "--turns", 1)["seconds"] < 1
    written = outcome_of("plain_write", data)
    assert written["seconds"] > 0
    outside = outcome_of("ours", data, "--strategy", "external_memory", "--rounds", 5)
    inside = outcome_of("full_xgboost", data, "--trees", 5)
    assert outside["trees"] == inside["trees"] == 5
    assert outside["log_loss"] == pytest.approx(inside["log_loss"], rel=0.02)
    workers = outcome_of("spark_xgboost", data, "--trees", 5)
    assert workers["log_loss"] == pytest.approx(inside["log_loss"], rel=0.02)
    scored = outcome_of("transform", data, "--trees", 5)
    assert scored["ratio"] > 0
    assert scored["began"] < scored["ended"]


def test_every_contender_of_a_pair_is_there():
    modules = {contender.module for pair in PAIRS for contender in pair.contenders}
    there = {path.stem for path in (ROOT / "benchmarks" / "contenders").glob("*.py")}
    assert modules == there - {"task"}
