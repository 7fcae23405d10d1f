"""The compiled form: what is compiled, when, and what that asks of the source."""

from __future__ import annotations

import ast
import contextlib
import copy
import os
import subprocess
import sys
import tomllib
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import aioproducer
from aioproducer._core.accumulator import batch
from aioproducer._producer.delivery import Delivery
from hatch_build import COMPILER, SWITCH, CompiledBuildHook

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent
SOURCE: Final = ROOT / "aioproducer"
INSTALLED: Final = Path(aioproducer.__file__).parent.parent
TARGETS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
MODULES: Final[list[str]] = TARGETS["wheel"]["hooks"]["custom"]["modules"]
EXTENSIONS: Final = (".so", ".pyd")


def hook(target: str) -> CompiledBuildHook:
    """The hook as hatchling makes it."""
    return CompiledBuildHook(str(ROOT), {"modules": MODULES}, None, None, "", target)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def nodes(path: str) -> Iterator[ast.AST]:
    return ast.walk(ast.parse((INSTALLED / path).read_text()))


def path_of(module: str) -> str:
    return module.replace(".", "/") + ".py"


def test_the_package_tells_whether_it_is_compiled() -> None:
    assert aioproducer.__compiled__ is (batch.__file__ or "").endswith(EXTENSIONS)


@pytest.mark.parametrize("module", MODULES)
def test_each_module_can_be_the_first_that_is_imported(module: str) -> None:
    # Compiled code that makes a named tuple reads the classes of its fields; one that is missing ends the process.
    name = module.removesuffix(".py").replace("/", ".")
    environment = {**os.environ, "PYTHONPATH": str(INSTALLED)}
    done = subprocess.run([sys.executable, "-c", f"import {name}"], env=environment, check=False, timeout=50)
    assert done.returncode == 0


def test_a_delivery_can_be_referred_to_weakly_in_the_pure_form_alone() -> None:
    delivery = Delivery(batch.ProducerBatch("t", 0, 0.0), 0, None)
    with pytest.raises(TypeError) if aioproducer.__compiled__ else contextlib.nullcontext():
        weakref.ref(delivery)


def test_a_delivery_can_be_copied_and_derived_from_in_both_forms() -> None:
    class Derived(Delivery):
        """As that of send_all."""

        def done(self) -> bool:
            return True

    delivery = Derived(batch.ProducerBatch("t", 0, 0.0), 0, None)
    assert delivery.exception() is None
    assert copy.copy(delivery).exception() is None


def test_no_extension_lies_in_the_source_tree_where_it_would_hide_its_module() -> None:
    assert [path for path in SOURCE.rglob("*") if path.suffix in EXTENSIONS] == []


def test_what_is_compiled_is_there_and_in_order() -> None:
    assert MODULES
    assert sorted(MODULES) == MODULES
    assert [path for path in MODULES if not (INSTALLED / path).is_file()] == []


@pytest.mark.parametrize("path", MODULES)
def test_what_is_compiled_raises_from_nothing(path: str) -> None:
    # mypyc compiles `raise a from b` as `raise a`: the cause would be missing from the compiled form alone.
    raised_from = [node.lineno for node in nodes(path) if isinstance(node, ast.Raise) and node.cause is not None]
    assert raised_from == []


@pytest.mark.parametrize("path", MODULES)
def test_the_types_of_fields_are_there_when_what_is_compiled_is_loaded(path: str) -> None:
    # The compiled form of a NamedTuple or dataclass looks the name of a field's type up, unless it stands in a union;
    # a class that is compiled too is found without.
    is_missing = {"object"}
    fields: list[tuple[int, str]] = []
    for node in nodes(path):
        match node:
            case ast.If(test=ast.Name("TYPE_CHECKING"), body=imports):
                for each in imports:
                    if isinstance(each, ast.ImportFrom) and path_of(each.module or "") not in MODULES:
                        is_missing |= {alias.name for alias in each.names}
            case ast.ClassDef(bases=bases, decorator_list=decorators, body=body):
                makers = " ".join(map(ast.unparse, [*bases, *decorators]))
                if "NamedTuple" in makers or "dataclass" in makers:
                    types = [(each.lineno, each.annotation) for each in body if isinstance(each, ast.AnnAssign)]
                    fields += [(line, ast.unparse(field).partition("[")[0]) for line, field in types]
            case _:
                pass
    assert [(line, name) for line, name in fields if name in is_missing] == []


def test_a_build_is_pure_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    data: dict[str, Any] = {"pure_python": True, "force_include": {}}
    hook("wheel").initialize("standard", data)
    assert data == {"pure_python": True, "force_include": {}}
    assert hook("wheel").dependencies() == []


@pytest.mark.parametrize(("target", "version"), [("sdist", "standard"), ("wheel", "editable")])
def test_only_a_wheel_to_be_installed_is_compiled(target: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "1")
    data: dict[str, Any] = {"pure_python": True, "force_include": {}}
    hook(target).initialize(version, data)
    assert data == {"pure_python": True, "force_include": {}}


def test_who_asks_gets_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "1")
    assert hook("wheel").dependencies() == COMPILER
