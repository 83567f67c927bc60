"""The report of a run: one HTML file."""

from __future__ import annotations

from os import PathLike

from batchtrainingbooster.core.record import RunRecord


def write_report(record: RunRecord, path: str | PathLike[str]) -> None:
    """See ``BoostedModel.report``."""
    raise NotImplementedError
