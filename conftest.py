"""Fixtures of all tests, and the pages whose code is run."""

import os
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

# On a busy machine, threads that wait by spinning make training ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from batchtrainingbooster.cli.session import start_session

SHARED_DATA = Path(os.environ.get("BTB_SHARED_DATA", Path(__file__).parents[1] / "shared" / "data"))


@pytest.fixture(scope="session")
def spark():
    session = start_session(
        "tests",
        {
            "spark.master": "local[2]",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "2",
        },
    )
    yield session
    session.stop()


@pytest.fixture(scope="session")
def shared_data():
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no data in {SHARED_DATA}; set BTB_SHARED_DATA to the folder that has it")
    return SHARED_DATA


@pytest.fixture(scope="module")
def page_folder(spark, shared_data, tmp_path_factory):
    """Where the code of a page runs: an empty folder with the data that the pages speak of."""
    folder = tmp_path_factory.mktemp("page")
    for name in ("obesity.csv", "titanic.csv"):
        (folder / name).symlink_to(shared_data / name)
    before = Path.cwd()
    jvm = spark._jvm.org.apache.hadoop.fs
    files = jvm.FileSystem.get(spark._jsc.hadoopConfiguration())
    for place in (folder, before):
        os.chdir(place)
        files.setWorkingDirectory(jvm.Path(str(place)))
        if place is folder:
            yield folder


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Run the blocks of a page in its order and one page after the other, at the end."""
    pages = [item for item in items if item.path.suffix == ".md"]
    others = [item for item in items if item.path.suffix != ".md"]
    items[:] = [*others, *sorted(pages, key=lambda item: (item.path, item.example.line))]


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "README.fr.md", "docs/**/*.md"],
    fixtures=["page_folder"],
).pytest()
