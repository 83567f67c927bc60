"""From staged files to matrices: the one place where a batch is read, and verified."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
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
from batchtrainingbooster.data.share import ALL, Share
from batchtrainingbooster.errors import DataError, StagingError
from batchtrainingbooster.memory import return_freed_memory

# Features of a file that are read together, so that no whole file is in memory beside the matrix.
_FEATURES_AT_ONCE = 8


@attrs.frozen(eq=False)
class _Rows:
    """Rows of a staged file: all, a run of them, or those in these places."""

    file: StoredFile
    rows: slice | np.ndarray | None = None

    def __len__(self) -> int:
        """How many there are, where not all are meant."""
        if isinstance(self.rows, slice):
            return int(self.rows.stop - self.rows.start)
        return 0 if self.rows is None else len(self.rows)

    def of(self, parquet: pq.ParquetFile, columns: list[str]) -> pa.Table:
        """Columns of these rows."""
        table = parquet.read(columns)
        if isinstance(self.rows, slice):
            return table.slice(self.rows.start, len(self))
        return table if self.rows is None else table.take(pa.array(self.rows))


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
    share : Share, optional
        Which of the rows of a batch, and of the validation set, are read.
    scratch : path, optional
        Local folder with room for a copy of the batches.
    look : callable, optional
        Is shown the reference sample when it is read.
    """

    def __init__(
        self,
        folder: Folder,
        manifest: Manifest,
        class_weights: np.ndarray | None = None,
        load: Load | None = None,
        share: Share = ALL,
        scratch: Path | None = None,
        look: Callable[[Batch], None] | None = None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self._class_weights = class_weights
        self._load_of_run = load
        self._share = share
        self._scratch = scratch
        self._look = look

    @property
    def num_batches(self) -> int:
        """How many there are."""
        return len(self.manifest.batches)

    @property
    def scratch(self) -> Path:
        """Local folder with room for a copy of them: their own, if it is local."""
        return self._scratch or self.folder.local_path or Path(tempfile.gettempdir())

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
        return self._read(self.manifest.batches[number], f"batch {number + 1}")

    def validation(self) -> Batch | None:
        """The validation rows, where there are any."""
        part = self.manifest.validation
        return None if part is None else self._read(part, "the validation set")

    @property
    def validation_rows(self) -> int:
        """How many validation rows there are."""
        part = self.manifest.validation
        return 0 if part is None else part.rows

    def validation_sample(self, rows: int) -> Batch | None:
        """At most so many validation rows, drawn by their hashes; their queries are not kept."""
        part = self.manifest.validation
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
        batches = self.manifest.batches
        sample = self.batch(0) if len(batches) == 1 else self._sample_of(batches)
        warn_of_copies(sample.features, sample.label, self.manifest.schema)
        if self._look is not None:
            self._look(sample)
        return sample

    def training_sample(self) -> Batch:
        """A sample of rows over all batches, as for ``reference``; of an only batch, too."""
        return self._sample_of(self.manifest.batches)

    def _sample_of(self, batches: Sequence[Part]) -> Batch:
        rows = reference_rows(self.manifest.schema.n_columns, [part.rows for part in batches])
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
        files = [_Rows(file) for file in part.files[: len(counts)]]
        batch, _ = self._load(files, sum(counts))
        cut = slice(0, rows)
        weight = None if batch.weight is None else batch.weight[cut]
        return Batch(batch.features[cut], batch.label[cut], weight)

    def _read(self, part: Part, what: str) -> Batch:
        if self._share != ALL:
            own = self._own(part)
            if not own:
                msg = (
                    f"{what} has too few rows or queries for {self._share.of} workers: worker "
                    f"{self._share.number + 1} has none; take fewer workers, or fewer batches"
                )
                raise DataError(msg)
            return self._load(own, sum(map(len, own)))[0]
        batch, checksum = self._load([_Rows(file) for file in part.files], part.rows)
        if f"{checksum:016x}" != part.checksum:
            msg = (
                f"{self.folder}: the rows of {what} are not those that were written (checksum "
                f"{checksum:016x}, expected {part.checksum}); stage the data again"
            )
            raise StagingError(msg)
        return batch

    def _own(self, part: Part) -> list[_Rows]:
        """The rows of each file that are in this worker's share; files without any are left out."""
        own: list[slice | np.ndarray] = []
        for file in part.files:
            with self._opened(file) as parquet:
                if self.manifest.grouped:
                    queries = parquet.read(["group_hash"])["group_hash"].to_numpy()
                    own.append(np.flatnonzero(self._share.owns(queries)))
                else:
                    own.append(slice(0, parquet.metadata.num_rows))
        if not self.manifest.grouped:
            own = [*self._share.slices([rows.stop for rows in own if isinstance(rows, slice)])]
        found = [_Rows(file, rows) for file, rows in zip(part.files, own, strict=True)]
        return [rows for rows in found if len(rows)]

    def _load(self, files: Sequence[_Rows], n_rows: int) -> tuple[Batch, int]:
        """Rows of these files, in the order of their hashes, and the sum of the hashes.

        The order is found from the hashes alone; each file is then copied into its place, so that
        no second copy of the batch is ever in memory.
        """
        manifest, features = self.manifest, self.manifest.schema.features
        # That of the batch before, which the booster has freed.
        return_freed_memory()
        places, checksum, group = self._places(files, n_rows)
        matrix = np.empty((n_rows, manifest.schema.n_columns), np.float32, order="F")
        label = np.empty(n_rows, np.float32)
        weight = np.empty(n_rows, np.float32) if manifest.weighted else None
        unseen = np.zeros(len(features), np.int64)
        for own, rows in zip(files, places, strict=True):
            # Here all of it is read, and so verified before anything is trained on it.
            with self._opened(own.file, is_verified=True) as parquet:
                unseen += self._fill(matrix, rows, parquet, own)
                label[rows] = own.of(parquet, ["label"])["label"].to_numpy()
                if weight is not None:
                    weight[rows] = own.of(parquet, ["weight"])["weight"].to_numpy()
        return_freed_memory()
        log_unseen(features, unseen.tolist())
        return Batch(matrix, label, self._weights(label, weight), group), checksum

    def _fill(
        self, matrix: np.ndarray, rows: np.ndarray, parquet: pq.ParquetFile, own: _Rows
    ) -> np.ndarray:
        """Copy the features of a file into the matrix; values in no dictionary, by feature."""
        features, unseen, column = self.manifest.schema.features, [], 0
        for start in range(0, len(features), _FEATURES_AT_ONCE):
            some = features[start : start + _FEATURES_AT_ONCE]
            width = sum(feature.width for feature in some)
            table = own.of(parquet, [f"f{start + i}" for i in range(len(some))])
            unseen += fill_matrix(matrix[:, column : column + width], rows, some, table.columns)
            column += width
        return np.array(unseen, np.int64)

    def _places(
        self, files: Sequence[_Rows], n_rows: int
    ) -> tuple[list[np.ndarray], int, np.ndarray | None]:
        """Where the rows of each file go, the sum of their hashes modulo 2**64, and group sizes."""
        names = ["row_hash", "group_hash"] if self.manifest.grouped else ["row_hash"]
        hashes = []
        for own in files:
            with self._opened(own.file) as parquet:
                table = own.of(parquet, names)
                hashes.append([table[name].to_numpy() for name in names])
        ends = np.cumsum([len(columns[0]) for columns in hashes])
        every, *queries = map(np.concatenate, zip(*hashes, strict=True))
        del hashes
        if len(every) != n_rows:
            msg = (
                f"{self.folder}: {len(every):,} rows where the manifest has {n_rows:,}, in "
                f"{files[0].file.name} and its neighbours; stage the data again"
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
            for i, feature in enumerate(self.manifest.schema.features)
            if feature.kind is FeatureKind.CATEGORICAL
        ]
        # Afar, many small reads take long; here, one of all columns takes memory.
        is_far = self.folder.local_path is None
        try:
            with self._stream(file, is_verified=is_verified) as stream:
                yield pq.ParquetFile(stream, read_dictionary=categorical, pre_buffer=is_far)
        # A KeyError is a column that the manifest has and the file has not.
        except (OSError, pa.ArrowException, KeyError) as error:
            raise StagingError(unreadable(self.folder, file, error)) from error

    def _stream(self, file: StoredFile, *, is_verified: bool) -> Any:
        if is_verified and self.folder.local_path is None:
            # Fetched once, as a whole; a file is a small part of a batch.
            return pa.BufferReader(read_whole(self.folder, file, StagingError))
        if is_verified:
            refuse_damaged(self.folder, file, StagingError)
        return self.folder.open(file.name)
