"""The one place where a metric's direction is decided."""

from __future__ import annotations

import re

import attrs

from batchtrainingbooster.errors import ConfigError, did_you_mean


@attrs.frozen
class MetricNames:
    """The metrics of a booster, as it prints them, without their arguments.

    Attributes
    ----------
    maximized : frozenset of str
        Those of which a larger value is better.
    minimized : frozenset of str
        The others.
    """

    maximized: frozenset[str]
    minimized: frozenset[str]


def is_maximized(metric: str, known: MetricNames, maximize: bool | None = None) -> bool:
    """Whether a larger value of the metric is better.

    Parameters
    ----------
    metric : str
        A booster's name of it; an argument (``ndcg@5``, ``NDCG:top=5``) makes no difference.
    known : MetricNames
        The booster's.
    maximize : bool, optional
        The user's word, which wins.

    Raises
    ------
    ConfigError
        If the metric is not known and the user did not say.

    Examples
    --------
    >>> known = MetricNames(frozenset({"auc", "ndcg"}), frozenset({"mlogloss"}))
    >>> [is_maximized(metric, known) for metric in ("auc", "ndcg@5-", "mlogloss")]
    [True, True, False]
    """
    if maximize is not None:
        return maximize
    name = re.split("[@:]", metric)[0].rstrip("-")
    if name in known.maximized:
        return True
    if name in known.minimized:
        return False
    hint = did_you_mean(name, known.maximized | known.minimized)
    msg = (
        f"config_model: eval_metric: {metric!r} is no metric whose direction is known{hint}; "
        "for a metric of your own, say so with config_training={'maximize': True} or False"
    )
    raise ConfigError(msg)
