"""send_all: order, outcomes, bounded memory, failures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from aioproducer import (
    IllegalStateError,
    MetadataTimeoutError,
    Producer,
    ProducerClosedError,
    ProducerRecord,
    RecordTooLargeError,
    SendAllError,
    UndeliveredError,
)
from aioproducer.errors import ErrorCode
from tests.contract.support import Network, new_topic_name, settled, until

if TYPE_CHECKING:
    from aioproducer.testing import EmbeddedCluster
    from tests.contract.support import Cluster


def numbered(topic: str, count: int) -> list[ProducerRecord[bytes, bytes]]:
    return [ProducerRecord(topic, b"%d" % number) for number in range(count)]


@pytest.mark.real_subset
async def test_records_are_in_the_log_in_their_order_and_results_say_where(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        results = await producer.send_all(numbered(topic, 5_000))
        assert [metadata.offset for metadata in results] == list(range(5_000))
        assert {metadata.topic for metadata in results} == {topic}
        assert await cluster.values(topic) == [b"%d" % number for number in range(5_000)]


@pytest.mark.real_subset
async def test_records_with_keys_headers_and_partitions_are_as_they_were_given(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=3)
    given: list[ProducerRecord[bytes, bytes]] = [
        ProducerRecord(topic, b"a", key=b"k", partition=2, timestamp_ms=5, headers=[("h", b"1")]),
        ProducerRecord(topic, None, partition=0),
        ProducerRecord(topic, b"c", partition=2),
    ]
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        results = await producer.send_all(given)
    log = {(record.partition, record.offset): record for record in await cluster.read(topic)}
    found = [log[metadata.partition, metadata.offset] for metadata in results]
    assert [(record.key, record.value, record.headers) for record in found] == [
        (b"k", b"a", (("h", b"1"),)),
        (None, None, ()),
        (None, b"c", ()),
    ]
    assert [record.timestamp_ms for record in found] == [metadata.timestamp_ms for metadata in results]
    assert results[0].timestamp_ms == 5


async def test_an_asynchronous_source_is_read_as_it_comes(cluster: Cluster) -> None:
    topic = await cluster.create_topic()

    async def source() -> AsyncIterator[ProducerRecord[bytes, bytes]]:
        for record in numbered(topic, 20):
            await anyio.lowlevel.checkpoint()
            yield record

    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        assert len(await producer.send_all(source())) == 20
    assert await cluster.values(topic) == [b"%d" % number for number in range(20)]


async def test_no_records_give_no_results(cluster: Cluster) -> None:
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        assert list(await producer.send_all([])) == []


async def test_the_end_of_the_source_ends_lingering(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000) as producer:
        with anyio.fail_after(5):
            assert len(await producer.send_all(numbered(topic, 3))) == 3


async def test_a_source_is_read_only_as_far_as_there_is_room(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    read = 0

    def source() -> Iterator[ProducerRecord[bytes, bytes]]:
        nonlocal read
        for _ in range(500):
            read += 1
            yield ProducerRecord(topic, bytes(1000))

    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, buffer_memory=100_000, batch_size=10_000
    ) as producer:
        await producer.partitions_for(topic)
        network.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(producer.send_all, source())
            await until(lambda: producer.statistics()["waiting-threads"] == 1)
            assert 50 < read < 100
            network.release()
        assert read == 500
        assert producer.statistics()["buffer-available-bytes"] == 100_000


async def test_a_refused_record_fails_alone(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    wrong: Any = ["no record", ProducerRecord(topic, "no bytes"), ProducerRecord(topic, bytes(2_000_000))]
    records = [ProducerRecord(topic, b"first"), *wrong, ProducerRecord(topic, b"last")]
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        with pytest.raises(SendAllError, match="3 of 5 records") as caught:
            await producer.send_all(records)
        await producer.flush()  # nothing of it is unwatched
    error = caught.value
    assert {index: type(failure) for index, failure in error.failures.items()} == {
        1: TypeError,
        2: TypeError,
        3: RecordTooLargeError,
    }
    assert [None if result is None else result.offset for result in error.results] == [0, None, None, None, 1]
    assert (error.__cause__, error.possibly_written) == (error.failures[1], False)
    assert await cluster.values(topic) == [b"first", b"last"]


async def test_a_source_of_refused_records_lets_others_run(cluster: Cluster) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    def records() -> Iterator[ProducerRecord[bytes, bytes]]:
        while turns < 20:
            yield ProducerRecord("not a topic!", b"x")

    servers = cluster.bootstrap_servers
    async with Producer(bootstrap_servers=servers) as producer, anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        with anyio.fail_after(30), pytest.raises(SendAllError):
            await producer.send_all(records())
        tasks.cancel_scope.cancel()


async def test_words_of_a_partitioner_are_not_in_the_error(cluster: Cluster) -> None:
    def refuse(topic: object, key: object, value: object) -> int:
        raise ValueError(f"cannot take {value!r}")

    topic = new_topic_name()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, partitioner=refuse) as producer:
        with pytest.raises(SendAllError) as caught:
            await producer.send_all([ProducerRecord(topic, b"secret value")])
    assert "secret" not in str(caught.value)
    assert "ValueError" in str(caught.value)


async def test_a_record_that_the_broker_refuses_is_among_the_failures(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("t", partitions=2)
    embedded.fail_next(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic="t", partition=1)
    records: list[ProducerRecord[bytes, bytes]] = [
        ProducerRecord("t", b"%d" % number, partition=number % 2) for number in range(6)
    ]
    async with Producer(bootstrap_servers=embedded.bootstrap_servers) as producer:
        with pytest.raises(SendAllError) as caught:
            await producer.send_all(records)
        await producer.flush()
    assert sorted(caught.value.failures) == [1, 3, 5]
    assert [result is None for result in caught.value.results] == [False, True] * 3


async def test_a_timeout_of_a_topic_ends_the_reading(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    records = [ProducerRecord(topic, b"1"), ProducerRecord("not-there", b"2"), ProducerRecord(topic, b"3")]
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, max_block_ms=300, allow_auto_create_topics=False
    ) as producer:
        with pytest.raises(SendAllError) as caught:
            await producer.send_all(records)
    assert isinstance(caught.value.failures[1], MetadataTimeoutError)
    assert len(caught.value.results) == 2
    assert await cluster.values(topic) == [b"1"]


async def test_closing_ends_a_send_all(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers)
    await producer.start()

    async def endless() -> AsyncIterator[ProducerRecord[bytes, bytes]]:
        while True:
            await anyio.sleep(0.001)
            yield ProducerRecord(topic, b"v")

    async def send() -> None:
        with pytest.raises(SendAllError) as caught:
            await producer.send_all(endless())
        errors = set(map(type, caught.value.failures.values()))
        assert errors == {ProducerClosedError}

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await until(lambda: producer.statistics()["record-send-total"] > 3)
            await producer.close()


async def test_an_exception_of_the_source_comes_through_and_the_records_go_on(cluster: Cluster) -> None:
    topic = await cluster.create_topic()

    def source() -> Iterator[ProducerRecord[bytes, bytes]]:
        yield ProducerRecord(topic, b"accepted")
        raise KeyError("mine")

    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        with pytest.raises(KeyError, match="mine"):
            await producer.send_all(source())
    assert await cluster.values(topic) == [b"accepted"]


async def test_each_result_is_that_of_its_record_when_keys_spread_them(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=3)
    records: list[ProducerRecord[bytes, bytes]] = [
        ProducerRecord(topic, b"%d" % number, key=b"%d" % (number % 17)) for number in range(2_000)
    ]
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, batch_size=2_000) as producer:
        results = await producer.send_all(records)
    log = {(record.partition, record.offset): record for record in await cluster.read(topic)}
    found = [log[metadata.partition, metadata.offset] for metadata in results]
    assert [(record.key, record.value) for record in found] == [(record.key, record.value) for record in records]
    assert [record.timestamp_ms for record in found] == [metadata.timestamp_ms for metadata in results]


async def test_a_result_is_that_of_its_record_when_the_batch_was_split(cluster: Cluster) -> None:
    topic = await cluster.create_topic(config={"max.message.bytes": "10000"})
    records = [ProducerRecord[bytes, bytes](topic, b"%0900d" % number) for number in range(200)]
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, batch_size=60_000) as producer:
        results = await producer.send_all(records)
        assert producer.statistics()["batch-split-total"] > 0
    values = {record.offset: record.value for record in await cluster.read(topic)}
    assert [values[metadata.offset] for metadata in results] == [record.value for record in records]


async def test_a_source_may_send_records_of_its_own_meanwhile(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        await producer.partitions_for(topic)

        def source() -> Iterator[ProducerRecord[bytes, bytes]]:
            for number in range(300):
                if number % 3 == 0:
                    producer.submit_nowait(topic, b"other")
                yield ProducerRecord(topic, b"%d" % number)

        results = await producer.send_all(source())
        await producer.flush()
    values = {record.offset: record.value for record in await cluster.read(topic)}
    assert [values[metadata.offset] for metadata in results] == [b"%d" % number for number in range(300)]
    assert len(values) == 400


async def test_failures_of_what_was_accepted_before_the_source_raised_are_unwatched(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("t")

    def source() -> Iterator[ProducerRecord[bytes, bytes]]:
        yield from numbered("t", 50)
        raise KeyError("mine")

    async with Producer(bootstrap_servers=embedded.bootstrap_servers) as producer:
        await producer.send("t", b"first")
        embedded.fail_next(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic="t")
        with pytest.raises(KeyError, match="mine"):
            await producer.send_all(source())
        with pytest.raises(UndeliveredError) as caught:
            await producer.flush()
    assert caught.value.counts == {"t": 50}


async def test_failures_after_a_cancelled_send_all_are_unwatched(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers,
        connect=network.connect,
        linger_ms=0,
        request_timeout_ms=200,
        delivery_timeout_ms=400,
    ) as producer:
        await producer.partitions_for(topic)
        network.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(producer.send_all, numbered(topic, 3))
            await settled()
            tasks.cancel_scope.cancel()
        with pytest.raises(UndeliveredError) as caught:
            await producer.flush()
        network.release()
    assert caught.value.counts == {topic: 3}


@pytest.mark.real_subset
async def test_in_a_transaction_all_of_it_is_committed_or_none(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    name = new_topic_name("bulk")
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, transactional_id=name) as producer:
        with pytest.raises(IllegalStateError, match="no transaction is open"):
            await producer.send_all(numbered(topic, 3))
        async with producer.transaction():
            assert len(await producer.send_all(numbered(topic, 3))) == 3
        with pytest.raises(SendAllError):
            async with producer.transaction():
                await producer.send_all([*numbered(topic, 3), ProducerRecord(topic, bytes(2_000_000))])
        async with producer.transaction():
            await producer.send_all([ProducerRecord(topic, b"later")])
    log = await cluster.read(topic, isolation="read_committed")
    assert [record.value for record in log] == [b"0", b"1", b"2", b"later"]


async def test_an_aborted_transaction_ends_the_reading(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    read = 0

    async def endless() -> AsyncIterator[ProducerRecord[bytes, bytes]]:
        nonlocal read
        yield ProducerRecord(topic, bytes(2_000_000))
        while True:
            read += 1
            await anyio.sleep(0.001)
            yield ProducerRecord(topic, b"v")

    async with Producer(bootstrap_servers=cluster.bootstrap_servers, transactional_id=topic) as producer:
        with anyio.fail_after(5), pytest.raises(SendAllError):
            async with producer.transaction():
                await producer.send_all(endless())
    assert await cluster.read(topic, isolation="read_committed") == []


async def test_it_needs_a_running_producer() -> None:
    with pytest.raises(IllegalStateError):
        await Producer(bootstrap_servers="localhost:9092").send_all([])
