"""The embedded cluster and real Kafka get the same seeded requests and answer the same, field by field.

What differs on purpose is in KNOWN, with the reason; anything else fails, and names the step and the field.
"""

from __future__ import annotations

import random
import time
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

import pytest

from aioproducer.testing import EmbeddedCluster, RealCluster
from tests.differential.playing import Answer, Player
from tests.differential.script import WITHIN, Ask, Produce, Step, everything, script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contract.support import HasBootstrapServers

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

STEPS: Final = 150
SEEDS: Final = (1, 2, 3, 4, 5, 6)

KNOWN: Final[dict[str, tuple[Callable[[Step, str], bool], str]]] = {
    # name: (whether a field of a step's answer may differ, why)
    "message": (
        lambda step, field: field.endswith(("has_message", "error_message.has")),
        "which refusals have a text differs between Kafka's code paths; clients show it to people only",
    ),
    "contents": (
        lambda step, field: isinstance(step, Produce) and step.damage in WITHIN,
        "records are not decoded when a batch is appended: that takes 5 µs a record, more than all the rest together",
    ),
    "server settings": (
        lambda step, field: field.endswith((".config_source", "segment.bytes.value", "retention.ms.value")),
        "the real one has a server.properties, and its launcher makes segments small and has records of any age kept",
    ),
    "sessions": (
        lambda step, field: isinstance(step, Ask) and step.case == "Fetch in a new session" and field == "session_id",
        "no fetch sessions: the id is 0, upon which clients send full requests",
    ),
    "groups": (
        lambda step, field: isinstance(step, Ask) and step.case == "TxnOffsetCommit of a group that was not added",
        "here groups are part of a transaction; in Kafka it is their partition of __consumer_offsets",
    ),
    "internal topics": (
        lambda step, field: isinstance(step, Ask) and step.case == "DescribeTransactions" and ".topics" in field,
        "there are none: DescribeTransactions tells of no partition of __consumer_offsets",
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


async def test_answers_to_everything_are_the_same_and_each_known_difference_is_one(
    real_kafka: HasBootstrapServers,
) -> None:
    found = await play(real_kafka, everything(), transaction_version=2)
    # Groups have names of their own in each run, and two may fall into one partition of __consumer_offsets.
    assert found | {"groups"} == set(KNOWN)


async def compare(real: HasBootstrapServers, seed: int, *, transaction_version: int) -> None:
    """Play the seed's script on both, and fail with everything that differs."""
    await play(real, script(random.Random(seed), STEPS, transaction_version=transaction_version), transaction_version)


async def play(real: HasBootstrapServers, steps: list[Step], transaction_version: int) -> set[str]:
    """Play the steps on both, and fail with everything that differs; returns the names of the known differences."""
    wall_ms = int(time.time() * 1000)
    answers = await Player("real", real, wall_ms).play(steps)
    async with EmbeddedCluster(transaction_version=transaction_version) as embedded:
        ours = await Player("embedded", embedded, wall_ms).play(steps)
    found: set[str] = set()
    unknown: list[str] = []
    for step, field, theirs, own in differences(steps, answers, ours):
        known = next((name for name, (applies, _) in KNOWN.items() if step is not None and applies(step, field)), None)
        if known is None:
            unknown.append(f"  {step or 'log'}: {field} is {theirs}, ours {own}")
        else:
            found.add(known)
    assert not unknown, f"{len(unknown)} differences:\n" + "\n".join(unknown[:40])
    return found


def differences(
    steps: list[Step], real: list[Answer], ours: list[Answer]
) -> Iterator[tuple[Step | None, str, object, object]]:
    """Each field that differs: the step (None for a log), its path, both values."""
    for step, theirs, own in zip_longest(steps, real, ours):
        for field in sorted({*theirs, *own}):
            if theirs.get(field) != own.get(field):
                yield step, field, theirs.get(field), own.get(field)
