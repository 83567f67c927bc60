"""Seconds that importing the package adds to the start of an interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import click
from contenders.task import show, watched

IMPORTS = {
    "package": "import batchtrainingbooster",
    "XGBoostTrainer": "from batchtrainingbooster import XGBoostTrainer",
}


def seconds_of(code: str) -> float:
    """A fresh interpreter, from its start to its end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


@click.command(help=__doc__)
@click.option("--turns", default=3, show_default=True)
def main(turns: int) -> None:
    """Start interpreters in turn; the first of each, which may read from disk, does not count."""
    codes = {"nothing": "pass", **IMPORTS}
    found: dict[str, list[float]] = {name: [] for name in codes}
    with watched() as window:
        for _ in range(turns + 1):
            for name, code in codes.items():
                found[name].append(seconds_of(code))
    added = {
        name: statistics.median(
            own - empty for own, empty in zip(found[name][1:], found["nothing"][1:], strict=True)
        )
        for name in IMPORTS
    }
    show(**window, seconds=added["package"], stages=added)


if __name__ == "__main__":
    main()
