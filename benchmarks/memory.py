"""Memory of a process and of all that it starts, Python and Java apart, sampled while it runs."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import attrs
import psutil

INTERVAL = 0.05
# Going through a large process's pages takes milliseconds: at most this share of a core.
SHARE = 0.05


@attrs.frozen
class Sample:
    """Bytes at a moment of the clock ``time.time``."""

    moment: float
    python: int
    java: int


@attrs.frozen
class Peak:
    """The most bytes at any moment: of each kind of process, and of both together."""

    python: int
    java: int
    total: int


def held_by(pid: int, *, shares: bool = True) -> int:
    """Bytes in memory; pages shared by n processes count 1/n (PSS), where the system tells.

    Without ``shares`` they count in full (RSS), which is quick.
    """
    if not shares:
        return int(psutil.Process(pid).memory_info().rss)
    try:
        text = Path("/proc", str(pid), "smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return held_by(pid, shares=False)
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def sample_tree(root: psutil.Process) -> Sample:
    """Of a process and all below it; those that end meanwhile count nothing.

    Python's workers share pages; a JVM shares next to none, and has most to go through.
    """
    moment, held = time.time(), {"python": 0, "java": 0, None: 0}
    for process in [root, *root.children(recursive=True)]:
        try:
            kind = kind_of(process)
            held[kind] += held_by(process.pid, shares=kind == "python")
        except psutil.Error:
            continue
    return Sample(moment, held["python"], held["java"])


def kind_of(process: psutil.Process) -> Literal["python", "java"] | None:
    """By the program; None where its memory is another's, which counts it.

    Java starts others (``chmod``, say) by way of a copy of itself that lives in its memory.
    """
    if Path(process.exe()).name.startswith("python"):
        return "python"
    parent = process.parent()
    return None if parent is not None and Path(parent.exe()).name == "java" else "java"


def peak(samples: list[Sample], began: float, ended: float) -> Peak:
    """Of the samples between two moments; of the nearest one where there is none."""
    within = [sample for sample in samples if began <= sample.moment <= ended]
    if not within:
        within = [min(samples, key=lambda sample: abs(sample.moment - began))]
    return Peak(
        max(sample.python for sample in within),
        max(sample.java for sample in within),
        max(sample.python + sample.java for sample in within),
    )


class Sampler:
    """Samples a process tree in a thread, from ``with`` to its end.

    Parameters
    ----------
    pid : int
        The root of the tree.
    interval : float
        Seconds between samples; more where sampling takes long.
    """

    def __init__(self, pid: int, interval: float = INTERVAL) -> None:
        self.samples: list[Sample] = []
        self._root = psutil.Process(pid)
        self._interval = interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while not self._over.wait(pause):
            start = time.thread_time()
            try:
                self.samples.append(sample_tree(self._root))
            except psutil.Error:
                return
            pause = max(self._interval, (time.thread_time() - start) / SHARE)
