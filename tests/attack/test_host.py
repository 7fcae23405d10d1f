"""The process around a producer is short of something, or somebody tampers with it: the producer goes on afterwards."""

from __future__ import annotations

from typing import Final

import pytest

from tests.attack.host import CONDITIONS, attack_host, can_be
from tests.attack.sample import again

NOT_YET: Final = {
    ("context kept", "asyncio"): "one context of start() lives on there; nothing that the collector knows refers to it",
}
"""Attacks that break a promise, and why."""


def chosen() -> list[tuple[str, str]]:
    """Return every condition with every loop, but for NOT_YET."""
    every = [(condition, loop) for condition in CONDITIONS for loop in ("asyncio", "trio")]
    return [each for each in every if can_be(*each) and each not in NOT_YET]


@pytest.mark.parametrize(("condition", "loop"), chosen())
def test_a_hostile_host_ends_nothing(condition: str, loop: str) -> None:
    assert attack_host(condition, loop) == [], again("--host", condition, "--loop", loop)
