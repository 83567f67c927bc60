# ruff: noqa: E501 - the cases are tables
import math
import re
from collections import UserDict
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrainingbooster.backends.settings import Problem
from batchtrainingbooster.backends.xgboost_parameters import (
    CLASS_WEIGHT_KEYS,
    DEFAULT_LEARNING_RATE,
    METRICS,
    NAMES,
    base_score,
    link_of,
    parse_settings,
    target_kind,
    with_defaults,
)
from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.core import schedules
from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.metrics import is_maximized
from batchtrainingbooster.core.parsing import (
    describe_type,
    parse_bytes,
    parse_schedule,
    parse_training,
    strict,
)
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4GB", 4 * 10**9), ("4 gb", 4 * 10**9), ("1.5MB", 1_500_000), ("512MiB", 2**29),
        ("2KiB", 2048), ("3GiB", 3 * 2**30), ("1TiB", 2**40), ("3G", 3 * 10**9), ("2.3MB", 2_300_000),
        ("2k", 2000), ("5Mi", 5 * 2**20), ("0.5TB", 5 * 10**11), ("100", 100), ("7B", 7), (123, 123),
        (" 1 KB ", 1000), ("9007199254740993", 9007199254740993),
    ],
)  # fmt: skip
def test_sizes(text, expected):
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "GB", "-1GB", "4 apples", "1e9", "4iB", "4PB", ".5GB", "1,5GB", None, True, 1.5, []],
)
def test_no_sizes(text):
    with pytest.raises(ValueError, match="need a size such as"):
        parse_bytes(text)


def test_defaults_are_those_that_the_documentation_names():
    assert parse_training(None) == parse_training({}) == TrainingConfig()
    assert attrs.asdict(parse_training(None)) == {
        "num_batches": None,
        "memory_budget": None,
        "num_epochs": 1,
        "strategy": "incremental",
        "num_workers": None,
        "seed": 42,
        "max_patience": 5,
        "min_delta": 0.0,
        "maximize": None,
        "warm_restart": "best",
        "class_weight": "balanced",
        "weight_column": None,
        "feature_columns": None,
        "categorical_columns": None,
        "categorical_encoding": "native",
        "group_column": None,
        "validation_fraction": None,
        "allow_precision_loss": False,
        "staging_dir": None,
        "checkpoint_dir": None,
        "checkpoint_every": 1,
        "resume": "auto",
        "run_dir": None,
        "init_model": None,
        "show_learning_curve": False,
        "callbacks": None,
        "callbacks_strict": False,
        "verbosity": 1,
    }


# field -> values at its bounds, and just outside
BOUNDS = {
    "num_batches": ([1, 99_999, None], [0, -1, 100_000]),
    "memory_budget": ([1, None], [0, -1, "0GB"]),
    "num_epochs": ([1, 10**6], [0]),
    "num_workers": ([1, 10**4, None], [0, -1]),
    "seed": ([0, 2**40], [-1]),
    "max_patience": ([1], [0]),
    "checkpoint_every": ([1, 10**6], [0]),
    "min_delta": ([0, 0.0, 10], [-1e-9, math.nan, math.inf]),
    "validation_fraction": ([1e-9, 1 - 1e-9, None], [0, 1, 0.0, 1.0, 2, -0.1, math.nan]),
    "feature_columns": ([["a"], ("a", "b"), None], [[], (), ["a", "b", "a"]]),
    "categorical_columns": ([[], ["a"], None], [["a", "a"]]),
    "verbosity": ([0, 2], [-1, 3]),
    "callbacks": ([[], [Callback()], None], [[Callback], [print], [None]]),
    "class_weight": (
        ["balanced", {"a": 0}, {}, None],
        [{"a": -1e-9}, {1: math.nan}, {1: math.inf}],
    ),
}


@pytest.mark.parametrize("key", BOUNDS)
def test_values_at_the_bounds_are_taken_and_those_outside_refused(key):
    inside, outside = BOUNDS[key]
    for value in inside:
        taken = getattr(parse_training({key: value}), key)
        assert taken == (tuple(value) if isinstance(value, list) else value)
    for value in outside:
        with pytest.raises(ConfigError, match=rf"config_training: {key}: "):
            parse_training({key: value})


