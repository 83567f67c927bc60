"""What the loop tells its callbacks, with a toy booster."""

import logging
import re
import signal
import threading
import time

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_loop import TABLE, plan
from toy import Killed, ToyBackend, ToySource, ToyStore

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.callbacks.observers import Observers
from batchtrainingbooster.callbacks.recorder import Recorder
from batchtrainingbooster.callbacks.watching import watched
from batchtrainingbooster.core import events
from batchtrainingbooster.core.events import EVENTS, RunEnd, RunStart, StopRequest, name_of
from batchtrainingbooster.core.interruption import Interruption
from batchtrainingbooster.core.loop import run_visits
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.run_id import current_run_id
from batchtrainingbooster.core.stopping import StopReason

START = RunStart(run_id="r", booster="toy", target_column="y", config={}, versions={})


class Collector(Callback):
    def __init__(self):
        self.events = []

    def on_event(self, event):
        self.events.append(event)
        return super().on_event(event)

    @property
    def names(self):
        return [name_of(type(event)) for event in self.events]


class StopAt(Callback):
    def __init__(self, visit, reason="enough"):
        self.visit, self.reason = visit, reason

    def on_visit_end(self, event):
        return StopRequest(self.reason) if event.visit == self.visit else None


class Broken(Callback):
    def on_event(self, event):
        raise ZeroDivisionError(type(event).__name__)


def run(script, num_batches, callbacks=(), store=None, strict=False, **changes):
    backend, source = ToyBackend(script), ToySource(num_batches, validated=script is not None)
    observers = Observers(callbacks, strict=strict)
    return run_visits(plan(**changes), source, backend, store, observer=observers), backend


def test_every_event_has_a_method_of_its_name_and_every_method_an_event():
    methods = {name for name in vars(Callback) if name.startswith("on_")} - {"on_event"}
    assert methods == {f"on_{name}" for name in EVENTS}
    for name, kind in EVENTS.items():
        assert kind.__name__ in events.__doc__
        assert getattr(Callback, f"on_{name}").__doc__


def test_events_come_in_the_order_that_is_documented():
    seen = Collector()
    run([5, 4, 6, 6], 2, [seen], max_patience=1, num_epochs=2)
    assert seen.names == [
        "training_start",
        "epoch_start", "visit_start", "round_end", "round_end", "improvement", "visit_end",
        "visit_start", "round_end", "round_end", "rollback", "visit_end", "early_stop",
    ]  # fmt: skip
    assert seen.events[-1].stop_reason is StopReason.PATIENCE
    assert seen.events[-1].why == "1 visits without improvement"
    rollback = seen.events[-3]
    assert (rollback.visit, rollback.from_rounds, rollback.to_rounds) == (1, 4, 2)


def test_the_cut_at_the_end_is_told_and_is_of_no_visit():
    seen = Collector()
    run([5, 4, 2, 3], 2, [seen])
    last = seen.events[-1]
    assert (last.visit, last.from_rounds, last.to_rounds) == (None, 4, 3)


def test_each_epoch_is_told_before_its_first_visit():
    seen = Collector()
    run(None, 3, [seen], num_epochs=2)
    starts = [e for e in seen.events if isinstance(e, events.EpochStart | events.VisitStart)]
    assert [type(e).__name__[0] for e in starts] == ["E", "V", "V", "V"] * 2
    assert [e.epoch for e in starts] == [0] * 4 + [1] * 4


