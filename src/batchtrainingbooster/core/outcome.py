"""What a run has found out about its data, and what its model has come to, as events."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from batchtrainingbooster.core.events import ModelTrained, StagingEnd
from batchtrainingbooster.core.preparation import Prepared
from batchtrainingbooster.core.redaction import said
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.data.manifest import Manifest
from batchtrainingbooster.data.reader import StagedSource
from batchtrainingbooster.model.boosted_model import BoostedModel
from batchtrainingbooster.model.evaluation import as_given, evaluate, rows_to_score

logger = logging.getLogger(__name__)

N_EXAMPLES = 5
MAX_IMPORTANCES = 100


def staging_end(prepared: Prepared, manifest: Manifest, seconds: float, place: str) -> StagingEnd:
    """What was staged."""
    schema, columns = manifest.schema, prepared.job.columns
    types = dict(zip(columns.names, prepared.job.train.types, strict=True))
    weights = prepared.class_weights
    validation = manifest.validation
    return StagingEnd(
        kind=str(schema.target.kind),
        objective=prepared.settings.objective_name,
        metric=prepared.settings.metric_names[-1],
        maximize=prepared.maximize,
        features={feature.name: str(feature.kind) for feature in schema.features},
        column_types={f.name: types[f.name].simpleString() for f in schema.features},
        classes=schema.target.classes,
        class_weights=() if weights is None else tuple(weights.tolist()),
        strata=_strata(manifest),
        batches=tuple(part.strata for part in manifest.batches),
        validation=validation.strata if validation else None,
        seconds=seconds,
        place=place,
    )


def _strata(manifest: Manifest) -> tuple[str, ...]:
    target = manifest.schema.target
    if target.kind is TargetKind.RANKING:
        return ("all rows",)
    if target.classes:
        return tuple(map(str, target.classes))
    return bin_names(manifest.bins)


def bin_names(edges: Sequence[float]) -> tuple[str, ...]:
    """Names of the bins between these edges.

    Examples
    --------
    >>> bin_names([1.0, 2.5])
    ('to 1', '1 to 2.5', 'over 2.5')
    """
    if not edges:
        return ("all values",)
    shown = [f"{edge:.6g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in itertools.pairwise(shown)]
    return (f"to {shown[0]}", *between, f"over {shown[-1]}")


def model_trained(model: BoostedModel, source: StagedSource) -> ModelTrained:
    """The model, and how it does on validation rows; whatever fails here, the model is there."""
    importance, evaluation, example = {}, None, None
    with _without_loss("importance"):
        importance = dict(list(model.feature_importance().items())[:MAX_IMPORTANCES])
    with _without_loss("evaluation by class or residual"):
        sample = source.validation_sample(rows_to_score(model.info.schema))
        if sample is not None:
            example = as_given(model.info.schema, sample.features[:N_EXAMPLES])
            evaluation = evaluate(model, sample, source.validation_rows)
    return ModelTrained(model=model, importance=importance, evaluation=evaluation, example=example)


@contextmanager
def _without_loss(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - hours of training weigh more than what is said of them
        logger.warning(
            "The final model is there, but not its %s: %s: %s",
            what, type(error).__name__, said(error),
        )  # fmt: skip
