"""The benchmark: ours against a loop by hand, against Spark's own means, and against its targets.

::

    python benchmarks/run.py                                   # full size, some hours
    python benchmarks/run.py --scale 0.05 --repeats 1          # some minutes
    python benchmarks/run.py --only staging --only import --add

Contenders take turns, each in a process of its own. Writes results.json after each of them, and
results.md at the end.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import psutil
from generate import FEATURES, generate
from memory import Sampler, peak
from pairs import PAIRS, TIMES, Contender, Pair
from results_page import page
from targets import targets

HERE = Path(__file__).parent
# What the contenders of a turn share; removed after it.
STAGING = "staging"
PACKAGES = (
    "batchtrainingbooster", "pyspark", "xgboost-cpu", "xgboost", "catboost", "lightgbm", "numpy",
    "pyarrow", "pandas",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """Where the figures were taken."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "versions": versions,
    }


def run_one(pair: Pair, contender: Contender, turn: int, folder: Path) -> dict[str, Any]:
    """One process, and its memory."""
    options = [option.format(staging=folder / STAGING, turn=turn) for option in contender.options]
    data = [] if contender.data == "none" else [str(folder / contender.data)]
    command = [sys.executable, "-m", f"contenders.{contender.module}", *data, *options]
    about = {
        "pair": pair.name, "contender": contender.name, "module": contender.module, "turn": turn,
        "options": contender.options, "load": os.getloadavg()[0],
    }  # fmt: skip
    start = time.perf_counter()
    with (
        subprocess.Popen(
            command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
        Sampler(process.pid) as sampler,
    ):
        output, errors = process.communicate()
    about["whole"] = time.perf_counter() - start
    if process.returncode != 0:
        return {**about, "error": errors[-2000:] or f"exit code {process.returncode}"}
    found = json.loads(output.splitlines()[-1])
    highest = peak(sampler.samples, found["began"], found["ended"])
    return {
        **about, **found, "error": None, "samples": len(sampler.samples),
        "peak": {"python": highest.python, "java": highest.java, "total": highest.total},
    }  # fmt: skip


def kept(file: Path, scale: float, renewed: list[str]) -> list[dict[str, Any]]:
    """Runs of other pairs than these, on data of this size and the same machine."""
    if not file.exists():
        return []
    results = json.loads(file.read_text())
    here = machine()
    differs = [key for key in here if key != "date" and results["machine"][key] != here[key]]
    if differs or results["settings"]["scale"] != scale:
        differing = ", ".join(differs) or "scale"
        msg = f"{file} comes from a run with different {differing}; leave out --add"
        raise click.ClickException(msg)
    return [run for run in results["runs"] if run["pair"] not in renewed]


@click.command(help=__doc__)
@click.option("--scale", default=1.0, show_default=True, help="Of the data's size.")
@click.option("--repeats", default=3, show_default=True, help="Turns of each contender.")
@click.option(
    "--only",
    type=click.Choice([pair.name for pair in PAIRS]),
    multiple=True,
    help="These pairs alone; may be given more than once.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), default=HERE / "results", show_default="results/"
)
@click.option("--add", is_flag=True, help="Keep what is there already of other pairs.")
def main(scale: float, repeats: int, only: tuple[str, ...], output: Path, *, add: bool) -> None:
    """Run the pairs, and write what was found."""
    output.mkdir(parents=True, exist_ok=True)
    pairs = [pair for pair in PAIRS if not only or pair.name in only]
    runs = kept(output / "results.json", scale, [pair.name for pair in pairs]) if add else []
    with tempfile.TemporaryDirectory(prefix="batchtrainingbooster-bench-") as name:
        folder = Path(name)
        rows = generate(folder / "base", scale)
        if any(pair.needs_large for pair in pairs):
            generate(folder / "large", scale, TIMES)
        settings = {
            "scale": scale, "repeats": repeats, "rows": rows, "columns": len(FEATURES),
        }  # fmt: skip
        results: dict[str, Any] = {"machine": machine(), "settings": settings, "runs": runs}
        for pair in pairs:
            for turn in range(repeats):
                for contender in pair.contenders:
                    run = run_one(pair, contender, turn, folder)
                    runs.append(run)
                    (output / "results.json").write_text(json.dumps(results, indent=1))
                    outcome = run["error"] or f"{run['seconds']:.2f} s"
                    click.echo(f"{pair.name}, {contender.name}: {outcome}", err=True)
                shutil.rmtree(folder / STAGING, ignore_errors=True)
    found = targets(runs, rows["valid"])
    text = page(results["machine"], settings, found, runs)
    (output / "results.md").write_text(text)
    click.echo(text)
    if any(run["error"] is not None for run in runs):
        sys.exit(1)


if __name__ == "__main__":
    main()
