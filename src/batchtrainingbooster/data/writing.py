"""The Spark job that writes the batches of a DataFrame, and the one that counts what it wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from batchtrainingbooster.core.batching import Stratum, reference_rows
from batchtrainingbooster.core.cells import UNDECIDED, cells_of, plan_cells
from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.grouping import N_BUCKETS, sampled_buckets
from batchtrainingbooster.core.redaction import without_secrets
from batchtrainingbooster.core.table import FeatureKind, TableSchema
from batchtrainingbooster.core.timing import timed
from batchtrainingbooster.data.assign import (
    batch_of_bucket,
    batch_of_cell,
    num_partitions,
    with_batches_of_groups,
    with_ranked_batches,
)
from batchtrainingbooster.data.bins import stratum_bin
from batchtrainingbooster.data.columns import SourceColumns
from batchtrainingbooster.data.files import StoredFile, described
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.manifest import Part
from batchtrainingbooster.data.profile import Profile, checksum, hash_sums
from batchtrainingbooster.data.ranking import MAX_BYTES, batch_by_rank, spread
from batchtrainingbooster.data.source import Source
from batchtrainingbooster.data.spark_errors import spark_failures
from batchtrainingbooster.errors import StagingError

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
) -> dict[int, Part]:
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
    dict of int to Part
        By batch, or ``HELD_OUT``.
    """
    plan = _plan(job, found, placement)
    num_batches = len(placement.batches)
    partitions = num_partitions(found.rows, _row_bytes(job), num_batches)
    path = f"{folder.uri}/{name}"
    with timed("writing"):
        if plan.n_unranked == found.rows:
            ranked = plan.rank(_packed(job, source), partitions)
            _save(job, ranked.selectExpr(*_unpacked(job)), path)
            samples: list[str] = []
        else:
            # Few tasks write few files, whatever the partitions of the source.
            rows = _packed(job, source).coalesce(partitions)
            # Spark would sort by batch anyway, but rows twice as wide.
            decided = rows.withColumn("batch", plan.batch).sortWithinPartitions("batch")
            written = decided.selectExpr(*_unpacked(job))
            _save(job, written, path)
            samples = _rank(job, plan, written, num_batches, folder, name)
    with timed("verification"):
        files: dict[int, list[StoredFile]] = {}
        # Those of the sample first.
        names = sorted(_parquet_files(folder, name), key=lambda file: file not in samples)
        for file in described(folder, names):
            batch = int(file.name.split("/")[-2].removeprefix("batch="))
            files.setdefault(batch, []).append(file)
        return _count(job, source.frame, path, files)


@attrs.frozen(eq=False, kw_only=True)
class _Plan:
    """How rows find their batches: by a look at a table, or by their rank.

    Attributes
    ----------
    batch : Column
        The batch, ``HELD_OUT`` or ``UNDECIDED``.
    n_unranked : int
        How many rows must be ranked.
    rank : callable
        What adds the column ``batch`` to such rows, in so many partitions.
    batch_of : callable
        The same, in memory: the batches of such rows.
    """

    batch: Column
    n_unranked: int
    rank: Callable[[DataFrame, int], DataFrame]
    batch_of: Callable[[pa.Table], np.ndarray]


def _plan(job: StagingJob, found: Profile, placement: Placement) -> _Plan:
    sizes = [sum(rows) for rows in placement.batches]
    num_batches, sample_share = len(sizes), 0.0
    if num_batches > 1:
        sample_share = reference_rows(job.schema.n_columns, sizes) / sum(sizes)
    if placement.buckets is not None:
        rows, buckets = found.counts[0], placement.buckets
        unranked = sampled_buckets(rows, buckets, sample_share)
        if rows[unranked].sum() > found.rows / 2:
            unranked[:] = True  # not worth a second job
        return _Plan(
            batch=batch_of_bucket(np.where(unranked, UNDECIDED, buckets)),
            n_unranked=int(rows[unranked].sum()),
            rank=lambda frame, partitions: with_batches_of_groups(frame, buckets, partitions),
            batch_of=lambda table: buckets[cells_of(table["group_hash"].to_numpy(), N_BUCKETS)],
        )
    cells = plan_cells(found.counts, placement.strata, num_batches, sample_share)
    return _Plan(
        batch=batch_of_cell(cells.place),
        n_unranked=int(found.counts[cells.place == UNDECIDED].sum()),
        rank=lambda frame, partitions: with_ranked_batches(
            frame, found.counts, cells, num_batches, partitions
        ),
        batch_of=lambda table: batch_by_rank(
            _stratum_of(job, table), table["row_hash"].to_numpy(), found.counts, cells, num_batches
        ),
    )


def _rank(
    job: StagingJob,
    plan: _Plan,
    written: DataFrame,
    num_batches: int,
    folder: Folder,
    name: str,
) -> list[str]:
    """Bring the rows that were written without a batch into theirs; the files that this makes."""
    unranked = f"{name}/batch={UNDECIDED}"
    before = _parquet_files(folder, name)
    files = [file for file in before if file.startswith(f"{unranked}/")]
    if not files:
        return []
    if plan.n_unranked * _row_bytes(job) <= MAX_BYTES:
        categorical = [f"f{i}" for i in job.columns.of_kind(FeatureKind.CATEGORICAL)]
        spread(folder, name, files, plan.batch_of, categorical)
    else:
        schema = written.drop("batch").schema
        staged = written.sparkSession.read.schema(schema).parquet(f"{folder.uri}/{unranked}")
        rows = staged.withColumn("stratum", _staged_stratum(job))
        partitions = num_partitions(plan.n_unranked, _row_bytes(job), num_batches)
        ranked = plan.rank(rows, partitions).select(*staged.columns, "batch")
        _save(job, ranked, f"{folder.uri}/{name}", mode="append")
    folder.delete_folder(unranked)
    return [file for file in _parquet_files(folder, name) if file not in before]


