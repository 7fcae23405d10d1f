"""What goes wrong in a cluster ends within its documented bound, with an error that says what to do. Embedded only."""

from __future__ import annotations

import re
import socket
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aioproducer import Delivery, Producer
from aioproducer.errors import (
    BootstrapError,
    DeliveryTimeoutError,
    ErrorCode,
    KafkaError,
    MetadataTimeoutError,
    ProducerClosedError,
)
from tests.contract.support import producer_tasks, settled

if TYPE_CHECKING:
    from aioproducer.testing._cluster import EmbeddedCluster

QUICK: dict[str, Any] = {
    # One answer is waited for 400 ms, a record lives for 1,000, a connection is tried again after 20 to 100.
    "request_timeout_ms": 400,
    "delivery_timeout_ms": 1_000,
    "max_block_ms": 700,
    "linger_ms": 0,
    "retry_backoff_ms": 20,
    "retry_backoff_max_ms": 100,
    "reconnect_backoff_ms": 20,
    "reconnect_backoff_max_ms": 100,
    "socket_connection_setup_timeout_ms": 300,
    "socket_connection_setup_timeout_max_ms": 300,
}


def quick(cluster: EmbeddedCluster, **settings: Any) -> Producer[bytes, bytes]:
    """A producer that gives up soon."""
    return Producer(bootstrap_servers=cluster.bootstrap_servers, **{**QUICK, **settings})


async def stop_all(cluster: EmbeddedCluster) -> None:
    for broker in range(3):
        await cluster.stop_broker(broker)


async def start_all(cluster: EmbeddedCluster) -> None:
    for broker in range(3):
        await cluster.start_broker(broker)


async def test_a_cluster_that_is_away_at_the_start_ends_it_within_max_block(embedded: EmbeddedCluster) -> None:
    await stop_all(embedded)
    started = time.monotonic()
    with pytest.raises(BootstrapError) as caught:
        await quick(embedded).start()
    assert 0.6 < time.monotonic() - started < 1.5
    for address in embedded.bootstrap_servers:
        assert address in str(caught.value)
    assert "check bootstrap_servers" in str(caught.value)
    assert producer_tasks() == []


async def test_a_cluster_that_swallows_everything_at_the_start_ends_it_within_max_block(
    embedded: EmbeddedCluster,
) -> None:
    embedded.black_hole()
    started = time.monotonic()
    with pytest.raises(BootstrapError) as caught:
        await quick(embedded).start()
    assert 0.6 < time.monotonic() - started < 1.5
    assert "within 0.3 s" in str(caught.value)
    assert producer_tasks() == []


async def test_a_cluster_that_comes_while_the_start_waits_is_found(embedded: EmbeddedCluster) -> None:
    await stop_all(embedded)
    async with anyio.create_task_group() as tasks:

        async def come_back() -> None:
            await anyio.sleep(0.3)
            await start_all(embedded)

        tasks.start_soon(come_back)
        async with quick(embedded, max_block_ms=5_000) as producer:
            await producer.send("orders", b"v")
    assert [record.value for record in embedded.records("orders")] == [b"v"]


def assert_tells_all(error: DeliveryTimeoutError, *, topic: str = "orders", partition: int = 0) -> None:
    """It names topic, partition, broker, elapsed seconds, the last cause, and what to do."""
    text = str(error)
    assert topic in text
    assert re.search(rf"\b{partition}\b", text)
    assert re.search(r"\d\.\d+ s", text)
    assert "delivery_timeout_ms" in text
    assert (error.topic, error.partition) == (topic, partition)
    assert error.elapsed is not None
    assert 0.9 < error.elapsed < 2.0
    assert isinstance(error.__cause__, KafkaError), error.__cause__
    assert error.retriable


async def test_a_cluster_that_goes_in_the_middle_fails_records_by_their_delivery_timeout(
    embedded: EmbeddedCluster,
) -> None:
    async with quick(embedded) as producer:
        await producer.send("orders", b"before")
        await stop_all(embedded)
        started = time.monotonic()
        with pytest.raises(DeliveryTimeoutError) as caught:
            await producer.send("orders", b"v")
        assert 0.9 < time.monotonic() - started < 2.0
        assert_tells_all(caught.value)
        assert re.search(r"127\.0\.0\.1:\d+|broker \d|node \d", str(caught.value) + str(caught.value.__cause__))


