"""The contracts of imports in pyproject.toml: each is broken in a copy of the package, and lint-imports must see it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SETTINGS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
LAYERS: Final = "Imports go one way"
PURE: Final = "The pure half does no I/O, reads no clock and draws no random number"

PLANTED: Final = [
    # An import of what stands above, of a sibling, and of a module that is in no layer.
    (LAYERS, "_wire/frames.py", "import aioproducer._producer.protocol"),
    (LAYERS, "_net/connection.py", "import aioproducer._core.effects"),
    (LAYERS, "_core/effects.py", "import aioproducer._net.task_channel"),
    (LAYERS, "_records/varints.py", "import aioproducer._backend.base"),
    (LAYERS, "_config/kinds.py", "import aioproducer._wire.api_keys"),
    (LAYERS, "serializers.py", "import aioproducer.partitioners"),
    (LAYERS, "sasl/_plain.py", "import aioproducer.security._token"),
    (LAYERS, "security/_token.py", "import aioproducer._config.kinds"),
    (LAYERS, "errors/_codes.py", "import aioproducer._types"),
    (LAYERS, "_new.py", ""),
    ("The core knows neither sockets nor event loops of ours", "_core/effects.py", "import aioproducer._backend.base"),
    (PURE, "_core/effects.py", "import time"),
    (PURE, "_wire/frames.py", "import socket"),
    (PURE, "_records/varints.py", "import threading"),
    (PURE, "testing/_broker/log.py", "import random"),
    (PURE, "sasl/_turns.py", "import ssl"),
    (PURE, "_types.py", "import anyio"),  # at second hand: the core imports it
    (
        "The broker's core shares nothing with the producer but the wire and record formats",
        "testing/_broker/log.py",
        "import aioproducer._core.effects",
    ),
    ("asyncio and trio are imported in one package", "_producer/producer.py", "import asyncio"),
]


def broken_contracts(place: Path) -> set[str]:
    """Return the names of the contracts that lint-imports finds broken in a copy of the package."""
    program = Path(sys.executable).parent / "lint-imports"
    command = [str(program), str(ROOT / "pyproject.toml"), "--no-cache"]
    done = subprocess.run(
        command,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=50,
    )
    lines = done.stdout.splitlines()
    broken = {name for name, word, _ in (line.partition(" BROKEN") for line in lines) if word}
    assert done.returncode == (1 if broken else 0), done.stdout + done.stderr
    assert any(line.startswith("Contracts: ") for line in lines), done.stdout
    return broken


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of the package."""
    shutil.copytree(ROOT / "aioproducer", tmp_path / "aioproducer", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_package_as_it_is_keeps_all(copy: Path) -> None:
    assert broken_contracts(copy) == set()


@pytest.mark.parametrize(("contract", "module", "planted"), PLANTED)
def test_a_contract_sees_its_violation(contract: str, module: str, planted: str, copy: Path) -> None:
    with (copy / "aioproducer" / module).open("a") as file:
        file.write(f"\n{planted}\n")
    assert contract in broken_contracts(copy)


def test_each_contract_is_broken_by_one_of_them() -> None:
    assert {contract["name"] for contract in SETTINGS["contracts"]} == {contract for contract, _, _ in PLANTED}
