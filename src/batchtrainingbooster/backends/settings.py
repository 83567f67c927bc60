"""What a backend makes of ``config_model``, and what it is told about the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import ConfigError

WHERE = "config_model"


@attrs.frozen(kw_only=True)
class BoosterSettings:
    """``config_model`` in the booster's canonical spelling.

    Attributes
    ----------
    n_estimators : int
        Rounds in each visit.
    learning_rate : float, optional
    early_stopping_rounds : int, optional
        Rounds without a better validation metric that end a visit.
    objective : str, optional
    metrics : tuple of str
        The last one decides.
    params : dict
        Everything else, for the booster.
    """

    n_estimators: int
    learning_rate: float | None
    early_stopping_rounds: int | None
    objective: str | None
    metrics: tuple[str, ...]
    params: dict[str, Any]


@attrs.frozen(kw_only=True)
class Problem:
    """What the whole training data says, so that no booster guesses it from its first batch.

    Attributes
    ----------
    kind : TargetKind
    class_shares : tuple of float
        Weighted share of each class; empty for regression.
    mean, median : float
        Of the target, for regression (the mean is weighted).
    column_names : tuple of str
    cardinalities : tuple of int
        Categories by matrix column; 0 where numeric.
    seed : int
    initial_model : bytes, optional
        The model to continue, in native format.
    """

    kind: TargetKind
    class_shares: tuple[float, ...] = ()
    mean: float = 0.0
    median: float = 0.0
    column_names: tuple[str, ...]
    cardinalities: tuple[int, ...]
    seed: int
    initial_model: bytes | None = None

    @property
    def n_outputs(self) -> int:
        """Margins for each row."""
        return len(self.class_shares) if self.kind is TargetKind.MULTICLASS else 1


def canonical(config: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    """The settings under one spelling each.

    Raises
    ------
    ConfigError
        If two spellings of one setting differ in value.
    """
    result: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for key, value in config.items():
        name = aliases.get(key, key)
        if name in result and result[name] != value:
            msg = (
                f"{WHERE}: {spelled[name]}={result[name]!r} and {key}={value!r} are two spellings "
                "of one setting; keep one"
            )
            raise ConfigError(msg)
        result[name], spelled[name] = value, key
    return result
