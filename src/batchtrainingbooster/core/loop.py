"""The training loop, over the ports alone: no Spark, no booster, no files.

::

    for each visit, until all are done or patience is out:
        read the batch                                  source.batch
        learning rate                                   schedule
        for each round: train, evaluate, record         backend.boost
            stop the visit early?                       early_stopping_rounds
        keep it, or roll back to the best model?        warm_restart
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

from batchtrainingbooster.core.checkpointing import Keeper
from batchtrainingbooster.core.config import Strategy
from batchtrainingbooster.core.history import Row
from batchtrainingbooster.core.interruption import Interruption
from batchtrainingbooster.core.ports import (
    Backend,
    BatchSource,
    CheckpointStore,
    RoundMetrics,
)
from batchtrainingbooster.core.schedules import Schedule
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.core.stopping import Best, Patience, StopReason
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

    def visit(self, number: int, num_batches: int) -> Visit:
        """The visit with this number."""
        if self.strategy == "external_memory":
            return Visit(number, epoch=number, batch=None)
        return visit_at(number, self.seed, num_batches)

    def num_visits(self, num_batches: int) -> int:
        """How many there are, if nothing stops the run."""
        return self.num_epochs * visits_per_epoch(self.strategy, num_batches)


def run_visits(
    plan: RunPlan,
    source: BatchSource,
    backend: Backend,
    store: CheckpointStore | None = None,
    interruption: Interruption | None = None,
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
    """
    interruption = interruption or Interruption()
    with timed("reading"):
        reference, validation = source.reference(), source.validation()
    has_validation = validation is not None
    with timed("dataset construction"):
        backend.start(reference, validation)
    del reference, validation
    keeper = Keeper(plan.checkpoint_every, store)
    state = keeper.resume(backend) or _first_state(plan, backend, has_validation=has_validation)
    if _goes_on(state, interruption):
        with _datasets(plan, source, backend) as dataset_of:
            while _goes_on(state, interruption):
                visit = plan.visit(state.visit, source.num_batches)
                with _failing_at(visit):
                    dataset = dataset_of(visit.batch)
                    rows, visit_best = _train(plan, state, visit, dataset, backend, interruption)
                    del dataset
                    if interruption.signal and len(rows) < plan.rounds_per_visit:
                        break
                    state = _decide(plan, state, visit, rows, visit_best, backend)
                state = _stopped(plan, state, source.num_batches, has_validation=has_validation)
                # Without validation no round is ever cut.
                least_rounds = state.least_rounds if has_validation else backend.n_rounds
                keeper.keep(state, backend, least_rounds)
    if interruption.signal:
        keeper.end_run(interruption, state)
    if state.best is not None:
        state = _cut(state, state.best.n_rounds, backend)
    outcome = _say(state, has_validation=has_validation)
    logger.info("Run ended (%s) after %d visits; %s", state.stop_reason, state.visit, outcome)
    return state


def _goes_on(state: RunState, interruption: Interruption) -> bool:
    return state.stop_reason is None and interruption.signal is None


def _first_state(plan: RunPlan, backend: Backend, *, has_validation: bool) -> RunState:
    state = RunState(initial_rounds=backend.n_rounds)
    if has_validation and backend.n_rounds:
        # An earlier model is the one to beat.
        value = list(backend.validate().values())[-1]
        if plan.patience.improves(value, None):
            state = attrs.evolve(state, best=Best(value, None, None, backend.n_rounds))
        logger.info("The earlier model's validation metric: %.6g", value)
    return state


def _stopped(plan: RunPlan, state: RunState, num_batches: int, *, has_validation: bool) -> RunState:
    """The state with the reason to stop, where there is one."""
    if has_validation and plan.patience.is_exhausted(state.visits_without_improvement):
        return attrs.evolve(state, stop_reason=StopReason.PATIENCE)
    if state.visit == plan.num_visits(num_batches):
        return attrs.evolve(state, stop_reason=StopReason.COMPLETED)
    return state


@contextmanager
def _datasets(
    plan: RunPlan, source: BatchSource, backend: Backend
) -> Iterator[Callable[[int | None], object]]:
    """What gives the dataset of a batch, or, for None, that of all batches."""
    whole: object = None
    with ExitStack() as stack:
        if plan.strategy == "external_memory":
            with timed("dataset construction"):
                whole = stack.enter_context(backend.external_dataset(source))

        def dataset_of(batch: int | None) -> object:
            if batch is None:
                return whole
            with timed("reading"):
                rows = source.batch(batch)
            with timed("dataset construction"):
                return backend.dataset(rows)

        yield dataset_of