async def test_port_of_a_stopped_broker_is_nobody_elses(embedded: EmbeddedCluster) -> None:
    port = int(embedded.bootstrap_servers[0].rsplit(":", 1)[1])
    await embedded.stop_broker(0)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with pytest.raises(OSError):
        await anyio.connect_tcp("127.0.0.1", port)
    await embedded.start_broker(0)
    async with await anyio.connect_tcp("127.0.0.1", port):
        pass


async def test_a_cluster_that_comes_back_gets_the_records_without_a_restart(embedded: EmbeddedCluster) -> None:
    async with quick(embedded, delivery_timeout_ms=10_000) as producer:
        await producer.send("orders", b"0")
        await stop_all(embedded)
        deliveries = [await producer.submit("orders", b"%d" % number) for number in (1, 2, 3)]
        await anyio.sleep(0.5)
        await start_all(embedded)
        with anyio.fail_after(5):
            assert [(await delivery).offset for delivery in deliveries] == [1, 2, 3]
    assert [record.value for record in embedded.records("orders")] == [b"0", b"1", b"2", b"3"]


async def test_an_answer_that_never_comes_fails_the_record_as_possibly_written(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await producer.send("orders", b"before")
        hole = embedded.black_hole()
        started = time.monotonic()
        with pytest.raises(DeliveryTimeoutError) as caught:
            await producer.send("orders", b"v")
        assert 0.9 < time.monotonic() - started < 2.0
        assert_tells_all(caught.value)
        assert caught.value.possibly_written
        assert caught.value.attempts >= 1
        assert caught.value.node is not None
        hole.stop()


async def test_a_partition_without_leader_fails_only_its_own_records(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("alone", replication_factor=1, partitions=3)
    leaders = [embedded.leader("alone", partition) for partition in range(3)]
    async with quick(embedded) as producer:
        await producer.partitions_for("alone")
        await embedded.stop_broker(leaders[0])
        await anyio.sleep(0.05)  # a record handed to the socket before its end is seen may have been written
        deliveries = [await producer.submit("alone", b"v", partition=partition) for partition in range(3)]
        with pytest.raises(DeliveryTimeoutError) as caught:
            await deliveries[0]
        assert_tells_all(caught.value, topic="alone")
        assert caught.value.__cause__ is not None
        assert not caught.value.possibly_written
        for partition in (1, 2):
            assert (await deliveries[partition]).offset == 0


async def test_a_partition_that_gets_its_leader_back_delivers(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("alone", replication_factor=1)
    leader = embedded.leader("alone")
    async with quick(embedded, delivery_timeout_ms=10_000) as producer:
        await producer.send("alone", b"0")
        await embedded.stop_broker(leader)
        delivery = await producer.submit("alone", b"1")
        await anyio.sleep(0.3)
        assert not delivery.done()
        await embedded.start_broker(leader)
        with anyio.fail_after(5):
            assert (await delivery).offset == 1


async def test_a_leader_that_moves_costs_nothing(embedded: EmbeddedCluster) -> None:
    async with quick(embedded, delivery_timeout_ms=10_000) as producer:
        deliveries: list[Delivery] = []
        for number in range(60):
            deliveries.append(await producer.submit("orders", b"%d" % number))
            if number % 10 == 5:
                await anyio.sleep(0.01)
                embedded.move_leader("orders")
        with anyio.fail_after(10):
            assert [(await delivery).offset for delivery in deliveries] == list(range(60))
    assert [record.value for record in embedded.records("orders")] == [b"%d" % number for number in range(60)]


async def test_a_lost_answer_writes_nothing_twice_and_keeps_the_order(embedded: EmbeddedCluster) -> None:
    async with quick(embedded, delivery_timeout_ms=10_000) as producer:
        await producer.send("orders", b"first")
        with embedded.lose_response_once(times=3) as fault:
            with anyio.fail_after(10):
                for number in range(50):
                    await producer.submit("orders", b"%d" % number)
                    await anyio.sleep(0.002)
                await producer.flush()
            assert fault.hits == 3
    assert [record.value for record in embedded.records("orders")] == [
        b"first",
        *(b"%d" % number for number in range(50)),
    ]


@pytest.mark.parametrize("cut", [1, 4, 7, 20, 40, 60, 90])
async def test_a_connection_cut_in_the_middle_of_an_answer_loses_nothing(embedded: EmbeddedCluster, cut: int) -> None:
    async with quick(embedded, delivery_timeout_ms=10_000) as producer:
        await producer.send("orders", b"first")
        embedded.cut_after(cut)
        with anyio.fail_after(10):
            for number in range(10):
                await producer.send("orders", b"%d" % number)
    assert [record.value for record in embedded.records("orders")] == [
        b"first",
        *(b"%d" % number for number in range(10)),
    ]


@pytest.mark.parametrize(
    "error",
    [
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.LEADER_NOT_AVAILABLE,
        ErrorCode.NOT_ENOUGH_REPLICAS,
        ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        ErrorCode.REQUEST_TIMED_OUT,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.CORRUPT_MESSAGE,
    ],
)
async def test_errors_that_may_pass_are_retried_without_loss_duplicate_or_disorder(
    embedded: EmbeddedCluster, error: ErrorCode
) -> None:
    async with quick(embedded, delivery_timeout_ms=10_000, batch_size=200) as producer:
        await producer.send("orders", b"first")
        with embedded.fail_next(error, times=2) as fault, anyio.fail_after(10):
            for number in range(60):
                await producer.submit("orders", b"%d" % number)
            await producer.flush()
            assert fault.hits == 2
    assert [record.value for record in embedded.records("orders")] == [
        b"first",
        *(b"%d" % number for number in range(60)),
    ]


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ErrorCode.TOPIC_AUTHORIZATION_FAILED, "AuthorizationError"),
        (ErrorCode.INVALID_RECORD, "InvalidRecordError"),
        (ErrorCode.INVALID_TIMESTAMP, "InvalidRecordError"),
        (ErrorCode.INVALID_REQUIRED_ACKS, "BrokerError"),
    ],
)
async def test_errors_that_do_not_pass_fail_at_once_and_only_that_batch(
    embedded: EmbeddedCluster, error: ErrorCode, name: str
) -> None:
    async with quick(embedded) as producer:
        await producer.send("orders", b"0")
        embedded.fail_next(error)
        started = time.monotonic()
        with pytest.raises(KafkaError) as caught:
            await producer.send("orders", b"refused")
        assert time.monotonic() - started < 0.5
        assert type(caught.value).__name__ == name
        assert caught.value.name == error.name
        assert not caught.value.possibly_written
        assert "orders" in str(caught.value)
        assert (await producer.send("orders", b"1")).offset == 1
    assert [record.value for record in embedded.records("orders")] == [b"0", b"1"]


