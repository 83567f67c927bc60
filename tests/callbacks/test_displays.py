"""What a run shows: in a real terminal, in a real notebook, and where nobody looks on."""

import io
import logging
import os
import pty
import re
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from rich.console import Console
from test_pace import STAGED, end, rounds, training, visit, visit_end

from batchtrainingbooster.callbacks.displays import RoundLog, TerminalDisplay, displays
from batchtrainingbooster.callbacks.status import status
from batchtrainingbooster.core import events
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.stopping import Best, StopReason

START = events.RunStart(run_id="r", booster="toy", target_column="y", config={}, versions={})

# A run over the toy booster, slow enough to be looked at.
RUN = """
import logging, sys, time
from test_loop import plan
from toy import ToyBackend, ToySource
from test_displays import START
from batchtrainingbooster import setup_logger
from batchtrainingbooster.callbacks.displays import displays
from batchtrainingbooster.callbacks.watching import watched
from batchtrainingbooster.core.loop import run_visits
from test_pace import STAGED, end

class Slow(ToyBackend):
    def boost(self, *args):
        time.sleep(0.3)
        super().boost(*args)

setup_logger()
with watched(START, displays({verbosity})) as run:
    run.observers.emit(STAGED)
    run_visits(plan(), ToySource(2), Slow([5, 4, 3, 2]), observer=run.observers)
    print("from the user")
    run.end = end()
"""


def shown(record, width=100):
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(status(record))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_each_phase_says_what_goes_on():
    record = RunRecord()
    assert shown(record) == [""]
    record.take(START)
    assert shown(record)[0].startswith("Spark looks at the data")
    record.take(events.StagingProgress(tasks_done=3, tasks_total=1200))
    assert shown(record)[0].startswith("Spark stages the data, 3 of 1,200 tasks")
    for event in (STAGED, training(), visit(0), *rounds(0, 5)):
        record.take(event)
    best = Best(0.25, 0, 3, 4)
    record.take(events.Improvement(best=best, before=None))
    first, place, metrics = shown(record)
    assert first.startswith("toy: training")
    assert first.endswith("12% at most 0:00:18 left")
    assert place == (
        "visit 1 of 4   epoch 1   batch 1   round 5 of 10   learning rate 0.1   2.0 k rows/s"
    )
    assert metrics == "train m 1   valid m 1   best 0.25 at visit 1   patience 3 of 3"
    for event in (visit_end(0, 3.0, waited=1), end(StopReason.PATIENCE)):
        record.take(event)
    first, place, metrics = shown(record)
    assert first.startswith("toy: stopped early after 0:00:09")
    assert "left" not in first
    assert place.startswith("visit 1 of 4   ")
    assert metrics == "train m 1   valid m 1   best 0.25 at visit 1"


@pytest.mark.parametrize("reason", StopReason)
def test_every_end_has_its_words(reason):
    record = RunRecord.of([START, STAGED, training(), visit(0), *rounds(0, 1), end(reason)])
    assert re.match(r"toy: [a-z ]+ after 0:00:09", shown(record)[0])


def test_lines_are_cut_where_the_terminal_is_narrow():
    record = RunRecord.of([START, STAGED, training(), visit(0), *rounds(0, 5)])
    lines = shown(record, width=40)
    assert len(lines) == 3
    assert max(map(len, lines)) <= 40


def in_terminal(tmp_path, verbosity, stdout=None):
    """What a process writes to a terminal of 120 columns."""
    script = tmp_path / "run.py"
    script.write_text(RUN.format(verbosity=verbosity))
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "TERM": "xterm",
        "COLUMNS": "120",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=theirs,
        stdout=stdout or theirs,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    chunks = []
    # The terminal is gone when the process has ended.
    while True:
        try:
            chunk = os.read(ours, 65_536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(ours)
    text = b"".join(chunks).decode()
    assert process.wait() == 0, text
    return text


def lines_left(text):
    """The lines that stay, after all that was drawn over."""
    lines, row = [""], 0
    for piece in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", text):
        if piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\x1b[1A":
            row -= 1
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif piece and not piece.startswith("\x1b") and piece != "\r":
            lines[row] += piece
    return [line.rstrip() for line in lines if line.strip()]


def test_a_terminal_shows_the_run_live_and_logs_above_it(tmp_path):
    text = in_terminal(tmp_path, 1)
    assert "\x1b[1A" in text, "lines are drawn over"
    assert "visit 1 of 2" in text
    lines = lines_left(text)
    assert [line for line in lines if "Visit 1 (epoch 1, batch " in line]
    assert [line for line in lines if "Visit 2 (epoch 1, batch " in line]
    assert "from the user" in lines
    at = [i for i, line in enumerate(lines) if line.startswith("toy: completed after 0:00:09")]
    assert at == [len(lines) - 3], "the display stays at the foot, once"
    assert lines[-2].startswith("visit 2 of 2")
    assert lines[-1] == "train loss 0.5   valid loss 2   best 2 at visit 2"


def test_output_that_goes_elsewhere_is_left_alone(tmp_path):
    output = tmp_path / "output"
    with output.open("w") as stream:
        text = in_terminal(tmp_path, 1, stdout=stream)
    assert output.read_text() == "from the user\n"
    assert "from the user" not in text
    assert "visit 1 of 2" in text


def test_a_quiet_run_in_a_terminal_shows_its_log_alone(tmp_path):
    text = in_terminal(tmp_path, 0)
    assert "\x1b[" not in text
    assert "Visit 1 (epoch 1, batch " in text
    assert "visit 1 of 2" not in text


def test_where_it_is_asked_for_every_round_is_logged(tmp_path):
    lines = lines_left(in_terminal(tmp_path, 2))
    assert (
        len([line for line in lines if re.search(r"Visit \d, round \d: learning rate", line)]) == 4
    )


def test_nobody_looks_on_so_nothing_is_shown():
    assert displays(0) == displays(1) == []
    assert [type(each) for each in displays(2)] == [RoundLog]


def test_a_round_is_one_line_of_the_log(caplog):
    caplog.set_level(logging.INFO, logger="batchtrainingbooster")
    (event,) = rounds(2, 1)
    RoundLog().on_event(event)
    assert caplog.messages == ["Visit 3, round 1: learning rate 0.1  train m 1  valid m 1"]


def test_the_display_ends_with_the_run_so_that_another_can_begin(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for _ in range(2):
        display = TerminalDisplay()
        for event in (START, STAGED, training(), end()):
            display.on_event(event)
        assert display._live is None


def test_a_notebook_shows_one_output_that_is_drawn_anew():
    source = RUN.format(verbosity=1)
    cell = nbformat.v4.new_code_cell(source)
    client = NotebookClient(
        nbformat.v4.new_notebook(cells=[cell]), timeout=120, kernel_name="python3",
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        client.execute()
    outputs = client.nb.cells[0].outputs
    shown = [each for each in outputs if each.output_type == "display_data"]
    assert len(shown) == 1, "updated in its place"
    html = shown[0]["data"]["text/html"]
    assert "toy: completed after 0:00:09" in re.sub("<[^>]+>", "", html)
    assert "visit 2 of 2" in html
    texts = "".join(each.text for each in outputs if each.output_type == "stream")
    assert "from the user" in texts
    assert "warn" not in texts.lower()