@pytest.mark.parametrize("name", TABLE)
def test_the_record_of_the_events_is_what_the_run_came_to(name):
    script, changes, *_ = TABLE[name]
    recorder = Recorder()
    state, _backend = run(script, len(script) // 2, [recorder], **changes)
    record = recorder.record
    assert len(record.history) == len(state.history)
    # Metrics that are not numbers are not equal to themselves.
    assert repr(record.history) == repr(state.history)
    assert record.best == state.best
    assert record.visits_made == state.visit
    assert [visit.improved for visit in record.visits] == list(state.improved)
    assert (record.early_stop is not None) == (state.stop_reason is StopReason.PATIENCE)


@given(
    script=st.lists(st.integers(0, 9), min_size=12, max_size=12),
    warm=st.sampled_from(["best", "last"]),
    rounds=st.sampled_from([None, 1, 2]),
    dies_at=st.integers(1, 5),
)
def test_a_run_that_is_resumed_is_recorded_as_the_whole_run(script, warm, rounds, dies_at):
    changes = {"warm_restart": warm, "early_stopping_rounds": rounds, "num_epochs": 2}
    # A script for each process: the second goes on where visits of the first were kept.
    whole = Recorder()
    state, _backend = run(list(script), 3, [whole], **changes)
    store, source, first = ToyStore(dies_at=dies_at), ToySource(3), ToyBackend(list(script))
    try:
        run_visits(plan(**changes), source, first, store)
    except Killed:
        pass
    else:
        return  # it came to its end before
    second, recorder = ToyBackend(list(first.script)), Recorder()
    resumed = run_visits(plan(**changes), source, second, store, observer=Observers([recorder]))

    def plain(history):
        return [attrs.evolve(row, seconds=0.0) for row in history]

    assert plain(recorder.record.history) == plain(whole.record.history)
    assert plain(resumed.history) == plain(state.history)
    assert recorder.record.best == whole.record.best
    assert recorder.record.visits_made == whole.record.visits_made


def test_a_callback_can_stop_the_run_after_a_visit():
    seen = Collector()
    state, _ = run([5, 4, 3, 2, 1, 0], 3, [StopAt(1), seen])
    assert state.stop_reason is StopReason.CALLBACK
    assert state.visit == 2
    assert seen.names[-1] == "early_stop"
    assert seen.events[-1].why == "enough"


def test_all_callbacks_are_asked_though_the_first_one_stops_the_run():
    seen = Collector()
    run([5, 4, 3, 2], 2, [StopAt(0, "first"), StopAt(0, "second"), seen])
    assert seen.events[-1].why == "first; second"
    assert seen.names.count("visit_end") == 1


def test_what_a_callback_asks_for_is_in_the_checkpoint():
    store = ToyStore()
    run([5, 4, 3, 2, 1, 0], 3, [StopAt(0)], store)
    again, backend = run([9, 9], 3, [], store)
    assert again.stop_reason is StopReason.CALLBACK
    assert backend.script == [9, 9], "nothing was trained"


def test_an_error_in_a_callback_is_logged_once_in_full_and_changes_nothing(caplog):
    caplog.set_level(logging.INFO, logger="batchtrainingbooster")
    seen = Collector()
    state, backend = run([5, 4, 3, 2], 2, [Broken(), seen])
    assert state.stop_reason is StopReason.COMPLETED
    assert backend.n_rounds == 4
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == len(seen.events)
    assert "Broken failed at TrainingStart: ZeroDivisionError" in errors[0].getMessage()
    assert errors[0].getMessage().endswith("training goes on")
    assert [bool(record.exc_info) for record in errors] == [True] + [False] * (len(errors) - 1)


def test_where_callbacks_are_strict_an_error_ends_the_run_when_all_have_been_told():
    seen = Collector()
    with pytest.raises(ZeroDivisionError, match="TrainingStart"):
        run([5, 4], 1, [Broken(), seen], strict=True)
    assert seen.names == ["training_start"]


def test_early_stop_is_told_before_the_checkpoint_that_holds_it():
    seen = Collector()
    run([5, 4, 6, 6], 2, [seen], ToyStore(), max_patience=1, num_epochs=2)
    assert seen.names[-3:] == ["visit_end", "early_stop", "checkpoint_written"]


def test_time_of_callbacks_is_no_time_of_rounds():
    class Slow(Callback):
        def on_round_end(self, event):
            time.sleep(0.05)

    state, _ = run([5, 4, 3, 2], 2, [Slow()])
    assert max(row.seconds for row in state.history) < 0.04


class Interrupting(Callback):
    def __init__(self, name):
        self.name = name

    def on_event(self, event):
        if name_of(type(event)) == self.name:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["run_start", "failure", "run_end"])
