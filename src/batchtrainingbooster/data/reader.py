"""From staged files to matrices: the one place where a batch is read, and verified."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchtrainingbooster.available_memory import available_bytes
from batchtrainingbooster.core.batching import reference_rows
from batchtrainingbooster.core.fitting import (
    Load,
    refuse_batch_that_does_not_fit,
    refuse_run_that_does_not_fit,
)
from batchtrainingbooster.core.leaks import warn_of_copies
from batchtrainingbooster.core.ports import Batch
from batchtrainingbooster.core.table import FeatureKind
from batchtrainingbooster.data.encode import fill_matrix, log_unseen
from batchtrainingbooster.data.files import StoredFile, read_whole, refuse_damaged, unreadable
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.manifest import Manifest, Part
from batchtrainingbooster.errors import StagingError
from batchtrainingbooster.memory import return_freed_memory

# Features of a file that are read together, so that no whole file is in memory beside the matrix.
_FEATURES_AT_ONCE = 8


class StagedSource:
    """The batches of a staged folder.

    Parameters
    ----------
    folder : Folder
    manifest : Manifest
    class_weights : ndarray of shape (n_classes,), float32, optional
        None weighs every class 1.
    load : Load, optional
        What the run takes, so that a batch that would not fit into memory is refused; None reads
        whatever it is.
    """

    def __init__(
        self,
        folder: Folder,
        manifest: Manifest,
        class_weights: np.ndarray | None = None,
        load: Load | None = None,
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._class_weights = class_weights
        self._load_of_run = load

    @property
    def num_batches(self) -> int:
        """How many there are."""
        return len(self._manifest.batches)

    @property
    def scratch(self) -> Path:
        """Local folder with room for a copy of them: their own, if it is local."""
        return self._folder.local_path or Path(tempfile.gettempdir())

    def batch(self, number: int) -> Batch:
        """One batch.

        Raises
        ------
        StagingError
            If its files are not what was written.
        NotEnoughMemoryError
            If it would not fit; nothing is read then.
        """
        if self._load_of_run is not None:
            # That of the batch before, which the booster has freed.
            return_freed_memory()
            refuse_batch_that_does_not_fit(self._load_of_run, number, available_bytes())
        return self._read(self._manifest.batches[number], f"batch {number + 1}")

    def validation(self) -> Batch | None:
        """The validation rows, where there are any."""
        part = self._manifest.validation
        return None if part is None else self._read(part, "the validation set")

    @property
    def validation_rows(self) -> int:
        """How many validation rows there are."""
        part = self._manifest.validation
        return 0 if part is None else part.rows

    def validation_sample(self, rows: int) -> Batch | None:
        """At most so many validation rows, drawn by their hashes; their queries are not kept."""
        part = self._manifest.validation
        return None if part is None else self._sample(part, rows)

    def reference(self) -> Batch:
        """A sample of rows over all batches, the same for the same rows and seed.

        The first files of each batch are a random sample of it. The only batch is its own
        reference.

        Raises
        ------
        NotEnoughMemoryError
            If the run would not fit; nothing is read then.
        """
        if self._load_of_run is not None:
            return_freed_memory()
            refuse_run_that_does_not_fit(self._load_of_run, available_bytes())
        batches = self._manifest.batches
        sample = self.batch(0) if len(batches) == 1 else self._sample_of(batches)
        warn_of_copies(sample.features, sample.label, self._manifest.schema)
        return sample

    def _sample_of(self, batches: Sequence[Part]) -> Batch:
        rows = reference_rows(self._manifest.schema.n_columns, [part.rows for part in batches])
        share = -(-rows // len(batches))
        sample = [self._sample(part, share) for part in batches]
        weights = [batch.weight for batch in sample if batch.weight is not None]
        return Batch(
            features=np.asfortranarray(np.concatenate([batch.features for batch in sample])),
            label=np.concatenate([batch.label for batch in sample]),
            weight=np.concatenate(weights) if weights else None,
        )

    def _sample(self, part: Part, rows: int) -> Batch:
        """Rows of smallest hashes from as many files of a batch as are needed."""
        counts: list[int] = []
        for file in part.files:
            with self._opened(file) as parquet:
                counts.append(parquet.metadata.num_rows)
            if sum(counts) >= rows:
                break
        batch, _ = self._load(part.files[: len(counts)], sum(counts))
        cut = slice(0, rows)
        weight = None if batch.weight is None else batch.weight[cut]
        return Batch(batch.features[cut], batch.label[cut], weight)

    def _read(self, part: Part, what: str) -> Batch:
        batch, checksum = self._load(part.files, part.rows)
        if f"{checksum:016x}" != part.checksum:
            msg = (
                f"{self._folder}: the rows of {what} are not those that were written (checksum "
                f"{checksum:016x}, expected {part.checksum}); stage the data again"
            )
            raise StagingError(msg)
        return batch

    def _load(self, files: tuple[StoredFile, ...], n_rows: int) -> tuple[Batch, int]:
        """Rows of these files, in the order of their hashes, and the sum of the hashes.

        The order is found from the hashes alone; each file is then copied into its place, so that
        no second copy of the batch is ever in memory.
        """
        manifest, features = self._manifest, self._manifest.schema.features
        # That of the batch before, which the booster has freed.
        return_freed_memory()
        places, checksum, group = self._places(files, n_rows)
        matrix = np.empty((n_rows, manifest.schema.n_columns), np.float32, order="F")
        label = np.empty(n_rows, np.float32)
        weight = np.empty(n_rows, np.float32) if manifest.weighted else None
        unseen = np.zeros(len(features), np.int64)
        for file, rows in zip(files, places, strict=True):
            # Here all of it is read, and so verified before anything is trained on it.
            with self._opened(file, is_verified=True) as parquet:
                unseen += self._fill(matrix, rows, parquet)
                label[rows] = parquet.read(["label"])["label"].to_numpy()
                if weight is not None:
                    weight[rows] = parquet.read(["weight"])["weight"].to_numpy()
        return_freed_memory()
        log_unseen(features, unseen.tolist())
        return Batch(matrix, label, self._weights(label, weight), group), checksum

    def _fill(self, matrix: np.ndarray, rows: np.ndarray, parquet: pq.ParquetFile) -> np.ndarray:
        """Copy the features of a file into the matrix; values in no dictionary, by feature."""
        features, unseen, column = self._manifest.schema.features, [], 0
        for start in range(0, len(features), _FEATURES_AT_ONCE):
            some = features[start : start + _FEATURES_AT_ONCE]
            width = sum(feature.width for feature in some)
            table = parquet.read([f"f{start + i}" for i in range(len(some))])
            unseen += fill_matrix(matrix[:, column : column + width], rows, some, table.columns)
            column += width
        return np.array(unseen, np.int64)

    def _places(
        self, files: tuple[StoredFile, ...], n_rows: int
    ) -> tuple[list[np.ndarray], int, np.ndarray | None]:
        """Where the rows of each file go, the sum of their hashes modulo 2**64, and group sizes."""
        names = ["row_hash", "group_hash"] if self._manifest.grouped else ["row_hash"]
        hashes = []
        for file in files:
            with self._opened(file) as parquet:
                own = parquet.read(names)
                hashes.append([own[name].to_numpy() for name in names])
        ends = np.cumsum([len(own[0]) for own in hashes])
        every, *queries = map(np.concatenate, zip(*hashes, strict=True))
        del hashes
        if len(every) != n_rows:
            msg = (
                f"{self._folder}: {len(every):,} rows where the manifest has {n_rows:,}, in "
                f"{files[0].name} and its neighbours; stage the data again"
            )
            raise StagingError(msg)
        group = None
        if queries:
            order = np.lexsort((every, *queries))
            starts = np.flatnonzero(np.diff(queries[0][order])) + 1
            group = np.diff(np.concatenate([[0], starts, [n_rows]]))
        else:
            order = np.argsort(every, kind="stable")
        place = np.empty(n_rows, np.int64)
        place[order] = np.arange(n_rows)
        checksum = int(every.view(np.uint64).sum(dtype=np.uint64))
        return np.split(place, ends[:-1]), checksum, group

    def _weights(self, label: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        if self._class_weights is None:
            return weight
        by_class = self._class_weights[label.astype(np.intp)]
        return by_class if weight is None else by_class * weight

    @contextmanager
    def _opened(self, file: StoredFile, *, is_verified: bool = False) -> Iterator[pq.ParquetFile]:
        """A staged file; categories stay in Parquet's dictionary form, which is quick to encode."""
        categorical = [
            f"f{i}"
            for i, feature in enumerate(self._manifest.schema.features)
            if feature.kind is FeatureKind.CATEGORICAL
        ]
        # Afar, many small reads take long; here, one of all columns takes memory.
        is_far = self._folder.local_path is None
        try:
            with self._stream(file, is_verified=is_verified) as stream:
                yield pq.ParquetFile(stream, read_dictionary=categorical, pre_buffer=is_far)
        # A KeyError is a column that the manifest has and the file has not.
        except (OSError, pa.ArrowException, KeyError) as error:
            raise StagingError(unreadable(self._folder, file, error)) from error

    def _stream(self, file: StoredFile, *, is_verified: bool) -> Any:
        if is_verified and self._folder.local_path is None:
            # Fetched once, as a whole; a file is a small part of a batch.
            return pa.BufferReader(read_whole(self._folder, file, StagingError))
        if is_verified:
            refuse_damaged(self._folder, file, StagingError)
        return self._folder.open(file.name)
