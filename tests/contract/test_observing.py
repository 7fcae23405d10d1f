"""What can be seen of a producer from outside: statistics, status, room in the buffer, the error hook."""

from __future__ import annotations

import math
import sys
import threading
from typing import TYPE_CHECKING

import anyio
import pytest

from aioproducer import (
    BufferTimeoutError,
    IllegalStateError,
    KafkaError,
    Producer,
    ProducerClosedError,
    UndeliveredError,
)
from aioproducer._producer.status import ProducerStatus
from aioproducer.errors import ErrorCode
from aioproducer.metrics import GAUGES, TOTALS, WINDOWED
from tests.contract.support import Network, settled, until

if TYPE_CHECKING:
    from aioproducer.testing import EmbeddedCluster
    from tests.contract.support import Cluster


# ── statistics ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.real_subset
async def test_statistics_count_what_was_sent(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        before = producer.statistics()
        for number in range(10):
            producer.submit_nowait(topic, b"%d" % number)
        await producer.flush()
        grown = producer.statistics().since(before)
        assert (grown["record-send-total"], grown["record-error-total"], grown["record-retry-total"]) == (10, 0, 0)
        assert grown["request-total"] >= 1
        assert grown["outgoing-byte-total"] > 10
        assert grown["incoming-byte-total"] > 10
        told = producer.statistics()
        assert told["request-total"] == told["response-total"] + told["requests-in-flight"]
        assert grown["buffer-available-bytes"] == grown["buffer-total-bytes"] == producer.config.buffer_memory
        assert grown["connection-count"] >= 1
        assert 0 <= grown["metadata-age"] < 60


async def test_statistics_have_each_name_that_is_declared(cluster: Cluster) -> None:
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        assert set(producer.statistics()) == {*TOTALS, *GAUGES, *WINDOWED}


async def test_statistics_have_averages_and_maxima(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, compression_type="gzip", linger_ms=20) as producer:
        assert all(math.isnan(producer.statistics()[name]) for name in WINDOWED)
        for _ in range(10):
            producer.submit_nowait(topic, bytes(500), partition=0)
        await producer.flush()
        told = producer.statistics()
    assert 0 < told["request-latency-avg"] <= told["request-latency-max"] < 10_000
    assert 0 <= told["record-queue-time-avg"] <= told["record-queue-time-max"] < 10_000
    assert 61 < told["batch-size-avg"] <= told["batch-size-max"] < 5_000
    assert 0 < told["compression-rate-avg"] < 0.5
    assert 1 <= told["records-per-request-avg"] <= 10
    assert told["produce-throttle-time-max"] == 0


async def test_windows_are_as_long_as_the_settings_say(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers,
        metrics_num_samples=1,
        metrics_sample_window_ms=0,
        metrics_recording_level="DEBUG",
    ) as producer:
        await producer.send(topic, b"v")
        told = producer.statistics()
    assert told["record-send-total"] == 1
    assert all(math.isnan(told[name]) for name in WINDOWED)


async def test_statistics_count_failures_and_second_attempts(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("t")
    async with Producer(bootstrap_servers=embedded.bootstrap_servers, retry_backoff_ms=1) as producer:
        embedded.fail_next(ErrorCode.NOT_ENOUGH_REPLICAS)
        await producer.send("t", b"sent twice")
        embedded.fail_next(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
        with pytest.raises(KafkaError):
            await producer.send("t", b"refused")
        told = producer.statistics()
    assert (told["record-send-total"], told["record-retry-total"], told["record-error-total"]) == (3, 1, 1)


async def test_statistics_count_connections(embedded: EmbeddedCluster) -> None:
    producer = Producer(bootstrap_servers=embedded.bootstrap_servers, reconnect_backoff_ms=1)
    assert dict(producer.statistics()) == {}
    async with producer:
        await producer.send("t", b"v")
        made = producer.statistics()["connection-creation-total"]
        embedded.drop_connections()
        await producer.send("t", b"v")
        assert producer.statistics()["connection-creation-total"] > made
    told = producer.statistics()  # as it was at the end
    assert told["connection-count"] == 0
    assert told["connection-creation-total"] == told["connection-close-total"] > made


async def test_calls_that_found_no_room_are_counted(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers,
        connect=network.connect,
        buffer_memory=10_000,
        batch_size=5_000,
        max_block_ms=500,
    ) as producer:
        await producer.partitions_for(topic)
        network.hold()
        producer.submit_nowait(topic, bytes(9_000))
        with pytest.raises(BufferTimeoutError):
            await producer.submit(topic, bytes(9_000))
        assert producer.statistics()["buffer-exhausted-total"] == 1
        network.release()


# ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.real_subset
async def test_status_is_ready_while_the_producer_runs(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers)
    assert producer.status() == ProducerStatus(is_ready=False)
    async with producer:
        await producer.send(topic, b"v")
        status = producer.status()
        assert status.is_ready
        assert status.brokers_connected >= 1
        assert status.brokers_known >= 1
        assert (status.oldest_unsent_seconds, status.buffer_used, status.last_error) == (0.0, 0.0, None)
        assert status.cluster_id
    assert not producer.status().is_ready


async def test_status_tells_of_an_outage(embedded: EmbeddedCluster) -> None:
    async with Producer(bootstrap_servers=embedded.bootstrap_servers, close_timeout_ms=0) as producer:
        await producer.send("t", b"v")
        assert producer.status().brokers_known == 3
        for broker in range(3):
            await embedded.stop_broker(broker)
        producer.submit_nowait("t", bytes(1000))
        await until(lambda: not producer.status().is_ready)
        await anyio.sleep(0.05)
        status = producer.status()
        assert status.brokers_connected == 0
        assert 0.04 < status.oldest_unsent_seconds < 5
        assert 0 < status.buffer_used < 0.01
        assert isinstance(status.last_error, KafkaError)
        for broker in range(3):
            await embedded.start_broker(broker)
        await producer.flush()
        status = producer.status()
        assert (status.is_ready, status.oldest_unsent_seconds, status.last_error) == (True, 0.0, None)


async def test_status_counts_calls_that_wait_for_their_topic(cluster: Cluster) -> None:
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, allow_auto_create_topics=False, max_block_ms=5_000
    ) as producer:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(producer.submit, "not-there", b"v")
            await anyio.sleep(0.05)
            assert 0.03 < producer.status().oldest_unsent_seconds < 3
            tasks.cancel_scope.cancel()
        assert producer.status().oldest_unsent_seconds == 0.0


# ── room ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_room_is_there_at_once_or_when_records_are_done(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    waited: list[int] = []
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers,
        connect=network.connect,
        buffer_memory=10_000,
        batch_size=5_000,
        linger_ms=0,
    ) as producer:
        await producer.wait_for_buffer()
        await producer.wait_for_buffer(10_000)
        await producer.partitions_for(topic)
        network.hold()
        producer.submit_nowait(topic, bytes(8_000))
        await producer.wait_for_buffer(1_000)

        async def wait(size: int) -> None:
            await producer.wait_for_buffer(size)
            waited.append(size)

        async with anyio.create_task_group() as tasks:
            for size in (5_000, 10_000):
                tasks.start_soon(wait, size)
            await settled()
            assert waited == []
            network.release()
    assert sorted(waited) == [5_000, 10_000]


async def test_waiting_for_room_can_be_given_up_or_time_out(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, buffer_memory=10_000, batch_size=5_000
    ) as producer:
        await producer.partitions_for(topic)
        network.hold()
        producer.submit_nowait(topic, bytes(9_000))
        with anyio.move_on_after(0.01) as scope:
            await producer.wait_for_buffer(5_000)
        assert scope.cancelled_caught
        with pytest.raises(BufferTimeoutError, match="5000 bytes"):
            await producer.wait_for_buffer(5_000, timeout=0.01)
        with pytest.raises(ValueError, match="buffer_memory=10000"):
            await producer.wait_for_buffer(10_001)
        network.release()


async def test_closing_ends_waiting_for_room(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    producer = Producer(
        bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, buffer_memory=10_000, batch_size=5_000
    )
    await producer.start()
    await producer.partitions_for(topic)
    network.hold()
    producer.submit_nowait(topic, bytes(9_000), on_delivery=lambda _: None)

    async def wait() -> None:
        with pytest.raises(ProducerClosedError):
            await producer.wait_for_buffer(5_000)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await settled()
            await producer.close(timeout=0)


# ── the error hook ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_on_error_hears_of_records_that_nobody_watches(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("t")
    told: list[KafkaError] = []
    async with Producer(bootstrap_servers=embedded.bootstrap_servers, on_error=told.append) as producer:
        embedded.fail_next(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
        producer.submit_nowait("t", b"1")
        producer.submit_nowait("t", b"2")
        await until(lambda: bool(told))
        embedded.fail_next(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
        with pytest.raises(KafkaError):
            await producer.send("t", b"watched")
        with pytest.raises(UndeliveredError):
            await producer.flush()
    (error,) = told
    assert isinstance(error, UndeliveredError)
    assert error.counts == {"t": 2}
    assert isinstance(error.first, KafkaError)
    assert error.first.name == "TOPIC_AUTHORIZATION_FAILED"


async def test_an_on_error_that_raises_hurts_nobody(
    embedded: EmbeddedCluster, caplog: pytest.LogCaptureFixture
) -> None:
    def raise_it(error: KafkaError) -> None:
        raise RuntimeError("mine")

    await embedded.create_topic("t")
    async with Producer(bootstrap_servers=embedded.bootstrap_servers, on_error=raise_it) as producer:
        embedded.fail_next(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
        producer.submit_nowait("t", b"1")
        with pytest.raises(UndeliveredError):
            await producer.flush()
        await producer.send("t", b"2")
    assert "on_error raised" in caplog.text


# ── from elsewhere ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_another_thread_is_told_to_ask_in_the_loop(cluster: Cluster) -> None:
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        with pytest.raises(IllegalStateError, match="another event loop, thread"):
            await anyio.to_thread.run_sync(producer.thread_entry)


async def test_statistics_and_status_can_be_read_in_any_thread_while_the_loop_works(embedded: EmbeddedCluster) -> None:
    read: list[float] = []

    def watch() -> None:
        while not is_over.is_set():
            status = producer.status()
            assert status.is_ready
            assert 0 <= status.buffer_used <= 1
            read.append(producer.statistics()["record-send-total"])

    is_over = threading.Event()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    producer = Producer(bootstrap_servers=embedded.bootstrap_servers, metrics_sample_window_ms=1, linger_ms=0)
    try:
        async with producer, anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, watch)
            for number in range(60):
                await producer.send(f"t{number}", b"v")
                call = producer.send("t0", b"v", partition=99)  # waits, and is given up
                with anyio.move_on_after(0):
                    await call
            is_over.set()
    finally:
        is_over.set()
        sys.setswitchinterval(interval)
    assert len(read) > 10
    assert read == sorted(read)
    assert producer.statistics()["record-send-total"] == 60
