"""Schedules, stopping, metrics, weights."""

import math
import random

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from batchtrainingbooster.backends.xgboost_parameters import METRICS
from batchtrainingbooster.core import schedules
from batchtrainingbooster.core.metrics import is_maximized
from batchtrainingbooster.core.stopping import Best, Patience, is_improvement
from batchtrainingbooster.core.weights import class_weights
from batchtrainingbooster.errors import ConfigError

FORMULAS = {
    schedules.Constant(initial_lr=0.5): lambda t: 0.5,
    schedules.Exponential(initial_lr=0.5, decay_rate=0.9): lambda t: 0.5 * 0.9**t,
    schedules.Step(initial_lr=0.5, decay_rate=0.9, step_size=3): lambda t: 0.5 * 0.9 ** (t // 3),
    schedules.InverseTime(initial_lr=0.5, decay_rate=0.2): lambda t: 0.5 / (1 + 0.2 * t),
    schedules.Linear(initial_lr=0.5, min_lr=0.1, total_steps=10): lambda t: 0.5 - 0.04 * min(t, 10),
    schedules.Cosine(initial_lr=0.5, min_lr=0.1, total_steps=10): lambda t: (
        0.3 + 0.2 * math.cos(math.pi * min(t, 10) / 10)
    ),
}


@pytest.mark.parametrize("schedule", FORMULAS, ids=lambda s: type(s).__name__)
@given(step=st.integers(0, 200))
def test_schedules_follow_their_formulas(schedule, step):
    assert schedule.learning_rate(step, ()) == pytest.approx(FORMULAS[schedule](step))


def test_every_kind_has_its_formula():
    assert {type(schedule) for schedule in FORMULAS} == set(KINDS) - {schedules.Plateau}
    assert KINDS[schedules.Plateau] == "plateau"


KINDS = {cls: name for name, cls in schedules.KINDS.items()}
ALL = [*FORMULAS, schedules.Plateau(initial_lr=0.5, decay_rate=0.9)]


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: type(s).__name__)
def test_schedules_hold_no_state(schedule):
    outcomes = [random.Random(0).random() < 0.5 for _ in range(30)]  # noqa: S311
    rates = [schedule.learning_rate(step, outcomes[:step]) for step in range(30)]
    backwards = [schedule.learning_rate(step, outcomes) for step in reversed(range(30))]
    assert backwards == rates[::-1]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        schedule.initial_lr = 1


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: type(s).__name__)
def test_no_rate_is_below_the_minimum(schedule):
    bounded = attrs.evolve(schedule, min_lr=0.2)
    rates = [bounded.learning_rate(step, [False] * step) for step in range(1000)]
    assert rates[0] == 0.5
    assert rates[-1] == pytest.approx(0.5 if isinstance(schedule, schedules.Constant) else 0.2)
    assert min(rates) >= 0.2 - 1e-12


def test_schedule_of_one_step_is_its_first_rate():
    for kind in (schedules.Linear, schedules.Cosine):
        assert kind(initial_lr=0.5, min_lr=0.1, total_steps=1).learning_rate(0, ()) == 0.5


@pytest.mark.parametrize(
    ("improved", "rate"),
    [
        ([], 0.8),
        ([True, False], 0.8),
        ([True, False, False], 0.4),
        ([False, False, False, False], 0.2),
        ([False, True, False, False, True], 0.4),
    ],
)
def test_plateau_halves_after_two_visits_without_gain(improved, rate):
    schedule = schedules.Plateau(initial_lr=0.8, decay_rate=0.5, plateau_patience=2)
    assert schedule.learning_rate(len(improved), improved) == rate


@pytest.mark.parametrize("value", [1, 0.25, np.float64(0.25), np.float32(0.25), np.int64(1)])
def test_callable_may_return_any_number(value):
    found = schedules.FromCallable(function=lambda step: value).learning_rate(3, ())
    assert found == value
    assert type(found) is float


def test_callable_is_given_the_step():
    schedule = schedules.FromCallable(function=lambda step: step + 0.5)
    assert [schedule.learning_rate(step, ()) for step in (0, 7)] == [0.5, 7.5]


def test_callable_by_round_is_refused_with_its_round():
    schedule = schedules.FromCallable(function=lambda step: -step, per="round")
    with pytest.raises(ConfigError, match="the callable returned -7 at round 7; it must return a"):
        schedule.learning_rate(7, ())


