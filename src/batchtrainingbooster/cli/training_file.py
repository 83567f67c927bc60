"""The YAML file of ``batchtrainingbooster train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import yaml

from batchtrainingbooster.backends.registry import BACKENDS
from batchtrainingbooster.core.parsing import build, copy_of
from batchtrainingbooster.errors import ConfigError, did_you_mean


@attrs.frozen(kw_only=True)
class Table:
    """Where Spark reads a table.

    Attributes
    ----------
    path : str, optional
        None for formats that need none, such as JDBC.
    format : str
        Any that Spark reads.
    options : dict
        Of its reader.
    """

    path: str | None = None
    format: str = "parquet"
    options: dict[str, str | int | float | bool] = attrs.field(factory=dict)


def _known_trainer(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if value not in BACKENDS:
        hint = did_you_mean(value, BACKENDS)
        msg = f"{attribute.name}: got {value!r}{hint}, need one of {', '.join(BACKENDS)}"
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class TrainingFile:
    """What a file says."""

    trainer: str = attrs.field(default="xgboost", validator=_known_trainer)
    target_column: str
    train: Table
    valid: Table | None = None
    test: Table | None = None
    config_model: dict[str, Any] = attrs.field(factory=dict)
    config_training: dict[str, Any] = attrs.field(factory=dict)
    config_lr_scheduler: dict[str, Any] | None = None
    model_dir: str
    spark: dict[str, str | int | float | bool] = attrs.field(factory=dict)


def read_training_file(file: Path) -> TrainingFile:
    """The settings in a file; relative paths are relative to its folder.

    Raises
    ------
    ConfigError
        If it is no YAML, or holds unknown keys or bad values.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        msg = f"{file}: no YAML: {text}"
        raise ConfigError(msg) from error
    values = copy_of(content, str(file))
    for key in ("train", "valid", "test"):
        if isinstance(values.get(key), dict):
            table = build(Table, copy_of(values[key], f"{file}: {key}"), f"{file}: {key}")
            path = table.path and _absolute(table.path, file.parent)
            values[key] = attrs.evolve(table, path=path)
    if isinstance(values.get("model_dir"), str):
        values["model_dir"] = _absolute(values["model_dir"], file.parent)
    training = values.get("config_training")
    if isinstance(training, dict):
        places = {
            key: _absolute(training[key], file.parent)
            for key in ("staging_dir", "run_dir", "init_model")
            if isinstance(training.get(key), str)
        }
        values["config_training"] = {**training, **places}
    return build(TrainingFile, values, str(file))


def _absolute(path: str, folder: Path) -> str:
    return path if "://" in path else str(folder.absolute() / path)