# types -> fields, and values of other types
WRONG_TYPES = {
    ("num_batches", "num_epochs", "num_workers", "seed", "max_patience", "checkpoint_every"): [
        "3",
        3.0,
        True,
        [3],
        {},
    ],
    ("min_delta", "validation_fraction"): ["0.1", True, [0.1]],
    ("maximize", "allow_precision_loss", "show_learning_curve", "callbacks_strict"): [
        0,
        1,
        "yes",
        1.0,
    ],
    ("weight_column", "group_column", "staging_dir", "checkpoint_dir", "run_dir"): [
        1,
        True,
        b"x",
        ["x"],
    ],
    ("feature_columns", "categorical_columns"): ["a", [1], {"a": 1}, {"a"}, [None]],
    ("class_weight", "warm_restart", "categorical_encoding", "strategy", "resume"): [
        True,
        1,
        "other",
        ["balanced"],
        {"a": "1"},
        {None: 1},
    ],
    (
        "num_epochs",
        "seed",
        "max_patience",
        "min_delta",
        "warm_restart",
        "categorical_encoding",
        "strategy",
        "resume",
        "checkpoint_every",
        "allow_precision_loss",
    ): [None],
}


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for keys, values in WRONG_TYPES.items() for key in keys for value in values],
)
def test_no_other_type_is_taken_for_the_right_one(key, value):
    with pytest.raises(
        ConfigError, match=rf"config_training: {key}: got {re.escape(repr(value))}, need"
    ):
        parse_training({key: value})


def test_every_field_has_its_bounds_or_types_tested():
    tested = {*BOUNDS, *(key for keys in WRONG_TYPES for key in keys)}
    assert {field.name for field in attrs.fields(TrainingConfig)} - tested == {"init_model"}


@pytest.mark.parametrize("key", [field.name for field in attrs.fields(TrainingConfig)])
def test_slips_of_the_pen_name_the_key(key):
    for slip in (key[:-1], key.replace("a", "e", 1) + "e", key.upper()):
        with pytest.raises(ConfigError) as caught:
            parse_training({slip: None})
        assert f"{slip}: unknown key (did you mean '{key}'?)" in str(caught.value)


def test_far_off_keys_get_no_hint():
    with pytest.raises(ConfigError) as caught:
        parse_training({"qqq": 1})
    assert str(caught.value) == "config_training: qqq: unknown key"


def test_config_built_by_hand_is_checked_as_a_dict_is():
    config = TrainingConfig(feature_columns=("a",), class_weight={1: 2.0}, init_model="m")
    assert parse_training(config) == config
    with pytest.raises(ConfigError) as caught:
        parse_training(TrainingConfig(warm_restart="worst", class_weight="heavy", seed=1.0))
    for key in ("warm_restart", "class_weight", "seed"):
        assert f"\n  {key}: got " in str(caught.value)
    with pytest.raises(ValueError, match="num_batches: got 0"):
        TrainingConfig(num_batches=0)


def test_any_mapping_will_do():
    assert parse_training(UserDict(seed=7)).seed == 7
    weights = parse_training({"class_weight": UserDict({"a": 1})}).class_weight
    assert weights == {"a": 1.0}
    assert type(weights) is dict


