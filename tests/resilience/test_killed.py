"""A run that is killed at any moment, and started again, is the run that was not killed."""

import random
import shutil
import time

import pytest
from conftest import outcome_of

from batchtrainingbooster.data.checkpoints import complete_checkpoints
from batchtrainingbooster.data.filesystem import Folder

N_KILLS = 20
NUM_VISITS = 8
# UNFINISHED and manifest; model, state, description and COMPLETE of each checkpoint.
N_WRITES = 2 + 4 * NUM_VISITS
CONFIG_MODEL = {
    "n_estimators": 12, "max_depth": 4, "subsample": 0.8, "colsample_bynode": 0.8, "n_jobs": 2,
    "eval_metric": "mlogloss",
}  # fmt: skip


def configs(folder, **changes):
    config_training = {
        "num_batches": 4,
        "num_epochs": 2,
        "validation_fraction": 0.2,
        "max_patience": 99,
        "checkpoint_dir": str(folder / "run"),
        **changes,
    }
    return [CONFIG_MODEL, config_training, {"initial_lr": 0.3, "decay_rate": 0.8}]


def half_written(folder):
    run = Folder(str(folder / "run"))
    return set(run.folders()) - {"staged"} - set(complete_checkpoints(run))


def phase_of(folder, half_written_before):
    """What the run was at when it died, by what it has left."""
    run = Folder(str(folder / "run"))
    if run.size("staged/manifest.json") is None or run.size("staged/UNFINISHED") is not None:
        return "staging"
    if half_written(folder) - half_written_before:
        return "writing a checkpoint"
    return "training"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_twenty_random_moments_the_model_is_the_same_to_the_last_byte(run, tmp_path):
    start = time.monotonic()
    process = run(configs(tmp_path))
    assert process.stdout.readline() == "fitting\n"
    began = time.monotonic()
    assert process.wait() == 0
    lasted = time.monotonic() - began
    undisturbed = outcome_of(tmp_path)
    assert len(undisturbed[1]) == NUM_VISITS * CONFIG_MODEL["n_estimators"]
    shutil.rmtree(tmp_path / "run")

    rng = random.Random(2026)  # noqa: S311
    phases, kills, finished = [], 0, 0
    while kills < N_KILLS or finished == 0:
        # By the clock, or in the middle of a write of a file of ours.
        by_clock = kills % 2 == 0
        limit = N_WRITES if not (tmp_path / "run").exists() else 6
        dies = {} if by_clock or kills >= N_KILLS else {"dies_in_write": rng.randrange(limit)}
        before = half_written(tmp_path)
        process = run(configs(tmp_path), **dies)
        assert process.stdout.readline() == "fitting\n", (tmp_path / "log").read_text()
        if by_clock and kills < N_KILLS:
            time.sleep(rng.uniform(0, lasted))
            process.kill()
        code = process.wait()
        if code == -9:
            kills += 1
            phases.append(phase_of(tmp_path, before))
            continue
        assert code == 0, (tmp_path / "log").read_text()
        finished += 1
        assert outcome_of(tmp_path) == undisturbed
        shutil.rmtree(tmp_path / "run")
    print(f"killed in {phases}, finished {finished} times, {time.monotonic() - start:.0f} s")
    assert kills == N_KILLS
    assert {"staging", "writing a checkpoint", "training"} <= set(phases)