@contextmanager
def _failing_at(visit: Visit) -> Iterator[None]:
    """Name the visit and its batch where the booster fails."""
    try:
        yield
    except BackendError as error:
        msg = f"{visit}: {error}"
        raise BackendError(msg) from error.__cause__


def _train(
    plan: RunPlan,
    state: RunState,
    visit: Visit,
    dataset: object,
    backend: Backend,
    interruption: Interruption,
) -> tuple[list[Row], Best | None]:
    """One visit's rounds, and the best of them where there is a validation set."""
    rates = _learning_rates(plan, state, visit)
    within_visit = attrs.evolve(plan.patience, min_delta=0.0)
    rows: list[Row] = []
    best: Best | None = None
    first_round, first_n_rounds = len(state.history), backend.n_rounds
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
            seconds=now - since,
        )
        since = now
        rows.append(row)
        if not metrics.valid:
            return not interruption.signal
        value = list(metrics.valid.values())[-1]
        if within_visit.improves(value, best):
            best = Best(value, row.visit, row.round, row.n_rounds)
        without_gain = row.n_rounds - (best.n_rounds if best else first_n_rounds)
        is_hopeless = plan.early_stopping_rounds and without_gain >= plan.early_stopping_rounds
        return not (is_hopeless or interruption.signal)

    if not interruption.signal:
        with timed("boosting"):
            backend.boost(dataset, rates, record, lambda: not interruption.signal)
    return rows, best


def _decide(
    plan: RunPlan,
    state: RunState,
    visit: Visit,
    rows: list[Row],
    visit_best: Best | None,
    backend: Backend,
) -> RunState:
    """Record the visit, and keep its rounds, cut them, or roll them back."""
    if not rows:
        logger.warning("%s: the booster found nothing to learn; no round was added", visit)
        return attrs.evolve(state, visit=state.visit + 1, improved=(*state.improved, False))
    last = rows[-1]
    has_validation = bool(last.valid)
    helped = visit_best is not None and plan.patience.improves(visit_best.value, state.best)
    state = attrs.evolve(
        state,
        visit=state.visit + 1,
        history=state.history.extended(rows),
        improved=(*state.improved, helped or not has_validation),
        best=visit_best if helped else state.best,
    )
    keep = last.n_rounds
    if has_validation and not helped and plan.warm_restart == "best":
        # Where no visit has had a usable metric yet, there is no best model: back to the start.
        keep = state.least_rounds
    elif plan.early_stopping_rounds and visit_best is not None:
        keep = visit_best.n_rounds
    logger.info(
        "%s: learning rate %.6g  %s  %s",
        visit,
        last.learning_rate,
        "  ".join(
            f"{part} {name} {value:.6g}"
            for part, values in (("train", last.train), ("valid", last.valid))
            for name, value in values.items()
        ),
        _outcome(keep, rows),
    )
    return _cut(state, keep, backend)


def _outcome(keep: int, rows: list[Row]) -> str:
    """What became of a visit, in words."""
    if keep == rows[-1].n_rounds:
        return f"{keep} rounds in the model"
    if keep >= rows[0].n_rounds:
        return f"cut to {keep} rounds, its best"
    return f"no gain: rolled back to {keep} rounds"


def _cut(state: RunState, n_rounds: int, backend: Backend) -> RunState:
    """Cut the model, and say so in the history; nothing where it is no longer than that."""
    if n_rounds < backend.n_rounds:
        backend.truncate(n_rounds)
        state = attrs.evolve(state, history=state.history.cut(n_rounds))
    return state


def _learning_rates(plan: RunPlan, state: RunState, visit: Visit) -> list[float]:
    if plan.schedule.per == "visit":
        rate = plan.schedule.learning_rate(visit.number, state.improved)
        return [rate] * plan.rounds_per_visit
    first = len(state.history)
    return [
        plan.schedule.learning_rate(first + i, state.improved) for i in range(plan.rounds_per_visit)
    ]


def _say(state: RunState, *, has_validation: bool) -> str:
    if state.best is None:
        if has_validation:
            return "the validation metric was never a number"
        return "no validation set, so every visit was kept"
    best = state.best
    where = "of the earlier model" if best.visit is None else f"at visit {best.visit + 1}"
    return f"best validation metric {best.value:.6g} {where}, {best.n_rounds} rounds in the model"
