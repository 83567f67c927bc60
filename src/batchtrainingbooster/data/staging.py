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
from typing import Any
from uuid import uuid4

import pyarrow as pa

from batchtrainingbooster.core.batching import HELD_OUT
from batchtrainingbooster.core.config import Label
from batchtrainingbooster.core.identity import differences, in_words
from batchtrainingbooster.core.redaction import said
from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema, Target, TargetKind
from batchtrainingbooster.data.files import refuse_other_files, storage_failures
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.lock import FILE as LOCK
from batchtrainingbooster.data.lock import FolderLock
from batchtrainingbooster.data.manifest import (
    UNFINISHED,
    Manifest,
    Part,
    is_whole,
    read_manifest,
    write_manifest,
)
from batchtrainingbooster.data.placing import placement_of
from batchtrainingbooster.data.profile import Profile
from batchtrainingbooster.data.source import Source
from batchtrainingbooster.data.spark_errors import spark_failures
from batchtrainingbooster.data.writing import Placement, StagingJob, write_frame
from batchtrainingbooster.errors import DataError, StagingError
from batchtrainingbooster.versions import installed

logger = logging.getLogger(__name__)


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


def stage(
    job: StagingJob, placement: Placement, folder: Folder, *, replace: bool = False
) -> Manifest:
    """Write batches and validation rows, or find them written already.

    Parameters
    ----------
    job : StagingJob
    placement : Placement
        Where its rows go.
    folder : Folder
        Empty, or holding the staging of the same rows under the same settings.
    replace : bool
        Whether it may hold that of others, which goes then.

    Returns
    -------
    Manifest

    Raises
    ------
    StagingError
        If the folder holds something else, another process is writing to it, or what was written
        is not what was planned.
    """
    identity = staged_identity(job, placement)
    with spark_failures("staging"), storage_failures(StagingError, f"staging to {folder} failed"):
        manifest = _written_already(folder, identity, replace=replace)
        if manifest is not None:
            return manifest
        with FolderLock(folder, "staging_dir", StagingError) as lock:
            # Another process may have come to its end meanwhile.
            manifest = _written_already(folder, identity, replace=replace)
            return manifest or _stage(job, placement, folder, identity, lock)


def unstage(folder: Folder) -> None:
    """Delete a staged folder, so that what is left if this ends midway is never taken for whole."""
    try:
        if folder.names():
            _empty(folder)
        folder.remove()
    except (OSError, pa.ArrowException) as error:
        logger.warning("%s cannot be deleted: %s", folder, said(error))


def _stage(
    job: StagingJob,
    placement: Placement,
    folder: Folder,
    identity: dict[str, Any],
    lock: FolderLock,
) -> Manifest:
    start = time.perf_counter()
    _empty(folder)
    # A name of its own, as tasks of a run that died may still be writing where that one wrote.
    data_folder = f"data-{uuid4().hex[:12]}"
    folder.make_folder(data_folder)
    batches, validation = _write(job, folder, placement, data_folder)
    _restrict(folder, data_folder)
    found = job.train_profile
    manifest = Manifest(
        identity=identity,
        seed=job.config.seed,
        schema=job.schema,
        bins=found.bins.edges if found.bins else (),
        weighted=job.columns.weight is not None,
        grouped=job.columns.group is not None,
        source_rows=found.rows,
        source_checksum=f"{found.checksum:016x}",
        batches=batches,
        validation=validation,
        versions=installed("batchtrainingbooster", "pyspark", "pyarrow", "numpy"),
    )
    # Who was taken for dead leaves the folder to the other.
    lock.confirm()
    write_manifest(folder, manifest)
    lock.confirm()
    folder.delete(UNFINISHED)
    logger.info(
        "Staged %s rows as %d batches in %.1f s at %s",
        f"{found.rows:,}", len(batches), time.perf_counter() - start, folder,
    )  # fmt: skip
    return manifest


def _restrict(folder: Folder, data_folder: str) -> None:
    """Let the umask of this process count for what Spark has written too."""
    try:
        folder.restrict(data_folder)
    except PermissionError as error:
        # Executors may run as another user.
        logger.info("Permissions in %s stay as Spark has set them: %s", folder, error)


