"""Folders by path or URI that Spark and this process reach; staged files are opened here alone."""

from __future__ import annotations

import errno
import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
from pyarrow import fs

from batchtrainingbooster.core.parsing import shown
from batchtrainingbooster.core.redaction import said, without_secrets
from batchtrainingbooster.errors import ConfigError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://")
# What Hadoop calls a scheme, and what pyarrow calls it.
_SYNONYMS = {"s3a://": "s3://", "s3n://": "s3://"}


class Folder:
    """A folder on some filesystem.

    Parameters
    ----------
    location : str
        A local path, or a URI with a scheme.

    Raises
    ------
    ConfigError
        If no filesystem is known for the URI's scheme.
    """

    def __init__(self, location: str) -> None:
        location = location.removeprefix("file://")
        scheme = _SCHEME.match(location)
        if scheme is None:
            path = _expanded(location)
            # Without its scheme, a cluster would look for the path on its default filesystem.
            self.uri = f"file://{path}"
            self._filesystem, self._path = fs.LocalFileSystem(), path
            return
        self.uri = location.rstrip("/")
        uri = self.uri
        for hadoop, arrow in _SYNONYMS.items():
            if uri.startswith(hadoop):
                uri = arrow + uri.removeprefix(hadoop)
        try:
            self._filesystem, self._path = _filesystem_of(uri)
        except (ValueError, ImportError, OSError) as error:
            msg = (
                f"no filesystem for {scheme.group()}: {said(error)}. "
                "pyarrow knows file, s3, gs, hdfs and abfs; for others, install the fsspec package "
                "of the scheme"
            )
            # Its own words may hold what must not be shown.
            raise ConfigError(msg) from None

    def __str__(self) -> str:
        """Where it is, without credentials; for messages and logs."""
        return without_secrets(self.uri.removeprefix("file://"))

    @property
    def local_path(self) -> Path | None:
        """Its path, if it is on this machine."""
        local = isinstance(self._filesystem, fs.LocalFileSystem)
        return Path(self._path) if local else None

    def names(self) -> list[str]:
        """Paths of all files in it, relative to it, sorted."""
        return sorted(self.sizes())

    def sizes(self, within: str = "") -> dict[str, int]:
        """Bytes of all files in it, or in a folder within it, by path relative to it."""
        path = self._join(within).rstrip("/")
        selector = fs.FileSelector(path, recursive=True, allow_not_found=True)
        prefix = len(self._path.rstrip("/")) + 1
        with _as_os_errors():
            infos = self._filesystem.get_file_info(selector)
        return {info.path[prefix:]: info.size for info in infos if info.type == fs.FileType.File}

    def folders(self) -> list[str]:
        """Names of the folders in it, sorted."""
        selector = fs.FileSelector(self._path, allow_not_found=True)
        with _as_os_errors():
            infos = self._filesystem.get_file_info(selector)
        return sorted(info.base_name for info in infos if info.type == fs.FileType.Directory)

    def size(self, name: str) -> int | None:
        """Bytes of a file in it, or None where there is none."""
        with _as_os_errors():
            info = self._filesystem.get_file_info(self._join(name))
        return info.size if info.type == fs.FileType.File else None

    @contextmanager
    def open(self, name: str) -> Iterator[RawIOBase]:
        """A file in it, to read."""
        with _as_os_errors(), self._filesystem.open_input_file(self._join(name)) as stream:
            yield cast("RawIOBase", stream)

    @contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        """A new file in it, to write; folders on the way are made."""
        path = self._join(name)
        with _as_os_errors():
            self._filesystem.create_dir(path.rpartition("/")[0], recursive=True)
            with self._filesystem.open_output_stream(path) as stream:
                yield cast("BinaryIO", stream)

    def write(self, name: str, data: bytes) -> None:
        """Write a file; when this returns, all of it is on storage.

        Until then, a part of it may be. No rename makes it whole at once, as object stores have
        none: what several files make counts when the last of them is there.
        """
        with self.create(name) as stream:
            stream.write(data)
        if self.local_path is not None:
            path = Path(self._join(name))
            # The folder's own entry too, as it may be new.
            for place in (path, path.parent, path.parent.parent):
                _sync(place)

    def write_new(self, name: str, data: bytes) -> bool:
        """Write a file; whether it is certain that no other process has written it too.

        Raises
        ------
        FileExistsError
            If there is one, and the filesystem can tell.
        """
        if self.local_path is None:
            self.write(name, data)
            return False
        path = Path(self._join(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as stream:
            stream.write(data)
        return True

    def read(self, name: str) -> pa.Buffer:
        """The content of a file."""
        # One that can seek knows its size, and is read in one piece.
        with _as_os_errors(), self._filesystem.open_input_file(self._join(name)) as stream:
            return stream.read_buffer()

    def delete(self, name: str) -> None:
        """Delete a file in it."""
        with _as_os_errors():
            self._filesystem.delete_file(self._join(name))

    def delete_folder(self, name: str) -> None:
        """Delete a folder in it, with all that is there."""
        with _as_os_errors():
            self._filesystem.delete_dir(self._join(name))

    def make_folder(self, name: str) -> None:
        """Make a folder in it; on this machine, with the permissions that the umask leaves."""
        with _as_os_errors():
            self._filesystem.create_dir(self._join(name), recursive=True)

    def restrict(self, name: str) -> None:
        """Give all that is in a folder the permissions that the folder has, on this machine.

        Spark has an umask of its own.
        """
        if self.local_path is None:
            return
        top = Path(self._join(name))
        allowed = top.stat().st_mode & 0o777
        for path in top.rglob("*"):
            path.chmod(allowed if path.is_dir() else allowed & 0o666)

    def within(self, name: str) -> Folder:
        """A folder in it."""
        if self.local_path is not None:
            return Folder(f"{self.uri}/{name}")
        path, mark, options = self.uri.partition("?")
        return Folder(f"{path}/{name}{mark}{options}")

    def remove(self) -> None:
        """Delete it."""
        with _as_os_errors():
            info = self._filesystem.get_file_info(self._path)
            if info.type == fs.FileType.Directory:
                self._filesystem.delete_dir(self._path)

    def _join(self, name: str) -> str:
        return f"{self._path.rstrip('/')}/{name}"


def refuse_impossible_name(location: str, where: str) -> None:
    """Refuse what no folder can be called.

    Raises
    ------
    ConfigError
        For a text with a NUL or half a character in it.
    """
    if "\0" in location or any("\ud800" <= character <= "\udfff" for character in location):
        msg = f"{where}: got {shown(location)}, which no folder can be called"
        raise ConfigError(msg)


def place_of(location: str) -> str:
    """The one spelling of a location, for comparison; only this machine's filesystem is asked.

    Examples
    --------
    >>> place_of("file:///mnt//rows/../rows/"), place_of("s3a://key:hush@bucket/rows/?region=eu")
    ('/mnt/rows', 's3://bucket/rows')

    Raises
    ------
    ConfigError
        If it starts with the home of nobody.
    """
    location = location.removeprefix("file://")
    scheme = _SCHEME.match(location)
    if scheme is None:
        return os.path.realpath(_expanded(location))
    rest = without_secrets(location).removeprefix(scheme.group()).removeprefix("***@")
    name = _SYNONYMS.get(scheme.group(), scheme.group())
    return f"{name}{posixpath.normpath(rest.partition('?')[0])}"


def is_within(inner: str, outer: str) -> bool:
    """Whether a place is another, or lies within it; both as ``place_of`` spells them."""
    return f"{inner}/".startswith(f"{outer.rstrip('/')}/")


def _filesystem_of(uri: str) -> tuple[fs.FileSystem, str]:
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except (ValueError, NotImplementedError):
        import fsspec

        # What another process has just written must be seen.
        handler, path = fsspec.core.url_to_fs(uri, use_listings_cache=False)
        filesystem = fs.PyFileSystem(fs.FSSpecHandler(handler))
    return filesystem, path


def _expanded(location: str) -> str:
    try:
        return str(Path(location).expanduser().absolute())
    except RuntimeError as error:
        msg = f"no folder {location!r}: {error}"
        raise ConfigError(msg) from error


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Libraries behind fsspec raise what they like, with what must not be shown in it."""
    try:
        yield
    except Exception as error:
        package = type(error).__module__.partition(".")[0]
        is_known = package in ("builtins", "pyarrow", "batchtrainingbooster")
        hides_nothing = without_secrets(str(error)) == str(error)
        if is_known and (hides_nothing or not isinstance(error, OSError)):
            raise
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else OSError
        raise kind(said(error) if is_known else f"{type(error).__name__}: {said(error)}") from None


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk, where the system knows how."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network filesystems do not sync folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)
