"""The package's logger. Nothing is configured at import: that is the application's right."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from batchtrainingbooster.core.printable import printable
from batchtrainingbooster.core.redaction import without_secrets
from batchtrainingbooster.core.run_id import current_run_id
from batchtrainingbooster.errors import ConfigError

NAME = "batchtrainingbooster"
NO_RUN = "-"

logging.getLogger(NAME).addHandler(logging.NullHandler())


def setup_logger(
    level: int | str = logging.INFO,
    file: str | os.PathLike[str] | None = None,
    *,
    format: str = "text",  # noqa: A002 - what it is
    max_bytes: int = 10_000_000,
    backups: int = 3,
    console: bool = True,
) -> logging.Logger:
    """Show what the package logs, on the console and in a file; calling it again replaces.

    Each line tells its run: in JSON by its id, in text by the last six characters of it. Messages
    go on to the root logger; an application that shows those needs none of this.

    Parameters
    ----------
    level : int or str
        The least that is shown.
    file : str or path, optional
        Appended to. Where its folder does not exist, it is made.
    format : "text" or "json"
        JSON is an object a line: time (UTC), level, logger, run_id, message, exception.
    max_bytes : int
        Before the file would grow larger, it becomes ``file.1``, that ``file.2``, and so on.
    backups : int
        How many of those are kept. With 0 here or there, the file grows.
    console : bool
        Whether to show it on standard error too.

    Returns
    -------
    logging.Logger
        The package's.

    Raises
    ------
    ConfigError
        If an argument is none of these, or the file cannot be written to. Nothing has changed then.

    Examples
    --------
    >>> setup_logger("WARNING").level == logging.WARNING
    True
    """
    problems = [
        *_problems_of_level(level),
        *_problems_of_choice("format", format, ("text", "json")),
        *_problems_of_count("max_bytes", max_bytes),
        *_problems_of_count("backups", backups),
        *_problems_of_choice("console", console, (True, False)),
    ]
    if problems:
        raise ConfigError.of("setup_logger", problems)
    handlers: list[logging.Handler] = []
    if file is not None:
        handlers.append(_file_handler(file, max_bytes, backups))
    if console:
        handlers.insert(0, ConsoleHandler())
    logger = logging.getLogger(NAME)
    for handler in [h for h in logger.handlers if h.get_name() == NAME]:
        logger.removeHandler(handler)
        handler.close()
    for handler in handlers:
        handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
        handler.addFilter(_add_run_id)
        handler.set_name(NAME)
        logger.addHandler(handler)
    logger.setLevel(level.upper() if isinstance(level, str) else level)
    return logger


def _problems_of_level(level: Any) -> list[str]:
    known = logging.getLevelNamesMapping()
    is_known = level.upper() in known if isinstance(level, str) else _is_count(level)
    return [] if is_known else [f"level: got {level!r}, need an int or one of {', '.join(known)}"]


def _problems_of_choice(name: str, value: Any, choices: tuple[Any, Any]) -> list[str]:
    is_one = type(value) is type(choices[0]) and value in choices
    one, other = map(repr, choices)
    return [] if is_one else [f"{name}: got {value!r}, need {one} or {other}"]


def _problems_of_count(name: str, value: Any) -> list[str]:
    return [] if _is_count(value) else [f"{name}: got {value!r}, need an int >= 0"]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _file_handler(file: Any, max_bytes: int, backups: int) -> logging.Handler:
    try:
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        return RotatingFileHandler(
            path,
            maxBytes=max_bytes,
            backupCount=backups,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except (OSError, TypeError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        msg = f"setup_logger: file: {file!r} cannot be written to: {what}"
        raise ConfigError(msg) from error


class ConsoleHandler(logging.StreamHandler[Any]):
    """Writes to what standard error is at that moment: a live display puts itself in its place."""

    def __init__(self) -> None:
        # Not StreamHandler's, which would keep the stream of now.
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        """Standard error."""
        return sys.stderr


def _add_run_id(record: logging.LogRecord) -> bool:
    record.run_id = current_run_id() or NO_RUN
    return True


class TextFormatter(logging.Formatter):
    """A line for people; a traceback below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s  %(levelname)-7s  %(run)-6s  %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line, without secrets."""
        return without_secrets(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line, which is one whatever names and labels there are in it."""
        run_id = str(getattr(record, "run_id", NO_RUN))
        record.run = run_id.rpartition("-")[2] or NO_RUN
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """The traceback; its message, too, may hold names and labels."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


class JsonFormatter(logging.Formatter):
    """A line for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without secrets."""
        run_id = getattr(record, "run_id", NO_RUN)
        exception = self.formatException(record.exc_info) if record.exc_info else None
        return json.dumps(
            {
                "time": datetime.fromtimestamp(record.created, UTC).isoformat(
                    timespec="milliseconds"
                ),
                "level": record.levelname,
                "logger": record.name,
                "run_id": None if run_id == NO_RUN else run_id,
                "message": without_secrets(record.getMessage()),
                "exception": without_secrets(exception) if exception else None,
            }
        )
