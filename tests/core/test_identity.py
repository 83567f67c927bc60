"""What makes a run another one, and how that is said."""

import math

import attrs
import numpy as np
import pytest

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.core.config import DECIDE_ABOUT_THE_MODEL, TrainingConfig
from batchtrainingbooster.core.identity import differences, in_words
from batchtrainingbooster.core.redaction import without_secrets
from batchtrainingbooster.core.request import parse_request

# Settings that say which rows go where: ``data.staging.staged_identity`` holds what follows from
# them.
STAGED = {
    "num_batches", "memory_budget", "seed", "weight_column", "feature_columns",
    "categorical_columns", "group_column", "validation_fraction",
}  # fmt: skip
# They change nothing about the model; the earlier model counts by its bytes.
ASIDE = {
    "allow_precision_loss", "staging_dir", "checkpoint_dir", "checkpoint_every", "resume",
    "run_dir", "init_model", "show_learning_curve", "callbacks", "callbacks_strict", "verbosity",
}  # fmt: skip


def test_every_setting_decides_about_the_model_or_the_batches_or_nothing():
    fields = [field.name for field in attrs.fields(TrainingConfig)]
    assert sorted([*DECIDE_ABOUT_THE_MODEL, *STAGED, *ASIDE]) == sorted(fields)


OTHERS = {
    "num_epochs": 2,
    "strategy": "external_memory",
    "num_workers": 2,
    "max_patience": 4,
    "min_delta": 0.5,
    "maximize": False,
    "warm_restart": "last",
    "class_weight": {"a": 2.0},
    "categorical_encoding": "ordinal",
}


def identity(config_model=None, config_training=None, schedule=None):
    config_model = {"n_estimators": 5, "eval_metric": "auc", **(config_model or {})}
    return parse_request("xgboost", config_model, config_training, schedule).identity


@pytest.mark.parametrize("key", DECIDE_ABOUT_THE_MODEL)
def test_another_setting_makes_another_run(key):
    changes = {"maximize": True} if key == "maximize" else {}
    found = differences(identity({}, changes), identity({}, {**changes, key: OTHERS[key]}))
    assert len(found) == 1
    assert found[0].startswith(f"config_training.{key}")


@pytest.mark.parametrize("key", sorted(ASIDE - {"init_model"}))
def test_settings_that_change_nothing_make_no_other_run(key):
    others = {"checkpoint_every": 3, "resume": "must", "verbosity": 0, "callbacks": [Callback()]}
    value = others.get(key, "x" if "_dir" in key else True)
    assert differences(identity(), identity({}, {key: value})) == []


def first_objective(y_true, margins):
    return margins - y_true, np.ones_like(margins)


def second_objective(y_true, margins):
    return margins - y_true, np.ones_like(margins)


@pytest.mark.parametrize(
    ("then", "now", "message"),
    [
        ({"max_depth": 3}, {"max_depth": 4}, "config_model.max_depth: 3 then, 4 now"),
        ({"max_depth": 3}, {}, "config_model.max_depth: 3 then, absent now"),
        ({"eta": 0.1}, {"learning_rate": 0.1}, None),
        ({"max_depth": 3}, {"max_depth": np.int64(3)}, None),
        ({"eval_metric": ["auc", "logloss"]}, {"eval_metric": ["logloss", "auc"]}, "eval_metric"),
        ({"objective": first_objective}, {"objective": first_objective}, None),
        (
            {"objective": first_objective},
            {"objective": second_objective},
            "objective: 'custom:first_objective' then, 'custom:second_objective' now",
        ),
    ],
)
def test_model_settings_count_by_meaning_and_functions_by_name(then, now, message):
    found = in_words(differences(identity(then), identity(now)))
    assert message in found if message else found == ""


def test_schedule_counts():
    schedules = [
        {"initial_lr": 0.1, "decay_rate": 0.9},
        {"initial_lr": 0.1, "decay_rate": 0.8},
        lambda visit: 0.1,
    ]
    spelled_out = {"kind": "exponential", "per": "visit", **schedules[0]}
    assert differences(identity(schedule=schedules[0]), identity(schedule=spelled_out)) == []
    found = differences(identity(schedule=schedules[0]), identity(schedule=schedules[1]))
    assert found == ["config_lr_scheduler.decay_rate: 0.9 then, 0.8 now"]
    assert differences(identity(schedule=schedules[0]), identity(schedule=schedules[2]))


def test_differences_name_paths_and_both_values():
    then = {"a": {"b": [1, 2], "c": 1.0}, "gone": None, "same": math.nan}
    now = {"a": {"b": (1, 3), "c": 1.0}, "new": "x" * 500, "same": math.nan}
    found = differences(then, now)
    assert found[:2] == ["a.b: [1, 2] then, [1, 3] now", "gone: None then, absent now"]
    assert found[2].startswith("new: absent then, 'xxx")
    assert len(found[2]) < 120
    assert differences(now | {"a": {"b": [1, 3], "c": 1.0}}, now) == []
    assert in_words(["a", "b", "c", "d", "e"]) == "a; b; c; and 2 more"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://AKIA:wJ/al/r@bucket/a", "s3://***@bucket/a"),
        ("hdfs://name:8020/a/b", "hdfs://name:8020/a/b"),
        ("s3://AKIA:secret@bucket/a", "s3://***@bucket/a"),
        ("jdbc:x://me:p@ss@host/db?password=hidden&ssl=true", "jdbc:x://***@host/db?password=***&ssl=true"),
        ("abfs://container@account.net/a", "abfs://container@account.net/a"),
        ("s3://b/k?X-Amz-Signature=abc&AWSSecretAccessKey=def", "s3://b/k?X-Amz-Signature=***&AWSSecretAccessKey=***"),
        ("/a/b:c@d", "/a/b:c@d"),
        ("", ""),
    ],
)  # fmt: skip
def test_secrets_are_hidden_and_nothing_else(text, shown):
    assert without_secrets(text) == shown
    assert without_secrets(f"failed: {text} twice {text}") == f"failed: {shown} twice {shown}"


def test_configs_that_are_written_down_hold_no_secret():
    request = parse_request(
        "xgboost", {}, {"staging_dir": "s3://AKIA:secret@bucket/a?token=secret"}, None
    )
    assert "secret" not in repr(request.given)


def test_callbacks_are_written_down_by_their_class_alone():
    @attrs.define
    class Notify(Callback):
        url: str

    given = parse_request(
        "xgboost", {}, {"callbacks": [Notify("postgres://me:hunter2@db"), Callback()]}, None
    ).given
    assert [name.rpartition(".")[2] for name in given["config_training"]["callbacks"]] == [
        "Notify", "Callback",
    ]  # fmt: skip
    assert "hunter2" not in str(given)
