"""What the package logs, where it goes, and which run it is of."""

import io
import json
import logging
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchtrainingbooster import XGBoostTrainer
from batchtrainingbooster.callbacks.event_log import read_events
from batchtrainingbooster.core.run_id import new_run_id, run_named
from batchtrainingbooster.errors import ConfigError
from batchtrainingbooster.logger.logger import setup_logger

NAME = "batchtrainingbooster"
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}  (\w+) +  ?(\S+) +(.*)")


@pytest.fixture(autouse=True)
def logger():
    """The package's, as it was when the test is over."""
    logger = logging.getLogger(NAME)
    before, level = list(logger.handlers), logger.level
    yield logger
    for handler in set(logger.handlers) - set(before):
        logger.removeHandler(handler)
        handler.close()
    logger.handlers[:] = before
    logger.setLevel(level)


def fail(error):
    raise error


def ours(logger):
    return [handler for handler in logger.handlers if handler.get_name() == NAME]


def test_import_leaves_the_package_a_null_handler_and_the_root_none():
    code = (
        "import logging, batchtrainingbooster.logger.logger\n"
        "import batchtrainingbooster.core.base_trainer, batchtrainingbooster.cli.main\n"
        "names = [n for n in logging.root.manager.loggerDict if n.startswith('batchtrainingb')]\n"
        "assert len(names) > 5\n"
        "print([(n, type(h).__name__) for n in names for h in logging.getLogger(n).handlers])\n"
        "print(logging.root.handlers, logging.getLogger('batchtrainingbooster').level)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[('batchtrainingbooster', 'NullHandler')]\n[] 0\n"


def test_nothing_is_printed_unless_it_was_set_up():
    code = (
        "import logging\n"
        "from toy import ToyBackend, ToySource\n"
        "from test_loop import plan\n"
        "from batchtrainingbooster.core.loop import run_visits\n"
        "import batchtrainingbooster.logger.logger\n"
        "{}"
        "logging.getLogger('batchtrainingbooster.core.loop').error('an error')\n"
        "run_visits(plan(), ToySource(2), ToyBackend([.5] * 100))\n"
    )
    run = [sys.executable, "-c"]
    options = {
        "capture_output": True, "text": True, "check": True,
        "cwd": Path(__file__).parents[1] / "core", "stdin": subprocess.DEVNULL,
    }  # fmt: skip
    silent = subprocess.run([*run, code.format("")], **options)
    assert (silent.stdout, silent.stderr) == ("", "")
    set_up = "batchtrainingbooster.logger.logger.setup_logger()\n"
    spoken = subprocess.run([*run, code.format(set_up)], **options)
    assert spoken.stdout == ""
    assert "an error" in spoken.stderr
    assert "Run ended" in spoken.stderr


def test_calling_it_again_replaces(logger, tmp_path, capsys):
    setup_logger("DEBUG", tmp_path / "first.log")
    file = ours(logger)[-1]
    assert setup_logger("WARNING", tmp_path / "second.log") is logger
    logger.warning("now")
    logger.info("hidden")
    assert len(ours(logger)) == 2
    assert file.stream is None
    assert (tmp_path / "first.log").read_text() == ""
    (line,) = (tmp_path / "second.log").read_text().splitlines()
    assert capsys.readouterr().err == f"{line}\n"
    assert LINE.fullmatch(line).groups() == ("WARNING", "-", "now")


def test_handlers_of_others_stay(logger):
    theirs = logging.NullHandler()
    logger.addHandler(theirs)
    setup_logger()
    setup_logger(console=False)
    assert theirs in logger.handlers
    assert ours(logger) == []


def test_console_is_what_standard_error_is_at_that_moment(logger, monkeypatch):
    setup_logger()
    for text in ("first", "second"):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        logger.info(text)
        assert stream.getvalue().endswith(f"  {text}\n")
        assert stream.getvalue().count("\n") == 1


def test_console_can_be_left_out(logger, tmp_path, capsys):
    setup_logger(file=tmp_path / "log", console=False)
    logger.info("é")
    assert capsys.readouterr().err == ""
    assert (tmp_path / "log").read_text(encoding="utf-8").endswith("  é\n")


def test_file_is_appended_to_and_its_folder_made(logger, tmp_path):
    file = tmp_path / "deep" / "er" / "run.log"
    for text in ("one", "two"):
        setup_logger(file=str(file))
        logger.info(text)
    assert [LINE.fullmatch(line)[3] for line in file.read_text().splitlines()] == ["one", "two"]


def test_file_that_grows_is_rotated_and_the_oldest_goes(logger, tmp_path):
    file = tmp_path / "run.log"
    setup_logger(file=file, max_bytes=500, backups=2, console=False)
    for number in range(100):
        logger.info("line %d", number)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["run.log", "run.log.1", "run.log.2"]
    assert all(0 < path.stat().st_size <= 500 for path in tmp_path.iterdir())
    kept = [
        line.rpartition(" ")[2]
        for name in reversed(files)
        for line in (tmp_path / name).read_text().splitlines()
    ]
    assert kept == [str(number) for number in range(100 - len(kept), 100)]
    assert 10 < len(kept) < 40


@pytest.mark.parametrize("limits", [{"max_bytes": 0}, {"max_bytes": 100, "backups": 0}])
def test_file_grows_where_a_limit_is_zero(logger, tmp_path, limits):
    setup_logger(file=tmp_path / "run.log", console=False, **limits)
    for number in range(100):
        logger.info("line %d", number)
    assert len((tmp_path / "run.log").read_text().splitlines()) == 100
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("umask", "mode"), [("022", 0o644), ("077", 0o600)])
def test_file_has_the_permissions_of_the_umask(tmp_path, umask, mode):
    code = f"import os; os.umask(0o{umask}); from batchtrainingbooster import setup_logger; "
    file = tmp_path / "log"
    subprocess.run([sys.executable, "-c", f"{code}setup_logger(file={str(file)!r})"], check=True)
    assert stat.S_IMODE(file.stat().st_mode) == mode


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ({"level": "LOUD"}, ["level: got 'LOUD'", "WARNING"]),
        ({"level": None}, ["level: got None", "int"]),
        ({"level": True}, ["level: got True"]),
        ({"level": -1}, ["level: got -1"]),
        ({"format": "xml"}, ["format: got 'xml', need 'text' or 'json'"]),
        ({"format": ["text"]}, ["format: got ['text']"]),
        ({"max_bytes": -1}, ["max_bytes: got -1, need an int >= 0"]),
        ({"max_bytes": 1e6}, ["max_bytes: got 1000000.0"]),
        ({"backups": "3"}, ["backups: got '3'"]),
        ({"console": "yes"}, ["console: got 'yes', need True or False"]),
        ({"file": 3}, ["file: 3"]),
        ({"file": "a\0b"}, ["file: 'a\\x00b'", "null byte"]),
        ({"file": "."}, ["file: '.' cannot be written to", "directory"]),
        ({"file": "/dev/null/log"}, ["file: '/dev/null/log'", "cannot be written to"]),
        ({"level": "LOUD", "backups": -1}, ["2 problems", "LOUD", "backups"]),
    ],
)
def test_bad_argument_is_named_and_changes_nothing(logger, arguments, facts):
    setup_logger("ERROR", console=True)
    before, level = ours(logger), logger.level
    assert len(before) == 1
    with pytest.raises(ConfigError) as caught:
        setup_logger(**arguments)
    for fact in ("setup_logger: ", *facts):
        assert fact in str(caught.value)
    assert (ours(logger), logger.level) == (before, level)


