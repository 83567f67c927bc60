"""Memory of a process, as far as the system tells."""

from __future__ import annotations

import re
import sys
from pathlib import Path


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


def _status(pid: str, key: str) -> int | None:
    try:
        text = Path("/proc", pid, "status").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None
