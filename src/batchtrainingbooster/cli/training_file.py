"""The YAML file of ``batchtrainingbooster train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from batchtrainingbooster.backends.registry import BACKENDS
from batchtrainingbooster.cli.strict_yaml import load_yaml
from batchtrainingbooster.core.parsing import build, copy_of, shown
from batchtrainingbooster.errors import ConfigError, did_you_mean

# Some 30,000 names of columns.
MAX_BYTES = 2**20


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
    values = copy_of(load_yaml(_text(file), str(file)), str(file))
    for key in ("train", "valid", "test"):
        if isinstance(values.get(key), dict):
            where = f"{file}: {key}"
            table = build(Table, copy_of(values[key], where), where)
            path = table.path and _absolute(table.path, file, f"{key}: path")
            values[key] = attrs.evolve(table, path=path)
    if isinstance(values.get("model_dir"), str):
        values["model_dir"] = _absolute(values["model_dir"], file, "model_dir")
    training = values.get("config_training")
    if isinstance(training, dict):
        places = {
            key: _absolute(training[key], file, f"config_training: {key}")
            for key in ("staging_dir", "checkpoint_dir", "run_dir", "init_model")
            if isinstance(training.get(key), str)
        }
        values["config_training"] = {**training, **places}
    return build(TrainingFile, values, str(file))


def _text(file: Path) -> str:
    """What a file says, if it is one that people write.

    Raises
    ------
    ConfigError
        If it cannot be read, is too large, or is no text.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    if len(content) > MAX_BYTES:
        msg = f"{file}: larger than {MAX_BYTES:,} bytes, so it is no config file"
        raise ConfigError(msg)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        msg = f"{file}: no YAML: byte {error.start + 1:,} is no UTF-8; save the file as UTF-8"
        raise ConfigError(msg) from error


def _absolute(path: str, file: Path, where: str) -> str:
    """A path as seen from the config file's folder.

    Raises
    ------
    ConfigError
        If no file can have that name.
    """
    if "\0" in path or any("\ud800" <= character <= "\udfff" for character in path):
        msg = f"{file}: {where}: got {shown(path)}, which no file can be called"
        raise ConfigError(msg)
    return path if "://" in path else str(file.parent.absolute() / path)
