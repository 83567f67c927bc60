"""The results as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from targets import MB, Run, Target, above_idle

REACHED = {True: "yes", False: "no", None: "not measured"}


def page(
    machine: Mapping[str, Any],
    settings: Mapping[str, Any],
    targets: Sequence[Target],
    runs: Sequence[Run],
) -> str:
    """What was wanted and measured, and all contenders."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    about = (
        f"{machine['date']}; {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['kernel']}, Python {machine['python']}; {versions}."
    )
    rows = settings["rows"]
    size = (
        f"{rows['train']:,} rows of {settings['columns']} columns to train on, {rows['valid']:,} "
        f"for validation, {rows['test']:,} for the test; turns: {settings['repeats']}, medians."
    )
    if runs:
        loads = [run["load"] for run in runs]
        size += (
            f" Load of the machine when a run began (the run before it counts too): median "
            f"{statistics.median(loads):.1f}, at most {max(loads):.1f}."
        )
    if settings["scale"] < 1:
        size += " The targets are meant for full size: this run only shows that all of it works."
    parts = ["# Benchmark", about, size, "## Targets", target_table(targets)]
    parts += ["## Contenders", contender_table(runs), NOTES]
    failed = [run for run in runs if run["error"] is not None]
    if failed:
        parts.append("## Failures")
        parts += [
            f"{run['pair']}, {run['contender']}:\n\n```\n{run['error']}\n```" for run in failed
        ]
    return "\n\n".join(parts) + "\n"


NOTES = (
    "Seconds are of the work alone: not of Spark's start, nor of the test. Peaks are of that time "
    "too, in MB: Python's of all Python processes, Spark's workers too, shared pages counted in "
    "shares where the system tells; the JVM's of all others. Above idle: over what Python held "
    "just before the work. Stages: in seconds. Trees: in the model; ours is cut at its best round."
)


def target_table(targets: Sequence[Target]) -> str:
    """A line for each."""
    lines = ["| what | measured | wanted | reached | how |", "|---|---|---|---|---|"]
    for target in targets:
        shown = "" if target.measured is None else f"{target.measured:.3f}{target.unit}"
        aim = "" if target.aim is None else f" (aim {target.aim:g})"
        lines.append(
            f"| {target.what} | {shown} | {target.sign} {target.bound:g}{target.unit}{aim} | "
            f"{REACHED[target.reached]} | {target.how} |"
        )
    return "\n".join(lines)


def contender_table(runs: Sequence[Run]) -> str:
    """Medians by contender, in the order in which they were first run."""
    columns = [
        "pair", "contender", "seconds", "stages", "Spark's start", "Python's peak", "above idle",
        "JVM's peak", "peak of both", "log loss", "trees",
    ]  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run["error"] is None:
            groups.setdefault((run["pair"], run["contender"]), []).append(run)
    for (pair, name), group in groups.items():
        peaks = [
            _middle([run["peak"]["python"] / MB for run in group], ".0f"),
            _middle([above_idle(run) / MB for run in group], ".0f"),
            _middle([run["peak"]["java"] / MB for run in group], ".0f"),
            _middle([run["peak"]["total"] / MB for run in group], ".0f"),
        ]
        cells = [
            pair, name, _middle([run["seconds"] for run in group], ".2f"), _stages(group),
            _middle([run["session"] for run in group], ".1f"), *peaks,
            _middle([run["log_loss"] for run in group], ".5f"),
            _middle([run["trees"] for run in group], ".0f"),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _middle(values: Sequence[float | None], form: str) -> str:
    given = [value for value in values if value is not None]
    return format(statistics.median(given), form) if given else ""


def _stages(group: Sequence[Run]) -> str:
    names = dict.fromkeys(name for run in group for name in run["stages"])
    shown = [
        f"{name} {_middle([run['stages'].get(name) for run in group], '.2f')}" for name in names
    ]
    return ", ".join(shown)
