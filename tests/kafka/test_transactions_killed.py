"""A node is killed in each phase of a transaction: all of it is there or nothing, as commit() says, and it goes on.

The phases are hit exactly: the proxy before each node kills the victim while the request or the answer is in its hands.
"""

from __future__ import annotations

import logging
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
import pytest

from aioproducer import Producer, TopicPartition, Transaction
from aioproducer._core.requests.coordinators import CoordinatorType
from aioproducer._wire.api_keys import ApiKey
from aioproducer.errors import CommitOutcomeUnknownError, KafkaError
from aioproducer.testing import RealCluster
from aioproducer.testing._interception import Interception, Moment
from tests.kafka.transactions import (
    committed_offsets,
    committed_values,
    coordinator_of,
    create_topic_on,
    wait_healthy,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]

PARTITIONS: Final = 2
ROUNDS: Final = 4
SECONDS: Final = 90


@dataclass(frozen=True, slots=True)
class Phase:
    """Where in a transaction the victim is killed: at a moment of a request, after so many of its kind.

    Attributes:
        moment, api_keys, skip: as Interception has them; the kind of request by transaction.version.
    """

    moment: Moment
    api_keys: dict[int, ApiKey]
    skip: int = 0


def _both(api_key: ApiKey) -> dict[int, ApiKey]:
    return {1: api_key, 2: api_key}


PHASES: Final = {
    "begin": Phase("request", {1: ApiKey.ADD_PARTITIONS_TO_TXN, 2: ApiKey.PRODUCE}),
    "sending": Phase("answer", _both(ApiKey.PRODUCE), skip=PARTITIONS * ROUNDS // 2),
    "offsets": Phase("answer", _both(ApiKey.TXN_OFFSET_COMMIT)),
    "commit held": Phase("request", _both(ApiKey.END_TXN)),
    "commit sent": Phase("forwarded", _both(ApiKey.END_TXN)),
    "commit answered": Phase("answer", _both(ApiKey.END_TXN)),
}
VICTIMS: Final = ("coordinator", "leader")
CASES: Final = [(version, victim, phase) for version in (2, 1) for victim in VICTIMS for phase in PHASES]
FEW: Final = [(2, "coordinator", "commit answered"), (2, "leader", "sending"), (2, "coordinator", "offsets")]
"""Those of every run; `make test-long` takes all."""

LONG: Final = os.environ.get("LONG") == "1"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """One loop: what differs between them is tested on the embedded cluster."""
    return "asyncio", {}


class Kafkas:
    """One cluster at a time, behind proxies; the dead are noticed in two seconds."""

    def __init__(self) -> None:
        self._version = 0
        self._cluster: RealCluster | None = None

    def of_version(self, version: int) -> RealCluster:
        """Three nodes with this transaction.version."""
        if self._cluster is None or version != self._version:
            self.stop()
            properties = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "250"}
            self._cluster = RealCluster(nodes=3, proxied=True, transaction_version=version, properties=properties)
            self._cluster.start()
            self._version = version
        return self._cluster

    def stop(self) -> None:
        """Stop it, if there is one."""
        if self._cluster is not None:
            self._cluster.stop()
            self._cluster = None


@pytest.fixture(scope="module")
def kafkas() -> Iterator[Kafkas]:
    """Nothing is started before a test asks."""
    kafkas = Kafkas()
    yield kafkas
    kafkas.stop()


async def commit(transaction: Transaction) -> bool:
    """Commit, as often as it takes; whether it is committed. What cannot be committed is aborted."""
    while True:
        try:
            await transaction.commit()
            return True
        except CommitOutcomeUnknownError:
            continue
        except KafkaError as error:
            log.info("not committed: %r", error)
            assert not error.fatal
            await transaction.abort()
            return False


async def work(producer: Producer[bytes, bytes], topic: str, group: str, name: bytes, partition: int) -> bool:
    """A transaction with records in several rounds, and an offset; whether it is committed."""
    transaction = await producer.begin_transaction()
    try:
        for number in range(ROUNDS):
            for index in range(PARTITIONS):
                await producer.submit(topic, b"%s %d" % (name, number), partition=index)
            await producer.flush()
        await transaction.send_offsets({TopicPartition(topic, partition): 42}, group)
    except KafkaError as error:
        log.info("failed before its commit: %r", error)
        assert not error.fatal
    return await commit(transaction)


async def group_of(servers: str, node: int) -> str:
    """A group that this node coordinates; any, when none of many is."""
    groups = [f"g-{uuid.uuid4().hex}" for _ in range(10)]
    for group in groups:
        if await coordinator_of(servers, CoordinatorType.GROUP, group) == node:
            return group
    return groups[0]


@pytest.mark.parametrize(("version", "victim", "phase"), CASES if LONG else FEW)
async def test_a_node_killed_leaves_all_of_a_transaction_or_nothing(
    kafkas: Kafkas, version: int, victim: str, phase: str
) -> None:
    kafka = await anyio.to_thread.run_sync(kafkas.of_version, version)
    servers, name = kafka.bootstrap_servers, f"killed-{uuid.uuid4().hex}"
    coordinator = await coordinator_of(servers, CoordinatorType.TRANSACTION, name)
    leader, other = (node for node in kafka.node_ids if node != coordinator)
    topic = await create_topic_on(servers, [[leader, other, coordinator], [other, leader, coordinator]])
    doomed = coordinator if victim == "coordinator" else leader
    group = await group_of(servers, doomed)
    await wait_healthy(servers, "__transaction_state", "__consumer_offsets")
    where = PHASES[phase]
    blow = Interception(where.api_keys[version], where.moment, lambda: kafka.kill(doomed), skip=where.skip)
    try:
        async with Producer(bootstrap_servers=servers, transactional_id=name) as producer:
            with anyio.fail_after(SECONDS):
                async with producer.transaction():
                    for index in range(PARTITIONS):
                        await producer.send(topic, b"before", partition=index)
                kafka.intercept(blow)
                started = anyio.current_time()
                is_committed = await work(producer, topic, group, b"during", 0)
                lasted = anyio.current_time() - started
                blow.wait(0)
                assert not kafka.is_running(doomed)
                assert await work(producer, topic, group, b"later", 1)
                async with producer.transaction():
                    for index in range(PARTITIONS):
                        await producer.send(topic, b"last", partition=index)
    finally:
        for node in kafka.node_ids:
            kafka.proxy(node).heal()
        if not kafka.is_running(doomed):
            await anyio.to_thread.run_sync(kafka.restart, doomed)
    log.info("%s killed, %s, version %d: committed %s in %.1f s", victim, phase, version, is_committed, lasted)
    values = await anyio.to_thread.run_sync(committed_values, servers, topic, PARTITIONS, b"last")
    during = [b"during %d" % number for number in range(ROUNDS)] * PARTITIONS
    later = [b"later %d" % number for number in range(ROUNDS)] * PARTITIONS
    expected = [b"before"] * PARTITIONS + [b"last"] * PARTITIONS + later + (during if is_committed else [])
    assert values == sorted(expected)
    offsets = await anyio.to_thread.run_sync(committed_offsets, servers, group, topic, PARTITIONS)
    assert offsets == [42 if is_committed else -1, 42]
    if phase == "commit answered":
        assert is_committed, "the coordinator has said so before it died"
