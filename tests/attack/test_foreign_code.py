"""Whatever foreign code raises at one of our seams, the producer goes on, and every call ends in time with one outcome.

Three kinds of errors are drawn for each point here; `make attack` plays all of them on every loop.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.attack.play import attack
from tests.attack.points import ENDING, ERRORS, NETWORK_POINTS, USER_POINTS
from tests.attack.sample import again, drawn

DRAWN: Final = 3


def chosen() -> list[tuple[str, str]]:
    """Return (point, error): DRAWN errors for each point."""
    kinds = [name for name in ERRORS if name not in ENDING]
    return [(point, error) for point in (*NETWORK_POINTS, *USER_POINTS) for error in drawn(kinds, DRAWN)]


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize(("point", "error"), chosen())
def test_one_error_at_one_point_ends_nothing_else(point: str, error: str, loop: str) -> None:
    assert attack(point, error, loop) == [], again("--point", point, "--error", error, "--loop", loop)
