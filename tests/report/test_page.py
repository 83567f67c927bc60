import json
import math
import re
import sys
import time
from itertools import pairwise

import attrs
import numpy as np
import pandas as pd
import pytest
from browser import DESKTOP, PHONE, browser, charts, looking_at, overflow, violations, x_range

from batchtrainingbooster import BoostedModel, XGBoostTrainer
from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.callbacks.recorder import Recorder
from batchtrainingbooster.core import evaluation
from batchtrainingbooster.core.history import Row
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.stopping import Best
from batchtrainingbooster.errors import MissingDependencyError
from batchtrainingbooster.report import page as page_module
from batchtrainingbooster.report.charts import all_charts
from batchtrainingbooster.report.curves import MAX_POINTS, dropped_stretches, thinned
from batchtrainingbooster.report.page import as_json, write_report

__all__ = ["browser"]

ATTACK = "</script><script>window.hacked = 1; alert(1)</script>"
CLASSES = [ATTACK, "<img src=x onerror='window.hacked = 2'>", "😀 \"quoted\" 'label' & <b>bold</b>"]
COLUMN = '"><svg onload="window.hacked = 3">'
SCHEMES = [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")]


def table(n=240):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 3))
    kind = np.digitize(x[:, 0] + 0.8 * rng.standard_normal(n), [-0.5, 0.5])
    return pd.DataFrame(
        {
            "number": x[:, 1],
            COLUMN: x[:, 0],
            "kind": [CLASSES[i] for i in kind],
            "value": 2 * x[:, 0] + x[:, 2] + 0.5 * rng.standard_normal(n),
            "grade": kind.astype(float),
            "query": np.arange(n) // 6,
        }
    )


def fit(frame, target, features, metric, **training):
    model = {"n_estimators": 8, "max_depth": 4, "eval_metric": metric}
    config = {"num_batches": 2, "num_epochs": 2, "validation_fraction": 0.3, **training}
    config["feature_columns"] = features
    rates = {"initial_lr": 0.9, "decay_rate": 0.9}
    return XGBoostTrainer().fit(frame, None, target, model, config, rates)


@pytest.fixture(scope="module")
def frame(spark):
    return spark.createDataFrame(table()).cache()


@pytest.fixture(scope="module")
def model(frame):
    return fit(frame, "kind", ["number", COLUMN], ["merror", "mlogloss"])


@pytest.fixture(scope="module")
def record(model):
    found = model.record
    # Else the tests of the page would see less than there is to see.
    assert found.end
    assert found.evaluation.confusion
    assert any(not row.kept for row in found.rows)
    assert set(found.data.classes) == set(CLASSES)
    return found


@pytest.fixture(scope="module")
def report(record, tmp_path_factory):
    return written(record, tmp_path_factory.mktemp("report"))


def written(record, folder):
    file = folder / "report.html"
    write_report(record, file)
    return file.as_uri()


def figures_in(text):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])["charts"]


def test_page_draws_each_chart_asks_for_nothing_and_logs_no_error(browser, report, record):
    with looking_at(browser, report) as seen:
        drawn = charts(seen.page)
        assert list(drawn) == [
            "curves", "confusion", "importance", "balance", "stages", "visits",
        ]  # fmt: skip
        assert set(drawn) == set(all_charts(record))
        assert min(drawn.values()) >= 1
        assert seen.requests == [report]
        assert seen.logged == []
        heads = seen.page.eval_on_selector_all("h1, h2, h3", "all => all.map(h => h.tagName)")
        assert heads.count("H1") == 1
        assert heads[0] == "H1"
        assert seen.page.locator("main").count() == 1
        assert seen.page.locator("html").get_attribute("lang") == "en"
        text = seen.page.inner_text("#summary")
        assert record.start.run_id in text
        assert f"of {len(record.rows)} trained" in text
        assert "finished" in text


