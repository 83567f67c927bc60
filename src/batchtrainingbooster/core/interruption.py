"""A signal that asks the process to end: the round is finished, and the checkpoint written."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether the process was asked to end, and how.

    Attributes
    ----------
    signal : signal.Signals, optional
        None until then.
    """

    signal: signal.Signals | None = None

    def raise_(self, message: str) -> NoReturn:
        """End as the process would have ended: ``KeyboardInterrupt``, or exit code 143."""
        logger.warning("%s", message)
        if self.signal is signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt(message)


@contextmanager
def noticed_signals() -> Iterator[Interruption]:
    """Note Ctrl-C and SIGTERM instead of obeying at once; a second one is obeyed at once.

    Python lets the main thread alone handle signals, so elsewhere nothing is noted.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def obey_from_now_on() -> None:
        for number, handler in before.items():
            # None is a handler that was not set from Python, and cannot be set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def note(number: int, frame: FrameType | None) -> None:
        interruption.signal = signal.Signals(number)
        obey_from_now_on()
        logger.warning(
            "%s: training ends after this round; once more ends it at once",
            interruption.signal.name,
        )

    for number in _SIGNALS:
        signal.signal(number, note)
    try:
        yield interruption
    finally:
        obey_from_now_on()
