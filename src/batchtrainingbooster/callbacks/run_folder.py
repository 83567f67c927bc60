"""The folder that a run leaves.

::

    run_dir/
        config.json         run id, settings as given, versions
        events.jsonl        the event log
        history.parquet     a row a round
        plots/              learning_curve.png, ...
        model/              the saved model
        report.html

The event log grows as things happen, and goes on where the folder is used again. Settings are
replaced at the start of a run, the others once it has come to its end; what an earlier run has left
of them, and this one does not make, is removed then.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
from batchtrainingbooster.data.filesystem import Folder, refuse_impossible_name
from batchtrainingbooster.data.lock import FolderLock
from batchtrainingbooster.errors import ConfigError, MissingDependencyError, ModelFormatError

logger = logging.getLogger(__name__)

CONFIG, HISTORY, MODEL, PLOTS, REPORT = (
    "config.json", "history.parquet", "model", "plots", "report.html",
)  # fmt: skip
OWN = (CONFIG, event_log.FILE, HISTORY, MODEL, PLOTS, REPORT)
PLOT_NAMES = (
    "learning_curve", "learning_rate", "class_balance", "time_by_stage", "feature_importance",
)  # fmt: skip


@contextmanager
def run_folder(
    run_dir: str | None, check_model: Callable[[Path], object]
) -> Iterator[list[Callback]]:
    """The callbacks that fill the folder, which is this run's alone; none without a folder.

    Parameters
    ----------
    run_dir : str, optional
    check_model : callable
        Raises ModelFormatError for a place that a model cannot be saved to.

    Raises
    ------
    ConfigError
        If the folder cannot be written to, is no local one, another run has it, or something else
        lies where the model is to be.
    """
    if run_dir is None:
        yield []
        return
    folder = local_folder(run_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / event_log.FILE).open("ab").close()
        check_model(folder / MODEL)
    except OSError as error:
        msg = f"config_training: run_dir: {folder} cannot be written to: {error.strerror}"
        raise ConfigError(msg) from error
    except ModelFormatError as error:
        msg = f"config_training: run_dir: {error}"
        raise ConfigError(msg) from error
    with FolderLock(Folder(str(folder)), "run_dir", ConfigError):
        yield [EventLog(folder / event_log.FILE), RunFolder(folder)]


def local_folder(run_dir: str) -> Path:
    """The folder that a setting names.

    Raises
    ------
    ConfigError
        If it is no local one, or no folder can be called so.
    """
    text = run_dir.removeprefix("file://")
    if not text:
        msg = f"config_training: run_dir: got {run_dir!r}, need the path of a folder"
        raise ConfigError(msg)
    refuse_impossible_name(text, "config_training: run_dir")
    if "://" in text:
        msg = f"config_training: run_dir: {without_secrets(text)} is no local folder; name one"
        raise ConfigError(msg)
    return Path(text).absolute()


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
        with _replaced(self._folder / CONFIG) as file:
            file.write_bytes(text.encode("utf-8", "surrogatepass"))

    def on_model_trained(self, event: ModelTrained) -> None:
        """Save the model, before anything else can fail."""
        self._model = event.model
        self._model.save(self._folder / MODEL)

    def on_run_end(self, event: RunEnd) -> None:
        """Write history, plots and report."""
        model, self._model = self._model, None
        if model is None:
            return
        with ExitStack() as stack:
            # One that fails does not keep the others from being written. Last in, first out.
            for write in (
                self._write_report, self._write_plots, self._write_history, self._write_model
            ):  # fmt: skip
                stack.callback(write, model)
        logger.info("Run folder: %s", self._folder)

    def _write_model(self, model: Any) -> None:
        """Once more, as its record has come to an end."""
        model.save(self._folder / MODEL)

    def _write_history(self, model: Any) -> None:
        with _replaced(self._folder / HISTORY) as file:
            pq.write_table(pa.table(model.history.to_columns()), file)

    def _write_plots(self, model: Any) -> None:
        folder = self._folder / PLOTS
        try:
            figures = model.plots()
        except MissingDependencyError as error:
            logger.info("%s", error)
            figures = {}
        else:
            folder.mkdir(exist_ok=True)
        for name in set(PLOT_NAMES).difference(figures):
            (folder / f"{name}.png").unlink(missing_ok=True)
        for name, figure in figures.items():
            with _replaced(folder / f"{name}.png") as file:
                figure.savefig(file, format="png")

    def _write_report(self, model: Any) -> None:
        try:
            with _replaced(self._folder / REPORT) as file:
                model.report(file)
        except MissingDependencyError as error:
            logger.info("%s", error)
            (self._folder / REPORT).unlink(missing_ok=True)


@contextmanager
def _replaced(file: Path) -> Iterator[Path]:
    """Another name to write to, so that half of a file is never taken for the whole."""
    new = file.with_name(f".{file.name}.new")
    try:
        yield new
        new.replace(file)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
