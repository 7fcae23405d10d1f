"""Every line of the log has a constant template, its event and fields in `extra`, and stands in docs/logging.md."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Final

import pytest

from tests.docs.snippets import ROOT

PAGE: Final = (ROOT / "docs" / "logging.md").read_text()
LEVELS: Final = {"debug", "info", "warning", "error", "critical"}
ROW: Final = re.compile(r"^\| (?P<names>`\w+`(?:, `\w+`)*) \| (?P<levels>[a-z, ]+) \|", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Line:
    """One call that logs."""

    place: str
    level: str
    call: ast.Call

    def __str__(self) -> str:
        return self.place


def logger_names(tree: ast.Module) -> dict[str, str]:
    """The loggers of a module, by the names that they have there."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(
                    func=ast.Attribute(attr="getLogger") | ast.Name(id="get_logger"),
                    args=[ast.Constant(value=str(logger))],
                ),
            ):
                found[name] = logger
            case _:
                pass
    return found


def lines() -> tuple[list[Line], set[str]]:
    """All calls that log, and all loggers."""
    calls: list[Line] = []
    loggers: set[str] = set()
    for path in sorted((ROOT / "aioproducer").rglob("*.py")):
        tree = ast.parse(path.read_text())
        named = logger_names(tree)
        loggers.update(named.values())
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if name in named:
                    calls.append(Line(f"{path.relative_to(ROOT)}:{node.lineno}", method, node))
                case _:
                    pass
    return calls, loggers


LINES, LOGGERS = lines()


def events_of(path: str) -> set[str]:
    """The events that a module can log."""
    return set(re.findall(r'"event_name": "(\w+)"', (ROOT / path).read_text()))


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_line_has_a_constant_template_and_its_fields_apart(line: Line) -> None:
    assert line.level in LEVELS
    template = line.call.args[0]
    assert isinstance(template, ast.Constant)
    assert isinstance(template.value, str)
    assert len(template.value.replace("%s", "").strip(" :")) > 0 or template.value == "%s: %s"
    assert [keyword.arg for keyword in line.call.keywords if keyword.arg == "extra"], "no extra"


def test_loggers_are_one_hierarchy_and_the_page_has_each() -> None:
    assert len(LINES) > 25
    assert {name.split(".")[0] for name in LOGGERS} == {"aioproducer"}
    assert set(re.findall(r"^\| `(aioproducer\.\w+)` \|", PAGE, re.MULTILINE)) == LOGGERS


def test_the_page_has_every_event_and_no_other() -> None:
    written = {name for row in ROW.finditer(PAGE) for name in re.findall(r"`(\w+)`", row["names"])}
    logged: set[str] = set()
    for path in {line.place.split(":")[0] for line in LINES}:
        logged |= events_of(path)
    assert written - {"aioproducer"} == logged


def test_no_exception_of_other_code_is_logged_with_its_words() -> None:
    for line in LINES:
        for keyword in line.call.keywords:
            if keyword.arg == "exc_info":
                assert isinstance(keyword.value, ast.Call), line
                assert isinstance(keyword.value.func, ast.Name), line
                assert keyword.value.func.id == "redacted", line
        assert line.level != "exception", line