@pytest.mark.parametrize(("size", "scheme"), SCHEMES, ids=str)
def test_page_fits_and_is_accessible(browser, report, size, scheme):
    with looking_at(browser, report, size, scheme) as seen:
        seen.page.click("#visits-details summary")
        assert overflow(seen.page) <= 0
        assert violations(seen.page) == {}
        back = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        level = sum(map(int, re.findall(r"\d+", back)[:3])) / 3
        assert level > 240 if scheme == "light" else level < 40


def test_legend_and_buttons_of_a_chart_have_each_their_place_under_a_finger(browser, report):
    with looking_at(browser, report, PHONE) as seen:
        places = [
            seen.page.locator(f"#curves-chart {part}").first.bounding_box()
            for part in (".modebar", ".nsewdrag", ".legend")
        ]
        for upper, lower in pairwise(places):
            assert upper["y"] + upper["height"] <= lower["y"] + 1
        assert not seen.page.locator(".mouse").is_visible()


def test_axe_finds_what_is_wrong(browser, report):
    with looking_at(browser, report) as seen:
        seen.page.evaluate("document.querySelector('.verdict').style.color = '#ddd'")
        assert set(violations(seen.page)) == {"color-contrast"}


def test_charts_follow_the_colour_scheme_at_once(browser, report):
    colour = "document.querySelector('#curves-chart .js-line').style.stroke"
    with looking_at(browser, report) as seen:
        light = seen.page.evaluate(colour)
        seen.page.emulate_media(color_scheme="dark")
        seen.page.wait_for_function(f"() => {colour} !== '{light}'")


def test_mouse_zooms_and_a_double_click_shows_all(browser, report):
    with looking_at(browser, report) as seen:
        before = x_range(seen.page)
        box = seen.page.locator("#curves-chart .nsewdrag").first.bounding_box()
        y = box["y"] + box["height"] / 2
        seen.page.mouse.move(box["x"] + 0.25 * box["width"], y)
        seen.page.mouse.down()
        seen.page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=5)
        seen.page.mouse.up()
        zoomed = x_range(seen.page)
        width = (zoomed[1] - zoomed[0]) / (before[1] - before[0])
        assert width == pytest.approx(0.25, abs=0.02)
        seen.page.wait_for_timeout(400)
        seen.page.mouse.dblclick(box["x"] + 0.5 * box["width"], y)
        seen.page.wait_for_timeout(400)
        assert x_range(seen.page) == pytest.approx(before)
        assert seen.logged == []


def test_charts_have_no_button_that_sends_their_data_away(browser, report):
    with looking_at(browser, report) as seen:
        buttons = seen.page.eval_on_selector_all(
            ".modebar-btn", "all => all.map(button => button.dataset.title)"
        )
        assert set(buttons) == {
            "Download plot as a PNG", "Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes",
        }  # fmt: skip
        assert seen.page.evaluate(
            "[...document.querySelectorAll('.chart')].map(c => c._context.plotlyServerURL)"
        ) == [""] * len(charts(seen.page))
        with seen.page.expect_download() as download:
            seen.page.evaluate("document.querySelector('.modebar-btn').click()")
        assert download.value.path().read_bytes().startswith(b"\x89PNG")
        assert seen.logged == []


