"""``runs``: what run folders tell of their runs, from their event logs alone."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("names", nargs=-1)
@click.option(
    "--sort", type=click.Choice(["newest", "metric", "name"]), default="newest", show_default=True
)
@click.option("--compare", is_flag=True, help="Side by side: what differs in their settings.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def runs(
    directory: Path, names: tuple[str, ...], *, sort: str, compare: bool, as_json: bool
) -> None:
    """List the runs whose folders are in DIRECTORY, or those of them with these NAMES.

    A run folder is what the setting run_dir names. Of one that was used again, the last run counts.
    """
    from batchtrainingbooster.cli.run_folders import find_runs
    from batchtrainingbooster.cli.run_tables import (
        FIRST_TO_GO,
        comparison_of,
        in_order,
        show,
        table_of,
    )

    found = in_order(find_runs(directory, names), sort)
    if as_json:
        click.echo(json.dumps([run.to_json() for run in found], indent=1))
    elif compare:
        show(comparison_of(found))
    else:
        show(table_of(found), table_of(found, FIRST_TO_GO))