def test_labels_of_weights_keep_their_type():
    for label in (1, 1.0, True, "1"):
        ((kept, weight),) = parse_training({"class_weight": {label: 2}}).class_weight.items()
        assert type(kept) is type(label)
        assert type(weight) is float


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
             "class_weight": {1: 2}, "staging_dir": Path("x"), "run_dir": Path("y")}  # fmt: skip
    before = {**given, "feature_columns": list(given["feature_columns"])}
    config = parse_training(given)
    assert config.feature_columns == ("a", "b")
    assert config.memory_budget == 10**9
    assert config.class_weight == {1: 2.0}
    assert (config.staging_dir, config.run_dir) == ("x", "y")
    assert given == before
    config.class_weight[1] = 3.0
    assert given["class_weight"] == {1: 2}


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


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (tuple[int, ...], "a list, each item an integer"),
        (dict[str, float], "a dict of a text to a number"),
        (bool | None, "True or False or None"),
        (TrainingConfig, "a dict"),
        (len, "a callable"),
    ],
)
def test_types_in_words(wanted, words):
    assert describe_type(wanted) == words


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
        ({"kind": "linear", "initial_lr": 1, "total_steps": 3, "min_lr": 0.5}, None,
            schedules.Linear(initial_lr=1.0, total_steps=3, min_lr=0.5)),
        ({"kind": "constant", "per": "round"}, 0.2, schedules.Constant(initial_lr=0.2, per="round")),
        ({"kind": "step", "initial_lr": 1, "decay_rate": 1, "step_size": 1}, None,
            schedules.Step(initial_lr=1.0, decay_rate=1.0, step_size=1)),
        ({"kind": "inverse_time", "initial_lr": 1, "decay_rate": 2}, None,
            schedules.InverseTime(initial_lr=1.0, decay_rate=2.0)),
        ({"kind": "plateau", "initial_lr": 1, "decay_rate": 0.5}, None,
            schedules.Plateau(initial_lr=1.0, decay_rate=0.5, plateau_patience=1)),
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
        ({"kind": "plateau", "initial_lr": 0.1, "decay_rate": 0.5, "plateau_patience": 0}, None,
            "plateau_patience: got 0, need an integer >= 1"),
        ({"kind": "step", "initial_lr": 0.1, "decay_rate": 0.5, "step_size": 0}, None,
            "step_size: got 0, need an integer >= 1"),
        ({"kind": "cosine", "initial_lr": 0.1, "total_steps": 0}, None, "total_steps: got 0, need an"),
        ({"kind": "inverse_time", "initial_lr": 0.1, "decay_rate": 0}, None, "decay_rate: got 0.0"),
        ({"kind": "constant", "initial_lr": 0.1, "min_lr": -0.1}, None, "min_lr: got -0.1, need a"),
        ({"kind": "constant", "initial_lr": 0.1, "min_lr": math.inf}, None, "min_lr: got inf"),
        ({"initial_lr": 0.1, "decay_rate": 0.9, "min_lr": 0.2}, None,
            "min_lr: got 0.2, more than initial_lr=0.1"),
        ({"kind": "plateau", "initial_lr": 0.1, "decay_rate": 0.5, "min_lr": 0.2}, None,
            "min_lr: got 0.2, more than"),
        ({"kind": "constant", "initial_lr": math.inf}, None, "initial_lr: got inf, need a number > 0"),
        ({"kind": "constant", "initial_lr": math.nan}, None, "initial_lr: got nan"),
        ({"initial_lr": 0.1, "decay_rate": 0}, None, "decay_rate: got 0.0, need a number in (0, 1]"),
        ({"initial_lr": "0.1", "decay_rate": True}, None,
            "2 problems\n  initial_lr: got '0.1', need a number\n  decay_rate: got True, need a number"),
        ({"inital_lr": 0.1, "decay_rate": 0.9}, None, "inital_lr: unknown key (did you mean 'initial_lr'?)"),
        ({"kind": None, "initial_lr": 0.1}, None, "kind: got None, need one of exponential, constant,"),
        ({"kind": ["step"], "initial_lr": 0.1}, None, "kind: got ['step'], need one of exponential,"),
        ({"kind": float, "decay": 1}, None, "config_lr_scheduler: decay: unknown key"),
        ({"kind": float, "per": "epoch"}, None, "per: got 'epoch', need 'visit' or 'round'"),
        ({1: 2}, None, "config_lr_scheduler: key 1 is no text"),
        ({"initial_lr": 0.1, "decay_rate": 0.9}, 0.2,
            "config_model has learning_rate=0.2 and config_lr_scheduler has initial_lr=0.1: give the"),
        (float, 0.2, "config_lr_scheduler has a callable: give the learning rate in one place"),
        ("cosine", None, "got str, need a dict"),
    ],
)  # fmt: skip
def test_bad_schedules(config, learning_rate, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        schedule_of(config, learning_rate)


def test_dicts_of_the_caller_stay_as_they_are():
    scheduler = {"kind": "cosine", "initial_lr": 0.1}
    schedule_of(scheduler, 0.1)
    assert scheduler == {"kind": "cosine", "initial_lr": 0.1}
    model = {"eta": 0.1, "eval_metric": ["auc"], "enable_categorical": True, "n_estimators": 3}
    settings = parse_settings(model)
    settings.params["max_depth"] = 3
    assert model == {
        "eta": 0.1, "eval_metric": ["auc"], "enable_categorical": True, "n_estimators": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("eta", "learning_rate"), ("learning_rate", "learning_rate"), ("num_boost_round", "n_estimators"),
        ("num_round", "n_estimators"), ("iterations", "n_estimators"), ("num_iterations", "n_estimators"),
        ("n_estimators", "n_estimators"), ("random_state", "seed"), ("nthread", "n_jobs"),
        ("alpha", "reg_alpha"), ("lambda", "reg_lambda"), ("min_split_loss", "gamma"),
    ],
)  # fmt: skip
def test_every_spelling_is_understood(spelling, name):
    settings = parse_settings({spelling: 3})
    assert (getattr(settings, name) if hasattr(settings, name) else settings.params[name]) == 3
    assert spelling not in settings.params or spelling == name


