"""The command line: train, compare, predict, inspect, watch, runs, demo."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

import attrs
import click

import batchtrainingbooster
from batchtrainingbooster.cli.runs import runs
from batchtrainingbooster.cli.watch import watch
from batchtrainingbooster.core.redaction import without_secrets
from batchtrainingbooster.errors import BatchTrainingError
from batchtrainingbooster.logger.logger import setup_logger


@attrs.frozen(kw_only=True)
class Settings:
    """Those of every command."""

    debug: bool
    quiet: bool
    log_file: Path | None
    log_format: str

    def set_up_logger(self, file: Path | None = None) -> None:
        """Log to the console and, where one is named, to a file."""
        level = "WARNING" if self.quiet else "INFO"
        setup_logger(level, self.log_file or file, format=self.log_format)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(batchtrainingbooster.__version__, prog_name="batchtrainingbooster")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("-q", "--quiet", is_flag=True, help="Show warnings only, and no progress.")
@click.option("--log-file", type=click.Path(dir_okay=False, path_type=Path), help="Log there too.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_context
def cli(
    context: click.Context, *, debug: bool, quiet: bool, log_file: Path | None, log_format: str
) -> None:
    """Train gradient-boosted trees batch by batch from Spark DataFrames."""
    context.obj = Settings(debug=debug, quiet=quiet, log_file=log_file, log_format=log_format)


@cli.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def train(settings: Settings, config: Path) -> None:
    """Train as the YAML file CONFIG says, and save the model.

    Its keys are those of the Python call, and where to read from: trainer, target_column, train,
    valid, config_model, config_training, config_lr_scheduler, model_dir, spark.
    """
    from batchtrainingbooster.cli.jobs import run_training
    from batchtrainingbooster.cli.training_file import read_training_file

    settings.set_up_logger()
    click.echo(run_training(read_training_file(config), is_quiet=settings.quiet))


@cli.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def compare(settings: Settings, config: Path) -> None:
    """Train as the YAML file CONFIG says in three ways, and say which is worth its while.

    Batch by batch, on all rows from disk, and on one batch alone: the same rounds, early stopping
    and learning rates. The key test, like train and valid, names rows to compare on; without it,
    the validation rows are taken. No model is saved.
    """
    from batchtrainingbooster.cli.jobs import run_comparison
    from batchtrainingbooster.cli.training_file import read_training_file

    settings.set_up_logger()
    click.echo(run_comparison(read_training_file(config)))


@cli.command()
@click.argument("model", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--input", "source", required=True, help="What to score: a path that Spark reads.")
@click.option("--format", "source_format", default="parquet", show_default=True)
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Of the reader.")
@click.option("--output", required=True, help="Where to write.")
@click.option("--output-format", default="parquet", show_default=True)
@click.option(
    "--mode", type=click.Choice(["error", "overwrite"]), default="error", show_default=True
)
@click.pass_obj
def predict(
    settings: Settings,
    model: Path,
    source: str,
    source_format: str,
    options: tuple[str, ...],
    output: str,
    output_format: str,
    mode: str,
) -> None:
    """Score a table with the saved MODEL, and write it with its predictions.

    Vectors (probability, rawPrediction) are written as arrays, and to CSV as JSON texts.
    """
    from batchtrainingbooster.cli.jobs import run_prediction

    bad = [option for option in options if "=" not in option]
    if bad:
        msg = f"got {bad[0]!r}, need KEY=VALUE"
        raise click.BadParameter(msg, param_hint="--option")
    settings.set_up_logger()
    reading = dict(option.split("=", 1) for option in options)
    rows = run_prediction(model, (source, source_format, reading), (output, output_format, mode))
    click.echo(f"{rows:,} rows scored: {without_secrets(output)}")


@cli.command()
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--verify", is_flag=True, help="Read every byte: is it what was written?")
def inspect(path: str, *, as_json: bool, verify: bool) -> None:
    """Describe a saved model, a staged folder, or the checkpoints of a run at PATH."""
    from batchtrainingbooster.cli.describe import describe, to_text

    found = describe(path, verify=verify)
    click.echo(json.dumps(found, indent=1, ensure_ascii=False) if as_json else to_text(found))


@cli.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="The run folder: model, report, plots, log.",
)
@click.pass_obj
def demo(settings: Settings, output: Path) -> None:
    """Train on 327,346 real flights: which will be late by more than 15 minutes."""
    from batchtrainingbooster.cli.demo import run_demo

    output.mkdir(parents=True, exist_ok=True)
    log = output / "train.log"
    log.unlink(missing_ok=True)
    settings.set_up_logger(log)
    click.echo(run_demo(output))


cli.add_command(watch)
cli.add_command(runs)


def main() -> None:
    """Run the command line; errors are one line, and their exit code is 1."""
    debug = "--debug" in sys.argv
    told_to_end: list[int] = []

    def terminate(number: int, frame: FrameType | None) -> None:
        # Raised, so that locks are given back, and temporary folders go.
        told_to_end.append(128 + number)
        click.echo("terminated", err=True)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, terminate)
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:  # noqa: BLE001 - Spark's own errors, too, are one line here
        if told_to_end:
            # Where it is raised within a call to Java, another error may come of it.
            sys.exit(told_to_end[0])
        _fail(error, debug=debug)
    sys.exit(code or 0)


def _fail(error: Exception, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    kind = "" if isinstance(error, BatchTrainingError) else f"{type(error).__name__}: "
    text = without_secrets(" ".join(str(error).partition("\n\nJVM stacktrace")[0].split()))
    click.echo(f"error: {kind}{text}", err=True)
    sys.exit(1)
