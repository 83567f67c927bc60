"""A filesystem that promises as little as any: no rename, files that appear bit by bit, a quota.

Importing registers it with fsspec, as ``torn:///a/path``; its files lie on the local disk.
"""

import errno

import fsspec
from fsspec.implementations.local import LocalFileSystem


class Died(BaseException):
    """The process is gone in the middle of a write."""


class TornFileSystem(LocalFileSystem):
    protocol = "torn"
    cachable = False
    quota = None
    dies_at_byte = None
    written = 0

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("torn://"))

    def mv(self, *args, **kwargs):
        raise NotImplementedError

    mv_file = move = rename = mv

    def open(self, path, mode="rb", **kwargs):
        stream = super().open(path, mode, **kwargs)
        return TornStream(stream) if "w" in mode else stream

    @classmethod
    def reset(cls, quota=None, dies_at_byte=None):
        cls.quota, cls.dies_at_byte, cls.written = quota, dies_at_byte, 0


class TornStream:
    def __init__(self, stream):
        self._stream = stream

    def write(self, data):
        data = bytes(data)
        for limit, error in (
            (TornFileSystem.quota, OSError(errno.ENOSPC, "No space left on device")),
            (TornFileSystem.dies_at_byte, Died()),
        ):
            if limit is not None and TornFileSystem.written + len(data) > limit:
                # A part of it is there all the same.
                self._stream.write(data[: max(0, limit - TornFileSystem.written)])
                self._stream.flush()
                TornFileSystem.written = limit
                raise error
        TornFileSystem.written += len(data)
        return self._stream.write(data)

    def __getattr__(self, name):
        return getattr(self._stream, name)


fsspec.register_implementation("torn", TornFileSystem, clobber=True)
