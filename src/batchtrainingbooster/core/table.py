"""What the columns of a dataset are: value objects that manifest, model and backends share."""

from __future__ import annotations

from enum import StrEnum

import attrs

from batchtrainingbooster.core.config import Label


class FeatureKind(StrEnum):
    """How a feature is read."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    ARRAY = "array"


class TargetKind(StrEnum):
    """What is predicted."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    RANKING = "ranking"


@attrs.frozen
class Feature:
    """One column of the user's DataFrame.

    Attributes
    ----------
    name : str
    kind : FeatureKind
    categories : tuple of str, int or bool
        The dictionary of a categorical feature: a category's position is its code.
    width : int
        Columns of the matrix that it fills: 1, or the length of an array or vector.
    """

    name: str
    kind: FeatureKind
    categories: tuple[Label, ...] = ()
    width: int = attrs.field(default=1)

    @width.validator
    def _check_width(self, attribute: attrs.Attribute[int], width: int) -> None:
        if width < 1 or (width > 1 and self.kind is not FeatureKind.ARRAY):
            msg = f"{attribute.name}: got {width}, and {self.kind} features fill one column"
            raise ValueError(msg)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the matrix columns that it fills."""
        if self.kind is not FeatureKind.ARRAY:
            return (self.name,)
        return tuple(f"{self.name}_{i}" for i in range(self.width))


@attrs.frozen
class Target:
    """The target column.

    Attributes
    ----------
    name : str
    kind : TargetKind
    spark_type : str
        Its type in Spark's DDL, which predictions are returned in.
    classes : tuple of str, int, float or bool
        The labels in sorted order: a label's position is its class index. Empty for regression.
    """

    name: str
    kind: TargetKind
    spark_type: str
    classes: tuple[Label, ...] = ()


@attrs.frozen
class TableSchema:
    """Features, in the order of the matrix, and target."""

    features: tuple[Feature, ...]
    target: Target

    @property
    def n_columns(self) -> int:
        """Columns of the feature matrix."""
        return sum(feature.width for feature in self.features)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns of the feature matrix."""
        return tuple(name for feature in self.features for name in feature.column_names)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of categories by matrix column; 0 where it is numeric."""
        return tuple(
            len(feature.categories) if feature.kind is FeatureKind.CATEGORICAL else 0
            for feature in self.features
            for _ in range(feature.width)
        )
