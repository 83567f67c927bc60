"""The user's columns as Spark expressions under names of our own.

A column may be called anything (dots, quotes, twice the same but for case): every DataFrame is
first renamed by position, and the user's names live on only in the schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

import attrs
from pyspark.sql import functions as F
from pyspark.sql import types as T

from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.table import FeatureKind
from batchtrainingbooster.errors import ColumnNotFoundError, ConfigError, DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_INTEGERS = (T.ByteType, T.ShortType, T.IntegerType, T.LongType)
_FRACTIONS = (T.FloatType, T.DoubleType, T.DecimalType)
_WIDE_INTEGERS = (T.IntegerType, T.LongType)
_CATEGORIES = (T.StringType, T.BooleanType, *_INTEGERS)
_LABELS = (T.StringType, T.BooleanType, *_INTEGERS, *_FRACTIONS)


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
    if weight is not None and not isinstance(types[weight], (*_INTEGERS, *_FRACTIONS)):
        msg = (
            f"{where}: weight_column {weight!r} is {types[weight].simpleString()}; "
            "it must be a number"
        )
        raise DataError(msg)
    if group is not None:
        _check_group(group, types[group], target, types[target], where)
    return SourceColumns(tuple(features), target, types[target], weight, group)


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
    _refuse_missing_or_ambiguous(frame, columns.names, where)
    types = {field.name: field.dataType for field in frame.schema.fields}
    expected = {feature.name: feature.spark_type for feature in columns.features}
    expected[columns.target] = columns.target_type
    differing = [
        f"{name!r} is {types[name].simpleString()}, in training {wanted.simpleString()}"
        for name, wanted in expected.items()
        if _comparable(types[name]) != _comparable(wanted)
    ]
    if differing:
        msg = f"{where}: columns differ from train_dataframe: {'; '.join(differing)}"
        raise DataError(msg)


def _comparable(kind: T.DataType) -> str:
    """Types that may stand for each other have the same word here."""
    if isinstance(kind, (*_INTEGERS, *_FRACTIONS)):
        return "number"
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
        return isinstance(kind.elementType, (*_INTEGERS, *_FRACTIONS))
    return _is_vector(kind)


def _is_vector(kind: T.DataType) -> bool:
    return isinstance(kind, T.UserDefinedType) and kind.simpleString() == "vector"


def _feature_kind(kind: T.DataType, *, chosen: bool) -> FeatureKind | None:
    """How a column of this type is read; None where it cannot be."""
    if chosen:
        return FeatureKind.CATEGORICAL if isinstance(kind, _CATEGORIES) else None
    if isinstance(kind, T.StringType):
        return FeatureKind.CATEGORICAL
    if isinstance(kind, (T.BooleanType, *_INTEGERS, *_FRACTIONS)):
        return FeatureKind.NUMERIC
    return FeatureKind.ARRAY if _is_array(kind) else None


class Source:
    """The columns of one DataFrame, as expressions.

    Parameters
    ----------
    frame : DataFrame
    columns : SourceColumns
    seed : int
        Of the row hash.

    Attributes
    ----------
    frame : DataFrame
        With columns ``c0, c1, ...`` in the order of ``columns.names``.
    """

    def __init__(self, frame: DataFrame, columns: SourceColumns, seed: int) -> None:
        renamed = frame.toDF(*[f"p{i}" for i in range(len(frame.columns))])
        position = {name: i for i, name in enumerate(frame.columns)}
        types = {field.name: field.dataType for field in frame.schema.fields}
        self.columns = columns
        self.types = [types[name] for name in columns.names]
        self.frame = renamed.select(
            *[
                _plain(F.col(f"p{position[name]}"), kind).alias(f"c{i}")
                for i, (name, kind) in enumerate(zip(columns.names, self.types, strict=True))
            ]
        )
        self._seed = seed

    @property
    def label(self) -> Column:
        """The target; NaN is null."""
        i = len(self.columns.features)
        column = F.col(f"c{i}")
        if isinstance(self.types[i], T.DecimalType):
            column = column.cast("double")
        if isinstance(self.types[i], _FRACTIONS):
            column = F.when(~F.isnan(column), column)
        return column

    @property
    def weight(self) -> Column:
        """The row weight: 1 where no column is named."""
        if self.columns.weight is None:
            return F.lit(1.0)
        return F.col(f"c{len(self.columns.features) + 1}").cast("double")

    @property
    def group(self) -> Column:
        """The query as it is."""
        return F.col(f"c{len(self.types) - 1}")

    @property
    def group_hash(self) -> Column:
        """64 bits of the query and the seed."""
        return F.xxhash64(F.lit(self._seed).cast("long"), self.group)

    @property
    def row_hash(self) -> Column:
        """64 bits of all columns and the seed; equal rows have equal hashes.

        Hashes pass nulls over, so a bit mask of the nulls is hashed too: else (null, 5) and
        (5, null) would be one row.
        """
        columns = [F.col(f"c{i}") for i in range(len(self.types))]
        masks = []
        for start in range(0, len(columns), 63):
            bits = [
                F.when(column.isNull(), F.lit(1 << bit)).otherwise(F.lit(0)).cast("long")
                for bit, column in enumerate(columns[start : start + 63])
            ]
            masks.append(reduce(lambda a, b: a.bitwiseOR(b), bits))
        return F.xxhash64(F.lit(self._seed).cast("long"), *masks, *columns)

    def numeric(self, i: int) -> Column:
        """A numeric feature as float32; NaN is null."""
        column = F.col(f"c{i}").cast("float")
        return F.when(~F.isnan(column), column) if self._is_fraction(i) else column

    def category(self, i: int) -> Column:
        """A category as text."""
        return F.col(f"c{i}").cast("string")

    def array(self, i: int, width: int) -> Column:
        """A vector or array as float32s; a null one is all missing."""
        floats = F.col(f"c{i}").cast("array<float>")
        missing = F.array_repeat(F.lit(None).cast("float"), width)
        return F.coalesce(floats, missing)

    def array_size(self, i: int) -> Column:
        """Length of a vector or array; null where it is null."""
        return F.when(F.col(f"c{i}").isNotNull(), F.size(f"c{i}"))

    def is_infinite(self, i: int) -> Column:
        """Whether a feature is infinite once it is float32."""
        column = F.col(f"c{i}")
        if self.columns.features[i].kind is FeatureKind.ARRAY:
            floats = column.cast("array<float>")
            return F.coalesce(F.exists(floats, lambda x: F.abs(x) == float("inf")), F.lit(False))
        return F.coalesce(F.abs(column.cast("float")) == float("inf"), F.lit(False))

    def is_inexact(self, i: int) -> Column:
        """Whether an integer feature changes in value when it becomes float32."""
        column = F.col(f"c{i}")
        back = column.cast("float").cast("double")
        # 2**63 is a float32, but its cast to long would be one less, as if it had been exact.
        inexact = F.expr(f"try_cast(cast(cast(c{i} as float) as double) as bigint) <> c{i}")
        return F.coalesce(inexact | (F.abs(back) >= float(2**63)), F.lit(False))

    def can_be_infinite(self) -> list[int]:
        """Positions of the features that may hold infinite values."""
        return [
            i
            for i, feature in enumerate(self.columns.features)
            if feature.kind is FeatureKind.ARRAY
            or (feature.kind is FeatureKind.NUMERIC and self._is_fraction(i))
        ]

    def can_be_inexact(self) -> list[int]:
        """Positions of the features whose integers float32 may not hold."""
        return [
            i
            for i in self.columns.of_kind(FeatureKind.NUMERIC)
            if isinstance(self.types[i], _WIDE_INTEGERS)
        ]

    def _is_fraction(self, i: int) -> bool:
        return isinstance(self.types[i], _FRACTIONS)


def _plain(column: Column, kind: T.DataType) -> Column:
    """A vector as an array, so that sparse and dense ones are the same row."""
    if not _is_vector(kind):
        return column
    from pyspark.ml.functions import vector_to_array

    return vector_to_array(column)


def label_is_numeric(kind: T.DataType) -> bool:
    """Whether a target of this type could be a regression target."""
    return isinstance(kind, (*_INTEGERS, *_FRACTIONS))
