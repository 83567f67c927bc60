"""What an update adds to a run that goes on from an earlier model."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import attrs
import numpy as np

from batchtrainingbooster.core.config import Label, TrainingConfig
from batchtrainingbooster.core.continuing import new_categories
from batchtrainingbooster.core.drift import DataLook
from batchtrainingbooster.core.history import History
from batchtrainingbooster.core.parsing import copy_of, shown
from batchtrainingbooster.core.preparation import Prepared
from batchtrainingbooster.core.redaction import without_secrets
from batchtrainingbooster.core.request import IfWorse, Request, earlier_model, parse_request
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.core.stopping import is_improvement
from batchtrainingbooster.core.update_report import UpdateReport
from batchtrainingbooster.data.columns import refuse_no_dataframe
from batchtrainingbooster.data.reader import StagedSource
from batchtrainingbooster.data.spark_errors import spark_failures
from batchtrainingbooster.errors import ConfigError, WorseModelError
from batchtrainingbooster.model.boosted_model import BoostedModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

# What was said of the data and of the target when the model was first trained holds for more rows.
# Whether larger is better does not: the metric is the call's.
_LASTING = (
    "weight_column",
    "group_column",
    "class_weight",
    "categorical_encoding",
    "allow_precision_loss",
)


def update_request(
    backend_name: str,
    model: Any,
    config_model: Mapping[str, Any] | None,
    config_training: Mapping[str, Any] | TrainingConfig | None,
    config_lr_scheduler: Mapping[str, Any] | Callable[[int], float] | None,
    if_worse: Any,
) -> Request:
    """The request of an update.

    Parameters
    ----------
    backend_name : str
    model : BoostedModel or path
    config_model, config_training, config_lr_scheduler
        As for ``fit``.
    if_worse : {"raise", "keep", "accept"}

    Raises
    ------
    ConfigError
        For any bad setting.
    """
    if if_worse not in get_args(IfWorse):
        msg = f"update: if_worse: got {shown(if_worse)}, need 'raise', 'keep' or 'accept'"
        raise ConfigError(msg)
    if isinstance(config_training, TrainingConfig):
        fields = attrs.fields_dict(TrainingConfig)
        given = attrs.asdict(config_training, recurse=False)
        given = {key: value for key, value in given.items() if value != fields[key].default}
    else:
        given = copy_of(config_training, "config_training")
    if given.get("init_model") is not None:
        msg = (
            "config_training: init_model: update has the model as its first argument; leave it out"
        )
        raise ConfigError(msg)
    if model is None:
        msg = "update: model: got None, need a BoostedModel or the folder of one"
        raise ConfigError(msg)
    earlier = earlier_model(backend_name, model)
    lasting = _lasting(earlier)
    if given.get("num_batches") is None and given.get("memory_budget") is None:
        # The rows of a day; fewer, larger batches are better.
        lasting["num_batches"] = 1
    training = {**lasting, **given, "init_model": earlier}
    request = parse_request(backend_name, config_model, training, config_lr_scheduler, if_worse)
    if not isinstance(model, BoostedModel):
        request.given["config_training"]["init_model"] = without_secrets(os.fspath(model))
    return request


def _lasting(earlier: BoostedModel) -> dict[str, Any]:
    """Settings of the earlier model's run that hold for more rows."""
    given = earlier.info.config.get("config_training") or {}
    lasting = {key: given[key] for key in _LASTING if key in given}
    weights = lasting.get("class_weight")
    if isinstance(weights, dict):
        labels = _labels_by_text(earlier.classes)
        lasting["class_weight"] = {labels.get(key, key): w for key, w in weights.items()}
    return lasting


def _labels_by_text(labels: Sequence[Label]) -> dict[str, Label]:
    """Labels by all that a key equal to them may be written as; as JSON has them, keys are text.

    Examples
    --------
    >>> _labels_by_text([0.0, 2.0])
    {'False': 0.0, '0': 0.0, '0.0': 0.0, '2': 2.0, '2.0': 2.0}
    """
    return {
        str(key): label
        for label in labels
        for key in ([label] if isinstance(label, str) else [bool(label), int(label), float(label)])
        if key == label
    }


