"""The rules that hold for the whole project: layout, sizes, docstrings, what an import costs, and the pages' links."""

from __future__ import annotations

import ast
import importlib
import io
import os
import re
import subprocess
import sys
import tokenize
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import sniffio

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = ROOT / "aioproducer"
MODULES: Final = sorted(PACKAGE.rglob("*.py"))
UNIT_TESTS: Final = sorted((ROOT / "tests" / "unit").rglob("test_*.py"))
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

CODE_LINES: Final = 400
FUNCTION_LINES: Final = 60
IN_LINE: Final = {"append_fast": 75}
"""Longer for what each record pays: a part of it as a function of its own costs 3 % of a record (see there)."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def docstring_lines(tree: ast.AST) -> set[int]:
    """The lines that docstrings take."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and ast.get_docstring(node) is not None:
            first = node.body[0]
            lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def code_lines(text: str) -> set[int]:
    """The lines with code on them: not blank, not only a comment, not docstring."""
    silent = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines - docstring_lines(ast.parse(text))


def functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def is_overload(node: ast.ClassDef | Function) -> bool:
    return any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_module_begins_with_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_docstring_of_a_module_opens_with_what_it_is(path: Path) -> None:
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    assert not re.match(r"(Are|At|Can|Do|Does|Has|How|Is|May|What|When|Where|Which|Who|Whose|Why)\b.*\?", first)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_module_is_small(path: Path) -> None:
    assert len(code_lines(path.read_text())) <= CODE_LINES


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_functions_fit_a_screen(path: Path) -> None:
    text = path.read_text()
    with_code = code_lines(text)
    sizes = {
        function.name: len(with_code & set(range(function.lineno, (function.end_lineno or 0) + 1)))
        for function in functions(ast.parse(text))
    }
    assert {name: size for name, size in sizes.items() if size > IN_LINE.get(name, FUNCTION_LINES)} == {}


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_public_names_have_docstrings(path: Path) -> None:
    nodes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef | Function)]
    public = [node for node in nodes if not node.name.startswith("_") and not is_overload(node)]
    assert [node.name for node in public if ast.get_docstring(node) is None] == []


@pytest.mark.parametrize("path", UNIT_TESTS, ids=relative)
def test_unit_tests_lie_where_their_module_lies(path: Path) -> None:
    folder = PACKAGE / path.parent.relative_to(ROOT / "tests" / "unit")
    name = path.stem.removeprefix("test_")
    tested = [module.stem.strip("_") for module in folder.iterdir() if module.suffix == ".py" or module.is_dir()]
    # A module may have several files of tests: test_sender_retries.py belongs to sender.py.
    assert any(name == module or name.startswith(f"{module}_") for module in tested)


@pytest.mark.parametrize("module_name", ["aioproducer", "aioproducer.testing"])
def test_every_public_name_can_be_had(module_name: str) -> None:
    module = importlib.import_module(module_name)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert set(module.__all__) <= set(dir(module))


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh Python has loaded after a statement."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_the_producer_loads_no_event_loop_and_no_codec() -> None:
    slow = {"asyncio", "trio", "ssl", "crc32c", "lz4", "zstandard", "cramjam"}
    assert loaded_by("from aioproducer import Producer") & slow == set()


def test_importing_the_test_helpers_loads_none_of_them() -> None:
    loaded = loaded_by("import aioproducer.testing")
    assert {name for name in loaded if name.startswith("aioproducer.testing.")} == set()


def test_version_is_that_of_the_installed_package() -> None:
    assert importlib.import_module("aioproducer._version").__version__ == version("aioproducer")


def test_package_is_marked_as_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_ci_script_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_of_the_pages_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_targets_named_in_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z-]+)\b[`\n]", page.read_text())}
    assert named
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_programs_of_the_pages_parse(page: Path) -> None:
    for program in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if "import" in program:  # the others are excerpts
            compile(program, page.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def test_async_tests_run_on_each_event_loop(request: pytest.FixtureRequest) -> None:
    loop = request.node.callspec.id
    if loop == "trio":
        assert sniffio.current_async_library() == "trio"
        return
    import asyncio

    assert type(asyncio.get_running_loop()).__module__.partition(".")[0] == loop
