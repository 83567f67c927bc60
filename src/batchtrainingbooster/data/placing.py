"""Where the rows go: how many batches, and how many rows of each stratum in each."""

from __future__ import annotations

import logging
from functools import partial

import numpy as np

from batchtrainingbooster.core.batching import (
    DEFAULT_NUM_BATCHES,
    FEW_ROWS,
    HELD_OUT,
    OVERHEAD_BYTES,
    RowMemory,
    num_batches_for,
    plan_strata,
)
from batchtrainingbooster.core.fitting import Load
from batchtrainingbooster.core.grouping import assign_buckets
from batchtrainingbooster.core.table import TableSchema, TargetKind
from batchtrainingbooster.data.writing import Placement, StagingJob
from batchtrainingbooster.errors import ConfigError

logger = logging.getLogger(__name__)


def place_rows(job: StagingJob) -> Placement:
    """Where each row goes: arithmetic on what the profile has counted.

    Raises
    ------
    ConfigError
        If the number of batches does not fit the rows, or the budget holds none.
    """
    config, counts = job.config, job.train_profile.counts
    held_out = config.validation_fraction if job.valid is None else None
    num_batches = config.num_batches
    if num_batches is None:
        num_batches = _default_num_batches(job, placement_of(job, counts, 1, held_out), held_out)
    placement = placement_of(job, counts, num_batches, held_out)
    training = [sum(rows) for rows in zip(*placement.batches, strict=True)]
    rare = [
        f"{label!r} ({rows} rows)"
        for label, rows in zip(job.train_profile.classes, training, strict=False)
        if rows < num_batches
    ]
    if rare:
        logger.warning(
            "Classes with fewer rows than there are batches (%d), so some batches have none of "
            "them: %s", num_batches, ", ".join(rare),
        )  # fmt: skip
    per_batch = sum(training) // num_batches
    if config.strategy == "incremental" and num_batches > 1 and per_batch < FEW_ROWS:
        logger.warning(
            "%s rows a batch: with fewer than %s, each tree fits the noise of its batch, and the "
            "model is worse than one of all rows. Take fewer batches if memory allows (all rows "
            "take about %.2g GB), or strategy='external_memory'; `batchtrainingbooster compare` "
            "measures it", f"{per_batch:,}", f"{FEW_ROWS:,}",
            (OVERHEAD_BYTES + sum(training) * _row_memory(job).bytes) / 1e9,
        )  # fmt: skip
    return placement


def row_memory(schema: TableSchema, bytes_per_output: int) -> RowMemory:
    """What a row takes in training."""
    target = schema.target
    outputs = len(target.classes) if target.kind is TargetKind.MULTICLASS else 1
    return RowMemory(schema.n_columns, outputs, bytes_per_output)


def load_of(job: StagingJob, placement: Placement) -> Load:
    """What a run over these batches loads."""
    return Load(
        batch_rows=tuple(map(sum, placement.batches)),
        validation_rows=job.valid_profile.rows if job.valid_profile else sum(placement.held_out),
        row=_row_memory(job),
        external_memory=job.config.strategy == "external_memory",
    )


def _row_memory(job: StagingJob) -> RowMemory:
    return row_memory(job.schema, job.bytes_per_output)


def placement_of(
    job: StagingJob, counts: np.ndarray, num_batches: int, held_out: float | None
) -> Placement:
    """Strata are split, buckets of queries are not; see ``Profile.counts``."""
    if job.columns.group is not None:
        (rows,) = counts
        buckets = assign_buckets(rows, num_batches, held_out)
        sums = np.bincount(buckets + 1, weights=rows, minlength=num_batches + 1).astype(int)
        batches = tuple((int(n),) for n in sums[1:])
        return Placement(batches=batches, held_out=(int(sums[0]),), strata=[], buckets=buckets)
    strata = plan_strata(counts.sum(axis=1).tolist(), num_batches, held_out)
    by_stratum = [stratum.batch_counts(num_batches) for stratum in strata]
    return Placement(
        batches=tuple(zip(*by_stratum, strict=True)),
        held_out=tuple(stratum.held_out for stratum in strata),
        strata=strata,
    )


def _default_num_batches(job: StagingJob, whole: Placement, held_out: float | None) -> int:
    """As few as fit into the budget; without one, a fixed number.

    Raises
    ------
    ConfigError
        If the budget does not hold the largest query.
    """
    budget, counts = job.config.memory_budget, job.train_profile.counts
    training_rows = n_parts = sum(whole.batches[0])
    if whole.buckets is not None:
        parts = counts[0][(counts[0] > 0) & (whole.buckets != HELD_OUT)]
        n_parts = len(parts)
    if budget is None:
        num_batches = min(DEFAULT_NUM_BATCHES, n_parts)
        logger.info("Batches: %d, as neither num_batches nor memory_budget is given", num_batches)
        return num_batches
    row, external_memory = _row_memory(job), job.config.strategy == "external_memory"
    count = partial(num_batches_for, row=row, external_memory=external_memory)
    valid_rows = job.valid_profile.rows if job.valid_profile else sum(whole.held_out)
    # Each worker holds its share of a batch, and of the validation rows.
    workers = job.config.num_workers or 1
    valid_rows = -(-valid_rows // workers)
    num_batches, words = count(budget, -(-training_rows // workers), valid_rows)
    logger.info("Batches: %s%s", words, f" of {workers} workers" * (workers > 1))
    if whole.buckets is None:
        return num_batches

    def fits(rows: int) -> bool:
        # What stays in memory of the other batches' rows.
        others = (training_rows - rows) * row.resident_bytes * external_memory
        return count(budget - others, rows, valid_rows)[0] == 1

    if not fits(parts.max()):
        msg = (
            f"config_training: memory_budget: {budget:,} bytes do not hold the largest query, or "
            f"queries that go together: {parts.max():,} rows that are never split; raise the budget"
        )
        raise ConfigError(msg)
    # Batches of whole queries are not equal, so that as many as this may not all fit.
    fewest = num_batches
    while not fits(max(placement_of(job, counts, num_batches, held_out).batches)[0]):
        num_batches += 1
    if num_batches > fewest:
        logger.info("Batches: %d, as queries are not split", num_batches)
    return num_batches