def test_keyboard_reaches_and_zooms_charts(browser, report):
    with looking_at(browser, report) as seen:
        stops, outlines = [], set()
        for _ in range(100):
            seen.page.keyboard.press("Tab")
            active = seen.page.evaluate(
                "[document.activeElement.id || document.activeElement.className || "
                "document.activeElement.tagName, "
                "getComputedStyle(document.activeElement).outlineStyle]"
            )
            if active[0] == "BODY":
                break
            if active[0].startswith("modebar-btn"):
                continue
            stops.append(active[0])
            outlines.add(active[1])
        assert stops[:4] == ["skip", "curves-choice", "curves-chart", "SUMMARY"]
        ids = [f"{name}-chart" for name in charts(seen.page)]
        assert [stop for stop in stops if stop in ids] == ids
        assert {"by-class", "mistakes", "settings-table"} < set(stops)
        assert "none" not in outlines
        seen.page.focus("#curves-chart")
        before = x_range(seen.page)
        seen.page.keyboard.press("+")
        seen.page.wait_for_timeout(100)
        zoomed = x_range(seen.page)
        assert zoomed[1] - zoomed[0] == pytest.approx((before[1] - before[0]) / 2)
        seen.page.keyboard.press("ArrowRight")
        seen.page.wait_for_timeout(100)
        assert x_range(seen.page)[0] > zoomed[0]
        seen.page.keyboard.press("0")
        seen.page.wait_for_timeout(100)
        assert x_range(seen.page) == pytest.approx(before)


def test_each_metric_can_be_chosen(browser, report):
    title = "document.getElementById('curves-chart')._fullLayout.yaxis.title.text"
    with looking_at(browser, report) as seen:
        assert seen.page.evaluate(title) == "mlogloss"
        seen.page.select_option("#curves-choice", label="merror")
        assert seen.page.evaluate(title) == "merror"


def test_hostile_labels_are_shown_and_never_run(browser, report):
    with looking_at(browser, report) as seen:
        body = seen.page.inner_text("body")
        for label in [*CLASSES, COLUMN]:
            assert " ".join(label.split()) in " ".join(body.split())
        ticks = seen.page.locator("#confusion-chart .ytick text").all_text_contents()
        assert len(ticks) == 3
        assert any(tick.startswith("</script><scr") for tick in ticks)
        assert any(tick.endswith("</b>") for tick in ticks)
        assert seen.page.evaluate("window.hacked") is None
        assert seen.page.locator("main img, main script, figure a").count() == 0
        assert seen.dialogs == []
        assert seen.logged == []


def test_a_script_that_is_not_the_page_s_own_is_not_run(browser, report, record, tmp_path):
    text = page_module.page(record).decode().replace("</h1>", f"</h1>{ATTACK}<b onclick=x()>", 1)
    file = tmp_path / "attacked.html"
    file.write_text(text, "utf-8")
    with looking_at(browser, file.as_uri()) as seen:
        assert seen.page.evaluate("window.hacked") is None
        assert seen.dialogs == []
        assert any("Content Security Policy" in line for line in seen.logged)
        asked = "fetch('https://example.org').then(() => 'had', () => 'refused')"
        assert seen.page.evaluate(asked) == "refused"


def test_json_in_a_script_ends_neither_it_nor_a_line():
    hostile = "</script><!--\u2028\u2029\ud800&"
    text = as_json({"label": hostile})
    assert not re.search(r"[<>&\u2028\u2029\ud800]", text)
    assert json.loads(text) == {"label": hostile}


def test_half_of_a_surrogate_pair_does_not_keep_the_page_from_being_written(record, tmp_path):
    start = attrs.evolve(record.start, target_column="half \ud83d")
    write_report(attrs.evolve(record, start=start), tmp_path / "report.html")
    assert "half ?" in (tmp_path / "report.html").read_bytes().decode()