def test_settings_of_xgboost_without_any():
    settings = parse_settings({})
    assert settings.n_estimators == 100
    assert settings.learning_rate is settings.early_stopping_rounds is settings.objective is None
    assert settings.metrics == ()
    assert settings.params == {}


def test_none_leaves_a_setting_to_its_default():
    given = {"eta": None, "early_stopping_rounds": None, "objective": None, "eval_metric": None}
    assert parse_settings(given) == parse_settings({})


def test_facts_about_xgboost():
    assert DEFAULT_LEARNING_RATE == 0.3
    assert CLASS_WEIGHT_KEYS == ("scale_pos_weight",)
    assert set(CLASS_WEIGHT_KEYS) < set(NAMES)


def test_two_spellings_may_agree():
    assert parse_settings({"eta": 0.1, "learning_rate": 0.1}).learning_rate == 0.1


@pytest.mark.parametrize(
    ("given", "metrics"),
    [
        (None, ()), ("auc", ("auc",)), (["auc", "logloss"], ("auc", "logloss")), (("auc",), ("auc",)),
        ([], ()),
    ],
)  # fmt: skip
def test_metrics_are_a_name_or_a_list(given, metrics):
    assert parse_settings({"eval_metric": given}).metrics == metrics


def test_all_problems_of_the_model_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_settings(
            {"callbacks": [], "booster": "dart", "n_estimators": 0, "eta": "x", "eval_metric": 3}
        )
    first, *problems = str(caught.value).split("\n  ")
    assert first == "config_model: 5 problems"
    assert [problem.partition(":")[0] for problem in problems] == [
        "callbacks", "booster", "n_estimators", "learning_rate", "eval_metric",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "key",
    ["xgb_model", "callbacks", "process_type", "feature_types", "missing", "importance_type",
        "feature_weights"],
)  # fmt: skip
def test_what_the_loop_owns_is_refused_with_its_reason(key):
    with pytest.raises(ConfigError, match=rf"^config_model: {key}: cannot be set here: '?\w+"):
        parse_settings({key: None})
    assert key not in NAMES


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
        ({"n_estimators": True}, "n_estimators: got True, need an integer"),
        ({"num_boost_round": 0.5}, "n_estimators: got 0.5, need an integer"),
        ({"eta": 0}, "learning_rate: got 0.0, need a number > 0"),
        ({"eta": math.nan}, "learning_rate: got nan, need a number > 0"),
        ({"early_stopping_rounds": 0}, "early_stopping_rounds: got 0, need a number > 0"),
        ({"early_stopping_rounds": 1.5}, "early_stopping_rounds: got 1.5, need an integer or None"),
        ({"objective": 1}, "objective: got 1, need a text, a function or None"),
        ({"n_estimators": 1, "iterations": 2}, "n_estimators=1 and iterations=2 are two spellings"),
        ({"eval_metric": 3}, "eval_metric: got 3, need the name of a metric"),
        ({"eval_metric": ["auc", None]}, "eval_metric: got None, need the name of a metric"),
        ({"early_stopping_rounds": -1}, "early_stopping_rounds: got -1"),
        ({"eval_metric": [2]}, "need the name of a metric of XGBoost, or a function"),
        ({"eval_metric": [len, len]}, "two functions are called 'len'; rename one"),
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
        ("binary:logitraw", TargetKind.BINARY, "logloss", "sigmoid"),
        ("multi:softprob", TargetKind.MULTICLASS, "mlogloss", "softmax"),
        ("reg:squaredlogerror", TargetKind.REGRESSION, "rmsle", "identity"),
        ("reg:pseudohubererror", TargetKind.REGRESSION, "mphe", "identity"),
        ("reg:quantileerror", TargetKind.REGRESSION, "quantile", "identity"),
        ("reg:gamma", TargetKind.REGRESSION, "gamma-nloglik", "exp"),
    ],
)
def test_defaults_by_objective(objective, kind, metric, link):
    config = {} if objective is None else {"objective": objective}
    settings = with_defaults(parse_settings(config), kind)
    assert settings.metrics == (metric,)
    assert link_of(settings.objective) == link
    assert target_kind(settings.objective) is kind
    # The loop knows the direction of every metric that is filled in.
    assert is_maximized(settings.metrics[-1], METRICS) is False


