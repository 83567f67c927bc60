"""Objectives and metrics that are functions of the user's own, the same for every booster."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from batchtrainingbooster.core import links
from batchtrainingbooster.errors import BackendError

CUSTOM_PREFIX = "custom:"


@attrs.frozen
class _Function:
    """What the user gave, and whether it wants the row weights: asked once, called every round."""

    function: Callable[..., Any]
    takes_weights: bool = attrs.field(init=False)

    @takes_weights.default
    def _look_for_weights(self) -> bool:
        try:
            return "sample_weight" in inspect.signature(self.function).parameters
        except ValueError:  # a built-in without a signature
            return False

    def _call(self, label: np.ndarray, values: np.ndarray, weight: np.ndarray | None) -> Any:
        try:
            if self.takes_weights:
                return self.function(label, values, sample_weight=weight)
            return self.function(label, values)
        except Exception as error:
            msg = f"{name_of(self.function)} failed: {type(error).__name__}: {error}"
            raise BackendError(msg) from error


@attrs.frozen
class CustomObjective(_Function):
    """A loss that is given by its derivatives.

    Attributes
    ----------
    function : callable
        ``function(y_true, margins) -> (gradient, hessian)``, each of the shape of the margins:
        (n_rows,), or (n_rows, n_classes) for more than two classes. One that has a parameter
        ``sample_weight`` is given the row weights (None where there are none), and must count
        them in; else they are counted in afterwards.
    """

    @property
    def name(self) -> str:
        """As models keep it."""
        return CUSTOM_PREFIX + name_of(self.function)

    def derivatives(
        self, label: np.ndarray, margins: np.ndarray, weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and hessian of the weighted loss, float64.

        Raises
        ------
        BackendError
            If the function fails, or returns something else.
        """
        found = self._call(label, margins, weight)
        if not isinstance(found, tuple) or len(found) != 2:
            msg = f"objective {name_of(self.function)}: returned {found!r}, need a pair of arrays"
            raise BackendError(msg)
        gradient, hessian = (np.asarray(values, np.float64) for values in found)
        for name, values in (("gradient", gradient), ("hessian", hessian)):
            if values.shape != margins.shape:
                msg = (
                    f"objective {name_of(self.function)}: the {name} has shape {values.shape}, "
                    f"need {margins.shape}"
                )
                raise BackendError(msg)
        if weight is not None and not self.takes_weights:
            by_row = weight if margins.ndim == 1 else weight[:, None]
            gradient, hessian = gradient * by_row, hessian * by_row
        return gradient, hessian


@attrs.frozen
class CustomMetric(_Function):
    """A validation metric of the user's own.

    Attributes
    ----------
    function : callable
        ``function(y_true, y_pred) -> float``, as in ``sklearn.metrics``. ``y_pred`` is what
        ``predict`` or ``predict_proba`` would give: the probability of the second of two classes,
        of shape (n_rows,); of every class, of shape (n_rows, n_classes); or the value. Classes are
        numbered in ``y_true``. One that has a parameter ``sample_weight`` is given the row weights.
    """

    @property
    def name(self) -> str:
        """As in the history."""
        return name_of(self.function)

    def value(self, label: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None) -> float:
        """The metric of these predictions.

        Raises
        ------
        BackendError
            If the function fails, or returns something else than a number.
        """
        found = self._call(label, predicted, weight)
        try:
            return float(found)
        except (TypeError, ValueError) as error:
            msg = f"eval_metric {self.name}: returned {found!r}, need a number"
            raise BackendError(msg) from error


def predictions(margins: np.ndarray, link: str) -> np.ndarray:
    """What a metric is given for these margins, of shape (n_rows,) or (n_rows, n_outputs)."""
    margins = margins.reshape(len(margins), -1)
    if link not in links.CLASS_LINKS:
        return links.expectations(margins, link)
    chances = links.probabilities(margins, link)
    return chances[:, 1] if margins.shape[1] == 1 else chances


def name_of(function: Callable[..., Any]) -> str:
    """Name of a function, for the history and the logs.

    Examples
    --------
    >>> name_of(name_of)
    'name_of'
    """
    return str(getattr(function, "__name__", type(function).__name__))
