"""The histories with transactions have teeth: each planted bug breaks a promise within some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.simulation.bugs import MISFITS
from tests.simulation.transaction_bugs import TRANSACTION_BUGS, first_transactions_caught

if TYPE_CHECKING:
    from tests.simulation.bugs import PlantedBug

HISTORIES: Final = 250

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("bug", TRANSACTION_BUGS, ids=lambda bug: bug.name)
def test_the_bug_is_caught(bug: PlantedBug) -> None:
    caught = first_transactions_caught(bug, HISTORIES)
    assert caught is not None, f"{bug.text}: not noticed in {HISTORIES} histories"
    count, result = caught
    assert not result.violation.startswith(MISFITS), f"it does not fit the core any more: {result.violation}"
    print(f"{bug.name}: {count} histories; {result.violation}")  # noqa: T201 - the figures of docs/promises.md
