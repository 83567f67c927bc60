"""The training loop, over the ports alone: no Spark, no booster, no files.

::

    for each visit, until all are done or patience is out:
        read the batch                                  source.batch
        learning rate                                   schedule
        for each round: train, evaluate, record         backend.boost
            stop the visit early?                       early_stopping_rounds
        keep it, or roll back to the best model?        warm_restart
        tell the callbacks; does one ask to stop?       observer.emit
        write a checkpoint                              store.save
    cut the model at its best round

A run that is interrupted goes on from its last checkpoint, along the same path: everything that a
visit does follows from ``RunState``, the model, and the settings. A visit that was not finished is
made anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

import attrs

from batchtrainingbooster.core import events, wording
from batchtrainingbooster.core.checkpointing import Keeper
from batchtrainingbooster.core.config import Strategy
from batchtrainingbooster.core.earlier import Earlier
from batchtrainingbooster.core.history import Row
from batchtrainingbooster.core.interruption import Interruption
from batchtrainingbooster.core.ports import (
    Backend,
    BatchSource,
    CheckpointStore,
    NoObserver,
    Observer,
    RoundMetrics,
)
from batchtrainingbooster.core.schedules import Schedule
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.core.stopping import Best, Patience, StopReason, VisitWatch
from batchtrainingbooster.core.timing import timed
from batchtrainingbooster.core.visits import Visit, visit_at, visits_per_epoch
from batchtrainingbooster.errors import BackendError

logger = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class RunPlan:
    """What a run does, decided before its first visit."""

    strategy: Strategy
    num_epochs: int
    rounds_per_visit: int
    early_stopping_rounds: int | None
    seed: int
    schedule: Schedule
    patience: Patience
    warm_restart: Literal["best", "last"]
    checkpoint_every: int = 1
    earlier: Earlier = attrs.field(factory=Earlier)

    def visit(self, number: int, num_batches: int) -> Visit:
        """The visit with this number."""
        if self.strategy == "external_memory":
            return Visit(number, epoch=number, batch=None)
        return visit_at(number, self.seed, num_batches)

    def watch(self, n_rounds: int) -> VisitWatch:
        """What ends a visit early that begins with so many rounds in the model."""
        return VisitWatch(self.patience, self.early_stopping_rounds, n_rounds)

    def num_visits(self, num_batches: int) -> int:
        """How many there are, if nothing stops the run."""
        return self.num_epochs * visits_per_epoch(self.strategy, num_batches)


def run_visits(
    plan: RunPlan,
    source: BatchSource,
    backend: Backend,
    store: CheckpointStore | None = None,
    interruption: Interruption | None = None,
    observer: Observer | None = None,
) -> RunState:
    """Train batch after batch; the model is left in ``backend``, cut at its best round.

    Parameters
    ----------
    plan : RunPlan
    source : BatchSource
    backend : Backend
    store : CheckpointStore, optional
        Where the run goes on from, and what it leaves for another to go on from.
    interruption : Interruption, optional
        Looked at after every round.
    observer : Observer, optional
        Told of all that happens.
    """
    with timed("reading"):
        reference, validation = source.reference(), source.validation()
    has_validation = validation is not None
    with timed("dataset construction"):
        backend.start(reference, validation)
    del reference, validation
    run = _Run(
        plan=plan,
        source=source,
        backend=backend,
        keeper=Keeper(plan.checkpoint_every, store, observer or NoObserver()),
        interruption=interruption or Interruption(),
        observer=observer or NoObserver(),
        has_validation=has_validation,
    )
    return run.to_its_end()


@attrs.frozen(eq=False, kw_only=True)
class _Run:
    """What stays the same from visit to visit."""

    plan: RunPlan
    source: BatchSource
    backend: Backend
    keeper: Keeper
    interruption: Interruption
    observer: Observer
    has_validation: bool

    def to_its_end(self) -> RunState:
        state = self.keeper.resume(self.backend) or self.plan.earlier.first_state(
            self.backend, self.plan.patience, has_validation=self.has_validation
        )
        self.observer.emit(
            events.TrainingStart(
                num_visits=self._num_visits,
                rounds_per_visit=self.plan.rounds_per_visit,
                max_patience=self.plan.patience.max_patience,
                maximize=self.plan.patience.maximize,
                state=state,
            )
        )
        if self._goes_on(state):
            with self._datasets() as dataset_of:
                while self._goes_on(state):
                    later = self._visit(state, dataset_of)
                    if later is None:
                        break
                    state = later
        if self.interruption.signal:
            self.keeper.end_run(self.interruption, state)
        if state.best is not None:
            state = self._cut(state, state.best.n_rounds, None)
        outcome = wording.of_run(state, has_validation=self.has_validation)
        logger.info("Run ended (%s) after %d visits; %s", state.stop_reason, state.visit, outcome)
        return state

    @property
    def _num_visits(self) -> int:
        return self.plan.num_visits(self.source.num_batches)

    def _goes_on(self, state: RunState) -> bool:
        return state.stop_reason is None and self.interruption.signal is None

    @contextmanager
    def _datasets(self) -> Iterator[Callable[[int | None], object]]:
        """What gives the dataset of a batch, or, for None, that of all batches."""
        whole: object = None
        with ExitStack() as stack:
            if self.plan.strategy == "external_memory":
                with timed("dataset construction"):
                    whole = stack.enter_context(self.backend.external_dataset(self.source))

            def dataset_of(batch: int | None) -> object:
                if batch is None:
                    return whole
                with timed("reading"):
                    rows = self.source.batch(batch)
                with timed("dataset construction"):
                    return self.backend.dataset(rows)

            yield dataset_of

    def _visit(
        self, state: RunState, dataset_of: Callable[[int | None], object]
    ) -> RunState | None:
        """What a visit has come to; None where it was interrupted."""
        start = time.perf_counter()
        visit = self.plan.visit(state.visit, self.source.num_batches)
        rates = self._learning_rates(state, visit)
        self._tell_start(visit, rates[0])
        with _failing_at(visit):
            dataset = dataset_of(visit.batch)
            rows, best = self._train(state, visit, dataset, rates)
            del dataset
            if self.interruption.signal and len(rows) < self.plan.rounds_per_visit:
                return None
            state = self._decide(state, visit, rows, best)
        state = self._stopped(state, visit, time.perf_counter() - start)
        # Without validation no round is ever cut.
        least_rounds = state.least_rounds if self.has_validation else self.backend.n_rounds
        return self.keeper.keep(state, self.backend, least_rounds)

    def _tell_start(self, visit: Visit, rate: float) -> None:
        if visit.number % visits_per_epoch(self.plan.strategy, self.source.num_batches) == 0:
            self.observer.emit(events.EpochStart(epoch=visit.epoch))
        self.observer.emit(
            events.VisitStart(
                visit=visit.number, epoch=visit.epoch, batch=visit.batch, learning_rate=rate
            )
        )

    def _train(
        self, state: RunState, visit: Visit, dataset: object, rates: list[float]
    ) -> tuple[list[Row], Best | None]:
        """One visit's rounds, and the best of them where there is a validation set."""
        interruption = self.interruption
        rows: list[Row] = []
        best: Best | None = None
        first_round, first_n_rounds = len(state.history), self.backend.n_rounds
        watch = self.plan.watch(first_n_rounds)
        since = time.perf_counter()

        def record(metrics: RoundMetrics) -> bool:
            nonlocal since, best
            i, now = len(rows), time.perf_counter()
            row = Row(
                visit=visit.number,
                batch=visit.batch,
                epoch=visit.epoch,
                round=first_round + i,
                n_rounds=first_n_rounds + i + 1,
                learning_rate=rates[i],
                train=metrics.train,
                valid=metrics.valid,
                seconds=now - since if metrics.seconds is None else metrics.seconds,
            )
            rows.append(row)
            self.observer.emit(events.RoundEnd(row=row))
            # What callbacks take is no time of the next round.
            since = time.perf_counter()
            if not metrics.valid:
                return not interruption.signal
            value = list(metrics.valid.values())[-1]
            if watch.improves(value, row.n_rounds):
                best = Best(value, row.visit, row.round, row.n_rounds)
            return not (watch.is_hopeless(row.n_rounds) or interruption.signal)

        if not interruption.signal:
            with timed("boosting"):
                self.backend.boost(dataset, rates, record, lambda: not interruption.signal)
        return rows, best

    def _decide(
        self, state: RunState, visit: Visit, rows: list[Row], visit_best: Best | None
    ) -> RunState:
        """Record the visit, and keep its rounds, cut them, or roll them back."""
        if not rows:
            logger.warning("%s: the booster found nothing to learn; no round was added", visit)
            return attrs.evolve(state, visit=state.visit + 1, improved=(*state.improved, False))
        plan, before, last = self.plan, state.best, rows[-1]
        has_validation = bool(last.valid)
        helped = visit_best is not None and plan.patience.improves(visit_best.value, before)
        state = attrs.evolve(
            state,
            visit=state.visit + 1,
            history=state.history.extended(rows),
            improved=(*state.improved, helped or not has_validation),
            best=visit_best if helped else before,
        )
        if helped and visit_best is not None:
            value = before.value if before else None
            self.observer.emit(events.Improvement(best=visit_best, before=value))
        keep = last.n_rounds
        if has_validation and not helped and plan.warm_restart == "best":
            # Where no visit has had a usable metric yet, there is no best model: back to the start.
            keep = state.least_rounds
        elif plan.early_stopping_rounds and visit_best is not None:
            keep = visit_best.n_rounds
        logger.info("%s: %s", visit, wording.of_visit(rows, keep))
        return self._cut(state, keep, visit)

    def _stopped(self, state: RunState, visit: Visit, seconds: float) -> RunState:
        """The state with the reason to stop, where there is one; callbacks may have one."""
        requests = self.observer.emit(
            events.VisitEnd(
                visit=visit.number,
                epoch=visit.epoch,
                batch=visit.batch,
                improved=state.improved[-1],
                n_rounds=self.backend.n_rounds,
                visits_without_improvement=state.visits_without_improvement,
                seconds=seconds,
            )
        )
        patience, waited = self.plan.patience, state.visits_without_improvement
        if self.has_validation and patience.is_exhausted(waited):
            reason, why = StopReason.PATIENCE, f"{waited} visits without improvement"
        elif state.visit == self._num_visits:
            reason, why = StopReason.COMPLETED, ""
        elif requests:
            reason, why = StopReason.CALLBACK, "; ".join(each.reason for each in requests)
            logger.info("A callback asks to stop: %s", why)
        else:
            return state
        if reason is not StopReason.COMPLETED:
            self.observer.emit(events.EarlyStop(stop_reason=reason, why=why))
        return attrs.evolve(state, stop_reason=reason)

    def _cut(self, state: RunState, n_rounds: int, visit: Visit | None) -> RunState:
        """Cut the model, and say so in the history; nothing where it is no longer than that."""
        before = self.backend.n_rounds
        if n_rounds >= before:
            return state
        self.backend.truncate(n_rounds)
        number = visit.number if visit else None
        self.observer.emit(events.Rollback(visit=number, from_rounds=before, to_rounds=n_rounds))
        return attrs.evolve(state, history=state.history.cut(n_rounds))

    def _learning_rates(self, state: RunState, visit: Visit) -> list[float]:
        schedule, rounds = self.plan.schedule, self.plan.rounds_per_visit
        if schedule.per == "visit":
            return [schedule.learning_rate(visit.number, state.improved)] * rounds
        first = len(state.history)
        return [schedule.learning_rate(first + i, state.improved) for i in range(rounds)]


@contextmanager
def _failing_at(visit: Visit) -> Iterator[None]:
    """Name the visit and its batch where the booster fails."""
    try:
        yield
    except BackendError as error:
        msg = f"{visit}: {error}"
        raise BackendError(msg) from error.__cause__
