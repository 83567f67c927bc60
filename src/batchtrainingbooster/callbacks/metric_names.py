"""Names of metrics as tracking tools take them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batchtrainingbooster.core.history import Row


def plain(name: str) -> str:
    """A name with no other characters than all of the tools take, on all of their platforms.

    Examples
    --------
    >>> plain("ndcg@5"), plain("AUC:type=Mu")
    ('ndcg_5', 'AUC_type_Mu')
    """
    return re.sub(r"[^\w.-]", "_", name)


def values_of(row: Row, separator: str) -> Iterator[tuple[str, float]]:
    """What there is to plot of a round, by name: its metrics, and, last, its learning rate."""
    for part, metrics in (("train", row.train), ("valid", row.valid)):
        for name, value in metrics.items():
            yield f"{part}{separator}{plain(name)}", value
    yield "learning_rate", row.learning_rate
