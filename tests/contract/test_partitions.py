"""Where records go."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import pytest

from aioproducer import Producer, TopicView
from aioproducer.errors import InvalidTopicError, MetadataTimeoutError
from tests.contract.support import Cluster, murmur2_vectors, new_topic_name


async def test_an_explicit_partition_is_kept(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=4)
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        for partition in (3, 0, 2, 1, 3):
            metadata = await producer.send(topic, b"%d" % partition, key=b"same key", partition=partition)
            assert metadata.partition == partition
    assert [(r.partition, r.value) for r in await cluster.read(topic)] == [
        (0, b"0"),
        (1, b"1"),
        (2, b"2"),
        (3, b"3"),
        (3, b"3"),
    ]


@pytest.mark.parametrize("partitions", [3, 12, 100])
async def test_keys_are_placed_as_java_places_them(cluster: Cluster, partitions: int) -> None:
    topic = await cluster.create_topic(partitions=partitions)
    vectors = murmur2_vectors(partitions)
    assert len(vectors) >= 20
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        deliveries = [await producer.submit(topic, b"v", key=key) for key, _ in vectors]
        placed = [(await delivery).partition for delivery in deliveries]
    assert placed == [expected for _, expected in vectors]
    log = await cluster.read(topic)
    assert Counter((r.key, r.partition) for r in log) == Counter(vectors)


async def test_records_without_key_stick_to_a_partition_until_a_batch_is_full(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=8)
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=1000, batch_size=4000) as producer:
        few = [await producer.submit(topic, b"x" * 50) for _ in range(10)]
        await producer.flush()
        assert len({delivery.result().partition for delivery in few}) == 1
        many = [await producer.submit(topic, b"x" * 100) for _ in range(2000)]
        await producer.flush()
        used = Counter(delivery.result().partition for delivery in many)
    assert len(used) >= 4  # 2,000 × 100 bytes are fifty batches


async def test_a_partitioner_callable_decides_for_records_without_partition(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=5)
    seen: list[tuple[str, int, tuple[int, ...], bytes | None, bytes | None]] = []

    def by_first_byte(view: TopicView, key: bytes | None, value: bytes | None, /) -> int | None:
        seen.append((view.topic, view.partition_count, view.available, key, value))
        return None if key is None else key[0] % view.partition_count

    async with Producer(bootstrap_servers=cluster.bootstrap_servers, partitioner=by_first_byte) as producer:
        assert (await producer.send(topic, b"v", key=b"\x07")).partition == 2
        assert (await producer.send(topic, b"v", key=b"\x07", partition=4)).partition == 4
        assert 0 <= (await producer.send(topic, None)).partition < 5
    assert seen == [(topic, 5, (0, 1, 2, 3, 4), b"\x07", b"v"), (topic, 5, (0, 1, 2, 3, 4), None, None)]


@pytest.mark.parametrize("answer", [-1, 5, "0", 1.0])
async def test_a_partition_that_does_not_exist_from_a_partitioner_is_refused(cluster: Cluster, answer: Any) -> None:
    topic = await cluster.create_topic(partitions=5)

    def partitioner(view: TopicView, key: bytes | None, value: bytes | None, /) -> int:
        return answer if value == b"bad" else 0

    async with Producer(bootstrap_servers=cluster.bootstrap_servers, partitioner=partitioner) as producer:
        await producer.send(topic, b"good")
        with pytest.raises((ValueError, TypeError)):
            await producer.send(topic, b"bad")
        await producer.send(topic, b"good")
    assert await cluster.values(topic) == [b"good", b"good"]


async def test_what_a_partitioner_raises_reaches_the_call_and_hurts_no_other(cluster: Cluster) -> None:
    topic = await cluster.create_topic()

    def fail(view: TopicView, key: bytes | None, value: bytes | None, /) -> int:
        if value == b"bad":
            raise ZeroDivisionError("mine")
        return 0

    async with Producer(bootstrap_servers=cluster.bootstrap_servers, partitioner=fail) as producer:
        await producer.partitions_for(topic)
        with pytest.raises(ZeroDivisionError, match="mine"):
            await producer.submit(topic, b"bad")
        await producer.send(topic, b"good")
    assert await cluster.values(topic) == [b"good"]


async def test_a_partitioner_that_raises_after_a_wait_for_the_topic_still_reaches_its_call(cluster: Cluster) -> None:
    topic = await cluster.create_topic()

    def fail(view: TopicView, key: bytes | None, value: bytes | None, /) -> int:
        raise ZeroDivisionError("mine")

    async with Producer(bootstrap_servers=cluster.bootstrap_servers, partitioner=fail) as producer:
        with pytest.raises(ZeroDivisionError, match="mine"):
            await producer.send(topic, b"the topic is not known yet")


async def test_round_robin_takes_partitions_in_turn(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=3)
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, partitioner="round_robin") as producer:
        used = [(await producer.send(topic, b"v", key=b"k")).partition for _ in range(9)]
    assert Counter(used) == {0: 3, 1: 3, 2: 3}
    assert len(set(used[:3])) == 3


async def test_partitions_for_tells_of_all_partitions(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=7)
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        assert await producer.partitions_for(topic) == TopicView(topic, 7, (0, 1, 2, 3, 4, 5, 6))
        assert (await producer.partitions_for(topic)).partition_count == 7  # known by now


async def test_partitions_for_an_unknown_topic_ends_within_max_block(cluster: Cluster) -> None:
    topic = new_topic_name()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, max_block_ms=300, allow_auto_create_topics=False
    ) as producer:
        with anyio.fail_after(2), pytest.raises(MetadataTimeoutError, match=topic):
            await producer.partitions_for(topic)
        with pytest.raises(InvalidTopicError):
            await producer.partitions_for("not legal")


async def test_a_partition_out_of_range_fails_within_max_block_naming_both_numbers(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=3)
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, max_block_ms=400) as producer:
        with anyio.fail_after(3), pytest.raises(MetadataTimeoutError) as caught:
            await producer.send(topic, b"v", partition=3)
        assert "partition 3" in str(caught.value)
        assert "3 partitions" in str(caught.value)
        assert (caught.value.topic, caught.value.partition) == (topic, 3)
        await producer.send(topic, b"others are not affected", partition=2)


@pytest.mark.parametrize("wrong", [-1, 2**31, "0", 1.0, True])
async def test_a_partition_that_cannot_exist_is_refused_at_once(cluster: Cluster, wrong: Any) -> None:
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        with pytest.raises((TypeError, ValueError)):
            producer.submit_nowait("topic", b"v", partition=wrong)


async def test_partitions_added_later_can_be_used(cluster: Cluster) -> None:
    from aioproducer._wire.messages.create_partitions import (
        CreatePartitionsRequest,
        CreatePartitionsResponse,
        CreatePartitionsTopic,
    )
    from aioproducer.testing._request_client import asker, first_reachable

    topic = await cluster.create_topic(partitions=1)
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, max_block_ms=10_000) as producer:
        await producer.send(topic, b"first")
        async with asker(*await first_reachable(cluster.bootstrap_servers)) as broker:
            request = CreatePartitionsRequest(
                topics=[CreatePartitionsTopic(name=topic, count=3, assignments=None)], timeout_ms=5000
            )
            answer = await broker.ask(request, CreatePartitionsResponse)
            assert [told.error_code for told in answer.results] == [0]
        assert (await producer.send(topic, b"second", partition=2)).partition == 2


async def test_order_is_kept_within_each_partition(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=3)
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, batch_size=500, linger_ms=0, compression_type="lz4"
    ) as producer:
        for number in range(2000):
            await producer.submit(topic, b"%d" % number, partition=number % 3)
    for partition in range(3):
        own = [record.value for record in await cluster.read(topic) if record.partition == partition]
        assert own == [b"%d" % number for number in range(partition, 2000, 3)]
