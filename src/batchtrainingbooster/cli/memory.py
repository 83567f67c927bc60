"""Peak memory of this process and of those that it started, as far as the system tells."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def peak_memory() -> str:
    """Peak resident memory, of Python and of Java, in words."""
    own = _peak_of("self")
    if own is None:
        return _of_this_process() or "unknown on this system"
    java = max((_peak_of(pid) or 0 for pid in _children()), default=0)
    shown = f"{own / 1e6:.2f} GB Python"
    return f"{shown}, {java / 1e6:.2f} GB Java" if java else shown


def _peak_of(pid: str) -> int | None:
    """In kB; None where there is no ``/proc``."""
    try:
        status = Path("/proc", pid, "status").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found.group(1)) if found else None


def _children() -> list[str]:
    """Processes below this one that are Java."""
    try:
        tasks = list(Path("/proc/self/task").iterdir())
        started = [pid for task in tasks for pid in (task / "children").read_text().split()]
        return [pid for pid in started if Path("/proc", pid, "comm").read_text().strip() == "java"]
    except OSError:
        return []


def _of_this_process() -> str | None:
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{peak / (1e9 if sys.platform == 'darwin' else 1e6):.2f} GB Python"
