"""The largest, the longest, none at all: settings and records at their limits."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aioproducer import Producer, ProducerRecord
from aioproducer._records.sizes import headers_size, record_upper_bound
from aioproducer.errors import (
    BrokerError,
    BufferFullError,
    BufferTimeoutError,
    ErrorCode,
    InvalidTopicError,
    MetadataTimeoutError,
    RecordTooLargeError,
)
from tests.contract.support import Cluster, Network, new_topic_name, producer_tasks, until

if TYPE_CHECKING:
    from anyio.abc import ByteStream

DAY_MS = 86_400_000


@pytest.mark.parametrize("headers", [None, [("h", b"x" * 50)]])
@pytest.mark.parametrize("key", [None, b"k" * 30])
async def test_the_largest_record_is_exactly_max_request_size(
    cluster: Cluster, key: bytes | None, headers: list[tuple[str, bytes]] | None
) -> None:
    topic = await cluster.create_topic()
    limit = 10_000
    room = limit
    while record_upper_bound(key, b"x" * room, headers_size(tuple(headers or ()))) > limit:
        room -= 1
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, max_request_size=limit) as producer:
        await producer.send(topic, b"x" * room, key=key, headers=headers)
        with pytest.raises(RecordTooLargeError, match="max_request_size=10,000"):
            await producer.send(topic, b"x" * (room + 1), key=key, headers=headers)
    assert [len(record.value or b"") for record in await cluster.read(topic)] == [room]


async def test_max_block_zero_never_waits_and_works_when_nothing_is_missing(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect) as warm:
        await warm.send(topic, b"first")
    settings: Any = {
        "bootstrap_servers": cluster.bootstrap_servers,
        "connect": network.connect,
        "buffer_memory": 20_000,
        "batch_size": 2_000,
        "linger_ms": 0,
    }
    with anyio.fail_after(10):
        async with Producer(**settings, max_block_ms=300) as producer:
            await producer.partitions_for(topic)
            network.hold()
            with pytest.raises(BufferTimeoutError):
                while True:
                    await producer.submit(topic, b"x" * 500)
            network.release()
            await producer.flush()
            assert (await producer.send(topic, b"later")).has_offset


async def test_with_a_tiny_max_block_calls_fail_at_once_until_the_topic_is_known(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    producer = Producer[bytes, bytes](
        bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, max_block_ms=250, linger_ms=0
    )
    async with producer:
        network.hold()
        started = time.monotonic()
        with pytest.raises(MetadataTimeoutError):
            await producer.send(topic, b"v")
        assert time.monotonic() - started < 1.0
        network.release()
        await producer.partitions_for(topic)
        assert (await producer.send(topic, b"v")).offset == 0
        network.hold()
        with pytest.raises(BufferFullError):
            while True:
                producer.submit_nowait(topic, b"x" * 900_000)
        network.release()


@pytest.mark.parametrize("verb", ["close", "flush"])
async def test_close_and_flush_end_the_longest_linger(cluster: Cluster, verb: str) -> None:
    topic = await cluster.create_topic()
    with anyio.fail_after(10):
        async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=2**31 - 1) as producer:
            deliveries = [await producer.submit(topic, b"%d" % number) for number in range(20)]
            await anyio.sleep(0.1)
            assert not any(delivery.done() for delivery in deliveries)
            if verb == "flush":
                await producer.flush()
                assert all(delivery.done() for delivery in deliveries)
    assert [delivery.result().offset for delivery in deliveries] == list(range(20))
    assert await cluster.values(topic) == [b"%d" % number for number in range(20)]


async def test_flush_before_the_first_metadata_ignores_linger_too(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000) as producer:
        delivery = producer.submit_nowait(topic, b"v")
        with anyio.fail_after(5):
            await producer.flush()
        assert delivery.result().offset == 0


async def test_the_longest_topic_name_works_and_a_longer_one_is_refused(cluster: Cluster) -> None:
    longest = new_topic_name("n" * 200).ljust(249, "x")
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        assert (await producer.send(longest, b"v")).topic == longest
        with pytest.raises(InvalidTopicError):
            producer.submit_nowait(longest + "x", b"v")
    assert await cluster.values(longest) == [b"v"]


@pytest.mark.parametrize("compression", ["none", "lz4"])
async def test_a_timestamp_that_the_topic_refuses_is_a_typed_error(cluster: Cluster, compression: str) -> None:
    topic = await cluster.create_topic(
        1, {"message.timestamp.before.max.ms": str(DAY_MS), "message.timestamp.after.max.ms": str(DAY_MS)}
    )
    now_ms = time.time_ns() // 1_000_000
    settings: Any = {"compression_type": compression}
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, **settings) as producer:
        for wrong in (now_ms - 2 * DAY_MS, now_ms + 2 * DAY_MS):
            with pytest.raises(BrokerError) as caught:
                await producer.send(topic, b"v", timestamp_ms=wrong)
            assert caught.value.code == ErrorCode.INVALID_TIMESTAMP
            assert not caught.value.possibly_written
        for right in (now_ms - DAY_MS + 60_000, now_ms + DAY_MS - 60_000):
            assert (await producer.send(topic, b"v", timestamp_ms=right)).timestamp_ms == right


async def test_without_acks_a_refusal_is_not_heard_of(cluster: Cluster) -> None:
    topic = await cluster.create_topic(1, {"max.message.bytes": "1000"})
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, acks=0, linger_ms=0) as producer:
        metadata = await producer.send(topic, b"x" * 5_000)
        assert (metadata.has_offset, metadata.offset) == (False, -1)
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, acks=1, linger_ms=0) as producer:
        with pytest.raises(RecordTooLargeError):
            await producer.send(topic, b"x" * 5_000)
        await producer.send(topic, b"small")
    assert await cluster.values(topic) == [b"small"]


async def test_a_record_can_be_sent_again_and_stays_as_it_was(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    headers = [("h", b"1")]
    record: ProducerRecord[bytes, bytes] = ProducerRecord(topic, b"v", key=b"k", headers=headers)
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        first = await producer.submit(record)
        headers.append(("late", b"2"))
        await producer.send(record)
        await first
    assert record.timestamp_ms is None
    log = await cluster.read(topic)
    assert [(each.key, each.value, each.headers[:1]) for each in log] == [(b"k", b"v", (("h", b"1"),))] * 2
    assert log[0].headers == (("h", b"1"),)  # as it was when it was accepted


async def test_several_producers_in_a_row_leave_nothing_and_end_quickly(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    for number in range(5):
        producer = Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers)
        await producer.start()
        assert (await producer.send(topic, b"%d" % number)).offset == number
        with anyio.fail_after(2):
            await producer.close()
        await until(lambda: producer_tasks() == [])


async def test_the_application_may_open_the_streams_itself(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    asked: list[tuple[str, int]] = []
    (real,) = cluster.bootstrap_servers if isinstance(cluster.bootstrap_servers, list) else [cluster.bootstrap_servers]
    host, _, port = real.rpartition(":")

    async def resolve(name: str, number: int) -> ByteStream:
        asked.append((name, number))
        return await anyio.connect_tcp(host if name == "kafka.invalid" else name, number)

    connect: Callable[[str, int], Awaitable[ByteStream]] = resolve
    async with Producer(bootstrap_servers=f"kafka.invalid:{port}", connect=connect) as producer:
        await producer.send(topic, b"v")
    assert asked[0] == ("kafka.invalid", int(port))
    assert await cluster.values(topic) == [b"v"]
