"""All batches as one XGBoost dataset on disk.

XGBoost asks for the batches one by one, twice: for their shape, and to quantise them. What it keeps
is a page for each batch in a file, read again in every round:
https://xgboost.readthedocs.io/en/stable/tutorials/external_memory.html
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xgboost as xgb

from batchtrainingbooster.backends.settings import WHERE, BoosterSettings, Problem
from batchtrainingbooster.backends.xgboost_predictor import translated
from batchtrainingbooster.core.ports import BatchSource
from batchtrainingbooster.core.timing import timed
from batchtrainingbooster.errors import ConfigError


def refuse_external(settings: BoosterSettings, problem: Problem) -> None:
    """Refuse what XGBoost cannot train from disk.

    Raises
    ------
    ConfigError
        Naming the setting.
    """
    where = "external_memory (the strategy in config_training)"
    method = settings.params.get("tree_method", "hist")
    if method not in ("hist", "auto"):
        msg = f"{WHERE}: tree_method: got {method!r}; {where} has 'hist' alone"
        raise ConfigError(msg)
    if problem.initial_model is not None:
        msg = (
            f"config_training: init_model: {where} does not continue a model: its thresholds are "
            "no cuts of the rows on disk; use 'incremental'"
        )
        raise ConfigError(msg)


@contextmanager
def on_disk(
    source: BatchSource, reference: xgb.QuantileDMatrix, columns: Mapping[str, Any], max_bin: Any
) -> Iterator[xgb.ExtMemQuantileDMatrix]:
    """All batches, quantised with the cuts of a reference; the file goes with the block."""
    with tempfile.TemporaryDirectory(dir=source.scratch, prefix=".external-memory-") as folder:
        pages = _Pages(source, str(Path(folder, "pages")), columns)
        with translated("while writing the batches to its external memory"):
            dataset = xgb.ExtMemQuantileDMatrix(
                pages,
                ref=reference,
                max_bin=max_bin,
                nthread=columns["nthread"],
                enable_categorical=True,
            )
        try:
            yield dataset
        finally:
            # XGBoost deletes its file with the dataset, and complains where it has gone before;
            # and somebody may hold the dataset still.
            dataset.__del__()


class _Pages(xgb.DataIter):  # type: ignore[misc]
    """Gives XGBoost one batch after the other."""

    def __init__(self, source: BatchSource, prefix: str, columns: Mapping[str, Any]) -> None:
        self._source = source
        self._columns = {name: columns[name] for name in ("feature_names", "feature_types")}
        self._next = 0
        super().__init__(cache_prefix=prefix)

    def next(self, input_data: Callable[..., None]) -> bool:
        if self._next == self._source.num_batches:
            return False
        with timed("reading"):
            batch = self._source.batch(self._next)
        input_data(
            data=batch.features,
            label=batch.label,
            weight=batch.weight,
            group=batch.group,
            **self._columns,
        )
        self._next += 1
        return True

    def reset(self) -> None:
        self._next = 0
