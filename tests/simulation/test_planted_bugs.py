"""The simulation has teeth: each planted bug breaks a promise within some hundred histories."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.simulation.bugs import BUGS, MISFITS, PlantedBug, first_caught
from tests.simulation.history import run
from tests.simulation.seeds import FIXED_SEEDS
from tests.simulation.transaction_bugs import TRANSACTION_BUGS

HISTORIES: Final = 500
PAGE: Final = Path(__file__).parents[2] / "docs" / "promises.md"
BY_NAME: Final = {bug.name: bug for bug in BUGS}

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_bug_is_caught(bug: PlantedBug) -> None:
    caught = first_caught(bug, HISTORIES)
    assert caught is not None, f"{bug.text}: not noticed in {HISTORIES} histories"
    assert not caught.violation.startswith(MISFITS), f"it does not fit the core any more: {caught.violation}"


@pytest.mark.parametrize(("seed", "name"), FIXED_SEEDS)
def test_a_history_that_found_a_bug_finds_it_again_and_nothing_else(seed: int, name: str) -> None:
    assert run(seed).violation == ""
    assert run(seed, bug=BY_NAME[name]).violation != ""


def test_the_page_names_the_bugs_in_their_order() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \| \d+ \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [bug.name for bug in (*BUGS, *TRANSACTION_BUGS)]
