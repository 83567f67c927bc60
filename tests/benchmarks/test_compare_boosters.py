"""The script behind docs/comparison.md, on few rows."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_script_writes_a_table_of_all_three_into_the_page(tmp_path):
    page = tmp_path / "comparison.md"
    page.write_text("Before\n<!-- table: start -->\nold\n<!-- table: end -->\nAfter\n")
    command = [sys.executable, str(ROOT / "benchmarks" / "compare_boosters.py"), "--rows", "3000"]
    done = subprocess.run(
        [*command, "--repeats", "1", "--page", str(page)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    text = page.read_text()
    assert text.startswith("Before\n<!-- table: start -->\n| booster | validation log loss |")
    assert text.endswith("<!-- table: end -->\nAfter\n")
    assert "old" not in text
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    assert [row[1].split()[0] for row in rows] == ["XGBoost", "CatBoost", "LightGBM"]
    for row in rows:
        log_loss, auc = float(row[2]), float(row[3])
        assert 0.2 < log_loss < 0.7
        assert 0.5 < auc < 0.9
    assert "3,000 rows" in text


def test_page_has_a_table_from_a_run_on_all_flights():
    text = (ROOT / "docs" / "comparison.md").read_text()
    table = text.split("<!-- table: start -->")[1].split("<!-- table: end -->")[0]
    assert "327,346 rows" in table
    assert table.count("\n| ") == 4
