"""The Spark session of the command line, the demo and the tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from batchtrainingbooster.cli.java import ensure_java
from batchtrainingbooster.errors import MissingDependencyError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def start_session(
    name: str = "batchtrainingbooster", config: Mapping[str, str] | None = None
) -> SparkSession:
    """The running session, or a local one on all cores.

    Parameters
    ----------
    name : str
        Shown in Spark's UI.
    config : mapping, optional
        Spark settings; ``spark.master`` among them, or ``spark.remote``, a server of Spark Connect.
        So may be the variable SPARK_REMOTE.

    Raises
    ------
    MissingDependencyError
        If pyspark, or a Java runtime, is not installed.
    """
    try:
        import pyspark.sql  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError.of("pyspark", "spark", "This command") from error
    config = dict(config or {})
    remote = config.get("spark.remote") or os.environ.get("SPARK_REMOTE", "")
    if remote.startswith("sc://"):
        # Java, master and workers are the server's.
        return _session(name, config)
    ensure_java()
    # Else workers would start whatever python3 is first on PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {
        "spark.master": "local[*]",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "8",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        **config,
    }
    if remote:
        del settings["spark.master"]
    session = _session(name, settings)
    if not remote:
        session.sparkContext.setLogLevel("ERROR")
    return session


def _session(name: str, settings: Mapping[str, str]) -> SparkSession:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(name)
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
