"""Memory that this process may still take: what the system has left, and what its groups allow.

Containers and batch systems bound a process by control groups (cgroup, version 1 or 2), each of
which lies within another; the kernel ends a process that goes beyond any of them. What a group
has left is its limit, less what it uses, plus the file cache, which the kernel drops before it
refuses memory: that of files read more than once too, as staged batches are. Swap does not count:
training from it takes for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs


@attrs.frozen
class _Version:
    """Names of a group's files; without the first there is no limit."""

    limit: str
    usage: str
    cache: tuple[str, ...]


_V1 = _Version(
    "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")
)
_V2 = _Version("memory.max", "memory.current", ("inactive_file", "active_file"))


def available_bytes(
    proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """The least that the system, and the groups of this process, have left.

    Parameters
    ----------
    proc, cgroups : Path
        Where the system mounts them.

    Returns
    -------
    int or None
        None where the system does not say: anywhere but on Linux.
    """
    left = [_left_in_system(proc), *(_left_in(folder, v) for folder, v in _groups(proc, cgroups))]
    return min((found for found in left if found is not None), default=None)


def _left_in_system(proc: Path) -> int | None:
    kilobytes = _entry(proc / "meminfo", "MemAvailable:")
    return None if kilobytes is None else kilobytes * 1024


def _left_in(group: Path, version: _Version) -> int | None:
    """What one group has left; None without a limit."""
    limit, usage = _number(group / version.limit), _number(group / version.usage)
    if limit is None or usage is None:
        return None
    cache = sum(_entry(group / "memory.stat", name) or 0 for name in version.cache)
    return max(0, limit - usage + min(cache, usage))


def _groups(proc: Path, cgroups: Path) -> Iterator[tuple[Path, _Version]]:
    """The groups that bound this process: its own, and all that it lies within."""
    for line in (_text(proc / "self" / "cgroup") or "").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if "memory" in controllers.split(","):
            version, mounts = _V1, [cgroups / "memory"]
        elif not controllers:
            # Beside version 1, version 2 has a mount of its own.
            version, mounts = _V2, [cgroups, cgroups / "unified"]
        else:
            continue
        for mount in mounts:
            for group in _upwards(mount, path):
                yield group, version


def _upwards(mount: Path, path: str) -> list[Path]:
    """A group and those above it, up to the mount.

    In a container the path may be that outside of it, of which the mount shows the end: then the
    mount itself is the container's group.
    """
    parts = [part for part in path.split("/") if part]
    if ".." in parts or not mount.joinpath(*parts).is_dir():
        parts = []
    return [mount.joinpath(*parts[:n]) for n in range(len(parts), -1, -1)]


def _entry(file: Path, name: str) -> int | None:
    """The number behind a name, in a file of a name and a number a line."""
    found = re.search(rf"^{re.escape(name)}\s+(\d+)", _text(file) or "", re.MULTILINE)
    return int(found.group(1)) if found else None


def _number(file: Path) -> int | None:
    """The number that a file holds; None where it holds another word, such as "max"."""
    text = (_text(file) or "").strip()
    return int(text) if text.isdecimal() else None


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
