"""The package's logger. Nothing is configured at import: that is the application's right."""

from __future__ import annotations

import logging
from pathlib import Path

NAME = "batchtrainingbooster"
_FORMAT = "%(asctime)s  %(levelname)-7s  %(message)s"

logging.getLogger(NAME).addHandler(logging.NullHandler())


def setup_logger(level: int | str = logging.INFO, file: str | Path | None = None) -> logging.Logger:
    """Show what the package logs, on the console and in a file; calling it again replaces.

    Parameters
    ----------
    level : int or str
        The least that is shown.
    file : str or path, optional
        Appended to.

    Returns
    -------
    logging.Logger
        The package's.

    Examples
    --------
    >>> setup_logger("WARNING").level == logging.WARNING
    True
    """
    logger = logging.getLogger(NAME)
    logger.setLevel(level)
    for handler in [h for h in logger.handlers if h.get_name() == NAME]:
        logger.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if file is not None:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(file, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_FORMAT))
        handler.set_name(NAME)
        logger.addHandler(handler)
    return logger
