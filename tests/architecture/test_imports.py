import ast
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("missing", "extra", "code"),
    [
        ("pyspark", "spark", "from batchtrainingbooster import XGBoostTrainer"),
        (
            "xgboost",
            "xgboost",
            "import batchtrainingbooster as b; b.XGBoostTrainer().fit(None, None, 'y')",
        ),
    ],
)
def test_missing_library_is_named_with_its_extra(missing, extra, code):
    blocked = f"import sys\nsys.modules[{missing!r}] = None\n{code}"
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True)
    assert f"needs {missing}, which is not installed: pip install" in done.stderr
    assert f"batchtrainingbooster[{extra}]" in done.stderr


def test_public_names_are_sorted_and_there():
    assert batchtrainingbooster.__all__ == sorted(batchtrainingbooster.__all__)
    for name in batchtrainingbooster.__all__:
        assert getattr(batchtrainingbooster, name).__name__ == name
    assert set(dir(batchtrainingbooster)) == {*batchtrainingbooster.__all__, "__version__"}


def test_trainer_is_where_the_mission_says():
    from batchtrainingbooster.trainers.xgboost_trainer import XGBoostTrainer

    assert XGBoostTrainer is batchtrainingbooster.XGBoostTrainer


def test_unknown_names_are_refused_as_in_any_module():
    with pytest.raises(AttributeError, match="'batchtrainingbooster' has no attribute 'Trainer'"):
        _ = batchtrainingbooster.Trainer


def test_nothing_is_printed_but_by_the_command_line():
    printing = [
        f"{file.relative_to(SOURCE)}:{node.lineno}"
        for file in SOURCE.rglob("*.py")
        if "cli" not in file.relative_to(SOURCE).parts
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name) and node.id == "print"
    ]
    assert printing == []


def test_files_stay_short():
    long = {
        p.name: n
        for p in SOURCE.rglob("*.py")
        if (n := len(p.read_text().splitlines())) > MAX_LINES
    }
    assert long == {}
