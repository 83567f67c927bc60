"""Showing the learning curve where the user is: in the notebook, or as a file."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from batchtrainingbooster.callbacks.displays import in_notebook
from batchtrainingbooster.callbacks.run_folder import PLOTS, local_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

FILE = "learning_curve.png"


def show_figure(figure: Figure, run_dir: str | None) -> Path | None:
    """Display the figure in a notebook; elsewhere say in the log where its file is. Never blocks.

    The run folder has one already, unless it could not be written there.

    Returns
    -------
    Path or None
        The file, outside a notebook.
    """
    if in_notebook():
        from IPython.display import display

        display(figure)
        return None
    if run_dir is None:
        folder = Path(tempfile.mkdtemp(prefix="batchtrainingbooster-run-"))
    else:
        folder = local_folder(run_dir) / PLOTS
    file = folder / FILE
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(file)
    logger.info("Learning curves: %s", file)
    return file
