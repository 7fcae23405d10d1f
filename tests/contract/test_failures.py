"""What fails: connections in the middle of everything, the producer itself, and code that users gave it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aioproducer import Delivery, Producer, TopicView
from aioproducer.errors import ErrorCode, FatalProducerError, KafkaError, ProducerClosedError, UndeliveredError
from tests.contract.support import Cluster, Network, new_topic_name, plant_a_bug, producer_tasks, settled

if TYPE_CHECKING:
    from aioproducer.testing import EmbeddedCluster


@pytest.mark.real_subset
async def test_connections_cut_while_records_flow_cost_nothing(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=2)
    network = Network()
    deliveries: list[Delivery] = []
    async with (
        Producer(
            bootstrap_servers=cluster.bootstrap_servers,
            connect=network.connect,
            batch_size=1_000,
            reconnect_backoff_ms=5,
            retry_backoff_ms=5,
        ) as producer,
        anyio.create_task_group() as tasks,
    ):

        async def cut_often() -> None:
            while True:
                await anyio.sleep(0.015)
                await network.cut()

        tasks.start_soon(cut_often)
        for number in range(3_000):
            deliveries.append(await producer.submit(topic, b"%d" % number, partition=number % 2))
            if number % 50 == 0:
                await anyio.sleep(0.002)
        with anyio.fail_after(30):
            await producer.flush()
        tasks.cancel_scope.cancel()
    places = [(delivery.result().partition, delivery.result().offset) for delivery in deliveries]
    assert network.attempts > 3
    log = await cluster.read(topic)
    assert {(record.partition, record.offset): record.value for record in log} == {
        place: b"%d" % number for number, place in enumerate(places)
    }
    for partition in (0, 1):
        assert [record.value for record in log if record.partition == partition] == [
            b"%d" % number for number in range(partition, 3_000, 2)
        ]


class OddError(Exception):
    """An exception that cannot be copied, as its arguments are not what its constructor takes."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


async def test_a_partitioner_that_raises_for_an_accepted_record_fails_its_delivery(cluster: Cluster) -> None:
    topic = await cluster.create_topic()

    def fail(view: TopicView, key: bytes | None, value: bytes | None, /) -> int:
        if value == b"bad":
            raise OddError(1, 2)
        return 0

    async with Producer(bootstrap_servers=cluster.bootstrap_servers, partitioner=fail) as producer:
        bad = producer.submit_nowait(topic, b"bad")
        good = producer.submit_nowait(topic, b"good")
        with anyio.fail_after(5):
            with pytest.raises(KafkaError, match="partitioner raised OddError") as caught:
                await bad
            assert (await good).offset == 0
        assert isinstance(caught.value.__cause__, OddError)
    assert await cluster.values(topic) == [b"good"]


async def test_such_a_failure_is_told_by_flush_when_nobody_watches(cluster: Cluster) -> None:
    topic = await cluster.create_topic()

    def fail(view: TopicView, key: bytes | None, value: bytes | None, /) -> int:
        raise OddError(1, 2)

    async with Producer(bootstrap_servers=cluster.bootstrap_servers, partitioner=fail) as producer:
        producer.submit_nowait(topic, b"bad")
        with anyio.fail_after(5), pytest.raises(UndeliveredError, match="partitioner raised OddError"):
            await producer.flush()


async def test_a_bug_in_the_background_makes_the_producer_fatal_and_cancels_nobody(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await cluster.create_topic()
    network = Network()
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect)
    await producer.start()
    await producer.partitions_for(topic)
    outcomes: list[BaseException] = []

    async def send() -> None:
        try:
            await producer.send(topic, b"v")
        except KafkaError as error:
            outcomes.append(error)

    async def wait_for_a_topic() -> None:
        try:
            await producer.send(new_topic_name(), b"v")
        except KafkaError as error:
            outcomes.append(error)

    network.hold()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            tasks.start_soon(wait_for_a_topic)
            await settled()
            plant_a_bug(monkeypatch, ZeroDivisionError("a bug"))
            network.release()
    assert [type(error) for error in outcomes] == [FatalProducerError] * 2
    for error in outcomes:
        assert isinstance(error, KafkaError)
        assert error.fatal
        assert "ZeroDivisionError" in str(error)
    with anyio.fail_after(1), pytest.raises(FatalProducerError, match="ZeroDivisionError"):
        await producer.send(topic, b"v")
    with pytest.raises(FatalProducerError, match="ZeroDivisionError"):
        producer.submit_nowait(topic, b"v")
    with anyio.fail_after(1), pytest.raises(FatalProducerError, match="ZeroDivisionError"):
        await producer.partitions_for(topic)
    with anyio.fail_after(1):
        await producer.close()
    assert (network.open_count, producer_tasks()) == (0, [])
    with pytest.raises(ProducerClosedError):
        producer.submit_nowait(topic, b"v")
    monkeypatch.undo()
    async with producer:
        assert (await producer.send(topic, b"after")).has_offset


async def test_a_fatal_answer_fails_what_is_there_and_refuses_what_comes(embedded: EmbeddedCluster) -> None:
    async with Producer(bootstrap_servers=embedded.bootstrap_servers) as producer:
        await producer.send("orders", b"0")
        embedded.fail_next(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, times=None)
        outcomes: list[Any] = []
        for _ in range(3):
            started = time.monotonic()
            try:
                await producer.send("orders", b"v")
            except KafkaError as error:
                outcomes.append(error)
            assert time.monotonic() - started < 1
        assert [error.name or type(error.__cause__ or error) for error in outcomes] == [
            "CLUSTER_AUTHORIZATION_FAILED"
        ] * 3
    assert [record.value for record in embedded.records("orders")] == [b"0"]


async def test_a_cluster_without_idempotence_for_us_says_what_to_do(embedded: EmbeddedCluster) -> None:
    from aioproducer._wire.messages import ApiKey

    embedded.fail_next(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, times=None, api=ApiKey.INIT_PRODUCER_ID)
    async with Producer(bootstrap_servers=embedded.bootstrap_servers) as producer:
        with anyio.fail_after(3), pytest.raises(KafkaError) as caught:
            await producer.send("orders", b"v")
        assert caught.value.name == "CLUSTER_AUTHORIZATION_FAILED"
        assert not caught.value.possibly_written
        embedded.clear_faults()  # the right was granted
        with anyio.fail_after(5):
            assert (await producer.send("orders", b"v")).offset == 0
