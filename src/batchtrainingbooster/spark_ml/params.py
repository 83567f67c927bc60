"""The settings of a run as Params of Spark ML: one line for each.

A Param of ``config_training`` has the name of its key in camel case, and its type and default; a
test holds the two to each other. What it does with a value is the trainers' business.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, Self

import attrs
from pyspark.ml.param import Param, Params
from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasSeed,
    HasValidationIndicatorCol,
    HasWeightCol,
)

from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.parsing import strict
from batchtrainingbooster.errors import ConfigError, did_you_mean

# Keys of config_training that are no Params, and why.
LEFT_OUT = {
    "callbacks": "objects that cannot be saved, nor told of several fits at once",
    "callbacks_strict": "see callbacks",
    "show_learning_curve": "a search would show one for every fit; model.plot_learning_curve()",
}
# Keys that have the name of Spark ML's own Param.
NAMED_AS_IN_SPARK = {
    "feature_columns": "featuresCol",
    "weight_column": "weightCol",
    "categorical_columns": "categoricalCols",
    "group_column": "groupCol",
}
# Keys of config_model, which every booster understands in this spelling.
BOOSTER_KEYS = (
    "n_estimators", "max_depth", "learning_rate", "objective", "eval_metric",
    "early_stopping_rounds",
)  # fmt: skip

_FIELDS = attrs.fields_dict(attrs.resolve_types(TrainingConfig))


def param_name(key: str) -> str:
    """The Param of a key.

    Examples
    --------
    >>> param_name("num_batches"), param_name("weight_column")
    ('numBatches', 'weightCol')
    """
    first, *others = key.split("_")
    return NAMED_AS_IN_SPARK.get(key, first + "".join(map(str.capitalize, others)))


def _param(name: str, wanted: Any, doc: str) -> Param:
    """A Param that takes what the trainers take, and numbers of numpy, of which grids are made."""
    convert = partial(_converted, name, wanted)
    return Param(Params._dummy(), name, doc, convert)  # noqa: SLF001 - as all Params are declared


def _converted(name: str, wanted: Any, value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    if name == "classWeight" and isinstance(value, dict):
        # JSON, which saves them, has keys of text alone; the trainers refuse other texts.
        with suppress(ValueError):
            value = {float(label): weight for label, weight in value.items()}
    return strict(value, wanted)


def _training(key: str, doc: str) -> Param:
    wanted = _FIELDS[key].type
    # Sizes such as "4GB" are read by the trainers.
    return _param(param_name(key), wanted | str if key == "memory_budget" else wanted, doc)


def _booster(key: str, wanted: Any, doc: str) -> Param:
    return _param(param_name(key), wanted | None, doc)


class WithAccessors(Params):
    """Gives every Param of a class its setter and getter."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in param_names(cls):
            for make in (_setter, _getter):
                method = make(name)
                if not hasattr(cls, method.__name__):
                    setattr(cls, method.__name__, method)

    def setParams(self, **params: Any) -> Self:
        """Set several Params by name.

        Raises
        ------
        ConfigError
            If there is none of a name.
        """
        names = [param.name for param in self.params]
        for name in params:
            if name not in names:
                msg = f"{type(self).__name__}: no Param {name!r}{did_you_mean(name, names)}"
                raise ConfigError(msg)
        self._set(**params)
        return self

    def named_column(self, name: str) -> str | None:
        """The value of a Param that names a column; as in Spark, an empty one names none."""
        return self.getOrDefault(name) or None if self.isDefined(name) else None


def param_names(cls: type) -> list[str]:
    """Names of all Params of a class, sorted."""
    return [name for name in dir(cls) if isinstance(getattr(cls, name, None), Param)]


def _setter(name: str) -> Callable[..., Any]:
    def setter(self: Any, value: Any) -> Any:
        return self._set(**{name: value})

    setter.__name__ = f"set{name[0].upper()}{name[1:]}"
    setter.__doc__ = f"Set ``{name}``; returns the object itself."
    return setter


def _getter(name: str) -> Callable[..., Any]:
    def getter(self: Any) -> Any:
        return self.getOrDefault(name)

    getter.__name__ = f"get{name[0].upper()}{name[1:]}"
    getter.__doc__ = f"The value of ``{name}``, or its default."
    return getter


class FeatureParams(HasFeaturesCol):
    """The features: a vector column, or several columns."""

    featuresCol = _param(
        "featuresCol",
        str | list | tuple,
        "features column name, of a vector or array; or a list of columns, of which strings are "
        "categories.",
    )

    def feature_names(self) -> list[str]:
        """The columns, in their order."""
        given = self.getOrDefault("featuresCol")
        return [given] if isinstance(given, str) else list(given)


