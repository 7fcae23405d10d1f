"""The embedded cluster and real Kafka get the same seeded requests and answer the same, field by field.

What differs on purpose is in KNOWN, with the reason; anything else fails, and names the step and the field.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

import pytest

from aioproducer.testing import EmbeddedCluster, RealCluster
from tests.differential.playing import Answer, Player
from tests.differential.script import Produce, Step, script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contract.support import HasBootstrapServers

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

STEPS: Final = 150
SEEDS: Final = (1, 2, 3, 4, 5, 6)

KNOWN: Final[dict[str, tuple[Callable[[Step, str], bool], str]]] = {
    # name: (whether a field of a step's answer may differ, why)
    "message": (
        lambda step, field: isinstance(step, Produce) and field == "has_message",
        "which refusals have a text differs between Kafka's code paths; clients show it to people only",
    ),
}


@pytest.fixture
def anyio_backend() -> str:
    """One event loop is enough: it is the broker's answers that are compared."""
    return "asyncio"


@pytest.fixture(scope="module")
def kafka_before_kip_890() -> Iterator[RealCluster]:
    """A real Kafka with transaction.version=0."""
    with RealCluster(transaction_version=0) as cluster:
        yield cluster


@pytest.mark.parametrize("seed", SEEDS)
async def test_answers_are_the_same(real_kafka: HasBootstrapServers, seed: int) -> None:
    await compare(real_kafka, seed, transaction_version=2)


@pytest.mark.parametrize("seed", SEEDS)
async def test_answers_are_the_same_before_kip_890(kafka_before_kip_890: RealCluster, seed: int) -> None:
    await compare(kafka_before_kip_890, seed, transaction_version=0)


async def compare(real: HasBootstrapServers, seed: int, *, transaction_version: int) -> None:
    """Play the seed's script on both, and fail with everything that differs."""
    steps = script(random.Random(seed), STEPS, transaction_version=transaction_version)
    wall_ms = int(time.time() * 1000)
    answers = await Player("real", real, wall_ms).play(steps)
    async with EmbeddedCluster(transaction_version=transaction_version) as embedded:
        ours = await Player("embedded", embedded, wall_ms).play(steps)
    found = list(differences(steps, answers, ours))
    assert not found, f"seed {seed}, {len(found)} differences:\n" + "\n".join(found[:40])


def differences(steps: list[Step], real: list[Answer], ours: list[Answer]) -> Iterator[str]:
    """A line for each field that differs for no known reason."""
    assert len(real) == len(ours)
    for index, (theirs, own) in enumerate(zip(real, ours, strict=True)):
        step = steps[index] if index < len(steps) else None
        for field in sorted({*theirs, *own}):
            if theirs.get(field) == own.get(field):
                continue
            if step is None or not any(applies(step, field) for applies, _ in KNOWN.values()):
                yield f"  step {index} {step or 'log'}: {field} is {theirs.get(field)}, ours {own.get(field)}"