def check_validation(request: Request, valid: DataFrame | None) -> None:
    """Refuse to compare on no rows.

    Raises
    ------
    ConfigError
        Unless the result is accepted whatever it is.
    """
    has_rows = valid is not None or request.config.validation_fraction is not None
    if not has_rows and request.if_worse != "accept":
        msg = (
            "update: there are no validation rows to compare the model on, before and after; give "
            "valid_dataframe, or validation_fraction in config_training, or if_worse='accept' to "
            "keep whatever comes out"
        )
        raise ConfigError(msg)


def is_empty(frame: DataFrame) -> bool:
    """Whether there is nothing to learn from; Spark is asked for one row.

    Raises
    ------
    DataError
        If it is no DataFrame, or one that never ends.
    """
    refuse_no_dataframe(frame, "new_dataframe")
    with spark_failures("looking for a first row"):
        return bool(frame.isEmpty())


def without_rows(earlier: BoostedModel) -> UpdateReport:
    """The report of an update that had no rows."""
    info = earlier.info
    return UpdateReport(
        rows=0,
        metric=info.metric,
        maximize=info.maximize,
        before=None,
        after=None,
        rounds_before=info.n_rounds,
        rounds_after=info.n_rounds,
        new_categories={},
        drift=None,
    )


def value_before(prepared: Prepared, source: StagedSource) -> float | None:
    """The earlier model's validation metric where new categories would change it; else None.

    To the earlier model, a category that it does not know is a missing value. Its trees in the
    continued one see a code instead.
    """
    earlier = prepared.request.continued_model
    if not new_categories(prepared.job.schema, earlier):
        return None
    rows = source.validation()
    if rows is None:
        return None
    has_changed = False
    for i, n in enumerate(earlier.info.schema.cardinalities):
        unknown = rows.features[:, i] >= n if n else np.zeros(0, bool)
        if unknown.any():
            rows.features[unknown, i] = np.nan
            has_changed = True
    if not has_changed:
        return None
    backend = prepared.request.backend.Backend(prepared.settings, prepared.problem)
    backend.start(rows, rows)
    return float(list(backend.validate().values())[-1])


def report_of(prepared: Prepared, look: DataLook, state: RunState) -> UpdateReport:
    """What the update has come to; also logged."""
    earlier = prepared.request.continued_model
    metric, n_rounds = state.history.deciding_metric, prepared.booster.n_rounds
    has_learned = n_rounds > earlier.info.n_rounds
    after = None
    if metric is not None:
        has_best = has_learned and state.best is not None
        after = state.best.value if has_best and state.best else _best(state, prepared.maximize)
    elif state.earlier_value is not None:
        # No round was added.
        after = state.earlier_value
    if after is not None and math.isnan(after) and prepared.request.if_worse != "accept":
        # Its rounds are still there where no value, before or after, was one to go back to.
        n_rounds = earlier.info.n_rounds
    report = UpdateReport(
        rows=sum(look.strata),
        metric=metric or prepared.settings.metric_names[-1],
        maximize=prepared.maximize,
        before=state.earlier_value,
        after=after,
        rounds_before=earlier.info.n_rounds,
        rounds_after=n_rounds,
        new_categories=new_categories(prepared.job.schema, earlier),
        drift=look.drift,
    )
    for level, line in report.lines():
        logger.log(level, "%s", line)
    return report


def _best(state: RunState, maximize: bool) -> float:
    """The best value of any round, of dropped ones too; NaN where none is a number."""
    history: History = state.history
    best: float | None = None
    for row in history:
        value = list(row.valid.values())[-1]
        if is_improvement(value, best, maximize=maximize, min_delta=0.0):
            best = value
    return float("nan") if best is None else best


def refuse_worse(report: UpdateReport) -> None:
    """Say so instead of returning a model that is worse.

    Raises
    ------
    WorseModelError
        With both values.
    """
    if report.is_worse:
        before, after = (float("nan") if v is None else v for v in (report.before, report.after))
        msg = (
            f"update: the model would be worse: validation {report.metric} was {before:.6g} "
            f"before, and {after:.6g} after the best round on the new rows. The earlier "
            "model is as it was. if_worse='keep' returns it, if_worse='accept' takes the other"
        )
        raise WorseModelError(msg, report.metric, before, after)
