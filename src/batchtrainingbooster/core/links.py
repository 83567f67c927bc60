"""From margins to predictions, the same for every booster."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _sigmoids(margins: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-margins)))


def _sigmoid(margins: np.ndarray) -> np.ndarray:
    positive = _sigmoids(margins)
    return np.concatenate([1 - positive, positive], axis=1)


def _hinge(margins: np.ndarray) -> np.ndarray:
    positive = (margins > 0).astype(margins.dtype)
    return np.concatenate([1 - positive, positive], axis=1)


def _softmax(margins: np.ndarray) -> np.ndarray:
    shifted = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


CLASS_LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sigmoid": _sigmoid,
    "hinge": _hinge,
    "softmax": _softmax,
    # Not normalised: each class against all others, as the boosters give it.
    "one_vs_all": _sigmoids,
}


def probabilities(margins: np.ndarray, link: str) -> np.ndarray:
    """Probability of each class.

    Parameters
    ----------
    margins : ndarray of shape (n_rows, n_outputs), float32
    link : str

    Returns
    -------
    ndarray of shape (n_rows, n_classes), float64

    Examples
    --------
    >>> probabilities(np.zeros((1, 1), np.float32), "sigmoid").tolist()
    [[0.5, 0.5]]
    """
    with np.errstate(over="ignore"):
        return CLASS_LINKS[link](margins.astype(np.float64))


def expectations(margins: np.ndarray, link: str) -> np.ndarray:
    """Predicted values of a regression target, of shape (n_rows,), float64."""
    values = margins[:, 0].astype(np.float64)
    if link == "exp":
        return np.exp(values)
    return _sigmoids(values) if link == "sigmoid" else values


def raw_predictions(margins: np.ndarray, link: str) -> np.ndarray:
    """Margins as Spark ML gives them: one for each class, (-m, m) for two."""
    margins = margins.astype(np.float64)
    if link in ("sigmoid", "hinge"):
        return np.concatenate([-margins, margins], axis=1)
    return margins
