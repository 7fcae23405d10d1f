"""Callbacks that do more than look: they send, start a flush, close the producer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio

from aioproducer import Delivery, Producer
from aioproducer.errors import DeliveryTimeoutError, ProducerClosedError
from tests.contract.support import Cluster, Network, until

if TYPE_CHECKING:
    from aioproducer.testing import EmbeddedCluster


async def test_a_callback_of_an_expired_record_may_submit_more(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("t")
    again: list[Delivery] = []
    expired: list[int] = []
    in_doubt: set[bytes | None] = set()
    async with Producer(
        bootstrap_servers=embedded.bootstrap_servers,
        linger_ms=0,
        batch_size=0,
        request_timeout_ms=300,
        delivery_timeout_ms=400,
        retry_backoff_ms=20,
        retry_backoff_max_ms=50,
    ) as producer:
        await producer.send("t", b"first")

        def resubmit(number: int, delivery: Delivery) -> None:
            error = delivery.exception()
            assert isinstance(error, DeliveryTimeoutError)
            if error.possibly_written:
                in_doubt.add(b"%d" % number)
            expired.append(number)
            if len(expired) == 5:
                fault.stop()
            again.append(producer.submit_nowait("t", b"again %d" % number))

        fault = embedded.not_enough_replicas("t")
        for number in range(5):
            await producer.submit("t", b"%d" % number, on_delivery=partial(resubmit, number))
        await until(lambda: len(again) == 5)
        with anyio.fail_after(3):
            await producer.flush()
    assert expired == [0, 1, 2, 3, 4]
    values = [record.value for record in embedded.records("t")]
    sent_again = [b"again %d" % number for number in range(5)]
    assert [value for value in values if value in sent_again] == sent_again
    assert [values[delivery.result().offset] for delivery in again] == sent_again
    # A request that was on its way when its record expired may reach the broker after the fault has gone.
    assert set(values) - {b"first", *sent_again} <= in_doubt


async def test_a_callback_may_start_a_task_that_flushes(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    flushed = anyio.Event()
    with anyio.fail_after(10):
        async with (
            anyio.create_task_group() as tasks,
            Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=0, batch_size=0) as producer,
        ):

            async def flush() -> None:
                await producer.flush()
                flushed.set()

            def begin(_: Delivery) -> None:
                producer.submit_nowait(topic, b"of the callback")
                tasks.start_soon(flush)

            await producer.submit(topic, b"first", on_delivery=begin)
            await producer.submit(topic, b"second")
            await flushed.wait()
            assert len(await cluster.read(topic)) == 3


async def test_a_callback_may_close_the_producer_at_once(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    late: list[Delivery] = []
    told: list[Delivery] = []
    with anyio.fail_after(10):
        async with (
            anyio.create_task_group() as tasks,
            Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, linger_ms=0) as producer,
        ):

            def begin(_: Delivery) -> None:
                network.hold()
                late.extend(
                    producer.submit_nowait(topic, b"late %d" % number, on_delivery=told.append) for number in range(3)
                )
                tasks.start_soon(producer.close, 0)

            first = await producer.submit(topic, b"first", on_delivery=begin)
            await until(lambda: len(told) == 3)
            assert first.result().offset == 0
    assert told == late
    assert all(isinstance(delivery.exception(), ProducerClosedError) for delivery in late)
    assert await cluster.values(topic) == [b"first"]
    assert network.open_count == 0
