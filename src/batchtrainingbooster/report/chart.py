"""A chart of the page: figures for plotly.js, and what they show in words.

A colour is a name with an ``@`` before it, for which the page puts that of its light or dark
scheme. Labels of the data appear as tick texts and hover texts alone, escaped; never as a template.
"""

from __future__ import annotations

import html
import math
from typing import Any, TypeAlias

import attrs

from batchtrainingbooster.report.wording import short

Figure: TypeAlias = dict[str, Any]


@attrs.frozen(kw_only=True)
class Chart:
    """Figures of which one at a time is shown.

    Attributes
    ----------
    id : str
    figures : list of dict
        ``data`` and ``layout`` for plotly.js.
    names : list of str
        Of the figures, to choose by; empty for a single one.
    fact : str
        What there is to see.
    height : int
        Pixels.
    note : str
        How to read it, or what has been left out.
    """

    id: str
    figures: list[Figure]
    names: list[str] = attrs.field(factory=list)
    fact: str
    height: int
    note: str = ""


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis in the style of the page."""
    return {
        "title": {"text": escaped(title), "standoff": 8},
        "automargin": True, "zeroline": False, "gridcolor": "@grid", "linecolor": "@grid", **more,
    }  # fmt: skip


def labelled(labels: list[str], **more: Any) -> dict[str, Any]:
    """An axis of labels, at 0, 1, ...; as numbers, since plotly makes dates of some texts."""
    texts = [escaped(label) for label in labels]
    ticks = {"tickmode": "array", "tickvals": list(range(len(labels))), "ticktext": texts}
    return axis(**{**ticks, "showgrid": False, "fixedrange": True, **more})


def escaped(label: object, length: int = 28) -> str:
    """A text that plotly shows as it is, though it has a small HTML of its own.

    Examples
    --------
    >>> escaped("<b>&")
    '&lt;b&gt;&amp;'
    """
    return html.escape(short(label, length), quote=False)


def finite(value: float) -> float | None:
    """What JSON can hold."""
    return float(value) if math.isfinite(value) else None
