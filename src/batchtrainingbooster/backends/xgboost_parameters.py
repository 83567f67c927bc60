"""What ``config_model`` means to XGBoost: spellings, refusals, and what is filled in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from batchtrainingbooster.backends.settings import WHERE, BoosterSettings, Problem, canonical
from batchtrainingbooster.core.parsing import strict
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import ConfigError

DEFAULT_LEARNING_RATE = 0.3

# Settings of XGBoost that weigh classes, as class_weight does.
CLASS_WEIGHT_KEYS = ("scale_pos_weight",)

_ALIASES = {
    "eta": "learning_rate",
    "num_boost_round": "n_estimators",
    "num_round": "n_estimators",
    "iterations": "n_estimators",
    "num_iterations": "n_estimators",
    "random_state": "seed",
    "nthread": "n_jobs",
    "alpha": "reg_alpha",
    "lambda": "reg_lambda",
    "min_split_loss": "gamma",
}

# Settings that cannot be had while batches are trained one after the other, and why.
_REFUSED = {
    "xgb_model": "give the earlier model as config_training={'init_model': ...}",
    "callbacks": "the loop has the clocks that XGBoost's callbacks would restart in each visit",
    "process_type": "'update' needs exactly as many rounds as the model has trees",
    "feature_types": "categories are found in the data; see categorical_columns in config_training",
    "missing": "missing values are nulls and NaN, everywhere",
    "importance_type": "give it to model.feature_importance() instead",
    "feature_weights": "not supported",
}

_OBJECTIVES = {
    TargetKind.BINARY: ("binary:logistic", "logloss"),
    TargetKind.MULTICLASS: ("multi:softprob", "mlogloss"),
    TargetKind.REGRESSION: ("reg:squarederror", "rmse"),
}

# https://xgboost.readthedocs.io/en/stable/parameter.html#learning-task-parameters
_DEFAULT_METRICS = {
    "binary:hinge": "error",
    "reg:squaredlogerror": "rmsle",
    "reg:pseudohubererror": "mphe",
    "reg:absoluteerror": "mae",
    "reg:quantileerror": "quantile",
    "reg:gamma": "gamma-nloglik",
    "count:poisson": "poisson-nloglik",
    "reg:tweedie": "tweedie-nloglik@1.5",
}

_LOG_LINK = ("count:poisson", "reg:gamma", "reg:tweedie")

# Names for the hints; whether a key is used is XGBoost's own word.
NAMES = (
    "base_score", "booster", "colsample_bylevel", "colsample_bynode", "colsample_bytree", "device",
    "early_stopping_rounds", "eta", "eval_metric", "gamma", "grow_policy", "huber_slope",
    "interaction_constraints", "lambda", "learning_rate", "max_bin", "max_cat_threshold",
    "max_cat_to_onehot", "max_delta_step", "max_depth", "max_leaves", "min_child_weight",
    "monotone_constraints", "multi_strategy", "n_estimators", "n_jobs", "nthread", "num_class",
    "num_parallel_tree", "objective", "quantile_alpha", "random_state", "refresh_leaf",
    "reg_alpha", "reg_lambda", "sampling_method", "scale_pos_weight", "seed",
    "seed_per_iteration", "subsample", "tree_method", "tweedie_variance_power", "verbosity",
)  # fmt: skip


def parse_settings(config_model: Mapping[str, Any]) -> BoosterSettings:
    """``config_model`` in canonical spelling.

    Raises
    ------
    ConfigError
        Listing what is of the wrong type or cannot be had here. Values and names that only
        XGBoost can judge are checked by the backend, before any data is written.
    """
    params = canonical(config_model, _ALIASES)
    problems = [
        f"{key}: cannot be set here: {reason}" for key, reason in _REFUSED.items() if key in params
    ]
    if params.get("booster", "gbtree") != "gbtree":
        problems.append(
            f"booster: got {params['booster']!r}; only 'gbtree' models can be cut back exactly to "
            "their best round"
        )
    if params.pop("enable_categorical", True) is not True:
        problems.append("enable_categorical: categorical columns are always used as such; "
                        "leave them out with feature_columns in config_training")  # fmt: skip

    def take(key: str, wanted: Any, default: Any, *, positive: bool = True) -> Any:
        if key not in params:
            return default
        value = params.pop(key)
        try:
            value = strict(value, wanted)
        except TypeError as error:
            problems.append(f"{key}: {error}")
            return default
        if positive and value is not None and not value > 0:
            problems.append(f"{key}: got {value!r}, need a number > 0")
        return value

    n_estimators = take("n_estimators", int, 100)
    learning_rate = take("learning_rate", float | None, None)
    early_stopping_rounds = take("early_stopping_rounds", int | None, None)
    objective = take("objective", str | None, None, positive=False)
    metrics = params.pop("eval_metric", None)
    if not isinstance(metrics, list | tuple):
        metrics = [] if metrics is None else [metrics]
    problems += [
        f"eval_metric: got {metric!r}, need the name of a metric of XGBoost"
        for metric in metrics
        if not isinstance(metric, str)
    ]
    if problems:
        raise ConfigError.of(WHERE, problems)
    return BoosterSettings(
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        early_stopping_rounds=early_stopping_rounds,
        objective=objective,
        metrics=tuple(metrics),
        params=params,
    )


def target_kind(objective: str) -> TargetKind:
    """The kind of target that an objective is for: two classes, two or more, or numbers.

    Raises
    ------
    ConfigError
        For objectives that are not supported.
    """
    family = objective.partition(":")[0]
    kinds = {
        "binary": TargetKind.BINARY,
        "multi": TargetKind.MULTICLASS,
        "reg": TargetKind.REGRESSION,
        "count": TargetKind.REGRESSION,
    }
    if family not in kinds:
        msg = (
            f"{WHERE}: objective: {objective!r} is not supported; "
            "use a binary:, multi:, reg: or count: objective"
        )
        raise ConfigError(msg)
    return kinds[family]


def with_defaults(settings: BoosterSettings, kind: TargetKind) -> BoosterSettings:
    """The settings with objective and deciding metric filled in for this kind of target."""
    objective = settings.objective or _OBJECTIVES[kind][0]
    metrics = settings.metrics or (_default_metric(objective, settings.params, kind),)
    return attrs.evolve(settings, objective=objective, metrics=metrics)


def _default_metric(objective: str, params: Mapping[str, Any], kind: TargetKind) -> str:
    if objective == "reg:tweedie" and "tweedie_variance_power" in params:
        return f"tweedie-nloglik@{params['tweedie_variance_power']}"
    if objective.startswith("multi:"):
        return "mlogloss"
    return _DEFAULT_METRICS.get(objective, _OBJECTIVES[kind][1])


def link_of(objective: str) -> str:
    """Name of the inverse link from margin to prediction; see ``model.links``."""
    if objective.startswith("multi:"):
        return "softmax"
    if objective in ("binary:logistic", "binary:logitraw", "reg:logistic"):
        return "sigmoid"
    if objective == "binary:hinge":
        return "hinge"
    return "exp" if objective in _LOG_LINK else "identity"


def base_score(objective: str, problem: Problem) -> float | list[float]:
    """The intercept that XGBoost would otherwise estimate from its first batch."""
    if objective.startswith("multi:"):
        # In the margin space, where softmax takes it back to the class shares.
        return [math.log(max(share, 1e-6)) for share in problem.class_shares]
    if problem.kind is not TargetKind.REGRESSION:
        share = min(max(problem.class_shares[1], 1e-6), 1 - 1e-6)
        if objective == "binary:logitraw":
            return math.log(share / (1 - share))
        return 0.5 if objective == "binary:hinge" else share
    if objective in ("reg:absoluteerror", "reg:quantileerror"):
        return problem.median
    return max(problem.mean, 1e-6) if objective in _LOG_LINK else problem.mean