def test_level_is_known_by_name_or_number(logger):
    for level in (logging.DEBUG, "DEBUG", "debug", 10):
        setup_logger("ERROR")
        assert setup_logger(level).level == logging.DEBUG


def test_json_is_one_object_a_line_with_all_fields(logger, tmp_path, capsys):
    setup_logger(file=tmp_path / "log", format="json")
    run_id = new_run_id()
    with run_named(run_id):
        logging.getLogger(f"{NAME}.core.loop").info("two\nlines %s \ud800 é", "and")
    try:
        fail(OSError("gone \x1b[2J"))
    except OSError:
        logger.exception("outside")
    text = (tmp_path / "log").read_text()
    assert capsys.readouterr().err == text
    assert text.isascii()
    first, second = map(json.loads, text.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first.pop("time"))
    assert first == {
        "level": "INFO", "logger": f"{NAME}.core.loop", "run_id": run_id,
        "message": "two\nlines and \ud800 é", "exception": None,
    }  # fmt: skip
    assert (second["level"], second["run_id"], second["message"]) == ("ERROR", None, "outside")
    assert second["exception"].startswith("Traceback")
    assert second["exception"].endswith("OSError: gone \x1b[2J")


def test_text_line_is_one_line_and_does_nothing_to_a_terminal(logger, tmp_path, capsys):
    setup_logger(file=tmp_path / "log")
    label = "red\x1b[31m\n2026-01-01 00:00:00,000  ERROR    -       forged\u202e\ud800"
    logger.info("classes: %s", label)
    try:
        fail(ValueError(label))
    except ValueError:
        logger.exception("failed")
    text = (tmp_path / "log").read_text(encoding="utf-8")
    assert capsys.readouterr().err == text
    lines = text.splitlines()
    assert lines[0].endswith(
        r"classes: red\x1b[31m\n2026-01-01 00:00:00,000  ERROR    -       forged\u202e\ud800"
    )
    assert lines[2] == "Traceback (most recent call last):"
    assert not {"\x1b", "\u202e"} & set(text)


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_in_messages_and_tracebacks_are_left_out(logger, tmp_path, form):
    setup_logger(file=tmp_path / "log", format=form, console=False)
    uri = "s3://AKIA:hush@bucket/x?token=hush2"
    try:
        fail(OSError(uri))
    except OSError:
        logger.exception("cannot read %s", uri)
    text = (tmp_path / "log").read_text()
    assert text.count("s3://***@bucket/x?token=***") == 2
    assert "hush" not in text


