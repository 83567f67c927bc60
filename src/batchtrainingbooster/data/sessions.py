"""What kind of session Spark has given us."""

from __future__ import annotations

import re
from typing import Any

from batchtrainingbooster.data.spark_errors import spark_failures


def is_connect(of_spark: Any) -> bool:
    """Whether a session or DataFrame is one of Spark Connect, which has no JVM in this process."""
    return ".connect." in type(of_spark).__module__


def master_of(session: Any) -> str:
    """Where Spark runs its tasks, as ``spark.master`` has it."""
    with spark_failures("asking Spark for spark.master"):
        return str(session.conf.get("spark.master", "local"))


def is_one_process(master: str) -> bool:
    """Whether tasks run in Spark's own process; those of ``local-cluster[...]`` do not.

    Examples
    --------
    >>> [is_one_process(m) for m in ("local", "local[*]", "local-cluster[2,1,1024]", "yarn")]
    [True, True, False, False]
    """
    return re.match(r"local(\[|$)", master) is not None