def long_record(record, n=100_000, n_classes=500):
    """A run of many rounds, with many classes, batches and warnings."""
    rng = np.random.default_rng(0)
    train, valid = rng.random((2, n)) + np.linspace(2, 1, n)
    rows = [
        Row(i // 10, i // 10 % 1000, i // 10_000, i, i + 1, 0.1, {"mlogloss": t}, {"mlogloss": v},
            0.1, kept=i % 50 < 40)
        for i, (t, v) in enumerate(zip(train.tolist(), valid.tolist(), strict=True))
    ]  # fmt: skip
    rows[77_777] = attrs.evolve(rows[77_777], valid={"mlogloss": 0.25})
    labels = tuple(f"class {i} {ATTACK}" for i in range(n_classes))
    true = rng.integers(0, n_classes, 20_000)
    predicted = np.where(rng.random(20_000) < 0.9, true, rng.integers(0, n_classes, 20_000))
    batches = tuple(tuple(map(int, row)) for row in rng.integers(1, 90, (1000, n_classes)))
    visit = record.visits[0]
    return attrs.evolve(
        record,
        data=attrs.evolve(
            record.data, classes=labels, strata=labels, batches=batches, validation=batches[0]
        ),
        rows=rows,
        best=Best(0.25, 7_777, 77_777, 77_778),
        visits=[attrs.evolve(visit, visit=i, batch=i % 1000) for i in range(n // 10)],
        evaluation=evaluation.of_classes(true, predicted, n_classes, 10**6),
        importance={f"column {i}": 1 / (i + 1) for i in range(100)},
        warnings=["the same again"] * 2_000 + [f"warning {i}" for i in range(99)],
    )


def test_a_huge_run_gives_a_page_that_is_small_quick_and_says_what_it_leaves_out(
    browser, record, tmp_path
):
    huge = long_record(record)
    start = time.perf_counter()
    url = written(huge, tmp_path)
    assert time.perf_counter() - start < 10
    assert (tmp_path / "report.html").stat().st_size < 10_000_000
    start = time.perf_counter()
    with looking_at(browser, url, PHONE) as seen:
        assert time.perf_counter() - start < 15
        assert min(charts(seen.page).values()) >= 1
        assert overflow(seen.page) <= 0
        body = seen.page.inner_text("body")
        for said in (
            "Of 100,000 rounds about", "the best on validation is 0.25, at round 77,778",
            "The 30 largest of 500", "60 of 1,000 batches", "On 20,000 of 1,000,000 validation",
            "The first 20; 80 columns below them.", "2,000 times", "80 more left out",
            "450 classes with fewer rows left out",
        ):  # fmt: skip
            assert said in body
        assert seen.page.evaluate("window.hacked") is None
        assert seen.logged == []
        points = seen.page.evaluate(
            "document.getElementById('curves-chart').data.map(trace => trace.x.length)"
        )
        assert max(points) < 3 * MAX_POINTS


def test_thinned_curve_keeps_peaks_dips_and_what_is_asked():
    values = np.zeros(100_000)
    values[[12_345, 54_321]] = 1, -1
    values[70_000:71_000] = np.nan
    found = thinned([values, np.full(100_000, np.nan)], keep=[99_990]).tolist()
    assert {0, 12_345, 54_321, 99_990, 99_999} <= set(found)
    assert found == sorted(found)
    assert len(found) <= MAX_POINTS + 3


def test_dropped_stretches_are_those_of_the_record(record):
    rounds = [r for start, end in dropped_stretches(record.rows) for r in range(start, end + 1)]
    assert rounds == [row.round for row in record.rows if not row.kept]


def test_figures_show_the_numbers_of_the_record(record):
    found = figures_in(page_module.page(record).decode())
    curve = found["curves"][0]["data"]
    valid = next(trace for trace in curve if trace["name"] == "validation")
    assert valid["x"] == [row.round + 1 for row in record.rows]
    assert valid["y"] == [row.valid["mlogloss"] for row in record.rows]
    train = next(trace for trace in curve if trace["name"].startswith("train"))
    shown = [y for y in train["y"] if y is not None]
    assert shown == [row.train["mlogloss"] for row in record.rows]
    best = next(trace for trace in curve if trace["name"] == "best")
    assert (best["x"], best["y"]) == ([record.best.round + 1], [record.best.value])
    heat = found["confusion"][0]["data"][0]
    assert heat["customdata"] == [list(row) for row in record.evaluation.confusion]
    shares = np.array([trace["y"] for trace in found["balance"][0]["data"]])
    assert shares.sum(axis=0) == pytest.approx(1)
    rows = np.array([*record.data.batches, record.data.validation])
    assert pytest.approx(rows / rows.sum(axis=1, keepdims=True)) == shares.T


def test_regression_is_reported_with_its_errors(browser, frame, tmp_path):
    found = fit(frame, "value", ["number", COLUMN], "rmse").record
    with looking_at(browser, written(found, tmp_path)) as seen:
        assert {"curves", "residuals", "balance"} < set(charts(seen.page))
        assert min(charts(seen.page).values()) >= 1
        errors = seen.page.inner_text("#errors")
        assert f"{found.evaluation.root_mean_squared_error:.5g}" in errors
        assert "50\u202f% quantile" in errors
        assert seen.logged == []


def test_ranking_is_reported_without_an_evaluation(browser, frame, tmp_path):
    found = fit(frame, "grade", ["number", COLUMN], "ndcg@3", group_column="query").record
    assert found.evaluation is None
    with looking_at(browser, written(found, tmp_path)) as seen:
        assert {"curves", "importance"} < set(charts(seen.page))
        assert seen.page.locator("#validation").count() == 0
        assert "Ranking" in seen.page.inner_text(".verdict")
        assert seen.logged == []


class Fails(Callback):
    def on_visit_end(self, event):
        raise ValueError(ATTACK)


def test_a_failed_run_is_reported_with_its_error(browser, frame, tmp_path):
    recorder = Recorder()
    with pytest.raises(ValueError, match="hacked"):
        fit(frame, "kind", ["number"], "mlogloss", callbacks=[recorder, Fails()],
            callbacks_strict=True)  # fmt: skip
    with looking_at(browser, written(recorder.record, tmp_path)) as seen:
        assert seen.page.inner_text("#state") == "failed"
        assert ATTACK in seen.page.inner_text("#failure")
        assert list(charts(seen.page)) == ["curves", "balance"]
        assert seen.page.locator("#importance, #validation, #progress").count() == 0
        assert seen.page.evaluate("window.hacked") is None
        assert violations(seen.page) == {}


def test_a_loaded_model_gives_the_same_report(model, tmp_path):
    model.save(tmp_path / "model")
    BoostedModel.load(tmp_path / "model").report(tmp_path / "loaded.html")
    model.report(tmp_path / "report.html")
    assert (tmp_path / "loaded.html").read_bytes() == (tmp_path / "report.html").read_bytes()


def test_a_model_saved_before_the_end_of_its_run_is_not_running(record):
    text = page_module.page(attrs.evolve(record, end=None)).decode()
    assert 'data-state="trained"' in text
    assert 'id="progress"' not in text


def test_metrics_that_are_no_numbers_leave_gaps(browser, record, tmp_path):
    rows = [
        attrs.evolve(row, valid={"mlogloss": bad}, learning_rate=bad)
        for row, bad in zip(record.rows, [math.nan, math.inf, 1.0] * 99, strict=False)
    ]
    found = attrs.evolve(record, rows=rows, best=None, importance={"x": math.nan, "y": 1.0})
    with looking_at(browser, written(found, tmp_path)) as seen:
        drawn = seen.page.eval_on_selector(
            "#curves-chart", "c => c.data.find(trace => trace.name === 'validation').y"
        )
        assert drawn[:3] == [None, None, 1]
        assert seen.logged == []


def test_a_record_of_rounds_alone_is_reported(browser, record, tmp_path):
    with looking_at(browser, written(RunRecord(rows=record.rows), tmp_path)) as seen:
        assert list(charts(seen.page)) == ["curves"]
        assert seen.page.inner_text("h1") == "Trained model"
        assert seen.logged == []


@pytest.mark.parametrize(("cached", "module"), [("_scripts", "plotly"), ("_environment", "jinja2")])
def test_what_is_not_installed_is_named(record, monkeypatch, tmp_path, cached, module):
    function = getattr(page_module, cached)
    function.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"{module}.*batchtrainingbooster\[report\]"):
        write_report(record, tmp_path / "report.html")
    function.cache_clear()
