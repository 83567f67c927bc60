"""What ``config_model`` means to CatBoost: spellings, refusals, and what is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from batchtrainingbooster.backends.catboost_callbacks import Loss, Metric
from batchtrainingbooster.backends.custom import CustomMetric, CustomObjective
from batchtrainingbooster.backends.settings import (
    WHERE,
    BoosterSettings,
    Problem,
    Vocabulary,
    known_objective,
    parse,
)
from batchtrainingbooster.core.metrics import MetricNames
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import ConfigError

# Doubles, in several copies. Measured on 28 columns: 248 bytes a row with one output, 738 with
# five, where the budget counts 322 and 842.
BYTES_PER_OUTPUT = 130

# CatBoost's own, where it does not choose one by the rows of the batch.
DEFAULT_LEARNING_RATE = 0.03

# Settings of CatBoost that weigh classes, as class_weight does.
CLASS_WEIGHT_KEYS = ("scale_pos_weight", "class_weights")

# https://catboost.ai/docs/en/references/training-parameters/
_SPELLINGS = {
    "n_estimators": "iterations num_boost_round num_trees",
    "learning_rate": "eta",
    "early_stopping_rounds": "od_wait",
    "objective": "loss_function",
    "random_seed": "random_state seed",
    "thread_count": "n_jobs nthread",
    "depth": "max_depth",
    "l2_leaf_reg": "reg_lambda",
    "rsm": "colsample_bylevel",
    "border_count": "max_bin",
    "min_data_in_leaf": "min_child_samples",
    "max_leaves": "num_leaves",
}
_ALIASES = {alias: name for name, aliases in _SPELLINGS.items() for alias in aliases.split()}

_CLASSES = "classes are found in the data"
_CLOCKS = "the loop has the clocks that CatBoost's own would restart in each visit"
_CATEGORIES = "see categorical_columns in config_training"
_REFUSED = {
    "init_model": "give the earlier model as config_training={'init_model': ...}",
    "cat_features": f"categories are found in the data; {_CATEGORIES}",
    "text_features": "text columns cannot be trained on batch by batch, as each batch would have a "
    "vocabulary of its own; turn them into numbers, or leave them out with feature_columns in "
    "config_training",
    "embedding_features": "give an array or vector column: its numbers are features",
    "class_names": _CLASSES,
    "classes_count": _CLASSES,
    "auto_class_weights": "it would weigh each batch by itself; see class_weight in "
    "config_training",
    "custom_metric": "list all metrics in eval_metric; the last one decides",
    "custom_loss": "list all metrics in eval_metric; the last one decides",
    "metric_period": "metrics are needed in every round",
    "callbacks": _CLOCKS,
    "od_type": _CLOCKS,
    "od_pval": _CLOCKS,
    "use_best_model": "the best round is found over the whole run",
    "best_model_min_trees": "the best round is found over the whole run",
    "save_snapshot": _CLOCKS,
    "snapshot_file": _CLOCKS,
    "snapshot_interval": _CLOCKS,
    "model_shrink_rate": "CatBoost forgets it when it continues a model",
    "model_shrink_mode": "CatBoost forgets it when it continues a model",
    "posterior_sampling": "CatBoost cannot continue such a model",
    "langevin": "CatBoost cannot continue such a model",
    "diffusion_temperature": "CatBoost cannot continue such a model",
    "eval_fraction": "see validation_fraction in config_training",
    "ignored_features": "see feature_columns in config_training",
    "input_borders": "one set of borders is made from a sample of all batches",
    "feature_weights": "not supported",
}

_VOCABULARY = Vocabulary(library="CatBoost", aliases=_ALIASES, refused=_REFUSED)

_BINARY, _MULTICLASS = TargetKind.BINARY, TargetKind.MULTICLASS
_REGRESSION, _RANKING = TargetKind.REGRESSION, TargetKind.RANKING

# name: (kind of target, link, steps in a leaf: CatBoost's own choice depends on the batch)
_OBJECTIVES = {
    "Logloss": (_BINARY, "sigmoid", 10),
    "MultiClass": (_MULTICLASS, "softmax", 1),
    "MultiClassOneVsAll": (_MULTICLASS, "one_vs_all", 1),
    "RMSE": (_REGRESSION, "identity", 1),
    "MAE": (_REGRESSION, "identity", 1),
    "Quantile": (_REGRESSION, "identity", 1),
    "Huber": (_REGRESSION, "identity", 1),
    "Poisson": (_REGRESSION, "exp", 10),
    "Tweedie": (_REGRESSION, "exp", 1),
    "LogCosh": (_REGRESSION, "identity", 1),
    "MAPE": (_REGRESSION, "identity", 1),
    "Expectile": (_REGRESSION, "identity", 5),
    "Lq": (_REGRESSION, "identity", 1),
    "CrossEntropy": (_REGRESSION, "sigmoid", 10),
    "YetiRank": (_RANKING, "identity", 1),
    "YetiRankPairwise": (_RANKING, "identity", 1),
    "StochasticRank": (_RANKING, "identity", 1),
    "QueryRMSE": (_RANKING, "identity", 1),
    "QuerySoftMax": (_RANKING, "identity", 1),
    "PairLogit": (_RANKING, "identity", 10),
    "PairLogitPairwise": (_RANKING, "identity", 1),
}
_DEFAULT_OBJECTIVES = {
    _BINARY: "Logloss", _MULTICLASS: "MultiClass", _REGRESSION: "RMSE", _RANKING: "YetiRank",
}  # fmt: skip

METRICS = MetricNames(
    maximized=frozenset(
        {
            "AUC", "QueryAUC", "PRAUC", "Accuracy", "BalancedAccuracy", "F1", "F", "TotalF1",
            "Precision", "Recall", "Kappa", "WKappa", "MCC", "NormalizedGini", "R2", "NDCG", "DCG",
            "FilteredDCG", "MAP", "MRR", "ERR", "PFound", "PrecisionAt", "RecallAt", "AverageGain",
            "QueryAverage", "PairAccuracy",
        }
    ),
    minimized=frozenset(
        {
            "Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll", "ZeroOneLoss",
            "HammingLoss", "HingeLoss", "BalancedErrorRate", "BrierScore", "RMSE", "MAE", "MAPE",
            "SMAPE", "MSLE", "MedianAbsoluteError", "Quantile", "Huber", "Poisson", "Tweedie",
            "LogCosh", "Expectile", "Lq", "FairLoss", "LogLinQuantile", "NumErrors", "QueryRMSE",
            "QuerySoftMax", "PairLogit", "PairLogitPairwise",
        }
    ),
)  # fmt: skip

# Names for the hints; whether a key is known is CatBoost's own word.
NAMES = (
    *_SPELLINGS, *_ALIASES, "bagging_temperature", "bootstrap_type", "boost_from_average",
    "boosting_type", "class_weights", "eval_metric", "feature_border_type", "grow_policy",
    "leaf_estimation_backtracking", "leaf_estimation_iterations", "leaf_estimation_method",
    "max_ctr_complexity", "monotone_constraints", "nan_mode", "one_hot_max_size",
    "penalties_coefficient", "random_strength", "sampling_frequency", "scale_pos_weight",
    "score_function", "simple_ctr", "subsample", "task_type", "verbose",
)  # fmt: skip


def parse_settings(config_model: Mapping[str, Any]) -> BoosterSettings:
    """``config_model`` in canonical spelling; see ``settings.parse``."""
    problems = []
    if str(config_model.get("task_type", "CPU")).upper() != "CPU":
        problems.append(
            f"task_type: got {config_model['task_type']!r}: CatBoost continues a model on 'CPU' "
            "only; leave it out"
        )
    if config_model.get("grow_policy", "SymmetricTree") != "SymmetricTree":
        problems.append(
            f"grow_policy: got {config_model['grow_policy']!r}; CatBoost can cut only "
            "'SymmetricTree' models back to their best round"
        )
    return parse(config_model, _VOCABULARY, problems)


def target_kind(objective: str) -> TargetKind:
    """The kind of target that an objective is for: two classes, two or more, numbers, or grades.

    Raises
    ------
    ConfigError
        For objectives that are not supported.
    """
    return known_objective(objective, objective.partition(":")[0], _OBJECTIVES)[0]


def with_defaults(settings: BoosterSettings, kind: TargetKind) -> BoosterSettings:
    """The settings with objective and deciding metric filled in for this kind of target.

    Raises
    ------
    ConfigError
        If CatBoost cannot take a function.
    """
    objective = settings.objective or _DEFAULT_OBJECTIVES[kind]
    default = objective if isinstance(objective, str) else _DEFAULT_OBJECTIVES[kind]
    metrics = settings.metrics or ("NDCG" if kind is _RANKING else default,)
    settings = attrs.evolve(settings, objective=objective, metrics=metrics)
    if not isinstance(objective, str) and kind in (_MULTICLASS, _RANKING):
        msg = (
            f"{WHERE}: objective: CatBoost calls a function row by row for a {kind} target; "
            "use one of its own objectives"
        )
        raise ConfigError(msg)
    if len(settings.custom_metrics) > 1 or (
        settings.custom_metrics and isinstance(metrics[-1], str)
    ):
        msg = f"{WHERE}: eval_metric: CatBoost takes one function, and it must be the last metric"
        raise ConfigError(msg)
    return settings


def link_of(objective: str) -> str:
    """Name of the inverse link from margin to prediction; see ``core.links``."""
    return _OBJECTIVES[objective.partition(":")[0]][1]


def one_hot_max_size(objective: object) -> int:
    """The largest dictionary that is split by its categories, and not by statistics of the target.

    CatBoost's own is 2. Its statistics come from one batch, and are lost in part when models are
    put together; on the flights of the demo, 255 gives the better model.
    """
    # The pairwise objectives cannot have such splits.
    return 1 if isinstance(objective, str) and "Pairwise" in objective else 255


def leaf_iterations(objective: str | None) -> int:
    """Steps in which a leaf's value is found."""
    return _OBJECTIVES[objective.partition(":")[0]][2] if objective else 1


