"""From the caller's dicts to typed settings: every problem of a dict is found, then raised once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from os import PathLike, fspath
from reprlib import Repr
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs

from batchtrainingbooster.core import schedules
from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.errors import ConfigError, did_you_mean

T = TypeVar("T")

# What of a value, and how many problems, a message shows.
MAX_SHOWN = 200
MAX_PROBLEMS = 20

_REPR = Repr()
_REPR.maxlevel = 3
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = MAX_SHOWN
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = _REPR.maxset = 10

_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_LONGEST_SIZE = 50
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?))?b?\s*", re.IGNORECASE)


def parse_bytes(text: str | int) -> int:
    """Number of bytes in a size such as ``"4GB"`` (powers of 1000) or ``"4GiB"`` (of 1024).

    Raises
    ------
    ValueError
        If the text is no size.

    Examples
    --------
    >>> parse_bytes("4GB"), parse_bytes("512 MiB")
    (4000000000, 536870912)
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    match = None
    if isinstance(text, str) and len(text) <= _LONGEST_SIZE:
        match = _SIZE.fullmatch(text)
    if match is None:
        msg = f"got {shown(text)}, need a size such as '4GB' or '512MiB'"
        raise ValueError(msg)
    number, unit, binary = match.groups()
    factor = _BYTES[(unit or "").lower()]
    if binary:
        factor = 1024 ** round(len(str(factor)) // 3)
    return int(Decimal(number) * factor)


def parse_training(config: Mapping[str, Any] | TrainingConfig | None) -> TrainingConfig:
    """``config_training``, checked.

    Raises
    ------
    ConfigError
        Listing every unknown key (with the nearest valid one) and every bad value.
    """
    if isinstance(config, TrainingConfig):
        # Checked too: attrs does not hold those who build it by hand to its types.
        config = attrs.asdict(config, recurse=False)
    values = copy_of(config, "config_training")
    problems: list[str] = []
    if values.get("memory_budget") is not None:
        try:
            values["memory_budget"] = parse_bytes(values["memory_budget"])
        except ValueError as error:
            problems.append(f"memory_budget: {error}")
            del values["memory_budget"]
    for key in ("staging_dir", "checkpoint_dir", "run_dir"):
        if isinstance(values.get(key), PathLike):
            values[key] = fspath(values[key])
    return build(TrainingConfig, values, "config_training", problems)


def parse_schedule(
    config: Mapping[str, Any] | Callable[[int], float] | None,
    learning_rate: float | None,
    default_learning_rate: float,
    num_visits: int,
    rounds_per_visit: int,
) -> schedules.Schedule:
    """``config_lr_scheduler``, checked, as a schedule over a run of known length.

    Parameters
    ----------
    config : Mapping, callable or None
        None is a constant rate.
    learning_rate : float, optional
        The rate in ``config_model``, where there is one.
    default_learning_rate : float
        The booster's own, for when neither names one.
    num_visits, rounds_per_visit : int
        The length of the whole run, for the kinds that end at ``min_lr``.

    Raises
    ------
    ConfigError
        For an unknown kind or key, a bad value, or two learning rates that differ.
    """
    where = "config_lr_scheduler"
    if config is None:
        rate = default_learning_rate if learning_rate is None else learning_rate
        return build(schedules.Constant, {"initial_lr": rate}, where)
    if callable(config):
        config = {"kind": config}
    values = copy_of(config, where)
    kind = values.pop("kind", "exponential")
    if callable(kind):
        _no_rate_beside_schedule(learning_rate, None)
        return build(schedules.FromCallable, {"function": kind, **values}, where)
    schedule = schedules.kind_of(kind)
    if "initial_lr" not in values and learning_rate is not None:
        values["initial_lr"] = learning_rate
    built_in = {field.name for field in attrs.fields(schedule)}
    if "total_steps" in built_in and "total_steps" not in values:
        per_round = values.get("per") == "round"
        values["total_steps"] = num_visits * (rounds_per_visit if per_round else 1)
    built: schedules.Schedule = build(schedule, values, where)
    _no_rate_beside_schedule(learning_rate, values["initial_lr"])
    return built


def _no_rate_beside_schedule(learning_rate: float | None, initial_lr: float | None) -> None:
    if learning_rate is not None and learning_rate != initial_lr:
        scheduled = "a callable" if initial_lr is None else f"initial_lr={initial_lr!r}"
        msg = (
            f"config_model has learning_rate={learning_rate!r} and config_lr_scheduler has "
            f"{scheduled}: give the learning rate in one place"
        )
        raise ConfigError(msg)


def copy_of(config: Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    """A dict of the settings; the caller's own is never changed.

    Raises
    ------
    ConfigError
        If it is no mapping, or a key is no text.
    """
    if config is None:
        return {}
    if not isinstance(config, Mapping):
        msg = f"{where}: got {type(config).__name__}, need a dict"
        raise ConfigError(msg)
    for key in config:
        if not isinstance(key, str):
            msg = f"{where}: key {shown(key)} is no text"
            raise ConfigError(msg)
    return dict(config)


def build(cls: type[T], values: dict[str, Any], where: str, problems: Sequence[str] = ()) -> T:
    """``cls(**values)`` of an attrs class, after strict type checks.

    Parameters
    ----------
    cls : type
    values : dict
    where : str
        What the values are called in messages.
    problems : sequence of str
        Those found before.

    Raises
    ------
    ConfigError
        Listing every unknown key, with the nearest valid one, and every bad value.
    """
    problems = list(problems)
    fields = attrs.fields_dict(attrs.resolve_types(cls))  # type: ignore[type-var,arg-type]
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            # The hint takes a while, which many keys would make long.
            hint = did_you_mean(key, fields) if len(problems) < MAX_PROBLEMS else ""
            problems.append(f"{_named(key)}: unknown key{hint}")
            continue
        try:
            checked[key] = strict(value, fields[key].type)
        except TypeError as error:
            problems.append(f"{key}: {error}")
    rejected = set(values) - set(checked)
    problems += [
        f"{name}: missing"
        for name, field in fields.items()
        if field.default is attrs.NOTHING and name not in checked and name not in rejected
    ]
    # Values are validated one by one, so that every bad one is named and not just the first.
    for key, value in list(checked.items()):
        validator = fields[key].validator
        if validator is not None:
            try:
                validator(None, fields[key], value)
            except ValueError as error:
                problems.append(str(error))
    if problems:
        raise ConfigError.of(where, _bounded(problems))
    try:
        return cls(**checked)
    except ValueError as error:
        raise ConfigError.of(where, _bounded([str(error)])) from error


def _bounded(problems: Sequence[str]) -> list[str]:
    """The first problems, each no longer than a message should be."""
    listed = [shown_text(problem, 5 * MAX_SHOWN) for problem in problems[:MAX_PROBLEMS]]
    more = len(problems) - len(listed)
    return [*listed, f"and {more:,} more"] if more else listed


def _named(key: str) -> str:
    """A key as it stands; in quotes where that would be long, or do something to a terminal."""
    return key if key.isprintable() and len(key) <= MAX_SHOWN else shown(key)


def shown(value: Any) -> str:
    """A value for messages, which stay readable and quick to make however large it is.

    Examples
    --------
    >>> shown("4GB"), len(shown("x" * 10**7)), shown(list(range(1000)))
    ("'4GB'", 200, '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...]')
    """
    try:
        return shown_text(_REPR.repr(value))
    except ValueError:  # an integer of more digits than Python writes
        return f"a very large {type(value).__name__}"


def shown_text(text: str, longest: int = MAX_SHOWN) -> str:
    """A text, cut where it is longer."""
    return text if len(text) <= longest else f"{text[: longest - 4]} ..."


def strict(value: Any, wanted: Any) -> Any:
    """``value`` as the type ``wanted``: an int may serve as a float, and nothing else is coerced.

    Raises
    ------
    TypeError
        If it is of another type; the message says what was found and what is needed.

    Examples
    --------
    >>> strict(3, float), strict(["a"], tuple[str, ...])
    (3.0, ('a',))
    """
    origin, args = get_origin(wanted), get_args(wanted)
    if wanted is Any or (wanted is type(None) and value is None):
        return value
    if origin in (Union, UnionType):
        for option in args:
            with suppress(TypeError):
                return strict(value, option)
    elif origin is Literal:
        if any(value == arg and type(value) is type(arg) for arg in args):
            return value
    elif origin is not None:
        return _strict_container(value, wanted)
    elif wanted is float and type(value) in (int, float):
        with suppress(OverflowError):
            return float(value)
    elif isinstance(value, wanted) and (wanted is bool) == isinstance(value, bool):
        return value
    msg = f"got {shown(value)}, need {describe_type(wanted)}"
    raise TypeError(msg)


def _strict_container(value: Any, wanted: Any) -> Any:
    """A list as a tuple, a mapping as a dict, their items checked; or a callable."""
    origin, args = get_origin(wanted), get_args(wanted)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(strict(item, args[0]) for item in value)
    if origin is dict and isinstance(value, Mapping):
        return {strict(k, args[0]): strict(v, args[1]) for k, v in value.items()}
    if origin is Callable and callable(value):
        return value
    msg = f"got {shown(value)}, need {describe_type(wanted)}"
    raise TypeError(msg)


def describe_type(wanted: Any) -> str:
    """A type in words, for messages.

    Examples
    --------
    >>> describe_type(int | None)
    'an integer or None'
    """
    words = {
        int: "an integer",
        float: "a number",
        str: "a text",
        bool: "True or False",
        type(None): "None",
        Any: "an object",
    }
    if wanted in words:
        return words[wanted]
    origin, args = get_origin(wanted), get_args(wanted)
    if origin in (Union, UnionType):
        return " or ".join(describe_type(arg) for arg in args)
    if origin is Literal:
        return " or ".join(repr(arg) for arg in args)
    if origin is tuple:
        return f"a list, each item {describe_type(args[0])}"
    if origin is dict:
        return f"a dict of {describe_type(args[0])} to {describe_type(args[1])}"
    return "a dict" if attrs.has(wanted) else "a callable"
