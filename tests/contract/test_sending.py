"""The three ways to send, and that what is sent is what is in the log."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aioproducer import Delivery, Producer, ProducerRecord, RecordMetadata
from tests.contract.support import wait_for_records

if TYPE_CHECKING:
    from aioproducer._types import Headers
    from tests.contract.support import Cluster

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


@pytest.mark.real_subset
async def test_send_returns_where_the_record_is(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        first = await producer.send(topic, b"a", key=b"k", timestamp_ms=1_700_000_000_123)
        second = await producer.send(topic, b"b")
    assert first == RecordMetadata(topic, 0, 0, 1_700_000_000_123)
    assert (second.partition, second.offset, second.has_offset) == (0, 1, True)
    log = await cluster.read(topic)
    assert [(r.offset, r.timestamp_ms, r.key, r.value) for r in log] == [
        (0, 1_700_000_000_123, b"k", b"a"),
        (1, second.timestamp_ms, None, b"b"),
    ]


@pytest.mark.real_subset
async def test_submit_returns_a_delivery_that_can_be_awaited(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        deliveries = [await producer.submit(topic, b"%d" % number) for number in range(10)]
        offsets = [(await delivery).offset for delivery in deliveries]
        assert all(delivery.done() for delivery in deliveries)
        assert [delivery.result().offset for delivery in deliveries] == offsets
    assert offsets == list(range(10))
    assert await cluster.values(topic) == [b"%d" % number for number in range(10)]


@pytest.mark.real_subset
async def test_submit_nowait_needs_nothing_but_the_end_of_the_block(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        for number in range(1000):
            producer.submit_nowait(topic, b"%d" % number)
    assert await cluster.values(topic) == [b"%d" % number for number in range(1000)]


async def test_a_delivery_ends_without_anybody_polling_or_flushing(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    done = anyio.Event()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        await producer.send(topic, b"warm up")
        producer.submit_nowait(topic, b"value", on_delivery=lambda _: done.set())
        with anyio.fail_after(2):
            await done.wait()


async def test_callbacks_on_tasks_see_the_metadata(cluster: Cluster, asyncio_only: None) -> None:
    topic = await cluster.create_topic()
    told: list[RecordMetadata] = []
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        tasks = [asyncio.create_task(producer.send(topic, b"%d" % number)) for number in range(5)]
        for task in tasks:
            task.add_done_callback(lambda done: told.append(done.result()))
        await asyncio.wait(tasks)
        await asyncio.sleep(0)
    assert [metadata.offset for metadata in told] == [0, 1, 2, 3, 4]


async def test_a_producer_record_takes_the_place_of_the_arguments(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=3)
    record = ProducerRecord(topic, b"v", key=b"k", partition=2, timestamp_ms=5, headers=[("h", b"x")])
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        metadata = await producer.send(record)
        delivery = await producer.submit(record)
        nowait = producer.submit_nowait(record)
        await producer.flush()
    assert metadata == RecordMetadata(topic, 2, 0, 5)
    assert (delivery.result().offset, nowait.result().offset) == (1, 2)
    assert [(r.partition, r.timestamp_ms, r.key, r.value, r.headers) for r in await cluster.read(topic)] == [
        (2, 5, b"k", b"v", (("h", b"x"),))
    ] * 3


async def test_a_producer_record_with_other_arguments_is_refused(cluster: Cluster) -> None:
    record = ProducerRecord("topic", b"v")
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        with pytest.raises(TypeError, match="ProducerRecord alone"):
            await producer.send(record, key=b"k")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
        with pytest.raises(TypeError, match="value is missing"):
            producer.submit_nowait("topic")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.mark.real_subset
async def test_headers_arrive_as_given_duplicates_and_none_included(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    headers: Headers = (("a", b"1"), ("a", None), ("", b""), ("é中", b"\x00\xff"), ("a", b"1"))
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        await producer.send(topic, b"list", headers=list(headers))
        await producer.send(topic, b"mapping", headers={"x": b"1", "y": None})
        await producer.send(topic, b"copied", headers=[("b", bytearray(b"2")), ("m", memoryview(b"3"))])
        await producer.send(topic, b"empty", headers=[])
        await producer.send(topic, b"none", headers=None)
    assert [record.headers for record in await cluster.read(topic)] == [
        headers,
        (("x", b"1"), ("y", None)),
        (("b", b"2"), ("m", b"3")),
        (),
        (),
    ]


@pytest.mark.real_subset
async def test_tombstones_and_empty_values_and_keys_stay_what_they_are(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    pairs: list[tuple[bytes | None, bytes | None]] = [(b"k", None), (b"k", b""), (b"", b"v"), (None, None), (b"", b"")]
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        for key, value in pairs:
            await producer.send(topic, value, key=key)
    assert [(record.key, record.value) for record in await cluster.read(topic)] == pairs


async def test_bytearray_and_memoryview_are_copied_at_the_call(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    value, key = bytearray(b"value"), bytearray(b"key")
    async with Producer[Any, Any](bootstrap_servers=cluster.bootstrap_servers, linger_ms=50) as producer:
        await producer.partitions_for(topic)
        producer.submit_nowait(topic, value, key=memoryview(key))
        value[:] = b"XXXXX"
        key[:] = b"YYY"
    (record,) = await cluster.read(topic)
    assert (record.key, record.value) == (b"key", b"value")


@pytest.mark.parametrize("wrong", ["text", 1, 1.5, ["a"], object()])
async def test_what_is_not_bytes_is_refused_at_once_naming_the_fix(cluster: Cluster, wrong: Any) -> None:
    async with Producer[Any, Any](bootstrap_servers=cluster.bootstrap_servers) as producer:
        with pytest.raises(TypeError, match="value_serializer"):
            await producer.send("topic", wrong)
        with pytest.raises(TypeError, match="key_serializer"):
            producer.submit_nowait("topic", b"v", key=wrong)


async def test_the_default_timestamp_is_the_wall_clock_of_the_call(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        before = time.time_ns() // 1_000_000
        metadata = await producer.send(topic, b"v")
        after = time.time_ns() // 1_000_000
    assert before <= metadata.timestamp_ms <= after
    assert [record.timestamp_ms for record in await cluster.read(topic)] == [metadata.timestamp_ms]


async def test_timestamps_of_one_batch_may_go_back_and_forth(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    times = [1_700_000_000_000, 0, 1_700_000_000_001, 1, 1_699_999_999_999]
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=50) as producer:
        deliveries = [await producer.submit(topic, b"v", timestamp_ms=each) for each in times]
        assert [(await delivery).timestamp_ms for delivery in deliveries] == times
    assert [record.timestamp_ms for record in await cluster.read(topic)] == times


async def test_a_topic_with_log_append_time_tells_the_brokers_time(cluster: Cluster) -> None:
    topic = await cluster.create_topic(config={"message.timestamp.type": "LogAppendTime"})
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        before = time.time_ns() // 1_000_000
        metadata = await producer.send(topic, b"v", timestamp_ms=5)
    assert before - 1000 <= metadata.timestamp_ms <= time.time_ns() // 1_000_000 + 1000
    assert [record.timestamp_ms for record in await cluster.read(topic)] == [metadata.timestamp_ms]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.real_subset
async def test_every_codec_delivers_the_same_bytes(cluster: Cluster, codec: Any) -> None:
    topic = await cluster.create_topic()
    # From a few bytes to more than is compressed on the loop, both compressible and not.
    values = [b"", b"x", b"abc" * 20_000, bytes(range(256)) * 400, b"\x00" * 100_000, b"last"]
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, compression_type=codec, batch_size=300_000, linger_ms=20
    ) as producer:
        deliveries = [await producer.submit(topic, value, key=b"key", headers=[("h", b"v")]) for value in values]
        offsets = [(await delivery).offset for delivery in deliveries]
    log = await cluster.read(topic)
    assert [record.value for record in log] == values
    assert [record.offset for record in log] == offsets
    assert {(record.key, record.headers) for record in log} == {(b"key", (("h", b"v"),))}


@pytest.mark.parametrize(("acks", "has_offset"), [("all", True), (1, True), (0, False)])
@pytest.mark.real_subset
async def test_every_level_of_acks_delivers(cluster: Cluster, acks: Any, has_offset: bool) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, acks=acks) as producer:
        told = [await producer.send(topic, b"%d" % number) for number in range(20)]
    assert [metadata.has_offset for metadata in told] == [has_offset] * 20
    assert [metadata.offset for metadata in told] == (list(range(20)) if has_offset else [-1] * 20)
    await wait_for_records(cluster, topic, 20)  # nobody says when a record of acks=0 is in the log
    assert await cluster.values(topic) == [b"%d" % number for number in range(20)]


async def test_sequential_sends_without_linger_do_not_wait_for_more_records(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=0) as producer:
        await producer.send(topic, b"warm up")
        started = time.monotonic()
        for _ in range(20):
            await producer.send(topic, b"v")
        assert time.monotonic() - started < 20 * 0.05


async def test_records_of_many_tasks_all_arrive_once(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=3)
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:

        async def send_some(task: int) -> None:
            for number in range(20):
                await producer.send(topic, b"%d-%d" % (task, number), key=b"%d" % task)

        async with anyio.create_task_group() as tasks:
            for task in range(20):
                tasks.start_soon(send_some, task)
    log = await cluster.read(topic)
    assert len(log) == 400
    for task in range(20):
        own = [record.value for record in log if record.key == b"%d" % task]
        assert own == [b"%d-%d" % (task, number) for number in range(20)]


async def test_on_delivery_is_called_by_all_three_before_a_waiting_call_returns(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    told: list[tuple[str, int]] = []

    def note(way: str, delivery: Delivery) -> None:
        told.append((way, delivery.result().offset))

    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        await producer.send(topic, b"a", on_delivery=partial(note, "send"))
        assert told == [("send", 0)]
        await (await producer.submit(topic, b"b", on_delivery=partial(note, "submit")))
        assert told[1:] == [("submit", 1)]
        producer.submit_nowait(ProducerRecord(topic, b"c"), on_delivery=partial(note, "nowait"))
    assert told[2:] == [("nowait", 2)]
