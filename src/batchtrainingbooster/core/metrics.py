"""The one place where a metric's direction is known."""

from __future__ import annotations

from batchtrainingbooster.errors import ConfigError, did_you_mean

# Names as the boosters print them, without the ``@`` argument.
# https://xgboost.readthedocs.io/en/stable/parameter.html#learning-task-parameters
_MAXIMIZE = frozenset({"auc", "aucpr", "pre", "map", "ndcg", "interval-regression-accuracy"})
_MINIMIZE = frozenset(
    {
        "rmse", "rmsle", "mae", "mape", "mphe", "logloss", "error", "merror", "mlogloss",
        "poisson-nloglik", "gamma-nloglik", "cox-nloglik", "gamma-deviance", "tweedie-nloglik",
        "aft-nloglik", "quantile", "expectile",
    }
)  # fmt: skip


def is_maximized(metric: str, maximize: bool | None = None) -> bool:
    """Whether a larger value of the metric is better.

    Parameters
    ----------
    metric : str
        A booster's name of it; an argument (``ndcg@5``, ``error@0.7``) makes no difference.
    maximize : bool, optional
        The user's word, which wins.

    Raises
    ------
    ConfigError
        If the metric is not known and the user did not say.

    Examples
    --------
    >>> is_maximized("auc"), is_maximized("ndcg@5-"), is_maximized("mlogloss")
    (True, True, False)
    """
    if maximize is not None:
        return maximize
    name = metric.partition("@")[0].rstrip("-")
    if name in _MAXIMIZE:
        return True
    if name in _MINIMIZE:
        return False
    hint = did_you_mean(name, _MAXIMIZE | _MINIMIZE)
    msg = (
        f"config_model: eval_metric: {metric!r} is no metric whose direction is known{hint}; "
        "for a metric of your own, say so with config_training={'maximize': True} or False"
    )
    raise ConfigError(msg)