@pytest.mark.parametrize(
    ("kind", "objective"),
    [
        (TargetKind.BINARY, "binary:logistic"),
        (TargetKind.MULTICLASS, "multi:softprob"),
        (TargetKind.REGRESSION, "reg:squarederror"),
    ],
)
def test_objective_is_inferred_from_the_target(kind, objective):
    assert with_defaults(parse_settings({}), kind).objective == objective


def test_two_classes_may_be_trained_as_many():
    settings = with_defaults(parse_settings({"objective": "multi:softprob"}), TargetKind.BINARY)
    assert settings.metrics == ("mlogloss",)


def test_what_is_given_is_not_filled_in():
    settings = with_defaults(
        parse_settings({"objective": "multi:softmax", "eval_metric": ["auc", "merror"]}),
        TargetKind.MULTICLASS,
    )
    assert settings.objective == "multi:softmax"
    assert settings.metrics == ("auc", "merror")


def test_metric_of_tweedie_has_its_power():
    given = {"objective": "reg:tweedie", "tweedie_variance_power": 1.2}
    settings = with_defaults(parse_settings(given), TargetKind.REGRESSION)
    assert settings.metrics == ("tweedie-nloglik@1.2",)
    settings = with_defaults(
        parse_settings({**given, "objective": "count:poisson"}), TargetKind.REGRESSION
    )
    assert settings.metrics == ("poisson-nloglik",)


def test_unsupported_objectives_are_refused():
    for objective in ("rerank:ndcg", "survival:cox"):
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
    assert base_score(parse_settings({"objective": objective}), problem) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("share", "objective", "expected"),
    [
        (0.0, "binary:logistic", 1e-6),
        (1.0, "binary:logistic", 1 - 1e-6),
        (0.0, "binary:logitraw", math.log(1e-6 / (1 - 1e-6))),
        (0.0, "multi:softprob", [0.0, math.log(1e-6)]),
    ],
)
def test_intercept_is_finite_for_a_class_of_no_weight(share, objective, expected):
    problem = Problem(
        kind=TargetKind.BINARY, class_shares=(1 - share, share), column_names=(), cardinalities=(),
        seed=0,
    )  # fmt: skip
    assert base_score(parse_settings({"objective": objective}), problem) == pytest.approx(expected)


def test_outputs_of_a_problem():
    common = {"column_names": (), "cardinalities": (), "seed": 0}
    shares = (0.5, 0.25, 0.25)
    assert Problem(kind=TargetKind.MULTICLASS, class_shares=shares, **common).n_outputs == 3
    assert Problem(kind=TargetKind.BINARY, class_shares=(0.5, 0.5), **common).n_outputs == 1
    assert Problem(kind=TargetKind.REGRESSION, **common).n_outputs == 1


@pytest.mark.parametrize(
    ("objective", "mean", "expected"),
    [
        ("reg:squarederror", 3.0, 3.0), ("reg:squarederror", -3.0, -3.0), ("reg:logistic", 0.25, 0.25),
        ("reg:absoluteerror", 3.0, 2.0), ("reg:quantileerror", 3.0, 2.0), ("count:poisson", 3.0, 3.0),
        ("count:poisson", 0.0, 1e-6), ("reg:gamma", 3.0, 3.0), ("reg:tweedie", 0.0, 1e-6),
    ],
)  # fmt: skip
def test_intercept_of_numbers(objective, mean, expected):
    problem = Problem(
        kind=TargetKind.REGRESSION,
        mean=mean,
        percentiles=tuple(i / 25 for i in range(101)),
        column_names=(),
        cardinalities=(),
        seed=0,
    )
    assert base_score(parse_settings({"objective": objective}), problem) == expected
