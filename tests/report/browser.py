"""Chromium, and what it says of a page."""

import os
import shutil
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
DESKTOP, PHONE = (1280, 800), (390, 844)
DRAWN = """() => [...document.querySelectorAll(".chart")].every(
    (chart) => chart.querySelector("svg.main-svg") && chart._fullLayout
)"""


# Of a module: while Playwright runs, no other test of this thread could run an event loop.
@pytest.fixture(scope="module")
def browser():
    """The browser that is installed."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None and "BTB_BROWSER_NEEDED" in os.environ:
        pytest.fail("no Chromium, and BTB_BROWSER_NEEDED is set")
    if found is None:
        pytest.skip("no Chromium to look at pages with: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield launched
        launched.close()


@contextmanager
def looking_at(browser, url, size=DESKTOP, scheme="light"):
    """The page, with all that it has asked for, logged and popped up."""
    viewport = dict(zip(("width", "height"), size, strict=True))
    fingers = {"is_mobile": True, "has_touch": True} if size == PHONE else {}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, **fingers)
    page = context.new_page()
    seen = SimpleNamespace(page=page, logged=[], requests=[], dialogs=[])
    page.on("console", lambda message: seen.logged.append(message.text))
    page.on("pageerror", lambda error: seen.logged.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(url)
    page.wait_for_function(DRAWN)
    yield seen
    context.close()


def charts(page):
    """Of each chart: its id, and how many marks it has drawn."""
    marks = ".scatterlayer path.js-line, .barlayer path, .heatmaplayer image"
    return {
        chart.get_attribute("data-chart"): len(chart.query_selector_all(marks))
        for chart in page.query_selector_all(".chart")
    }


def violations(page):
    """What axe finds, and on which elements; that it looked at all is made sure of."""
    found = Axe().run(page).response
    assert len(found["passes"]) > 15
    return {
        rule["id"]: [node["html"][:200] for node in rule["nodes"]] for rule in found["violations"]
    }


def overflow(page):
    """By how many pixels the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def x_range(page, chart="curves"):
    """What a chart shows of its x axis."""
    return page.evaluate(f'document.getElementById("{chart}-chart")._fullLayout.xaxis.range')
