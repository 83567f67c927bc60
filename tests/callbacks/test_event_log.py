"""The event log holds every event, whatever befalls the process or the disk."""

import json
import os
import resource
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrainingbooster.callbacks.event_log import EventLog, EventReader, read_events, to_line
from batchtrainingbooster.core import events
from batchtrainingbooster.core.evaluation import Evaluation
from batchtrainingbooster.core.events import EVENTS, EpochStart, RunEnd, RunStart, WarningLogged
from batchtrainingbooster.core.history import History, Row
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.core.stopping import Best, StopReason

NOW = datetime(2026, 1, 31, 12, 30, 15, 250_000, tzinfo=UTC)

# Half of a surrogate pair is what Spark makes of some bytes.
texts = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=8)
floats = st.floats()
counts = st.integers(0, 2**53)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
settings_ = st.dictionaries(texts, json_values, max_size=3)
metrics = st.dictionaries(texts, floats, max_size=2)
rows = st.builds(
    Row, visit=counts, batch=st.none() | counts, epoch=counts, round=counts, n_rounds=counts,
    learning_rate=floats, train=metrics, valid=metrics, seconds=floats, kept=st.booleans(),
)  # fmt: skip
bests = st.builds(
    Best, value=floats, visit=st.none() | counts, round=st.none() | counts, n_rounds=counts
)
labels = texts | st.integers() | floats | st.booleans()
by_stratum = st.lists(counts, max_size=3).map(tuple)
evaluations = st.builds(
    Evaluation,
    rows=counts,
    of_rows=counts,
    confusion=st.sampled_from([(), ((3,),), ((1, 2), (0, 5))]),
    residual_quantiles=st.lists(floats, max_size=2).map(tuple),
    residual_edges=st.lists(floats, max_size=2).map(tuple),
    residual_counts=by_stratum,
    mean_absolute_error=st.none() | floats,
    root_mean_squared_error=st.none() | floats,
    r2=st.none() | floats,
)
reasons = st.sampled_from(StopReason)
states = st.builds(
    RunState,
    visit=counts,
    initial_rounds=counts,
    history=st.lists(rows, max_size=2).map(lambda some: History(tuple(some))),
    improved=st.lists(st.booleans(), max_size=3).map(tuple),
    best=st.none() | bests,
    stop_reason=st.none() | reasons,
    callbacks=settings_,
)
FIELDS = {
    str: texts, int: counts, float: floats, bool: st.booleans(), RunState: states, Row: rows,
    Best: bests, StopReason: reasons,
    dict[str, str]: st.dictionaries(texts, texts, max_size=3), dict[str, float]: metrics,
    tuple[float, ...]: st.lists(floats, max_size=3).map(tuple),
    tuple[str, ...]: st.lists(texts, max_size=3).map(tuple),
    tuple[tuple[int, ...], ...]: st.lists(by_stratum, max_size=2).map(tuple),
}  # fmt: skip
NAMED = {
    "config": settings_, "versions": settings_, "run_dir": st.none() | texts,
    "classes": st.lists(labels, max_size=3).map(tuple), "validation": st.none() | by_stratum,
    "batch": st.none() | counts, "before": st.none() | floats,
    "evaluation": st.none() | evaluations, "importance": metrics,
    "model": st.just(object()), "example": st.just(object()),
}  # fmt: skip


def instances(kind):
    attrs.resolve_types(kind)
    fields = {}
    for field in attrs.fields(kind):
        if field.name in NAMED:
            fields[field.name] = NAMED[field.name]
        elif field.type in FIELDS:
            fields[field.name] = FIELDS[field.type]
        else:  # X | None
            (inner,) = set(field.type.__args__) - {type(None)}
            fields[field.name] = st.none() | FIELDS[inner]
    return st.builds(kind, **fields)


def as_logged(event):
    """The event without what the log leaves out."""
    left_out = {"model", "example"} & {field.name for field in attrs.fields(type(event))}
    return attrs.evolve(event, **dict.fromkeys(left_out))


@pytest.mark.parametrize("name", EVENTS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_event_comes_back_from_the_log_as_it_was(name, data, tmp_path_factory):
    event = data.draw(instances(EVENTS[name]))
    file = tmp_path_factory.mktemp("log") / "events.jsonl"
    file.write_bytes(to_line(event, NOW))
    ((time, found),) = read_events(file)
    assert time == NOW
    # Not by ==, as nan is unlike itself; repr tells 1 from 1.0 and True.
    assert repr(found) == repr(as_logged(event))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 5e-324])
def test_a_metric_that_is_no_number_comes_back(tmp_path, value):
    row = Row(0, None, 0, 0, 1, value, {"auc": value}, {"\ud83d\ud800": value}, value)
    (tmp_path / "log").write_bytes(to_line(events.RoundEnd(row=row), NOW))
    assert repr(logged(tmp_path / "log")) == repr([events.RoundEnd(row=row)])


def end(**changes):
    fields = {
        "stop_reason": StopReason.COMPLETED, "visits": 1, "n_rounds": 2, "best": None,
        "seconds": 1.5, "seconds_by_stage": {"boosting": 1.0},
    }  # fmt: skip
    return RunEnd(**{**fields, **changes})


def start(run_id="r"):
    return RunStart(run_id=run_id, booster="b", target_column="y", config={}, versions={})


def logged(file):
    return [event for _, event in read_events(file)]


def test_a_line_is_there_for_others_as_soon_as_its_event_has_happened(tmp_path):
    file = tmp_path / "events.jsonl"
    log = EventLog(file)
    for number in range(3):
        log.on_event(EpochStart(epoch=number))
        assert logged(file) == [EpochStart(epoch=each) for each in range(number + 1)]


