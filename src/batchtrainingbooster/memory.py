"""Memory of a process, as far as the system tells."""

from __future__ import annotations

import ctypes
import re
import sys
from functools import cache
from pathlib import Path

import pyarrow as pa


def resident_bytes(pid: str = "self") -> int | None:
    """What a process holds in memory; None where the system does not say."""
    return _status(pid, "VmRSS")


def peak_bytes(pid: str = "self") -> int | None:
    """The most that a process has held in memory; None where the system does not say."""
    found = _status(pid, "VmHWM")
    if found is not None or pid != "self":
        return found
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def return_freed_memory() -> None:
    """Give back to the system what this process has freed; allocators keep it for themselves."""
    pa.default_memory_pool().release_unused()
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    """Where the C library is one with ``malloc_trim``."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") else None


def _status(pid: str, key: str) -> int | None:
    try:
        text = Path("/proc", pid, "status").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None
