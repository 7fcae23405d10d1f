"""What docs/design.md says of the code is there: the names of "Where is …?", and the files of the layout."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Final

import pytest

from tests.docs.snippets import ROOT

if TYPE_CHECKING:
    from types import ModuleType

DESIGN: Final = (ROOT / "docs" / "design.md").read_text()
PACKAGE: Final = ROOT / "aioproducer"


def section(title: str) -> str:
    """The text of a section of the page."""
    _, found, rest = DESIGN.partition(f"\n## {title}\n")
    assert found, f"docs/design.md has no section {title}"
    return rest.partition("\n## ")[0]


def names_of_the_table() -> list[str]:
    rows = re.findall(r"^\|([^|]+)\|([^|]+)\|$", section("Where is …?"), re.MULTILINE)
    return [name for _, answer in rows for name in re.findall(r"`([^`]+)`", answer)]


def paths_of_the_layout() -> list[str]:
    """The paths in the tree, from the indentation."""
    tree = re.search(r"```text\naioproducer/\n(.*?)```", section("Layout"), re.DOTALL)
    assert tree is not None
    paths: list[str] = []
    folders: list[str] = []
    for indent, name in re.findall(r"^((?:    )+)([\w.]+/?) ", tree[1], re.MULTILINE):
        folders[len(indent) // 4 - 1 :] = [name]
        paths.append("".join(folders))
    return paths


@pytest.mark.parametrize("name", names_of_the_table())
def test_name_in_the_table_exists(name: str) -> None:
    module, attributes = split(name)
    value: object = module
    for attribute in attributes:
        assert hasattr(value, attribute)
        value = getattr(value, attribute)


def split(name: str) -> tuple[ModuleType, list[str]]:
    """`_core.nodes.Nodes.can_send` → the module, ["Nodes", "can_send"]."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        path = PACKAGE.joinpath(*parts[:count])
        if path.is_dir() or path.with_suffix(".py").is_file():
            return importlib.import_module(".".join(["aioproducer", *parts[:count]])), parts[count:]
    raise AssertionError(f"aioproducer has no module {parts[0]}")


def test_table_answers_what_it_must() -> None:
    assert len(names_of_the_table()) >= 20


@pytest.mark.parametrize("path", paths_of_the_layout())
def test_path_of_the_layout_exists(path: str) -> None:
    assert (PACKAGE / path).exists()


def test_layout_names_all_of_the_package() -> None:
    top = {f"{each.name}/" if each.is_dir() else each.name for each in PACKAGE.iterdir()}
    top -= {"__pycache__/", "__init__.py", "_version.py", "py.typed"}
    assert top <= set(paths_of_the_layout())
