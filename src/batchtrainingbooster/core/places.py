"""The folders of a run, which the user has named or which are its own for as long as it lasts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING

from batchtrainingbooster.callbacks.run_folder import MODEL, OWN, local_folder
from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.redaction import without_secrets
from batchtrainingbooster.data.connect import sees
from batchtrainingbooster.data.filesystem import (
    Folder,
    is_within,
    place_of,
    refuse_impossible_name,
)
from batchtrainingbooster.data.lock import FolderLock
from batchtrainingbooster.data.sessions import is_connect, is_one_process, master_of
from batchtrainingbooster.data.staging import unstage
from batchtrainingbooster.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


# Of two folders, one of which must not be the other, nor lie within it; the reason is the other's.
_APART = (
    ("checkpoint_dir", "staging_dir"), ("run_dir", "staging_dir"), ("model_dir", "staging_dir"),
    ("run_dir", "checkpoint_dir"), ("run_dir", "model_dir"),
    ("staging_dir", "model_dir"), ("checkpoint_dir", "model_dir"),
)  # fmt: skip
_REASONS = {
    "staging_dir": "staged batches need a folder that holds nothing else",
    "checkpoint_dir": "what a run leaves needs a folder of its own; checkpoints may lie within it",
    "model_dir": "a model that is saved there replaces all that the folder holds",
}


def refuse_folders_within_others(config: TrainingConfig, model_dir: str | None = None) -> None:
    """Refuse folders of a run of which one would take the place of another, or of its files.

    Parameters
    ----------
    config : TrainingConfig
    model_dir : str, optional
        Where the model is to be saved, once the run has come to its end.

    Raises
    ------
    ConfigError
        Naming both.
    """
    run_dir = None if config.run_dir is None else str(local_folder(config.run_dir))
    given = {
        "staging_dir": config.staging_dir,
        "checkpoint_dir": config.checkpoint_dir,
        "run_dir": run_dir,
        "model_dir": model_dir,
    }
    folders = {key: folder for key, folder in given.items() if folder is not None}
    for key, folder in folders.items():
        refuse_impossible_name(folder, _where(key))
    places = {key: place_of(folder) for key, folder in folders.items()}
    for inner, outer in _APART:
        if inner in places and outer in places and is_within(places[inner], places[outer]):
            msg = (
                f"{_where(inner)}: {_shown(folders[inner])} is {outer}, or lies within it; "
                f"{_REASONS[outer]}"
            )
            raise ConfigError(msg)
    if run_dir is not None:
        _refuse_files_of_the_run(run_dir, places, folders)


def _refuse_files_of_the_run(run_dir: str, places: dict[str, str], folders: dict[str, str]) -> None:
    """Refuse folders that are, or lie within, what a run writes to its own folder."""
    for name, key in product(OWN, ("staging_dir", "checkpoint_dir", "model_dir")):
        own = f"{places['run_dir']}/{name}"
        if key not in places or not is_within(places[key], own):
            continue
        # Where the run saves the model anyway.
        if not (key == "model_dir" and name == MODEL and places[key] == own):
            msg = (
                f"{_where(key)}: {_shown(folders[key])} is {run_dir}/{name}, or lies within it, "
                "which the run writes to run_dir; name another folder, in run_dir or elsewhere"
            )
            raise ConfigError(msg)


def _where(key: str) -> str:
    return key if key == "model_dir" else f"config_training: {key}"


def _shown(folder: str) -> str:
    return without_secrets(folder.removeprefix("file://"))


@contextmanager
def checkpoint_folder(config: TrainingConfig) -> Iterator[tuple[Folder, FolderLock] | None]:
    """The folder that the user named, if any, for this run alone."""
    if config.checkpoint_dir is None:
        if config.resume == "must":
            msg = "config_training: resume: 'must' needs checkpoint_dir, where to go on from"
            raise ConfigError(msg)
        yield None
        return
    folder = Folder(config.checkpoint_dir)
    with FolderLock(folder, "checkpoint_dir", CheckpointError) as lock:
        yield folder, lock


@contextmanager
def staging_folder(config: TrainingConfig, frame: DataFrame) -> Iterator[Folder]:
    """The folder that the user named; else one that is removed once the run has come to its end.

    With checkpoints, that lies beside them, and stays if the run fails, to be used again.
    """
    if config.staging_dir is not None:
        yield Folder(config.staging_dir)
        return
    beside = None
    # Spark cannot write to a URI with options behind a question mark.
    if config.checkpoint_dir is not None and "?" not in config.checkpoint_dir:
        beside = Folder(config.checkpoint_dir).within("staged")
    master = master_of(frame.sparkSession)
    if not is_one_process(master) and (beside is None or beside.local_path is not None):
        msg = (
            f"config_training: staging_dir: needed with spark.master={master}: "
            "a path or URI that the executors and this process both reach"
        )
        raise ConfigError(msg)
    if beside is not None:
        if beside.local_path is not None:
            _refuse_folder_that_a_server_does_not_see(frame, Folder(str(beside.local_path.parent)))
        yield beside
        unstage(beside)
        return
    with tempfile.TemporaryDirectory(prefix="batchtrainingbooster-") as path:
        _refuse_folder_that_a_server_does_not_see(frame, Folder(path))
        yield Folder(path)


def _refuse_folder_that_a_server_does_not_see(frame: DataFrame, folder: Folder) -> None:
    if is_connect(frame) and not sees(frame, folder):
        msg = (
            "config_training: staging_dir: needed, as the Spark Connect server does not see "
            f"{folder}, which is on this machine: a path or URI that the server, its executors "
            "and this process all reach"
        )
        raise ConfigError(msg)
