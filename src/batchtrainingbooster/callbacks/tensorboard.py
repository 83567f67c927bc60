"""A run in TensorBoard: its event files, written as things happen."""

from __future__ import annotations

from importlib import import_module
from os import PathLike, fspath
from typing import Any

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.callbacks.metric_names import plain, values_of
from batchtrainingbooster.core.events import (
    Improvement,
    RoundEnd,
    RunEnd,
    RunStart,
    StagingEnd,
    TrainingStart,
    VisitEnd,
)
from batchtrainingbooster.core.record import RunRecord, settings_of
from batchtrainingbooster.errors import MissingDependencyError


class TensorBoardCallback(Callback):
    """Writes TensorBoard's event files.

    By round, numbered over the whole run: ``train/<metric>``, ``valid/<metric>``,
    ``learning_rate``, ``visit_seconds`` at the last round of a visit, ``best/<metric>`` where it
    has become better; and the settings as a text.

    A run that goes on from a checkpoint goes on in the same folder: TensorBoard drops the rounds
    after the checkpoint, which are trained anew. So it does with all rounds of a folder that
    another run is written to; use one for each run.

    Parameters
    ----------
    log_dir : str or path
        Made where it is missing, once training begins.

    Raises
    ------
    MissingDependencyError
        If tensorboardX is not installed.
    """

    def __init__(self, log_dir: str | PathLike[str]) -> None:
        try:
            import_module("tensorboardX")
        except ImportError as error:
            raise MissingDependencyError.of(
                "tensorboardX", "tensorboard", "TensorBoardCallback"
            ) from error
        self._log_dir = fspath(log_dir)
        self._run_id = ""
        self._settings: dict[str, Any] = {}
        self._writer: Any = None
        self._best = "best"
        self._last_round = 0

    def on_run_start(self, event: RunStart) -> None:
        """Note the settings."""
        self._run_id = event.run_id
        self._settings = {
            "booster": event.booster,
            "target": event.target_column,
            **settings_of(RunRecord(start=event)),
            **event.versions,
        }

    def on_staging_end(self, event: StagingEnd) -> None:
        """Note which metric decides."""
        self._best = f"best/{plain(event.metric)}"

    def on_training_start(self, event: TrainingStart) -> None:
        """Open a file, where what it says of later rounds than the last one counts alone."""
        from tensorboardX import SummaryWriter

        first = len(event.state.history)
        self._last_round = max(first - 1, 0)
        # Files are named by the second: within one, another run would write over this one's.
        self._writer = SummaryWriter(
            self._log_dir, purge_step=first, filename_suffix=f".{self._run_id}"
        )
        rows = "\n".join(
            f"| {_cell(key)} | {_cell(self._settings[key])} |" for key in self._settings
        )
        self._writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}", first)
        self._writer.flush()

    def on_round_end(self, event: RoundEnd) -> None:
        """Write metrics and learning rate."""
        self._last_round = event.row.round
        for name, value in values_of(event.row, "/"):
            self._write(name, value, self._last_round)

    def on_improvement(self, event: Improvement) -> None:
        """Write the best value so far."""
        self._write(self._best, event.best.value, event.best.round)

    def on_visit_end(self, event: VisitEnd) -> None:
        """Write the time, and see to it that all is in the file."""
        self._write("visit_seconds", event.seconds, self._last_round)
        if self._writer is not None:
            self._writer.flush()

    def on_run_end(self, event: RunEnd) -> None:
        """Close the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _write(self, name: str, value: float, step: int | None) -> None:
        # Where the file could not be opened, that was said once.
        if self._writer is not None:
            self._writer.add_scalar(name, value, step)


def _cell(value: object) -> str:
    r"""A value in a table of Markdown.

    Examples
    --------
    >>> _cell("a|b")
    'a\\|b'
    """
    return str(value).replace("|", "\\|").replace("\n", " ")
