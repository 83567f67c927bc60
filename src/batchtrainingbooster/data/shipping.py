"""Bytes that many tasks of Spark's need, brought to each executor once, however many tasks."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from batchtrainingbooster.data.sessions import is_connect


@attrs.frozen(eq=False)
class Shipped:
    """What a task holds of them.

    Attributes
    ----------
    digest : str
        SHA-256 of the bytes: what was made of them can be kept from task to task.
    """

    digest: str
    _broadcast: Any = None
    _file: str | None = None
    _data: bytes | None = None

    def read(self) -> bytes:
        """The bytes, in a task."""
        if self._broadcast is not None:
            return bytes(self._broadcast.value)
        if self._data is not None:
            return self._data
        from pyspark import SparkFiles

        return Path(SparkFiles.get(self._file)).read_bytes()

    def discard(self) -> None:
        """Delete them, once no task needs them anymore; lasting ones of Spark Connect's stay."""
        if self._broadcast is not None:
            # The session may have ended meanwhile.
            with suppress(Exception):
                self._broadcast.destroy()


def ship(session: Any, data: bytes, *, lasting: bool = True) -> Shipped:
    """Make bytes known to the executors of a session, classic or Connect.

    Parameters
    ----------
    session : SparkSession
    data : bytes
    lasting : bool
        Whether they are used more than once. Spark Connect keeps files as long as the session, so
        that what is not goes with each task there.

    Returns
    -------
    Shipped
        For use in functions that Spark runs.
    """
    digest = hashlib.sha256(data).hexdigest()
    if not is_connect(session):
        return Shipped(digest, broadcast=session.sparkContext.broadcast(data))
    if not lasting:
        return Shipped(digest, data=data)
    name = f"batchtrainingbooster-{digest}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        session.addArtifacts(str(path), file=True)
    return Shipped(digest, file=name)
