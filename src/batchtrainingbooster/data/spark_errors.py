"""Where failures of Spark become errors of ours: what was being done, the cause, what to do.

Spark hands over a trace of hundreds of lines, as one of several exceptions that differ from version
to version. All of them hold the causes as text, the deepest one last; a function of the user's own
that failed on an executor is in it as Python prints it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.errors import PySparkException

from batchtrainingbooster import errors
from batchtrainingbooster.core.redaction import without_secrets
from batchtrainingbooster.errors import BatchTrainingError, DataError, StagingError

# The last is what a JVM that has died leaves of every call.
_FAILURES: tuple[type[Exception], ...] = (PySparkException, ConnectionError)
try:
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]
except ImportError:  # a client of Spark Connect has none
    pass
else:
    _FAILURES = (*_FAILURES, Py4JError)
_NOTHING_SAID: tuple[type[Exception], ...] = (*_FAILURES, AssertionError)

_FULL = "No space left on device"
# As what runs on an executor says it.
_OURS = re.compile(rf"{re.escape(errors.__name__)}\.(\w+): ")
_TRACEBACK = "Traceback (most recent call last):"
_PLACE = re.compile(r'\s+File "(.+)", line (\d+), in (.+)')
# A class of Java's by its full name, and what it says.
_CAUSE = re.compile(r"(?:^|[ :])((?:[a-z]\w*\.)+[A-Z]\w*: \S.*)")
# Where rows are at fault: SQL's data exceptions (22), functions of the user's own (38) and errors
# that a query raises itself (P0), or what Spark 3 calls them.
_ROWS_AT_FAULT = re.compile(
    r"SQLSTATE: (22|38|P0)|\[USER_RAISED_EXCEPTION\]|\.PythonException\b"
    r"|\.Spark(Arithmetic|ArrayIndexOutOfBounds|DateTime|NumberFormat)Exception\b"
)
_FILES_CHANGED = re.compile(
    "FILE_NOT_EXIST|FileNotFoundException|FAILED_READ_FILE|is not a Parquet file|ParquetFileReader"
)


@contextmanager
def spark_failures(doing: str, otherwise: type[BatchTrainingError] | None = None) -> Iterator[None]:
    """Turn what Spark raises into an error of ours.

    Parameters
    ----------
    doing : str
        What Spark was asked for, as the message begins.
    otherwise : type of BatchTrainingError, optional
        Raised in place of those below, where no DataFrame of the user's and no staging is at work.

    Raises
    ------
    DataError
        If the DataFrame's own plan failed on its rows: a function of the user's raised, a value
        could not be cast, a number was divided by zero.
    StagingError
        For anything else: files that are gone or damaged, a full disk, memory, a lost executor.
    """
    try:
        yield
    except _FAILURES as error:
        text = _text(error)
        shown = without_secrets(text)
        # Spark's own words may hold what must not be shown.
        cause = error if shown == text else None
        raise translated(shown, without_secrets(doing), otherwise) from cause


def translated(
    text: str, doing: str, otherwise: type[BatchTrainingError] | None = None
) -> BatchTrainingError:
    """The error of ours for what Spark has said.

    Parameters
    ----------
    text : str
        Message and stack trace.
    doing : str
    """
    cause = deepest_cause(text)
    ours = _OURS.match(cause)
    if ours:
        kind: type[BatchTrainingError] = getattr(errors, ours.group(1), DataError)
        return kind(f"{doing}: {cause.removeprefix(ours.group())}")
    message = f"{doing}: Spark failed: {cause}"
    if otherwise is not None:
        return otherwise(message)
    if _FULL in text:
        return StagingError(
            f"{message}; make room where staging_dir and Spark's spark.local.dir lie, or name "
            "other places"
        )
    if _TRACEBACK in text or _ROWS_AT_FAULT.search(text):
        return DataError(
            f"{message}; the DataFrame cannot be computed: mend its plan or the rows that it fails "
            "on"
        )
    if "OutOfMemoryError" in text:
        return StagingError(
            f"{message}; give Spark more memory (spark.driver.memory, spark.executor.memory), or "
            "fewer columns or categories"
        )
    if _FILES_CHANGED.search(text):
        return StagingError(
            f"{message}; files that the DataFrame reads are gone, or are not what they were: make "
            "the DataFrame anew from a source that stays as it is"
        )
    return StagingError(f"{message}; Spark's own error, with its trace, is the cause of this one")


def deepest_cause(text: str) -> str:
    r"""The line that says most of a message and stack trace of Spark's.

    Examples
    --------
    >>> deepest_cause("Job aborted\n\tat x.Y(Y.scala:1)\nCaused by: java.io.IOException: Quota")
    'java.io.IOException: Quota'
    """
    lines = text.splitlines()
    full = [line.strip() for line in lines if _FULL in line]
    if full:
        return _last_part(full[-1])
    if _TRACEBACK in text:
        return _python_error(lines)
    causes = [line for line in lines if line.startswith("Caused by: ") and _CAUSE.search(line)]
    if causes:
        return _last_part(causes[-1])
    # py4j's first line names a Java object; the error follows after a colon.
    said = [
        line.removeprefix(": ").strip()
        for line in lines
        if line.strip() and not line.startswith(("An error occurred while calling", "\tat "))
    ]
    return _last_part(said[0]) if said else "it did not say why"


def _last_part(line: str) -> str:
    """Without the exceptions that a line names before the last."""
    found = _CAUSE.search(line.removeprefix("Caused by: "))
    if found is None:
        return line
    inner = _CAUSE.search(found.group(1), 1)
    return _last_part(inner.group(1)) if inner else found.group(1)


def _python_error(lines: list[str]) -> str:
    """The error of a Python function, and the line that raised it."""
    start = max(i for i, line in enumerate(lines) if _TRACEBACK in line)
    place = ""
    for line in lines[start + 1 :]:
        found = _PLACE.fullmatch(line)
        if found:
            place = f" ({found.group(1)}, line {found.group(2)}, in {found.group(3)})"
        elif line.strip() and not line.startswith(" "):
            return line.strip() + place * (not _OURS.match(line))
    return "a Python function failed" + place


def _text(error: Exception) -> str:
    """All that an error says; a JVM that has died may say nothing more."""
    try:
        return f"{error}\n{getattr(error, '_stackTrace', None) or ''}"
    except _NOTHING_SAID:
        return type(error).__name__