@pytest.mark.parametrize("value", [0, -1, None, "0.1", math.nan, math.inf, True, 1j, [0.1]])
def test_callable_must_return_a_rate(value):
    schedule = schedules.FromCallable(function=lambda step: value)
    with pytest.raises(ConfigError, match=r"the callable returned .* at visit 3"):
        schedule.learning_rate(3, ())


def test_unknown_kind_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'cosin' \(did you mean 'cosine'\?\)"):
        schedules.kind_of("cosin")


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.booleans(), st.floats(0, 10))
def test_improvement_is_a_gain_of_at_least_min_delta(value, best, maximize, min_delta):
    gain = value - best if maximize else best - value
    expected = gain > 0 and gain >= min_delta
    assert is_improvement(value, best, maximize=maximize, min_delta=min_delta) == expected
    assert is_improvement(value, None, maximize=maximize, min_delta=min_delta)
    assert not is_improvement(math.nan, best, maximize=maximize, min_delta=min_delta)


def test_patience_counts_visits():
    patience = Patience(max_patience=2, min_delta=0.1, maximize=True)
    assert not patience.improves(0.55, Best(0.5, 0, 0, 1))
    assert not patience.improves(0.4, Best(0.5, 0, 0, 1))
    assert patience.improves(0.0, None)
    assert patience.improves(0.7, Best(0.5, 0, 0, 1))
    assert [patience.is_exhausted(n) for n in (0, 1, 2, 3)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("metric", "maximized"),
    [
        ("auc", True), ("aucpr", True), ("pre", True), ("pre@3", True), ("map", True),
        ("map@5-", True), ("ndcg", True), ("ndcg@10-", True), ("ndcg-", True),
        ("interval-regression-accuracy", True), ("rmse", False), ("rmsle", False), ("mae", False),
        ("mape", False), ("mphe", False), ("logloss", False), ("error", False),
        ("error@0.7", False), ("merror", False), ("mlogloss", False), ("poisson-nloglik", False),
        ("gamma-nloglik", False), ("cox-nloglik", False), ("gamma-deviance", False),
        ("tweedie-nloglik@1.5", False), ("aft-nloglik", False), ("quantile", False),
        ("expectile", False),
    ],
)  # fmt: skip
def test_direction_of_metrics(metric, maximized):
    assert is_maximized(metric, METRICS) is maximized
    assert is_maximized(metric, METRICS, maximize=not maximized) is not maximized


def test_unknown_metric_needs_a_direction():
    with pytest.raises(ConfigError, match=r"'lgloss' .* \(did you mean 'logloss'\?\).*'maximize'"):
        is_maximized("lgloss", METRICS)
    assert is_maximized("profit", METRICS, maximize=True)
    assert not is_maximized("profit", METRICS, maximize=False)
    with pytest.raises(ConfigError) as caught:
        is_maximized("profit@3", METRICS)
    assert "'profit@3' is no metric whose direction is known; for" in str(caught.value)


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=6))
def test_balanced_weights_are_those_of_scikit_learn(counts):
    counts = [n % 50 + 1 for n in counts]
    labels = np.repeat(np.arange(len(counts)), counts)
    expected = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    found = class_weights("balanced", list(range(len(counts))), counts)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32


def test_weights_by_label_hold_for_equal_labels():
    assert class_weights({1: 3.0, 0: 2.0}, [False, True], [1, 1]).tolist() == [2.0, 3.0]
    assert class_weights({2: 0.0}, [1.0, 2.0], [1, 1]).tolist() == [1.0, 0.0]
    assert class_weights({2: 0.5}, [1.0, 2.0], [1, 1]).dtype == np.float32
    assert class_weights(None, ["a"], [1]).dtype == np.float32


def test_weights_by_label():
    assert class_weights({"b": 2.0}, ["a", "b"], [1, 1]).tolist() == [1.0, 2.0]
    assert class_weights(None, ["a", "b"], [1, 9]).tolist() == [1.0, 1.0]
    with pytest.raises(ConfigError, match="'c' is no label of the target; its labels are 'a', 'b'"):
        class_weights({"c": 2.0}, ["a", "b"], [1, 1])
    with pytest.raises(ConfigError, match="every class has weight 0"):
        class_weights({"a": 0.0, "b": 0.0}, ["a", "b"], [1, 1])
