"""Which columns of a DataFrame are read, and as what: decided from its schema alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
from pyspark.sql import types as T

from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.table import FeatureKind
from batchtrainingbooster.errors import ColumnNotFoundError, ConfigError, DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_INTEGERS = (T.ByteType, T.ShortType, T.IntegerType, T.LongType)
FRACTIONS = (T.FloatType, T.DoubleType, T.DecimalType)
WIDE_INTEGERS = (T.IntegerType, T.LongType)
_CATEGORIES = (T.StringType, T.BooleanType, *_INTEGERS)
_LABELS = (T.StringType, T.BooleanType, *_INTEGERS, *FRACTIONS)


@attrs.frozen
class SourceFeature:
    """A feature column before its categories or width are known."""

    name: str
    kind: FeatureKind
    spark_type: T.DataType


@attrs.frozen
class SourceColumns:
    """Which columns of the user's DataFrame are read, and as what."""

    features: tuple[SourceFeature, ...]
    target: str
    target_type: T.DataType
    weight: str | None
    group: str | None = None
    group_type: T.DataType | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read, features first."""
        others = [name for name in (self.weight, self.group) if name is not None]
        return (*(feature.name for feature in self.features), self.target, *others)

    def of_kind(self, kind: FeatureKind) -> list[int]:
        """Positions of the features of a kind."""
        return [i for i, feature in enumerate(self.features) if feature.kind is kind]


def choose_columns(frame: DataFrame, target: str, config: TrainingConfig) -> SourceColumns:
    """Decide which columns are read, from the schema alone.

    Raises
    ------
    ColumnNotFoundError
        If a named column is missing.
    DataError
        If a column has a type that cannot be used, or a name is ambiguous.
    ConfigError
        If the settings contradict each other.
    """
    where = "train_dataframe"
    refuse_no_dataframe(frame, where)
    if not isinstance(target, str):
        msg = f"target_column: got {target!r}, need the name of a column"
        raise ConfigError(msg)
    types = {field.name: field.dataType for field in frame.schema.fields}
    weight, group = config.weight_column, config.group_column
    roles = {"target": target, "weight_column": weight, "group_column": group}
    wanted = list(config.feature_columns or (n for n in types if n not in roles.values()))
    given = [name for name in roles.values() if name is not None]
    named = [*given, *wanted, *(config.categorical_columns or ())]
    _refuse_missing_or_ambiguous(frame, named, where)
    _refuse_two_roles(roles, wanted)
    if not wanted:
        msg = f"{where}: no feature columns beside the target {target!r}"
        raise DataError(msg)
    categorical = set(config.categorical_columns or ())
    strangers = sorted(categorical - set(wanted))
    if strangers:
        msg = f"config_training: categorical_columns: {strangers[0]!r} is no feature"
        raise ConfigError(msg)
    problems: list[str] = []
    features = []
    for name in wanted:
        kind = _feature_kind(types[name], chosen=name in categorical)
        if kind is None:
            problems.append(f"{name!r} is {types[name].simpleString()}")
        else:
            features.append(SourceFeature(name, kind, types[name]))
    if problems:
        msg = (
            f"{where}: column types that cannot be used as features: {'; '.join(problems)}. "
            "Numbers, booleans, strings, vectors and arrays of numbers can (categorical_columns: "
            "strings, integers, booleans); convert these columns, or leave them out with "
            "feature_columns"
        )
        raise DataError(msg)
    if not isinstance(types[target], _LABELS):
        msg = (
            f"{where}: target {target!r} is {types[target].simpleString()}; "
            "it must be a string, boolean or number"
        )
        raise DataError(msg)
    if weight is not None and not isinstance(types[weight], (*_INTEGERS, *FRACTIONS)):
        msg = (
            f"{where}: weight_column {weight!r} is {types[weight].simpleString()}; "
            "it must be a number"
        )
        raise DataError(msg)
    group_type = None
    if group is not None:
        group_type = types[group]
        _check_group(group, group_type, target, types[target], where)
    return SourceColumns(tuple(features), target, types[target], weight, group, group_type)


def refuse_no_dataframe(frame: object, where: str) -> None:
    """Refuse what is no DataFrame of Spark's, classic or Connect, or is one that never ends.

    Raises
    ------
    DataError
        Naming what it is.
    """
    if not hasattr(frame, "sparkSession"):
        kind = f"{type(frame).__module__}.{type(frame).__qualname__}"
        msg = (
            f"{where}: got {kind.removeprefix('builtins.')}, need a Spark DataFrame; "
            "spark.createDataFrame makes one of a pandas DataFrame"
        )
        raise DataError(msg)
    if getattr(frame, "isStreaming", False):
        msg = (
            f"{where} is a stream; write its rows to storage and read them from there, or let a "
            "model learn from each of its batches, with update in foreachBatch"
        )
        raise DataError(msg)


def _check_group(
    group: str, kind: T.DataType, target: str, target_type: T.DataType, where: str
) -> None:
    if not isinstance(kind, _CATEGORIES):
        msg = (
            f"{where}: group_column {group!r} is {kind.simpleString()}; "
            "it must be a string, integer or boolean"
        )
        raise DataError(msg)
    if not label_is_numeric(target_type):
        msg = (
            f"{where}: target {target!r} is {target_type.simpleString()}; for ranking it must be "
            "a number: the grade of the row in its query"
        )
        raise DataError(msg)


def _refuse_two_roles(roles: Mapping[str, str | None], features: Sequence[str]) -> None:
    given = [name for name in roles.values() if name is not None]
    if len(set(given)) < len(given):
        msg = f"config_training: {max(given, key=given.count)!r} is named for two purposes"
        raise ConfigError(msg)
    for role, name in roles.items():
        if name in features:
            msg = f"config_training: feature_columns: {name!r} is the {role}"
            raise ConfigError(msg)


def check_same_columns(frame: DataFrame, columns: SourceColumns, where: str) -> None:
    """Refuse a DataFrame whose columns cannot be read as those of the training rows.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing.
    DataError
        If one is of another kind.
    """
    refuse_no_dataframe(frame, where)
    _refuse_missing_or_ambiguous(frame, columns.names, where)
    types = {field.name: field.dataType for field in frame.schema.fields}
    expected = {feature.name: feature.spark_type for feature in columns.features}
    expected[columns.target] = columns.target_type
    if columns.group is not None and columns.group_type is not None:
        _check_group(
            columns.group, types[columns.group], columns.target, types[columns.target], where
        )
        expected[columns.group] = columns.group_type
    codes = {columns.features[i].name for i in columns.of_kind(FeatureKind.CATEGORICAL)}
    differing = [
        f"{name!r} is {types[name].simpleString()}, in training {wanted.simpleString()}"
        for name, wanted in expected.items()
        if _comparable(types[name]) != _comparable(wanted)
        # Its text would be 1.0 where the category is 1.
        or (name in codes and isinstance(types[name], FRACTIONS))
    ]
    if differing:
        msg = f"{where}: columns differ from train_dataframe: {'; '.join(differing)}"
        raise DataError(msg)


def _comparable(kind: T.DataType) -> str:
    """Types that may stand for each other have the same word here."""
    if isinstance(kind, (*_INTEGERS, *FRACTIONS)):
        return "number"
    if isinstance(kind, T.StringType):  # whatever its collation
        return "string"
    return "array" if _is_array(kind) else kind.simpleString()


def _refuse_missing_or_ambiguous(frame: DataFrame, names: Sequence[str], where: str) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ColumnNotFoundError.of(dict.fromkeys(missing), frame.columns, where)
    twice = [name for name in names if frame.columns.count(name) > 1]
    if twice:
        msg = f"{where}: {frame.columns.count(twice[0])} columns are called {twice[0]!r}; rename"
        raise DataError(msg)


def _is_array(kind: T.DataType) -> bool:
    if isinstance(kind, T.ArrayType):
        return isinstance(kind.elementType, (*_INTEGERS, *FRACTIONS))
    return is_vector(kind)


def is_vector(kind: T.DataType) -> bool:
    """Whether it is a vector of Spark ML."""
    return isinstance(kind, T.UserDefinedType) and kind.simpleString() == "vector"


def _feature_kind(kind: T.DataType, *, chosen: bool) -> FeatureKind | None:
    """How a column of this type is read; None where it cannot be."""
    if chosen:
        return FeatureKind.CATEGORICAL if isinstance(kind, _CATEGORIES) else None
    if isinstance(kind, T.StringType):
        return FeatureKind.CATEGORICAL
    if isinstance(kind, (T.BooleanType, *_INTEGERS, *FRACTIONS)):
        return FeatureKind.NUMERIC
    return FeatureKind.ARRAY if _is_array(kind) else None


def label_is_numeric(kind: T.DataType) -> bool:
    """Whether a target of this type could be a regression target."""
    return isinstance(kind, (*_INTEGERS, *FRACTIONS))