class TrainingParams(WithAccessors, FeatureParams, HasLabelCol, HasPredictionCol, HasSeed,
                     HasValidationIndicatorCol):  # fmt: skip
    """What all estimators take."""

    numBatches = _training(
        "num_batches",
        "batches that the training rows are split into; from memoryBudget if not set, else 10.",
    )
    memoryBudget = _training(
        "memory_budget",
        "Python memory that training may use, in bytes or as '4GB': the fewest batches that fit.",
    )
    numEpochs = _training("num_epochs", "passes over all batches.")
    strategy = _training(
        "strategy",
        "'incremental': one batch after the other; 'external_memory' (XGBoost): every tree sees "
        "every row.",
    )
    numWorkers = _training(
        "num_workers", "tasks of Spark's that train each visit together (XGBoost); else none do."
    )
    seed = _training("seed", "decides the batches, their order, and the booster's sampling.")
    maxPatience = _training(
        "max_patience", "visits to a batch without improvement after which training stops."
    )
    minDelta = _training("min_delta", "smallest gain that counts as improvement.")
    maximize = _training(
        "maximize", "whether a larger metric is better; for a metric that is a function."
    )
    warmRestart = _training(
        "warm_restart",
        "after a visit that did not help, go on from the 'best' model, or keep its trees: 'last'.",
    )
    categoricalCols = _training(
        "categorical_columns",
        "of several feature columns, integers or booleans to use as categories.",
    )
    categoricalEncoding = _training(
        "categorical_encoding",
        "'native', or 'ordinal': positions in the sorted dictionary, as numbers.",
    )
    validationFraction = _training(
        "validation_fraction",
        "share of the rows, stratified, held out for validation; instead of "
        "validationIndicatorCol.",
    )
    allowPrecisionLoss = _training(
        "allow_precision_loss", "accept integers that float32 cannot hold."
    )
    stagingDir = _training(
        "staging_dir",
        "path or URI, which Spark and this process both reach; each fit stages its batches in a "
        "folder of its own there, and removes it.",
    )
    checkpointDir = _training(
        "checkpoint_dir",
        "path or URI for what a fit needs to go on after it was interrupted; not for a search, "
        "whose fits would take one another's.",
    )
    checkpointEvery = _training("checkpoint_every", "visits from one checkpoint to the next.")
    resume = _training(
        "resume", "'auto': go on if there is a checkpoint; 'never': start anew; 'must': refuse to."
    )
    runDir = _training(
        "run_dir",
        "local folder in which each fit leaves a folder: settings, event log, history, report.",
    )
    initModel = _training("init_model", "folder of an earlier BoostedModel, or it, to continue.")
    verbosity = _training(
        "verbosity",
        "0: no progress; 1: progress in terminals and notebooks; 2: and every round in the log.",
    )

    nEstimators = _booster("n_estimators", int, "rounds in each visit to a batch; else 100.")
    maxDepth = _booster("max_depth", int, "depth of the trees; else the booster's own.")
    learningRate = _booster("learning_rate", float, "a constant rate; else lrScheduler's.")
    objective = _booster(
        "objective", str | Callable[..., Any], "as the booster names it; else inferred."
    )
    evalMetric = _booster(
        "eval_metric",
        str | Callable[..., Any] | tuple[str | Callable[..., Any], ...],
        "one or several, as the booster names them; the last one decides; else the objective's.",
    )
    earlyStoppingRounds = _booster(
        "early_stopping_rounds",
        int,
        "ends a visit after so many rounds without a better validation metric.",
    )
    boosterParams = _param(
        "boosterParams", dict[str, Any], "any other parameters of the booster, by its own names."
    )
    lrScheduler = _param(
        "lrScheduler",
        dict[str, Any] | Callable[[int], float] | None,
        "as config_lr_scheduler: kind, initial_lr, decay_rate, ...",
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keywords = [Parameter(name, Parameter.KEYWORD_ONLY) for name in param_names(cls)]
        cls.__signature__ = Signature(keywords)

    def __init__(self, **params: Any) -> None:
        super().__init__()
        self._setDefault(
            boosterParams={},
            lrScheduler=None,
            **{param_name(key): None for key in BOOSTER_KEYS},
            **{
                name: field.default
                for name, field in self.training_fields().items()
                if name not in NAMED_AS_IN_SPARK.values()
            },
            categoricalCols=None,
        )
        self.setParams(**params)

    @classmethod
    def training_fields(cls) -> dict[str, Any]:
        """The fields of TrainingConfig that this estimator has Params for, by their names."""
        named = {param_name(key): field for key, field in _FIELDS.items() if key not in LEFT_OUT}
        return {name: field for name, field in named.items() if hasattr(cls, name)}


class ClassifierParams(TrainingParams, HasProbabilityCol, HasRawPredictionCol, HasWeightCol):
    """What classifiers take beside."""

    classWeight = _training(
        "class_weight",
        "'balanced': the inverse of a class's share; or a weight by label; None weighs none.",
    )


class RegressorParams(TrainingParams, HasWeightCol):
    """What regressors take beside."""


class RankerParams(TrainingParams):
    """What rankers take beside."""

    groupCol = _training("group_column", "column that names each row's query, which is not split.")
