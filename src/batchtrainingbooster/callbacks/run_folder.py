"""The folder that a run leaves.

::

    run_dir/
        config.json         run id, settings as given, versions
        events.jsonl        the event log
        history.parquet     a row a round
        plots/              learning_curve.png, ...
        model/              the saved model
        report.html

The event log grows as things happen, and goes on where the folder is used again; the others are
replaced once the run has come to its end.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pyarrow.parquet as pq

from batchtrainingbooster.callbacks import event_log
from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.callbacks.event_log import EventLog
from batchtrainingbooster.core.events import ModelTrained, RunEnd, RunStart
from batchtrainingbooster.core.redaction import without_secrets
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.lock import FolderLock
from batchtrainingbooster.errors import ConfigError, MissingDependencyError

logger = logging.getLogger(__name__)

CONFIG, HISTORY, MODEL, PLOTS, REPORT = (
    "config.json", "history.parquet", "model", "plots", "report.html",
)  # fmt: skip


@contextmanager
def run_folder(run_dir: str | None) -> Iterator[list[Callback]]:
    """The callbacks that fill the folder, which is this run's alone; none without a folder.

    Raises
    ------
    ConfigError
        If the folder cannot be written to, is no local one, or another run has it.
    """
    if run_dir is None:
        yield []
        return
    text = run_dir.removeprefix("file://")
    if "://" in text:
        msg = f"config_training: run_dir: {without_secrets(text)} is no local folder; name one"
        raise ConfigError(msg)
    folder = Path(text).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / event_log.FILE).open("ab").close()
    except OSError as error:
        msg = f"config_training: run_dir: {folder} cannot be written to: {error.strerror}"
        raise ConfigError(msg) from error
    with FolderLock(Folder(str(folder)), "run_dir", ConfigError):
        yield [EventLog(folder / event_log.FILE), RunFolder(folder)]


class RunFolder(Callback):
    """Writes settings at the start, and all else at the end.

    Parameters
    ----------
    folder : Path
        Exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._model: Any = None

    def on_run_start(self, event: RunStart) -> None:
        """Write the settings."""
        text = json.dumps(attrs.asdict(event), indent=1, ensure_ascii=False)
        _replace(self._folder / CONFIG, text.encode("utf-8", "surrogatepass"))

    def on_model_trained(self, event: ModelTrained) -> None:
        """Save the model, before anything else can fail."""
        self._model = event.model
        self._model.save(self._folder / MODEL)

    def on_run_end(self, event: RunEnd) -> None:
        """Write history, plots and report."""
        model, self._model = self._model, None
        if model is None:
            return
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(model.history.to_columns()), sink)
        _replace(self._folder / HISTORY, sink.getvalue())
        for write in (self._write_plots, self._write_report):
            try:
                write(model)
            except MissingDependencyError as error:
                logger.info("%s", error)
        logger.info("Run folder: %s", self._folder)

    def _write_plots(self, model: Any) -> None:
        folder = self._folder / PLOTS
        folder.mkdir(exist_ok=True)
        for name, figure in model.plots().items():
            figure.savefig(folder / f"{name}.png")

    def _write_report(self, model: Any) -> None:
        model.report(self._folder / REPORT)


def _replace(file: Path, content: Any) -> None:
    """Write a file so that half of it is never taken for the whole."""
    new = file.with_name(f".{file.name}.new")
    new.write_bytes(content)
    new.replace(file)
