"""A run on an MLflow server, addressed by its id.

MLflow's own "active run" belongs to the caller, and stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from batchtrainingbooster.callbacks.metric_names import plain

# The server refuses more in one call, and longer names.
MAX_METRICS, MAX_PARAMS = 1000, 100
MAX_KEY = 250
# Seconds.
ANSWERS_IN = 5
FAILURE = "failure"


class TrackedRun:
    """What is sent to a run, in as few calls as the server takes.

    Parameters
    ----------
    client : MlflowClient
    run_id : str
    experiment_id : str
    known : container of str
        Parameters that the server has; they are not sent again.

    Attributes
    ----------
    client, run_id, experiment_id
        As given.
    """

    def __init__(
        self, client: Any, run_id: str, experiment_id: str, known: Iterable[str] = ()
    ) -> None:
        self.client = client
        self.run_id = run_id
        self.experiment_id = experiment_id
        self._known = set(known)

    def log_params(self, params: Mapping[str, str]) -> None:
        """Send those that the server does not have."""
        from mlflow.entities import Param

        new = [Param(key, text) for key, text in params.items() if key not in self._known]
        for start in range(0, len(new), MAX_PARAMS):
            self._log(params=new[start : start + MAX_PARAMS])
        self._known |= set(params)

    def log_metrics(self, metrics: list[Any]) -> None:
        """Send them, and take out of the list what the server has."""
        while metrics:
            self._log(metrics=metrics[:MAX_METRICS])
            del metrics[:MAX_METRICS]

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        all_tags = [RunTag(key, text) for key, text in tags.items()]
        for start in range(0, len(all_tags), MAX_PARAMS):
            self._log(tags=all_tags[start : start + MAX_PARAMS])

    def _log(self, **entities: Sequence[Any]) -> None:
        # Else MLflow's environment variables may turn it into a call that reports no error.
        self.client.log_batch(self.run_id, **entities, synchronous=True)

    def log_artifact(self, path: Path) -> None:
        """Send a file, or a folder."""
        self.client.log_artifact(self.run_id, str(path))

    def steps_of(self, metric: str) -> set[int]:
        """The steps that the server has a value for."""
        return {each.step for each in self.client.get_metric_history(self.run_id, metric)}

    def end(self, status: str) -> None:
        """Say that nothing more will come."""
        self.client.set_terminated(self.run_id, status)


def created(
    client: Any, experiment_id: str, name: str | None, tags: Mapping[str, str]
) -> TrackedRun:
    """A new run, which is said to come from where MLflow says that its runs come from."""
    from mlflow.tracking.context.registry import resolve_tags

    run = client.create_run(experiment_id, tags=resolve_tags(dict(tags)), run_name=name)
    return TrackedRun(client, run.info.run_id, experiment_id)


def reopened(client: Any, run_id: str) -> tuple[TrackedRun, bool] | None:
    """An earlier run, running again, and whether it has been finished: then it stays as it is.

    None where it was deleted, or never was on this server.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    if run.info.lifecycle_stage == "deleted":
        return None
    is_finished = run.info.status == "FINISHED"
    if not is_finished:
        if FAILURE in run.data.tags:
            client.delete_tag(run_id, FAILURE)
        client.update_run(run_id, status="RUNNING")
    return TrackedRun(client, run_id, run.info.experiment_id, run.data.params), is_finished


def experiment_named(client: Any, name: str) -> str:
    """The id of an experiment, which is made where there is none of this name."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            # Another run may have made it in the meantime.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def metric(name: str, value: float, step: int, **other: str) -> Any:
    """A value, as of now: one that is sent twice for lack of an answer counts once."""
    from mlflow.entities import Metric

    return Metric(plain(name)[:MAX_KEY], value, int(time.time() * 1000), step, **other)


def knock(uri: str) -> None:
    """Fail at once where a server does not answer: MLflow itself would try for minutes."""
    import requests

    if uri.startswith(("http://", "https://")):
        # Whether certificates matter is for MLflow to say.
        with suppress(requests.exceptions.SSLError):
            requests.get(f"{uri.rstrip('/')}/health", timeout=ANSWERS_IN, allow_redirects=False)


def is_unreachable(error: BaseException | None) -> bool:
    """Whether it comes from a server that does not answer, even after retries."""
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import RetryError, Timeout

    while error is not None:
        if isinstance(error, NoConnection | RetryError | Timeout):
            return True
        error = error.__cause__ or error.__context__
    return False
