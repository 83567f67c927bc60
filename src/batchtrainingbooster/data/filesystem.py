"""Folders by path or URI that Spark and this process reach; staged files are opened here alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, BinaryIO, cast

from pyarrow import fs

from batchtrainingbooster.errors import ConfigError, StagingError

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
            path = str(Path(location).expanduser().absolute())
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
                f"no filesystem for {scheme.group()}: {error}. "
                "pyarrow knows file, s3, gs, hdfs and abfs; for others, install the fsspec package "
                "of the scheme"
            )
            raise ConfigError(msg) from error

    @property
    def local_path(self) -> Path | None:
        """Its path, if it is on this machine."""
        local = isinstance(self._filesystem, fs.LocalFileSystem)
        return Path(self._path) if local else None

    def names(self) -> list[str]:
        """Paths of all files in it, relative to it, sorted."""
        selector = fs.FileSelector(self._path, recursive=True, allow_not_found=True)
        prefix = len(self._path.rstrip("/")) + 1
        infos = self._filesystem.get_file_info(selector)
        return sorted(info.path[prefix:] for info in infos if info.type == fs.FileType.File)

    def size(self, name: str) -> int | None:
        """Bytes of a file in it, or None where there is none."""
        info = self._filesystem.get_file_info(self._join(name))
        return info.size if info.type == fs.FileType.File else None

    def open(self, name: str) -> BinaryIO:
        """A file in it, to read."""
        return cast("BinaryIO", self._filesystem.open_input_file(self._join(name)))

    def create(self, name: str) -> BinaryIO:
        """A new file in it, to write; folders on the way are made."""
        path = self._join(name)
        self._filesystem.create_dir(path.rpartition("/")[0], recursive=True)
        return cast("BinaryIO", self._filesystem.open_output_stream(path))

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file whole, or not at all where the filesystem can rename."""
        data = json.dumps(content, ensure_ascii=False, indent=1).encode()
        temporary = f".{name}.tmp"
        with self.create(temporary) as stream:
            stream.write(data)
        self._filesystem.move(self._join(temporary), self._join(name))

    def read_json(self, name: str) -> Any:
        """The content of a JSON file.

        Raises
        ------
        StagingError
            If it is no JSON.
        """
        with self._filesystem.open_input_stream(self._join(name)) as stream:
            data = stream.read()
        try:
            return json.loads(data)
        except ValueError as error:
            msg = f"{self.uri}/{name} is damaged: {error}"
            raise StagingError(msg) from error

    def delete(self, name: str) -> None:
        """Delete a file in it."""
        self._filesystem.delete_file(self._join(name))

    def delete_folder(self, name: str) -> None:
        """Delete a folder in it, with all that is there."""
        self._filesystem.delete_dir(self._join(name))

    def clear(self) -> None:
        """Delete all that is in it, and make it where there is none."""
        self._filesystem.create_dir(self._path, recursive=True)
        self._filesystem.delete_dir_contents(self._path)

    def remove(self) -> None:
        """Delete it."""
        info = self._filesystem.get_file_info(self._path)
        if info.type == fs.FileType.Directory:
            self._filesystem.delete_dir(self._path)

    def _join(self, name: str) -> str:
        return f"{self._path.rstrip('/')}/{name}"


def _filesystem_of(uri: str) -> tuple[fs.FileSystem, str]:
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except (ValueError, NotImplementedError):
        import fsspec

        handler, path = fsspec.core.url_to_fs(uri)
        filesystem = fs.PyFileSystem(fs.FSSpecHandler(handler))
    return filesystem, path
