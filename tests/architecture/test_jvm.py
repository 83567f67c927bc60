"""The JVM, which a client of Spark Connect does not have, is asked for in few places."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "batchtrainingbooster"
OF_THE_JVM = {"rdd", "sparkContext", "_sc", "_jdf", "_jvm", "_jsc", "_jsparkSession"}
# Each for classic sessions alone.
KNOWN = {
    "cli/session.py",  # how much Spark logs
    "data/shipping.py",  # broadcasts, where Spark Connect has files
    "data/spark_progress.py",  # the status of jobs, where Spark Connect tells it of itself
    "distributed/visits.py",  # tags of jobs, which a client sets on its session
    "model/scoring.py",  # the session's name, where Spark Connect has another
    "spark_ml/persistence.py",  # what Spark ML asked for before Spark 4
}


def test_the_jvm_is_asked_for_in_known_places_alone():
    found = {
        str(file.relative_to(SOURCE))
        for file in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in OF_THE_JVM
    }
    assert found <= KNOWN
