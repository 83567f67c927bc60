"""Every error that this package raises on purpose.

::

    BatchTrainingError
    ├── ConfigError(ValueError)             bad or contradictory settings
    ├── DataError(ValueError)               schema, labels, values
    │   └── ColumnNotFoundError(KeyError)
    ├── StagingError(RuntimeError)          incomplete, foreign or damaged staged data
    ├── CheckpointError(RuntimeError)       no checkpoint, a damaged one, or one in use
    │   └── FingerprintMismatchError        one of another run; names what differs
    ├── ModelFormatError(RuntimeError)      a folder that is not a model of ours, or a newer one
    ├── WorseModelError(RuntimeError)       new rows made the model worse; the earlier one stays
    ├── BackendError(RuntimeError)          raised by the booster, with its visit and batch
    ├── NotEnoughMemoryError(MemoryError)   a batch that would not fit, found before it is read
    ├── NotFittedError(RuntimeError)
    └── MissingDependencyError(ImportError)

A message says what was found, where, and what to do about it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class BatchTrainingError(Exception):
    """Root of the hierarchy: catch it to catch all that this package raises on purpose."""


class ConfigError(BatchTrainingError, ValueError):
    """A setting is unknown, out of range, or contradicts another or the data."""

    @classmethod
    def of(cls, where: str, problems: Sequence[str]) -> Self:
        """All problems of one config in one message."""
        if len(problems) == 1:
            return cls(f"{where}: {problems[0]}")
        lines = "".join(f"\n  {problem}" for problem in problems)
        return cls(f"{where}: {len(problems)} problems{lines}")


class DataError(BatchTrainingError, ValueError):
    """The data cannot be trained on, or scored, as it is."""


class ColumnNotFoundError(DataError, KeyError):
    """A column that was asked for is not in the data."""

    @classmethod
    def of(cls, missing: Iterable[str], available: Iterable[str], where: str) -> Self:
        """Name the missing columns and, where there is one, the nearest that exists."""
        names = list(available)
        hints = "; ".join(f"{name!r}{did_you_mean(name, names)}" for name in missing)
        listed = ", ".join(repr(name) for name in names[:20])
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        return cls(f"{where}: column not found: {hints}. Columns there: {listed}{more}")

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would print the message in quotes.
        return str(self.args[0]) if self.args else ""


class StagingError(BatchTrainingError, RuntimeError):
    """Staged data is incomplete, damaged, or not what it was taken for."""


class CheckpointError(BatchTrainingError, RuntimeError):
    """A checkpoint is missing, damaged, in use by another run, or cannot be written."""


class FingerprintMismatchError(CheckpointError):
    """The checkpoints are those of another run: of other rows, or with other settings."""


class ModelFormatError(BatchTrainingError, RuntimeError):
    """A folder cannot be read as a saved model."""


class WorseModelError(BatchTrainingError, RuntimeError):
    """All that was learned from new rows made the model worse; the earlier one is as it was.

    Attributes
    ----------
    metric : str
    before, after : float
        Of the earlier model on the validation rows, and the best that came after it.
    """

    def __init__(
        self,
        message: str,
        metric: str = "",
        before: float = float("nan"),
        after: float = float("nan"),
    ) -> None:
        super().__init__(message, metric, before, after)
        self.metric, self.before, self.after = metric, before, after

    def __str__(self) -> str:
        return str(self.args[0])


class BackendError(BatchTrainingError, RuntimeError):
    """The booster library refused or failed; the original error is the cause."""


class NotEnoughMemoryError(BatchTrainingError, MemoryError):
    """What would be loaded next needs more memory than there is; nothing of it was read."""


class NotFittedError(BatchTrainingError, RuntimeError):
    """``fit`` has not produced a model yet."""


class MissingDependencyError(BatchTrainingError, ImportError):
    """An optional library is not installed; the message holds the install line."""

    @classmethod
    def of(cls, module: str, extra: str, purpose: str) -> Self:
        """Say what needs the module and which extra brings it."""
        return cls(
            f"{purpose} needs {module}, which is not installed: "
            f"pip install 'batchtrainingbooster[{extra}]'"
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known name, or nothing where none is near.

    Examples
    --------
    >>> did_you_mean("max_patiance", ["max_patience", "num_batches"])
    " (did you mean 'max_patience'?)"
    """
    near = get_close_matches(name, list(known), n=1)
    if not near:
        near = [k for k in known if k.lower() == name.lower()][:1]
    return f" (did you mean {near[0]!r}?)" if near else ""
