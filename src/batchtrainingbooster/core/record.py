"""What is known of a run: its events, added up. Reports and the live page show this alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from batchtrainingbooster.core import events
from batchtrainingbooster.core.evaluation import Evaluation
from batchtrainingbooster.core.history import History, Row
from batchtrainingbooster.core.stopping import Best


@attrs.define(kw_only=True)
class RunRecord:
    """A run, as far as it has come; ``take`` adds an event.

    Attributes
    ----------
    start, data, training, early_stop, failure, end : events, optional
        ``RunStart``, ``StagingEnd``, ``TrainingStart``, ``EarlyStop``, ``Failure`` and ``RunEnd``,
        once they have happened.
    progress : StagingProgress, optional
        The last one, while Spark works.
    visit : VisitStart, optional
        The visit that is being made.
    visits : list of VisitEnd
    rows : list of Row
        Every round; those that were dropped since say so.
    best : Best, optional
    checkpoints : int
        Visits that the last one holds.
    importance : dict of str to float
    evaluation : Evaluation, optional
    warnings : list of str
    """

    start: events.RunStart | None = None
    progress: events.StagingProgress | None = None
    data: events.StagingEnd | None = None
    training: events.TrainingStart | None = None
    visit: events.VisitStart | None = None
    visits: list[events.VisitEnd] = attrs.field(factory=list)
    rows: list[Row] = attrs.field(factory=list)
    best: Best | None = None
    checkpoints: int = 0
    early_stop: events.EarlyStop | None = None
    importance: dict[str, float] = attrs.field(factory=dict)
    evaluation: Evaluation | None = None
    warnings: list[str] = attrs.field(factory=list)
    failure: events.Failure | None = None
    end: events.RunEnd | None = None

    @classmethod
    def of(cls, happened: Iterable[events.Event]) -> RunRecord:
        """Of the last run among these events."""
        record = cls()
        for event in happened:
            record.take(event)
        return record

    @property
    def history(self) -> History:
        """The rounds."""
        return History(tuple(self.rows))

    @property
    def visits_made(self) -> int:
        """Those of an earlier call that this run goes on from included."""
        before = self.training.state.visit if self.training else 0
        return before + len(self.visits)

    @property
    def n_rounds(self) -> int:
        """Rounds of the model, or that it has so far."""
        if self.end is not None:
            return self.end.n_rounds
        return next((row.n_rounds for row in reversed(self.rows) if row.kept), 0)

    def take(self, event: events.Event) -> None:
        """Add an event; the first one of a run forgets the run before."""
        match event:
            case events.RunStart():
                self.__init__(start=event)  # type: ignore[misc]
            case events.StagingProgress():
                self.progress = event
            case events.StagingEnd():
                self.data, self.progress = event, None
            case events.TrainingStart():
                self._go_on_from(event)
            case events.VisitStart():
                self.visit = event
            case events.RoundEnd():
                self.rows.append(event.row)
            case events.Rollback():
                self._drop(event)
            case events.VisitEnd():
                self.visits.append(event)
                self.visit = None
            case events.ModelTrained():
                self.importance, self.evaluation = event.importance, event.evaluation
            case _:
                self._take_other(event)

    def _take_other(self, event: events.Event) -> None:
        match event:
            case events.Improvement():
                self.best = event.best
            case events.CheckpointWritten():
                self.checkpoints = event.visits
            case events.EarlyStop():
                self.early_stop = event
            case events.WarningLogged():
                self.warnings.append(event.message)
            case events.Failure():
                self.failure = event
            case events.RunEnd():
                self.end, self.visit = event, None

    def _go_on_from(self, event: events.TrainingStart) -> None:
        state = event.state
        self.rows, self.best = list(state.history), state.best
        # The history is held once, in ``rows``; what callbacks keep is theirs.
        state = attrs.evolve(state, history=History(), callbacks={})
        self.training = attrs.evolve(event, state=state)

    def _drop(self, event: events.Rollback) -> None:
        dropped = range(event.to_rounds + 1, event.from_rounds + 1)
        for i in range(len(self.rows) - 1, -1, -1):
            row = self.rows[i]
            if row.kept and row.n_rounds in dropped:
                self.rows[i] = attrs.evolve(row, kept=False)
            elif row.kept:
                break


def settings_of(record: RunRecord) -> dict[str, Any]:
    """Every setting that was given, by ``config: key``."""
    if record.start is None:
        return {}
    found: dict[str, Any] = {}
    for config, values in record.start.config.items():
        if isinstance(values, dict):
            found |= {f"{config}: {key}": value for key, value in values.items()}
        elif values is not None:
            found[config] = values
    return found
