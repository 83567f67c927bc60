"""Which rows of a batch are one worker's, where several train on it together."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np


@attrs.frozen
class Share:
    """One of the equal parts of a batch.

    Attributes
    ----------
    number : int
        From 0.
    of : int
        How many there are.
    """

    number: int
    of: int

    def slices(self, rows: Sequence[int]) -> list[slice]:
        """The rows of each file that are in this share, of files with so many rows.

        The files follow each other, and are cut into runs of rows that differ by one at most, so
        that most files are read by one worker alone.

        Examples
        --------
        >>> Share(1, of=2).slices([3, 5])
        [slice(3, 3, None), slice(1, 5, None)]
        """
        ends = np.cumsum(rows)
        total = int(ends[-1])
        first, last = (total * number // self.of for number in (self.number, self.number + 1))
        return [
            slice(min(max(first - start, 0), n), min(max(last - start, 0), n))
            for start, n in zip((ends - rows).tolist(), rows, strict=True)
        ]

    def owns(self, group_hash: np.ndarray) -> np.ndarray:
        """Whether rows of these queries are in this share: all rows of a query, or none."""
        return np.asarray(group_hash.view(np.uint64) % np.uint64(self.of) == self.number)


ALL = Share(0, of=1)
