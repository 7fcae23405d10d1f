"""Brokers that stop and come back, one after the other. Embedded only."""

from __future__ import annotations

import contextlib
from typing import Any

import anyio
import pytest

from aioproducer import Delivery, OffsetAndMetadata, Producer, TopicPartition
from aioproducer.errors import CommitOutcomeUnknownError, KafkaTimeoutError, TransactionAbortedError
from aioproducer.testing._cluster import EmbeddedCluster
from tests.contract.support import producer_tasks, until

QUICK: dict[str, Any] = {
    "linger_ms": 0,
    "request_timeout_ms": 1_000,
    "delivery_timeout_ms": 15_000,
    "retry_backoff_ms": 10,
    "retry_backoff_max_ms": 100,
    "reconnect_backoff_ms": 10,
    "reconnect_backoff_max_ms": 100,
}


async def roll(cluster: EmbeddedCluster, times: int = 2) -> None:
    for _ in range(times):
        for broker in range(3):
            await cluster.stop_broker(broker)
            await anyio.sleep(0.03)
            await cluster.start_broker(broker)
            await anyio.sleep(0.05)


async def test_losing_a_follower_costs_nothing(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("t")
    async with Producer(bootstrap_servers=embedded.bootstrap_servers, **QUICK) as producer:
        await producer.send("t", b"before")
        await embedded.stop_broker((embedded.leader("t") + 1) % 3)
        for number in range(20):
            await producer.send("t", b"%d" % number)
        figures = producer.statistics()
    assert (figures["record-retry-total"], figures["record-error-total"]) == (0, 0)
    assert len(embedded.records("t")) == 21


@pytest.mark.slow
async def test_a_rolling_restart_costs_no_record_and_no_order(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("t", partitions=3)
    rolled = anyio.Event()
    deliveries: list[Delivery] = []
    async with Producer(bootstrap_servers=embedded.bootstrap_servers, **QUICK) as producer:
        async with anyio.create_task_group() as tasks:

            async def roll_all() -> None:
                await roll(embedded)
                rolled.set()

            tasks.start_soon(roll_all)
            while not rolled.is_set():
                number = len(deliveries)
                deliveries.append(await producer.submit("t", b"%d" % number, partition=number % 3))
                await anyio.sleep(0.001)
        with anyio.fail_after(15):
            await producer.flush()
    assert len(deliveries) > 50
    log = embedded.records("t")
    for partition in range(3):
        sent = [b"%d" % number for number in range(len(deliveries)) if number % 3 == partition]
        assert [record.value for record in log if record.partition == partition] == sent


@pytest.mark.slow
@pytest.mark.parametrize("level", [2, 0])
async def test_a_rolling_restart_costs_no_transaction_its_whole(anyio_backend: Any, level: int) -> None:
    del anyio_backend
    committed: list[int] = []
    aborted: list[int] = []
    async with EmbeddedCluster(brokers=3, partitions=2, transaction_version=level) as cluster:
        await cluster.create_topic("t")
        await cluster.create_topic("in")
        rolled = anyio.Event()
        async with (
            Producer(
                bootstrap_servers=cluster.bootstrap_servers, transactional_id="t", max_block_ms=15_000, **QUICK
            ) as producer,
            anyio.create_task_group() as tasks,
        ):

            async def roll_all() -> None:
                await roll(cluster)
                rolled.set()

            tasks.start_soon(roll_all)
            number = 0
            with anyio.fail_after(40):
                while not rolled.is_set() or number < 10:
                    number += 1
                    transaction = await producer.begin_transaction()
                    with contextlib.suppress(TransactionAbortedError):
                        for partition in (0, 1):
                            await producer.submit("t", b"%d" % number, partition=partition)
                        await transaction.send_offsets({TopicPartition("in", 0): OffsetAndMetadata(number)}, "g")
                        if number % 4 == 0:
                            await transaction.abort()
                        else:
                            await _commit(transaction)
                            committed.append(number)
                            continue
                    aborted.append(number)
            final = await producer.begin_transaction()
            await final.abort()
        log = await cluster.expect("t", 2 * len(committed), isolation="read_committed")
        for partition in (0, 1):
            own = [record.value for record in log if record.partition == partition]
            assert own == [b"%d" % number for number in committed]
        assert cluster.committed_offsets("g") == {TopicPartition("in", 0): committed[-1]}
        await until(lambda: not producer_tasks())
    assert len(committed) >= 5
    assert aborted


async def _commit(transaction: Any) -> None:
    while True:
        with contextlib.suppress(CommitOutcomeUnknownError, KafkaTimeoutError):
            await transaction.commit()
            return
