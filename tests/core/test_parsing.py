# ruff: noqa: E501 - the cases are tables
import re
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrainingbooster.backends.settings import Problem
from batchtrainingbooster.backends.xgboost_parameters import (
    base_score,
    link_of,
    parse_settings,
    target_kind,
    with_defaults,
)
from batchtrainingbooster.core import schedules
from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.parsing import parse_bytes, parse_schedule, parse_training, strict
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4GB", 4 * 10**9), ("4 gb", 4 * 10**9), ("1.5MB", 1_500_000), ("512MiB", 2**29),
        ("2KiB", 2048), ("1TiB", 2**40), ("3G", 3 * 10**9), ("100", 100), ("7B", 7), (123, 123),
    ],
)  # fmt: skip
def test_sizes(text, expected):
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "4 apples", "1e9", None, True, 1.5])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="need a size such as"):
        parse_bytes(text)


def test_defaults_are_those_of_the_class():
    assert parse_training(None) == parse_training({}) == TrainingConfig()


def test_all_problems_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_training(
            {
                "max_patiance": 3,
                "num_batches": 0,
                "seed": "x",
                "memory_budget": "lots",
                "min_delta": -1,
            }
        )
    message = str(caught.value)
    assert message.startswith("config_training: 5 problems\n")
    for part in (
        "max_patiance: unknown key (did you mean 'max_patience'?)",
        "num_batches: got 0, need a number >= 1",
        "seed: got 'x', need an integer",
        "memory_budget: got 'lots', need a size such as '4GB'",
        "min_delta: got -1.0, need a number >= 0",
    ):
        assert f"\n  {part}" in message


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_batches": True}, "num_batches: got True, need an integer or None"),
        ({"num_batches": 2.0}, "num_batches: got 2.0, need an integer or None"),
        ({"num_batches": 100_000}, "num_batches: got 100000, need a number >= 1 and <= 99999"),
        ({"show_learning_curve": 1}, "show_learning_curve: got 1, need True or False"),
        ({"warm_restart": "worst"}, "warm_restart: got 'worst', need 'best' or 'last'"),
        ({"class_weight": "heavy"}, "class_weight: got 'heavy', need 'balanced' or a dict of"),
        ({"class_weight": {"a": -1}}, "class_weight: label 'a' has weight -1.0"),
        ({"class_weight": {"a": float("nan")}}, "class_weight: label 'a' has weight nan"),
        ({"feature_columns": "a"}, "feature_columns: got 'a', need a list, each item a text"),
        ({"feature_columns": ["a", "a"]}, "feature_columns: 'a' is named more than once"),
        ({"validation_fraction": 1}, "validation_fraction: got 1.0, need a fraction between"),
        ({"min_delta": float("nan")}, "min_delta: got nan"),
        ({"seed": -1}, "seed: got -1"),
        ({3: 4}, "key 3 is no text"),
        ([1], "got list, need a dict"),
    ],
)
def test_bad_training_settings(config, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_training(config)


def test_good_training_settings_and_the_callers_dict_stays():
    given = {"feature_columns": ["a", "b"], "memory_budget": "1GB", "min_delta": 1,
             "class_weight": {1: 2}, "staging_dir": Path("x")}  # fmt: skip
    before = {**given, "feature_columns": list(given["feature_columns"])}
    config = parse_training(given)
    assert config.feature_columns == ("a", "b")
    assert config.memory_budget == 10**9
    assert config.class_weight == {1: 2.0}
    assert config.staging_dir == "x"
    assert given == before
    assert parse_training(config) is config


def test_readme_lists_every_training_setting():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    table = readme.split("<!-- settings: start -->")[1].split("<!-- settings: end -->")[0]
    rows = {
        line.split("|")[1].strip(" `"): line
        for line in table.splitlines()
        if line.startswith("| `")
    }
    fields = attrs.fields_dict(TrainingConfig)
    assert list(rows) == list(fields)
    for name in ("num_epochs", "seed", "max_patience", "min_delta", "allow_precision_loss"):
        assert f" {fields[name].default} " in rows[name].replace("`", "")


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()))
def test_nothing_but_int_to_float_is_coerced(value):
    for wanted in (int, float, str, bool, type(None)):
        if type(value) is wanted or (wanted is float and type(value) is int):
            found = strict(value, wanted)
            assert repr(found) == repr(wanted(value) if value is not None else None)
        else:
            with pytest.raises(TypeError, match="need"):
                strict(value, wanted)


def schedule_of(config, learning_rate=None):
    return parse_schedule(config, learning_rate, 0.3, num_visits=8, rounds_per_visit=5)


@pytest.mark.parametrize(
    ("config", "learning_rate", "expected"),
    [
        (None, None, schedules.Constant(initial_lr=0.3)),
        (None, 0.2, schedules.Constant(initial_lr=0.2)),
        ({"initial_lr": 0.1, "decay_rate": 0.9}, None,
            schedules.Exponential(initial_lr=0.1, decay_rate=0.9)),
        ({"decay_rate": 0.9}, 0.2, schedules.Exponential(initial_lr=0.2, decay_rate=0.9)),
        ({"initial_lr": 0.2, "decay_rate": 0.9}, 0.2,
            schedules.Exponential(initial_lr=0.2, decay_rate=0.9)),
        ({"kind": "cosine", "initial_lr": 1}, None, schedules.Cosine(initial_lr=1.0, total_steps=8)),
        ({"kind": "linear", "initial_lr": 1, "per": "round"}, None,
            schedules.Linear(initial_lr=1.0, per="round", total_steps=40)),
    ],
)  # fmt: skip
def test_schedules_from_dicts(config, learning_rate, expected):
    assert schedule_of(config, learning_rate) == expected


