"""Where the fits of an estimator stage their batches, and which of them share some."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.core.events import StagingEnd
from batchtrainingbooster.core.run_id import new_run_id
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.staging import unstage

logger = logging.getLogger(__name__)


class Turn(Callback):
    """The right to stage batches that others are to use too; given back once they are there."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock, self._is_held = lock, lock.acquire()

    def on_staging_end(self, event: StagingEnd) -> None:
        """The next one finds them."""
        self.give_back()

    def give_back(self) -> None:
        """Once is enough."""
        if self._is_held:
            self._is_held = False
            self._lock.release()


class StagedBatches:
    """Folders of staged batches that several fits of one DataFrame share, removed after the last.

    Parameters
    ----------
    place : str, optional
        Path or URI in which they lie; else a temporary folder.
    n_fits : int
    """

    def __init__(self, place: str | None, n_fits: int) -> None:
        self._lock = threading.Lock()
        self._n_left = n_fits
        self._folders: dict[str, tuple[Folder, threading.Lock]] = {}
        own = tempfile.mkdtemp(prefix="batchtrainingbooster-") if place is None else None
        self._place = Folder(place or str(own))
        # Also where the fits are given up half-way.
        self._remove = weakref.finalize(self, _remove, self._folders, own)

    @contextmanager
    def turn(self, key: str) -> Iterator[tuple[str, list[Callback]]]:
        """Where one fit stages, and the callback that lets the others have it.

        Parameters
        ----------
        key : str
            Of all that decides about what is staged.
        """
        with self._lock:
            if key not in self._folders:
                self._folders[key] = self._place.within(new_run_id()), threading.Lock()
            folder, lock = self._folders[key]
        turn = Turn(lock)
        try:
            yield folder.uri, [turn]
        finally:
            turn.give_back()
            with self._lock:
                self._n_left -= 1
            if not self._n_left:
                self._remove()


def _remove(folders: dict[str, tuple[Folder, threading.Lock]], own: str | None) -> None:
    for folder, _ in folders.values():
        unstage(folder)
    if own is not None:
        shutil.rmtree(own, ignore_errors=True)
