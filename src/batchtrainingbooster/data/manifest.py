"""What a staged folder holds.

While a folder is being written, it holds a file that says so; it is deleted last, so that what is
half-written is never taken for whole, whatever the filesystem.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import Any

import attrs

from batchtrainingbooster.core.serialization import sealed, unsealed
from batchtrainingbooster.core.table import TableSchema
from batchtrainingbooster.data.files import StoredFile, storage_failures
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.errors import StagingError

FILE = "manifest.json"
FORMAT_VERSION = 2
UNFINISHED = "UNFINISHED"


@attrs.frozen
class Part:
    """The rows of one batch, or of the validation set.

    Attributes
    ----------
    files : tuple of StoredFile
        Parquet files; the first ones hold a random sample of the rows.
    strata : tuple of int
        Rows by class, or by quantile bin of a regression target.
    checksum : str
        Sum of the row hashes modulo 2**64, in hexadecimal.
    """

    files: tuple[StoredFile, ...] = attrs.field(validator=attrs.validators.min_len(1))
    strata: tuple[int, ...]
    checksum: str

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(self.strata)


@attrs.frozen(kw_only=True)
class Manifest:
    """Everything there is to know about a staged folder.

    Attributes
    ----------
    identity : dict
        Of the source's rows and of the settings that decide what is staged.
    seed : int
    schema : TableSchema
        With the dictionaries.
    bins : tuple of float
        Upper edges of the quantile bins of a regression target, but the last.
    weighted : bool
        Whether the files have a column of row weights.
    grouped : bool
        Whether they have a column of the queries' hashes.
    source_rows : int
    source_checksum : str
    batches : tuple of Part
    validation : Part, optional
    versions : dict
        Of the libraries that wrote it.
    """

    identity: dict[str, Any]
    seed: int
    schema: TableSchema
    bins: tuple[float, ...]
    weighted: bool
    grouped: bool = False
    source_rows: int
    source_checksum: str
    batches: tuple[Part, ...] = attrs.field(validator=attrs.validators.min_len(1))
    validation: Part | None
    versions: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """The identity in short."""
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def files(self) -> list[StoredFile]:
        """Those of all batches and of the validation set."""
        parts = [*self.batches, *([self.validation] if self.validation else [])]
        return [file for part in parts for file in part.files]

    @property
    def data_folder(self) -> str:
        """Of the folder within the staged one that holds them."""
        return self.files[0].name.partition("/")[0]

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Training rows by class or bin."""
        return tuple(sum(counts) for counts in zip(*(b.strata for b in self.batches), strict=True))


def write_manifest(folder: Folder, manifest: Manifest) -> None:
    """Write what a staged folder holds."""
    folder.write(FILE, sealed(manifest, FORMAT_VERSION))


def is_whole(names: Collection[str]) -> bool:
    """Whether a folder of these files is one whose staging came to its end."""
    return FILE in names and UNFINISHED not in names


def read_manifest(folder: Folder) -> Manifest:
    """The manifest of a staged folder.

    Raises
    ------
    StagingError
        If there is none, it is damaged, or another version wrote it.
    """
    where = f"{folder}/{FILE}"
    with storage_failures(StagingError, f"{where} cannot be read"):
        is_there = is_whole(folder.names())
        data = bytes(folder.read(FILE)) if is_there else b""
    if not is_there:
        msg = f"{folder} is no staged folder, or staging never finished: it has no {FILE}"
        raise StagingError(msg)
    return unsealed(data, Manifest, FORMAT_VERSION, where, StagingError)