async def test_the_last_refusal_is_the_cause_when_retries_do_not_help(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await producer.send("orders", b"0")
        embedded.not_enough_replicas("orders")
        with pytest.raises(DeliveryTimeoutError) as caught:
            await producer.send("orders", b"v")
        assert_tells_all(caught.value)
        assert isinstance(caught.value.__cause__, KafkaError)
        assert caught.value.__cause__.name == "NOT_ENOUGH_REPLICAS"
        assert caught.value.attempts > 3
        assert not caught.value.possibly_written


async def test_an_unknown_topic_while_the_cluster_is_away_says_that_it_is_away(embedded: EmbeddedCluster) -> None:
    async with quick(embedded) as producer:
        await stop_all(embedded)
        started = time.monotonic()
        with pytest.raises(MetadataTimeoutError) as caught:
            await producer.send("orders", b"v")
        assert 0.6 < time.monotonic() - started < 1.5
        told = str(caught.value) + str(caught.value.__cause__)
        assert re.search(r"127\.0\.0\.1:\d+", told), told


async def _away(cluster: EmbeddedCluster, how: str) -> None:
    if how == "stopped":
        await stop_all(cluster)
    elif how == "black hole":
        cluster.black_hole()
    else:
        cluster.not_enough_replicas()


@pytest.mark.parametrize("how", ["stopped", "black hole", "refusing"])
async def test_close_ends_with_the_delivery_timeout_whatever_the_cluster_does(
    embedded: EmbeddedCluster, how: str
) -> None:
    producer = quick(embedded)
    await producer.start()
    await producer.send("orders", b"before")
    await _away(embedded, how)
    delivery = await producer.submit("orders", b"v")
    started = time.monotonic()
    with anyio.fail_after(5):
        await producer.close()
    assert 0.8 < time.monotonic() - started < 2.0
    assert isinstance(delivery.exception(), DeliveryTimeoutError)
    assert producer_tasks() == []


@pytest.mark.parametrize("how", ["stopped", "black hole", "refusing"])
async def test_close_with_nothing_left_to_deliver_does_not_wait_for_the_cluster(
    embedded: EmbeddedCluster, how: str
) -> None:
    producer = quick(embedded)
    await producer.start()
    await producer.send("orders", b"before")
    await _away(embedded, how)
    await anyio.sleep(0.05)
    started = time.monotonic()
    await producer.close()
    assert time.monotonic() - started < 0.5
    assert producer_tasks() == []


@pytest.mark.parametrize("how", ["stopped", "black hole", "refusing"])
async def test_close_with_timeout_zero_is_immediate_whatever_the_cluster_does(
    embedded: EmbeddedCluster, how: str
) -> None:
    producer = quick(embedded)
    await producer.start()
    await producer.send("orders", b"before")
    await _away(embedded, how)
    delivery = await producer.submit("orders", b"v")
    waiting: list[BaseException] = []

    async def wait_for_a_topic() -> None:
        try:
            await producer.send("not-known", b"v")
        except KafkaError as error:
            waiting.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait_for_a_topic)
        await settled()
        started = time.monotonic()
        await producer.close(timeout=0)
        assert time.monotonic() - started < 0.5
    assert isinstance(delivery.exception(), ProducerClosedError)
    assert how == "refusing" or isinstance(waiting[0], ProducerClosedError)
    assert producer_tasks() == []