def test_schedule_from_a_function():
    for config in (float, {"kind": float}):
        assert schedule_of(config) == schedules.FromCallable(function=float)
    assert schedule_of({"kind": float, "per": "round"}).per == "round"


@pytest.mark.parametrize(
    ("config", "learning_rate", "message"),
    [
        ({"initial_lr": 0.1}, None, "decay_rate: missing"),
        ({"decay_rate": 0.9}, None, "initial_lr: missing"),
        ({"initial_lr": 0.1, "decay_rate": 1.1}, None, "decay_rate: got 1.1, need a number in (0, 1]"),
        ({"initial_lr": 0, "decay_rate": 0.9}, None, "initial_lr: got 0.0, need a number > 0"),
        ({"initial_lr": 0.1, "decay_rate": 0.9, "per": "epoch"}, None,
            "per: got 'epoch', need 'visit' or 'round'"),
        ({"initial_lr": 0.1, "decay_rate": 0.9, "kind": "exp"}, None, "kind: got 'exp'"),
        ({"initial_lr": 0.1, "step_size": 3}, None, "step_size: unknown key"),
        ({"kind": "plateau", "initial_lr": 0.1, "decay_rate": 0.5, "per": "round"}, None,
            "'plateau' looks at whole visits"),
        ({"initial_lr": 0.1, "decay_rate": 0.9}, 0.2, "give the learning rate in one place"),
        (float, 0.2, "config_lr_scheduler has a callable: give the learning rate in one place"),
        ("cosine", None, "got str, need a dict"),
    ],
)  # fmt: skip
def test_bad_schedules(config, learning_rate, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        schedule_of(config, learning_rate)


def test_spellings_of_xgboost_settings():
    native = parse_settings({"eta": 0.1, "lambda": 2, "num_boost_round": 7, "seed": 3})
    scikit = parse_settings(
        {"learning_rate": 0.1, "reg_lambda": 2, "n_estimators": 7, "random_state": 3}
    )
    assert native == scikit
    assert native.n_estimators == 7
    assert native.params == {"reg_lambda": 2, "seed": 3}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"eta": 0.1, "learning_rate": 0.2}, "eta=0.1 and learning_rate=0.2 are two spellings"),
        ({"callbacks": []}, "callbacks: cannot be set here"),
        ({"xgb_model": "m"}, "xgb_model: cannot be set here: give the earlier model as"),
        ({"booster": "dart"}, "booster: got 'dart'; only 'gbtree'"),
        ({"enable_categorical": False}, "enable_categorical: categorical columns are always used"),
        ({"n_estimators": 0}, "n_estimators: got 0, need a number > 0"),
        ({"n_estimators": "10"}, "n_estimators: got '10', need an integer"),
        ({"early_stopping_rounds": -1}, "early_stopping_rounds: got -1"),
        ({"eval_metric": [len]}, "need the name of a metric of XGBoost"),
    ],
)
def test_bad_xgboost_settings(config, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_settings(config)


@pytest.mark.parametrize(
    ("objective", "kind", "metric", "link"),
    [
        (None, TargetKind.BINARY, "logloss", "sigmoid"),
        (None, TargetKind.MULTICLASS, "mlogloss", "softmax"),
        (None, TargetKind.REGRESSION, "rmse", "identity"),
        ("multi:softmax", TargetKind.MULTICLASS, "mlogloss", "softmax"),
        ("binary:hinge", TargetKind.BINARY, "error", "hinge"),
        ("reg:absoluteerror", TargetKind.REGRESSION, "mae", "identity"),
        ("count:poisson", TargetKind.REGRESSION, "poisson-nloglik", "exp"),
        ("reg:tweedie", TargetKind.REGRESSION, "tweedie-nloglik@1.5", "exp"),
        ("reg:logistic", TargetKind.REGRESSION, "rmse", "sigmoid"),
    ],
)
def test_defaults_by_objective(objective, kind, metric, link):
    config = {} if objective is None else {"objective": objective}
    settings = with_defaults(parse_settings(config), kind)
    assert settings.metrics == (metric,)
    assert link_of(settings.objective) == link
    assert target_kind(settings.objective) is kind


def test_unsupported_objectives_are_refused():
    for objective in ("rank:ndcg", "survival:cox"):
        with pytest.raises(ConfigError, match=f"'{objective}' is not supported"):
            target_kind(objective)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("binary:logistic", 0.2), ("binary:hinge", 0.5), ("binary:logitraw", -1.3862943611198906),
        ("multi:softprob", [-0.2231435513142097, -1.6094379124341003]),
    ],
)  # fmt: skip
def test_intercept_of_classes(objective, expected):
    problem = Problem(
        kind=TargetKind.BINARY, class_shares=(0.8, 0.2), column_names=(), cardinalities=(), seed=0
    )
    assert base_score(objective, problem) == pytest.approx(expected)


def test_intercept_of_numbers():
    problem = Problem(
        kind=TargetKind.REGRESSION, mean=3.0, median=2.0, column_names=(), cardinalities=(), seed=0
    )
    assert base_score("reg:squarederror", problem) == 3.0
    assert base_score("reg:absoluteerror", problem) == 2.0
    assert base_score("count:poisson", problem) == 3.0
