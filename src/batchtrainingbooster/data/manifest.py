"""What a staged folder holds; written last, so that its presence says that the folder is whole."""

from __future__ import annotations

import attrs
import cattrs

from batchtrainingbooster.core.serialization import converter
from batchtrainingbooster.core.table import TableSchema
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.errors import StagingError

FILE = "manifest.json"
FORMAT_VERSION = 1


@attrs.frozen
class Part:
    """The rows of one batch, or of the validation set.

    Attributes
    ----------
    files : tuple of str
        Parquet files, relative to the folder; the first ones hold a random sample of the rows.
    strata : tuple of int
        Rows by class, or by quantile bin of a regression target.
    checksum : str
        Sum of the row hashes modulo 2**64, in hexadecimal.
    """

    files: tuple[str, ...]
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
    format_version : int
    fingerprint : str
        Identity of the source's rows and of the settings that decide what is staged.
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

    format_version: int = FORMAT_VERSION
    fingerprint: str
    seed: int
    schema: TableSchema
    bins: tuple[float, ...]
    weighted: bool
    grouped: bool = False
    source_rows: int
    source_checksum: str
    batches: tuple[Part, ...]
    validation: Part | None
    versions: dict[str, str]

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Training rows by class or bin."""
        return tuple(sum(counts) for counts in zip(*(b.strata for b in self.batches), strict=True))


def write_manifest(folder: Folder, manifest: Manifest) -> None:
    """Commit a staged folder."""
    folder.write_json(FILE, converter.unstructure(manifest))


def read_manifest(folder: Folder) -> Manifest:
    """The manifest of a staged folder.

    Raises
    ------
    StagingError
        If there is none, it is damaged, or a newer version wrote it.
    """
    if folder.size(FILE) is None:
        msg = f"{folder.uri} is no staged folder, or staging never finished: it has no {FILE}"
        raise StagingError(msg)
    content = folder.read_json(FILE)
    version = content.get("format_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        msg = (
            f"{folder.uri}/{FILE} has format {version}; this version reads up to {FORMAT_VERSION}: "
            "install a newer batchtrainingbooster"
        )
        raise StagingError(msg)
    try:
        return converter.structure(content, Manifest)
    except Exception as error:
        details = "; ".join(cattrs.transform_error(error)[:3])
        msg = f"{folder.uri}/{FILE} is damaged: {details}"
        raise StagingError(msg) from error
