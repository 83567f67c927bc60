"""The typed settings behind ``config_training``; one field is one documented key."""

from __future__ import annotations

import sys
from typing import Any, Literal

import attrs

from batchtrainingbooster.core.batching import MAX_NUM_BATCHES

Label = str | int | float | bool
Strategy = Literal["incremental", "external_memory"]


def _at_least(minimum: float, maximum: float = float("inf")) -> Any:
    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not minimum <= value <= maximum:
            upper = "" if maximum == float("inf") else f" and <= {maximum}"
            msg = f"{attribute.name}: got {value!r}, need a number >= {minimum}{upper}"
            raise ValueError(msg)

    return check


def _open_unit_interval(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not 0 < value < 1:
        msg = f"{attribute.name}: got {value!r}, need a fraction between 0 and 1, both excluded"
        raise ValueError(msg)


def _named_columns(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is None:
        return
    if attribute.name == "feature_columns" and not value:
        msg = f"{attribute.name}: names no column; leave it out to use every column"
        raise ValueError(msg)
    repeated = sorted({name for name in value if value.count(name) > 1})
    if repeated:
        msg = f"{attribute.name}: {repeated[0]!r} is named more than once"
        raise ValueError(msg)


def _class_weight(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, dict):
        for label, weight in value.items():
            if not weight >= 0 or weight == float("inf"):
                msg = f"{attribute.name}: label {label!r} has weight {weight!r}, need a number >= 0"
                raise ValueError(msg)


def _callbacks(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, tuple | list):
        msg = f"{attribute.name}: got {type(value).__name__}, need a list of them"
        raise ValueError(msg)
    for each in value or ():
        methods = ("on_event", "state", "restore")
        if isinstance(each, type) or not all(callable(getattr(each, m, None)) for m in methods):
            kind = each.__name__ if isinstance(each, type) else type(each).__name__
            made = f"the class {kind}; make one: {kind}()" if isinstance(each, type) else kind
            msg = f"{attribute.name}: got {made}, need objects of classes derived from Callback"
            raise ValueError(msg)


# What decides about the model; of the other settings, those that say which rows go where are part
# of what is staged, and the rest changes nothing.
DECIDE_ABOUT_THE_MODEL = (
    "num_epochs",
    "strategy",
    "num_workers",
    "max_patience",
    "min_delta",
    "maximize",
    "warm_restart",
    "class_weight",
    "categorical_encoding",
)


@attrs.frozen(kw_only=True)
class TrainingConfig:
    """How a run batches, weighs, repeats and stops.

    Attributes
    ----------
    num_batches : int, optional
        Batches that the training rows are split into. Default: as few as fit into
        ``memory_budget``; without a budget, 10.
    memory_budget : int, optional
        Bytes of Python memory that training may use beyond the idle process; of each worker, if
        there are ``num_workers``. A text such as ``"4GB"`` is accepted.
    num_epochs : int
        Passes over all batches; their order is drawn anew for each.
    strategy : {"incremental", "external_memory"}
        ``"incremental"`` visits one batch after the other; ``"external_memory"`` keeps all of them
        on disk and lets every tree see every row: one visit an epoch, each round as many times
        dearer as there are batches. XGBoost alone has it.
    num_workers : int, optional
        Tasks of Spark's that train each visit together, each on its share of the batch; all must
        run at once. Default: the visits are trained in this process. XGBoost alone has it.
    seed : int
        Decides the batches, their order, and the booster's own sampling.
    max_patience : int
        Visits without improvement after which the run stops.
    min_delta : float
        Smallest gain of the validation metric that counts as improvement.
    maximize : bool, optional
        Whether a larger validation metric is better. Known for every built-in metric.
    warm_restart : {"best", "last"}
        After a visit that did not help, go on from the best model, or keep its trees.
    class_weight : {"balanced"} or dict, optional
        ``"balanced"`` weighs each class by the inverse of its share of all training rows; a dict
        gives a weight by label; ``None`` weighs none. Ignored for regression.
    weight_column : str, optional
        Column of row weights, multiplied with the class weights.
    feature_columns : tuple of str, optional
        Default: every column but target, weight and group.
    categorical_columns : tuple of str, optional
        Integers, booleans or strings to use as categories; other strings are categories too.
    categorical_encoding : {"native", "ordinal"}
        ``"native"`` gives the booster categories as such; ``"ordinal"`` gives it their positions
        in the sorted dictionary, as numbers.
    group_column : str, optional
        Column that names each row's query, for ranking; the rows of a query stay together.
    validation_fraction : float, optional
        Share of the training rows, stratified or by whole queries, held out when
        ``valid_dataframe`` is None.
    allow_precision_loss : bool
        Accept integers that float32, the boosters' own type, cannot hold exactly.
    staging_dir : str, optional
        Where the batches are written: a path or URI that Spark and this process both reach.
        Default: a temporary folder, removed after training.
    checkpoint_dir : str, optional
        Path or URI of a folder for what a run needs to go on after it was interrupted. Without
        ``staging_dir``, the batches lie there too until the run has come to its end.
    checkpoint_every : int
        Visits from one checkpoint to the next.
    resume : {"auto", "never", "must"}
        ``"auto"`` goes on from the newest checkpoint where there is one, ``"never"`` starts anew,
        ``"must"`` refuses to. Checkpoints of other rows or settings are refused.
    run_dir : str, optional
        Local folder for what the run leaves: settings, event log, history, plots, model, report.
        Default: nothing is written.
    init_model : BoostedModel or str, optional
        An earlier model, or the folder of one, to continue.
    show_learning_curve : bool
        Show the learning curves in a notebook; elsewhere write them as PNG files.
    callbacks : tuple of Callback, optional
        Told of all that happens, in this order.
    callbacks_strict : bool
        Whether an error in a callback ends the run; else it is logged, and training goes on.
    verbosity : {0, 1, 2}
        0 shows nothing; 1 shows progress where there is a terminal or notebook; 2 logs every round
        too. What is logged, and where, is decided by the application (``setup_logger``).
    """

    num_batches: int | None = attrs.field(default=None, validator=_at_least(1, MAX_NUM_BATCHES))
    memory_budget: int | None = attrs.field(default=None, validator=_at_least(1))
    num_epochs: int = attrs.field(default=1, validator=_at_least(1))
    strategy: Strategy = "incremental"
    num_workers: int | None = attrs.field(default=None, validator=_at_least(1))
    seed: int = attrs.field(default=42, validator=_at_least(0))
    max_patience: int = attrs.field(default=5, validator=_at_least(1))
    min_delta: float = attrs.field(default=0.0, validator=_at_least(0, sys.float_info.max))
    maximize: bool | None = None
    warm_restart: Literal["best", "last"] = "best"
    class_weight: Literal["balanced"] | dict[Label, float] | None = attrs.field(
        default="balanced", validator=_class_weight
    )
    weight_column: str | None = None
    feature_columns: tuple[str, ...] | None = attrs.field(default=None, validator=_named_columns)
    categorical_columns: tuple[str, ...] | None = attrs.field(
        default=None, validator=_named_columns
    )
    categorical_encoding: Literal["native", "ordinal"] = "native"
    group_column: str | None = None
    validation_fraction: float | None = attrs.field(default=None, validator=_open_unit_interval)
    allow_precision_loss: bool = False
    staging_dir: str | None = None
    checkpoint_dir: str | None = None
    checkpoint_every: int = attrs.field(default=1, validator=_at_least(1))
    resume: Literal["auto", "never", "must"] = "auto"
    run_dir: str | None = None
    init_model: Any = None
    show_learning_curve: bool = False
    callbacks: tuple[Any, ...] | None = attrs.field(default=None, validator=_callbacks)
    callbacks_strict: bool = False
    verbosity: Literal[0, 1, 2] = 1
