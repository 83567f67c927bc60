import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import attrs
import pandas as pd
import pytest
from browser import browser, charts, looking_at, overflow, violations, x_range
from click.testing import CliRunner

from batchtrainingbooster import XGBoostTrainer
from batchtrainingbooster.callbacks.base import Callback
from batchtrainingbooster.callbacks.event_log import FILE, to_line
from batchtrainingbooster.cli.watch import watch
from batchtrainingbooster.core import events
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.errors import ConfigError
from batchtrainingbooster.report import live
from batchtrainingbooster.report.live import LiveRun, LiveServer

__all__ = ["browser"]

ROUNDS, VISITS = 10, 4
ATTACK = "<img src=x onerror='window.hacked = 1'>"


class Gate(Callback):
    """Lets a training go on by as many rounds as it is told to."""

    def __init__(self):
        self.rounds = threading.Semaphore(0)

    def on_round_end(self, event):
        assert self.rounds.acquire(timeout=60)

    def let(self, rounds):
        for _ in range(rounds):
            self.rounds.release()


@contextmanager
def serving(run_dir):
    with LiveServer(run_dir, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path) as running:
        yield running


def ask(server, path="/state", method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def shown_rounds(page):
    text = page.inner_text("#summary")
    found = re.search(r"of ([\d,]+) trained", text)
    return int(found[1]) if found else 0


def wait_for(page, condition, timeout=30):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, page.inner_text("#summary")
        page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def frame(spark):
    table = pd.DataFrame({"x": range(200), "label": [str(i // 7 % 3) for i in range(200)]})
    return spark.createDataFrame(table).cache()


def train(frame, run_dir, gate):
    XGBoostTrainer().fit(
        frame, None, "label",
        {"n_estimators": ROUNDS, "max_depth": 3, "eval_metric": ["merror", "mlogloss"]},
        {"num_batches": 2, "num_epochs": VISITS // 2, "validation_fraction": 0.3,
         "run_dir": str(run_dir), "callbacks": [gate], "callbacks_strict": True},
        {"initial_lr": 0.3, "decay_rate": 0.9},
    )  # fmt: skip


def test_page_follows_a_training_to_its_end_and_keeps_what_the_reader_does(
    browser, frame, tmp_path, monkeypatch
):
    monkeypatch.setattr(live, "POLL_MS", 150)
    run_dir, gate = tmp_path / "later" / "run", Gate()
    thread = threading.Thread(target=train, args=(frame, run_dir, gate))
    with serving(run_dir) as server, looking_at(browser, server.url) as seen:
        page = seen.page
        assert page.inner_text("#state") == "waiting"
        page.evaluate("window.is_same_page = true")
        thread.start()
        page.wait_for_selector("#state[data-state=running]")
        gate.let(ROUNDS + 3)
        wait_for(page, lambda: shown_rounds(page) >= ROUNDS + 3)
        assert set(charts(page)) == {"curves", "balance"}
        now = page.inner_text("#progress")
        assert f"2 of {VISITS}" in now
        assert "rows/s" in now
        assert "time left\nat most" in now
        assert violations(page) == {}

        page.select_option("#curves-choice", label="merror")
        page.click("#visits-details summary")
        page.focus("#curves-chart")
        page.keyboard.press("+")
        page.wait_for_timeout(200)
        zoom = x_range(page)
        page.evaluate("window.scrollTo(0, 300)")
        rounds = shown_rounds(page)
        gate.let(12)
        wait_for(page, lambda: shown_rounds(page) >= rounds + 12)
        page.wait_for_timeout(300)
        assert x_range(page) == pytest.approx(zoom)
        assert page.evaluate("window.scrollY") == 300
        assert page.evaluate("document.activeElement.id") == "curves-chart"
        assert page.eval_on_selector("#visits-details", "details => details.open")
        assert page.eval_on_selector(
            "#curves-chart", "chart => chart._fullLayout.yaxis.title.text"
        ) == "merror"  # fmt: skip
        drawn = page.eval_on_selector("#curves-chart", "chart => Math.max(...chart.data[0].x)")
        assert drawn >= rounds + 12

        gate.let(ROUNDS * VISITS)
        page.wait_for_selector("#state[data-state=finished]", timeout=30_000)
        thread.join(30)
        assert "finished" in page.inner_text("#announcement")
        assert shown_rounds(page) == ROUNDS * VISITS
        assert {"confusion", "importance", "stages"} < set(charts(page))
        assert min(charts(page).values()) >= 1
        assert page.locator("#progress").count() == 0
        assert page.evaluate("window.is_same_page")
        page.wait_for_timeout(400)
        asked = len(seen.requests)
        page.wait_for_timeout(600)
        assert len(seen.requests) == asked
        assert all(url.startswith(server.url) for url in seen.requests)
        assert seen.logged == []
        assert overflow(page) <= 0


def test_page_says_so_when_its_server_is_gone_and_goes_on_when_it_is_back(
    browser, tmp_path, monkeypatch
):
    monkeypatch.setattr(live, "POLL_MS", 100)
    with serving(tmp_path) as server, looking_at(browser, server.url) as seen:
        seen.page.route("**/state*", lambda route: route.abort())
        seen.page.wait_for_selector("#connection:not([hidden])")
        seen.page.unroute("**/state*")
        seen.page.wait_for_selector("#connection", state="hidden")
        (tmp_path / FILE).write_bytes(line(attrs.evolve(START, target_column=ATTACK)))
        seen.page.wait_for_selector("#state[data-state=running]")
        assert ATTACK in seen.page.inner_text("h1")
        assert seen.page.evaluate("window.hacked") is None
        assert seen.dialogs == []


START = events.RunStart(
    run_id="one", booster="xgboost", target_column="label", config={}, versions={}
)
TRAINING = events.TrainingStart(
    num_visits=4, rounds_per_visit=5, max_patience=3, maximize=False, state=RunState()
)


def line(event):
    return to_line(event, datetime.now(UTC))


def test_half_a_line_is_waited_for(tmp_path):
    run = LiveRun(tmp_path / FILE)
    first = run.state()
    assert "Waiting for a run" in first["html"]
    whole = line(START) + line(events.StagingProgress(tasks_done=3, tasks_total=12))
    (tmp_path / FILE).write_bytes(whole[:-20])
    second = run.state()
    assert "XGBoost: label" in second["html"]
    assert "3 of 12" not in second["html"]
    (tmp_path / FILE).write_bytes(whole)
    third = run.state()
    assert "3 of 12" in third["html"]
    assert len({state["version"] for state in (first, second, third)}) == 3
    assert run.state() is third


def test_a_new_run_in_the_folder_takes_the_place_of_the_last(tmp_path):
    file, run = tmp_path / FILE, LiveRun(tmp_path / FILE)
    warning = events.WarningLogged(message="of the first run")
    file.write_bytes(line(START) + line(warning))
    assert "of the first run" in run.state()["html"]
    with file.open("ab") as stream:
        stream.write(line(attrs.evolve(START, run_id="two")))
    state = run.state()
    assert state["run"] == "two"
    assert "of the first run" not in state["html"]


def test_a_log_that_was_deleted_and_written_anew_is_read_from_its_begin(tmp_path):
    file, run = tmp_path / FILE, LiveRun(tmp_path / FILE)
    file.write_bytes(line(START) + line(TRAINING))
    before = run.state()
    assert "1 of 4" in before["html"]
    new = tmp_path / "new"
    new.write_bytes(line(attrs.evolve(START, run_id="two")))
    new.replace(file)
    after = run.state()
    assert after["run"] == "two"
    assert after["version"] != before["version"]


def test_state_is_sent_once_a_version(server, tmp_path):
    (tmp_path / FILE).write_bytes(line(START))
    _, body = ask(server)
    state = json.loads(body)
    assert state["over"] is False
    assert json.loads(ask(server, f"/state?since={state['version']}")[1]) == {
        "version": state["version"]
    }
    with (tmp_path / FILE).open("ab") as stream:
        stream.write(line(TRAINING))
    assert "html" in json.loads(ask(server, f"/state?since={state['version']}")[1])


def test_many_readers_at_once_see_the_same(server, tmp_path):
    (tmp_path / FILE).write_bytes(line(START) + line(TRAINING))
    bodies = []
    threads = [threading.Thread(target=lambda: bodies.append(ask(server)[1])) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bodies) == 16
    assert len(set(bodies)) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200), ("HEAD", "/", 200), ("GET", "/state", 200), ("HEAD", "/state", 200),
        ("GET", "/events.jsonl", 404), ("GET", "/../events.jsonl", 404), ("GET", "/state/", 404),
        ("GET", "/%2e%2e/", 404), ("GET", "/favicon.ico", 404), ("POST", "/", 405),
        ("PUT", "/state", 405), ("DELETE", "/", 405), ("PATCH", "/", 405), ("OPTIONS", "/", 405),
        ("TRACE", "/", 405),
    ],
)  # fmt: skip
def test_server_has_the_page_and_its_state_to_read_and_nothing_else(
    server, capfd, method, path, status
):
    answer, body = ask(server, path, method)
    assert answer.status == status
    assert (method == "HEAD") == (body == b"")
    assert (status == 405) == (answer.getheader("Allow") == "GET, HEAD")
    policy = answer.getheader("Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in re.search(r"script-src [^;]*", policy)[0]
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert answer.getheader("Referrer-Policy") == "no-referrer"
    assert answer.getheader("Cache-Control") == "no-store"
    assert answer.getheader("Access-Control-Allow-Origin") is None
    assert "Python" not in answer.getheader("Server")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("localhost:1", 200), ("LOCALHOST", 200), ("[::1]:8765", 200),
        ("evil.example", 403), ("evil.example:8765", 403), ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:80", 403), ("evil.example:80:127.0.0.1", 403), ("", 403),
        ("127.0.0.1@evil.example", 403), ("::1", 403),
    ],
)  # fmt: skip
def test_names_that_lead_here_from_elsewhere_are_refused(server, host, status):
    for path in ("/", "/state"):
        answer, body = ask(server, path, Host=host)
        assert answer.status == status
        assert (b"Waiting" in body) == (status == 200)


def test_any_name_does_where_the_reader_has_opened_the_page_to_others(tmp_path):
    with LiveServer(tmp_path, "0.0.0.0", 0) as server:  # noqa: S104 - what is tested
        assert server.names is None


def test_a_port_in_use_is_named_with_the_option_that_changes_it(server, tmp_path):
    port = server.server_address[1]
    with pytest.raises(ConfigError, match=rf"port {port} of 127.0.0.1 is in use.*--port 0"):
        LiveServer(tmp_path, port=port)


def test_an_address_that_is_not_here_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot serve on port 0 of 192\.0\.2\.77.*--host"):
        LiveServer(tmp_path, "192.0.2.77", 0)


def test_a_port_that_is_none_is_refused(tmp_path):
    found = CliRunner().invoke(watch, [str(tmp_path), "--port", "70000"])
    assert found.exit_code == 2
    assert "0<=x<=65535" in found.output


def test_command_says_where_and_ends_with_ctrl_c(tmp_path):
    code = "from batchtrainingbooster.cli.watch import watch; watch()"
    command = [sys.executable, "-c", code, str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        said = process.stdout.readline()
        url = re.match(r"(http://127\.0\.0\.1:\d+/) shows", said)[1]
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        connection.request("GET", "/state")
        assert json.loads(connection.getresponse().read())["over"] is False
        connection.close()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
