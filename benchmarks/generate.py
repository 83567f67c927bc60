"""The data of the benchmark: a binary target, non-linear in 28 numbers, with noise.

::

    python benchmarks/generate.py /tmp/data                  # 4,000,000 rows to train on
    python benchmarks/generate.py /tmp/quick --scale 0.05    # the same at 1/20 of the size
    python benchmarks/generate.py /tmp/large --scale 4       # 16,000,000; validation as for 1

Made part by part, each from its own seed, so memory stays small and a larger set begins with the
rows of a smaller one (of those that are made of parts of equal size).
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FEATURES = [f"x{i}" for i in range(28)]
TARGET = "y"
PARTS = 16
TRAIN_ROWS, VALID_ROWS, TEST_ROWS = 4_000_000, 200_000, 500_000
# Validation and test parts are numbered from here, far from any training part.
FIRST_VALID, FIRST_TEST = 1_000_000, 2_000_000


def generate(folder: Path, scale: float = 1.0, times: int = 1, seed: int = 42) -> dict[str, int]:
    """Write ``train``, ``valid`` and ``test`` into a folder.

    Parameters
    ----------
    folder : Path
        Made anew; must not hold files of another set.
    scale : float
        Of all three; above 1, of the training rows alone.
    times : int
        So many times the training rows, in so many times the parts.
    seed : int

    Returns
    -------
    dict of str to int
        Rows of each, also written as ``rows.json``.
    """
    if scale > 1:
        times, scale = round(times * scale), 1.0
    part_rows = round(TRAIN_ROWS * scale) // PARTS
    rows = {
        "train": part_rows * PARTS * times,
        "valid": round(VALID_ROWS * scale),
        "test": round(TEST_ROWS * scale),
    }
    for name in rows:
        (folder / name).mkdir(parents=True)
    for part in range(PARTS * times):
        _write(folder / "train" / f"{part:05d}.parquet", part_rows, [seed, part])
    _write(folder / "valid" / "00000.parquet", rows["valid"], [seed, FIRST_VALID])
    _write(folder / "test" / "00000.parquet", rows["test"], [seed, FIRST_TEST])
    (folder / "rows.json").write_text(json.dumps(rows))
    return rows


def draw(rows: int, seed: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of shape (rows, 28), float32; labels, int32; the true chance of label 1."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, len(FEATURES)), dtype=np.float32)
    chance = 1 / (1 + np.exp(-margin(x)))
    label = (random.random(rows, dtype=np.float32) < chance).astype(np.int32)
    return x, label, chance


def margin(x: np.ndarray) -> np.ndarray:
    """What decides: a few strong effects, found soon, and many weak ones, found late.

    x22 to x27 decide nothing.
    """
    strong = (
        1.2 * x[:, 0]
        + 1.6 * (x[:, 1] > 0.3) * (x[:, 2] < 0.5)
        + x[:, 3] * x[:, 4]
        + 1.2 * np.sin(2 * x[:, 5])
    )
    weak = (
        0.8 * np.sin(3 * x[:, 6] + x[:, 7])
        + 0.8 * x[:, 8] * x[:, 9] * (x[:, 10] > 0)
        + 0.8 * np.abs(x[:, 11] - x[:, 12])
        + 0.8 * np.cos(4 * x[:, 13]) * x[:, 14]
        + 0.8 * np.sign(x[:, 15] * x[:, 16])
        + 0.6 * np.maximum(x[:, 17], x[:, 18])
        + 0.6 * x[:, 19] * x[:, 20]
        + 0.6 * (x[:, 21] > 1)
    )
    return np.asarray(1.5 * strong + 0.9 * weak - 2.1)


def _write(file: Path, rows: int, seed: list[int]) -> None:
    x, label, _ = draw(rows, seed)
    columns = {name: x[:, i] for i, name in enumerate(FEATURES)}
    pq.write_table(pa.table({**columns, TARGET: label}), file, use_dictionary=False)


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--scale", default=1.0, show_default=True, help="Above 1: of training rows alone.")
@click.option("--seed", default=42, show_default=True)
def main(folder: Path, scale: float, seed: int) -> None:
    """Write the data."""
    click.echo(json.dumps(generate(folder, scale, seed=seed)))


if __name__ == "__main__":
    main()