def test_two_threads_have_two_run_ids(logger, tmp_path):
    setup_logger(file=tmp_path / "log", format="json", console=False)
    both = threading.Barrier(2)

    def run(run_id):
        with run_named(run_id):
            for number in range(20):
                both.wait(timeout=30)
                logger.info("%s %d", run_id, number)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    logger.info("none")
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert len(lines) == 41
    for line in lines:
        expected = None if line["message"] == "none" else line["message"].split()[0]
        assert line["run_id"] == expected


ROWS = 1_200
DECISIONS = (
    "Target 'y': binary, 2 classes",
    "Objective: binary:logistic (inferred); deciding metric: logloss (inferred)",
    "Features: 3 columns (all others), of which categorical: color (3)",
    "Class weights: ",
    "rows a batch: with fewer than",
    "Staged 1,200 rows as 3 batches",
    "Visit 1 (",
    "Visit 2 (",
    "Visit 3 (",
    "Visit 4 (",
    "no gain: rolled back to ",
    "Run ended (patience) after 4 visits",
    "Run folder: ",
)


@pytest.fixture(scope="module")
def training(spark, tmp_path_factory):
    """The lines that a training logs which runs out of patience, and the events in its log."""
    folder = tmp_path_factory.mktemp("training")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "a": rng.standard_normal(ROWS),
            "b": rng.standard_normal(ROWS),
            "color": rng.choice(["red", "green", "blue"], ROWS),
            "y": rng.random(ROWS) < 0.2,
        }
    )
    logger = logging.getLogger(NAME)
    before, level = list(logger.handlers), logger.level
    setup_logger(file=folder / "log", format="json", console=False)
    try:
        XGBoostTrainer().fit(
            spark.createDataFrame(table).coalesce(1).cache(),
            None,
            "y",
            {"n_estimators": 10, "max_depth": 6, "learning_rate": 1.0},
            {
                "num_batches": 3, "num_epochs": 3, "max_patience": 3, "validation_fraction": 0.25,
                "class_weight": "balanced", "run_dir": str(folder / "run"),
            },
        )  # fmt: skip
    finally:
        setup_logger(console=False)
        logger.handlers[:] = before
        logger.setLevel(level)
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return lines, [event for _, event in read_events(folder / "run" / "events.jsonl")]


def test_each_decision_of_a_training_is_logged_once(training):
    messages = [line["message"] for line in training[0]]
    counts = {what: sum(what in message for message in messages) for what in DECISIONS}
    # Part of the line of its visit: each visit after the first was rolled back.
    assert counts.pop("no gain: rolled back to ") == 3
    assert counts == dict.fromkeys(counts, 1)


def test_each_line_of_a_training_has_the_run_id_of_the_event_log(training):
    lines, happened = training
    assert len(lines) >= len(DECISIONS) - 1
    assert {line["run_id"] for line in lines} == {happened[0].run_id}


def test_text_shows_the_end_of_the_run_id(logger, tmp_path):
    setup_logger(file=tmp_path / "log", console=False)
    run_id = new_run_id()
    with run_named(run_id):
        logger.info("within")
    logger.info("outside")
    within, outside = map(LINE.fullmatch, (tmp_path / "log").read_text().splitlines())
    assert within.groups() == ("INFO", run_id[-6:], "within")
    assert outside.groups() == ("INFO", "-", "outside")
    assert within.start(3) == outside.start(3)
