"""What every trainer does: settings -> profile -> staging -> loop -> model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from batchtrainingbooster.available_memory import available_bytes
from batchtrainingbooster.callbacks.displays import displays
from batchtrainingbooster.callbacks.run_folder import run_folder
from batchtrainingbooster.callbacks.watching import WatchedRun, watched
from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.drift import DataLook
from batchtrainingbooster.core.events import RunEnd, RunStart, StagingStart
from batchtrainingbooster.core.fitting import refuse_run_that_does_not_fit
from batchtrainingbooster.core.history import History
from batchtrainingbooster.core.interruption import noticed_signals
from batchtrainingbooster.core.loop import RunPlan, run_visits
from batchtrainingbooster.core.outcome import model_trained, staging_end
from batchtrainingbooster.core.places import (
    checkpoint_folder,
    refuse_folders_within_others,
    staging_folder,
)
from batchtrainingbooster.core.ports import Backend, BatchSource, CheckpointStore, Observer
from batchtrainingbooster.core.preparation import prepare
from batchtrainingbooster.core.request import Request, parse_request
from batchtrainingbooster.core.run_id import new_run_id
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.core.stopping import StopReason
from batchtrainingbooster.core.timing import measured, timed
from batchtrainingbooster.core.update_report import UpdateReport
from batchtrainingbooster.core.updates import Updates
from batchtrainingbooster.core.updating import report_of, value_before
from batchtrainingbooster.data.checkpoints import CheckpointFolder
from batchtrainingbooster.data.manifest import Manifest
from batchtrainingbooster.data.placing import load_of, place_rows
from batchtrainingbooster.data.reader import StagedSource
from batchtrainingbooster.data.spark_errors import spark_failures
from batchtrainingbooster.data.spark_progress import spark_progress
from batchtrainingbooster.data.staging import stage, staged_identity
from batchtrainingbooster.distributed.visits import refuse_workers, visits_of
from batchtrainingbooster.errors import NotFittedError
from batchtrainingbooster.model.boosted_model import BoostedModel
from batchtrainingbooster.model.persistence import check_place
from batchtrainingbooster.report.show import show_figure
from batchtrainingbooster.versions import installed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@attrs.frozen
class Timings:
    """Seconds that a run took.

    Attributes
    ----------
    staging, training, total : float
    by_stage : dict of str to float
        The same in parts: ``profiling``, ``writing``, ``verification``, ``reading``, ``dataset
        construction``, ``boosting``, ``checkpointing``, ``saving``, ``final evaluation``, and, for
        boosters that tell them apart, ``scoring of the trees so far`` and ``evaluation``; else
        those are part of ``boosting``.
    """

    staging: float
    training: float
    total: float
    by_stage: dict[str, float]


class BaseTrainer(Updates):
    """Trains a model batch by batch from a Spark DataFrame.

    Attributes
    ----------
    model : BoostedModel
        What the last ``fit`` or ``update`` returned; after a ``WorseModelError``, the earlier one.
    history : History
        Its rounds.
    timings : Timings
        Stages of the last run.
    manifest : Manifest
        What it staged.
    update_report : UpdateReport
        What the last ``update`` has come to.
    """

    backend: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._staged: tuple[Timings, Manifest] | None = None

    @property
    def model(self) -> BoostedModel:
        """What the last ``fit`` or ``update`` returned."""
        if self._model is None:
            raise self._not_fitted()
        return self._model

    @property
    def history(self) -> History:
        """The rounds of the run."""
        return self.model.history

    @property
    def timings(self) -> Timings:
        """Seconds by stage."""
        return self._last_run()[0]

    @property
    def manifest(self) -> Manifest:
        """What was staged."""
        return self._last_run()[1]

    def _last_run(self) -> tuple[Timings, Manifest]:
        if self._staged is None:
            raise self._not_fitted()
        return self._staged

    def _not_fitted(self) -> NotFittedError:
        return NotFittedError(f"this {type(self).__name__} has no model yet: call fit first")

    def fit(
        self,
        train_dataframe: DataFrame,
        valid_dataframe: DataFrame | None,
        target_column: str,
        config_model: Mapping[str, Any] | None = None,
        config_training: Mapping[str, Any] | TrainingConfig | None = None,
        config_lr_scheduler: Mapping[str, Any] | Callable[[int], float] | None = None,
    ) -> BoostedModel:
        """Train a model.

        What is not said is inferred from the data, and logged: kind of target, objective, number
        of classes, feature columns, categorical columns.

        Parameters
        ----------
        train_dataframe : Spark DataFrame
        valid_dataframe : Spark DataFrame or None
            None holds out ``validation_fraction`` of the training rows; without that either,
            nothing is validated and every visit is kept.
        target_column : str
            Strings, booleans or numbers.
        config_model : dict
            The booster's own parameters, in native or scikit-learn spelling; ``n_estimators`` is
            the number of rounds in each visit.
        config_training : dict
            See ``TrainingConfig``.
        config_lr_scheduler : dict or callable
            ``kind`` (exponential), ``initial_lr``, ``decay_rate``, ``per`` ("visit" or "round"),
            ``min_lr`` and the kind's own keys; or a function from the visit to the rate. None is
            a constant rate.

        Returns
        -------
        BoostedModel
            Cut at its best round.

        Raises
        ------
        ConfigError
            If a setting is unknown, out of range, or contradicts another or the data.
        DataError
            If the data cannot be trained on.
        StagingError
            If the batches cannot be written or read as planned.
        CheckpointError
            If there are checkpoints of another run, damaged ones, or none where there must be; if
            another run has the folder, or it is full.
        NotEnoughMemoryError
            If the batches would not fit into the memory that there is.
        BackendError
            If the booster fails.
        KeyboardInterrupt, SystemExit
            With ``checkpoint_dir``, on Ctrl-C and SIGTERM, once the round is finished and the
            checkpoint written.
        """
        request = parse_request(self.backend, config_model, config_training, config_lr_scheduler)
        return self._run(request, (train_dataframe, valid_dataframe), target_column)

    def _run(
        self, request: Request, frames: tuple[DataFrame, DataFrame | None], target_column: str
    ) -> BoostedModel:
        config = request.config
        refuse_folders_within_others(config)
        start = RunStart(
            run_id=new_run_id(),
            booster=self.backend,
            target_column=target_column,
            config=request.given,
            versions=environment(request.backend),
            run_dir=config.run_dir,
        )
        with ExitStack() as stack:
            callbacks = [
                *displays(config.verbosity),
                *stack.enter_context(run_folder(config.run_dir, check_place)),
                *(config.callbacks or ()),
            ]
            run = stack.enter_context(watched(start, callbacks, strict=config.callbacks_strict))
            result, report = _train(request, frames, target_column, start.versions, run)
        model, self._staged = result[0], result[1:]
        if config.show_learning_curve and len(model.history):
            show_figure(model.plot_learning_curve(), config.run_dir)
        self._update_report = report or self._update_report
        if report is not None and not report.has_learned:
            model = request.continued_model
        self._model = model
        return model


def _train(
    request: Request,
    frames: tuple[DataFrame, DataFrame | None],
    target_column: str,
    versions: dict[str, Any],
    run: WatchedRun,
) -> tuple[tuple[BoostedModel, Timings, Manifest], UpdateReport | None]:
    """Stage, train, and look at the model; the run is told of all of it."""
    start, emit = time.perf_counter(), run.observers.emit
    with measured() as by_stage, checkpoint_folder(request.config) as checkpoints:
        if request.config.num_workers is not None:
            refuse_workers(frames[0], request.config.num_workers)
        emit(StagingStart())
        with (
            timed("profiling"),
            spark_failures("looking at the data"),
            spark_progress(frames[0], run.tell_progress),
        ):
            prepared = prepare(request, *frames, target_column)
        placement = place_rows(prepared.job)
        load = None
        if request.config.num_workers is None:
            load = load_of(prepared.job, placement)
            refuse_run_that_does_not_fit(load, available_bytes())
        store = None
        if checkpoints is not None:
            store = CheckpointFolder(
                *checkpoints,
                identity={**request.identity, "data": staged_identity(prepared.job, placement)},
                environment=versions,
                resume=request.config.resume,
            )
        with staging_folder(request.config, frames[0]) as folder:
            is_own = request.config.staging_dir is None
            with spark_progress(frames[0], run.tell_progress):
                manifest = stage(prepared.job, placement, folder, replace=is_own)
            staged = time.perf_counter()
            emit(staging_end(prepared, manifest, staged - start, str(folder)))
            first = request.earlier.first_data if request.earlier else None
            look = DataLook(manifest.schema, manifest.class_counts, first)
            source = StagedSource(folder, manifest, prepared.class_weights, load, look=look.take)
            plan = prepared.plan(source.num_batches)
            if request.if_worse is not None:
                before = attrs.evolve(plan.earlier, value=value_before(prepared, source))
                plan = attrs.evolve(plan, earlier=before)
            visits = visits_of(prepared, plan, source, frames[0].sparkSession)
            state = train(plan, *visits, store, run.observers)
            if not look.is_done:
                # Workers read the only batch themselves.
                look.take(source.training_sample())
            with timed("saving"):
                model = prepared.model(state, run.recorder.record, look.summary)
            report = None if request.if_worse is None else report_of(prepared, look, state)
            with timed("final evaluation"):
                emit(model_trained(model, source))
    end = time.perf_counter()
    timings = Timings(staged - start, end - staged, end - start, by_stage)
    run.end = RunEnd(
        stop_reason=state.stop_reason or StopReason.COMPLETED,
        visits=state.visit,
        n_rounds=model.info.n_rounds,
        best=state.best,
        seconds=timings.total,
        seconds_by_stage=by_stage,
    )
    return (model, timings, manifest), report


def train(
    plan: RunPlan,
    source: BatchSource,
    booster: Backend,
    store: CheckpointStore | None,
    observer: Observer,
) -> RunState:
    """The loop; where it can go on later, a signal to end lets it write a checkpoint first."""
    if store is None:
        return run_visits(plan, source, booster, observer=observer)
    with noticed_signals() as interruption:
        return run_visits(plan, source, booster, store, interruption, observer)


def environment(backend: Any) -> dict[str, Any]:
    """What may change a model in its last bits, beside rows and settings."""
    return {
        backend.NAME: backend.version(),
        **installed("batchtrainingbooster", "numpy", "pyarrow"),
        "processors": os.cpu_count(),
    }
