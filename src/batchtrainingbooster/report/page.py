"""The report of a run: one HTML file, which needs neither a network nor this library."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.errors import MissingDependencyError
from batchtrainingbooster.report import summary, tables
from batchtrainingbooster.report.chart import Chart
from batchtrainingbooster.report.charts import all_charts

_TEMPLATES = Path(__file__).parent / "templates"
_PURPOSE = "Reports"
MAX_WARNINGS = 20


def write_report(record: RunRecord, path: str | PathLike[str]) -> None:
    """See ``BoostedModel.report``."""
    Path(path).write_bytes(page(record))


def page(record: RunRecord, live: dict[str, Any] | None = None) -> bytes:
    """The whole page.

    Parameters
    ----------
    record : RunRecord
    live : dict, optional
        What ``live.state`` gives; such a page asks for more.

    Raises
    ------
    MissingDependencyError
        If plotly or jinja2 is not installed.
    """
    charts = all_charts(record)
    html = sections(record, charts) if live is None else live["html"]
    text: str = _environment().get_template("page.html").render(
        title=summary.title(record),
        main=_safe(html),
        style=_safe(_read("page.css")),
        scripts=[_safe(script) for script in _scripts()],
        data=_safe(as_json(live or {"charts": figures(charts), "run": run_id(record)})),
        policy=policy(is_live=live is not None),
        is_live=live is not None,
    )  # fmt: skip
    # A label may hold half of a surrogate pair.
    return text.encode("utf-8", "replace")


def sections(record: RunRecord, charts: dict[str, Chart], last_event: str = "") -> str:
    """What is within ``<main>``.

    Parameters
    ----------
    record : RunRecord
    charts : dict of str to Chart
    last_event : str
        When it happened.
    """
    found = record.evaluation
    with_classes = found if found and found.class_counts else None
    labels = tables.labels_of(record)
    warnings = list(Counter(record.warnings).items())
    text: str = _environment().get_template("sections.html").render(
        record=record,
        charts=charts,
        title=summary.title(record),
        state=summary.state(record),
        verdict=summary.verdict(record),
        facts=summary.key_facts(record),
        progress=summary.progress(record, last_event),
        warnings=warnings[:MAX_WARNINGS],
        warnings_left_out=max(len(warnings) - MAX_WARNINGS, 0),
        by_class=tables.by_class(with_classes, labels) if with_classes else None,
        mistakes=tables.mistakes(with_classes, labels) if with_classes else None,
        errors=tables.errors(found) if found else None,
        visits=tables.visits(record),
        data=tables.data(record),
        settings=tables.settings(record),
        versions=tables.versions(record),
    )  # fmt: skip
    return text


def figures(charts: dict[str, Chart]) -> dict[str, Any]:
    """What plotly.js draws, by id of the chart."""
    return {name: chart.figures for name, chart in charts.items()}


def run_id(record: RunRecord) -> str:
    """Of the run, where it is known."""
    return record.start.run_id if record.start else ""


def as_json(value: Any) -> str:
    r"""JSON that ends no ``<script>``, whatever it holds.

    Examples
    --------
    >>> as_json("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


@cache
def policy(*, is_live: bool) -> str:
    """What the page may do: run its own two scripts, and nothing else.

    Parameters
    ----------
    is_live : bool
        Whether it may ask its own server.
    """
    digests = [hashlib.sha256(script.encode()).digest() for script in _scripts()]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        f"img-src data: blob:; connect-src {_connect(is_live=is_live)}; base-uri 'none'; "
        "form-action 'none'"
    )


def _connect(*, is_live: bool) -> str:
    return "'self'" if is_live else "'none'"


@cache
def _scripts() -> tuple[str, str]:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingDependencyError.of("plotly", "report", _PURPOSE) from error
    return get_plotlyjs(), _read("page.js")


@cache
def _environment() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise MissingDependencyError.of("jinja2", "report", _PURPOSE) from error
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _safe(text: str) -> Any:
    """A text of ours, or one that is escaped already."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - see above


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text("utf-8")
