"""The tables of the dialects' pages: every row says which test proves it, and that test exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/dialects").glob("*.md"))
#: Where the tests that the pages name may be.
FOLDERS = [ROOT / "services/gateway/tests", ROOT / "services/connector/tests", ROOT / "tests/e2e"]


def functions_of(name: str) -> set[str]:
    """The functions of a test file."""
    found = [folder / name for folder in FOLDERS if (folder / name).exists()]
    assert found, f"there is no {name}"
    module = ast.parse(found[0].read_text(encoding="utf-8"))
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def proven(page: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """The rows of every table that has a column `test`: the row, and the tests that it names."""
    rows, column = [], None
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            column = None
        elif "test" in cells:
            column = cells.index("test")
        elif column is not None and not set(line) <= set("|-: "):
            rows.append((line, re.findall(r"`(test_\w+\.py)::(test_\w+)`", cells[column])))
    return rows


def test_there_is_a_page_for_each_product() -> None:
    assert [page.stem for page in PAGES] == ["mailreach", "sendkit", "smartlead"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_row_is_open(page: Path) -> None:
    rows = proven(page)
    assert len(rows) > 30
    for line, tests in rows:
        assert tests, f"no test proves {line}"
        for file, function in tests:
            assert function in functions_of(file), f"there is no {file}::{function}"
