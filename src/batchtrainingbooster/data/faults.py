"""Values that cannot be trained on: one flag a row, and names and counts where one is up."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from batchtrainingbooster.data.columns import label_is_numeric
from batchtrainingbooster.data.source import Source
from batchtrainingbooster.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import Column

_INFINITE, _INEXACT, _BAD_WEIGHT, _INFINITE_LABEL, _NO_GROUP, _NEGATIVE_GRADE = 1, 2, 4, 8, 16, 32


def fault_bits(source: Source, *, allow_precision_loss: bool) -> Column:
    """Which faults a row has; 0 where none."""
    columns = source.columns
    faults = _flag([source.is_infinite(i) for i in source.can_be_infinite()], _INFINITE)
    if not allow_precision_loss:
        inexact = _flag([source.is_inexact(i) for i in source.can_be_inexact()], _INEXACT)
        faults = faults.bitwiseOR(inexact)
    if columns.weight is not None:
        faults = faults.bitwiseOR(_flag([_is_bad_weight(source)], _BAD_WEIGHT))
    label = source.label
    if columns.group is not None:
        faults = faults.bitwiseOR(_flag([source.group.isNull()], _NO_GROUP))
        negative = F.coalesce(label < 0, F.lit(False))
        faults = faults.bitwiseOR(_flag([negative], _NEGATIVE_GRADE))
    if label_is_numeric(source.types[len(columns.features)]):
        infinite = F.coalesce(F.abs(label.cast("double")) == float("inf"), F.lit(False))
        faults = faults.bitwiseOR(_flag([infinite], _INFINITE_LABEL))
    return faults


def _is_bad_weight(source: Source) -> Column:
    weight = source.weight
    fine = (weight >= 0) & (weight < float("inf"))
    return ~F.coalesce(fine, F.lit(False))


def _flag(conditions: list[Column], bit: int) -> Column:
    """``bit`` where any of the conditions holds, else 0; a balanced tree, as there may be many."""
    if not conditions:
        return F.lit(0)
    while len(conditions) > 1:
        pairs = zip(conditions[::2], conditions[1::2], strict=False)
        odd = conditions[-1:] if len(conditions) % 2 else []
        conditions = [a | b for a, b in pairs] + odd
    return F.when(conditions[0], bit).otherwise(0)


def refuse_faults(bits: Iterable[int], source: Source, where: str) -> None:
    """Name the columns at fault; only then is the DataFrame looked at once more.

    Raises
    ------
    DataError
        If any bit is set.
    """
    faults = reduce(or_, bits, 0)
    if faults & _BAD_WEIGHT:
        n = source.frame.where(_is_bad_weight(source)).count()
        msg = (
            f"{where}: weight_column {source.columns.weight!r} is negative, infinite or null in "
            f"{n:,} rows; weights must be numbers >= 0"
        )
        raise DataError(msg)
    if faults & _NO_GROUP:
        n = source.frame.where(source.group.isNull()).count()
        msg = f"{where}: group_column {source.columns.group!r} is null in {n:,} rows; fill or drop"
        raise DataError(msg)
    if faults & _NEGATIVE_GRADE:
        msg = f"{where}: target {source.columns.target!r}: for ranking, grades must be >= 0"
        raise DataError(msg)
    if faults & _INFINITE_LABEL:
        msg = f"{where}: target {source.columns.target!r} holds infinite values"
        raise DataError(msg)
    if faults & _INFINITE:
        conditions = {i: source.is_infinite(i) for i in source.can_be_infinite()}
        msg = (
            f"{where}: infinite values (in float32) in {_count_by_column(source, conditions)}; "
            "replace them, or make them null, which is missing"
        )
        raise DataError(msg)
    if faults & _INEXACT:
        conditions = {i: source.is_inexact(i) for i in source.can_be_inexact()}
        msg = (
            f"{where}: integers that float32 cannot hold exactly in "
            f"{_count_by_column(source, conditions)}; leave out identifiers, name the column in "
            "categorical_columns, or accept rounding with allow_precision_loss=True"
        )
        raise DataError(msg)


def _count_by_column(source: Source, conditions: dict[int, Column]) -> str:
    counts = source.frame.agg(
        *[F.count_if(condition).alias(f"n{i}") for i, condition in conditions.items()]
    ).collect()[0]
    return ", ".join(
        f"{source.columns.features[i].name!r} ({counts[f'n{i}']:,} rows)"
        for i in conditions
        if counts[f"n{i}"]
    )