def test_all_are_told_of_what_one_is_interrupted_at(name):
    first, seen = Interrupting(name), Collector()
    error = ValueError("broken")
    with pytest.raises(KeyboardInterrupt), watched(START, [first, seen]):
        raise error
    assert seen.names[0] == "run_start"
    assert seen.names[-2:] == ["failure", "run_end"]
    assert seen.names.count("run_end") == 1


def test_nothing_is_told_after_the_end_though_a_callback_fails_at_it():
    seen = Collector()
    error = ValueError("broken")
    with pytest.raises(ValueError, match="broken"), watched(START, [AtTheEnd(), seen], strict=True):
        raise error
    assert seen.names == ["run_start", "failure", "run_end"]


class KeepsWhatNobodyCanKeep(Callback):
    def __init__(self, kept):
        self.kept = kept

    def state(self):
        if self.kept is None:
            raise ZeroDivisionError
        return self.kept


@pytest.mark.parametrize("kept", [None, {"best": np.float32(1)}, {"model": object()}])
def test_a_callback_whose_state_cannot_be_kept_costs_no_run(kept, caplog):
    store, counting = ToyStore(dies_at=2), Counting()
    with pytest.raises(Killed):
        run([5, 4, 3, 2, 1, 0], 3, [KeepsWhatNobodyCanKeep(kept), counting], store)
    assert "KeepsWhatNobodyCanKeep failed at state()" in caplog.text
    again = Counting()
    run([1, 0], 3, [KeepsWhatNobodyCanKeep(kept), again], store)
    assert again.visits == 3
    with pytest.raises((ZeroDivisionError, TypeError)):
        run([5, 4], 1, [KeepsWhatNobodyCanKeep(kept)], ToyStore(), strict=True)


