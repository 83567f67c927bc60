"""The Spark job that writes the batches of a DataFrame, and the one that counts what it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from pyspark.sql import functions as F

from batchtrainingbooster.core.batching import Stratum
from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.table import FeatureKind, TableSchema
from batchtrainingbooster.core.timing import timed
from batchtrainingbooster.data.assign import (
    num_partitions,
    with_batches,
    with_batches_of_groups,
)
from batchtrainingbooster.data.bins import stratum_bin
from batchtrainingbooster.data.columns import SourceColumns
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.manifest import Part
from batchtrainingbooster.data.profile import Profile, checksum, hash_sums
from batchtrainingbooster.data.source import Source

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@attrs.frozen(eq=False, kw_only=True)
class StagingJob:
    """All that is known before anything is written."""

    train: Source
    train_profile: Profile
    valid: Source | None
    valid_profile: Profile | None
    schema: TableSchema
    config: TrainingConfig
    bytes_per_output: int = 12

    @property
    def columns(self) -> SourceColumns:
        """What is read of the DataFrames."""
        return self.train.columns


@attrs.frozen(eq=False, kw_only=True)
class Placement:
    """Where the rows of a DataFrame go.

    Attributes
    ----------
    batches : tuple of tuple of int
        Training rows of each batch, by stratum.
    held_out : tuple of int
        Validation rows, by stratum.
    strata : list of Stratum
    buckets : ndarray of shape (N_BUCKETS,), optional
        For ranking, batch by bucket; there is one stratum then.
    """

    batches: tuple[tuple[int, ...], ...]
    held_out: tuple[int, ...]
    strata: list[Stratum]
    buckets: np.ndarray | None = None


def write_frame(
    job: StagingJob,
    source: Source,
    found: Profile,
    placement: Placement,
    folder: Folder,
    name: str,
) -> dict[str, Part]:
    """Write a DataFrame's parts, and count what lies on storage.

    Parameters
    ----------
    job : StagingJob
    source : Source
        The training or the validation rows.
    found : Profile
        Theirs.
    placement : Placement
    folder : Folder
    name : str
        Of the folder within it.

    Returns
    -------
    dict of str to Part
        By name of the batch.
    """
    partitions = num_partitions(found.rows, 4 * job.schema.n_columns + 24)
    packed = source.frame.select(*_packed(job, source))
    if placement.buckets is not None:
        assigned = with_batches_of_groups(packed, placement.buckets, partitions)
    else:
        num_batches = len(placement.batches)
        assigned = with_batches(packed, found.counts, placement.strata, num_batches, partitions)
    # Floats gain nothing from Parquet's dictionaries, which cost half of the writing.
    options = {"parquet.enable.dictionary": "false"}
    for i in job.columns.of_kind(FeatureKind.CATEGORICAL):
        options[f"parquet.enable.dictionary#f{i}"] = "true"
    path = f"{folder.uri}/{name}"
    unpacked = assigned.select(*_unpacked(job), "batch")
    with timed("writing"):
        unpacked.write.options(**options).partitionBy("batch").parquet(path)
    files: dict[str, list[str]] = {}
    for file in folder.names():
        if file.startswith(f"{name}/") and file.endswith(".parquet"):
            batch = file.split("/")[1].removeprefix("batch=")
            files.setdefault(batch, []).append(file)
    with timed("verification"):
        return _count(job, source.frame, path, files)


def _packed(job: StagingJob, source: Source) -> list[Column]:
    """What is shuffled: numeric features in one array, half the bytes of a row of fields."""
    columns = job.columns
    numeric = [source.numeric(i) for i in columns.of_kind(FeatureKind.NUMERIC)]
    label, stratum = source.label, _stratum(job, source.label)
    label = stratum.cast("float") if job.schema.target.classes else label.cast("float")
    return [
        *([F.array(*numeric).alias("numeric")] if numeric else []),
        *[source.category(i).alias(f"f{i}") for i in columns.of_kind(FeatureKind.CATEGORICAL)],
        *[
            source.array(i, job.schema.features[i].width).alias(f"f{i}")
            for i in columns.of_kind(FeatureKind.ARRAY)
        ],
        label.alias("label"),
        *([source.weight.cast("float").alias("weight")] if columns.weight else []),
        stratum.alias("stratum"),
        source.row_hash.alias("row_hash"),
        *([source.group_hash.alias("group_hash")] if columns.group else []),
    ]


def _unpacked(job: StagingJob) -> list[Column]:
    """What is written: a column for each feature, ``f0, f1, ...``."""
    columns = job.columns
    position = {i: n for n, i in enumerate(columns.of_kind(FeatureKind.NUMERIC))}
    features = [
        F.col("numeric")[position[i]].alias(f"f{i}") if i in position else F.col(f"f{i}")
        for i in range(len(columns.features))
    ]
    fields = ["label", *(["weight"] if columns.weight else []), "row_hash"]
    fields += ["group_hash"] if columns.group else []
    return [*features, *[F.col(name) for name in fields]]


def _stratum(job: StagingJob, label: Column) -> Column:
    """Class index, or number of the quantile bin."""
    bins = job.train_profile.bins
    if job.columns.group is not None:
        return F.lit(0)
    if bins is not None:
        return stratum_bin(label.cast("float").cast("double"), bins.edges)
    classes = F.array(*[F.lit(value) for value in job.schema.target.classes])
    # By name: in Spark 3.5, array_position() of Python takes a plain value only.
    return (F.call_function("array_position", classes, label) - 1).cast("int")


def _count(
    job: StagingJob, frame: DataFrame, path: str, files: dict[str, list[str]]
) -> dict[str, Part]:
    """Rows by stratum, and checksum, of each part as it lies on storage."""
    staged = frame.sparkSession.read.parquet(path)
    label = F.col("label")
    bins = job.train_profile.bins
    stratum = stratum_bin(label.cast("double"), bins.edges) if bins else label.cast("int")
    if job.columns.group is not None:
        stratum = F.lit(0)
    n_strata = len(job.train_profile.counts)
    rows = (
        # As a string: Spark would read the folder names as numbers.
        staged.groupBy(F.col("batch").cast("string").alias("batch"), stratum.alias("stratum"))
        .agg(F.count(F.lit(1)).alias("n"), *hash_sums("row_hash"))
        .collect()
    )
    parts = {}
    for batch, names in files.items():
        own = [row for row in rows if _same_batch(row["batch"], batch)]
        strata = [0] * n_strata
        for row in own:
            strata[row["stratum"]] = row["n"]
        total = checksum(sum(row["low"] for row in own), sum(row["high"] for row in own))
        parts[batch] = Part(tuple(sorted(names)), tuple(strata), f"{total:016x}")
    return parts


def _same_batch(read: str, folder_name: str) -> bool:
    """Spark reads the folder name 00003 as the number 3."""
    return read == folder_name or (folder_name.isdigit() and read == str(int(folder_name)))