def _written_already(folder: Folder, identity: dict[str, Any], *, replace: bool) -> Manifest | None:
    """The manifest of a folder that holds just these batches; None where it is ours to fill.

    Raises
    ------
    StagingError
        If it holds something else, or its files are not those that were written.
    """
    names = [name for name in folder.names() if name != LOCK]
    if is_whole(names):
        manifest = read_manifest(folder)
        differing = differences(manifest.identity, identity)
        if differing and replace:
            logger.info("Batches: staged anew, as they were others: %s", in_words(differing))
            return None
        if differing:
            msg = (
                f"{folder} holds batches staged from other rows or with other settings "
                f"({in_words(differing)}); name another staging_dir, or delete it"
            )
            raise StagingError(msg)
        refuse_other_files(folder, manifest.data_folder, manifest.files, StagingError)
        logger.info("Batches: reusing %s, staged from the same rows", folder)
        return manifest
    if names and UNFINISHED not in names:
        msg = f"{folder} is not empty and not ours (it has {names[0]}); name another staging_dir"
        raise StagingError(msg)
    return None


def _empty(folder: Folder) -> None:
    """Leave nothing but the file that says that staging has begun."""
    folder.write(UNFINISHED, b"Staging has not come to its end; safe to delete.\n")
    names = folder.names()
    for top in {name.partition("/")[0] for name in names} - {UNFINISHED, LOCK}:
        if top in names:
            folder.delete(top)
        else:
            folder.delete_folder(top)


def _write(
    job: StagingJob, folder: Folder, placement: Placement, data_folder: str
) -> tuple[tuple[Part, ...], Part | None]:
    """Write all parts, count them, and compare them with the plan."""
    wanted = dict(enumerate(placement.batches))
    if any(placement.held_out):
        wanted[HELD_OUT] = placement.held_out
    name = f"{data_folder}/train"
    parts = write_frame(job, job.train, job.train_profile, placement, folder, name)
    _compare(parts, wanted, job.train_profile, "train_dataframe")
    validation = parts.pop(HELD_OUT, None)
    if job.valid is not None and job.valid_profile is not None:
        found = job.valid_profile
        one_batch = placement_of(job, found.counts, 1, None)
        name = f"{data_folder}/valid"
        valid_parts = write_frame(job, job.valid, found, one_batch, folder, name)
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
        what = "other contents" if rows == found.rows else "a target as it was counted"
        msg = (
            f"{where}: {found.rows:,} rows were counted, and {rows:,} rows with {what} were"
            " written: the DataFrame gives other rows each time it is evaluated. Write it to "
            "storage first, or make its plan deterministic"
            + ("; or executors write where others do not read" if rows < found.rows else "")
        )
        raise StagingError(msg)
    written = {name: part.strata for name, part in parts.items()}
    if written != {name: strata for name, strata in wanted.items() if sum(strata)}:
        msg = (
            f"{where}: rows did not land in the batches that were planned, so this Spark shuffles "
            "or sorts in a way of its own; please report it with the output of spark.version"
        )
        raise StagingError(msg)


def staged_identity(job: StagingJob, placement: Placement) -> dict[str, Any]:
    """Identity of the rows, by their checksums, and of all settings that decide what is staged."""
    validation, target = job.valid_profile, job.schema.target
    return {
        "rows": job.train_profile.rows,
        "rows_checksum": f"{job.train_profile.checksum:016x}",
        "validation_rows": validation.rows if validation else None,
        "validation_checksum": f"{validation.checksum:016x}" if validation else None,
        "validation_fraction": job.config.validation_fraction if validation is None else None,
        "target": f"{target.name}: {target.kind}, {target.spark_type}, {_listed(target.classes)}",
        "features": {
            feature.name: f"{feature.kind}, {_listed(feature.categories)}"
            if feature.kind is FeatureKind.CATEGORICAL
            else f"{feature.kind}, {feature.width}"
            for feature in job.schema.features
        },
        "weight_column": job.columns.weight,
        "group_column": job.columns.group,
        "seed": job.config.seed,
        "num_batches": len(placement.batches),
    }


def _listed(labels: tuple[Label, ...]) -> str:
    """How many there are, and which, in short."""
    digest = hashlib.sha256(json.dumps(labels).encode()).hexdigest()
    return f"{len(labels)} values ({digest[:16]})"
