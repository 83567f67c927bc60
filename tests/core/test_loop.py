# ruff: noqa: E501 - the cases are a table
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import ToyBackend, ToySource

from batchtrainingbooster.core.loop import RunPlan, run_visits
from batchtrainingbooster.core.schedules import Constant, Exponential, FromCallable
from batchtrainingbooster.core.stopping import Best, Patience, StopReason
from batchtrainingbooster.core.visits import batch_order


def plan(**changes):
    patience = Patience(
        changes.pop("max_patience", 99),
        changes.pop("min_delta", 0.0),
        changes.pop("maximize", False),
    )
    return RunPlan(
        **{
            "num_epochs": 1,
            "rounds_per_visit": 2,
            "early_stopping_rounds": None,
            "seed": 0,
            "schedule": Constant(initial_lr=0.1),
            "patience": patience,
            "warm_restart": "best",
            **changes,
        }
    )


def run(script, num_batches, **changes):
    backend, source = ToyBackend(script), ToySource(num_batches, validated=script is not None)
    return run_visits(plan(**changes), source, backend), backend, source


# script of validation losses (two rounds a visit), settings -> visits made, rounds in the model,
# reason, rounds that the history keeps
TABLE = {
    "every visit helps": ([5, 4, 3, 2], {}, 2, 4, "completed", [0, 1, 2, 3]),
    "the last round of the last visit is not the best": ([5, 4, 2, 3], {}, 2, 3, "completed", [0, 1, 2]),
    "a visit that does not help is dropped": ([5, 4, 6, 6, 3, 2], {}, 3, 4, "completed", [0, 1, 4, 5]),
    "a drop goes back to the best round": ([4, 5, 6, 6, 3, 2], {}, 3, 3, "completed", [0, 4, 5]),
    "a kept visit keeps the rounds after its best": ([4, 5, 3, 2], {}, 2, 4, "completed", [0, 1, 2, 3]),
    "last keeps what did not help": ([5, 4, 6, 6, 3, 2], {"warm_restart": "last"}, 3, 6, "completed",
        [0, 1, 2, 3, 4, 5]),
    "last is cut at its best round too": ([5, 4, 6, 6], {"warm_restart": "last"}, 2, 2, "completed", [0, 1]),
    "patience of one": ([5, 4, 6, 6, 1, 1], {"max_patience": 1}, 2, 2, "patience", [0, 1]),
    "patience starts anew after a gain": ([5, 4, 6, 6, 3, 3, 6, 6, 6, 6], {"max_patience": 2}, 5, 3,
        "patience", [0, 1, 4]),
    "a gain below min_delta does not help": ([5, 4, 3.5, 3.5, 2, 2], {"min_delta": 1}, 3, 3,
        "completed", [0, 1, 4]),
    "equal does not help": ([5, 4, 4, 4], {}, 2, 2, "completed", [0, 1]),
    "larger is better": ([1, 2, 1, 1, 3, 2], {"maximize": True}, 3, 3, "completed", [0, 1, 4]),
    "not a number never helps": ([math.nan, math.nan, 5, 4], {}, 2, 2, "completed", [2, 3]),
    "never a number leaves no model": ([math.nan] * 4, {}, 2, 0, "completed", []),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_outcome_of_visits(name):
    script, changes, visits, n_rounds, reason, kept = TABLE[name]
    state, backend, source = run(script, num_batches=len(script) // 2, **changes)
    assert state.visit == visits == len(source.read)
    assert backend.n_rounds == n_rounds
    assert state.stop_reason == reason
    assert [row.round for row in state.history if row.kept] == kept
    assert [row.round for row in state.history] == list(range(2 * visits))
    if state.best is not None:
        assert state.best.n_rounds == n_rounds
        assert state.best.value == list(state.history.rows[state.best.round].valid.values())[-1]


def test_early_stopping_ends_a_visit_and_cuts_it_at_its_best_round():
    script = [9, 8, 8.5, 8.6, 7, 7.5, 7.5]
    state, backend, _ = run(script, 2, rounds_per_visit=5, early_stopping_rounds=2)
    assert [row.visit for row in state.history] == [0] * 4 + [1] * 3
    assert [row.n_rounds for row in state.history] == [1, 2, 3, 4, 3, 4, 5]
    assert [row.kept for row in state.history] == [True, True, False, False, True, False, False]
    assert backend.n_rounds == 3
    assert state.best == Best(7, visit=1, round=4, n_rounds=3)


def test_early_stopping_with_last_keeps_the_best_round_of_a_useless_visit():
    script = [5, 4, 7, 6, 6.5, 6.5, 9, 9, 8, 9, 9]
    state, backend, _ = run(
        script, 3, rounds_per_visit=4, early_stopping_rounds=2, warm_restart="last"
    )
    assert [row.visit for row in state.history] == [0] * 4 + [1] * 3 + [2] * 4
    # The best round of each visit, and at the end the best of all.
    assert backend.truncations == [2, 3, 5, 2]
    assert backend.n_rounds == state.best.n_rounds == 2


def test_early_stopping_of_nothing_but_nan_ends():
    state, backend, _ = run([math.nan] * 6, 2, rounds_per_visit=50, early_stopping_rounds=3)
    assert len(state.history) == 6
    assert backend.n_rounds == 0


def test_without_validation_every_round_is_kept_and_patience_rests():
    state, backend, _ = run(None, 3, max_patience=1)
    assert backend.n_rounds == 6
    assert state.best is None
    assert state.stop_reason is StopReason.COMPLETED
    assert backend.truncations == []


def test_model_is_cut_only_where_it_must_be():
    assert run([5, 4, 3, 2], 2)[1].truncations == []
    assert run([5, 4, 6, 6], 2)[1].truncations == [2]


def test_batches_are_visited_in_the_order_of_each_epoch():
    state, backend, source = run(list(range(24, 0, -1)), 4, num_epochs=3, seed=7)
    expected = [b for epoch in range(3) for b in batch_order(7, epoch, 4)]
    assert source.read == expected
    assert [row.batch for row in state.history] == [b for b in expected for _ in range(2)]
    assert [batch for batch, _ in backend.rounds] == [b for b in expected for _ in range(2)]
    assert [row.epoch for row in state.history] == [0] * 8 + [1] * 8 + [2] * 8


def test_rates_follow_visits_or_rounds():
    script = [8, 7, 6, 5]
    by_visit = Exponential(initial_lr=0.4, decay_rate=0.5)
    _, backend, _ = run(script, 2, schedule=by_visit)
    assert [rate for _, rate in backend.rounds] == [0.4, 0.4, 0.2, 0.2]
    by_round = Exponential(initial_lr=0.4, decay_rate=0.5, per="round")
    state, backend, _ = run(script, 2, schedule=by_round)
    assert [rate for _, rate in backend.rounds] == [0.4, 0.2, 0.1, 0.05]
    assert [row.learning_rate for row in state.history] == [0.4, 0.2, 0.1, 0.05]


def test_clock_of_the_rate_goes_on_through_a_rollback():
    rates = FromCallable(function=lambda visit: 1 / (visit + 1))
    state, _, _ = run([5, 4, 6, 6, 3, 2], 3, schedule=rates)
    assert [row.learning_rate for row in state.history] == [1, 1, 0.5, 0.5, 1 / 3, 1 / 3]


@pytest.mark.parametrize(
    ("script", "n_rounds", "best"),
    [
        ([9, 9, 9, 9], 3, Best(5, None, None, 3)),
        ([9, 9, 4, 9], 4, Best(4, 1, 2, 4)),
    ],
)
def test_earlier_model_is_the_one_to_beat(script, n_rounds, best):
    backend = ToyBackend(script, earlier_rounds=3, earlier_loss=5)
    state = run_visits(plan(), ToySource(2), backend)
    assert state.best == best
    assert backend.n_rounds == n_rounds
    assert backend.rounds[:3] == [(None, None)] * 3


def test_earlier_model_without_a_usable_metric_is_still_kept():
    backend = ToyBackend([math.nan] * 4, earlier_rounds=3, earlier_loss=math.nan)
    state = run_visits(plan(), ToySource(2), backend)
    assert state.best is None
    assert backend.n_rounds == 3


def test_one_dataset_is_alive_at_a_time():
    _, backend, _ = run(list(range(20, 0, -1)), 10)
    assert backend.most_alive == 1


def test_reference_and_validation_come_first_and_once():
    _, backend, _ = run([2, 1], 1)
    reference, validation = backend.started_with
    assert (reference.label[0], validation.label[0]) == (-1, -2)


@given(
    losses=st.lists(st.integers(0, 20), min_size=2, max_size=40).filter(lambda x: len(x) % 2 == 0),
    max_patience=st.integers(1, 4),
    warm_restart=st.sampled_from(["best", "last"]),
)
def test_returned_model_ends_at_the_best_round_that_was_built_on(
    losses, max_patience, warm_restart
):
    state, backend, _ = run(
        losses, len(losses) // 2, max_patience=max_patience, warm_restart=warm_restart
    )
    seen = losses[: len(state.history)]
    assert state.best.value == min(seen)
    assert state.best.round == seen.index(min(seen))
    kept = [row for row in state.history if row.kept]
    assert [row.n_rounds for row in kept] == list(range(1, backend.n_rounds + 1))
    assert backend.rounds == [(row.batch, row.learning_rate) for row in kept]
