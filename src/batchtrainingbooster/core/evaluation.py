"""How the final model does on validation rows: by class, or by how far off it is."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
N_BINS = 30


@attrs.frozen(kw_only=True)
class Evaluation:
    """Counted on validation rows, each once, whatever its weight.

    Attributes
    ----------
    rows : int
        That were scored.
    of_rows : int
        That there are; more than were scored where a random sample does.
    confusion : tuple of tuple of int
        Rows by true class and, within, by predicted class; empty for regression.
    residual_quantiles : tuple of float
        Of target minus prediction, at 0, 5, 25, 50, 75, 95 and 100 %; empty for classes.
    residual_edges, residual_counts : tuple
        A histogram of the same, between its 1 % and 99 % quantiles.
    mean_absolute_error, root_mean_squared_error, r2 : float, optional
    """

    rows: int
    of_rows: int
    confusion: tuple[tuple[int, ...], ...] = ()
    residual_quantiles: tuple[float, ...] = ()
    residual_edges: tuple[float, ...] = ()
    residual_counts: tuple[int, ...] = ()
    mean_absolute_error: float | None = None
    root_mean_squared_error: float | None = None
    r2: float | None = None

    @property
    def accuracy(self) -> float | None:
        """Share of rows whose class is right; None for regression."""
        if not self.confusion:
            return None
        right = sum(row[i] for i, row in enumerate(self.confusion))
        return right / self.rows

    def by_class(self) -> list[ClassScores]:
        """Precision, recall and F1 of each class, in the order of the classes."""
        found = np.array(self.confusion, np.int64)
        return [
            ClassScores.of(int(found[i, i]), int(found[:, i].sum()), int(found[i].sum()))
            for i in range(len(found))
        ]


@attrs.frozen
class ClassScores:
    """Of one class; None where nothing was there to count.

    Attributes
    ----------
    precision, recall, f1 : float, optional
    support : int
        Rows of the class.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    support: int

    @classmethod
    def of(cls, right: int, predicted: int, support: int) -> ClassScores:
        """From counts: rightly predicted, predicted, and true."""
        precision = right / predicted if predicted else None
        recall = right / support if support else None
        both = predicted + support
        return cls(precision, recall, 2 * right / both if both else None, support)


def of_classes(true: np.ndarray, predicted: np.ndarray, n_classes: int, of_rows: int) -> Evaluation:
    """Of class indices.

    Examples
    --------
    >>> of_classes(np.array([0, 1, 1]), np.array([0, 1, 0]), 2, 3).confusion
    ((1, 0), (1, 1))
    """
    cells = np.bincount(true * n_classes + predicted, minlength=n_classes**2)
    table = cells.reshape(n_classes, n_classes)
    confusion = tuple(tuple(map(int, row)) for row in table)
    return Evaluation(rows=len(true), of_rows=of_rows, confusion=confusion)


def of_values(true: np.ndarray, predicted: np.ndarray, of_rows: int) -> Evaluation:
    """Of a target's values; rows whose prediction is no number count in ``rows`` alone."""
    residuals = np.asarray(true, np.float64) - predicted
    residuals = residuals[np.isfinite(residuals)]
    if not len(residuals):
        return Evaluation(rows=len(true), of_rows=of_rows)
    low, high = np.quantile(residuals, [0.01, 0.99])
    counts, edges = np.histogram(residuals, N_BINS, (low, high) if low < high else None)
    variance = float(np.var(np.asarray(true, np.float64)))
    mean_square = float(np.mean(residuals**2))
    return Evaluation(
        rows=len(true),
        of_rows=of_rows,
        residual_quantiles=_floats(np.quantile(residuals, QUANTILES)),
        residual_edges=_floats(edges),
        residual_counts=tuple(map(int, counts)),
        mean_absolute_error=float(np.mean(np.abs(residuals))),
        root_mean_squared_error=mean_square**0.5,
        r2=1 - mean_square / variance if variance else None,
    )


def _floats(values: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    return tuple(map(float, values))
