"""Class weights from counts over all training rows, never from one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from batchtrainingbooster.core.config import Label
from batchtrainingbooster.errors import ConfigError


def class_weights(
    class_weight: str | Mapping[Label, float] | None,
    classes: Sequence[Label],
    counts: Sequence[int],
) -> np.ndarray:
    """Weight of each class.

    ``"balanced"`` is ``n_rows / (n_classes * count)``, as in scikit-learn.

    Parameters
    ----------
    class_weight : "balanced", mapping by label, or None
        Labels that a mapping leaves out have weight 1.
    classes, counts
        The labels, and the training rows of each.

    Returns
    -------
    ndarray of shape (n_classes,), float32

    Raises
    ------
    ConfigError
        If the mapping names a label that the target does not have, or weighs every class zero.

    Examples
    --------
    >>> class_weights("balanced", ["no", "yes"], [75, 25]).tolist()
    [0.6666666865348816, 2.0]
    """
    if class_weight is None:
        return np.ones(len(classes), np.float32)
    if isinstance(class_weight, Mapping):
        unknown = [label for label in class_weight if label not in classes]
        if unknown:
            msg = (
                f"config_training: class_weight: {unknown[0]!r} is no label of the target; "
                f"its labels are {', '.join(repr(label) for label in classes[:20])}"
            )
            raise ConfigError(msg)
        weights = [class_weight.get(label, 1.0) for label in classes]
        if not any(weights):
            msg = "config_training: class_weight: every class has weight 0, so no row would count"
            raise ConfigError(msg)
        return np.asarray(weights, np.float32)
    n = np.asarray(counts, np.float64)
    # New rows may lack a class of the model that they continue.
    balanced = np.divide(n.sum(), np.count_nonzero(n) * n, out=np.ones_like(n), where=n > 0)
    return np.asarray(balanced, np.float32)
