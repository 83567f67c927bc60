"""What the columns of an earlier model, which a run goes on from, mean for its data."""

from __future__ import annotations

import attrs

from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.table import FeatureKind, TableSchema
from batchtrainingbooster.errors import DataError
from batchtrainingbooster.model.boosted_model import BoostedModel


def with_columns_of(earlier: BoostedModel, config: TrainingConfig) -> TrainingConfig:
    """The settings with an earlier model's features, in its order, where they are not given."""
    features = earlier.info.schema.features
    names = [feature.name for feature in features]
    given = config.feature_columns or tuple(names)
    ordered = sorted(given, key=lambda name: names.index(name) if name in names else len(names))
    categorical = config.categorical_columns
    if categorical is None:
        categorical = tuple(
            f.name for f in features if f.kind is FeatureKind.CATEGORICAL and f.name in given
        )
    return attrs.evolve(config, feature_columns=tuple(ordered), categorical_columns=categorical)


def continued(schema: TableSchema, earlier: BoostedModel) -> TableSchema:
    """The earlier model's schema, if the new data agrees with it.

    Raises
    ------
    DataError
        Naming what differs.
    """
    old = earlier.info.schema
    now = {f.name: (f.kind, f.width) for f in schema.features}
    then = {f.name: (f.kind, f.width) for f in old.features}
    differing = [name for name in {**then, **now} if now.get(name) != then.get(name)]
    if differing:
        name = differing[0]
        msg = (
            f"init_model: feature {name!r} is {_shown(now.get(name))} in the data and "
            f"{_shown(then.get(name))} in the model"
        )
        raise DataError(msg)
    if old.target.kind is not schema.target.kind or set(old.target.classes) != set(
        schema.target.classes
    ):
        msg = (
            f"init_model: the target is {schema.target.kind} with classes "
            f"{list(schema.target.classes)} in the data, and {old.target.kind} with "
            f"{list(old.target.classes)} in the model"
        )
        raise DataError(msg)
    return attrs.evolve(old, target=attrs.evolve(old.target, name=schema.target.name))


def _shown(feature: tuple[FeatureKind, int] | None) -> str:
    if feature is None:
        return "missing"
    return f"{feature[0]} of {feature[1]}" if feature[1] > 1 else str(feature[0])
