"""What ``config_model`` means to LightGBM: spellings, refusals, and what is filled in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from batchtrainingbooster.backends.custom import CustomMetric
from batchtrainingbooster.backends.settings import (
    EPSILON,
    WHERE,
    BoosterSettings,
    Problem,
    Vocabulary,
    canonical,
    known_objective,
    logit,
    parse,
)
from batchtrainingbooster.core.metrics import MetricNames
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import ConfigError

# Margin, gradient and hessian of a row. Measured on 28 columns: 44 bytes a row with one output, 116
# with five, where the budget counts 204 and 252.
BYTES_PER_OUTPUT = 12

DEFAULT_LEARNING_RATE = 0.1

# Settings of LightGBM that weigh classes, as class_weight does.
CLASS_WEIGHT_KEYS = ("scale_pos_weight", "is_unbalance")

# https://lightgbm.readthedocs.io/en/stable/Parameters.html
_SPELLINGS = {
    "n_estimators": "num_iterations num_iteration n_iter num_tree num_trees num_round num_rounds "
    "nrounds num_boost_round max_iter iterations",
    "learning_rate": "shrinkage_rate eta",
    "early_stopping_rounds": "early_stopping_round early_stopping n_iter_no_change",
    "objective": "objective_type app application loss",
    "eval_metric": "metric metrics metric_types",
    "seed": "random_seed random_state",
    "num_threads": "num_thread nthread nthreads n_jobs",
    "boosting": "boosting_type boost",
    "data_sample_strategy": "",
    "is_unbalance": "unbalance unbalanced_sets",
    "num_class": "num_classes",
    "lambda_l2": "reg_lambda lambda l2_regularization",
    "verbosity": "verbose",
    "eval_at": "ndcg_eval_at ndcg_at map_eval_at map_at",
    "linear_tree": "linear_trees",
    "init_model": "input_model model_input model_in",
    "categorical_feature": "cat_feature categorical_column cat_column categorical_features",
    "weight_column": "weight",
    "group_column": "group group_id query_column query query_id",
    "label_column": "label",
    "ignore_column": "ignore_feature blacklist",
}
_ALIASES = {alias: name for name, aliases in _SPELLINGS.items() for alias in aliases.split()}

_IN_TRAINING = "name it in config_training"
_REFUSED = {
    "init_model": "give the earlier model as config_training={'init_model': ...}",
    "categorical_feature": "categories are found in the data; see categorical_columns in "
    "config_training",
    "weight_column": _IN_TRAINING,
    "group_column": _IN_TRAINING,
    "label_column": "it is the target_column of fit",
    "ignore_column": "see feature_columns in config_training",
    "class_weight": _IN_TRAINING,
    "callbacks": "the loop has the clocks that LightGBM's callbacks would restart in each visit",
    "first_metric_only": "the last metric of eval_metric decides",
    "early_stopping_min_delta": "see min_delta in config_training",
    "linear_tree": "linear trees cannot be continued",
    "reg_sqrt": "transform the target instead",
    "sigmoid": "only the default of 1 is supported",
    "importance_type": "give it to model.feature_importance() instead",
    "num_machines": "every visit is trained on this machine",
}

_VOCABULARY = Vocabulary(library="LightGBM", aliases=_ALIASES, refused=_REFUSED)

_BINARY, _MULTICLASS = TargetKind.BINARY, TargetKind.MULTICLASS
_REGRESSION, _RANKING = TargetKind.REGRESSION, TargetKind.RANKING

# name: (kind of target, link, metric, other spellings)
_OBJECTIVES = {
    "binary": (_BINARY, "sigmoid", "binary_logloss", ""),
    "multiclass": (_MULTICLASS, "softmax", "multi_logloss", "softmax"),
    "multiclassova": (
        _MULTICLASS, "one_vs_all", "multi_logloss", "multiclass_ova ova ovr",
    ),
    "regression": (
        _REGRESSION, "identity", "l2",
        "regression_l2 l2 mean_squared_error mse l2_root root_mean_squared_error rmse",
    ),
    "regression_l1": (_REGRESSION, "identity", "l1", "l1 mean_absolute_error mae"),
    "huber": (_REGRESSION, "identity", "huber", ""),
    "fair": (_REGRESSION, "identity", "fair", ""),
    "poisson": (_REGRESSION, "exp", "poisson", ""),
    "quantile": (_REGRESSION, "identity", "quantile", ""),
    "mape": (_REGRESSION, "identity", "mape", "mean_absolute_percentage_error"),
    "gamma": (_REGRESSION, "exp", "gamma", ""),
    "tweedie": (_REGRESSION, "exp", "tweedie", ""),
    "cross_entropy": (_REGRESSION, "sigmoid", "cross_entropy", "xentropy"),
    "lambdarank": (_RANKING, "identity", "ndcg", ""),
    "rank_xendcg": (
        _RANKING, "identity", "ndcg", "xendcg xe_ndcg xe_ndcg_mart xendcg_mart",
    ),
}  # fmt: skip
_OBJECTIVE_ALIASES = {
    alias: name for name, (*_, aliases) in _OBJECTIVES.items() for alias in aliases.split()
}
_DEFAULT_OBJECTIVES = {
    _BINARY: "binary", _MULTICLASS: "multiclass", _REGRESSION: "regression", _RANKING: "lambdarank",
}  # fmt: skip

# Beside an objective of the user's own, LightGBM reads margins as predictions: of its metrics for
# classes, only those of the order are then right.
_METRICS_OF_ORDER = ("auc", "auc_mu", "average_precision")
_METRICS_BESIDE_CUSTOM = {_BINARY: "auc", _MULTICLASS: "auc_mu"}

METRICS = MetricNames(
    maximized=frozenset({"auc", "auc_mu", "average_precision", "ndcg", "map"}),
    minimized=frozenset(
        {
            "l1", "l2", "rmse", "quantile", "mape", "huber", "fair", "poisson", "gamma", "tweedie",
            "gamma_deviance", "binary_logloss", "binary_error", "multi_logloss", "multi_error",
            "cross_entropy", "cross_entropy_lambda", "kullback_leibler",
        }
    ),
)  # fmt: skip
_METRIC_SPELLINGS = {
    "l1": "mean_absolute_error mae regression_l1",
    "l2": "mean_squared_error mse regression_l2 regression",
    "rmse": "root_mean_squared_error l2_root",
    "mape": "mean_absolute_percentage_error",
    "ndcg": "lambdarank rank_xendcg xendcg xe_ndcg xe_ndcg_mart xendcg_mart",
    "map": "mean_average_precision",
    "binary_logloss": "binary logloss",
    "multi_logloss": "multiclass softmax multiclassova multiclass_ova ova ovr mlogloss",
    "cross_entropy": "xentropy",
    "kullback_leibler": "kldiv",
}
_METRIC_ALIASES = {a: name for name, aliases in _METRIC_SPELLINGS.items() for a in aliases.split()}

# Names for the hints; whether a key is known is LightGBM's own word.
NAMES = (
    *_SPELLINGS, *_ALIASES, "alpha", "bagging_fraction", "bagging_freq", "cat_l2", "cat_smooth",
    "colsample_bytree", "extra_trees", "feature_fraction", "feature_fraction_bynode",
    "force_col_wise", "interaction_constraints", "lambda_l1", "max_bin",
    "max_cat_threshold", "max_cat_to_onehot", "max_depth", "min_child_samples",
    "min_child_weight", "min_data_in_bin", "min_data_in_leaf", "min_data_per_group",
    "min_gain_to_split", "min_split_gain", "min_sum_hessian_in_leaf", "monotone_constraints",
    "num_leaves", "path_smooth", "reg_alpha", "scale_pos_weight", "subsample",
    "subsample_freq", "tree_learner", "tweedie_variance_power",
)  # fmt: skip


def parse_settings(config_model: Mapping[str, Any]) -> BoosterSettings:
    """``config_model`` in canonical spelling; see ``settings.parse``."""
    params = canonical(config_model, _ALIASES)
    problems = []
    if params.get("boosting", "gbdt") not in ("gbdt", "gbrt", "goss"):
        problems.append(
            f"boosting: got {params['boosting']!r}; only 'gbdt' models can be cut back exactly to "
            "their best round"
        )
    settings = parse(params, _VOCABULARY, problems)
    metrics: list[str | CustomMetric] = []
    at: list[int] = []
    for metric in settings.metrics:
        if not isinstance(metric, str):
            metrics.append(metric)
            continue
        # ndcg@5, as XGBoost spells it, and LightGBM in what it prints
        name, _, position = metric.partition("@")
        metrics.append(_METRIC_ALIASES.get(name, name))
        at += [int(position)] if position.isdigit() else []
    objective = settings.objective
    if isinstance(objective, str):
        objective = _OBJECTIVE_ALIASES.get(objective, objective)
    return attrs.evolve(
        settings,
        objective=objective,
        metrics=tuple(dict.fromkeys(metrics)),
        params={**settings.params, **({"eval_at": at} if at else {})},
    )


def target_kind(objective: str) -> TargetKind:
    """The kind of target that an objective is for: two classes, two or more, numbers, or grades.

    Raises
    ------
    ConfigError
        For objectives that are not supported.
    """
    return known_objective(objective, objective, _OBJECTIVES)[0]


def with_defaults(settings: BoosterSettings, kind: TargetKind) -> BoosterSettings:
    """The settings with objective and deciding metric filled in for this kind of target.

    Raises
    ------
    ConfigError
        If a metric of LightGBM cannot be had beside an objective of the user's own.
    """
    objective = settings.objective or _DEFAULT_OBJECTIVES[kind]
    if isinstance(objective, str):
        metrics = settings.metrics or (_OBJECTIVES[objective][2],)
        return attrs.evolve(settings, objective=objective, metrics=metrics)
    default = _OBJECTIVES[_DEFAULT_OBJECTIVES[kind]][2]
    metrics = settings.metrics or (_METRICS_BESIDE_CUSTOM.get(kind, default),)
    settings = attrs.evolve(settings, objective=objective, metrics=metrics)
    wrong = [metric for metric in settings.own_metrics if metric not in _METRICS_OF_ORDER]
    if wrong and kind in _METRICS_BESIDE_CUSTOM:
        msg = (
            f"{WHERE}: eval_metric: {wrong[0]!r} of LightGBM takes the margins of a custom "
            f"objective for probabilities; use {', '.join(_METRICS_OF_ORDER)}, or a function"
        )
        raise ConfigError(msg)
    return settings


def link_of(objective: str) -> str:
    """Name of the inverse link from margin to prediction; see ``core.links``."""
    return _OBJECTIVES[objective][1]


def base_scores(settings: BoosterSettings, problem: Problem) -> list[float]:
    """The margins, by output, that LightGBM would otherwise estimate from its first batch."""
    objective, kind = settings.objective, problem.kind
    is_off = settings.params.get("boost_from_average") is False
    if is_off or kind is _RANKING or not isinstance(objective, str):
        return [0.0] * problem.n_outputs
    if objective == "multiclass":
        return problem.log_shares
    if objective == "multiclassova":
        return [logit(share) for share in problem.class_shares]
    if kind is _BINARY:
        return [logit(problem.class_shares[1])]
    if objective == "cross_entropy":
        return [logit(problem.mean)]
    if objective in ("poisson", "gamma", "tweedie"):
        return [math.log(max(problem.mean, EPSILON))]
    if objective in ("regression_l1", "mape"):
        return [problem.quantile(0.5)]
    if objective == "quantile":
        return [problem.quantile(float(settings.params.get("alpha", 0.9)))]
    return [problem.mean]
