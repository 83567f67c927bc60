"""Files that are known by size and checksum, so that what is read is what was written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs
import pyarrow as pa

from batchtrainingbooster.core.redaction import said
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.errors import BatchTrainingError

# Hashing lets other threads run, and afar most of the time is waiting.
_AT_ONCE = 4
_BLOCK_BYTES = 2**18


def _within_its_folder(instance: object, attribute: attrs.Attribute[Any], name: str) -> None:
    """A name from a stranger's manifest must not lead out of the folder."""
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or not {"", ".", ".."}.isdisjoint(parts):
        msg = f"{attribute.name}: {name!r} is no path within the folder"
        raise ValueError(msg)


@attrs.frozen
class StoredFile:
    """A file, and what proves that it is whole.

    Attributes
    ----------
    name : str
        Relative to its folder.
    size : int
        Bytes.
    sha256 : str
        In hexadecimal.
    """

    name: str = attrs.field(validator=_within_its_folder)
    size: int
    sha256: str


def written(folder: Folder, name: str, data: bytes) -> StoredFile:
    """Write a file, and say what proves it."""
    folder.write(name, data)
    return StoredFile(name, len(data), hashlib.sha256(data).hexdigest())


def described(folder: Folder, names: Sequence[str]) -> list[StoredFile]:
    """What proves files that are there already, in the order given."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(partial(_described, folder), names))


def _described(folder: Folder, name: str) -> StoredFile:
    digest, size = hashlib.sha256(), 0
    # One block, used again: what Arrow allocates in threads of its own comes back late.
    block = memoryview(bytearray(_BLOCK_BYTES))
    with folder.open(name) as stream:
        while length := stream.readinto(block):
            digest.update(block[:length])
            size += length
    return StoredFile(name, size, digest.hexdigest())


def read_whole(folder: Folder, file: StoredFile, error: type[BatchTrainingError]) -> pa.Buffer:
    """The content of a file, if it is what was written.

    Raises
    ------
    BatchTrainingError
        The given one, naming the file.
    """
    with _reading(folder, file, error):
        content = folder.read(file.name)
    found = StoredFile(file.name, content.size, hashlib.sha256(content).hexdigest())
    _refuse_another(folder, file, found, error)
    return content


def refuse_damaged(folder: Folder, file: StoredFile, error: type[BatchTrainingError]) -> None:
    """Read a file, and refuse it if it is not what was written.

    Raises
    ------
    BatchTrainingError
        The given one, naming the file.
    """
    with _reading(folder, file, error):
        found = _described(folder, file.name)
    _refuse_another(folder, file, found, error)


def verify(folder: Folder, files: Sequence[StoredFile], error: type[BatchTrainingError]) -> None:
    """Read all files, and refuse any that is not what was written.

    Raises
    ------
    BatchTrainingError
        The given one, naming the first such file.
    """
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(lambda file: refuse_damaged(folder, file, error), files))


def refuse_other_files(
    folder: Folder, within: str, expected: Iterable[StoredFile], error: type[BatchTrainingError]
) -> None:
    """Compare names and sizes with what is there; hidden files (``.x``, ``_x``) do not count.

    Parameters
    ----------
    folder : Folder
    within : str
        Of the folder within it whose files all must be expected ones.
    expected : iterable of StoredFile
    error : type of BatchTrainingError

    Raises
    ------
    BatchTrainingError
        The given one, naming the first file that is missing, of another size, or one too many.
    """
    with storage_failures(error, f"{folder} cannot be read"):
        sizes = {name: size for name, size in folder.sizes(within).items() if not _is_hidden(name)}
    for file in expected:
        if file.name not in sizes:
            msg = f"{folder}/{file.name} is missing"
            raise error(msg)
        if sizes.pop(file.name) != file.size:
            msg = f"{folder}/{file.name} is damaged: it should have {file.size:,} bytes"
            raise error(msg)
    for name in sorted(sizes):
        msg = f"{folder}/{name} is not ours: it was put there later; remove it"
        raise error(msg)


def _is_hidden(name: str) -> bool:
    """As Spark has it: not among the data."""
    return any(part.startswith((".", "_")) for part in name.split("/"))


@contextmanager
def _reading(folder: Folder, file: StoredFile, error: type[BatchTrainingError]) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as cause:
        raise error(unreadable(folder, file, cause)) from cause


def unreadable(folder: Folder, file: StoredFile, cause: Exception) -> str:
    """What to say of a file that should be there, and cannot be read."""
    if isinstance(cause, FileNotFoundError):
        return f"{folder}/{file.name} is missing"
    return f"{folder}/{file.name} cannot be read: {said(cause)}"


@contextmanager
def storage_failures(error: type[BatchTrainingError], doing: str) -> Iterator[None]:
    """Turn what storage raises into an error of ours, which says what was being done.

    Raises
    ------
    BatchTrainingError
        The given one.
    """
    try:
        yield
    except (OSError, pa.ArrowException) as cause:
        msg = f"{doing}: {said(cause)}"
        raise error(msg) from cause


def _refuse_another(
    folder: Folder, file: StoredFile, found: StoredFile, error: type[BatchTrainingError]
) -> None:
    if found == file:
        return
    what = f"it has {found.size:,} bytes, and should have {file.size:,}"
    if found.size == file.size:
        what = "its SHA-256 is not that of what was written"
    msg = f"{folder}/{file.name} is damaged: {what}"
    raise error(msg)
