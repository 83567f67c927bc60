"""The three configs of a call, checked as far as they can be without data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from typing import Any, Literal, cast

import attrs
import numpy as np

from batchtrainingbooster.backends.custom import CUSTOM_PREFIX, CustomMetric
from batchtrainingbooster.backends.registry import DISTRIBUTED, EXTERNAL_MEMORY, load_backend
from batchtrainingbooster.backends.settings import BoosterSettings
from batchtrainingbooster.core.config import DECIDE_ABOUT_THE_MODEL, TrainingConfig
from batchtrainingbooster.core.metrics import is_maximized
from batchtrainingbooster.core.parsing import copy_of, parse_schedule, parse_training
from batchtrainingbooster.core.redaction import without_secrets
from batchtrainingbooster.core.schedules import Schedule
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.core.visits import visits_per_epoch
from batchtrainingbooster.errors import ConfigError
from batchtrainingbooster.model.boosted_model import BoostedModel

IfWorse = Literal["raise", "keep", "accept"]


@attrs.frozen(eq=False, kw_only=True)
class Request:
    """The three configs, parsed.

    Attributes
    ----------
    backend : module
        The booster's adapter.
    settings : BoosterSettings
    config : TrainingConfig
    config_lr_scheduler
        As given: the length of the run, which some schedules need, is not known yet.
    earlier : BoostedModel, optional
        The model to continue.
    given : dict
        The configs in a form that can be written down.
    if_worse : {"raise", "keep", "accept"}, optional
        What an update does with a worse model; None where the run is none.
    """

    backend: Any
    settings: BoosterSettings
    config: TrainingConfig
    config_lr_scheduler: Any
    earlier: BoostedModel | None
    given: dict[str, Any]
    if_worse: IfWorse | None = None

    def schedule(self, num_batches: int) -> Schedule:
        """The learning-rate schedule of a run over this many batches."""
        return parse_schedule(
            self.config_lr_scheduler,
            self.settings.learning_rate,
            self.backend.DEFAULT_LEARNING_RATE,
            self.config.num_epochs * visits_per_epoch(self.config.strategy, num_batches),
            self.settings.n_estimators,
        )

    @property
    def target_kind(self) -> TargetKind | None:
        """What the objective is for; None where the target's values must say."""
        if isinstance(self.settings.objective, str):
            kind: TargetKind = self.backend.target_kind(self.settings.objective)
            return kind
        # A function does not say what it is for, but the model to continue does.
        return self.earlier.info.schema.target.kind if self.earlier else None

    @property
    def continued_model(self) -> BoostedModel:
        """The model to continue, where there must be one."""
        if self.earlier is None:
            msg = "no model to continue"
            raise TypeError(msg)
        return self.earlier

    @property
    def identity(self) -> dict[str, Any]:
        """All settings that decide about the model, but for those that decide what is staged.

        Spelling makes no difference. Functions count by their names.
        """
        settings, earlier, schedule = self.settings, self.earlier, self.schedule(num_batches=1)
        return {
            "booster": self.backend.NAME,
            "config_model": {
                "n_estimators": settings.n_estimators,
                "learning_rate": settings.learning_rate,
                "early_stopping_rounds": settings.early_stopping_rounds,
                "objective": settings.objective_name,
                "eval_metric": settings.metric_names,
                **_writable(settings.params),
            },
            "config_training": {
                key: _writable(getattr(self.config, key)) for key in DECIDE_ABOUT_THE_MODEL
            },
            "config_lr_scheduler": {
                "kind": type(schedule).__name__,
                **_writable(attrs.asdict(cast("Any", schedule))),
            },
            "init_model": hashlib.sha256(earlier.native).hexdigest() if earlier else None,
            **({"if_worse": self.if_worse} if self.if_worse == "accept" else {}),
        }


def parse_request(
    backend_name: str,
    config_model: Mapping[str, Any] | None,
    config_training: Mapping[str, Any] | TrainingConfig | None,
    config_lr_scheduler: Mapping[str, Any] | Callable[[int], float] | None,
    if_worse: IfWorse | None = None,
) -> Request:
    """The configs, checked as far as they can be without data.

    Raises
    ------
    ConfigError
        For any bad setting.
    """
    backend = load_backend(backend_name)
    settings = backend.parse_settings(copy_of(config_model, "config_model"))
    config = parse_training(config_training)
    if config.group_column is not None and config.weight_column is not None:
        msg = (
            "config_training: weight_column: not supported together with group_column: the "
            "boosters do not agree on what the weight of a row in a query is"
        )
        raise ConfigError(msg)
    _check_strategy(backend_name, config)
    _check_workers(backend_name, settings, config)
    given = config.init_model
    earlier = None if given is None else earlier_model(backend_name, given)
    if earlier is not None:
        settings = _continued(settings, earlier.info.objective)
        _check_encoding(config, earlier)
    if settings.metrics:
        maximize(backend, settings, config)
    request = Request(
        backend=backend,
        settings=settings,
        config=config,
        config_lr_scheduler=config_lr_scheduler,
        earlier=earlier,
        given={
            "config_model": _writable(config_model),
            "config_training": _writable(config_training),
            "config_lr_scheduler": _writable(config_lr_scheduler),
        },
        if_worse=if_worse,
    )
    if request.target_kind is not None:
        _check_group(config, request.target_kind, settings.objective_name)
    request.schedule(num_batches=1).learning_rate(0, ())
    return request


