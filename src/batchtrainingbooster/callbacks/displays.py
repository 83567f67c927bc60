"""What a run shows of itself where somebody looks on: a terminal, or a notebook."""

from __future__ import annotations

import io
import logging
import sys
import time
from typing import Any

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.callbacks.recorder import Recorder
from batchtrainingbooster.core import wording
from batchtrainingbooster.core.events import Event, RoundEnd, RunEnd, StopRequest

logger = logging.getLogger(__name__)

REFRESHES_PER_SECOND = 4
_NOTEBOOK_WIDTH = 110


def displays(verbosity: int) -> list[Callback]:
    """The display for this place, if anybody looks on; the log of rounds, if asked for."""
    found: list[Callback] = []
    if verbosity and in_notebook():
        found.append(NotebookDisplay())
    elif verbosity and _is_terminal(sys.stderr):
        found.append(TerminalDisplay())
    if verbosity == 2:
        found.append(RoundLog())
    return found


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def _is_terminal(stream: Any) -> bool:
    from rich.console import Console

    console = Console(file=stream)
    return console.is_terminal and not console.is_dumb_terminal


class TerminalDisplay(Recorder):
    """Three lines at the foot of the terminal, drawn anew some times a second.

    What is printed to the terminal meanwhile, or logged by way of ``setup_logger``, appears above
    them. Standard output that goes elsewhere is left alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._live: Any = None

    def on_event(self, event: Event) -> StopRequest | None:
        """Take it in; the lines are drawn by a thread of their own."""
        super().on_event(event)
        if self._live is None and not isinstance(event, RunEnd):
            self._live = self._started()
        elif self._live is not None and isinstance(event, RunEnd):
            self._live.stop()
            self._live = None
        return None

    def _started(self) -> Any:
        from rich.console import Console
        from rich.live import Live

        from batchtrainingbooster.callbacks.status import status

        live = Live(
            console=Console(stderr=True),
            get_renderable=lambda: status(self.record),
            refresh_per_second=REFRESHES_PER_SECOND,
            redirect_stdout=_is_terminal(sys.stdout),
        )
        live.start()
        return live


class NotebookDisplay(Recorder):
    """The same in the output of a cell, without widgets."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None
        self._drawn = 0.0

    def on_event(self, event: Event) -> StopRequest | None:
        """Take it in, and draw if it was not just done."""
        super().on_event(event)
        now = time.monotonic()
        if isinstance(event, RunEnd) or now - self._drawn >= 1 / REFRESHES_PER_SECOND:
            self._drawn = now
            self._draw()
        return None

    def _draw(self) -> None:
        from IPython.display import HTML, display

        page = HTML(_html(self.record))
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)


def _html(record: Any) -> str:
    from rich.console import Console

    from batchtrainingbooster.callbacks.status import status

    console = Console(
        file=io.StringIO(), record=True, width=_NOTEBOOK_WIDTH, force_terminal=True,
        force_jupyter=False,
    )  # fmt: skip
    console.print(status(record))
    form = '<pre style="line-height: 1.4">{code}</pre>'
    return console.export_html(inline_styles=True, code_format=form)


class RoundLog(Callback):
    """Logs every round."""

    def on_round_end(self, event: RoundEnd) -> None:
        """One line."""
        row = event.row
        logger.info(
            "Visit %d, round %d: learning rate %.6g  %s",
            row.visit + 1, row.round + 1, row.learning_rate, wording.of_metrics(row),
        )  # fmt: skip