async def test_a_block_that_ends_during_an_outage_ends_with_the_delivery_timeout(embedded: EmbeddedCluster) -> None:
    started = 0.0
    async with quick(embedded) as producer:
        await producer.send("orders", b"before")
        await stop_all(embedded)
        for _ in range(10):
            producer.submit_nowait("orders", b"v", on_delivery=lambda _: None)
        started = time.monotonic()
    assert 0.8 < time.monotonic() - started < 2.0


@pytest.mark.parametrize("how", ["stopped", "black hole"])
async def test_waiting_for_a_cluster_that_is_away_takes_no_cpu(embedded: EmbeddedCluster, how: str) -> None:
    settings = {"delivery_timeout_ms": 60_000, "request_timeout_ms": 5_000, "reconnect_backoff_max_ms": 1_000}
    async with quick(embedded, **settings) as producer:
        await producer.send("orders", b"before")
        await _away(embedded, how)
        for _ in range(100):
            producer.submit_nowait("orders", b"v", on_delivery=lambda _: None)
        await anyio.sleep(0.2)
        before = time.process_time()
        await anyio.sleep(1.5)
        used = time.process_time() - before
        await producer.close(timeout=0)
    assert used < 0.15  # a tenth of one processor would be a loop gone wild; 0.01 to 0.03 is usual


async def test_an_idle_producer_takes_no_cpu(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("many", partitions=300, replication_factor=1)
    async with Producer(bootstrap_servers=embedded.bootstrap_servers) as producer:
        await producer.send("many", b"v")
        await anyio.sleep(0.1)
        before = time.process_time()
        await anyio.sleep(1.0)
        assert time.process_time() - before < 0.05