def _check_strategy(backend_name: str, config: TrainingConfig) -> None:
    """Refuse external memory for a booster that has none.

    Raises
    ------
    ConfigError
        Naming the one that has.
    """
    if config.strategy == "external_memory" and backend_name not in EXTERNAL_MEMORY:
        able = " and ".join(EXTERNAL_MEMORY)
        msg = (
            f"config_training: strategy: 'external_memory': {backend_name} has no external memory; "
            f"{able} has, or use 'incremental'"
        )
        raise ConfigError(msg)


def _check_workers(backend_name: str, settings: BoosterSettings, config: TrainingConfig) -> None:
    """Refuse workers where the booster cannot train in several, or a metric cannot be added up.

    Raises
    ------
    ConfigError
        Naming what can.
    """
    if config.num_workers is None:
        return
    if backend_name not in DISTRIBUTED:
        msg = (
            f"config_training: num_workers: {backend_name} cannot train one model in several tasks "
            f"of Spark's; {' and '.join(DISTRIBUTED)} can, or leave it out"
        )
        raise ConfigError(msg)
    if settings.custom_metrics and config.num_workers > 1:
        msg = (
            f"config_model: eval_metric: {settings.custom_metrics[0].name} is a function, which "
            "num_workers would call on a part of the rows each; name a metric of the booster's own"
        )
        raise ConfigError(msg)


def maximize(backend: Any, settings: BoosterSettings, config: TrainingConfig) -> bool:
    """Whether a larger value of the deciding metric is better.

    Raises
    ------
    ConfigError
        If nobody knows.
    """
    if isinstance(settings.metrics[-1], CustomMetric) and config.maximize is None:
        msg = (
            f"config_model: eval_metric: {settings.metric_names[-1]} is a function: say whether "
            "larger is better, with config_training={'maximize': True} or False"
        )
        raise ConfigError(msg)
    return is_maximized(settings.metric_names[-1], backend.METRICS, config.maximize)


def _continued(settings: BoosterSettings, objective: str) -> BoosterSettings:
    """The settings with the objective of an earlier model.

    Raises
    ------
    ConfigError
        If another is named, or it was a function that is not given again.
    """
    if settings.objective is not None and settings.objective_name != objective:
        msg = (
            f"config_model: objective: got {settings.objective_name!r}, but init_model was trained "
            f"with {objective!r}"
        )
        raise ConfigError(msg)
    if settings.objective is None and objective.startswith(CUSTOM_PREFIX):
        msg = (
            f"config_model: objective: init_model was trained with a function, "
            f"{objective.removeprefix(CUSTOM_PREFIX)}; give it again"
        )
        raise ConfigError(msg)
    return attrs.evolve(settings, objective=settings.objective or objective)


def _check_group(config: TrainingConfig, kind: TargetKind, objective: str) -> None:
    """Ranking needs queries, and nothing else has any.

    Raises
    ------
    ConfigError
        If there is one without the other.
    """
    if kind is TargetKind.RANKING and config.group_column is None:
        msg = (
            f"config_training: group_column: needed by objective {objective!r}: the column that "
            "names each row's query"
        )
        raise ConfigError(msg)
    if kind is not TargetKind.RANKING and config.group_column is not None:
        msg = (
            f"config_training: group_column: objective {objective!r} is one of {kind}, which has "
            "no queries; name an objective of ranking, or leave one of the two out"
        )
        raise ConfigError(msg)


def _check_encoding(config: TrainingConfig, earlier: BoostedModel) -> None:
    """Refuse categories as another kind of feature than in the earlier model.

    Raises
    ------
    ConfigError
        If the encodings differ.
    """
    given = earlier.info.config.get("config_training") or {}
    before = given.get("categorical_encoding", "native")
    if before != config.categorical_encoding:
        msg = (
            f"config_training: categorical_encoding: got {config.categorical_encoding!r}, but "
            f"init_model was trained with {before!r}"
        )
        raise ConfigError(msg)


def earlier_model(backend_name: str, given: Any) -> BoostedModel:
    """A model, or the one in a folder.

    Raises
    ------
    ConfigError
        If it is none, or one of another booster.
    ModelFormatError
        If the folder holds none.
    """
    model = BoostedModel.load(fspath(given)) if isinstance(given, str | PathLike) else given
    if not isinstance(model, BoostedModel):
        msg = (
            f"config_training: init_model: got {type(given).__name__}, "
            "need a BoostedModel or the folder of one"
        )
        raise ConfigError(msg)
    if model.info.backend != backend_name:
        msg = (
            f"config_training: init_model: a model of {model.info.backend} cannot be continued "
            f"with {backend_name}"
        )
        raise ConfigError(msg)
    return model


def _writable(config: Any) -> Any:
    """Settings as JSON can hold them: objects by their name, and no secrets."""
    if isinstance(config, TrainingConfig):
        config = attrs.asdict(config, recurse=False)
    if isinstance(config, Mapping):
        return {str(key): _writable(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [_writable(value) for value in config]
    if isinstance(config, str | PathLike):
        return without_secrets(fspath(config))
    if isinstance(config, np.generic):
        config = config.item()
    if config is None or isinstance(config, int | float | bool):
        return config
    kind: Any = type(config)
    # Nobody knows what a callback says of itself.
    is_plain = kind.__repr__ is object.__repr__ or hasattr(config, "on_event")
    # An address in memory is another one in every run.
    text = without_secrets(re.sub(r" at 0x[0-9a-f]+", "", repr(config)))
    return getattr(kind if is_plain else config, "__qualname__", text)
