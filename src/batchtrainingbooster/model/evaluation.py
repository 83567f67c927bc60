"""The final model, scored on validation rows as they were staged."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from batchtrainingbooster.core import evaluation, links
from batchtrainingbooster.core.evaluation import Evaluation
from batchtrainingbooster.core.ports import Batch
from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema, TargetKind
from batchtrainingbooster.model.boosted_model import BoostedModel

# As many as are scored in a fraction of a second with some hundred trees.
MAX_ROWS = 100_000
MAX_VALUES = 10_000_000


def rows_to_score(schema: TableSchema) -> int:
    """How many validation rows are scored, so that it takes neither long nor much memory."""
    widest = max(schema.n_columns, len(schema.target.classes))
    return min(MAX_ROWS, max(1_000, MAX_VALUES // widest))


def evaluate(model: BoostedModel, batch: Batch, of_rows: int) -> Evaluation | None:
    """Counts by class, or residuals; None for ranking.

    Parameters
    ----------
    model : BoostedModel
    batch : Batch
        Validation rows.
    of_rows : int
        How many there are.
    """
    target, link = model.info.schema.target, model.info.link
    if target.kind is TargetKind.RANKING:
        return None
    # In pieces, as links work in float64, with copies.
    size = max(1, MAX_VALUES // 10 // max(1, len(target.classes)))
    predicted = []
    for start in range(0, len(batch.label), size):
        margins = np.asarray(model.predictor.margins(batch.features[start : start + size]))
        if target.classes:
            predicted.append(links.probabilities(margins, link).argmax(axis=1))
        else:
            predicted.append(links.expectations(margins, link))
    every = np.concatenate(predicted)
    if target.classes:
        true = batch.label.astype(np.int64)
        return evaluation.of_classes(true, every, len(target.classes), of_rows)
    return evaluation.of_values(batch.label, every, of_rows)


def as_given(schema: TableSchema, features: np.ndarray) -> pa.Table:
    """Rows of the feature matrix as the columns that the model takes.

    Categories come back as their labels, missing values as nulls.
    """
    columns, start = {}, 0
    for feature in schema.features:
        values = features[:, start : start + feature.width]
        columns[feature.name] = _column(feature, values)
        start += feature.width
    return pa.table(columns)


def _column(feature: Feature, values: np.ndarray) -> pa.Array:
    if feature.kind is FeatureKind.ARRAY:
        return pa.array([list(map(float, row)) for row in values])
    column = [None if np.isnan(value) else float(value) for value in values[:, 0]]
    if feature.kind is FeatureKind.CATEGORICAL:
        # Rows may be staged with codes that a model which did not learn from them has not.
        labels = dict(enumerate(feature.categories))
        return pa.array([None if code is None else labels.get(int(code)) for code in column])
    return pa.array(column, pa.float64())
