"""What a backend makes of ``config_model``, and what it is told about the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import numpy as np

from batchtrainingbooster.backends.custom import CustomMetric, CustomObjective
from batchtrainingbooster.core.parsing import strict
from batchtrainingbooster.core.ports import Batch
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import BackendError, ConfigError, did_you_mean

T = TypeVar("T")

WHERE = "config_model"

# The least share of a class, or mean under a log link, that an intercept is made of.
EPSILON = 1e-6


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
    objective : str or CustomObjective, optional
    metrics : tuple of str or CustomMetric
        The last one decides.
    params : dict
        Everything else, for the booster.
    """

    n_estimators: int
    learning_rate: float | None
    early_stopping_rounds: int | None
    objective: str | CustomObjective | None
    metrics: tuple[str | CustomMetric, ...]
    params: dict[str, Any]

    @property
    def objective_name(self) -> str:
        """What models and logs call it; empty where there is none yet."""
        if isinstance(self.objective, CustomObjective):
            return self.objective.name
        return self.objective or ""

    @property
    def metric_names(self) -> tuple[str, ...]:
        """As in the history; the last one decides."""
        return tuple(m if isinstance(m, str) else m.name for m in self.metrics)

    @property
    def own_metrics(self) -> list[str]:
        """Those that the booster computes."""
        return [metric for metric in self.metrics if isinstance(metric, str)]

    @property
    def custom_metrics(self) -> list[CustomMetric]:
        """Those that are functions."""
        return [metric for metric in self.metrics if not isinstance(metric, str)]

    def in_order(self, values: Mapping[str, float]) -> dict[str, float]:
        """Metrics with the deciding one last."""
        last = self.metric_names[-1]
        custom = {metric.name for metric in self.custom_metrics}
        is_last_custom = last in custom
        return dict(sorted(values.items(), key=lambda item: (item[0] in custom) == is_last_custom))


@attrs.frozen(kw_only=True)
class Problem:
    """What the whole training data says, so that no booster guesses it from its first batch.

    Attributes
    ----------
    kind : TargetKind
    class_shares : tuple of float
        Weighted share of each class; empty for regression.
    mean : float
        Of the target, weighted, for regression.
    percentiles : tuple of float
        The 101 of the target, for regression.
    column_names : tuple of str
    cardinalities : tuple of int
        Categories by matrix column; 0 where numeric.
    seed : int
    initial_model : bytes, optional
        The model to continue, in native format.
    external_memory : bool
        Whether all batches make one dataset on disk.
    """

    kind: TargetKind
    class_shares: tuple[float, ...] = ()
    mean: float = 0.0
    percentiles: tuple[float, ...] = ()
    column_names: tuple[str, ...]
    cardinalities: tuple[int, ...]
    seed: int
    initial_model: bytes | None = None
    external_memory: bool = False

    @property
    def n_outputs(self) -> int:
        """Margins for each row."""
        return len(self.class_shares) if self.kind is TargetKind.MULTICLASS else 1

    @property
    def log_shares(self) -> list[float]:
        """Margins of the classes' shares under a softmax; finite for a class without weight too."""
        return [math.log(max(share, EPSILON)) for share in self.class_shares]

    def quantile(self, q: float) -> float:
        """Quantile of a regression target, to the nearest percentile."""
        return self.percentiles[round(100 * min(max(q, 0.0), 1.0))]


@attrs.frozen(kw_only=True)
class Vocabulary:
    """How a booster's users spell its settings.

    Attributes
    ----------
    library : str
        The booster's name, for messages.
    aliases : dict of str to str
        To the canonical spelling. That of what every booster has is ``n_estimators``,
        ``learning_rate``, ``early_stopping_rounds``, ``objective``, ``eval_metric``.
    refused : dict of str to str
        Settings that cannot be had while batches are trained one after the other, and why.
    """

    library: str
    aliases: Mapping[str, str]
    refused: Mapping[str, str]


