"""What a comparison says, for outcomes made up."""

import pytest

from batchtrainingbooster.comparison.arms import (
    EXTERNAL_MEMORY,
    INCREMENTAL,
    ONE_BATCH,
    ByRound,
    Outcome,
    in_one_visit,
)
from batchtrainingbooster.comparison.report import Arm, StrategyComparison
from batchtrainingbooster.core.loop import RunPlan
from batchtrainingbooster.core.schedules import Constant, Exponential
from batchtrainingbooster.core.stopping import Patience


def outcome(test, seconds=10.0, curve=(), **changes):
    return Outcome(
        **{
            "rows": 1000, "n_rounds": 20, "trained": 30, "metric": "logloss", "valid": 0.5,
            "test": test, "seconds": seconds, "peak_bytes": 5 * 10**6, "curve": list(curve),
            **changes,
        }
    )  # fmt: skip


def comparison(batched, sample, whole=None, **changes):
    arms = [Arm(INCREMENTAL, batched), Arm(ONE_BATCH, sample)]
    if whole is not None:
        arms.insert(1, Arm(EXTERNAL_MEMORY, whole))
    return StrategyComparison(
        **{
            "arms": tuple(arms), "maximize": False, "tested": True, "staging_seconds": 3.0,
            "rows": 4000, "num_batches": 4, "external_memory": ("xgboost",), **changes,
        }
    )  # fmt: skip


def test_batches_beat_the_sample():
    verdict = comparison(outcome(0.40), outcome(0.44)).verdict
    assert "Batches beat the sample of one batch: logloss 0.4 against 0.44." in verdict
    assert "This booster has no external memory; xgboost has." in verdict


@pytest.mark.parametrize("sample", [0.40, 0.39])
def test_batches_do_not_beat_the_sample(sample):
    verdict = comparison(outcome(0.40), outcome(sample)).verdict
    assert f"Batches do not beat the sample of one batch: logloss 0.4 against {sample}" in verdict
    assert "Train on one batch of 1,000 rows" in verdict


def test_larger_may_be_better():
    verdict = comparison(outcome(0.8), outcome(0.7), maximize=True).verdict
    assert verdict.startswith("Batches beat")


def test_without_test_rows_the_validation_metric_decides():
    found = comparison(outcome(None, valid=0.3), outcome(None, valid=0.2), tested=False)
    assert "do not beat the sample of one batch: logloss 0.3 against 0.2" in found.verdict
    found = comparison(outcome(None, valid=None), outcome(None, valid=None), tested=False)
    assert "neither validation nor test rows" in found.verdict


def test_all_rows_cost_their_time():
    whole = outcome(0.38, seconds=25, curve=[(5, 0.7), (9, 0.6), (20, 0.4)])
    verdict = comparison(outcome(0.40), outcome(0.44), whole).verdict
    assert "every row the model is better (0.38), in 2.5 times the seconds" in verdict
    assert "validation metric was 0.6; theirs 0.5." in verdict
    verdict = comparison(outcome(0.40), outcome(0.44), outcome(0.41)).verdict
    assert "the model is no better (0.41)" in verdict


def test_table_has_every_arm_and_says_which_failed():
    found = comparison(outcome(0.40), "MemoryError: no memory")
    lines = found.to_markdown().splitlines()
    assert lines[2].split(" | ") == [
        "| batch by batch", "1,000", "20 of 30", "0.5", "0.4", "10.0", "5 |",
    ]  # fmt: skip
    assert lines[3].startswith("| one batch only | failed: MemoryError: no memory |")
    assert "4,000 training rows in 4 batches; staging, which all share, took 3.0 s" in str(found)


def plan(**changes):
    return RunPlan(
        **{
            "strategy": "incremental", "num_epochs": 2, "rounds_per_visit": 5,
            "early_stopping_rounds": None, "seed": 0, "schedule": Constant(initial_lr=0.1),
            "patience": Patience(3, 0.0, maximize=False), "warm_restart": "best", **changes,
        }
    )  # fmt: skip


def test_one_visit_makes_the_same_rounds_at_the_same_rates():
    schedule = Exponential(initial_lr=0.4, decay_rate=0.5)
    single = in_one_visit(plan(schedule=schedule), num_visits=8)
    assert (single.num_epochs, single.rounds_per_visit) == (1, 40)
    assert single.early_stopping_rounds == 15
    assert single.schedule == ByRound(schedule, 5)
    rates = [single.schedule.learning_rate(i, ()) for i in range(12)]
    assert rates == [0.4] * 5 + [0.2] * 5 + [0.1] * 2
    by_round = Exponential(initial_lr=0.4, decay_rate=0.5, per="round")
    assert in_one_visit(plan(schedule=by_round), 8).schedule is by_round
    assert in_one_visit(plan(early_stopping_rounds=4), 8).early_stopping_rounds == 4
