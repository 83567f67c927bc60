"""How numbers, times and labels are written on the page."""

from __future__ import annotations

import json
import math
from typing import Any

BOOSTERS = {"xgboost": "XGBoost", "catboost": "CatBoost", "lightgbm": "LightGBM"}
LONGEST = 1_000
NOTHING = "\u2013"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "row"), counted(1690, "row"), counted(2, "batch", "batches")
    ('1 row', '1,690 rows', '2 batches')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def measured(number: float | None) -> str:
    """A metric, to five digits.

    Examples
    --------
    >>> measured(0.12763531773), measured(1234567.0), measured(float("nan"))
    ('0.12764', '1,234,567', 'not a number')
    >>> measured(None) == NOTHING
    True
    """
    if number is None:
        return NOTHING
    if math.isnan(number):
        return "not a number"
    if 1e5 <= abs(number) < 1e15:
        return f"{number:,.0f}"
    return f"{number:.5g}"


def share(part: float | None) -> str:
    """A part of one, in per cent.

    Examples
    --------
    >>> share(0.9524).split("\N{NARROW NO-BREAK SPACE}")
    ['95.2', '%']
    """
    return NOTHING if part is None else f"{100 * part:.1f}\u202f%"


def duration(seconds: float) -> str:
    """Seconds, as people say them.

    Examples
    --------
    >>> duration(0.0312), duration(5.52), duration(59.97), duration(125), duration(11_520)
    ('31 ms', '5.5 s', '1 min', '2 min 5 s', '3 h 12 min')
    """
    if seconds < 0.0995:
        return f"{1000 * seconds:.2g} ms" if seconds < 0.00995 else f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60:,} h {minutes % 60} min"


def short(label: object, length: int = 28) -> str:
    """A label that fits; of a long one, the begin and the end, where labels differ.

    Examples
    --------
    >>> short("Obesity Type I"), short("Overweight_Level_II", 12)
    ('Obesity Type I', 'Overwei…l_II')
    """
    text = " ".join(str(label).split())
    if len(text) <= length:
        return text
    end = length // 3
    return f"{text[: length - end - 1]}…{text[-end:]}"


def setting(value: Any) -> str:
    """A setting as it was given, if it is not endless.

    Examples
    --------
    >>> setting({"eta": 0.1}), setting("gain"), setting(None)
    ('{"eta": 0.1}', 'gain', 'null')
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"
