"""Writing the batches once from Spark to storage.

::

    profile (one job) -> plan -> shuffle, sort, assign, write (one job) -> count what was written
                                                                        -> manifest, last

The source is evaluated twice: to be profiled and to be written. What was written is counted from
the staged files; a source that gave other rows at its second reading is found out there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pyarrow as pa

from batchtrainingbooster.core.batching import (
    DEFAULT_NUM_BATCHES,
    FEW_ROWS,
    HELD_OUT,
    OVERHEAD_BYTES,
    RowMemory,
    num_batches_for,
    plan_strata,
)
from batchtrainingbooster.core.grouping import assign_buckets
from batchtrainingbooster.core.serialization import converter
from batchtrainingbooster.core.table import Feature, TableSchema, Target, TargetKind
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.manifest import (
    FILE,
    FORMAT_VERSION,
    Manifest,
    Part,
    read_manifest,
    write_manifest,
)
from batchtrainingbooster.data.profile import Profile
from batchtrainingbooster.data.source import Source
from batchtrainingbooster.data.writing import Placement, StagingJob, write_frame
from batchtrainingbooster.errors import ConfigError, DataError, StagingError

logger = logging.getLogger(__name__)

_UNFINISHED = "UNFINISHED"


def schema_of(source: Source, found: Profile, kind: TargetKind) -> TableSchema:
    """The schema, with the dictionaries and widths that the profile has found.

    Raises
    ------
    DataError
        If two columns of the matrix would have one name.
    """
    features = [
        Feature(
            name=feature.name,
            kind=feature.kind,
            categories=found.categories.get(i, ()),
            width=found.widths.get(i, 1),
        )
        for i, feature in enumerate(source.columns.features)
    ]
    target_type = source.columns.target_type.simpleString()
    target = Target(source.columns.target, kind, target_type, found.classes)
    schema = TableSchema(tuple(features), target)
    names = schema.column_names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"two feature columns would be called {twice!r} once arrays are spread; rename one"
        raise DataError(msg)
    return schema


def stage(job: StagingJob, folder: Folder) -> Manifest:
    """Write batches and validation rows, or find them written already.

    Parameters
    ----------
    job : StagingJob
    folder : Folder
        Empty, or holding the staging of the same rows under the same settings.

    Returns
    -------
    Manifest

    Raises
    ------
    StagingError
        If the folder holds something else, or what was written is not what was planned.
    ConfigError
        If the number of batches does not fit the rows.
    """
    placement = _plan(job)
    num_batches = len(placement.batches)
    fingerprint = _fingerprint(job, num_batches)
    names = folder.names()
    if FILE in names:
        manifest = read_manifest(folder)
        if manifest.fingerprint == fingerprint:
            logger.info("Batches: reusing %s, staged from the same rows", folder.uri)
            return manifest
        msg = (
            f"{folder.uri} holds batches staged from other rows or with other settings; "
            "name another staging_dir, or delete it"
        )
        raise StagingError(msg)
    if names and _UNFINISHED not in names:
        msg = (
            f"{folder.uri} is not empty and not ours (it has {names[0]}); name another staging_dir"
        )
        raise StagingError(msg)
    start = time.perf_counter()
    folder.clear()
    folder.write_json(_UNFINISHED, {"about": "staging has not finished; safe to delete"})
    batches, validation = _write(job, folder, placement)
    found = job.train_profile
    manifest = Manifest(
        fingerprint=fingerprint,
        seed=job.config.seed,
        schema=job.schema,
        bins=found.bins.edges if found.bins else (),
        weighted=job.columns.weight is not None,
        grouped=job.columns.group is not None,
        source_rows=found.rows,
        source_checksum=f"{found.checksum:016x}",
        batches=batches,
        validation=validation,
        versions=_versions(),
    )
    write_manifest(folder, manifest)
    folder.delete(_UNFINISHED)
    logger.info(
        "Staged %s rows as %d batches in %.1f s at %s",
        f"{found.rows:,}", num_batches, time.perf_counter() - start, folder.uri,
    )  # fmt: skip
    return manifest


def _plan(job: StagingJob) -> Placement:
    """Where each row goes."""
    config, counts = job.config, job.train_profile.counts
    held_out = config.validation_fraction if job.valid is None else None
    num_batches = config.num_batches
    if num_batches is None:
        num_batches = _default_num_batches(job, _place(job, counts, 1, held_out), held_out)
    placement = _place(job, counts, num_batches, held_out)
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


def _row_memory(job: StagingJob) -> RowMemory:
    target = job.schema.target
    outputs = len(target.classes) if target.kind is TargetKind.MULTICLASS else 1
    return RowMemory(job.schema.n_columns, outputs, job.bytes_per_output)


def _place(
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
    num_batches, words = count(budget, training_rows, valid_rows)
    logger.info("Batches: %s", words)
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
    while not fits(max(_place(job, counts, num_batches, held_out).batches)[0]):
        num_batches += 1
    if num_batches > fewest:
        logger.info("Batches: %d, as queries are not split", num_batches)
    return num_batches


def _write(
    job: StagingJob, folder: Folder, placement: Placement
) -> tuple[tuple[Part, ...], Part | None]:
    """Write all parts, count them, and compare them with the plan."""
    wanted = dict(enumerate(placement.batches))
    if any(placement.held_out):
        wanted[HELD_OUT] = placement.held_out
    parts = write_frame(job, job.train, job.train_profile, placement, folder, "train")
    _compare(parts, wanted, job.train_profile, "train_dataframe")
    validation = parts.pop(HELD_OUT, None)
    if job.valid is not None and job.valid_profile is not None:
        found = job.valid_profile
        one_batch = _place(job, found.counts, 1, None)
        valid_parts = write_frame(job, job.valid, found, one_batch, folder, "valid")
        _compare(valid_parts, {0: one_batch.batches[0]}, found, "valid_dataframe")
        validation = valid_parts[0]
    return tuple(parts[name] for name in sorted(parts)), validation


def _compare(
    parts: dict[int, Part], wanted: dict[int, tuple[int, ...]], found: Profile, where: str
) -> None:
    """Refuse to go on if what lies on storage is not what was planned.

    Raises
    ------
    StagingError
        If rows are missing, doubled, or in another batch.
    """
    rows = sum(part.rows for part in parts.values())
    total = sum(int(part.checksum, 16) for part in parts.values()) % 2**64
    if rows != found.rows or total != found.checksum:
        msg = (
            f"{where}: {found.rows:,} rows were counted, and {rows:,} rows with other contents were"
            " written: the DataFrame gives other rows each time it is evaluated. Write it to "
            "storage first, or make its plan deterministic"
        )
        if rows != found.rows:
            msg = msg.replace(" with other contents", "")
        raise StagingError(msg)
    written = {name: part.strata for name, part in parts.items()}
    if written != {name: strata for name, strata in wanted.items() if sum(strata)}:
        msg = (
            f"{where}: rows did not land in the batches that were planned, so this Spark shuffles "
            "or sorts in a way of its own; please report it with the output of spark.version"
        )
        raise StagingError(msg)


def _fingerprint(job: StagingJob, num_batches: int) -> str:
    """Identity of the rows, by their checksums, and of all settings that decide what is staged."""
    validation = job.valid_profile
    identity: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "schema": converter.unstructure(job.schema),
        "rows": [job.train_profile.rows, job.train_profile.checksum],
        "validation": [validation.rows, validation.checksum] if validation else None,
        "validation_fraction": job.config.validation_fraction if validation is None else None,
        "weight_column": job.columns.weight,
        "group_column": job.columns.group,
        "seed": job.config.seed,
        "num_batches": num_batches,
    }
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _versions() -> dict[str, str]:
    versions = {"pyarrow": pa.__version__}
    for name in ("batchtrainingbooster", "pyspark", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"
    return versions
