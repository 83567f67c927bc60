"""From the call to a run that can start: everything that can be refused is refused here."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from batchtrainingbooster.backends.settings import BoosterSettings, Problem, link_name
from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.continuing import continued, with_classes_of, with_columns_of
from batchtrainingbooster.core.data_summary import DataSummary
from batchtrainingbooster.core.earlier import Earlier
from batchtrainingbooster.core.loop import RunPlan
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.request import Request, maximize
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.core.stopping import Patience
from batchtrainingbooster.core.table import FeatureKind, TableSchema, TargetKind
from batchtrainingbooster.core.weights import class_weights
from batchtrainingbooster.data.columns import check_same_columns, choose_columns
from batchtrainingbooster.data.profile import Profile, profile, weighted_mean
from batchtrainingbooster.data.source import Source
from batchtrainingbooster.data.staging import schema_of
from batchtrainingbooster.data.writing import StagingJob
from batchtrainingbooster.errors import ConfigError, DataError
from batchtrainingbooster.model.boosted_model import BoostedModel, ModelInfo

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)


@attrs.frozen(eq=False, kw_only=True)
class Prepared:
    """A run that can start."""

    request: Request
    settings: BoosterSettings
    job: StagingJob
    problem: Problem
    class_weights: np.ndarray | None
    booster: Any
    maximize: bool

    def plan(self, num_batches: int) -> RunPlan:
        """What the loop will do with this many batches."""
        return plan_of(self.request, self.settings, num_batches, self.maximize)

    def model(
        self, state: RunState, record: RunRecord, first_data: DataSummary | None = None
    ) -> BoostedModel:
        """The model that the run has left in the booster."""
        backend, earlier, schema = self.request.backend, self.request.earlier, self.job.schema
        kind = schema.target.kind
        if earlier is not None and self.booster.n_rounds == earlier.info.n_rounds:
            # Its trees know no other categories.
            schema = earlier.info.schema
        info = ModelInfo(
            backend=backend.NAME,
            backend_version=backend.version(),
            objective=self.settings.objective_name,
            link=link_name(self.settings, kind, backend.link_of),
            # As the booster prints it: ndcg may be ndcg@5 there.
            metric=state.history.deciding_metric or self.settings.metric_names[-1],
            maximize=self.maximize,
            schema=schema,
            n_rounds=self.booster.n_rounds,
            best=state.best,
            stop_reason=state.stop_reason,
            config=self.request.given,
        )
        return BoostedModel(info, self.booster.to_bytes(), state.history, record, first_data)


def plan_of(
    request: Request, settings: BoosterSettings, num_batches: int, larger_is_better: bool
) -> RunPlan:
    """What the loop will do with this many batches."""
    config = request.config
    return RunPlan(
        strategy=config.strategy,
        num_epochs=config.num_epochs,
        rounds_per_visit=settings.n_estimators,
        early_stopping_rounds=settings.early_stopping_rounds,
        seed=config.seed,
        schedule=request.schedule(num_batches),
        patience=Patience(config.max_patience, config.min_delta, larger_is_better),
        warm_restart=config.warm_restart,
        checkpoint_every=config.checkpoint_every,
        earlier=Earlier(competes=request.if_worse != "accept"),
    )


def prepare(request: Request, train: DataFrame, valid: DataFrame | None, target: str) -> Prepared:
    """Look at the data, infer what was not said, and let the booster judge its settings.

    Raises
    ------
    ConfigError, DataError
        For anything that would fail later.
    """
    config, backend = request.config, request.backend
    _check_validation(request, valid)
    if request.earlier is not None:
        config = with_columns_of(request.earlier, config)
    columns = choose_columns(train, target, config)
    if valid is not None:
        check_same_columns(valid, columns, "valid_dataframe")
    wanted = request.target_kind
    regression = None if wanted is None else wanted is TargetKind.REGRESSION
    train_source = Source(train, columns, config.seed)
    look = partial(profile, allow_precision_loss=config.allow_precision_loss)
    found = look(train_source, "train_dataframe", regression=regression)
    is_update = request.earlier is not None and request.if_worse is not None
    if request.earlier is not None and is_update:
        found = with_classes_of(request.earlier, found)
    kind = TargetKind.RANKING
    if config.group_column is None:
        kind = _target_kind(wanted, found, target)
    schema = schema_of(train_source, found, kind)
    if request.earlier is not None:
        schema = continued(schema, request.earlier, grows=is_update)
    valid_source = valid_found = None
    if valid is not None:
        valid_source, valid_found = _look_at_more(valid, train_source, found, schema, config)
    settings = backend.with_defaults(request.settings, kind)
    weights = _class_weights(request, found, kind)
    _log_inferred(request, settings, schema, weights)
    problem = _problem(request, schema, found, weights)
    return Prepared(
        request=request,
        settings=settings,
        job=StagingJob(
            train=train_source,
            train_profile=found,
            valid=valid_source,
            valid_profile=valid_found,
            schema=schema,
            config=config,
            bytes_per_output=backend.BYTES_PER_OUTPUT,
        ),
        problem=problem,
        class_weights=weights,
        # The booster judges its own settings here, before anything is written.
        booster=backend.Backend(settings, problem),
        maximize=maximize(backend, settings, config),
    )


def _check_validation(request: Request, valid: DataFrame | None) -> None:
    """One validation set or none, and no setting that needs one without it."""
    config = request.config
    if valid is not None and config.validation_fraction is not None:
        msg = "config_training: validation_fraction: valid_dataframe is given too; give one of them"
        raise ConfigError(msg)
    if valid is None and config.validation_fraction is None:
        if request.settings.early_stopping_rounds is not None:
            msg = (
                "config_model: early_stopping_rounds: needs validation rows; "
                "give valid_dataframe or validation_fraction"
            )
            raise ConfigError(msg)
        logger.warning(
            "No validation rows (valid_dataframe, validation_fraction): nothing is stopped early, "
            "and every visit is kept"
        )


def _target_kind(wanted: TargetKind | None, found: Profile, target: str) -> TargetKind:
    """Binary, multiclass or regression, from the target's values and the objective.

    Raises
    ------
    DataError
        If there is a single class.
    ConfigError
        If the objective is for another kind of target.
    """
    if found.bins is not None:
        return TargetKind.REGRESSION
    n_classes = len(found.classes)
    if n_classes == 1:
        msg = (
            f"train_dataframe: target {target!r} has the single class {found.classes[0]!r}; "
            "there is nothing to learn"
        )
        raise DataError(msg)
    if wanted is TargetKind.BINARY and n_classes > 2:
        shown = ", ".join(repr(label) for label in found.classes[:5])
        msg = (
            f"config_model: objective: it is for two classes, but {target!r} has {n_classes:,} "
            f"({shown}{', ...' if n_classes > 5 else ''}); leave it out, or name another"
        )
        raise ConfigError(msg)
    return wanted or (TargetKind.BINARY if n_classes == 2 else TargetKind.MULTICLASS)


def look_at_more(prepared: Prepared, frame: DataFrame) -> StagingJob:
    """What stages other rows, of the same columns and classes, as one batch.

    Raises
    ------
    DataError
        If they are not like the training rows.
    """
    job = prepared.job
    config = attrs.evolve(job.config, num_batches=1, validation_fraction=None)
    where = "test_dataframe"
    check_same_columns(frame, job.columns, where)
    source, found = _look_at_more(frame, job.train, job.train_profile, job.schema, config, where)
    found = attrs.evolve(found, bins=job.train_profile.bins)
    return attrs.evolve(
        job, train=source, train_profile=found, valid=None, valid_profile=None, config=config
    )


def _look_at_more(
    frame: DataFrame,
    train: Source,
    found: Profile,
    schema: TableSchema,
    config: TrainingConfig,
    where: str = "valid_dataframe",
) -> tuple[Source, Profile]:
    """Rows beside the training rows, and their profile."""
    source = Source(frame, train.columns, config.seed)
    look = profile(
        source,
        where,
        regression=found.bins is not None,
        bins=found.bins,
        allow_precision_loss=config.allow_precision_loss,
    )
    return source, _align(look, found, schema, where)


def _align(valid: Profile, train: Profile, schema: TableSchema, where: str) -> Profile:
    """The counts in the order of the training classes.

    Raises
    ------
    DataError
        If a class is not among them.
    """
    if not train.classes:
        return valid
    strangers = [label for label in valid.classes if label not in train.classes]
    if strangers:
        msg = (
            f"{where}: target {schema.target.name!r} has classes that train_dataframe has not: "
            f"{', '.join(repr(label) for label in strangers)}"
        )
        raise DataError(msg)
    counts = np.zeros((len(train.classes), valid.counts.shape[1]), np.int64)
    for i, label in enumerate(valid.classes):
        counts[train.classes.index(label)] = valid.counts[i]
    return attrs.evolve(valid, classes=schema.target.classes, counts=counts)


def _class_weights(request: Request, found: Profile, kind: TargetKind) -> np.ndarray | None:
    """Weight by class; None where all are 1.

    Raises
    ------
    ConfigError
        If the weights do not fit the target, or would be applied twice.
    """
    config = request.config
    if not found.classes:
        if isinstance(config.class_weight, dict):
            msg = f"config_training: class_weight: a target of {kind} has no classes"
            raise ConfigError(msg)
        return None
    twice = [key for key in request.backend.CLASS_WEIGHT_KEYS if key in request.settings.params]
    if twice and config.class_weight is not None:
        msg = (
            f"config_model: {twice[0]}: classes would be weighed twice, as class_weight is "
            f"{config.class_weight!r}; leave it out, or set class_weight=None in config_training"
        )
        raise ConfigError(msg)
    counts = found.counts.sum(axis=1).tolist()
    weights = class_weights(config.class_weight, found.classes, counts)
    return None if (weights == 1).all() else weights


def _problem(
    request: Request, schema: TableSchema, found: Profile, weights: np.ndarray | None
) -> Problem:
    seed, earlier = request.config.seed, request.earlier
    cardinalities = schema.cardinalities
    if request.config.categorical_encoding == "ordinal":
        cardinalities = tuple(0 for _ in cardinalities)
    common: dict[str, Any] = {
        "kind": schema.target.kind,
        "column_names": schema.column_names,
        "cardinalities": cardinalities,
        "seed": seed,
        "external_memory": request.config.strategy == "external_memory",
        "initial_model": earlier.native if earlier else None,
    }
    # Rounded to float32: sums of floats depend on the partitioning in their last bits.
    if found.bins is not None:
        mean = float(np.float32(weighted_mean(found)))
        return Problem(mean=mean, percentiles=found.bins.percentiles, **common)
    if not found.classes:
        return Problem(**common)
    sums = found.weight_sums if weights is None else found.weight_sums * weights
    shares = (sums / sums.sum()).astype(np.float32)
    return Problem(class_shares=tuple(shares.tolist()), **common)


def _whose_columns(request: Request) -> str:
    if request.config.feature_columns:
        return "given"
    return "the earlier model's" if request.earlier else "all others"


def _log_inferred(
    request: Request, settings: BoosterSettings, schema: TableSchema, weights: np.ndarray | None
) -> None:
    target, features = schema.target, schema.features
    given = request.settings
    labels = ", ".join(map(repr, target.classes[:10])) + (", ..." if target.classes[10:] else "")
    logger.info(
        "Target %r: %s%s", target.name, target.kind,
        f", {len(target.classes)} classes ({labels})" if target.classes else "",
    )  # fmt: skip
    logger.info(
        "Objective: %s (%s); deciding metric: %s (%s)",
        settings.objective_name, "given" if given.objective else "inferred",
        settings.metric_names[-1], "given" if given.metrics else "inferred",
    )  # fmt: skip
    categorical = [f for f in features if f.kind is FeatureKind.CATEGORICAL]
    logger.info(
        "Features: %d columns (%s), of which categorical: %s",
        len(features), _whose_columns(request),
        ", ".join(f"{f.name} ({len(f.categories)})" for f in categorical) or "none",
    )  # fmt: skip
    if weights is not None:
        shown = zip(target.classes, weights.tolist(), strict=True)
        text = ", ".join(f"{label!r}: {weight:.4g}" for label, weight in list(shown)[:20])
        logger.info("Class weights: %s", text)
