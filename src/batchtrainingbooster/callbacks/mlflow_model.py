"""The model as MLflow keeps models: in its ``pyfunc`` flavour, without pickle."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from batchtrainingbooster.callbacks.mlflow_run import TrackedRun, is_unreachable
from batchtrainingbooster.core.events import ModelTrained, StagingEnd
from batchtrainingbooster.versions import installed

PACKAGE = "batchtrainingbooster"
NAME = "model"
LOADER = f"{PACKAGE}.model.mlflow_flavor"

TEXT, BOOLEAN, FRACTIONAL = ("string", "varchar", "char"), ("boolean",), ("float", "double")
INTEGER = ("tinyint", "smallint", "int", "bigint")


def log_model(
    run: TrackedRun, trained: ModelTrained, data: StagingEnd, registered: str | None
) -> str:
    """Save the model, send it, and register it where it is to have a name.

    Parameters
    ----------
    run : TrackedRun
    trained : ModelTrained
    data : StagingEnd
    registered : str, optional
        Name in the model registry.

    Returns
    -------
    str
        Its id.
    """
    client = run.client
    logged = client.create_logged_model(run.experiment_id, NAME, source_run_id=run.run_id)
    model_id = str(logged.model_id)
    try:
        with TemporaryDirectory() as place:
            folder = Path(place) / NAME
            _save(
                trained, data, folder,
                run_id=run.run_id, model_id=model_id, artifact_path=logged.artifact_location,
            )  # fmt: skip
            client.log_model_artifacts(model_id, str(folder))
    except BaseException as error:
        if not is_unreachable(error):
            client.finalize_logged_model(model_id, "FAILED")
        raise
    client.finalize_logged_model(model_id, "READY")
    _link(run, model_id)
    if registered is not None:
        _register(run, model_id, registered)
    return model_id


def _save(trained: ModelTrained, data: StagingEnd, folder: Path, **identity: str) -> None:
    """Write a folder that ``mlflow.pyfunc`` loads."""
    import mlflow.pyfunc
    from mlflow.models import Model

    info = trained.model.info
    with TemporaryDirectory() as place:
        own = Path(place) / NAME
        trained.model.save(own)
        # Named, as MLflow would find them out by loading the model in another process.
        versions = {**installed(PACKAGE), info.backend: info.backend_version}
        requirements = [
            name if version == "unknown" else f"{name}=={version}"
            for name, version in versions.items()
        ]
        mlflow.pyfunc.save_model(
            str(folder),
            loader_module=LOADER,
            data_path=str(own),
            signature=signature(data),
            input_example=example(trained.example, data.column_types),
            pip_requirements=requirements,
            mlflow_model=Model(model_uuid=identity["model_id"], **identity),
        )


def _link(run: TrackedRun, model_id: str) -> None:
    from mlflow.entities import LoggedModelOutput

    run.client.log_outputs(run.run_id, [LoggedModelOutput(model_id, step=0)])


def _register(run: TrackedRun, model_id: str, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        run.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
    run.client.create_model_version(name, f"models:/{model_id}", run.run_id, model_id=model_id)


def signature(data: StagingEnd) -> Any:
    """What the model takes and gives.

    Texts, booleans and fractions have MLflow's type for them. All else is of any type, but must be
    there: MLflow refuses the integers of pandas for a column of doubles, and its integers with
    missing values, which are doubles, for a column of integers.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    def type_of(spark_type: str) -> Any:
        # It may go on with a length, a precision or a collation.
        name = re.split(r"\W", spark_type, maxsplit=1)[0]
        if name in TEXT:
            return DataType.string
        if name in BOOLEAN:
            return DataType.boolean
        return DataType.double if name in FRACTIONAL else AnyType()

    inputs = [ColSpec(type_of(kind), name) for name, kind in data.column_types.items()]
    by_label = {str: DataType.string, bool: DataType.boolean, int: DataType.long}
    label = type(data.classes[0]) if data.classes else float
    proba = ParamSchema([ParamSpec("proba", DataType.boolean, default=False)])
    return ModelSignature(
        Schema(inputs),
        Schema([ColSpec(by_label.get(label, DataType.double))]),
        proba if data.classes else None,
    )


def example(rows: Any, column_types: dict[str, str]) -> Any:
    """Rows as a pandas DataFrame of the types that the user's own has; None without any."""
    if rows is None:
        return None
    import pandas as pd

    columns = {}
    for name, kind in column_types.items():
        cast = int if kind in INTEGER else bool if kind in BOOLEAN else None
        values = rows[name].to_pylist()
        if cast and rows[name].type == "double":
            values = [None if value is None else cast(value) for value in values]
        columns[name] = pd.Series(values)
    return pd.DataFrame(columns)
