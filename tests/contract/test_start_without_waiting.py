"""start(wait=False): a producer that is up before Kafka is, and works once it is there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aioproducer import KafkaError, MetadataTimeoutError, Producer
from aioproducer.testing import EmbeddedCluster
from tests.attack.law import LOOPS
from tests.contract.support import producer_tasks, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FAST: dict[str, Any] = {"reconnect_backoff_ms": 10, "reconnect_backoff_max_ms": 20, "retry_backoff_ms": 10}


def on(loop: str, main: Callable[[EmbeddedCluster], Awaitable[None]]) -> None:
    """Run `main` with a cluster whose broker is stopped."""

    async def run() -> None:
        async with EmbeddedCluster() as cluster:
            await cluster.create_topic("t", 1)
            await cluster.stop_broker(0)
            with anyio.fail_after(20):
                await main(cluster)

    backend, options = LOOPS[loop]
    anyio.run(run, backend=backend, backend_options=options)


@pytest.mark.parametrize("loop", LOOPS)
def test_it_is_up_at_once_and_sends_when_kafka_is_there(loop: str) -> None:
    async def main(cluster: EmbeddedCluster) -> None:
        producer = Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers, **FAST)
        began = time.monotonic()
        await producer.start(wait=False)
        assert time.monotonic() - began < 1
        assert not producer.status().is_ready
        waiting = producer.submit_nowait("t", b"0")
        await until(lambda: producer.status().last_error is not None)
        await cluster.start_broker(0)
        assert (await producer.send("t", b"1")).offset == 1
        assert (await waiting).offset == 0
        assert producer.status().is_ready
        await producer.close()
        assert producer_tasks() == []

    on(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_calls_say_why_they_cannot_be_served_and_it_can_be_closed(loop: str) -> None:
    async def main(cluster: EmbeddedCluster) -> None:
        producer = Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers, max_block_ms=200, **FAST)
        await producer.start(wait=False)
        delivery = producer.submit_nowait("t", b"0")
        with pytest.raises(MetadataTimeoutError) as caught:
            await producer.send("t", b"1")
        assert "connect" in f"{caught.value} {caught.value.__cause__}".lower()
        with pytest.raises(MetadataTimeoutError):
            await delivery
        await producer.close()
        await producer.start(wait=False)
        await producer.close(timeout=0)
        assert producer_tasks() == []

    on(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_transaction_waits_for_a_broker_too(loop: str) -> None:
    async def main(cluster: EmbeddedCluster) -> None:
        settings: dict[str, Any] = {**FAST, "max_block_ms": 300, "transactional_id": "tx"}
        producer = Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers, **settings)
        await producer.start(wait=False)
        with pytest.raises(KafkaError):
            await producer.begin_transaction()
        await cluster.start_broker(0)
        await until(lambda: producer.status().is_ready)
        transaction = await producer.begin_transaction()
        await producer.send("t", b"1")
        await transaction.commit()
        await producer.close()
        assert [record.value for record in cluster.records("t", isolation="read_committed")] == [b"1"]

    on(loop, main)
