"""The coordinator is killed while transactions follow each other: each is there once, or not at all."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.to_thread
import pytest

from aioproducer import Producer, Transaction
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from aioproducer.errors import CommitOutcomeUnknownError, KafkaError
from aioproducer.testing import RealCluster
from aioproducer.testing._asker import asker, first_reachable
from tests.contract.support import Cluster
from tests.contract.transactions_suite import Scene

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]

TRANSACTIONS = 16
KILLED_AT = 4
PER_TRANSACTION = 5


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """One loop: what differs between them is tested on the embedded cluster."""
    return "asyncio", {}


async def coordinator_of(cluster: RealCluster, transactional_id: str) -> int:
    """The node that coordinates it."""
    host, port = await first_reachable(cluster.bootstrap_servers)
    async with asker(host, port) as broker:
        request = FindCoordinatorRequest(key_type=1, coordinator_keys=[transactional_id])
        (found,) = (await broker.ask(request, FindCoordinatorResponse)).coordinators
    return found.node_id


async def commit(transaction: Transaction) -> bool:
    """Commit, as often as it takes; whether it is committed."""
    while True:
        try:
            await transaction.commit()
            return True
        except CommitOutcomeUnknownError:
            continue
        except KafkaError:
            await transaction.abort()
            return False


@pytest.mark.parametrize("version", [2, 0])
async def test_with_its_coordinator_killed_every_transaction_is_there_once_or_not_at_all(version: int) -> None:
    committed: list[bytes] = []
    properties = {"min.insync.replicas": "1"}
    async with RealCluster(nodes=3, transaction_version=version, properties=properties) as kafka:
        scene = Scene(Cluster("real", kafka), timeout_ms=60_000, noticed_after=0)
        topic = await scene.cluster.create_topic(3)
        async with Producer(
            bootstrap_servers=kafka.bootstrap_servers, transactional_id="killed", max_block_ms=30_000
        ) as producer:
            for number in range(TRANSACTIONS):
                transaction = await producer.begin_transaction()
                values = [b"%02d-%d" % (number, index) for index in range(PER_TRANSACTION)]
                for index, value in enumerate(values):
                    producer.submit_nowait(topic, value, partition=index % 3)
                if number == KILLED_AT:
                    victim = await coordinator_of(kafka, "killed")
                    await anyio.to_thread.run_sync(kafka.kill, victim)
                if await commit(transaction):
                    committed += values
        assert await scene.committed(topic, len(committed)) == sorted(committed)
    assert len(committed) >= PER_TRANSACTION * (TRANSACTIONS - 1)