def on_train_too(metric: str) -> str:
    """CatBoost leaves costly metrics out on the training rows, unless told otherwise."""
    return f"{metric}{';' if ':' in metric else ':'}hints=skip_train~false"


def printed_name(metric: str, printed: Any) -> str:
    """CatBoost's spelling of a metric, which may name more arguments."""
    name, _, arguments = metric.partition(":")
    wanted = {item for item in arguments.split(";") if item}
    names = [
        other
        for other in printed
        if other.partition(":")[0] == name and wanted <= set(other.partition(":")[2].split(";"))
    ]
    return min(names, key=len, default=metric)


def native_params(settings: BoosterSettings, problem: Problem, link: str) -> dict[str, Any]:
    """``config_model`` and what CatBoost would choose by the rows of a batch, for its ``fit``."""
    objective, metric = settings.objective, settings.metrics[-1]
    n_classes = len(problem.class_shares)
    params: dict[str, Any] = {
        "random_seed": problem.seed,
        "verbose": False,
        "allow_writing_files": False,
        "nan_mode": "Min",
        "one_hot_max_size": one_hot_max_size(objective),
        "allow_const_label": True,
        **settings.params,
        "use_best_model": False,
    }
    if n_classes:
        params["class_names"] = list(range(n_classes))
    if isinstance(objective, CustomObjective):
        params["loss_function"] = Loss(objective)
        params.setdefault("leaf_estimation_iterations", 1)
        params.setdefault("leaf_estimation_method", "Newton")
    else:
        params["loss_function"] = objective
        params.setdefault("leaf_estimation_iterations", leaf_iterations(objective))
    if isinstance(metric, CustomMetric):
        # CatBoost prints the name of the class.
        params["eval_metric"] = type(metric.name, (Metric,), {})(metric, link)
    else:
        params["eval_metric"] = on_train_too(metric)
    params["custom_metric"] = [
        on_train_too(name) for name in settings.own_metrics if name != metric
    ]
    return params
