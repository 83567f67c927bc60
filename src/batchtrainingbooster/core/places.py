"""The folders of a run, which the user has named or which are its own for as long as it lasts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.lock import FolderLock
from batchtrainingbooster.data.spark_errors import spark_failures
from batchtrainingbooster.data.staging import unstage
from batchtrainingbooster.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


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
    if config.staging_dir is not None and Folder(config.staging_dir).holds(folder):
        msg = (
            f"config_training: checkpoint_dir: {folder} is staging_dir, or lies within it; staged "
            "batches need a folder that holds nothing else"
        )
        raise ConfigError(msg)
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
    with spark_failures("asking Spark for spark.master"):
        master = str(frame.sparkSession.conf.get("spark.master", "local"))
    if not master.startswith("local") and (beside is None or beside.local_path is not None):
        msg = (
            f"config_training: staging_dir: needed with spark.master={master}: "
            "a path or URI that the executors and this process both reach"
        )
        raise ConfigError(msg)
    if beside is not None:
        yield beside
        unstage(beside)
        return
    with tempfile.TemporaryDirectory(prefix="batchtrainingbooster-") as path:
        yield Folder(path)
