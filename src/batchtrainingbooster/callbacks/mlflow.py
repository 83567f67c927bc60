"""A run in MLflow."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.callbacks.metric_names import values_of
from batchtrainingbooster.callbacks.mlflow_content import (
    files_of,
    outcome_of,
    params_of,
    results_of,
    tags_of,
)
from batchtrainingbooster.callbacks.mlflow_model import log_model as send_model
from batchtrainingbooster.callbacks.mlflow_run import (
    TrackedRun,
    created,
    experiment_named,
    is_unreachable,
    knock,
    metric,
    reopened,
)
from batchtrainingbooster.core.events import (
    Event,
    ModelTrained,
    RoundEnd,
    RunEnd,
    RunStart,
    StopRequest,
    TrainingStart,
    VisitEnd,
)
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.stopping import StopReason
from batchtrainingbooster.errors import ConfigError, MissingDependencyError

logger = logging.getLogger(__name__)

STATUS = {StopReason.FAILED: "FAILED", StopReason.INTERRUPTED: "KILLED"}
# So that a server that does not answer costs a tenth of the time at most.
PATIENCE = 10.0


class MLflowCallback(Callback):
    """Tracks a run in MLflow.

    Settings as parameters; metrics and learning rate by round, numbered over the whole run, sent
    once a visit; the best value; the files of the run folder, or else the history; and the model,
    which ``mlflow.pyfunc.load_model`` loads. It is nested under the run that is active where
    ``fit`` is called, and leaves that one as it is. Nothing is sent before training begins, or the
    run has failed before.

    A run that goes on from a checkpoint goes on in its MLflow run, where no round counts twice.

    While the server does not answer, training goes on, and what was not sent is sent later. A call
    that fails half-way is tried again for as long as MLflow is told to, which is minutes:
    ``MLFLOW_HTTP_REQUEST_TIMEOUT``, ``MLFLOW_HTTP_REQUEST_MAX_RETRIES`` and
    ``MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR`` in the environment.

    Parameters
    ----------
    tracking_uri : str, optional
        As for ``mlflow.set_tracking_uri``, which is left as it is; None is the one that is set.
    experiment : str, optional
        Its name; made where there is none. None is that of the active run, or the one that is set.
    run_name : str, optional
    log_model : bool
    registered_model_name : str, optional
        The model becomes a version of it in the model registry.
    tags : dict of str to str, optional

    Raises
    ------
    MissingDependencyError
        If mlflow is not installed.
    ConfigError
        If a model is to be registered that is not logged.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        run_name: str | None = None,
        *,
        log_model: bool = True,
        registered_model_name: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        try:
            import_module("mlflow")
        except ImportError as error:
            raise MissingDependencyError.of("mlflow", "mlflow", "MLflowCallback") from error
        if registered_model_name is not None and not log_model:
            msg = "MLflowCallback: registered_model_name: needs log_model=True"
            raise ConfigError(msg)
        self._given_uri = tracking_uri
        self._experiment = experiment
        self._run_name = run_name
        self._logs_model = log_model
        self._registered_name = registered_model_name
        self._given_tags = dict(tags or {})
        self._record = RunRecord()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._trained: ModelTrained | None = None
        self._uri = ""
        self._parent: Any = None
        self._kept_id: str | None = None
        self._run: TrackedRun | None = None
        self._is_finished = False
        self._due: list[Any] = []
        self._sent: set[int] = set()
        self._not_before = 0.0
        self._is_away = False

    def on_event(self, event: Event) -> StopRequest | None:
        """Add the event to what is known of the run, and act on it."""
        self._record.take(event)
        return super().on_event(event)

    def on_run_start(self, event: RunStart) -> None:
        """Look where the caller tracks."""
        import mlflow

        self._begin_anew()
        self._uri = self._given_uri or mlflow.get_tracking_uri()
        active = mlflow.active_run()
        if active is not None and self._uri == mlflow.get_tracking_uri():
            self._parent = active.info

    def restore(self, state: dict[str, Any]) -> None:
        """Go on in the MLflow run of the checkpoint."""
        self._kept_id = state["run_id"]

    def state(self) -> dict[str, Any]:
        """The id of the MLflow run."""
        # Of one that could not be reached yet, too.
        run_id = self._run.run_id if self._run else self._kept_id
        return {"run_id": run_id} if run_id else {}

    def on_training_start(self, event: TrainingStart) -> None:
        """Begin the MLflow run, or go on in it."""
        for row in event.state.history:
            self._add(row)
        self._try_to_send()

    def on_round_end(self, event: RoundEnd) -> None:
        """Note the metrics."""
        self._add(event.row)

    def on_visit_end(self, event: VisitEnd) -> None:
        """Send what the visit has come to."""
        if self._record.rows:
            last = self._record.rows[-1].round
            self._due.append(metric("visit_seconds", event.seconds, last))
        self._try_to_send()

    def on_model_trained(self, event: ModelTrained) -> None:
        """Keep the model until the run folder is complete."""
        self._trained = event

    def on_run_end(self, event: RunEnd) -> None:
        """Send the rest, and end the MLflow run."""
        try:
            if self._is_away or self._run is None:
                knock(self._uri)
            run = self._send()
            if self._is_finished:
                return
            self._send_results(run, event)
        except BaseException as error:
            # It lacks what it should have; one that was not to be had cannot be told either.
            if self._run is not None and not is_unreachable(error):
                self._run.end("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        finally:
            self._trained = None
        run.end(STATUS.get(event.stop_reason, "FINISHED"))

    def _add(self, row: Any) -> None:
        # The learning rate last: where the server has it, it has the others.
        self._due += [metric(name, value, row.round) for name, value in values_of(row, "_")]

    def _try_to_send(self) -> None:
        """Send what is due, unless the server has just failed to answer."""
        began = time.monotonic()
        if began < self._not_before:
            return
        try:
            knock(self._uri)
            self._send()
        except Exception as error:
            now = time.monotonic()
            self._not_before = now + PATIENCE * (now - began)
            self._is_away = is_unreachable(error)
            raise
        self._is_away = False

    def _send(self) -> TrackedRun:
        if self._run is None:
            self._run = self._begun()
        if not self._is_finished:
            self._run.log_params(params_of(self._record))
            self._due[:] = [each for each in self._due if each.step not in self._sent]
            self._run.log_metrics(self._due)
        return self._run

    def _begun(self) -> TrackedRun:
        import mlflow

        client = mlflow.MlflowClient(self._uri)
        if self._kept_id is not None:
            found = reopened(client, self._kept_id)
            if found is not None:
                run, self._is_finished = found
                self._sent = run.steps_of("learning_rate")
                return run
            logger.warning("MLflow run %s is not there; a new one begins", self._kept_id)
        tags = tags_of(self._record)
        if self._parent is not None:
            tags["mlflow.parentRunId"] = self._parent.run_id
        experiment_id = self._experiment_id(client)
        return created(client, experiment_id, self._run_name, {**tags, **self._given_tags})

    def _experiment_id(self, client: Any) -> str:
        import mlflow

        if self._experiment is not None:
            return experiment_named(client, self._experiment)
        if self._parent is not None:
            return str(self._parent.experiment_id)
        if self._uri != mlflow.get_tracking_uri():
            return "0"
        # There is no public way to ask what mlflow.set_experiment has set.
        from mlflow.tracking.fluent import _get_experiment_id

        return str(_get_experiment_id())

    def _send_results(self, run: TrackedRun, event: RunEnd) -> None:
        """All that is known at the end alone."""
        record, trained = self._record, self._trained
        run.set_tags(outcome_of(record, event))
        with files_of(record, has_model=trained is not None) as files:
            for path in files:
                run.log_artifact(path)
        linked = {}
        if self._logs_model and trained is not None and record.data is not None:
            linked["model_id"] = send_model(run, trained, record.data, self._registered_name)
        run.log_metrics(results_of(record, event, **linked))
