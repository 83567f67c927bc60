"""The checkpoints of a run as folders of files, each whole or not there at all.

::

    checkpoint-000007/  model.ubj  state.json  checkpoint.json  COMPLETE

``checkpoint.json`` names the others with their checksums; ``COMPLETE`` is written last, once all
else is on storage, and makes them count. Nothing is renamed, so any filesystem will do.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import pyarrow as pa

from batchtrainingbooster.core.identity import differences, in_words
from batchtrainingbooster.core.ports import Checkpoint
from batchtrainingbooster.core.redaction import said
from batchtrainingbooster.core.serialization import (
    converter,
    parsed,
    sealed,
    structured,
    unsealed,
)
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.data.files import (
    StoredFile,
    read_whole,
    refuse_other_files,
    storage_failures,
    written,
)
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.lock import FolderLock
from batchtrainingbooster.errors import CheckpointError, FingerprintMismatchError

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
_KEPT = 2
_DESCRIPTION, _STATE, _COMPLETE = "checkpoint.json", "state.json", "COMPLETE"
_NAME = re.compile(r"checkpoint-(\d{6,})")


@attrs.frozen(kw_only=True)
class Description:
    """What a checkpoint holds.

    Attributes
    ----------
    identity : dict
        Of the run: its rows, and all settings that decide about the model.
    environment : dict
        What may change a model in its last bits: versions, processors.
    visits : int
        Finished ones.
    files : tuple of StoredFile
        All but the description itself.
    """

    identity: dict[str, Any]
    environment: dict[str, Any]
    visits: int
    files: tuple[StoredFile, ...]


class CheckpointFolder:
    """The checkpoints of one run.

    Parameters
    ----------
    folder : Folder
    lock : FolderLock
        Of the folder, held.
    identity, environment : mapping
        Those of this run.
    resume : {"auto", "never", "must"}

    Raises
    ------
    FingerprintMismatchError
        If the newest checkpoint is of another run.
    CheckpointError
        If it is damaged; or if there is none, and there must be.
    """

    def __init__(
        self,
        folder: Folder,
        lock: FolderLock,
        identity: Mapping[str, Any],
        environment: Mapping[str, Any],
        resume: Literal["auto", "never", "must"],
    ) -> None:
        self._folder = folder
        self._lock = lock
        self._identity = dict(identity)
        self._environment = dict(environment)
        with storage_failures(CheckpointError, f"{folder} cannot be read"):
            complete = complete_checkpoints(folder)
            self._number = max(map(_number, _checkpoints(folder)), default=0)
        self._found: Checkpoint | None = None
        if resume == "never":
            if complete:
                logger.info("%s: starting anew, as resume is 'never'", folder)
        elif complete:
            self._found = self._newest(complete[-1])
        elif resume == "must":
            msg = f"config_training: resume: 'must', but there is no checkpoint in {folder}"
            raise CheckpointError(msg)

    @property
    def place(self) -> str:
        """Where, for messages."""
        return str(self._folder)

    def load(self) -> Checkpoint | None:
        """The newest checkpoint, where there is one to go on from."""
        found, self._found = self._found, None
        return found

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, and delete those that are older than the one before.

        Raises
        ------
        CheckpointError
            If it cannot be written; the one before is still there.
        """
        self._number += 1
        name = f"checkpoint-{self._number:06}"
        try:
            self._lock.confirm()
            self._write(name, checkpoint)
        except (OSError, pa.ArrowException) as error:
            self._drop(name)
            msg = (
                f"{self._folder}/{name} cannot be written: {said(error)}. What was kept before is "
                "still there: mend that (make room, where there is none), and the same call goes on"
            )
            raise CheckpointError(msg) from error
        try:
            kept = complete_checkpoints(self._folder)[-_KEPT:]
            others = [other for other in _checkpoints(self._folder) if other not in kept]
        except (OSError, pa.ArrowException) as error:
            logger.warning("Older checkpoints stay for now: %s", said(error))
            return
        for other in others:
            self._drop(other)

    def _write(self, name: str, checkpoint: Checkpoint) -> None:
        state = json.dumps(converter.unstructure(checkpoint.state)).encode()
        contents = {**checkpoint.model, _STATE: state}
        files = [written(self._folder, f"{name}/{file}", data) for file, data in contents.items()]
        description = Description(
            identity=self._identity,
            environment=self._environment,
            visits=checkpoint.state.visit,
            files=tuple(files),
        )
        self._folder.write(f"{name}/{_DESCRIPTION}", sealed(description, FORMAT_VERSION))
        self._folder.write(f"{name}/{_COMPLETE}", b"")

    def _drop(self, name: str) -> None:
        """Delete a checkpoint, first of all what makes it count."""
        try:
            if self._folder.size(f"{name}/{_COMPLETE}") is not None:
                self._folder.delete(f"{name}/{_COMPLETE}")
            if name in self._folder.folders():
                self._folder.delete_folder(name)
        except (OSError, pa.ArrowException) as error:
            logger.warning("%s/%s cannot be deleted: %s", self._folder, name, said(error))

    def _newest(self, name: str) -> Checkpoint:
        try:
            return self._read(name)
        except FingerprintMismatchError:
            raise
        except CheckpointError as error:
            msg = (
                f"{error}. Delete {self._folder}/{name} to go on from the checkpoint before it, or "
                "start anew with resume='never'"
            )
            raise CheckpointError(msg) from error

    def _read(self, name: str) -> Checkpoint:
        found = read_description(self._folder, name)
        differing = differences(found.identity, self._identity)
        if differing:
            msg = (
                f"{self._folder} holds the checkpoints of another run: {in_words(differing)}. Name "
                "another checkpoint_dir, or start anew in this one with resume='never'"
            )
            raise FingerprintMismatchError(msg)
        elsewhere = differences(found.environment, self._environment)
        if elsewhere:
            logger.warning(
                "%s/%s was written elsewhere (%s): the model may differ from that of an "
                "undisturbed run in its last bits", self._folder, name, in_words(elsewhere),
            )  # fmt: skip
        contents = {
            file.name.partition("/")[2]: bytes(read_whole(self._folder, file, CheckpointError))
            for file in found.files
        }
        where = f"{self._folder}/{name}/{_STATE}"
        state = structured(
            parsed(contents.pop(_STATE, b""), where, CheckpointError),
            RunState,
            where,
            CheckpointError,
        )
        return Checkpoint(state, contents)


def complete_checkpoints(folder: Folder) -> list[str]:
    """Names of those that count, the newest last."""
    return [name for name in _checkpoints(folder) if folder.size(f"{name}/{_COMPLETE}") is not None]


def read_description(folder: Folder, name: str) -> Description:
    """What a complete checkpoint says of itself, its files being those that it names.

    Raises
    ------
    CheckpointError
        If it is damaged, or a file is missing or one too many.
    """
    where = f"{folder}/{name}/{_DESCRIPTION}"
    with storage_failures(CheckpointError, f"{where} cannot be read"):
        data = bytes(folder.read(f"{name}/{_DESCRIPTION}"))
    found = unsealed(data, Description, FORMAT_VERSION, where, CheckpointError)
    own = (StoredFile(f"{name}/{file}", size, "") for file, size in (
        (_DESCRIPTION, len(data)), (_COMPLETE, 0),
    ))  # fmt: skip
    refuse_other_files(folder, name, (*found.files, *own), CheckpointError)
    return found


def _checkpoints(folder: Folder) -> list[str]:
    """Names of all, whole or not, the newest last."""
    return sorted(filter(_NAME.fullmatch, folder.folders()), key=_number)


def _number(name: str) -> int:
    return int(name.removeprefix("checkpoint-"))
