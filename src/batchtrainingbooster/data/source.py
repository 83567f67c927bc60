"""The user's columns as Spark expressions under names of our own.

A column may be called anything (dots, quotes, twice the same but for case): every DataFrame is
first renamed by position, and the user's names live on only in the schema.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from batchtrainingbooster.core.table import FeatureKind
from batchtrainingbooster.data.columns import FRACTIONS, WIDE_INTEGERS, SourceColumns, is_vector

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


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
        if isinstance(self.types[i], FRACTIONS):
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
        """A numeric feature as float32; missing values are null or NaN."""
        return F.col(f"c{i}").cast("float")

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
            if isinstance(self.types[i], WIDE_INTEGERS)
        ]

    def _is_fraction(self, i: int) -> bool:
        return isinstance(self.types[i], FRACTIONS)


def _plain(column: Column, kind: T.DataType) -> Column:
    """A vector as an array, so that sparse and dense ones are the same row."""
    if not is_vector(kind):
        return column
    from pyspark.ml.functions import vector_to_array

    return vector_to_array(column)
