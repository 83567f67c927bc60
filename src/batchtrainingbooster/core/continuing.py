"""What the columns of an earlier model, which a run goes on from, mean for its data."""

from __future__ import annotations

import logging

import attrs
import numpy as np

from batchtrainingbooster.core.config import Label, TrainingConfig
from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema
from batchtrainingbooster.data.profile import Profile
from batchtrainingbooster.errors import DataError
from batchtrainingbooster.model.boosted_model import BoostedModel

logger = logging.getLogger(__name__)


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


def continued(schema: TableSchema, earlier: BoostedModel, *, grows: bool = False) -> TableSchema:
    """The earlier model's schema, if the new data agrees with it.

    Parameters
    ----------
    schema : TableSchema
        Of the new data.
    earlier : BoostedModel
    grows : bool
        Whether categories that the model does not know get codes after its own.

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
    types = schema.target.spark_type, old.target.spark_type
    if old.target.classes and types[0] != types[1] and "boolean" in types:
        # True equals 1 here, but Spark does not compare the two.
        msg = (
            f"init_model: the target {schema.target.name!r} is {types[0]} in the data and "
            f"{types[1]} in the model; cast the column"
        )
        raise DataError(msg)
    target = attrs.evolve(old.target, name=schema.target.name)
    if not grows:
        return attrs.evolve(old, target=target)
    new = {feature.name: feature for feature in schema.features}
    features = tuple(_with_categories_of(new[f.name], f) for f in old.features)
    return TableSchema(features, target)


def _with_categories_of(new: Feature, old: Feature) -> Feature:
    """A feature with its old categories at their old codes, and the new ones after them, sorted.

    Raises
    ------
    DataError
        If they are of another type.
    """
    if not old.categories:
        if new.categories:
            logger.warning(
                "Column %r had no values when the model was first trained; what it has now counts "
                "as missing. A model with it must be trained anew", old.name,
            )  # fmt: skip
        return old
    types = [type(feature.categories[0]) for feature in (old, new) if feature.categories]
    if len(set(types)) > 1:
        msg = (
            f"update: the categories of {old.name!r} are {types[1].__name__} in the data and "
            f"{types[0].__name__} in the model; cast the column"
        )
        raise DataError(msg)
    known = set(old.categories)
    added = tuple(category for category in new.categories if category not in known)
    return attrs.evolve(old, categories=(*old.categories, *added))


def new_categories(schema: TableSchema, earlier: BoostedModel) -> dict[str, tuple[Label, ...]]:
    """Those that the earlier model has no codes for, by column, in the order of their codes."""
    pairs = zip(schema.features, earlier.info.schema.features, strict=True)
    added = {now.name: now.categories[len(then.categories) :] for now, then in pairs}
    return {name: categories for name, categories in added.items() if categories}


def with_classes_of(earlier: BoostedModel, found: Profile) -> Profile:
    """What was found in new rows, by the classes of the model: they may lack some of them.

    Raises
    ------
    DataError
        If they have others.
    """
    target = earlier.info.schema.target
    if not found.classes or not target.classes:
        return found
    strangers = [label for label in found.classes if label not in target.classes]
    if strangers:
        msg = (
            f"update: target {target.name!r} has classes in the data that the model does not have: "
            f"{', '.join(repr(label) for label in strangers[:10])}; leave these rows out, or train "
            "a model anew"
        )
        raise DataError(msg)
    places = [target.classes.index(label) for label in found.classes]

    def by_class(values: np.ndarray) -> np.ndarray:
        spread = np.zeros((len(target.classes), *values.shape[1:]), values.dtype)
        spread[places] = values
        return spread

    return attrs.evolve(
        found,
        classes=target.classes,
        counts=by_class(found.counts),
        weight_sums=by_class(found.weight_sums),
        label_sums=by_class(found.label_sums),
    )


def _shown(feature: tuple[FeatureKind, int] | None) -> str:
    if feature is None:
        return "missing"
    return f"{feature[0]} of {feature[1]}" if feature[1] > 1 else str(feature[0])