def _row_bytes(job: StagingJob) -> int:
    return 4 * job.schema.n_columns + 24


def _save(job: StagingJob, frame: DataFrame, path: str, mode: str = "error") -> None:
    # Floats gain nothing from Parquet's dictionaries, which cost half of the writing.
    options = {"parquet.enable.dictionary": "false"}
    for i in job.columns.of_kind(FeatureKind.CATEGORICAL):
        options[f"parquet.enable.dictionary#f{i}"] = "true"
    with spark_failures(f"writing {path}"):
        frame.write.mode(mode).options(**options).partitionBy("batch").parquet(path)


def _parquet_files(folder: Folder, name: str) -> list[str]:
    """Of a folder within a folder, sorted."""
    return sorted(file for file in folder.sizes(name) if file.endswith(".parquet"))


def _packed(job: StagingJob, source: Source) -> DataFrame:
    """What is shuffled: numeric features in one array, half the bytes of a row of fields."""
    columns = job.columns
    numeric = [source.numeric(i) for i in columns.of_kind(FeatureKind.NUMERIC)]
    rows = source.frame.selectExpr(
        *([f"array({', '.join(numeric)}) AS numeric"] if numeric else []),
        *[f"{source.category(i)} AS f{i}" for i in columns.of_kind(FeatureKind.CATEGORICAL)],
        *[
            f"{source.array(i, job.schema.features[i].width)} AS f{i}"
            for i in columns.of_kind(FeatureKind.ARRAY)
        ],
        f"{source.label} AS label",
        *([f"CAST({source.weight} AS float) AS weight"] if columns.weight else []),
        f"{source.row_hash} AS row_hash",
        *([f"{source.group_hash} AS group_hash"] if columns.group else []),
    )
    stratum = _stratum(job, F.col("label"))
    label = stratum if job.schema.target.classes else F.col("label")
    return rows.withColumns({"label": label.cast("float"), "stratum": stratum})


def _unpacked(job: StagingJob) -> list[str]:
    """What is written: a column for each feature, ``f0, f1, ...``."""
    columns = job.columns
    position = {i: n for n, i in enumerate(columns.of_kind(FeatureKind.NUMERIC))}
    features = [
        f"numeric[{position[i]}] AS f{i}" if i in position else f"f{i}"
        for i in range(len(columns.features))
    ]
    fields = ["label", *(["weight"] if columns.weight else []), "row_hash"]
    fields += ["group_hash"] if columns.group else []
    return [*features, *fields, "batch"]


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


def _staged_stratum(job: StagingJob) -> Column:
    """The stratum of a row as it lies on storage."""
    label, bins = F.col("label"), job.train_profile.bins
    if job.columns.group is not None:
        return F.lit(0)
    return stratum_bin(label.cast("double"), bins.edges) if bins else label.cast("int")


def _stratum_of(job: StagingJob, table: pa.Table) -> np.ndarray:
    """The same of rows in memory; a source that changes may hold rows that are in no stratum."""
    label, bins = table["label"].fill_null(0).to_numpy(), job.train_profile.bins
    if bins is None:
        return np.asarray(np.maximum(label.astype(np.int64), 0))
    return np.asarray(np.searchsorted(bins.edges, label.astype(np.float64), side="left"))


def _count(
    job: StagingJob, frame: DataFrame, path: str, files: dict[int, list[StoredFile]]
) -> dict[int, Part]:
    """Rows by stratum, and checksum, of each part as it lies on storage."""
    # Given, as Spark would otherwise start a job to look for it.
    schema = "label float, row_hash bigint, batch int"
    staged = frame.sparkSession.read.schema(schema).parquet(path)
    n_strata = len(job.train_profile.counts)
    counts = staged.groupBy("batch", _staged_stratum(job).alias("stratum")).agg(
        F.count(F.lit(1)).alias("n"), *hash_sums("row_hash")
    )
    with spark_failures(f"counting {path}"):
        rows = counts.collect()
    if not files or {row["batch"] for row in rows} - set(files):
        msg = (
            f"{without_secrets(path)}: this process does not find there what Spark has written: "
            "staging_dir must be one place for the executors, Spark's driver and this process, "
            "such as an object store or a mounted disk"
            + ("" if rows else "; or the DataFrame has no rows any more when it is read again")
        )
        raise StagingError(msg)
    parts = {}
    for batch, names in files.items():
        own = [row for row in rows if row["batch"] == batch]
        strata = [0] * n_strata
        for row in own:
            # A source that changes may have written a label that is null, or of no class.
            if row["stratum"] is not None and 0 <= row["stratum"] < n_strata:
                strata[row["stratum"]] = row["n"]
        total = checksum(sum(row["low"] for row in own), sum(row["high"] for row in own))
        parts[batch] = Part(tuple(names), tuple(strata), f"{total:016x}")
    return parts
