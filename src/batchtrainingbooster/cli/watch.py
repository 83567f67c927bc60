"""The command that shows a run while it trains."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from batchtrainingbooster.report import live


@click.command()
@click.argument("run_dir", type=click.Path(file_okay=False, path_type=Path))
@click.option("--host", default=live.HOST, show_default=True, help="Address to answer on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=live.PORT,
    show_default=True,
    help="0 takes a free one.",
)
@click.option("--open/--no-open", "opens", default=False, help="Open a browser.")
def watch(run_dir: Path, *, host: str, port: int, opens: bool) -> None:
    """Show the run in RUN_DIR as a page that follows it, until Ctrl-C.

    RUN_DIR is the run_dir of the training; it may still be empty. Nothing in it is changed.
    """

    def started(url: str) -> None:
        click.echo(f"{url} shows {run_dir.absolute()}; Ctrl-C ends it")
        if opens:
            webbrowser.open(url)

    live.serve(run_dir, host, port, started)
