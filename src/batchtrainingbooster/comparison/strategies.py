"""Is it worth training in batches? The same rounds batch by batch, on all rows, and on a sample."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from batchtrainingbooster.backends.registry import EXTERNAL_MEMORY as HAVE_EXTERNAL_MEMORY
from batchtrainingbooster.comparison.arms import (
    EXTERNAL_MEMORY,
    INCREMENTAL,
    ONE_BATCH,
    Outcome,
    Task,
)
from batchtrainingbooster.comparison.report import Arm, StrategyComparison
from batchtrainingbooster.core.base_trainer import BaseTrainer
from batchtrainingbooster.core.parsing import copy_of
from batchtrainingbooster.core.places import staging_folder
from batchtrainingbooster.core.preparation import Prepared, look_at_more, prepare
from batchtrainingbooster.core.request import parse_request
from batchtrainingbooster.core.serialization import converter
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.placing import place_rows
from batchtrainingbooster.data.staging import stage
from batchtrainingbooster.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)


def compare_strategies(
    trainer: BaseTrainer,
    train_dataframe: DataFrame,
    valid_dataframe: DataFrame | None,
    target_column: str,
    config_model: Mapping[str, Any] | None = None,
    config_training: Mapping[str, Any] | None = None,
    config_lr_scheduler: Mapping[str, Any] | None = None,
    test_dataframe: DataFrame | None = None,
) -> StrategyComparison:
    """Train in batches, on all rows out of core, and on one batch alone, and compare.

    All three train on the same staged batches, with as many rounds, at the same learning rates,
    stopped early on the same validation rows, each in a process of its own.

    Parameters
    ----------
    trainer : BaseTrainer
    train_dataframe, valid_dataframe, target_column
        As for ``fit``.
    config_model, config_training, config_lr_scheduler
        As for ``fit``, without functions and ``init_model``.
    test_dataframe : Spark DataFrame, optional
        Rows that no arm has stopped on; held in memory, like validation rows. Without it, the arms
        are compared by the validation metric.

    Returns
    -------
    StrategyComparison

    Raises
    ------
    ConfigError, DataError, StagingError
        As ``fit`` does, and for settings that cannot be handed to another process.
    """
    name = trainer.backend
    configs = [
        _plain(config, where)
        for config, where in (
            (config_model, "config_model"),
            (config_training, "config_training"),
            (config_lr_scheduler, "config_lr_scheduler"),
        )
    ]
    if configs[1].pop("strategy", "incremental") and "init_model" in configs[1]:
        msg = "config_training: init_model: compare_strategies starts every arm from nothing"
        raise ConfigError(msg)
    model, training, schedule = configs
    request = parse_request(name, model, training, schedule or None)
    start = time.perf_counter()
    prepared = prepare(request, train_dataframe, valid_dataframe, target_column)
    test_job = None if test_dataframe is None else look_at_more(prepared, test_dataframe)
    # Nothing is trained here that could go on later.
    config = attrs.evolve(request.config, checkpoint_dir=None)
    with (
        staging_folder(config, train_dataframe) as folder,
        staging_folder(attrs.evolve(config, staging_dir=None), train_dataframe) as test,
    ):
        manifest = stage(prepared.job, place_rows(prepared.job), folder)
        if test_job is not None:
            stage(test_job, place_rows(test_job), test)
        seconds = time.perf_counter() - start
        tasks = tasks_of(name, configs, prepared, folder, test if test_job else None)
        arms = [Arm(task.arm, in_a_process(task)) for task in tasks]
    return StrategyComparison(
        arms=tuple(arms),
        maximize=prepared.maximize,
        tested=test_job is not None,
        staging_seconds=seconds,
        rows=sum(part.rows for part in manifest.batches),
        num_batches=len(manifest.batches),
        external_memory=HAVE_EXTERNAL_MEMORY,
    )


def _plain(config: Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    """A copy of the settings, which another process can be told.

    Raises
    ------
    ConfigError
        If one is a function or an object.
    """
    copied = copy_of(config, where)
    for key, value in copied.items():
        try:
            json.dumps(value)
        except TypeError:
            msg = (
                f"{where}: {key}: got {type(value).__name__}; compare_strategies trains in other "
                "processes, and can give them texts, numbers, lists and dicts alone"
            )
            raise ConfigError(msg) from None
    return copied


def tasks_of(
    backend: str,
    configs: list[dict[str, Any]],
    prepared: Prepared,
    folder: Folder,
    test: Folder | None,
) -> list[Task]:
    """What each arm is told."""
    names = [INCREMENTAL, EXTERNAL_MEMORY, ONE_BATCH]
    if backend not in HAVE_EXTERNAL_MEMORY:
        names.remove(EXTERNAL_MEMORY)
    model, training, schedule = configs
    weights = prepared.class_weights
    return [
        Task(
            arm=arm,
            backend=backend,
            config_model=model,
            config_training=training,
            config_lr_scheduler=schedule or None,
            problem=prepared.problem,
            class_weights=None if weights is None else weights.tolist(),
            staging_dir=folder.uri,
            test_dir=None if test is None else test.uri,
        )
        for arm in names
    ]


def in_a_process(task: Task) -> Outcome | str:
    """What came of an arm, or why it failed."""
    logger.info("Comparing: %s", task.arm)
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "task.json"), Path(folder, "outcome.json")
        given.write_text(json.dumps(converter.unstructure(task)), encoding="utf-8")
        module = "batchtrainingbooster.comparison.arms"
        command = [sys.executable, "-m", module, str(given), str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            return said[-1] if said else f"killed by signal {-done.returncode}"
        return converter.structure(json.loads(made.read_text(encoding="utf-8")), Outcome)
