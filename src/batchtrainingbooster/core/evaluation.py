"""How the final model does on validation rows: by class, or by how far off it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
N_BINS = 30
# Of more, a table of all pairs would be larger than most models.
MAX_CLASSES = 300


def _square(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if any(len(row) != len(value) for row in value):
        msg = f"{attribute.name}: {len(value)} rows, need as many columns"
        raise ValueError(msg)


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
        Rows by true class and, within, by predicted class; empty for regression, and for more
        than ``MAX_CLASSES``.
    class_counts : tuple of (int, int, int)
        Of each class: rows rightly predicted, predicted, and true.
    residual_quantiles : tuple of float
        Of target minus prediction, at 0, 5, 25, 50, 75, 95 and 100 %; empty for classes.
    residual_edges, residual_counts : tuple
        A histogram of the same, between its 1 % and 99 % quantiles; empty where these are too near
        one another.
    mean_absolute_error, root_mean_squared_error, r2 : float, optional
        None for classes, and where a prediction is no number; R2 also for a constant target.
    """

    rows: int
    of_rows: int
    confusion: tuple[tuple[int, ...], ...] = attrs.field(default=(), validator=_square)
    class_counts: tuple[tuple[int, int, int], ...] = attrs.field()
    residual_quantiles: tuple[float, ...] = ()
    residual_edges: tuple[float, ...] = ()
    residual_counts: tuple[int, ...] = ()
    mean_absolute_error: float | None = None
    root_mean_squared_error: float | None = None
    r2: float | None = None

    @class_counts.default
    def _count_classes(self) -> tuple[tuple[int, int, int], ...]:
        _square(self, attrs.fields(Evaluation).confusion, self.confusion)
        predicted = [sum(column) for column in zip(*self.confusion, strict=True)]
        return tuple((row[i], predicted[i], sum(row)) for i, row in enumerate(self.confusion))

    @property
    def accuracy(self) -> float | None:
        """Share of rows whose class is right; None for regression."""
        if not self.class_counts:
            return None
        return sum(right for right, _, _ in self.class_counts) / self.rows

    def by_class(self) -> list[ClassScores]:
        """Precision, recall and F1 of each class, in the order of the classes."""
        return [ClassScores.of(*counts) for counts in self.class_counts]


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
    right = np.bincount(true[true == predicted], minlength=n_classes)
    counts = zip(
        right.tolist(),
        np.bincount(predicted, minlength=n_classes).tolist(),
        np.bincount(true, minlength=n_classes).tolist(),
        strict=True,
    )
    confusion: tuple[tuple[int, ...], ...] = ()
    if n_classes <= MAX_CLASSES:
        cells = np.bincount(true * n_classes + predicted, minlength=n_classes**2)
        confusion = tuple(map(tuple, cells.reshape(n_classes, n_classes).tolist()))
    return Evaluation(
        rows=len(true), of_rows=of_rows, confusion=confusion, class_counts=tuple(counts)
    )


def of_values(true: np.ndarray, predicted: np.ndarray, of_rows: int) -> Evaluation:
    """Of a target's values; errors are not said where a prediction is no number."""
    true = np.asarray(true, np.float64)
    residuals = true - predicted
    is_finite = np.isfinite(residuals)
    finite = residuals[is_finite]
    if not len(finite):
        return Evaluation(rows=len(true), of_rows=of_rows)
    edges, counts = _histogram(finite)
    found = Evaluation(
        rows=len(true),
        of_rows=of_rows,
        residual_quantiles=_floats(np.quantile(finite, QUANTILES)),
        residual_edges=edges,
        residual_counts=counts,
    )
    if not is_finite.all():
        return found
    with np.errstate(over="ignore", invalid="ignore"):
        mean_square, variance = float(np.mean(finite**2)), float(np.var(true))
    return attrs.evolve(
        found,
        mean_absolute_error=float(np.mean(np.abs(finite))),
        root_mean_squared_error=mean_square**0.5,
        r2=1 - mean_square / variance if 0 < variance < np.inf else None,
    )


def _histogram(residuals: np.ndarray) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Edges and counts, between the 1 % and 99 % quantiles."""
    low, high = np.quantile(residuals, [0.01, 0.99]).tolist()
    edges = np.linspace(low, high, N_BINS + 1)
    if not (np.diff(edges) > 0).all():
        return (), ()
    return _floats(edges), tuple(np.histogram(residuals, edges)[0].tolist())


def _floats(values: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    return tuple(map(float, values))
