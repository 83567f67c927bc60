"""What happens in a run, as values: everything that shows, logs or tracks it reads these alone.

::

    RunStart
    StagingStart, StagingProgress ..., StagingEnd
    TrainingStart
        EpochStart
            VisitStart
                RoundEnd ...
                Improvement                 the visit gave a better model
                Rollback                    or rounds of it were dropped
            VisitEnd
            EarlyStop                       patience is out, or a callback asks to stop
            CheckpointWritten
        Rollback                            the rounds after the best one, at the end
    ModelTrained
    Failure                                 instead of what did not come to be
    RunEnd                                  once, whatever happened

    WarningLogged                           at any time

A callback has a method for each, called ``on_run_start`` and so on. Numbers are from 0. In the
event log of a run folder, an event is a line of JSON with its fields, its name, and the time.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import attrs

from batchtrainingbooster.core.config import Label
from batchtrainingbooster.core.evaluation import Evaluation
from batchtrainingbooster.core.history import Row
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.core.stopping import Best, StopReason


@attrs.frozen(kw_only=True)
class RunStart:
    """``fit`` was called, and its settings are in order.

    Attributes
    ----------
    run_id : str
        Another one for each call.
    booster, target_column : str
    config : dict
        The three configs as given; objects by their names, without secrets.
    versions : dict of str to str
        Of the libraries, and the number of processors.
    run_dir : str, optional
    """

    run_id: str
    booster: str
    target_column: str
    config: dict[str, Any]
    versions: dict[str, Any]
    run_dir: str | None = None


@attrs.frozen(kw_only=True)
class StagingStart:
    """Spark begins to look at the data, and then to write it."""


@attrs.frozen(kw_only=True)
class StagingProgress:
    """How far Spark is, by its own account; told from a thread of its own, while it works.

    Attributes
    ----------
    tasks_done, tasks_total : int
        Of the stages of its jobs that run now.
    """

    tasks_done: int
    tasks_total: int


@attrs.frozen(kw_only=True)
class StagingEnd:
    """The batches lie in storage, and what was not said about them has been inferred.

    Attributes
    ----------
    kind : str
        Of the target: binary, multiclass, regression or ranking.
    objective, metric : str
        The metric is the one that decides.
    maximize : bool
        Whether a larger metric is better.
    features : dict of str to str
        Kind by column.
    column_types : dict of str to str
        Spark's type by feature column.
    classes : tuple
        Labels; empty for regression.
    class_weights : tuple of float
        By class; empty where all are 1.
    strata : tuple of str
        What the rows are counted by: classes, or quantile bins of the target.
    batches : tuple of tuple of int
        Rows by stratum, of each batch.
    validation : tuple of int, optional
        The same of the validation set.
    seconds : float
    place : str
    """

    kind: str
    objective: str
    metric: str
    maximize: bool
    features: dict[str, str]
    column_types: dict[str, str]
    classes: tuple[Label, ...]
    class_weights: tuple[float, ...]
    strata: tuple[str, ...]
    batches: tuple[tuple[int, ...], ...]
    validation: tuple[int, ...] | None
    seconds: float
    place: str


@attrs.frozen(kw_only=True)
class TrainingStart:
    """The loop begins, or goes on from a checkpoint.

    Attributes
    ----------
    num_visits, rounds_per_visit, max_patience : int
        The length of the run if nothing stops it, and what may.
    maximize : bool
    state : RunState
        Where it goes on from.
    """

    num_visits: int
    rounds_per_visit: int
    max_patience: int
    maximize: bool
    state: RunState


@attrs.frozen(kw_only=True)
class EpochStart:
    """The first visit of a pass over all batches comes next."""

    epoch: int


@attrs.frozen(kw_only=True)
class VisitStart:
    """A batch is read next.

    Attributes
    ----------
    visit, epoch : int
    batch : int, optional
        None is all of them.
    learning_rate : float
        Of the first round.
    """

    visit: int
    epoch: int
    batch: int | None
    learning_rate: float


@attrs.frozen(kw_only=True)
class RoundEnd:
    """A round was trained and evaluated."""

    row: Row


@attrs.frozen(kw_only=True)
class Improvement:
    """A visit gave a better model than any before.

    Attributes
    ----------
    best : Best
    before : float, optional
        The best value until then.
    """

    best: Best
    before: float | None


@attrs.frozen(kw_only=True)
class Rollback:
    """Rounds were dropped from the model.

    Attributes
    ----------
    visit : int, optional
        None at the end of the run, where the model is cut at its best round.
    from_rounds, to_rounds : int
        Rounds in the model, before and after.
    """

    visit: int | None
    from_rounds: int
    to_rounds: int


@attrs.frozen(kw_only=True)
class VisitEnd:
    """A visit is over, and what becomes of its rounds is decided.

    Attributes
    ----------
    visit, epoch : int
    batch : int, optional
    improved : bool
    n_rounds : int
        In the model now.
    visits_without_improvement : int
    seconds : float
        Reading included.
    """

    visit: int
    epoch: int
    batch: int | None
    improved: bool
    n_rounds: int
    visits_without_improvement: int
    seconds: float


@attrs.frozen(kw_only=True)
class CheckpointWritten:
    """The run could go on from here.

    Attributes
    ----------
    visits : int
        That are in it.
    place : str
    """

    visits: int
    place: str


@attrs.frozen(kw_only=True)
class EarlyStop:
    """No more visits are made, though the plan has more."""

    stop_reason: StopReason
    why: str


@attrs.frozen(kw_only=True)
class ModelTrained:
    """The model is there.

    Attributes
    ----------
    model : BoostedModel
        Not in the event log.
    importance : dict of str to float
        By column, largest first; the first hundred.
    evaluation : Evaluation, optional
        On validation rows.
    example : pyarrow.Table, optional
        Some validation rows, as the model takes them; not in the event log.
    """

    model: Any = attrs.field(default=None, metadata={"logged": False})
    importance: dict[str, float]
    evaluation: Evaluation | None
    example: Any = attrs.field(default=None, metadata={"logged": False})


@attrs.frozen(kw_only=True)
class Failure:
    """``fit`` raises this error, or was interrupted."""

    error: str
    message: str


@attrs.frozen(kw_only=True)
class RunEnd:
    """The last event.

    Attributes
    ----------
    stop_reason : StopReason
    visits, n_rounds : int
    best : Best, optional
    seconds : float
    seconds_by_stage : dict of str to float
    """

    stop_reason: StopReason
    visits: int
    n_rounds: int
    best: Best | None
    seconds: float
    seconds_by_stage: dict[str, float]


@attrs.frozen(kw_only=True)
class WarningLogged:
    """The package has logged a warning."""

    message: str


Event: TypeAlias = (
    RunStart | StagingStart | StagingProgress | StagingEnd | TrainingStart | EpochStart | VisitStart
    | RoundEnd | Improvement | Rollback | VisitEnd | CheckpointWritten | EarlyStop | ModelTrained
    | Failure | RunEnd | WarningLogged
)  # fmt: skip


def name_of(event: type[Any]) -> str:
    """The name of an event in the log, and of its method after ``on_``.

    Examples
    --------
    >>> name_of(RunStart)
    'run_start'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", event.__name__).lower()


EVENTS: dict[str, type[Any]] = {name_of(kind): kind for kind in Event.__args__}


@attrs.frozen
class StopRequest:
    """What a callback's ``on_visit_end`` returns to end the run after this visit."""

    reason: str
