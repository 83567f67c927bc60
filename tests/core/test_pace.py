"""How fast a run is, and how long it may still take."""

import attrs
import pytest

from batchtrainingbooster.core import events, pace
from batchtrainingbooster.core.history import Row
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.core.stopping import StopReason

STAGED = events.StagingEnd(
    kind="binary", objective="o", metric="m", maximize=False, features={}, column_types={},
    classes=(0, 1), class_weights=(), strata=("0", "1"), batches=((600, 400), (30, 20)),
    validation=None, seconds=1.0, place="/",
)  # fmt: skip


def training(state=None):
    return events.TrainingStart(
        num_visits=4, rounds_per_visit=10, max_patience=3, maximize=False, state=state or RunState()
    )


def visit(number, batch=0):
    return events.VisitStart(visit=number, epoch=0, batch=batch, learning_rate=0.1)


def rounds(number, n, seconds=0.5, batch=0):
    row = Row(number, batch, 0, 0, 1, 0.1, {"m": 1.0}, {"m": 1.0}, seconds)
    return [events.RoundEnd(row=attrs.evolve(row, round=i, n_rounds=i + 1)) for i in range(n)]


def visit_end(number, seconds, waited=0):
    return events.VisitEnd(
        visit=number, epoch=0, batch=0, improved=not waited, n_rounds=1,
        visits_without_improvement=waited, seconds=seconds,
    )  # fmt: skip


def end(reason=StopReason.COMPLETED):
    return events.RunEnd(
        stop_reason=reason, visits=2, n_rounds=1, best=None, seconds=9.0, seconds_by_stage={}
    )


def test_before_anything_is_known_nothing_is_said():
    for record in (RunRecord(), RunRecord.of([STAGED]), RunRecord.of([STAGED, training()])):
        assert pace.rows_per_second(record) is None
        assert pace.seconds_left(record) is None
        assert pace.share_done(record) == 0


def test_speed_is_that_of_the_batch_of_this_visit():
    record = RunRecord.of([STAGED, training(), visit(0), *rounds(0, 4)])
    assert pace.rows_per_second(record) == 1000 * 4 / 2.0
    for event in (visit_end(0, 3.0), visit(1, batch=1), *rounds(1, 2, 0.1, batch=1)):
        record.take(event)
    assert pace.rows_per_second(record) == pytest.approx(50 * 2 / 0.2)
    everything = RunRecord.of([STAGED, training(), visit(0, None), *rounds(0, 1, 1.0, None)])
    assert pace.rows_per_second(everything) == 1050


def test_in_the_first_visit_time_left_follows_from_its_rounds():
    record = RunRecord.of([STAGED, training(), visit(0), *rounds(0, 5)])
    assert pace.seconds_left(record) == (4 - 0.5) * 10 * 0.5
    assert pace.share_done(record) == 0.125


def test_later_time_left_follows_from_the_last_three_visits():
    happened = [STAGED, training()]
    for number, seconds in enumerate((100.0, 3.0)):
        happened += [visit(number), *rounds(number, 10), visit_end(number, seconds)]
    assert pace.seconds_left(RunRecord.of(happened)) == 2 * 51.5
    happened += [visit(2), *rounds(2, 5)]
    assert pace.seconds_left(RunRecord.of(happened)) == 1.5 * 51.5


def test_visits_of_an_earlier_call_count_as_done():
    record = RunRecord.of([STAGED, training(RunState(visit=3, improved=(True, False, False)))])
    assert pace.share_done(record) == 0.75
    assert pace.patience_left(record) == 1


def test_patience_left_counts_down_to_none():
    record = RunRecord.of([STAGED, training()])
    assert pace.patience_left(record) == 3
    for waited in range(5):
        record.take(visit_end(waited, 1.0, waited))
        assert pace.patience_left(record) == max(0, 3 - waited)


def test_a_run_that_stopped_early_is_done_and_one_that_failed_is_not():
    happened = [STAGED, training(), visit(0), *rounds(0, 10), visit_end(0, 1.0)]
    stopped = RunRecord.of([*happened, end(StopReason.PATIENCE)])
    assert (pace.share_done(stopped), pace.seconds_left(stopped)) == (1, None)
    failure = events.Failure(error="E", message="m")
    failed = RunRecord.of([*happened, failure, end(StopReason.FAILED)])
    assert (pace.share_done(failed), pace.seconds_left(failed)) == (0.25, None)
