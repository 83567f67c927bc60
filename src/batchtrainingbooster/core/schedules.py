"""Learning rate as a pure function of the step, so that a resumed run needs no schedule state.

A step is a visit, or a round where ``per="round"``; both are numbered from 0 over the whole run.
Every schedule is called with the step and the outcomes of the finished visits (did each improve
the best model?); only ``plateau`` looks at the latter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal, Protocol

import attrs

from batchtrainingbooster.errors import ConfigError, did_you_mean

Per = Literal["visit", "round"]


class Schedule(Protocol):
    """What the loop asks of a schedule."""

    @property
    def per(self) -> Per:
        """What a step is."""
        ...

    def learning_rate(self, step: int, improved: Sequence[bool]) -> float:
        """Learning rate at ``step`` (from 0), after visits with these outcomes."""
        ...


def _positive(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        msg = f"{attribute.name}: got {value!r}, need a number > 0"
        raise ValueError(msg)


def _fraction(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value <= 1:
        msg = f"{attribute.name}: got {value!r}, need a number in (0, 1]"
        raise ValueError(msg)


def _not_negative(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (value >= 0 and math.isfinite(value)):
        msg = f"{attribute.name}: got {value!r}, need a number >= 0"
        raise ValueError(msg)


def _at_least_one(instance: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value < 1:
        msg = f"{attribute.name}: got {value!r}, need an integer >= 1"
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class _Base:
    initial_lr: float = attrs.field(validator=_positive)
    min_lr: float = attrs.field(default=0.0, validator=_not_negative)
    per: Per = "visit"

    def __attrs_post_init__(self) -> None:
        if self.min_lr > self.initial_lr:
            msg = f"min_lr: got {self.min_lr!r}, more than initial_lr={self.initial_lr!r}"
            raise ValueError(msg)


@attrs.frozen(kw_only=True)
class Constant(_Base):
    """``initial_lr`` throughout."""

    def learning_rate(self, step: int, improved: Sequence[bool]) -> float:
        """Learning rate at ``step``."""
        return max(self.min_lr, self.initial_lr)


@attrs.frozen(kw_only=True)
class Exponential(_Base):
    """``initial_lr * decay_rate ** step``.

    Examples
    --------
    >>> schedule = Exponential(initial_lr=0.1, decay_rate=0.5)
    >>> [schedule.learning_rate(visit, ()) for visit in range(3)]
    [0.1, 0.05, 0.025]
    """

    decay_rate: float = attrs.field(validator=_fraction)

    def learning_rate(self, step: int, improved: Sequence[bool]) -> float:
        """Learning rate at ``step``."""
        return max(self.min_lr, self.initial_lr * self.decay_rate**step)


@attrs.frozen(kw_only=True)
class Step(_Base):
    """Multiplied by ``decay_rate`` every ``step_size`` steps."""

    decay_rate: float = attrs.field(validator=_fraction)
    step_size: int = attrs.field(validator=_at_least_one)

    def learning_rate(self, step: int, improved: Sequence[bool]) -> float:
        """Learning rate at ``step``."""
        return max(self.min_lr, self.initial_lr * self.decay_rate ** (step // self.step_size))


@attrs.frozen(kw_only=True)
class InverseTime(_Base):
    """``initial_lr / (1 + decay_rate * step)``."""

    decay_rate: float = attrs.field(validator=_positive)

    def learning_rate(self, step: int, improved: Sequence[bool]) -> float:
        """Learning rate at ``step``."""
        return max(self.min_lr, self.initial_lr / (1 + self.decay_rate * step))


@attrs.frozen(kw_only=True)
class Linear(_Base):
    """A straight line from ``initial_lr`` to ``min_lr``, reached after ``total_steps``.

    The last step is thus above ``min_lr``: with the default of 0, it would train nothing.
    """

    total_steps: int = attrs.field(validator=_at_least_one)

    def learning_rate(self, step: int, improved: Sequence[bool]) -> float:
        """Learning rate at ``step``."""
        return _between(self, _progress(step, self.total_steps))


@attrs.frozen(kw_only=True)
class Cosine(_Base):
    """Half a cosine from ``initial_lr`` to ``min_lr``, reached after ``total_steps``.

    Loshchilov and Hutter, SGDR, 2017 (https://arxiv.org/abs/1608.03983), without its restarts.
    """

    total_steps: int = attrs.field(validator=_at_least_one)

    def learning_rate(self, step: int, improved: Sequence[bool]) -> float:
        """Learning rate at ``step``."""
        return _between(self, (1 - math.cos(math.pi * _progress(step, self.total_steps))) / 2)


@attrs.frozen(kw_only=True)
class Plateau(_Base):
    """Multiplied by ``decay_rate`` after ``plateau_patience`` visits in a row without gain."""

    decay_rate: float = attrs.field(validator=_fraction)
    plateau_patience: int = attrs.field(default=1, validator=_at_least_one)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.per == "round":
            msg = "per: 'plateau' looks at whole visits, so it needs per='visit'"
            raise ValueError(msg)

    def learning_rate(self, step: int, improved: Sequence[bool]) -> float:
        """Learning rate after visits with the outcomes ``improved``."""
        reductions = run = 0
        for helped in improved[:step]:
            run = 0 if helped else run + 1
            if run == self.plateau_patience:
                reductions, run = reductions + 1, 0
        return max(self.min_lr, self.initial_lr * self.decay_rate**reductions)


@attrs.frozen(kw_only=True)
class FromCallable:
    """A function of the user's own: ``function(step) -> learning rate``."""

    function: Callable[[int], Any]
    per: Per = "visit"

    def learning_rate(self, step: int, improved: Sequence[bool]) -> float:
        """Learning rate at ``step``.

        Raises
        ------
        ConfigError
            If the function returns anything but a number > 0.
        """
        value = self.function(step)
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not (is_number and 0 < value < math.inf):
            msg = (
                f"config_lr_scheduler: the callable returned {value!r} at {self.per} {step}; "
                "it must return a number > 0"
            )
            raise ConfigError(msg)
        return float(value)


def _progress(step: int, total_steps: int) -> float:
    return min(1.0, step / total_steps)


def _between(schedule: _Base, share: float) -> float:
    return schedule.initial_lr + (schedule.min_lr - schedule.initial_lr) * share


KINDS: dict[str, Any] = {
    "exponential": Exponential,
    "constant": Constant,
    "step": Step,
    "linear": Linear,
    "cosine": Cosine,
    "inverse_time": InverseTime,
    "plateau": Plateau,
}


def kind_of(name: object) -> Any:
    """The schedule class called ``name``.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if isinstance(name, str) and name in KINDS:
        return KINDS[name]
    hint = did_you_mean(name, KINDS) if isinstance(name, str) else ""
    msg = f"config_lr_scheduler: kind: got {name!r}{hint}, need one of {', '.join(KINDS)}"
    raise ConfigError(msg)
