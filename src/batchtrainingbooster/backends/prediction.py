"""What the predictors of all boosters share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import numpy as np

from batchtrainingbooster.errors import BackendError, ConfigError


class BasePredictor(ABC):
    """A trained model, for prediction."""

    # The library's own names, its default first.
    importance_kinds: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def _n_columns(self) -> int:
        """Columns of the feature matrix."""

    @abstractmethod
    def _scores(self, features: np.ndarray) -> np.ndarray:
        """Raw scores of at least one row."""

    @abstractmethod
    def _importance(self, kind: str) -> dict[str, float]:
        """Importance of a kind that there is."""

    def margins(self, features: np.ndarray) -> np.ndarray:
        """Raw scores.

        Parameters
        ----------
        features : ndarray of shape (n_rows, n_columns), float32

        Returns
        -------
        ndarray of shape (n_rows, n_outputs), float32 or float64 as the library has it
        """
        if not len(features):
            return self.margins(np.zeros((1, self._n_columns), np.float32))[:0]
        return np.asarray(self._scores(features)).reshape(len(features), -1)

    def importance(self, kind: str) -> dict[str, float]:
        """Importance by native feature name; some libraries leave out features in no split.

        Raises
        ------
        ConfigError
            If the library has no such kind.
        """
        if kind not in self.importance_kinds:
            names = ", ".join(self.importance_kinds)
            msg = f"importance kind: got {kind!r}, need one of {names}"
            raise ConfigError(msg)
        return self._importance(kind)


@contextmanager
def translating(
    library: str, kind: type[Exception], words: Callable[[Exception], str], when: str
) -> Iterator[None]:
    """A library's errors as a BackendError that says when."""
    try:
        yield
    except kind as error:
        msg = f"{library} failed {when}: {words(error)}"
        raise BackendError(msg) from error
