"""A record costs no more bytecodes and memory blocks than when they were recorded: see counting.py and bounds.toml."""

from __future__ import annotations

from typing import Final

import pytest

from tests.gates.counting import PACKAGE, TESTING, VERSION, Bytecodes, recorded, run

TOLERANCE: Final = 1.05
BLOCKS: Final = 0.1
"""By so much a record the memory blocks differ from run to run: lists and dictionaries grow in steps."""
BOUNDS: Final = recorded().get(VERSION, {})


@pytest.fixture(scope="module")
def counts() -> dict[str, float]:
    """What a record costs now."""
    return run()


@pytest.mark.skipif(not BOUNDS, reason=f"nothing recorded for Python {VERSION}: tests.gates.counting --record")
@pytest.mark.parametrize("name", BOUNDS)
def test_costs_no_more_than_recorded(name: str, counts: dict[str, float]) -> None:
    limit = BOUNDS[name] * TOLERANCE + BLOCKS
    assert counts[name] <= limit, f"{name} was {BOUNDS[name]}; dearer on purpose? See bounds.toml"


def test_everything_that_is_counted_is_recorded(counts: dict[str, float]) -> None:
    assert all(set(bounds) == set(counts) for bounds in recorded().values())


def count_of(code: str, filename: str) -> int:
    program = compile(code, filename, "exec")
    with Bytecodes() as counted:
        exec(program, {})
    return counted.count


def test_only_what_the_package_executes_is_counted() -> None:
    assert count_of("a = 1", f"{PACKAGE}/module.py") > 0
    assert count_of("a = 1", f"{TESTING}/module.py") == 0
    assert count_of("a = 1", "/elsewhere/module.py") == 0


def test_more_work_is_a_larger_count() -> None:
    place = f"{PACKAGE}/module.py"
    one, ten = (count_of(f"for _ in range({turns}): pass", place) for turns in (1, 10))
    assert ten - one == 9 * (count_of("for _ in range(2): pass", place) - one)
