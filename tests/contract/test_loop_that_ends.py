"""An event loop that ends while a producer still runs in it: what others are told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import uvloop

from aioproducer import Delivery, IllegalStateError, KafkaError, Producer, ProducerClosedError, RecordMetadata
from aioproducer.testing import EmbeddedCluster
from tests.attack.law import LOOPS
from tests.contract.support import until


async def delivered(producer: Producer[bytes, bytes]) -> RecordMetadata:
    """Send a record without waiting out the linger."""
    delivery = producer.submit_nowait("t", b"v")
    await producer.flush()
    return await delivery


@pytest.mark.parametrize("loop", LOOPS)
def test_a_producer_whose_loop_is_gone_can_be_closed_and_started_again(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    closed: list[Delivery] = []

    async def leave() -> None:
        await producer.start()
        assert (await delivered(producer)).offset == 0
        closed.append(producer.submit_nowait("t", b"lost"))

    async def come_back() -> None:
        with pytest.raises(IllegalStateError, match=r"has ended before it was closed.* await close\(\)"):
            await producer.start()
        with pytest.raises(IllegalStateError):
            await producer.send("t", b"x")
        await producer.close()
        assert isinstance(closed[0].exception(), ProducerClosedError)
        with pytest.raises(ProducerClosedError):
            await producer.send("t", b"x")
        async with producer:
            assert (await delivered(producer)).offset == 1

    backend, options = LOOPS[loop]
    with EmbeddedCluster.running() as cluster:
        cluster.create_topic("t", 1)
        producer = Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000)
        anyio.run(leave, backend=backend, backend_options=options)
        assert not producer.status().is_ready
        anyio.run(come_back, backend=backend, backend_options=options)
    lost = [record for record in caplog.records if getattr(record, "event_name", "") == "records_lost"]
    assert [record.__dict__["lost"] for record in lost] == [{"t": 1}]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_so_it_is_with_a_loop_that_was_closed_with_its_tasks_pending(
    new_loop: Callable[[], asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
) -> None:
    async def leave() -> Delivery:
        await producer.start()
        assert (await delivered(producer)).offset == 0
        return producer.submit_nowait("t", b"lost")

    async def come_back() -> None:
        await producer.close()
        async with producer:
            assert (await delivered(producer)).offset == 1

    with EmbeddedCluster.running() as cluster:
        cluster.create_topic("t", 1)
        producer = Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000)
        loop = new_loop()
        delivery = loop.run_until_complete(leave())
        loop.close()
        asyncio.run(come_back())
    assert isinstance(delivery.exception(), ProducerClosedError)
    lost = [record for record in caplog.records if getattr(record, "event_name", "") == "records_lost"]
    assert [record.__dict__["lost"] for record in lost] == [{"t": 1}]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.filterwarnings("ignore:.*was not closed:ResourceWarning")
def test_a_thread_that_waits_for_a_loop_which_ends_hears_of_it(loop: str) -> None:
    raised: list[BaseException] = []

    def work(entry: Any) -> None:
        try:
            entry.send("t", b"v")
        except BaseException as error:
            raised.append(error)

    async def main() -> None:
        producer = Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000)
        await producer.start()
        await producer.partitions_for("t")
        thread = threading.Thread(target=work, args=(producer.thread_entry(),))
        threads.append(thread)
        thread.start()
        total = producer.statistics()["buffer-total-bytes"]
        await until(lambda: producer.statistics()["buffer-available-bytes"] < total)

    threads: list[threading.Thread] = []
    backend, options = LOOPS[loop]
    with EmbeddedCluster.running() as cluster:
        cluster.create_topic("t", 1)
        anyio.run(main, backend=backend, backend_options=options)
        threads[0].join(10)
    assert not threads[0].is_alive()
    (error,) = raised
    assert isinstance(error, KafkaError)
    assert type(error) is ProducerClosedError
