"""What makes two runs, or two staged folders, the same; and where they differ, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_MISSING = object()
_SHOWN = 3
_MAX_LENGTH = 80


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Where two identities differ, each with its path and both values.

    Parameters
    ----------
    then, now : mapping
        As JSON holds them; tuples count as lists.

    Examples
    --------
    >>> differences({"a": {"depth": 3}, "b": [1]}, {"a": {"depth": 4}, "b": (1,)})
    ['a.depth: 3 then, 4 now']
    """
    return list(_differences(_plain(then), _plain(now), ""))


def _plain(identity: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(identity))


def in_words(differing: Sequence[str]) -> str:
    """The first differences, and how many more there are."""
    more = len(differing) - _SHOWN
    return "; ".join(differing[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _differences(then: Any, now: Any, path: str) -> Iterator[str]:
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in {**then, **now}:
            own = f"{path}.{key}" if path else key
            yield from _differences(then.get(key, _MISSING), now.get(key, _MISSING), own)
    # NaN is not equal to itself, but its text is.
    elif then != now and repr(then) != repr(now):
        yield f"{path}: {_shown(then)} then, {_shown(now)} now"


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "absent"
    text = repr(value)
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}..."
