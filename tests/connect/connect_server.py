"""A Spark Connect server in a process of its own, on loopback."""

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pyspark

from batchtrainingbooster.cli.java import ensure_java

SETTINGS = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.memory": "1g",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    # Any that is free.
    "spark.connect.grpc.binding.port": "0",
    "spark.connect.progress.reportInterval": "100ms",
}
STARTED = re.compile(r"Spark Connect server started at: \S+?:(\d+)$", re.MULTILINE)
# The folder lies on this machine's disk for all but the server.
HIDING = 'mount -t tmpfs tmpfs "$1" && shift && exec "$@"'


@contextmanager
def connect_server(folder, hidden=None):
    """Its URL; ``folder`` is for its log, and ``hidden`` a folder that is another one for it."""
    home = Path(pyspark.__file__).parent
    command = [
        f"{home}/bin/spark-submit", "--class",
        "org.apache.spark.sql.connect.service.SparkConnectServer",
    ]  # fmt: skip
    for name, value in SETTINGS.items():
        command += ["--conf", f"{name}={value}"]
    command.append("spark-internal")
    if hidden is not None:
        command = ["unshare", "-m", "sh", "-c", HIDING, "sh", str(hidden), *command]
    ensure_java()
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        # Else this would start a server for the server.
        "SPARK_CONNECT_MODE": "0",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    log = Path(folder, "server.log")
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env=environment, cwd=folder
        )
    try:
        yield f"sc://127.0.0.1:{_port(process, log)}"
    finally:
        process.kill()
        process.wait()


def _port(process, log):
    last = time.monotonic() + 120
    while time.monotonic() < last:
        found = STARTED.search(log.read_text())
        if found:
            return int(found.group(1))
        if process.poll() is not None:
            break
        time.sleep(0.1)
    msg = f"no Spark Connect server: {log.read_text()[-2000:]}"
    raise RuntimeError(msg)
