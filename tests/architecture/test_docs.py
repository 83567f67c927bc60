"""What the pages say of the tests is so."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks/NOTES.md"]
TESTS = {
    node.name
    for file in (ROOT / "tests").rglob("test_*.py")
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_and_files_that_a_page_names_are_there(page):
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    assert named - TESTS == set()
    files = re.findall(r"`((?:tests|src|tools|benchmarks|docs)/[\w./-]+)`", text)
    links = [link.partition("#")[0] for link in re.findall(r"\]\((?!http)([^)]+)\)", text)]
    places = [ROOT / file for file in files] + [page.parent / link for link in links if link]
    assert [str(place) for place in places if not place.exists()] == []


def test_every_promise_has_a_test():
    """Each row of a table of promises names one."""
    for name in ("reliability.md", "how-it-works.md", "reproducibility.md"):
        rows = [
            line
            for line in (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()
            if line.startswith("| ") and not re.fullmatch(r"\|[\s|-]+", line)
        ]
        assert len(rows) > 5
        unproven = [row for row in rows if not re.search(r"`test_\w+`|`tests/|the same tests", row)]
        headings = [row for row in unproven if row.rstrip(" |").endswith("test")]
        assert [row for row in unproven if row not in headings] == []
