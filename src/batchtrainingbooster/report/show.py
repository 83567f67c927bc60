"""Showing the learning curves where the user is: in the notebook, or as files."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

FILE = "learning_curve.png"


def show_figure(figure: Figure, run_dir: str | None) -> Path | None:
    """Display the figure in a notebook; elsewhere write it, and log where. Never blocks.

    Returns
    -------
    Path or None
        The file, where one was written.
    """
    if _in_notebook():
        from IPython.display import display

        display(figure)
        return None
    folder = Path(run_dir or tempfile.mkdtemp(prefix="batchtrainingbooster-run-"))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE
    figure.savefig(file)
    logger.info("Learning curves: %s", file.absolute())
    return file


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})
