"""What all estimators do: Params -> the settings of a trainer -> ``fit`` -> a model of Spark ML."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pyspark.ml import Estimator
from pyspark.ml.util import DefaultParamsReadable, MLWritable
from pyspark.sql import functions as F
from pyspark.sql import types as T

from batchtrainingbooster.backends.registry import load_backend
from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.core.base_trainer import BaseTrainer
from batchtrainingbooster.core.parsing import copy_of
from batchtrainingbooster.core.run_id import new_run_id
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.data.sessions import is_connect, is_one_process, master_of
from batchtrainingbooster.errors import ConfigError, DataError
from batchtrainingbooster.model.boosted_model import BoostedModel
from batchtrainingbooster.model.tables import refuse_missing_or_ambiguous
from batchtrainingbooster.spark_ml.labels import check_label, with_labels
from batchtrainingbooster.spark_ml.models import (
    BatchClassificationModel,
    BatchModel,
    BatchRankingModel,
    BatchRegressionModel,
)
from batchtrainingbooster.spark_ml.params import (
    BOOSTER_KEYS,
    NAMED_AS_IN_SPARK,
    ClassifierParams,
    RankerParams,
    RegressorParams,
    TrainingParams,
    param_name,
)
from batchtrainingbooster.spark_ml.persistence import Writer
from batchtrainingbooster.spark_ml.staged import StagedBatches

if TYPE_CHECKING:
    from pyspark.ml.param import Param
    from pyspark.sql import DataFrame

# Params that say nothing of what is staged: grid points that differ in these alone share batches.
# The objective counts by the kind of target that it is for.
_AFTER_STAGING = (
    "numEpochs", "maxPatience", "minDelta", "maximize", "warmRestart", "classWeight", "verbosity",
    "checkpointEvery", "resume", "runDir", "stagingDir", "lrScheduler", "boosterParams",
    "predictionCol", "probabilityCol", "rawPredictionCol", *map(param_name, BOOSTER_KEYS),
)  # fmt: skip


class BatchEstimator(Estimator, TrainingParams, DefaultParamsReadable, MLWritable):
    """What all estimators do."""

    trainer: ClassVar[type[BaseTrainer]]
    # Kinds of target, of which the first is what an objective is inferred for.
    kinds: ClassVar[tuple[TargetKind, ...]]
    _staged: StagedBatches | None = None

    def write(self) -> Writer:
        """The writer: ``write().overwrite().save(path)``."""
        return Writer(self)

    def fitMultiple(
        self, dataset: DataFrame, paramMaps: Sequence[Mapping[Param, Any]]
    ) -> Iterator[tuple[int, BatchModel]]:
        """One model for each param map; those that agree on the batches share them.

        Raises
        ------
        ConfigError
            With ``checkpointDir``.
        """
        several = self.copy()
        if len(paramMaps) > 1:
            if self.getOrDefault("checkpointDir") is not None:
                msg = (
                    f"checkpointDir: {len(paramMaps)} fits would take one another's checkpoints; "
                    "leave it out"
                )
                raise ConfigError(msg)
            place = self.getOrDefault("stagingDir")
            if place is not None or _writes_here(dataset):
                several._staged = StagedBatches(place, len(paramMaps))  # noqa: SLF001 - our own copy
        found: Iterator[tuple[int, BatchModel]] = super(BatchEstimator, several).fitMultiple(
            dataset, paramMaps
        )
        return found

    def _fit(self, dataset: DataFrame) -> BatchModel:
        frame, kind, arguments = self._labelled(dataset)
        config_model = self._config_model(kind)
        with self._staging(kind) as (folder, callbacks):
            training = self._config_training()
            training |= {"callbacks": callbacks} if callbacks else {}
            training |= {"staging_dir": folder} if folder else {}
            trained = self.trainer().fit(
                *self._parts(frame),
                self.getOrDefault("labelCol"),
                config_model,
                training,
                self.getOrDefault("lrScheduler"),
            )
        self._check_outcome(trained)
        model = self._model(trained, *arguments)
        model._resetUid(self.uid)  # noqa: SLF001 - as Spark's own estimators do
        copied: BatchModel = self._copyValues(model)
        return copied

    def _labelled(self, dataset: DataFrame) -> tuple[DataFrame, TargetKind, tuple[Any, ...]]:
        """The rows, the kind of target, and what the model has to know beside."""
        check_label(dataset, self.getOrDefault("labelCol"))
        return dataset, self.kinds[0], ()

    def _model(self, trained: BoostedModel, *arguments: Any) -> BatchModel:
        raise NotImplementedError

    def _check_outcome(self, trained: BoostedModel) -> None:
        """Refuse a model of another kind, as a function as objective may lead to.

        Raises
        ------
        DataError
            Naming both.
        """
        target = trained.info.schema.target
        if target.kind not in self.kinds:
            msg = (
                f"fit: {type(self).__name__} needs a target of {' or '.join(self.kinds)}, but the "
                f"values of {target.name!r} look like {target.kind}; name an objective"
            )
            raise DataError(msg)

    def _parts(self, frame: DataFrame) -> tuple[DataFrame, DataFrame | None]:
        """Training and validation rows.

        Raises
        ------
        ConfigError, ColumnNotFoundError, DataError
            If the validation rows are named twice, or by no column of booleans.
        """
        name = self.named_column("validationIndicatorCol")
        if name is None:
            return frame, None
        if self.getOrDefault("validationFraction") is not None:
            msg = "validationFraction: validationIndicatorCol is set too; leave one of them out"
            raise ConfigError(msg)
        refuse_missing_or_ambiguous([name], frame.columns, "fit: validationIndicatorCol")
        kind = frame.schema[name].dataType
        if not isinstance(kind, T.BooleanType):
            msg = (
                f"fit: validationIndicatorCol {name!r} is {kind.simpleString()}, need a boolean: "
                "true for validation rows"
            )
            raise DataError(msg)
        # A null would be neither true nor false, and its row in neither part.
        validates = F.coalesce(F.col(f"`{name.replace('`', '``')}`"), F.lit(False))
        return frame.filter(~validates), frame.filter(validates)

    def _config_training(self) -> dict[str, Any]:
        """What is set of config_training."""
        config = {
            field.name: self.getOrDefault(name)
            for name, field in self.training_fields().items()
            if name not in NAMED_AS_IN_SPARK.values() and self.isSet(name)
        }
        for key, name in NAMED_AS_IN_SPARK.items():
            if self.hasParam(name) and self.named_column(name) is not None:
                config[key] = self.named_column(name)
        config["feature_columns"] = self.feature_names()
        if config.get("run_dir") is not None:
            config["run_dir"] = os.path.join(config["run_dir"], new_run_id())  # noqa: PTH118 - a text
        return config

    def _config_model(self, kind: TargetKind) -> dict[str, Any]:
        """config_model: the Params that are set, what boosterParams has, and an objective.

        Raises
        ------
        ConfigError
            If one thing is said twice, or the objective is for another kind of target.
        """
        names = {key: param_name(key) for key in BOOSTER_KEYS}
        config = {
            key: self.getOrDefault(name)
            for key, name in names.items()
            if self.getOrDefault(name) is not None
        }
        more = copy_of(self.getOrDefault("boosterParams"), "boosterParams")
        twice = sorted(set(config) & set(more))
        if twice:
            msg = (
                f"boosterParams: {twice[0]}: the Param {names[twice[0]]} says it too; leave one of "
                "them out"
            )
            raise ConfigError(msg)
        config |= more
        backend = load_backend(self.trainer.backend)
        settings = backend.parse_settings(config)
        if settings.objective is None:
            if self.getOrDefault("initModel") is None:
                config["objective"] = backend.with_defaults(settings, kind).objective
        elif isinstance(settings.objective, str):
            found = backend.target_kind(settings.objective)
            if found not in self.kinds:
                msg = (
                    f"objective: {settings.objective!r} is one of {found}, and "
                    f"{type(self).__name__} needs one of {' or '.join(self.kinds)}"
                )
                raise ConfigError(msg)
        return config

    @contextmanager
    def _staging(self, kind: TargetKind) -> Iterator[tuple[str | None, list[Callback]]]:
        """Where this fit stages, and who is told; None leaves it to the trainer."""
        place = self.getOrDefault("stagingDir")
        if self._staged is None and place is None:
            yield None, []
            return
        staged = self._staged or StagedBatches(place, 1)
        values = {
            param.name: repr(value)
            for param, value in self.extractParamMap().items()
            if param.name not in _AFTER_STAGING
        }
        with staged.turn(json.dumps([kind, sorted(values.items())])) as found:
            yield found


def _writes_here(dataset: DataFrame) -> bool:
    """Whether Spark is sure to write to a temporary folder of this process."""
    session = dataset.sparkSession
    return not is_connect(session) and is_one_process(master_of(session))


class BatchClassifier(BatchEstimator, ClassifierParams):
    """What all classifiers do."""

    kinds = TargetKind.BINARY, TargetKind.MULTICLASS

    def _labelled(self, dataset: DataFrame) -> tuple[DataFrame, TargetKind, tuple[Any, ...]]:
        frame, n_classes = with_labels(dataset, self.getOrDefault("labelCol"))
        return frame, self.kinds[n_classes > 2], (n_classes,)

    def _model(self, trained: BoostedModel, *arguments: Any) -> BatchModel:
        return BatchClassificationModel(trained, *arguments)


class BatchRegressor(BatchEstimator, RegressorParams):
    """What all regressors do."""

    kinds = (TargetKind.REGRESSION,)

    def _model(self, trained: BoostedModel, *arguments: Any) -> BatchModel:
        return BatchRegressionModel(trained)


class BatchRanker(BatchEstimator, RankerParams):
    """What all rankers do."""

    kinds = (TargetKind.RANKING,)

    def _labelled(self, dataset: DataFrame) -> tuple[DataFrame, TargetKind, tuple[Any, ...]]:
        if self.named_column("groupCol") is None:
            msg = "groupCol: not set; name the column that says which query a row is of"
            raise ConfigError(msg)
        return super()._labelled(dataset)

    def _model(self, trained: BoostedModel, *arguments: Any) -> BatchModel:
        return BatchRankingModel(trained)
