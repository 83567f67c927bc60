"""One run at a time writes to a folder; the lock of a process that has died is taken over.

The lock is a file that names its owner, and that the owner writes anew every few seconds. On the
owner's machine, whether the process lives is looked up; elsewhere, a file that no longer changes
belongs to nobody. No clocks are compared, and no filesystem is asked for more than files.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import attrs
import pyarrow as pa

from batchtrainingbooster.core.redaction import said
from batchtrainingbooster.core.serialization import converter
from batchtrainingbooster.data.files import storage_failures
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.errors import BatchTrainingError

logger = logging.getLogger(__name__)

FILE = "lock.json"
BEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 25.0
# In which two processes that take over the same lock at once see each other.
_SETTLING_SECONDS = 0.5


@attrs.frozen
class Owner:
    """A process.

    Attributes
    ----------
    machine : str
        Its name, boot and container: where process numbers mean the same.
    pid : int
    started : str
        When, by the system's own count: numbers of processes are used again. Empty where the
        system does not say.
    token : str
        One for each lock.
    beat : int
        How often the lock was written.
    """

    machine: str
    pid: int
    started: str
    token: str
    beat: int = 0

    @classmethod
    def of_this_process(cls) -> Self:
        """With a token of its own."""
        return cls(_machine(), os.getpid(), _started(os.getpid()) or "", uuid4().hex)

    def __str__(self) -> str:
        """For messages."""
        return f"process {self.pid} on {self.machine.partition(' ')[0]}"


class FolderLock:
    """Held as long as the block lasts.

    Parameters
    ----------
    folder : Folder
    key : str
        The setting that names it, for messages.
    error : type of BatchTrainingError

    Raises
    ------
    BatchTrainingError
        The given one, on entering, if another process that lives holds it.
    """

    def __init__(self, folder: Folder, key: str, error: type[BatchTrainingError]) -> None:
        self._folder = folder
        self._key = key
        self._error = error
        self._owner = Owner.of_this_process()
        self._is_written = False
        self._released = threading.Event()
        self._beating = threading.Thread(target=self._beat, name=f"lock of {key}", daemon=True)

    def __enter__(self) -> Self:
        """Take it."""
        with storage_failures(self._error, f"{self._folder} cannot be locked"):
            try:
                self._take()
            except BaseException:
                # Nobody would give it back, as it was never entered.
                self._give_back()
                raise
        self._beating.start()
        return self

    def _take(self) -> None:
        found, is_alone = self._read(), False
        if found is None:
            try:
                self._is_written = True
                is_alone = self._folder.write_new(FILE, self._content())
            except FileExistsError:
                self._is_written = False
                found = self._read() or b""
        if found is not None:
            self._refuse_the_living(found)
            self._is_written = True
            self._folder.write(FILE, self._content())
        if not is_alone:
            time.sleep(_SETTLING_SECONDS)
            self.confirm()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back, unless somebody else has it."""
        self._released.set()
        self._beating.join()
        self._give_back()

    def _give_back(self) -> None:
        """Whatever becomes of the lock, the run's own outcome is what counts."""
        try:
            if self._is_written and not self._is_lost(self._read()):
                self._folder.delete(FILE)
        except (OSError, pa.ArrowException) as error:
            logger.warning("%s/%s cannot be deleted: %s", self._folder, FILE, said(error))

    def confirm(self) -> None:
        """Refuse to go on if another process has taken the lock over.

        Raises
        ------
        BatchTrainingError
            The given one.
        """
        found = self._read()
        if self._is_lost(found):
            owner = _owner(found)
            what = f"taken over by {owner}" if owner else "unlocked by somebody"
            msg = f"{self._folder} was {what}; this run ends, so that two do not write to it"
            raise self._error(msg)

    def _is_lost(self, found: bytes | None) -> bool:
        """Whether it is gone, or another's; one that cannot be read is what a full disk left."""
        owner = _owner(found)
        return found is None or (owner is not None and owner.token != self._owner.token)

    def _beat(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            try:
                if self._is_lost(self._read()):
                    return
                self._owner = attrs.evolve(self._owner, beat=self._owner.beat + 1)
                self._folder.write(FILE, self._content())
            except Exception as error:  # noqa: BLE001 - without this thread, the lock is anybody's
                # A full disk, say: the next beat may succeed, and the run itself will tell.
                logger.debug("The lock of %s was not renewed: %s", self._folder, said(error))

    def _refuse_the_living(self, found: bytes) -> None:
        owner, lives = _owner(found), None
        if owner is not None and owner.machine == self._owner.machine:
            lives = _lives(owner)
        if lives is None:
            logger.info("%s has a lock; waiting to see whether its owner lives", self._folder)
            lives = self._changes(found)
        if lives:
            msg = (
                f"{self._folder} is in use by {owner or 'another process'}: wait for it to end, or "
                f"name another {self._key}"
            )
            raise self._error(msg)
        logger.warning("%s: taken over from %s, which is gone", self._folder, owner or "a process")

    def _changes(self, found: bytes) -> bool:
        """Whether the lock is written anew; not if it is given back."""
        end = time.monotonic() + DEAD_AFTER_SECONDS
        while time.monotonic() < end:
            time.sleep(min(BEAT_SECONDS / 5, DEAD_AFTER_SECONDS / 5))
            now = self._read()
            if now is None:
                return False
            if now != found:
                return True
        return False

    def _content(self) -> bytes:
        return json.dumps(converter.unstructure(self._owner), indent=1).encode()

    def _read(self) -> bytes | None:
        try:
            return bytes(self._folder.read(FILE))
        except FileNotFoundError:
            return None


def _owner(content: bytes | None) -> Owner | None:
    """Who wrote a lock; None where that cannot be told, as while it is being written."""
    try:
        return converter.structure(json.loads(content or b""), Owner)
    except Exception:  # noqa: BLE001 - whatever a stranger has put there
        return None


def _machine() -> str:
    """Where process numbers mean the same."""
    parts = [platform.node()]
    for file in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        path = Path(file)
        try:
            parts.append(str(path.readlink()) if path.is_symlink() else path.read_text().strip())
        except OSError:
            continue
    return " ".join(parts)


def _started(pid: int) -> str | None:
    """When a process was started, by the system's own count; None where it does not say."""
    try:
        # After the name, which may hold anything, in parentheses.
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # A zombie holds nothing any more.
    return "" if fields[0] in "ZX" else fields[19]


def _lives(owner: Owner) -> bool | None:
    """Whether a process on this machine is still there; None where that cannot be told."""
    if not owner.started:
        return None
    started = _started(owner.pid)
    if started is not None:
        return started == owner.started
    # Processes of other users may be hidden.
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return None
