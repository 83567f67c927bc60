"""The user's columns as SQL expressions under names of our own.

A column may be called anything (dots, quotes, twice the same but for case): every DataFrame is
first renamed by position, and the user's names live on only in the schema. Text goes to Spark in
one piece, where every operator of a ``Column`` takes a round trip, which thousands of columns feel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import types as T

from batchtrainingbooster.core.table import FeatureKind
from batchtrainingbooster.data.columns import FRACTIONS, WIDE_INTEGERS, SourceColumns, is_vector

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

INFINITY = "double('Infinity')"


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
        position = {name: i for i, name in enumerate(frame.columns)}
        types = {field.name: field.dataType for field in frame.schema.fields}
        self.columns = columns
        self.types = [types[name] for name in columns.names]
        renamed = frame.toDF(*[f"p{i}" for i in range(len(frame.columns))])
        places = [position[name] for name in columns.names]
        vectors = [p for p, kind in zip(places, self.types, strict=True) if is_vector(kind)]
        self.frame = _spread(renamed, vectors).selectExpr(
            *[
                f"{_plain(f'p{place}', kind)} AS c{i}"
                for i, (place, kind) in enumerate(zip(places, self.types, strict=True))
            ]
        )
        self._seed = seed

    @property
    def label(self) -> str:
        """The target; NaN is null."""
        i = len(self.columns.features)
        column = f"c{i}"
        if isinstance(self.types[i], T.DecimalType):
            column = f"CAST({column} AS double)"
        if isinstance(self.types[i], FRACTIONS):
            column = f"CASE WHEN NOT isnan({column}) THEN {column} END"
        return column

    @property
    def label_differs(self) -> str:
        """Whether a decimal target changes in value when it becomes a double."""
        i = len(self.columns.features)
        if not isinstance(self.types[i], T.DecimalType):
            return "false"
        kind = self.types[i].simpleString()
        return f"coalesce(try_cast(CAST(c{i} AS double) AS {kind}) <> c{i}, c{i} IS NOT NULL)"

    @property
    def weight(self) -> str:
        """The row weight, as boosters take it: a float32; 1 where no column is named."""
        if self.columns.weight is None:
            return "1.0D"
        return f"CAST(CAST(c{len(self.columns.features) + 1} AS float) AS double)"

    @property
    def group(self) -> str:
        """The query as it is."""
        return f"c{len(self.types) - 1}"

    @property
    def group_hash(self) -> str:
        """64 bits of the query and the seed."""
        return f"xxhash64(CAST({self._seed} AS bigint), {self.group})"

    @property
    def row_hash(self) -> str:
        """64 bits of all columns and the seed; equal rows have equal hashes.

        Hashes pass nulls over, so a bit mask of the nulls is hashed too: else (null, 5) and
        (5, null) would be one row.
        """
        columns = [f"c{i}" for i in range(len(self.types))]
        masks = []
        for start in range(0, len(columns), 63):
            bits = [
                f"CASE WHEN {column} IS NULL THEN {1 << bit}L ELSE 0L END"
                for bit, column in enumerate(columns[start : start + 63])
            ]
            masks.append(" | ".join(bits))
        return f"xxhash64(CAST({self._seed} AS bigint), {', '.join([*masks, *columns])})"

    def numeric(self, i: int) -> str:
        """A numeric feature as float32; missing values are null or NaN."""
        return f"CAST(c{i} AS float)"

    def category(self, i: int) -> str:
        """A category as text."""
        return f"CAST(c{i} AS string)"

    def array(self, i: int, width: int) -> str:
        """A vector or array as float32s; a null one is all missing."""
        missing = f"array_repeat(CAST(NULL AS float), {width})"
        return f"coalesce({self._floats(i)}, {missing})"

    def array_size(self, i: int) -> str:
        """Length of a vector or array; null where it is null."""
        return f"CASE WHEN c{i} IS NOT NULL THEN size(c{i}) END"

    def is_infinite(self, i: int) -> str:
        """Whether a feature is infinite once it is float32."""
        if self.columns.features[i].kind is FeatureKind.ARRAY:
            return f"coalesce(exists({self._floats(i)}, x -> abs(x) = {INFINITY}), false)"
        return f"coalesce(abs({self.numeric(i)}) = {INFINITY}, false)"

    def is_inexact(self, i: int) -> str:
        """Whether an integer feature changes in value when it becomes float32."""
        if self.columns.features[i].kind is FeatureKind.ARRAY:
            return f"coalesce(exists(c{i}, x -> {_is_inexact('x')}), false)"
        return f"coalesce({_is_inexact(f'c{i}')}, false)"

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
            for i, kind in enumerate(self.types[: len(self.columns.features)])
            if self.columns.features[i].kind is not FeatureKind.CATEGORICAL
            and isinstance(getattr(kind, "elementType", kind), WIDE_INTEGERS)
        ]

    def _is_fraction(self, i: int) -> bool:
        return isinstance(self.types[i], FRACTIONS)

    def _floats(self, i: int) -> str:
        return f"CAST(c{i} AS array<float>)"


def _is_inexact(column: str) -> str:
    back = f"CAST(CAST({column} AS float) AS double)"
    # 2**63 is a float32, but its cast to long would be one less, as if it had been exact.
    return f"(try_cast({back} AS bigint) <> {column} OR abs({back}) >= {float(2**63)!r}D)"


def _plain(column: str, kind: T.DataType) -> str:
    """Text without its collation, which would take different labels or categories for one."""
    has_collation = isinstance(kind, T.StringType) and kind.simpleString() != "string"
    return f"CAST({column} AS string)" if has_collation else column


def _spread(frame: DataFrame, vectors: list[int]) -> DataFrame:
    """Vectors as arrays, so that sparse and dense ones are the same row."""
    if not vectors:
        return frame
    from pyspark.ml.functions import vector_to_array

    return frame.withColumns({f"p{i}": vector_to_array(f"p{i}") for i in vectors})
