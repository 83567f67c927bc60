"""Values that cannot be trained on: one flag a row, and names and counts where one is up."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_

from batchtrainingbooster.data.columns import label_is_numeric
from batchtrainingbooster.data.source import INFINITY, Source
from batchtrainingbooster.errors import DataError

_INFINITE, _INEXACT, _BAD_WEIGHT, _INFINITE_LABEL, _NO_GROUP, _NEGATIVE_GRADE = 1, 2, 4, 8, 16, 32
# A number is a fault only as a value to come near to, or only as a class.
_LARGE_LABEL, _INEXACT_LABEL = 64, 128


def fault_bits(source: Source, *, allow_precision_loss: bool) -> str:
    """Which faults a row has; 0 where none."""
    columns = source.columns
    faults = [_flag([source.is_infinite(i) for i in source.can_be_infinite()], _INFINITE)]
    if not allow_precision_loss:
        faults.append(_flag([source.is_inexact(i) for i in source.can_be_inexact()], _INEXACT))
    if columns.weight is not None:
        faults.append(_flag([_is_bad_weight(source)], _BAD_WEIGHT))
    if columns.group is not None:
        faults.append(_flag([_has_no_group(source)], _NO_GROUP))
        faults.append(_flag([f"coalesce({source.label} < 0, false)"], _NEGATIVE_GRADE))
    if label_is_numeric(source.types[len(columns.features)]):
        label = f"CAST({source.label} AS double)"
        infinite, large = (
            f"coalesce(abs({value}) = {INFINITY}, false)"
            for value in (label, f"CAST({label} AS float)")
        )
        faults.append(_flag([infinite], _INFINITE_LABEL))
        faults.append(_flag([large], _LARGE_LABEL))
        faults.append(_flag([source.label_differs], _INEXACT_LABEL))
    return " | ".join(faults)


def _is_bad_weight(source: Source) -> str:
    weight = source.weight
    return f"NOT coalesce({weight} >= 0 AND {weight} < {INFINITY}, false)"


def _has_no_group(source: Source) -> str:
    return f"{source.group} IS NULL"


def _flag(conditions: list[str], bit: int) -> str:
    """``bit`` where any of the conditions holds, else 0."""
    return f"CASE WHEN {' OR '.join(conditions) or 'false'} THEN {bit} ELSE 0 END"


def refuse_faults(bits: Iterable[int], source: Source, where: str, *, has_classes: bool) -> None:
    """Name the columns at fault; only then is the DataFrame looked at once more.

    Parameters
    ----------
    bits : iterable of int
        Faults, of any number of rows each.
    source : Source
    where : str
        Its name in messages.
    has_classes : bool
        Whether the target's values are classes.

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
        n = source.frame.where(_has_no_group(source)).count()
        msg = f"{where}: group_column {source.columns.group!r} is null in {n:,} rows; fill or drop"
        raise DataError(msg)
    if faults & _NEGATIVE_GRADE:
        msg = f"{where}: target {source.columns.target!r}: for ranking, grades must be >= 0"
        raise DataError(msg)
    if faults & _INFINITE_LABEL:
        msg = f"{where}: target {source.columns.target!r} holds infinite values"
        raise DataError(msg)
    if faults & _LARGE_LABEL and not has_classes:
        msg = (
            f"{where}: target {source.columns.target!r} holds values that are infinite in float32 "
            "(beyond 3.4e38), which boosters train on; scale it, or take its logarithm"
        )
        raise DataError(msg)
    if faults & _INEXACT_LABEL and has_classes:
        kind = source.columns.target_type.simpleString()
        msg = (
            f"{where}: target {source.columns.target!r} is {kind} and holds classes of more digits "
            "than a double has, so that two could be taken for one; cast it to a string or bigint"
        )
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


def _count_by_column(source: Source, conditions: dict[int, str]) -> str:
    counts = source.frame.selectExpr(
        *[f"count_if({condition}) AS n{i}" for i, condition in conditions.items()]
    ).collect()[0]
    return ", ".join(
        f"{source.columns.features[i].name!r} ({counts[f'n{i}']:,} rows)"
        for i in conditions
        if counts[f"n{i}"]
    )