def test_a_checkpoint_that_waits_keeps_what_a_callback_was_at_that_time():
    class Listing(Callback):
        def __init__(self):
            self.kept = {"rounds": []}

        def on_round_end(self, event):
            self.kept["rounds"].append(event.row.round)

        def state(self):
            return self.kept

        def restore(self, state):
            self.kept = state

    store, interruption = ToyStore(), Interruption()

    class Interrupt(Callback):
        def on_round_end(self, event):
            if event.row.round == 2:
                interruption.signal = signal.SIGINT

    backend, observers = ToyBackend([5, 4, 3]), Observers([Listing(), Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        run_visits(plan(checkpoint_every=2), ToySource(2), backend, store, interruption, observers)
    again, recorder = Listing(), Recorder()
    run([3, 2], 2, [again, recorder], store)
    assert again.kept == {"rounds": [0, 1, 2, 3]}
    assert recorder.record.training.state.callbacks == {}


class Counting(Callback):
    def __init__(self):
        self.visits = 0

    def on_visit_end(self, event):
        self.visits += 1

    def state(self):
        return {"visits": self.visits}

    def restore(self, state):
        self.visits = state["visits"]


def test_what_a_callback_keeps_comes_back_before_training_goes_on():
    store = ToyStore(dies_at=2)
    with pytest.raises(Killed):
        run([5, 4, 3, 2, 1, 0], 3, [Callback(), Counting()], store)
    # Others before it make no difference.
    counting = Counting()
    run([1, 0], 3, [Collector(), Callback(), counting], store)
    assert counting.visits == 3


def test_two_callbacks_of_one_class_keep_apart():
    store, first = ToyStore(dies_at=2), Counting()
    first.visits = 10
    with pytest.raises(Killed):
        run([5, 4, 3, 2, 1, 0], 3, [first, Counting()], store)
    again = Counting(), Counting()
    run([1, 0], 3, again, store)
    assert [each.visits for each in again] == [13, 3]


def test_a_callback_that_kept_nothing_is_not_restored():
    store = ToyStore(dies_at=1)
    with pytest.raises(Killed):
        run([5, 4, 3, 2], 2, [Callback()], store)
    counting = Counting()
    run([3, 2], 2, [counting], store)
    assert counting.visits == 1


def test_checkpoints_are_told_after_they_are_written():
    store, seen = ToyStore(), Collector()
    run([5, 4, 3, 2, 1, 0], 3, [seen], store, checkpoint_every=2)
    written = [e for e in seen.events if isinstance(e, events.CheckpointWritten)]
    assert [(e.visits, e.place) for e in written] == [(2, "memory"), (3, "memory")]


def test_events_cannot_be_changed():
    seen = Collector()
    run([5, 4], 1, [seen])
    for event in seen.events:
        field = attrs.fields(type(event))[0].name
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(event, field, None)


def test_run_end_is_told_once_and_last_though_the_run_fails():
    seen = Collector()
    error = ValueError("broken s3://key:secret@bucket")
    with pytest.raises(ValueError, match="broken"), watched(START, [seen]):
        raise error
    assert seen.names == ["run_start", "failure", "run_end"]
    assert seen.events[1].error == "ValueError"
    assert "secret" not in seen.events[1].message
    assert seen.events[2].stop_reason is StopReason.FAILED


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_run_that_is_asked_to_end_is_interrupted_and_not_failed(error):
    seen = Collector()
    with pytest.raises(error), watched(START, [seen]):
        raise error
    assert seen.events[-1].stop_reason is StopReason.INTERRUPTED


def test_the_error_of_the_run_is_raised_though_strict_callbacks_fail_at_it():
    with pytest.raises(KeyError, match="ours"), watched(START, [AtTheEnd()], strict=True):
        raise KeyError("ours")


class AtTheEnd(Callback):
    def on_failure(self, event):
        raise ZeroDivisionError

    def on_run_end(self, event):
        raise ZeroDivisionError

    def on_warning_logged(self, event):
        raise ZeroDivisionError


def test_warnings_become_events_and_how_they_are_logged_is_left_alone():
    logger, seen = logging.getLogger("batchtrainingbooster.core.loop"), Collector()
    before = list(logging.getLogger("batchtrainingbooster").handlers)
    with watched(START, [seen]) as run:
        logger.warning("look out: %d", 3)
        logger.info("nothing to see")
        run.end = end()
    assert seen.names == ["run_start", "warning_logged", "run_end"]
    assert seen.events[1].message == "look out: 3"
    assert logging.getLogger("batchtrainingbooster").handlers == before


def test_runs_in_two_threads_wait_for_none_and_hear_their_own_warnings():
    logger = logging.getLogger("batchtrainingbooster")
    seen = {name: Collector() for name in ("one", "two")}

    def make(name):
        # Each event of a broken callback is an error in the log, under the callbacks' lock.
        with watched(attrs.evolve(START, run_id=name), [Broken(), seen[name]]) as run:
            for i in range(300):
                run.observers.emit(events.EpochStart(epoch=i))
                logger.warning("of %s", name)
            run.end = end()

    threads = [threading.Thread(target=make, args=(name,), daemon=True) for name in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    for name, collector in seen.items():
        told = [e.message for e in collector.events if isinstance(e, events.WarningLogged)]
        assert told == [f"of {name}"] * 300


def test_an_error_in_a_callback_gives_no_event_that_gives_an_error():
    seen = Collector()
    with watched(START, [Broken(), seen]) as run:
        logging.getLogger("batchtrainingbooster").warning("look out")
        run.end = end()
    assert seen.names == ["run_start", "warning_logged", "run_end"]


def test_the_run_has_its_identity_as_long_as_it_lasts():
    assert current_run_id() is None
    with watched(START, []) as run:
        assert current_run_id() == "r"
        run.end = end()
    assert current_run_id() is None


def end():
    return RunEnd(
        stop_reason=StopReason.COMPLETED, visits=0, n_rounds=0, best=None, seconds=0.0,
        seconds_by_stage={},
    )  # fmt: skip


def test_the_first_event_of_a_run_forgets_the_run_before():
    record = RunRecord.of([START, events.WarningLogged(message="x"), START])
    assert record == RunRecord(start=START)
    assert re.fullmatch("[a-z_]+", name_of(RunStart))
