"""``runs`` tells of run folders what their event logs hold, and is not fooled by them."""

import json
import math
import os
import pty
import re
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from test_loop import plan
from toy import ToyBackend, ToySource

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.callbacks.event_log import EventLog, to_line
from batchtrainingbooster.callbacks.watching import watched
from batchtrainingbooster.cli.run_folders import find_runs
from batchtrainingbooster.cli.runs import runs
from batchtrainingbooster.core import events
from batchtrainingbooster.core.evaluation import Evaluation
from batchtrainingbooster.core.history import Row
from batchtrainingbooster.core.loop import run_visits
from batchtrainingbooster.core.stopping import Best, StopReason
from batchtrainingbooster.data import lock
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.lock import FolderLock
from batchtrainingbooster.errors import ConfigError

HELD = (0.5, 0.4, 0.3, 0.25)


def write_run(folder, script=HELD, *, run_id="r", booster="toy", metric="loss", maximize=False,
              error=None, callbacks=(), training=None, accuracy=0.75, **changes):  # fmt: skip
    """The log of a run over two toy batches, two rounds each."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"config_model": {"n_estimators": 2}, "config_training": training or {}}
    start = events.RunStart(
        run_id=run_id, booster=booster, target_column="y", config=config,
        versions={"toy": "1.0"}, run_dir=str(folder),
    )  # fmt: skip
    with watched(start, [EventLog(folder / "events.jsonl"), *callbacks]) as run:
        emit = run.observers.emit
        emit(events.StagingStart())
        emit(
            events.StagingEnd(
                kind="binary", objective="o", metric=metric, maximize=maximize, features={},
                column_types={}, classes=("a", "b"), class_weights=(), strata=("a", "b"),
                batches=((1_000, 200), (1_001, 199)), validation=(100, 20), seconds=1.0, place="p",
            )
        )  # fmt: skip
        state = run_visits(
            plan(maximize=maximize, **changes), ToySource(2), ToyBackend(script),
            observer=run.observers,
        )  # fmt: skip
        if error is not None:
            raise error
        confusion = ((int(100 * accuracy), int(100 - 100 * accuracy)), (0, 0))
        evaluation = Evaluation(rows=100, of_rows=100, confusion=confusion)
        emit(events.ModelTrained(importance={}, evaluation=evaluation))
        run.end = events.RunEnd(
            stop_reason=state.stop_reason or StopReason.COMPLETED, visits=state.visit,
            n_rounds=state.best.n_rounds, best=state.best, seconds=75.0, seconds_by_stage={},
        )  # fmt: skip


def without_end(folder):
    """The log as a process that was killed leaves it."""
    file = folder / "events.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(line for line in lines if b'"run_end"' not in line))


def told(*arguments):
    result = CliRunner().invoke(runs, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def table(*arguments):
    """The cells of each line, below the head."""
    lines = told(*arguments).splitlines()
    return [re.split(r" {2,}", line) for line in lines[1:]]


def test_a_run_is_a_line_with_all_that_is_asked_for(tmp_path):
    write_run(tmp_path / "first", run_id="20260131-120000-abcdef")
    head, line = told(tmp_path).splitlines()
    assert re.split(r" {2,}", head) == [
        "Run", "Run id (UTC)", "Booster", "State", "Rows", "Batches", "Visits", "Rounds", "Best",
        "Duration",
    ]  # fmt: skip
    assert re.split(r" {2,}", line) == [
        "first", "20260131-120000-abcdef", "toy", "completed", "2,400", "2", "2", "4", "loss 0.25",
        "1 min 15 s",
    ]  # fmt: skip


def test_a_run_folder_itself_is_listed_by_its_name(tmp_path):
    write_run(tmp_path / "one")
    assert [line[0] for line in table(tmp_path / "one")] == ["one"]


def test_newest_run_is_first_and_other_folders_are_left_out(tmp_path):
    for name in ("b", "c", "a"):
        write_run(tmp_path / name)
        time.sleep(0.003)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "file").write_text("")
    write_run(tmp_path / "deeper" / "d")
    assert [line[0] for line in table(tmp_path)] == ["a", "c", "b"]
    assert [line[0] for line in table(tmp_path, "--sort", "name")] == ["a", "b", "c"]
    assert [line[0] for line in table(tmp_path, "b", "c", "--sort", "name")] == ["b", "c"]


def test_best_metric_is_first_where_sorted_by_it(tmp_path):
    for name, value in (("x", 0.3), ("y", 0.2), ("z", 0.4)):
        write_run(tmp_path / f"low {name}", [0.5, 0.5, value, value])
        write_run(tmp_path / f"high {name}", [0.1, 0.1, value, value], metric="auc", maximize=True)
    write_run(tmp_path / "none", [0.5] * 4)
    file = tmp_path / "none" / "events.jsonl"
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    names = [line[0] for line in table(tmp_path, "--sort", "metric")]
    assert names[:3] == ["high z", "high x", "high y"]
    assert names[3:] == ["low y", "low x", "low z", "none"]


def test_last_run_of_a_folder_that_was_used_again_counts(tmp_path):
    write_run(tmp_path / "run", run_id="old", num_epochs=2, script=[0.5] * 8)
    write_run(tmp_path / "run", run_id="new")
    ((_, run_id, _, _, _, _, visits, *_),) = table(tmp_path)
    assert (run_id, visits) == ("new", "2")


def state_of(folder):
    (run,) = find_runs(folder)
    return run.state


class Stops(Callback):
    def on_visit_end(self, event):
        return events.StopRequest("enough")


def test_state_is_why_the_run_ended(tmp_path):
    write_run(tmp_path / "completed")
    write_run(tmp_path / "patience", [0.3, 0.3, 0.4, 0.4, 0.5, 0.5], max_patience=1, num_epochs=3)
    write_run(tmp_path / "callback", callbacks=[Stops()])
    with pytest.raises(OSError, match="gone"):
        write_run(tmp_path / "failed", error=OSError("gone"))
    with pytest.raises(KeyboardInterrupt):
        write_run(tmp_path / "interrupted", error=KeyboardInterrupt())
    for folder in tmp_path.iterdir():
        assert state_of(folder) == folder.name
    assert len(list(tmp_path.iterdir())) == 5


def test_a_run_without_an_end_is_running_as_long_as_its_lock_lives(tmp_path):
    write_run(tmp_path)
    without_end(tmp_path)
    assert state_of(tmp_path) == "stopped without an end"
    with FolderLock(Folder(str(tmp_path)), "run_dir", ConfigError):
        assert state_of(tmp_path) == "running"
        long_ago = time.time() - lock.DEAD_AFTER_SECONDS - 1
        os.utime(tmp_path / lock.FILE, (long_ago, long_ago))
        assert state_of(tmp_path) == "stopped without an end"
    assert state_of(tmp_path) == "stopped without an end"


def test_a_run_that_goes_on_is_told_of_as_far_as_it_has_come(tmp_path):
    write_run(tmp_path)
    file = tmp_path / "events.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    first_end = next(i for i, line in enumerate(lines) if b'"visit_end"' in line)
    file.write_bytes(b"".join(lines[: first_end + 1]))
    (run,) = find_runs(tmp_path)
    assert (run.rows, run.batches, run.visits, run.rounds) == (2_400, 2, 1, 2)
    assert run.best == Best(0.4, 0, 1, 2)
    assert 0 <= run.seconds < 60


def test_a_run_that_has_not_come_to_its_data_has_dashes(tmp_path):
    write_run(tmp_path)
    file = tmp_path / "events.jsonl"
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    ((*_, state, rows, batches, visits, rounds, best, _),) = table(tmp_path)
    assert state == "stopped without an end"
    assert (rows, batches, visits, rounds, best) == ("-", "-", "0", "-", "-")


def test_json_has_it_all_and_no_nan(tmp_path):
    write_run(tmp_path / "a", training={"num_batches": 2, "min_delta": math.nan})
    write_run(tmp_path / "b", [math.inf] * 4)
    listed = told(tmp_path, "--json", "--sort", "name")
    (a, b) = json.loads(listed, parse_constant=pytest.fail)
    began = datetime.fromisoformat(a.pop("began"))
    assert abs((datetime.now(UTC) - began).total_seconds()) < 60
    assert a == {
        "name": "a", "run_id": "r", "booster": "toy", "state": "completed", "rows": 2_400,
        "batches": 2, "visits": 2, "rounds": 4, "metric": "loss", "best": 0.25, "seconds": 75.0,
        "settings": {
            "config_model: n_estimators": 2, "config_training: num_batches": 2,
            "config_training: min_delta": None,
        },
    }  # fmt: skip
    assert b["best"] is None


def test_comparison_shows_the_settings_that_differ_and_what_came_of_them(tmp_path):
    same = {"num_batches": 2, "seed": 0}
    write_run(tmp_path / "a", training={**same, "max_patience": 5}, accuracy=0.5)
    write_run(
        tmp_path / "b", [0.5, 0.5, 0.5, 0.125], booster="other", accuracy=0.9,
        training={**same, "max_patience": 7, "class_weight": {"x": 2}},
    )  # fmt: skip
    write_run(tmp_path / "c", training={**same, "seed": 1})
    lines = told(tmp_path, "a", "b", "--compare", "--sort", "name").splitlines()
    cells = {line[0]: line[1:] for line in (re.split(r" {2,}", line) for line in lines[1:])}
    assert lines[0].split() == ["a", "b"]
    assert cells == {
        "booster": ["toy", "other"],
        "config_training: max_patience": ["5", "7"],
        "config_training: class_weight": ["-", '{"x": 2}'],
        "state": ["completed", "completed"],
        "best": ["loss 0.25", "loss 0.125"],
        "accuracy": ["0.5", "0.9"],
        "rows": ["2,400", "2,400"],
        "batches": ["2", "2"],
        "visits": ["2", "2"],
        "rounds": ["4", "4"],
        "duration": ["1 min 15 s", "1 min 15 s"],
    }
    assert next(iter(cells)) == "booster"


def test_a_folder_without_runs_and_a_name_that_is_none_are_said(tmp_path):
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path} has no run folder")):
        find_runs(tmp_path)
    write_run(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"no run 'b' .*events\.jsonl.*; there are 'a'"):
        find_runs(tmp_path, ["a", "b"])


def test_rounds_are_passed_over_so_that_a_large_log_is_quick(tmp_path):
    write_run(tmp_path)
    file, n = tmp_path / "events.jsonl", 100_000
    row = Row(0, 0, 0, 0, 1, 0.1, {"loss": 0.5}, {"loss": 0.5}, 0.1)
    line = to_line(events.RoundEnd(row=row), datetime.now(UTC))
    *lines, last = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines, line * n, last]))
    began = time.process_time()
    (run,) = find_runs(tmp_path)
    # A tenth of a second where nothing else runs; ten times as long if they were read.
    assert time.process_time() - began < 1.0
    assert (run.record.rows, run.state, run.visits) == ([], "completed", 2)


EVIL = "x\x1b[2J\x1b]0;owned\x07\u202e[red]\r\n\ud800"


def hostile_logs(folder):
    """Logs that no run of ours has written."""
    write_run(folder / f"name {EVIL[:-1]}", run_id=EVIL, booster=EVIL, metric=EVIL,
              training={EVIL: EVIL})  # fmt: skip
    write_run(folder / "ordinary")
    head, *_ = (folder / "ordinary" / "events.jsonl").read_bytes().splitlines(keepends=True)
    stamp = b'{"time": "2026-01-31T00:00:00+00:00", "event": '
    end = (
        b'"run_end", "stop_reason": "completed", "visits": %d, "n_rounds": %d, '
        b'"best": {"value": %s, "visit": 0, "round": 0, "n_rounds": 1}, "seconds": %s, '
        b'"seconds_by_stage": {}}\n'
    )
    logs = {
        "empty": b"",
        "binary": bytes(range(256)) * 100,
        "no start": b"".join((folder / "ordinary" / "events.jsonl").open("rb").readlines()[1:]),
        "naive time": head.replace(b"+00:00", b"") + stamp + b'"epoch_start", "epoch": 1}\n',
        "naive first time": head.replace(b"+00:00", b"").replace(head[10:14], b"0001"),
        "first of all times": head.replace(head[10:14], b"0001"),
        "large numbers": head + stamp + end % (10**4000, -(10**4000), b"1e308", b"1e308"),
        "infinite": head + stamp + end % (1, 1, b"Infinity", b"NaN"),
        "deep": head + b"[" * 200_000 + b"\n",
        "nearly too deep": head.replace(b'"n_estimators": 2', b'"n": ' + b"[" * 900 + b"]" * 900),
        "wrong kinds": head + stamp + b'"staging_end", "batches": "x"}\n',
        "long": head + stamp + b'"warning_logged", "message": "' + b"x" * 10**6 + b'"}\n',
    }
    for name, content in logs.items():
        (folder / name).mkdir()
        (folder / name / "events.jsonl").write_bytes(content)
    return len(logs) + 2


@pytest.mark.parametrize("sort", ["newest", "metric", "name"])
def test_hostile_logs_are_listed_and_compared(tmp_path, sort):
    n = hostile_logs(tmp_path)
    for options in ((), ("--compare",)):
        shown = told(tmp_path, "--sort", sort, *options)
        assert shown.replace("\n", "").isprintable()
        assert r"\x1b[2J\x1b]0;owned\x07\u202e[red]" in shown
    assert len(table(tmp_path, "--sort", sort)) == n
    assert len(json.loads(told(tmp_path, "--json"), parse_constant=pytest.fail)) == n


def test_what_is_no_regular_file_is_no_log(tmp_path):
    write_run(tmp_path / "a")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "events.jsonl")
    (tmp_path / "folder" / "events.jsonl").mkdir(parents=True)
    assert [line[0] for line in table(tmp_path)] == ["a"]


def on_terminal(width, *arguments):
    """What a terminal of this width is sent."""
    ours, theirs = pty.openpty()
    code = "from batchtrainingbooster.cli.runs import runs; runs()"
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(width), "LINES": "50"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        sent = b""
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # Linux's way to say that the other end is closed
                break
            if not piece:
                break
            sent += piece
    os.close(ours)
    assert process.returncode == 0, sent
    return sent.decode()


def test_a_terminal_gets_no_escape_sequence_but_ours(tmp_path):
    hostile_logs(tmp_path)
    sent = on_terminal(300, tmp_path)
    assert r"\x1b[2J" in sent
    assert re.sub(r"\x1b\[\d*m|\r\n", "", sent).isprintable()
    assert "\x1b[1m" in sent


def test_a_narrow_terminal_gets_fewer_columns_and_whole_lines(tmp_path):
    write_run(tmp_path / "first", run_id="20260131-120000-abcdef")
    wide, narrow = (on_terminal(width, tmp_path).splitlines() for width in (140, 80))
    assert any("20260131-120000-abcdef" in line for line in wide)
    assert not any("20260131" in line for line in narrow)
    (line,) = [line for line in narrow if "first" in line]
    assert line.split() == ["first", "toy", "completed", "2,400", "4", "loss", "0.25", "1", "min",
                            "15", "s"]  # fmt: skip
