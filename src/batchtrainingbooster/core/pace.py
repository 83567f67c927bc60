"""How fast a run is, and how long it may still take: pure functions of its record."""

from __future__ import annotations

from batchtrainingbooster.core.history import Row
from batchtrainingbooster.core.record import RunRecord

# Visits take longer as the model grows, so that older ones tell less.
_RECENT_VISITS = 3


def rounds_of_this_visit(record: RunRecord) -> list[Row]:
    """Those of the visit that is being made or, between visits, of the last one."""
    # Read once: displays look from another thread.
    rows, visit = record.rows, record.visit
    if not rows:
        return []
    number = visit.visit if visit else rows[-1].visit
    first = len(rows)
    while first and rows[first - 1].visit == number:
        first -= 1
    return rows[first:]


def rows_per_second(record: RunRecord) -> float | None:
    """Rows of the batch times rounds, over the seconds of these rounds; None before there are any.

    For a visit to all batches, these are all rows.
    """
    rounds = rounds_of_this_visit(record)
    seconds = sum(row.seconds for row in rounds)
    if not seconds or record.data is None:
        return None
    batch = rounds[-1].batch
    batches = record.data.batches if batch is None else (record.data.batches[batch],)
    return sum(map(sum, batches)) * len(rounds) / seconds


def share_done(record: RunRecord) -> float:
    """Of the rounds that there are if nothing stops the run early; 0 to 1."""
    if record.end is not None and record.failure is None:
        return 1.0
    if record.training is None:
        return 0.0
    in_visit = len(rounds_of_this_visit(record)) if record.visit else 0
    visits = record.visits_made + in_visit / record.training.rounds_per_visit
    return min(1.0, visits / record.training.num_visits)


def seconds_left(record: RunRecord) -> float | None:
    """At the pace of the last visits, if nothing stops the run early; None where nobody knows."""
    training = record.training
    if training is None or record.end is not None:
        return None
    rounds = rounds_of_this_visit(record) if record.visit else []
    recent = [visit.seconds for visit in record.visits[-_RECENT_VISITS:]]
    if recent:
        per_visit = sum(recent) / len(recent)
    elif rounds:
        per_visit = sum(row.seconds for row in rounds) / len(rounds) * training.rounds_per_visit
    else:
        return None
    left = training.num_visits - record.visits_made - len(rounds) / training.rounds_per_visit
    return max(0.0, left) * per_visit


def patience_left(record: RunRecord) -> int | None:
    """Visits without improvement that would still be made; None before training."""
    if record.training is None:
        return None
    waited = record.visits[-1].visits_without_improvement if record.visits else 0
    if not record.visits:
        waited = record.training.state.visits_without_improvement
    return max(0, record.training.max_patience - waited)
