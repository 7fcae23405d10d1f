"""How many histories does a test run have, and what is asserted of each? `make simulate` runs more of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.simulation.history import run
from tests.simulation.scenario import draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.scenario import Scenario

HISTORIES: Final = 10_000
CHUNK: Final = 500
CHUNKS: Final = [range(first, first + CHUNK) for first in range(0, HISTORIES, CHUNK)]


def assert_promises_kept(seeds: range, is_meant: Callable[[Scenario], bool]) -> None:
    """Run those of the histories that are meant; each failure is told with the command that replays it."""
    broken = [
        f"seed {seed}: {result.violation}\n    replay it: python -m tests.simulation {seed}"
        for seed in seeds
        if is_meant(scenario := draw(seed)) and (result := run(scenario)).violation
    ]
    assert not broken, "\n".join(broken)
