"""What the page says of a run in words and figures: title, verdict, progress."""

from __future__ import annotations

import attrs

from batchtrainingbooster.core import pace
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.stopping import StopReason
from batchtrainingbooster.report.wording import BOOSTERS, counted, duration, measured, share, short

_STATES = {
    StopReason.COMPLETED: "finished",
    StopReason.PATIENCE: "finished early",
    StopReason.CALLBACK: "stopped",
    StopReason.INTERRUPTED: "interrupted",
    StopReason.FAILED: "failed",
}


@attrs.frozen
class Fact:
    """A figure with its name, and what is to be known of it."""

    name: str
    value: str
    note: str = ""


@attrs.frozen(kw_only=True)
class Progress:
    """How far a run has come.

    Attributes
    ----------
    doing : str
        What goes on now.
    share : float, optional
        Of the plan, or of Spark's tasks; None if nothing is known of them.
    facts : list of Fact
    """

    doing: str
    share: float | None
    facts: list[Fact]


def is_empty(record: RunRecord) -> bool:
    """Whether nothing has happened yet."""
    return record.start is None and not record.rows


def is_running(record: RunRecord) -> bool:
    """Whether a run has begun, and its model is not there yet.

    The record in a model may lack the end of the run: it is saved before. One without a start is
    of a model of which no more is known.
    """
    return record.start is not None and record.end is None and not record.importance


def state(record: RunRecord) -> str:
    """One or two words."""
    if is_empty(record):
        return "waiting"
    if is_running(record):
        return "running"
    return _STATES[record.end.stop_reason] if record.end else "trained"


def title(record: RunRecord) -> str:
    """Booster and target."""
    if record.start is None:
        return "Waiting for a run" if is_empty(record) else "Trained model"
    booster = BOOSTERS.get(record.start.booster, record.start.booster)
    return f"{booster}: {short(record.start.target_column, 80)}"


def verdict(record: RunRecord) -> str:
    """What was trained on what, what came of it, and why it ended."""
    if is_empty(record):
        return "No event has been written yet; the page shows the run as soon as it begins."
    parts = [_what(record), _how_long(record), _how_good(record), _why_ended(record)]
    return " ".join(part for part in parts if part)


def _what(record: RunRecord) -> str:
    data = record.data
    if data is None:
        return ""
    classes = f", {counted(len(data.classes), 'class', 'classes')}" if data.classes else ""
    rows = counted(sum(map(sum, data.batches)), "row")
    batches = counted(len(data.batches), "batch", "batches")
    text = f"{data.kind.capitalize()}{classes}, {data.objective}, on {rows} in {batches}"
    if data.validation is not None:
        return f"{text}, validated on {sum(data.validation):,}."
    return f"{text}, without validation."


def _how_long(record: RunRecord) -> str:
    if not record.rows:
        return ""
    visits = counted(record.visits_made, "visit")
    trained = counted(len(record.rows), "round")
    now = "so far, " if is_running(record) else ""
    made = f"{visits} and " if record.training else ""
    return f"{now}{made}{trained} trained, {record.n_rounds:,} in the model.".capitalize()


def _how_good(record: RunRecord) -> str:
    best = record.best
    if best is None:
        return ""
    name = metric(record)
    return f"Best validation {name}: {measured(best.value)}, {best_at(record)}."


def _why_ended(record: RunRecord) -> str:
    if record.end is None:
        return ""
    reasons = {
        StopReason.COMPLETED: "Every planned visit was made",
        StopReason.PATIENCE: "Stopped, as the last visits brought no gain",
        StopReason.CALLBACK: "A callback asked to stop",
        StopReason.INTERRUPTED: "Interrupted",
        StopReason.FAILED: "Failed",
    }
    why = reasons[record.end.stop_reason]
    if record.early_stop and record.end.stop_reason is StopReason.CALLBACK:
        why = f"{why}: {short(record.early_stop.why, 200)}"
    return f"{why}; it took {duration(record.end.seconds)}."


def metric(record: RunRecord) -> str:
    """The metric that decides."""
    return (record.data.metric if record.data else record.history.deciding_metric) or "metric"


