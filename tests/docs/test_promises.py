"""docs/promises.md names for each promise what keeps it and a test that fails without it: both are there."""

from __future__ import annotations

import ast
import re
from typing import Final

import pytest

from tests.docs.snippets import ROOT
from tests.docs.test_where_is import split

PAGE: Final = (ROOT / "docs" / "promises.md").read_text()
TITLE: Final = "### What keeps each, and what fails without it"
ROWS: Final = re.findall(
    r"^\| (\d) [^|]+\| ([^|]+)\| ([^|]+)\|$", PAGE.partition(TITLE)[2].partition("\n## ")[0], re.MULTILINE
)


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_each_promise_has_a_row() -> None:
    promised = re.findall(r"^(\d)\. ", PAGE.partition("## What is promised")[2].partition("\n#")[0], re.MULTILINE)
    assert len(promised) > 5
    assert {number for number, _, _ in ROWS} == set(promised)
    assert all(quoted(kept_by) and quoted(tests) for _, kept_by, tests in ROWS)


@pytest.mark.parametrize("name", sorted({name for _, kept_by, _ in ROWS for name in quoted(kept_by)}))
def test_what_keeps_a_promise_is_there(name: str) -> None:
    value, attributes = split(name)
    for attribute in attributes:
        value = getattr(value, attribute)


@pytest.mark.parametrize("name", sorted({name for _, _, tests in ROWS for name in quoted(tests)}))
def test_the_test_of_a_promise_is_there(name: str) -> None:
    path, _, function = name.partition("::")
    tree = ast.parse((ROOT / "tests" / path).read_text())
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert function in functions
