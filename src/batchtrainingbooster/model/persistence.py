"""A model as a folder: the booster's own file and JSON; no pickle, nothing that runs code."""

from __future__ import annotations

import glob
import os
import re
import shutil
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import attrs

from batchtrainingbooster.backends.registry import BACKENDS, load_backend
from batchtrainingbooster.core.data_summary import DataSummary
from batchtrainingbooster.core.history import History
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.redaction import without_secrets
from batchtrainingbooster.core.serialization import sealed, unsealed
from batchtrainingbooster.data.files import (
    StoredFile,
    read_whole,
    refuse_other_files,
    storage_failures,
    written,
)
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.errors import ModelFormatError
from batchtrainingbooster.model.boosted_model import BoostedModel, ModelInfo

METADATA = "metadata.json"
T = TypeVar("T")

HISTORY = "history.json"
RECORD = "record.json"
FIRST_DATA = "first_data.json"
FORMAT_VERSION = 4
# The same, without what is known of the first training's rows.
OLDEST_VERSION = 3


@attrs.frozen(kw_only=True)
class Metadata:
    """What is in the folder.

    Attributes
    ----------
    model : ModelInfo
    native, history, record : StoredFile
        The booster's own file, the history, and what else is known of the run.
    first_data : StoredFile, optional
        What the rows looked like that it was first trained on.
    """

    model: ModelInfo
    native: StoredFile
    history: StoredFile
    record: StoredFile
    first_data: StoredFile | None = None

    @property
    def files(self) -> list[StoredFile]:
        """All that there are beside this one."""
        first = [] if self.first_data is None else [self.first_data]
        return [self.native, self.history, self.record, *first]


def save(model: BoostedModel, path: str | os.PathLike[str]) -> None:
    """See ``BoostedModel.save``."""
    folder = check_place(path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Written beside its place and renamed, so that half a model is never taken for a whole one.
    new, old = (folder.parent / f".{folder.name}.{uuid4().hex}" for _ in range(2))
    try:
        with storage_failures(ModelFormatError, f"{folder} cannot be written"):
            _write(model, Folder(str(new)))
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    # Those of a process that was killed at this point, too.
    for other in folder.parent.glob(f".{glob.escape(folder.name)}.*"):
        if re.fullmatch(r"[0-9a-f]{32}", other.name.rpartition(".")[2]):
            shutil.rmtree(other, ignore_errors=True)


def _write(model: BoostedModel, folder: Folder) -> None:
    native_file = load_backend(model.info.backend).NATIVE_FILE
    metadata = Metadata(
        model=model.info,
        native=written(folder, native_file, model.native),
        history=written(folder, HISTORY, sealed(model.history, FORMAT_VERSION)),
        # Its rounds are the history's.
        record=written(folder, RECORD, sealed(attrs.evolve(model.record, rows=[]), FORMAT_VERSION)),
        first_data=None
        if model.first_data is None
        else written(folder, FIRST_DATA, sealed(model.first_data, FORMAT_VERSION)),
    )
    folder.write(METADATA, sealed(metadata, FORMAT_VERSION))


def check_place(path: str | os.PathLike[str]) -> Path:
    """The folder, if a model may be saved there.

    Raises
    ------
    ModelFormatError
        If it is no local one, or holds something other than a model.
    """
    text = os.fspath(path).removeprefix("file://")
    if "://" in text:
        msg = f"{without_secrets(text)}: a model is saved to a local folder; copy it from there"
        raise ModelFormatError(msg)
    folder = Path(text).absolute()
    if folder.exists() and not (folder / METADATA).is_file() and _has_content(folder):
        msg = f"{folder} exists and is no saved model; name another folder"
        raise ModelFormatError(msg)
    return folder


def load(path: str | os.PathLike[str]) -> BoostedModel:
    """See ``BoostedModel.load``."""
    folder = Folder(os.fspath(path))
    metadata = _metadata(folder)
    native = bytes(read_whole(folder, metadata.native, ModelFormatError))
    history = _part(folder, metadata.history, History)
    record = _part(folder, metadata.record, RunRecord)
    record.rows = list(history)
    first = metadata.first_data
    first_data = None if first is None else _part(folder, first, DataSummary)
    return BoostedModel(metadata.model, native, history, record, first_data)


def _part(folder: Folder, file: StoredFile, kind: type[T]) -> T:
    data = bytes(read_whole(folder, file, ModelFormatError))
    return _unsealed(data, kind, f"{folder}/{file.name}")


def _unsealed(data: bytes, kind: type[T], where: str) -> T:
    version, oldest = FORMAT_VERSION, OLDEST_VERSION
    return unsealed(data, kind, version, where, ModelFormatError, oldest=oldest)


def load_info(path: str | os.PathLike[str]) -> ModelInfo:
    """What a saved model is, without its trees or its booster.

    Raises
    ------
    ModelFormatError
        If the folder is no model, is damaged, or another version wrote it.
    """
    return _metadata(Folder(os.fspath(path))).model


def verified(path: str | os.PathLike[str]) -> list[StoredFile]:
    """The files of a saved model, each read and compared with what was written.

    Raises
    ------
    ModelFormatError
        Naming the first one that is not, is missing, or is one too many.
    """
    load(path)
    folder = Folder(os.fspath(path))
    metadata = _metadata(folder)
    own = StoredFile(METADATA, folder.size(METADATA) or 0, "")
    refuse_other_files(folder, "", [*metadata.files, own], ModelFormatError)
    return metadata.files


def _metadata(folder: Folder) -> Metadata:
    where = f"{folder}/{METADATA}"
    with storage_failures(ModelFormatError, f"{where} cannot be read"):
        data = None if folder.size(METADATA) is None else bytes(folder.read(METADATA))
    if data is None:
        msg = f"{folder} is no saved model: it has no {METADATA}"
        raise ModelFormatError(msg)
    found = _unsealed(data, Metadata, where)
    if found.model.backend not in BACKENDS:
        msg = f"{where}: backend {found.model.backend!r} is not known to this version"
        raise ModelFormatError(msg)
    return found


def _has_content(folder: Path) -> bool:
    return not folder.is_dir() or any(folder.iterdir())