def best_at(record: RunRecord) -> str:
    """Where the best model was."""
    best = record.best
    if best is None:
        return ""
    if best.round is None or best.visit is None:
        return "of the earlier model"
    return f"at round {best.round + 1:,}, visit {best.visit + 1:,}"


def key_facts(record: RunRecord) -> list[Fact]:
    """The figures at the top of the page."""
    found = []
    if record.best is not None:
        name = f"best {metric(record)}"
        found.append(Fact(name, measured(record.best.value), best_at(record)))
    evaluation = record.evaluation
    if evaluation is not None and evaluation.accuracy is not None:
        largest = max(n for _, _, n in evaluation.class_counts) / max(evaluation.rows, 1)
        note = f"{share(largest)} if always the largest class"
        found.append(Fact("accuracy", share(evaluation.accuracy), note))
    elif evaluation is not None and evaluation.mean_absolute_error is not None:
        r2 = f"R² {measured(evaluation.r2)}"
        found.append(Fact("mean abs. error", measured(evaluation.mean_absolute_error), r2))
    if record.rows:
        trained = f"of {len(record.rows):,} trained"
        found.append(Fact("rounds", f"{record.n_rounds:,}", trained))
    if record.training is not None:
        planned = f"of {record.training.num_visits:,} planned"
        found.append(Fact("visits", f"{record.visits_made:,}", planned))
    if record.data is not None:
        batches = f"in {counted(len(record.data.batches), 'batch', 'batches')}"
        found.append(Fact("training rows", f"{sum(map(sum, record.data.batches)):,}", batches))
    if record.end is not None:
        staging = f"{duration(record.data.seconds)} of it staging" if record.data else ""
        found.append(Fact("duration", duration(record.end.seconds), staging))
    return found


def progress(record: RunRecord, last_event: str = "") -> Progress | None:
    """How far a run has come; None once it is over, and before it begins.

    Parameters
    ----------
    record : RunRecord
    last_event : str
        When it happened.
    """
    if not is_running(record):
        return None
    facts = [Fact("last event", last_event)] if last_event else []
    training = record.training
    if training is None:
        return _before_training(record, facts)
    here = len(pace.rounds_of_this_visit(record)) if record.visit else 0
    number = min(record.visits_made + 1, training.num_visits)
    facts = [
        Fact("visit", f"{number:,} of {training.num_visits:,}"),
        Fact("round of the visit", f"{here:,} of {training.rounds_per_visit:,}"),
        Fact("patience left", counted(pace.patience_left(record) or 0, "visit")),
        *_speed(record),
        *facts,
    ]
    return Progress(doing=_doing(record), share=pace.share_done(record), facts=facts)


def _before_training(record: RunRecord, facts: list[Fact]) -> Progress:
    tasks = record.progress
    if record.data is not None or tasks is None:
        doing = "The batches are written; training begins." if record.data else "Spark starts."
        return Progress(doing=doing, share=None, facts=facts)
    done = f"{tasks.tasks_done:,} of {tasks.tasks_total:,}"
    part = tasks.tasks_done / tasks.tasks_total if tasks.tasks_total else None
    doing = "Spark reads the rows, and writes the batches."
    return Progress(doing=doing, share=part, facts=[Fact("Spark tasks", done), *facts])


def _doing(record: RunRecord) -> str:
    visit = record.visit
    if visit is None:
        planned = record.training.num_visits if record.training else 0
        is_last = record.early_stop is not None or record.visits_made >= planned
        return "The visits are over; the model is scored." if is_last else "A visit begins."
    batch = "all batches" if visit.batch is None else f"batch {visit.batch + 1:,}"
    rate = measured(visit.learning_rate)
    return f"Trains on {batch}, epoch {visit.epoch + 1:,}, with learning rate {rate}."


def _speed(record: RunRecord) -> list[Fact]:
    found, speed, left = [], pace.rows_per_second(record), pace.seconds_left(record)
    if speed is not None:
        found.append(Fact("speed", f"{speed:,.0f} rows/s", "rows of the batch times rounds"))
    if left is not None:
        found.append(Fact("time left", f"at most {duration(left)}", "if nothing stops it"))
    return found
