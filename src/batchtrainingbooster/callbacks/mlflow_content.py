"""What MLflow is told of a run, from what is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from batchtrainingbooster.callbacks.metric_names import plain
from batchtrainingbooster.callbacks.mlflow_run import FAILURE, MAX_KEY, metric
from batchtrainingbooster.callbacks.run_folder import CONFIG, HISTORY, PLOTS, REPORT, local_folder
from batchtrainingbooster.core.events import RunEnd
from batchtrainingbooster.core.record import RunRecord

# The server refuses longer ones.
MAX_PARAM, MAX_TAG = 6000, 5000


def params_of(record: RunRecord) -> dict[str, str]:
    """The settings as given, and what was inferred and staged as far as it is known."""
    found: dict[str, Any] = {}
    if record.start is not None:
        start = record.start
        found |= {**start.config, "booster": start.booster, "target": start.target_column}
    if record.data is not None:
        data = record.data
        found |= {
            "objective": data.objective,
            "rows": sum(map(sum, data.batches)),
            "validation_rows": sum(data.validation or ()),
            "batches": len(data.batches),
        }
    return texts(flat(found), MAX_PARAM)


def tags_of(record: RunRecord) -> dict[str, str]:
    """Which run it is, and the versions of the libraries."""
    if record.start is None:
        return {}
    versions = {f"version.{name}": found for name, found in record.start.versions.items()}
    return texts({"batchtrainingbooster.run_id": record.start.run_id, **versions}, MAX_TAG)


def outcome_of(record: RunRecord, end: RunEnd) -> dict[str, str]:
    """Why the run ended, as tags."""
    tags: dict[str, object] = {"stop_reason": end.stop_reason}
    if record.failure is not None:
        tags[FAILURE] = f"{record.failure.error}: {record.failure.message}"
    return texts(tags, MAX_TAG)


def results_of(record: RunRecord, end: RunEnd, **linked: str) -> list[Any]:
    """What the run has come to, as metrics; the best value belongs to the model, too."""
    last = record.rows[-1].round if record.rows else 0
    results = [
        metric("rounds", end.n_rounds, last),
        metric("visits", end.visits, last),
        metric("seconds", end.seconds, last),
    ]
    if end.best is not None and record.data is not None:
        at = end.best.round or 0
        results.append(metric(f"best_{record.data.metric}", end.best.value, at, **linked))
        results.append(metric("best_round", at, at))
    return results


@contextmanager
def files_of(record: RunRecord, *, has_model: bool) -> Iterator[list[Path]]:
    """The files and folders of the run folder, but for the model; else the history."""
    run_dir = record.start.run_dir if record.start else None
    found: list[Path] = []
    if run_dir is not None:
        folder = local_folder(run_dir)
        # Of a run without a model, the others would be those of an earlier one.
        names = (CONFIG, HISTORY, PLOTS, REPORT) if has_model else (CONFIG,)
        found = [folder / name for name in names if (folder / name).exists()]
    with TemporaryDirectory() as place:
        if record.rows and not (run_dir and has_model):
            file = Path(place) / HISTORY
            pq.write_table(pa.table(record.history.to_columns()), file)
            found.append(file)
        yield found


def texts(values: Mapping[str, object], longest: int) -> dict[str, str]:
    """Values as MLflow keeps them; of longer ones, the beginning.

    Examples
    --------
    >>> texts({"depth": 3, "columns": "abcdef"}, 4)
    {'depth': '3', 'columns': 'a...'}
    """
    found = {key: str(value) for key, value in values.items()}
    return {
        key: text if len(text) <= longest else f"{text[: longest - 3]}..."
        for key, text in found.items()
    }


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with keys that MLflow takes; empty ones and None are left out.

    Examples
    --------
    >>> flat({"config_model": {"max_depth": 3, "a b": {"c@d": None, "e": []}}, "f": None})
    {'config_model.max_depth': 3, 'config_model.a_b.e': []}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{plain(str(key))}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        elif value is not None:
            found[name[:MAX_KEY]] = value
    return found
