"""What ``config_model`` means to XGBoost: spellings, refusals, and what is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from batchtrainingbooster.backends.custom import CustomObjective
from batchtrainingbooster.backends.settings import (
    EPSILON,
    WHERE,
    BoosterSettings,
    Problem,
    Vocabulary,
    clipped,
    logit,
    parse,
)
from batchtrainingbooster.core.metrics import MetricNames
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import ConfigError

# Margin, gradient and hessian of a row. Measured on 28 columns and one output: 206 bytes a row,
# where the budget counts 204.
BYTES_PER_OUTPUT = 12

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

_VOCABULARY = Vocabulary(library="XGBoost", aliases=_ALIASES, refused=_REFUSED)

_OBJECTIVES = {
    TargetKind.BINARY: ("binary:logistic", "logloss"),
    TargetKind.MULTICLASS: ("multi:softprob", "mlogloss"),
    TargetKind.REGRESSION: ("reg:squarederror", "rmse"),
    TargetKind.RANKING: ("rank:ndcg", "ndcg"),
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
    "rank:map": "map",
}

METRICS = MetricNames(
    maximized=frozenset({"auc", "aucpr", "pre", "map", "ndcg", "interval-regression-accuracy"}),
    minimized=frozenset(
        {
            "rmse", "rmsle", "mae", "mape", "mphe", "logloss", "error", "merror", "mlogloss",
            "poisson-nloglik", "gamma-nloglik", "cox-nloglik", "gamma-deviance", "tweedie-nloglik",
            "aft-nloglik", "quantile", "expectile",
        }
    ),
)  # fmt: skip

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
    """``config_model`` in canonical spelling; see ``settings.parse``."""
    params = dict(config_model)
    problems = []
    if params.get("booster", "gbtree") != "gbtree":
        problems.append(
            f"booster: got {params['booster']!r}; only 'gbtree' models can be cut back exactly to "
            "their best round"
        )
    if params.pop("enable_categorical", True) is not True:
        problems.append(
            "enable_categorical: categorical columns are always used as such; see "
            "categorical_encoding and feature_columns in config_training"
        )
    if isinstance(params.get("quantile_alpha"), list | tuple | np.ndarray):
        problems.append("quantile_alpha: train one model for each quantile")
    return parse(params, _VOCABULARY, problems)


def target_kind(objective: str) -> TargetKind:
    """The kind of target that an objective is for: two classes, two or more, numbers, or grades.

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
        "rank": TargetKind.RANKING,
    }
    if family not in kinds:
        msg = (
            f"{WHERE}: objective: {objective!r} is not supported; "
            "use a binary:, multi:, reg:, count: or rank: objective"
        )
        raise ConfigError(msg)
    return kinds[family]


def with_defaults(settings: BoosterSettings, kind: TargetKind) -> BoosterSettings:
    """The settings with objective and deciding metric filled in for this kind of target."""
    objective = settings.objective or _OBJECTIVES[kind][0]
    metrics = settings.metrics or (_default_metric(objective, settings.params, kind),)
    return attrs.evolve(settings, objective=objective, metrics=metrics)


def _default_metric(
    objective: str | CustomObjective, params: Mapping[str, Any], kind: TargetKind
) -> str:
    if objective == "reg:tweedie" and "tweedie_variance_power" in params:
        return f"tweedie-nloglik@{params['tweedie_variance_power']}"
    if isinstance(objective, str):
        if objective.startswith("multi:"):
            return "mlogloss"
        return _DEFAULT_METRICS.get(objective, _OBJECTIVES[kind][1])
    return _OBJECTIVES[kind][1]


def native_objective(settings: BoosterSettings, kind: TargetKind) -> str:
    """The objective that XGBoost is told.

    Beside a custom one it is the usual one for the target: XGBoost's metrics, and the native
    file in the plain library, then read the margins in the same way as this package.
    """
    return settings.objective if isinstance(settings.objective, str) else _OBJECTIVES[kind][0]


def link_of(objective: str) -> str:
    """Name of the inverse link from margin to prediction; see ``core.links``."""
    if objective.startswith("multi:"):
        return "softmax"
    if objective in ("binary:logistic", "binary:logitraw", "reg:logistic"):
        return "sigmoid"
    if objective == "binary:hinge":
        return "hinge"
    return "exp" if objective in _LOG_LINK else "identity"


def base_score(settings: BoosterSettings, problem: Problem) -> float | list[float]:
    """The intercept that XGBoost would otherwise estimate from its first batch."""
    objective = settings.objective
    if not isinstance(objective, str):
        # The margins of a custom objective start from 0, as in XGBoost itself.
        if problem.kind is TargetKind.MULTICLASS:
            return [0.0] * len(problem.class_shares)
        return 0.5 if problem.kind is TargetKind.BINARY else 0.0
    if objective.startswith("multi:"):
        # In the margin space, where softmax takes it back to the class shares.
        return problem.log_shares
    if problem.class_shares:
        share = problem.class_shares[1]
        if objective == "binary:logitraw":
            return logit(share)
        return 0.5 if objective == "binary:hinge" else clipped(share)
    if objective == "reg:absoluteerror":
        return problem.quantile(0.5)
    if objective == "reg:quantileerror":
        return problem.quantile(settings.params.get("quantile_alpha", 0.5))
    if objective.startswith("rank:"):
        return 0.0
    return max(problem.mean, EPSILON) if objective in _LOG_LINK else problem.mean
