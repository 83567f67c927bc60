"""The dictionary of each categorical column: its categories, in their own type, sorted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from batchtrainingbooster.core.config import Label
from batchtrainingbooster.core.table import FeatureKind
from batchtrainingbooster.data.source import Source
from batchtrainingbooster.errors import DataError

# What stands for bytes that are no text once Spark has handed them over, as it does for any other
# such bytes.
_REPLACEMENT = "\ufffd"


def dictionaries(rows: Iterable[Any], source: Source) -> dict[int, tuple[Label, ...]]:
    """The categories, in their own type, sorted.

    Parameters
    ----------
    rows : iterable of Row
        With ``feature``, the number of the categorical feature, or -1; and ``category``.
    source : Source

    Returns
    -------
    dict of int to tuple
        By position of the feature.
    """
    positions = source.columns.of_kind(FeatureKind.CATEGORICAL)
    found: dict[int, list[str]] = {i: [] for i in positions}
    for row in rows:
        if row["feature"] >= 0 and row["category"] is not None:
            found[positions[row["feature"]]].append(row["category"])
    return {i: _in_own_type(values, source.types[i].typeName()) for i, values in found.items()}


def _in_own_type(values: list[str], kind: str) -> tuple[Label, ...]:
    if kind == "boolean":
        return tuple(sorted(value == "true" for value in values))
    if kind in ("byte", "short", "integer", "long"):
        return tuple(sorted(int(value) for value in values))
    return tuple(sorted(values))


def refuse_bytes_that_are_no_text(
    labels: Iterable[Any],
    categories: dict[int, tuple[Label, ...]],
    source: Source,
    where: str,
) -> None:
    """Refuse labels and categories that Spark cannot hand over as they are.

    A string of Spark's may hold any bytes. Those that are no UTF-8 come out alike, so that two
    classes would be one, and categories would not be found again. Only where any may be so is the
    DataFrame looked at once more: the character that stands for them may be in the text itself.

    Raises
    ------
    DataError
        Naming the column and how many rows.
    """
    places = [i for i, values in categories.items() if _is_suspect(values)]
    if _is_suspect(labels):
        places.append(len(source.columns.features))
    for i in places:
        n = source.frame.where(f"encode(c{i}, 'UTF-8') <> CAST(c{i} AS binary)").count()
        if n:
            msg = (
                f"{where}: {source.columns.names[i]!r} holds bytes that are no UTF-8 text in {n:,} "
                "rows; read the source with its own encoding, or use hex() of the column"
            )
            raise DataError(msg)


def _is_suspect(values: Iterable[Any]) -> bool:
    return any(isinstance(value, str) and _REPLACEMENT in value for value in values)
