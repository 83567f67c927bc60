"""Curves of docs/strategies.md: the test metric against seconds, and peak memory, by strategy.

::

    python benchmarks/strategies.py flights                       # some minutes
    python benchmarks/strategies.py synthetic --rounds 400        # 4,000,000 rows; half an hour
    python benchmarks/strategies.py synthetic --scale 0.05 --output /tmp/curves

Every run makes the same number of rounds at learning rate 0.1, without class weights or early
stopping, and is evaluated on the test rows after each of them; nothing is decided there. Each is a
process of its own. Seconds are those of training; staging, the same for all, is said apart.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import attrs
import click
from generate import TARGET, generate

from batchtrainingbooster.comparison.arms import EXTERNAL_MEMORY, INCREMENTAL, Task
from batchtrainingbooster.comparison.strategies import in_a_process, tasks_of
from batchtrainingbooster.core.preparation import prepare
from batchtrainingbooster.core.request import parse_request
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.placing import place_rows
from batchtrainingbooster.data.staging import stage

# data set: (depth of the trees, batch counts)
RUNS = {"flights": (8, (1, 2, 4, 8, 16)), "synthetic": (6, (5, 10, 20, 40, 80))}
PAGE = Path(__file__).parents[1] / "docs"


def frames_of(name: str, spark: Any, folder: Path, scale: float) -> tuple[Any, Any, str]:
    """Training rows, test rows and the target."""
    if name == "synthetic":
        generate(folder, scale)
        train, test = (spark.read.parquet(str(folder / part)) for part in ("train", "valid"))
        return train, test, TARGET
    from batchtrainingbooster.cli.demo import TARGET as LATE
    from batchtrainingbooster.cli.demo import read_flights, unpack

    flights = read_flights(spark, unpack(folder))
    # By content, so that every reading divides them alike.
    is_test = "pmod(xxhash64(struct(*)), 5) = 0"
    return flights.where(f"not ({is_test})"), flights.where(is_test), LATE


def run(name: str, rounds: int, scale: float) -> list[dict[str, Any]]:
    """All runs on a data set."""
    from batchtrainingbooster.cli.session import start_session

    depth, batch_counts = RUNS[name]
    spark = start_session("strategies", {"spark.driver.memory": "2g"})
    results = []
    with tempfile.TemporaryDirectory() as root:
        train, test, target = frames_of(name, spark, Path(root), scale)
        for num_batches in batch_counts:
            with tempfile.TemporaryDirectory() as folder:
                tasks = staged(
                    (train, test, target), num_batches, rounds // num_batches, depth, folder
                )
                arms = [INCREMENTAL]
                if num_batches == batch_counts[1]:
                    arms.append(EXTERNAL_MEMORY)
                for arm in arms:
                    outcome = in_a_process(tasks[arm])
                    if isinstance(outcome, str):
                        raise click.ClickException(outcome)
                    about = {"arm": arm, "num_batches": num_batches}
                    results.append({**about, **attrs.asdict(outcome)})
                    click.echo(described(results[-1]), err=True)
    spark.stop()
    return results


def staged(
    frames: tuple[Any, Any, str], num_batches: int, rounds: int, depth: int, folder: str
) -> dict[str, Task]:
    """Stage into a folder; what each run on it is told."""
    train, test, target = frames
    config_model = {
        "n_estimators": rounds, "max_depth": depth, "eval_metric": "logloss",
        "learning_rate": 0.1,
    }  # fmt: skip
    config_training = {
        "num_batches": num_batches, "class_weight": None, "warm_restart": "last",
        "max_patience": 10**6,
    }  # fmt: skip
    request = parse_request("xgboost", config_model, config_training, None)
    prepared = prepare(request, train, test, target)
    place = Folder(folder)
    stage(prepared.job, place_rows(prepared.job), place)
    tasks = tasks_of("xgboost", [config_model, config_training, {}], prepared, place, None)
    return {task.arm: task for task in tasks}


def described(result: dict[str, Any]) -> str:
    """A row of the table."""
    whole = result["arm"] == EXTERNAL_MEMORY
    name = "external memory" if whole else f"{result['num_batches']} batches"
    values = [value for _, value in result["curve"]]
    cells = [
        name, f"{result['rows']:,}", str(result["trained"]), f"{values[-1]:.4f}",
        f"{min(values):.4f} after {values.index(min(values)) + 1}", f"{result['seconds']:.1f}",
        f"{result['peak_bytes'] / 1e6:.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |".replace("| 1 batches |", "| 1 batch |")


def table(results: list[dict[str, Any]]) -> str:
    """The runs as Markdown."""
    columns = ["strategy", "rows a tree sees", "trees", "test log loss", "best", "seconds",
               "peak memory, MB"]  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return "\n".join([*lines, *map(described, results)])


def draw(results: list[dict[str, Any]], file: Path) -> None:
    """Test metric against seconds, and against peak memory."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for i, result in enumerate(results):
        whole = result["arm"] == EXTERNAL_MEMORY
        label = "external memory" if whole else f"batches: {result['num_batches']}"
        style = {"color": "black" if whole else f"C{i}", "linestyle": "--" if whole else "-"}
        seconds, values = zip(*result["curve"], strict=True)
        left.plot(seconds, values, label=label, **style)
        right.plot(result["peak_bytes"] / 1e6, values[-1], "s" if whole else "o",
                   color=style["color"])  # fmt: skip
        name = "all rows" if whole else str(result["num_batches"])
        right.annotate(name, (result["peak_bytes"] / 1e6, values[-1]), (0, 6), fontsize=7,
                       textcoords="offset points", ha="center")  # fmt: skip
    last = [result["curve"][-1][1] for result in results]
    left.set_ylim(min(last) - 0.005, min(last) + 0.08)
    left.set(xlabel="seconds of training", ylabel="test log loss")
    right.set(xlabel="peak memory above idle, MB")
    right.margins(0.1)
    left.legend(fontsize=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


@click.command(help=__doc__)
@click.argument("name", type=click.Choice(list(RUNS)))
@click.option("--rounds", default=200, show_default=True)
@click.option("--scale", default=1.0, show_default=True, help="Of the synthetic data.")
@click.option("--output", type=click.Path(path_type=Path), default=PAGE, show_default=True)
def main(name: str, rounds: int, scale: float, output: Path) -> None:
    """Run, draw, and put the table into the page."""
    results = run(name, rounds, scale)
    draw(results, output / "images" / f"strategies-{name}.png")
    found = table(results)
    page = output / "strategies.md"
    start, end = (f"<!-- {name}: {mark} -->" for mark in ("start", "end"))
    text = page.read_text() if page.exists() else f"{start}\n{end}\n"
    before, _, rest = text.partition(start)
    page.write_text(f"{before}{start}\n{found}\n{end}{rest.partition(end)[2]}")
    (output / "images" / f"strategies-{name}.json").write_text(json.dumps(results))
    click.echo(found)


if __name__ == "__main__":
    main()
