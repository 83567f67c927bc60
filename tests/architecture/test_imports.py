import subprocess
import sys
from pathlib import Path

import batchtrainingbooster

SOURCE = Path(batchtrainingbooster.__file__).parent
HEAVY = {"pyspark", "xgboost", "pyarrow", "pandas", "matplotlib", "numpy", "click", "yaml"}
MAX_LINES = 350


def loaded_after(code):
    shown = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {name.partition(".")[0] for name in shown.split()}


def test_import_loads_nothing_heavy():
    assert not loaded_after("import batchtrainingbooster") & HEAVY


def test_loading_a_model_class_loads_neither_spark_nor_booster():
    loaded = loaded_after("from batchtrainingbooster import BoostedModel")
    assert not loaded & {"pyspark", "xgboost", "matplotlib", "pandas"}


def test_public_names_are_sorted_and_there():
    assert batchtrainingbooster.__all__ == sorted(batchtrainingbooster.__all__)
    for name in batchtrainingbooster.__all__:
        assert getattr(batchtrainingbooster, name).__name__ == name
    assert set(dir(batchtrainingbooster)) == {*batchtrainingbooster.__all__, "__version__"}


def test_trainer_is_where_the_mission_says():
    from batchtrainingbooster.trainers.xgboost_trainer import XGBoostTrainer

    assert XGBoostTrainer is batchtrainingbooster.XGBoostTrainer


def test_files_stay_short():
    long = {
        p.name: n
        for p in SOURCE.rglob("*.py")
        if (n := len(p.read_text().splitlines())) > MAX_LINES
    }
    assert long == {}
