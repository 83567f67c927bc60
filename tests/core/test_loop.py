# ruff: noqa: E501 - the cases are a table
import logging
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import ToyBackend, ToySource

from batchtrainingbooster.core.earlier import Earlier
from batchtrainingbooster.core.loop import RunPlan, run_visits
from batchtrainingbooster.core.schedules import Constant, Exponential, FromCallable, Plateau
from batchtrainingbooster.core.stopping import Best, Patience, StopReason
from batchtrainingbooster.core.visits import batch_order
from batchtrainingbooster.errors import BackendError


def plan(**changes):
    patience = Patience(
        changes.pop("max_patience", 99),
        changes.pop("min_delta", 0.0),
        changes.pop("maximize", False),
    )
    return RunPlan(
        **{
            "strategy": "incremental",
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
    "last keeps what was never a number": ([math.nan] * 4, {"warm_restart": "last"}, 2, 4,
        "completed", [0, 1, 2, 3]),
    "not a number within a visit is passed over": ([5, math.nan, 4, math.nan], {}, 2, 3, "completed",
        [0, 1, 2]),
    "a visit that is not a number is dropped": ([5, 4, math.nan, math.nan, 3, 2], {}, 3, 4,
        "completed", [0, 1, 4, 5]),
    "visits that are not a number use up patience": ([5, 4] + [math.nan] * 4 + [1, 1],
        {"max_patience": 2}, 3, 2, "patience", [0, 1]),
    "infinity can be improved": ([math.inf, math.inf, 5, 4], {}, 2, 4, "completed", [0, 1, 2, 3]),
    "a gain of just min_delta helps": ([5, 4, 3, 3], {"min_delta": 1}, 2, 3, "completed", [0, 1, 2]),
    "small gains add up": ([8, 8, 7.4, 7.4, 6.8, 6.8], {"min_delta": 1}, 3, 2, "completed", [0, 4]),
    "min_delta where larger is better": ([1, 2, 2.5, 2.5, 3, 3], {"maximize": True, "min_delta": 1},
        3, 3, "completed", [0, 1, 4]),
    "min_delta does not count within a visit": ([5, 4.9], {"min_delta": 1}, 1, 2, "completed", [0, 1]),
    "last has patience too": ([5, 4, 6, 6, 6, 6, 1, 1], {"warm_restart": "last", "max_patience": 2},
        3, 2, "patience", [0, 1]),
    "last improves on visits that did not help": ([5, 4, 6, 6, 3, 4], {"warm_restart": "last"}, 3, 5,
        "completed", [0, 1, 2, 3, 4]),
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
    assert backend.truncations == [(4, 2), (5, 3), (7, 5), (5, 2)]
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
    assert state.improved == (True, True, True)
    assert backend.truncations == []


def test_earlier_model_is_continued_without_validation():
    backend = ToyBackend(earlier_rounds=3)
    state = run_visits(plan(), ToySource(2, validated=False), backend)
    assert "validate" not in backend.calls
    assert state.best is None
    assert [row.n_rounds for row in state.history] == [4, 5, 6, 7]
    assert [row.round for row in state.history] == [0, 1, 2, 3]


def test_model_is_cut_only_where_it_must_be():
    assert run([5, 4, 3, 2], 2)[1].truncations == []
    assert run([5, 4, 6, 6], 2)[1].truncations == [(4, 2)]


def test_batches_are_visited_in_the_order_of_each_epoch():
    state, backend, source = run(list(range(24, 0, -1)), 4, num_epochs=3, seed=7)
    expected = [b for epoch in range(3) for b in batch_order(7, epoch, 4)]
    assert source.read == expected
    assert [row.batch for row in state.history] == [b for b in expected for _ in range(2)]
    assert [batch for batch, _ in backend.rounds] == [b for b in expected for _ in range(2)]
    assert [row.epoch for row in state.history] == [0] * 8 + [1] * 8 + [2] * 8


def test_external_memory_is_one_visit_an_epoch_on_one_dataset():
    state, backend, source = run(
        [6, 5, 4, 3, 7, 7], 4, num_epochs=3, strategy="external_memory", seed=7
    )
    assert source.read == [0, 1, 2, 3]
    assert backend.calls == [
        "start", "external_dataset", "boost", "boost", "boost", "truncate", "closed"
    ]  # fmt: skip
    assert [batch for batch, _ in backend.rounds] == ["all"] * 4
    assert [(row.visit, row.epoch, row.batch) for row in state.history] == [
        (visit, visit, None) for visit in range(3) for _ in range(2)
    ]
    assert state.stop_reason is StopReason.COMPLETED


def test_a_visit_to_all_batches_says_so(caplog):
    with caplog.at_level(logging.INFO, "batchtrainingbooster"):
        run([2, 1], 3, strategy="external_memory")
    assert "Visit 1 (epoch 1, all batches): learning rate 0.1" in caplog.text


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
    assert backend.calls.index("validate") == 1
    assert backend.calls.count("validate") == 1
    assert backend.n_rounds == n_rounds
    assert backend.rounds[:3] == [(None, None)] * 3


@pytest.mark.parametrize(
    ("script", "n_rounds", "best"),
    [
        ([8, 9, 9, 9], 4, Best(8, 0, 0, 4)),
        ([9, 9, 4, 9], 6, Best(4, 1, 2, 6)),
    ],
)
def test_earlier_model_that_does_not_compete_is_left_behind(script, n_rounds, best):
    backend = ToyBackend(script, earlier_rounds=3, earlier_loss=5)
    state = run_visits(plan(earlier=Earlier(competes=False)), ToySource(2), backend)
    assert state.best == best
    assert state.earlier_value == 5
    assert backend.n_rounds == n_rounds


def test_known_metric_of_the_earlier_model_counts():
    backend = ToyBackend([4, 4, 4, 4], earlier_rounds=3, earlier_loss=5)
    state = run_visits(plan(earlier=Earlier(value=3)), ToySource(2), backend)
    assert state.best == Best(3, None, None, 3)
    assert "validate" not in backend.calls


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
    assert backend.started_with == (-1, -2)
    assert backend.calls == ["start", "dataset", "boost"]
    _, backend, _ = run(None, 1)
    assert backend.started_with == (-1,)


@given(
    values=st.lists(st.one_of(st.integers(0, 20), st.just(math.nan)), min_size=60, max_size=60),
    changes=st.fixed_dictionaries(
        {
            "num_epochs": st.integers(1, 2),
            "rounds_per_visit": st.integers(1, 5),
            "early_stopping_rounds": st.one_of(st.none(), st.integers(1, 3)),
            "max_patience": st.integers(1, 4),
            "min_delta": st.sampled_from([0, 3]),
            "maximize": st.booleans(),
            "warm_restart": st.sampled_from(["best", "last"]),
        }
    ),
)
def test_model_history_and_best_agree_whatever_happens(values, changes):
    state, backend, source = run(values, num_batches=6, **changes)
    rows = state.history.rows
    losses = [row.valid["loss"] for row in rows]
    # Every round is recorded, and nothing else.
    assert [row.round for row in rows] == list(range(len(rows)))
    np.testing.assert_array_equal(losses, values[: len(rows)])
    assert [row.batch for row in rows] == [source.read[row.visit] for row in rows]
    # The model is made of the rounds that are kept.
    kept = [row for row in rows if row.kept]
    assert [row.n_rounds for row in kept] == list(range(1, backend.n_rounds + 1))
    assert backend.rounds == [(row.batch, row.learning_rate) for row in kept]
    assert all(after < before for before, after in backend.truncations)
    # A visit helps if its best round is enough better than the best before it; the values are
    # whole, so that any gain is at least 1.
    sign = 1 if changes["maximize"] else -1
    best, improved = None, []
    for visit in range(state.visit):
        seen = [sign * x for row, x in zip(rows, losses, strict=True) if row.visit == visit]
        found = max((x for x in seen if not math.isnan(x)), default=-math.inf)
        needed = -math.inf if best is None else best + max(changes["min_delta"], 1)
        improved.append(found > -math.inf and found >= needed)
        best = found if improved[-1] else best
    assert state.improved == tuple(improved)
    # The model ends at the best round.
    if best is None:
        assert state.best is None
        assert backend.n_rounds == (0 if changes["warm_restart"] == "best" else len(kept))
    else:
        assert state.best.value == sign * best == losses[state.best.round]
        assert kept[-1].round == state.best.round
        assert backend.n_rounds == state.best.n_rounds
    # The run ends when patience is out, and not before.
    useless = [improved[i:].count(True) == 0 for i in range(len(improved))].count(True)
    if state.stop_reason is StopReason.PATIENCE:
        assert useless == changes["max_patience"]
    else:
        assert useless < changes["max_patience"]
        assert state.visit == 6 * changes["num_epochs"]


def test_clock_of_rounds_counts_those_dropped_and_not_those_left_out():
    by_round = FromCallable(function=lambda step: 1 / (step + 1), per="round")
    state, backend, _ = run(
        [5, 4, 6, 6, 6, 3, 6], 3, rounds_per_visit=3, early_stopping_rounds=1, schedule=by_round
    )
    assert [row.visit for row in state.history] == [0, 0, 0, 1, 1, 2, 2]
    assert [row.learning_rate for row in state.history] == [1 / n for n in range(1, 8)]
    assert [rate for _, rate in backend.rounds] == [1, 1 / 2, 1 / 6]


def test_plateau_hears_the_outcome_of_each_visit():
    halved = Plateau(initial_lr=0.8, decay_rate=0.5, plateau_patience=2)
    state, _, _ = run([9, 9, 9, 8, 9, 9, 9], 7, rounds_per_visit=1, schedule=halved)
    assert state.improved == (True, False, False, True, False, False, False)
    assert [row.learning_rate for row in state.history] == [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2]


@pytest.mark.parametrize("script", [range(20, 0, -1), [5] * 20, None])
def test_no_rows_are_kept_once_the_booster_has_them(script):
    _, backend, source = run(None if script is None else list(script), 10)
    assert len(source.read) == 10
    assert backend.most_batches == 0
    assert len(backend.alive) == 0


def test_failure_of_the_booster_names_the_visit_and_is_not_swallowed():
    cause = ValueError("booster's own")
    failure = BackendError("out of memory")
    failure.__cause__ = cause
    backend, source = ToyBackend([5, 4, 6, failure]), ToySource(2)
    with pytest.raises(BackendError) as caught:
        run_visits(plan(), source, backend)
    assert str(caught.value) == f"Visit 2 (epoch 1, batch {source.read[1] + 1}): out of memory"
    assert caught.value.__cause__ is cause


def test_other_failures_pass_as_they_are():
    failure = KeyError("x")
    with pytest.raises(KeyError) as caught:
        run([5, failure], 1)
    assert caught.value is failure


# script, settings -> outcome of each visit, and of the run, in words
LOGGED = {
    "kept": ([5, 4], {}, ["2 rounds in the model"],
        "(completed) after 1 visits; best validation metric 4 at visit 1, 2 rounds in the model"),
    "rolled back": ([5, 4, 6, 6], {"max_patience": 1},
        ["2 rounds in the model", "no gain: rolled back to 2 rounds"],
        "(patience) after 2 visits; best validation metric 4 at visit 1, 2 rounds in the model"),
    "kept though useless": ([5, 4, 6, 6], {"warm_restart": "last"},
        ["2 rounds in the model", "4 rounds in the model"],
        "(completed) after 2 visits; best validation metric 4 at visit 1, 2 rounds in the model"),
    "cut": ([4, 5, 6, 7], {"early_stopping_rounds": 1, "warm_restart": "last"},
        ["cut to 1 rounds, its best", "cut to 2 rounds, its best"],
        "(completed) after 2 visits; best validation metric 4 at visit 1, 1 rounds in the model"),
    "never a number": ([math.nan] * 2, {}, ["no gain: rolled back to 0 rounds"],
        "(completed) after 1 visits; the validation metric was never a number"),
    "without validation": (None, {}, ["2 rounds in the model"],
        "(completed) after 1 visits; no validation set, so every visit was kept"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOGGED)
def test_log_says_what_became_of_each_visit(name, caplog):
    script, changes, visits, end = LOGGED[name]
    caplog.set_level(logging.INFO, logger="batchtrainingbooster")
    run(script, len(visits), **changes)
    *lines, last = [record.getMessage() for record in caplog.records]
    assert [line.rsplit("  ", 1)[1] for line in lines] == visits
    assert all(line.startswith(f"Visit {i + 1} (epoch 1, batch ") for i, line in enumerate(lines))
    assert last == f"Run ended {end}"


def test_log_of_a_visit_has_its_place_rate_and_last_metrics(caplog):
    caplog.set_level(logging.INFO, logger="batchtrainingbooster")
    _, _, source = run([5, 4.25] * 3, 3)
    assert [record.getMessage() for record in caplog.records][1] == (
        f"Visit 2 (epoch 1, batch {source.read[1] + 1}): learning rate 0.1  train loss 0.5  "
        "valid first 0  valid other 0  valid loss 4.25  no gain: rolled back to 2 rounds"
    )


def test_log_names_the_earlier_model(caplog):
    caplog.set_level(logging.INFO, logger="batchtrainingbooster")
    run_visits(plan(), ToySource(1), ToyBackend([9, 9], earlier_rounds=3, earlier_loss=5))
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == "The earlier model's validation metric: 5"
    assert messages[-1].endswith("metric 5 of the earlier model, 3 rounds in the model")


def test_seconds_of_the_rounds_add_up_to_no_more_than_the_run():
    start = time.perf_counter()
    state, _, _ = run([5, 4, 3, 2], 2)
    assert 0 < sum(row.seconds for row in state.history) <= time.perf_counter() - start
    assert min(row.seconds for row in state.history) >= 0


class IdleBackend(ToyBackend):
    """Learns nothing from the batches named."""

    def __init__(self, script, idle_visits):
        super().__init__(script)
        self.idle_visits = idle_visits

    def boost(self, dataset, learning_rates, after_round, is_wanted=None):
        if self.calls.count("dataset") - 1 not in self.idle_visits:
            super().boost(dataset, learning_rates, after_round)


def test_visit_in_which_nothing_is_learned_counts_as_one_without_gain(caplog):
    backend = IdleBackend([5, 4, 4, 3], idle_visits={1, 2})
    state = run_visits(plan(), ToySource(4), backend)
    assert [row.visit for row in state.history] == [0, 0, 3, 3]
    assert state.improved == (True, False, False, True)
    assert backend.n_rounds == state.best.n_rounds == len(state.history.rows)
    assert [r.getMessage().split(":")[1] for r in caplog.records if r.levelname == "WARNING"] == [
        " the booster found nothing to learn; no round was added"
    ] * 2
