"""The same rows written by Spark as they are, in a warm session: what staging is compared with."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
from contenders.task import show, start_spark, watched


@click.command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--memory", default="1g", show_default=True, help="spark.driver.memory")
def main(data: Path, memory: str) -> None:
    """Write training and validation rows, as staging does."""
    spark, session = start_spark("plain write", memory)
    frames = {name: spark.read.parquet(str(data / name)) for name in ("train", "valid")}
    with tempfile.TemporaryDirectory() as folder, watched() as window:
        for turn in ("warm-up", "timed"):
            start = time.perf_counter()
            for name, frame in frames.items():
                frame.write.parquet(f"{folder}/{turn}/{name}")
            seconds = time.perf_counter() - start
    show(**window, session=session, seconds=seconds)


if __name__ == "__main__":
    main()
