import os
from pathlib import Path

import pytest

from batchtrainingbooster.cli.session import start_session

SHARED_DATA = Path(os.environ.get("BTB_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


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
