"""Pictures of the report and of the live page, in docs/images: a real run, as Chromium shows it."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from batchtrainingbooster import XGBoostTrainer
from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.cli.demo import TARGET, read_flights, unpack
from batchtrainingbooster.cli.session import start_session
from batchtrainingbooster.report.live import LiveServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ColorScheme
    from pyspark.sql import DataFrame

    from batchtrainingbooster.core.events import RoundEnd

IMAGES = Path(__file__).parents[1] / "docs" / "images"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# Width, and how much of the height is shown.
DESKTOP, LIVE, PHONE = (1200, 2100), (1200, 1260), (390, 1900)
# Where the live page is taken: in the fifth of eight visits.
PAUSE_AT = 110


class Pause(Callback):
    """Lets a training wait while its picture is taken."""

    def __init__(self) -> None:
        self.reached, self.taken = threading.Event(), threading.Event()

    def on_round_end(self, event: RoundEnd) -> None:
        """Wait, once."""
        if event.row.round == PAUSE_AT:
            self.reached.set()
            self.taken.wait(120)


def train(flights: DataFrame, run_dir: Path, pause: Pause) -> None:
    """The demo's run, with patience short enough that some rounds are dropped."""
    model = XGBoostTrainer().fit(
        flights,
        None,
        TARGET,
        {
            "n_estimators": 40,
            "max_depth": 8,
            "eval_metric": ["auc", "logloss"],
            "early_stopping_rounds": 15,
        },
        {
            "num_batches": 4,
            "num_epochs": 2,
            "validation_fraction": 0.2,
            "max_patience": 4,
            "run_dir": str(run_dir),
            "callbacks": [pause],
        },
        {"initial_lr": 0.3, "decay_rate": 0.9},
    )
    model.report(run_dir / "report.html")


def picture(
    browser: Browser, url: str, name: str, size: tuple[int, int], scheme: ColorScheme
) -> None:
    """Take one."""
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        device_scale_factor=1,
        has_touch=size == PHONE,
        is_mobile=size == PHONE,
    )
    page.goto(url)
    page.wait_for_function("() => [...document.querySelectorAll('.chart')].every(c => c.data)")
    page.wait_for_timeout(500)
    page.screenshot(path=IMAGES / f"{name}.png")
    page.close()


def main() -> None:
    """Train on the flights, and take the pictures."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium: apt-get install chromium")
    spark = start_session("screenshots", {"spark.driver.memory": "2g"})
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        flights = read_flights(spark, unpack(Path(folder)))
        run_dir, pause = Path(folder) / "flights", Pause()
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        training = threading.Thread(target=train, args=(flights, run_dir, pause))
        with LiveServer(run_dir, port=0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            training.start()
            pause.reached.wait(300)
            picture(browser, server.url, "live", LIVE, "light")
            pause.taken.set()
            training.join()
            server.shutdown()
        report = (run_dir / "report.html").as_uri()
        picture(browser, report, "report-desktop-light", DESKTOP, "light")
        picture(browser, report, "report-phone-dark", PHONE, "dark")
        browser.close()


if __name__ == "__main__":
    main()
