"""The live page: the report of a run while it trains, from its event log alone.

Who reads the page can change nothing, and the training knows nothing of it: the log is read as it
grows. The page asks for ``/state`` with the version that it shows, and gets a newer one, if any.
"""

from __future__ import annotations

import errno
import json
import re
import socket
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from batchtrainingbooster.callbacks import event_log
from batchtrainingbooster.callbacks.event_log import EventReader
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.errors import ConfigError
from batchtrainingbooster.report import page, summary
from batchtrainingbooster.report.charts import all_charts

HOST, PORT = "127.0.0.1", 8765
POLL_MS = 2_000
_NAMES = ("localhost", "127.0.0.1", "[::1]")
_PORT_AT_END = re.compile(r":\d*$")


def serve(
    run_dir: Path,
    host: str = HOST,
    port: int = PORT,
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    run_dir : Path
        It need not exist yet.
    host : str
        Whoever reaches this address can read the page.
    port : int
        0 takes a free one.
    started : callable
        Called with the page's address, once it answers.

    Raises
    ------
    ConfigError
        If the address cannot be had.
    MissingDependencyError
        If plotly or jinja2 is not installed.
    """
    with LiveServer(run_dir, host, port) as server:
        started(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


class LiveRun:
    """A run as its event log tells it, for several readers at once.

    Parameters
    ----------
    file : Path
        The event log; it need not exist yet.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._reader = EventReader(self._file)
        self._identity = self._place()
        self._record = RunRecord()
        self._events = 0
        self._last_event: datetime | None = None
        self._state: dict[str, Any] | None = None

    def _place(self) -> tuple[int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def state(self) -> dict[str, Any]:
        """What the page shows now; another ``version`` means another content."""
        with self._lock:
            place = self._place()
            # A log that was deleted is read from its begin again when there is a new one.
            if place is not None and place != self._identity:
                self._forget()
            for time, event in self._reader.new():
                self._record.take(event)
                self._events += 1
                self._last_event = time
                self._state = None
            if self._state is None:
                self._state = self._rendered()
            return self._state

    def page(self) -> bytes:
        """The page with the state of now."""
        state = self.state()
        with self._lock:
            return page.page(self._record, state)

    def _rendered(self) -> dict[str, Any]:
        record = self._record
        charts = all_charts(record)
        last = self._last_event
        said = f"{last.astimezone(UTC):%H:%M:%S} UTC" if last else ""
        inode = self._identity[1] if self._identity else 0
        return {
            "version": f"{inode}-{self._events}",
            "run": page.run_id(record),
            "title": f"{summary.state(record)}: {summary.title(record)}",
            "over": record.end is not None,
            "every": POLL_MS,
            "charts": page.figures(charts),
            "html": page.sections(record, charts, said),
        }


class LiveServer(ThreadingHTTPServer):
    """Serves the page of one run folder.

    Parameters
    ----------
    run_dir : Path
    host : str
    port : int

    Attributes
    ----------
    url : str
    names : tuple of str, optional
        The host names that a request may ask; None is any.
    """

    daemon_threads = True

    def __init__(self, run_dir: Path, host: str = HOST, port: int = PORT) -> None:
        # What is not installed is found now, and not by the first request.
        page.policy(is_live=True)
        self.run = LiveRun(Path(run_dir) / event_log.FILE)
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self.address_family = family
            super().__init__((str(address[0]), port), LiveHandler)
        except (OSError, OverflowError, UnicodeError) as error:
            raise _refusal(host, port, error) from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.server_address[1]}/"
        is_loopback = ip_address(str(address[0])).is_loopback
        self.names = (shown.lower(), *_NAMES) if is_loopback else None

    def server_bind(self) -> None:
        """Bind, without asking the network for this machine's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that goes away in the middle is no error; all else is shown."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def _refusal(host: str, port: int, error: Exception) -> ConfigError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"port {port} of {host} is in use, by another live page perhaps: choose another with "
            "--port, or --port 0 for a free one"
        )
    return ConfigError(
        f"cannot serve on port {port} of {host}: {error}; choose others with --host and --port"
    )


class LiveHandler(BaseHTTPRequestHandler):
    """Answers for the page and its state, and for nothing else."""

    server: LiveServer
    server_version = "batchtrainingbooster"
    sys_version = ""
    # A reader that says nothing does not hold its thread for ever.
    timeout = 30

    def do_GET(self) -> None:
        """Answer."""
        if not self._is_for_us():
            # Else a page from elsewhere could read this one, under a name that leads to this host.
            self._answer(HTTPStatus.FORBIDDEN, b"this server has another name\n", "text/plain")
            return
        found = urlsplit(self.path)
        if found.path == "/":
            self._answer(HTTPStatus.OK, self.server.run.page(), "text/html")
        elif found.path == "/state":
            state = self.server.run.state()
            if parse_qs(found.query).get("since") == [state["version"]]:
                state = {"version": state["version"]}
            self._answer(HTTPStatus.OK, _json(state), "application/json")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"there is / and /state\n", "text/plain")

    do_HEAD = do_GET  # noqa: N815 - as above

    def _refuse(self) -> None:
        self.close_connection = True
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, b"this page can be read alone\n", "text/plain")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse  # noqa: N815

    def _is_for_us(self) -> bool:
        names = self.server.names
        if names is None:
            return True
        host = self.headers.get("Host", "")
        return _PORT_AT_END.sub("", host).lower() in names

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def end_headers(self) -> None:
        """Say, with every answer, what a browser may do with it."""
        policy = f"{page.policy(is_live=True)}; frame-ancestors 'none'"
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Requests are not logged: there is one every two seconds."""


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
