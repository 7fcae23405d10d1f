"""How records become batches: linger, sizes, flush, and batches that turn out to be too large."""

from __future__ import annotations

import time
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from aioproducer import Delivery, Producer
from aioproducer.errors import KafkaTimeoutError, RecordTooLargeError, UndeliveredError
from tests.contract.support import Cluster, Network


@pytest.mark.real_subset
async def test_records_submitted_together_share_a_batch(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=100) as producer:
        await producer.partitions_for(topic)
        for number in range(100):
            await producer.submit(topic, b"%d" % number)
    assert {record.base_offset for record in await cluster.read(topic)} == {0}


async def test_records_of_many_tasks_share_a_batch(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=50) as producer:
        await producer.send(topic, b"warm up")
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(partial(producer.send, topic, b"%d" % number))
    assert len({record.base_offset for record in await cluster.read(topic)}) <= 3


async def test_a_batch_holds_at_most_batch_size_bytes(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=200, batch_size=1000) as producer:
        for _ in range(40):
            await producer.submit(topic, b"x" * 200)
    log = await cluster.read(topic)
    sizes = [sum(record.base_offset == base for record in log) for base in {record.base_offset for record in log}]
    assert len(log) == 40
    assert max(sizes) == 4  # 61 + 4 × 207 bytes; five are more than 1,000


async def test_batch_size_zero_sends_each_record_alone(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=100, batch_size=0) as producer:
        for number in range(10):
            await producer.submit(topic, b"%d" % number)
    assert [(record.base_offset, record.value) for record in await cluster.read(topic)] == [
        (number, b"%d" % number) for number in range(10)
    ]


async def test_linger_holds_a_batch_that_is_not_full_back(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=300) as producer:
        await producer.partitions_for(topic)
        started = time.monotonic()
        await producer.send(topic, b"v")
        assert 0.25 < time.monotonic() - started < 1.5


async def test_a_full_batch_does_not_wait_for_linger(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000, batch_size=1000) as producer:
        with anyio.fail_after(5):
            await producer.send(topic, b"x" * 5000)


async def test_flush_ignores_linger_and_covers_all_that_was_accepted(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=3)
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000) as producer:
        deliveries = [await producer.submit(topic, b"v", partition=number % 3) for number in range(30)]
        unknown = producer.submit_nowait(await cluster.create_topic(), b"its topic is not known yet")
        with anyio.fail_after(5):
            await producer.flush()
        assert all(delivery.done() for delivery in deliveries)
        assert unknown.result().offset == 0


async def test_flush_with_nothing_to_do_returns_at_once(cluster: Cluster) -> None:
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        with anyio.fail_after(1):
            await producer.flush()
            await producer.flush(timeout=0.5)


async def test_flush_does_not_wait_for_records_accepted_after_it(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    later: list[Delivery] = []
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, linger_ms=60_000
    ) as producer:
        await producer.partitions_for(topic)
        first = await producer.submit(topic, b"before")

        async def submit_behind_the_flush() -> None:
            network.hold()
            later.append(await producer.submit(topic, b"after"))
            network.release()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(producer.flush, 5))
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(submit_behind_the_flush)
        assert first.done()
    assert later[0].result().offset == 1


async def test_flush_gives_up_after_its_timeout_and_the_records_go_on(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect) as producer:
        await producer.partitions_for(topic)
        network.hold()
        delivery = await producer.submit(topic, b"v")
        with anyio.fail_after(2), pytest.raises(KafkaTimeoutError, match=r"0\.1 s"):
            await producer.flush(timeout=0.1)
        assert not delivery.done()
        network.release()
        assert (await delivery).offset == 0


async def test_a_cancelled_flush_hurries_nobody_any_more(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, linger_ms=300
    ) as producer:
        await producer.send(topic, b"warm up")
        network.hold()
        await producer.submit(topic, b"v")
        with anyio.move_on_after(0.05) as scope:
            await producer.flush()
        assert scope.cancelled_caught
        network.release()
        await producer.flush()
        started = time.monotonic()
        await producer.send(topic, b"lingers")
        assert time.monotonic() - started > 0.25


async def test_several_flushes_at_once_all_end(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000) as producer:
        await producer.partitions_for(topic)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for number in range(5):
                    producer.submit_nowait(topic, b"%d" % number)
                    tasks.start_soon(producer.flush)
    assert len(await cluster.read(topic)) == 5


@pytest.mark.real_subset
async def test_a_batch_that_is_too_large_for_the_topic_is_split(cluster: Cluster) -> None:
    topic = await cluster.create_topic(config={"max.message.bytes": "20000"})
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, batch_size=200_000, linger_ms=100) as producer:
        deliveries = [await producer.submit(topic, b"%06d" % number * 150) for number in range(150)]
        with anyio.fail_after(20):
            offsets = [(await delivery).offset for delivery in deliveries]
    assert offsets == list(range(150))
    log = await cluster.read(topic)
    assert [record.value for record in log] == [b"%06d" % number * 150 for number in range(150)]
    assert len({record.base_offset for record in log}) > 5


async def test_of_a_batch_that_is_too_large_only_the_records_that_are_too_large_fail(cluster: Cluster) -> None:
    topic = await cluster.create_topic(config={"max.message.bytes": "10000"})
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, batch_size=200_000, linger_ms=100) as producer:
        sizes = [10, 20_000, 10, 3000, 3000, 3000, 3000, 10, 15_000]
        deliveries = [await producer.submit(topic, b"x" * size) for size in sizes]
        with anyio.fail_after(20), pytest.raises(UndeliveredError):
            await producer.flush()
        failed = [delivery.exception() for delivery in deliveries]
        assert [size for size, error in zip(sizes, failed, strict=True) if error] == [20_000, 15_000]
        (error,) = {type(error) for error in failed if error}
        assert error is RecordTooLargeError
        told = next(error for error in failed if error)
        assert told.name == "MESSAGE_TOO_LARGE"
        assert not told.possibly_written
        assert topic in str(told)
    assert [len(value or b"") for value in await cluster.values(topic)] == [s for s in sizes if s < 10_000]


async def test_a_record_larger_than_max_request_size_is_refused_at_the_call(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, max_request_size=10_000) as producer:
        with pytest.raises(RecordTooLargeError, match="max_request_size=10,000") as caught:
            await producer.send(topic, b"x" * 10_000)
        with pytest.raises(RecordTooLargeError):
            producer.submit_nowait(topic, b"", headers=[("h", b"x" * 10_000)])
        assert caught.value.limit == 10_000
        assert caught.value.size is not None
        assert caught.value.size > 10_000
        await producer.send(topic, b"x" * 9_000)
    assert len(await cluster.read(topic)) == 1


async def test_a_record_larger_than_buffer_memory_is_refused_at_the_call(cluster: Cluster) -> None:
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, buffer_memory=20_000) as producer:
        with pytest.raises(RecordTooLargeError, match="buffer_memory=20,000"):
            await producer.send("topic", b"x" * 20_000)
