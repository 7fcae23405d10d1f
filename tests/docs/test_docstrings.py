"""The examples in docstrings run: those with prompts as doctests, the others on asyncio and trio against a cluster."""

from __future__ import annotations

import ast
import doctest
import importlib
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
import pytest

import aioproducer
from tests.docs.snippets import ROOT, Snippet
from tests.docs.test_snippets import run_excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE: Final = ROOT / "aioproducer"
WITHOUT: Final = {"from_config", "from_file", "from_env", "config"}
"""Members of Producer whose example is elsewhere: ProducerConfig has it."""


@dataclass(frozen=True, slots=True)
class Example:
    """The text below "Example:" in the docstring of something."""

    path: Path
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(PACKAGE)}:{self.name}"


def examples() -> Iterator[Example]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                _, found, rest = (ast.get_docstring(node) or "").partition("\nExample:\n")
                if found:
                    yield Example(path, node.name, textwrap.dedent(rest.partition("\n\n")[0]))


EXAMPLES: Final = list(examples())
DOCTESTS: Final = [example for example in EXAMPLES if example.text.startswith(">>>")]
EXCERPTS: Final = [example for example in EXAMPLES if not example.text.startswith(">>>")]


@pytest.mark.parametrize("example", DOCTESTS, ids=str)
def test_example_with_prompts(example: Example) -> None:
    module = importlib.import_module(".".join(example.path.relative_to(ROOT).with_suffix("").parts))
    names = {name: getattr(aioproducer, name) for name in aioproducer.__all__} | vars(module)
    case = doctest.DocTestParser().get_doctest(example.text, names, str(example), str(example.path), 0)
    assert case.examples
    told: list[str] = []
    failed, _ = doctest.DocTestRunner().run(case, out=told.append)
    assert not failed, "".join(told)


@pytest.mark.parametrize("example", EXCERPTS, ids=str)
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_example_with_a_producer(example: Example, loop: str) -> None:
    code = f"import aioproducer.serializers\nfrom aioproducer.testing import read_topic\n{example.text}\n"
    before = 'await producer.send("orders", b"there already")\n' if "read_topic(" in example.text else ""
    snippet = Snippet(str(example), 1, "excerpt", (loop,), before + code, None)
    anyio.run(run_excerpt, snippet, backend=loop)


def test_every_method_of_the_producer_has_an_example() -> None:
    members = vars(aioproducer.Producer)
    public = {name for name, member in members.items() if not name.startswith("_") and callable(member)}
    shown = {example.name for example in EXAMPLES if example.path.name == "producer.py"}
    assert public - shown - WITHOUT - {"transaction", "begin_transaction"} == set()