def test_times_are_in_utc_and_those_of_the_events(tmp_path):
    before = datetime.now(UTC).replace(microsecond=0)
    EventLog(tmp_path / "log").on_event(EpochStart(epoch=0))
    ((time, _),) = read_events(tmp_path / "log")
    assert before <= time <= datetime.now(UTC)
    assert time.utcoffset().total_seconds() == 0


def test_the_log_of_an_earlier_run_goes_on(tmp_path):
    file = tmp_path / "events.jsonl"
    for run_id in ("first", "second"):
        log = EventLog(file)
        log.on_event(start(run_id))
        log.on_event(end())
    assert logged(file) == [start("first"), end(), start("second"), end()]


def test_half_a_line_of_a_process_that_was_killed_costs_that_line_alone(tmp_path):
    file = tmp_path / "events.jsonl"
    EventLog(file).on_event(start())
    whole = file.read_bytes()
    file.write_bytes(whole + to_line(EpochStart(epoch=5), NOW)[:-9])
    EventLog(file).on_event(EpochStart(epoch=6))
    assert logged(file) == [start(), EpochStart(epoch=6)]
    assert len(file.read_bytes().splitlines()) == 3


@pytest.mark.parametrize(
    "line",
    [
        b'{"time": "2026-01-31T00:00:00+00:00", "event": "of_a_later_version", "epoch": 1}',
        b'{"time": "2026-01-31T00:00:00+00:00", "event": "epoch_start", "epoch": 1, "more": 2}',
        b'{"time": "2026-01-31T00:00:00+00:00", "event": "epoch_start"}',
        b'{"time": "2026-01-31T00:00:00+00:00", "event": "epoch_start", "epoch": "x"}',
        b'{"time": "noon", "event": "epoch_start", "epoch": 1}',
        b'{"event": "epoch_start", "epoch": 1}',
        b'{"time": 3, "event": ["epoch_start"], "epoch": 1}',
        b"[1, 2]", b"null", b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"9" * 5_000,
    ],
    ids=lambda line: repr(line[:90]),
)  # fmt: skip
def test_a_line_that_is_no_event_of_this_version_is_passed_over(tmp_path, line):
    file = tmp_path / "events.jsonl"
    around = [to_line(EpochStart(epoch=number), NOW) for number in (1, 2)]
    file.write_bytes(around[0] + line + b"\n" + around[1])
    assert logged(file) == [EpochStart(epoch=1), EpochStart(epoch=2)]


def test_a_reader_gives_each_event_once_while_the_log_grows(tmp_path):
    file, n = tmp_path / "events.jsonl", 2_000
    found, is_over, reader = [], threading.Event(), EventReader(file)

    def write():
        # In pieces that end anywhere, as another process may see them.
        with file.open("ab", buffering=0) as stream:
            for number in range(n):
                line = to_line(WarningLogged(message=f"{number} é"), NOW)
                middle = number % len(line)
                stream.write(line[:middle])
                stream.write(line[middle:])
        is_over.set()

    assert list(reader.new()) == []
    thread = threading.Thread(target=write)
    thread.start()
    polls = 0
    while not is_over.is_set():
        found += reader.new()
        polls += 1
    thread.join()
    found += reader.new()
    assert [event.message for _, event in found] == [f"{number} é" for number in range(n)]
    assert polls > 1
    assert list(reader.new()) == []


def test_a_reader_waits_for_the_end_of_a_line(tmp_path):
    file, line = tmp_path / "events.jsonl", to_line(EpochStart(epoch=1), NOW)
    reader = EventReader(file)
    file.write_bytes(line[:-1])
    assert list(reader.new()) == []
    file.write_bytes(line)
    assert [event for _, event in reader.new()] == [EpochStart(epoch=1)]


def test_events_that_are_not_asked_for_are_passed_over(tmp_path):
    file = tmp_path / "events.jsonl"
    log = EventLog(file)
    row = Row(0, 0, 0, 0, 1, 0.1, {}, {}, 0.1)
    # Whose message looks like the name of another.
    warning = WarningLogged(message='"event": "round_end"' + 'x, "event": "round_end"' * 20)
    happened = [start(), events.RoundEnd(row=row), warning, end()]
    for event in happened:
        log.on_event(event)
    assert logged(file) == happened
    kept = [event for _, event in read_events(file, without=("round_end",))]
    assert kept == [start(), warning, end()]


FILLS_THE_DISK = """
import resource, sys
from pathlib import Path
from batchtrainingbooster.callbacks.event_log import EventLog
from batchtrainingbooster.core.events import EpochStart, WarningLogged
log = EventLog(Path(sys.argv[1]))
log.on_event(EpochStart(epoch=1))
limit = Path(sys.argv[1]).stat().st_size + 100
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    log.on_event(WarningLogged(message="x" * 500))
except OSError as error:
    print("full:", error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
log.on_event(EpochStart(epoch=2))
"""


def test_an_event_for_which_the_disk_had_no_room_costs_no_other(tmp_path):
    file = tmp_path / "events.jsonl"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    command = [sys.executable, "-c", FILLS_THE_DISK, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "full: File too large\n"
    assert logged(file) == [EpochStart(epoch=1), EpochStart(epoch=2)]
    assert len(file.read_bytes().splitlines()) == 3


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_permissions_are_those_of_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        EventLog(tmp_path / "events.jsonl").on_event(start())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "events.jsonl").stat().st_mode) == mode


def test_a_line_is_json_with_its_name_its_time_and_its_fields():
    assert json.loads(to_line(EpochStart(epoch=3), NOW)) == {
        "time": "2026-01-31T12:30:15.250+00:00", "event": "epoch_start", "epoch": 3,
    }  # fmt: skip
