"""Topics that are deleted, made anew, grow, refuse records, or lose what they knew of a producer."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import anyio
import pytest

from aioproducer import Delivery, Producer, ProducerRecord, SendAllError
from aioproducer._wire.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
)
from aioproducer._wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicState
from aioproducer.errors import BrokerError, DeliveryTimeoutError, InvalidRecordError, KafkaError
from aioproducer.testing._request_client import asker, first_reachable
from tests.contract.support import Cluster, new_topic_name

if TYPE_CHECKING:
    from aioproducer.testing import EmbeddedCluster


async def delete(cluster: Cluster, topic: str) -> None:
    async with asker(*await first_reachable(cluster.bootstrap_servers)) as broker:
        request = DeleteTopicsRequest(topics=[DeleteTopicState(name=topic)], timeout_ms=5_000)
        answer = await broker.ask(request, DeleteTopicsResponse)
    assert [told.error_code for told in answer.responses] == [0]


async def make_again(cluster: Cluster, topic: str, partitions: int) -> None:
    with anyio.fail_after(10):
        while True:
            try:
                await cluster.create_topic(partitions, name=topic)
            except BrokerError:  # the deletion of the old one goes on
                await anyio.sleep(0.05)
            else:
                return


@pytest.mark.real_subset
@pytest.mark.parametrize("partitions", [1, 3, 6])
async def test_a_topic_deleted_and_made_anew_goes_on(cluster: Cluster, partitions: int) -> None:
    topic = await cluster.create_topic(3)
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers,
        linger_ms=0,
        batch_size=100,
        allow_auto_create_topics=False,
        retry_backoff_ms=20,
        retry_backoff_max_ms=200,
    ) as producer:
        for number in range(30):
            await producer.submit(topic, b"old %d" % number, partition=number % 3)
        await producer.flush()
        await delete(cluster, topic)
        await make_again(cluster, topic, partitions)
        deliveries: list[Delivery] = []
        for number in range(60):
            deliveries.append(await producer.submit(topic, b"%d" % number, partition=0))
            await anyio.sleep(0.001)
        with anyio.fail_after(15):
            metadata = [await delivery for delivery in deliveries]
        assert [each.offset for each in metadata] == list(range(60))
        if partitions == 6:
            assert (await producer.send(topic, b"new", partition=5)).offset == 0
    log = await cluster.read(topic)
    assert [record.value for record in log if record.partition == 0] == [b"%d" % number for number in range(60)]


async def test_partitions_that_appear_get_records_without_a_key(cluster: Cluster) -> None:
    topic = await cluster.create_topic(1)
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, linger_ms=0, batch_size=0, metadata_max_age_ms=100
    ) as producer:
        assert (await producer.send(topic, b"v")).partition == 0
        request = CreatePartitionsRequest(
            topics=[CreatePartitionsTopic(name=topic, count=4, assignments=None)], timeout_ms=5_000
        )
        async with asker(*await first_reachable(cluster.bootstrap_servers)) as broker:
            answer = await broker.ask(request, CreatePartitionsResponse)
        assert [told.error_code for told in answer.results] == [0]
        used = Counter[int]()
        with anyio.fail_after(10):
            while len(used) < 4:
                used[(await producer.send(topic, b"v")).partition] += 1
    assert set(used) == {0, 1, 2, 3}


async def test_of_many_records_those_without_a_key_are_refused_by_a_compacted_topic(cluster: Cluster) -> None:
    topic = await cluster.create_topic(2, {"cleanup.policy": "compact"})
    records: list[ProducerRecord[bytes, bytes]] = [
        ProducerRecord(topic, b"%d" % number, key=None if number == 3 else b"k%d" % number, partition=number % 2)
        for number in range(6)
    ]
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=20) as producer:
        # A broker may deny that it leads a partition which is new, in words that leave open what became of the batch.
        await producer.send(topic, b"first", key=b"first", partition=1)
        with pytest.raises(SendAllError) as caught:
            await producer.send_all(records)
        await producer.send(topic, None, key=b"k0", partition=0)
    failures = caught.value.failures
    # The broker refuses the batch because of record 3; those beside it are told that they can be sent again.
    assert sorted(failures) == [1, 3, 5]
    assert isinstance(failures[3], InvalidRecordError)
    assert [type(failures[number]) for number in (1, 5)] == [KafkaError, KafkaError]
    assert all(not error.possibly_written for error in failures.values() if isinstance(error, KafkaError))
    assert [(record.key, record.value) for record in await cluster.read(topic)] == [
        (b"k0", b"0"),
        (b"k2", b"2"),
        (b"k4", b"4"),
        (b"k0", None),
        (b"first", b"first"),
    ]


async def test_an_internal_topic_is_refused_by_the_broker(cluster: Cluster) -> None:
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, max_block_ms=5_000, delivery_timeout_ms=30_005
    ) as producer:
        with anyio.fail_after(10), pytest.raises(KafkaError) as caught:
            await producer.send("__consumer_offsets", b"v", partition=0)
    assert not caught.value.possibly_written


async def test_a_broker_that_forgot_the_producer_goes_on_taking_records(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("t")
    async with Producer(bootstrap_servers=embedded.bootstrap_servers, linger_ms=0) as producer:
        for number in range(3):
            await producer.send("t", b"%d" % number)
        embedded.forget_producers("t")
        deliveries = [await producer.submit("t", b"%d" % number) for number in range(3, 6)]
        with anyio.fail_after(5):
            assert [(await delivery).offset for delivery in deliveries] == [3, 4, 5]
    assert [record.value for record in embedded.records("t")] == [b"%d" % number for number in range(6)]


async def test_too_few_replicas_fail_the_record_by_its_delivery_timeout(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("t")
    async with Producer(
        bootstrap_servers=embedded.bootstrap_servers,
        linger_ms=0,
        request_timeout_ms=300,
        delivery_timeout_ms=600,
        retry_backoff_ms=20,
        retry_backoff_max_ms=100,
    ) as producer:
        with embedded.not_enough_replicas("t"):
            started = time.monotonic()
            with pytest.raises(DeliveryTimeoutError) as caught:
                await producer.send("t", b"v")
        assert 0.5 < time.monotonic() - started < 2
        assert getattr(caught.value.__cause__, "name", None) == "NOT_ENOUGH_REPLICAS"
        assert not caught.value.possibly_written
        assert (await producer.send("t", b"after")).offset == 0


async def test_the_first_records_of_fifty_topics_do_not_wait_for_each_other(cluster: Cluster) -> None:
    topics = [new_topic_name(f"many-{number}") for number in range(50)]
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=0) as producer:
        started = time.monotonic()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for topic in topics:
                    tasks.start_soon(producer.send, topic, b"v")
        took = time.monotonic() - started
    if cluster.kind == "embedded":
        assert took < 2.5  # fifty look-ups, one after the other with a pause of 100 ms, would take five seconds
    assert [len(await cluster.read(topic)) for topic in topics] == [1] * 50