def parse(
    config_model: Mapping[str, Any], vocabulary: Vocabulary, problems: list[str]
) -> BoosterSettings:
    """``config_model`` in canonical spelling.

    Parameters
    ----------
    config_model : Mapping
    vocabulary : Vocabulary
    problems : list of str
        Those found before.

    Raises
    ------
    ConfigError
        Listing what is of the wrong type or cannot be had here. Values and names that only the
        booster can judge are checked by its backend, before any data is written.
    """
    params = canonical(config_model, vocabulary.aliases)
    problems = [
        *[
            f"{key}: cannot be set here: {vocabulary.refused[key]}"
            for key in params
            if key in vocabulary.refused
        ],
        *problems,
    ]

    def take(key: str, wanted: Any, default: Any) -> Any:
        if key not in params:
            return default
        value = params.pop(key)
        try:
            value = strict(value, wanted)
        except TypeError as error:
            problems.append(f"{key}: {error}")
            return default
        if value is not None and not value > 0:
            problems.append(f"{key}: got {value!r}, need a number > 0")
        return value

    n_estimators = take("n_estimators", int, 100)
    learning_rate = take("learning_rate", float | None, None)
    early_stopping_rounds = take("early_stopping_rounds", int | None, None)
    objective = params.pop("objective", None)
    if callable(objective):
        objective = CustomObjective(objective)
    elif objective is not None and not isinstance(objective, str):
        problems.append(f"objective: got {objective!r}, need a text, a function or None")
    metrics = params.pop("eval_metric", None)
    if not isinstance(metrics, list | tuple):
        metrics = [] if metrics is None else [metrics]
    metrics = [CustomMetric(metric) if callable(metric) else metric for metric in metrics]
    problems += [
        f"eval_metric: got {metric!r}, need the name of a metric of {vocabulary.library}, or a "
        "function"
        for metric in metrics
        if not isinstance(metric, str | CustomMetric)
    ]
    names = [m.name for m in metrics if isinstance(m, CustomMetric)]
    problems += [
        f"eval_metric: two functions are called {name!r}; rename one"
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if problems:
        raise ConfigError.of(WHERE, problems)
    return BoosterSettings(
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        early_stopping_rounds=early_stopping_rounds,
        objective=objective,
        metrics=tuple(metrics),
        params=params,
    )


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


def clipped(share: float) -> float:
    """A share whose logit is finite."""
    return min(max(share, EPSILON), 1 - EPSILON)


def logit(share: float) -> float:
    """Margin of a share under a sigmoid."""
    share = clipped(share)
    return math.log(share / (1 - share))


def known_objective(given: str, name: str, known: Mapping[str, T]) -> T:
    """What a table says of an objective.

    Parameters
    ----------
    given : str
        The objective as the user spelled it.
    name : str
        The same without arguments.
    known : Mapping by name

    Raises
    ------
    ConfigError
        If it is not in the table.
    """
    if name in known:
        return known[name]
    msg = (
        f"{WHERE}: objective: {given!r} is not supported{did_you_mean(name, known)}; "
        f"use one of {', '.join(known)}"
    )
    raise ConfigError(msg)


def names_or_numbers(names: Sequence[str], refused: Callable[[str], bool]) -> list[str]:
    """Column names for a native file: the user's own, or ``f0, f1, ...``.

    Parameters
    ----------
    names : sequence of str
    refused : callable
        Whether the library refuses or changes a name; all refuse repeated ones.
    """
    if any(map(refused, names)) or len(set(names)) < len(names):
        return [f"f{i}" for i in range(len(names))]
    return list(names)


def no_rounds() -> BackendError:
    """For a model that is asked for, and has none."""
    msg = (
        "no round was kept: no visit had a validation metric that is a number, or anything to "
        "learn; check eval_metric and the data"
    )
    return BackendError(msg)


def refuse_other_num_class(settings: BoosterSettings, problem: Problem) -> None:
    """The number of classes is found in the data; one that is given must be the same.

    Raises
    ------
    ConfigError
        If it is another.
    """
    given, found = settings.params.get("num_class"), len(problem.class_shares)
    if given is not None and given != found:
        msg = f"{WHERE}: num_class: got {given!r}, but the target has {found} classes; leave it out"
        raise ConfigError(msg)


def link_name(settings: BoosterSettings, kind: TargetKind, known: Callable[[str], str]) -> str:
    """Name of the inverse link; the margins of a custom objective of classes are logits.

    Parameters
    ----------
    settings : BoosterSettings
    kind : TargetKind
    known : callable
        The backend's ``link_of``.
    """
    if isinstance(settings.objective, str):
        return known(settings.objective)
    return {TargetKind.BINARY: "sigmoid", TargetKind.MULTICLASS: "softmax"}.get(kind, "identity")


def trial_batch(problem: Problem) -> Batch:
    """Some rows of every class, on which a booster can be asked about its settings."""
    n_rows = max(64, len(problem.class_shares))
    row = np.arange(n_rows, dtype=np.float32)
    features = np.repeat(row[:, None], len(problem.cardinalities), axis=1)
    for i, n in enumerate(problem.cardinalities):
        features[:, i] %= n or n_rows
    is_ranking = problem.kind is TargetKind.RANKING
    return Batch(
        features=np.asfortranarray(features),
        label=row % (len(problem.class_shares) or 2) if problem.class_shares or is_ranking
        else (row + 1) / n_rows,
        group=np.repeat(8, n_rows // 8) if is_ranking else None,
    )  # fmt: skip
