"""Peak memory of this process and of those that it started, in words."""

from __future__ import annotations

from pathlib import Path

from batchtrainingbooster.memory import peak_bytes


def peak_memory() -> str:
    """Peak resident memory, of Python and of Java, in words."""
    own = peak_bytes()
    if own is None:
        return "unknown on this system"
    java = max((peak_bytes(pid) or 0 for pid in _children()), default=0)
    shown = f"{own / 1e9:.2f} GB Python"
    return f"{shown}, {java / 1e9:.2f} GB Java" if java else shown


def _children() -> list[str]:
    """Processes below this one that are Java."""
    try:
        tasks = list(Path("/proc/self/task").iterdir())
        started = [pid for task in tasks for pid in (task / "children").read_text().split()]
        return [pid for pid in started if Path("/proc", pid, "comm").read_text().strip() == "java"]
    except OSError:
        return []
