"""XGBoost's own way for several processes to grow one model together.

Each holds some of the rows; sums of gradients, histograms and metrics are added up over the
network, so all of them grow the same trees.
https://xgboost.readthedocs.io/en/stable/python/python_api.html#module-xgboost.collective
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from xgboost.collective import CommunicatorContext
from xgboost.core import XGBoostError
from xgboost.tracker import RabitTracker

_GOOD_BYE_SECONDS = 300


@contextmanager
def tracker(host: str, n_workers: int) -> Iterator[dict[str, str | int]]:
    """What brings the workers together, in this process; gives what they need to find it.

    Parameters
    ----------
    host : str
        Name or address of this machine, as the others reach it.
    n_workers : int
    """
    # Workers are numbered by the names that they give themselves, so sums have one order.
    found = RabitTracker(n_workers=n_workers, host_ip=host, sortby="task")
    found.start()
    try:
        yield found.worker_args()
    except BaseException:
        # Else it complains that some have left without a word, which is not what went wrong.
        with suppress(XGBoostError):
            found.free()
        raise
    # Where all went well: the others say good-bye to it too.
    found.wait_for(_GOOD_BYE_SECONDS)


def joined(found: dict[str, str | int], number: int) -> AbstractContextManager[Any]:
    """Be one of the workers for as long as the block lasts."""
    here: AbstractContextManager[Any] = CommunicatorContext(**found, dmlc_task_id=f"{number:08d}")
    return here
