"""Many tasks, many partitions, much data through little memory. Embedded only."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from aioproducer import Producer

if TYPE_CHECKING:
    from aioproducer.testing._cluster import EmbeddedCluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


async def test_a_hundred_thousand_tasks_may_wait_for_their_records_at_once(embedded: EmbeddedCluster) -> None:
    count = 100_000
    await embedded.create_topic("orders", partitions=6)
    offsets: dict[int, set[int]] = defaultdict(set)
    waiting = most_waiting = 0

    async def send(producer: Producer[bytes, bytes], number: int) -> None:
        nonlocal waiting, most_waiting
        waiting += 1
        most_waiting = max(most_waiting, waiting)
        metadata = await producer.send("orders", b"%d" % number)
        waiting -= 1
        offsets[metadata.partition].add(metadata.offset)

    async with Producer(
        bootstrap_servers=embedded.bootstrap_servers, linger_ms=1_000, batch_size=1_000_000, buffer_memory=2**26
    ) as producer:
        await producer.partitions_for("orders")
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(send, producer, number)
    assert most_waiting > 90_000
    assert sum(len(own) for own in offsets.values()) == count
    values = {int(record.value or b"-1") for record in embedded.records("orders")}
    assert values == set(range(count))


async def test_ten_thousand_partitions_of_a_hundred_topics(embedded: EmbeddedCluster) -> None:
    for topic in range(100):
        await embedded.create_topic(f"t{topic}", partitions=100, replication_factor=1)
    async with Producer(bootstrap_servers=embedded.bootstrap_servers) as producer:
        started = time.monotonic()
        deliveries = [
            await producer.submit(f"t{topic}", b"%d" % lap, partition=partition)
            for lap in range(2)
            for topic in range(100)
            for partition in range(100)
        ]
        await producer.flush(timeout=60)
        elapsed = time.monotonic() - started
        assert {delivery.result().offset for delivery in deliveries} == {0, 1}
    assert elapsed < 40  # 4 to 8 s, most of it the broker's, alone on two slow processors
    for topic in (0, 57, 99):
        log = embedded.records(f"t{topic}")
        assert [(record.partition, record.value) for record in log] == [
            (partition, value) for partition in range(100) for value in (b"0", b"1")
        ]


async def test_memory_stays_within_buffer_memory_while_the_cluster_is_slow(embedded: EmbeddedCluster) -> None:
    """The bound: buffer_memory, and as much again for encoded copies and what Python adds."""
    buffer_memory = 8 * 2**20
    await embedded.create_topic("orders", partitions=4)
    async with Producer(
        bootstrap_servers=embedded.bootstrap_servers, buffer_memory=buffer_memory, max_block_ms=60_000
    ) as producer:
        await producer.partitions_for("orders")
        await producer.send("orders", b"warm up")
        hole = embedded.black_hole()
        gc.collect()
        tracemalloc.start()
        try:
            accepted = 0
            with anyio.move_on_after(4) as scope:
                while True:
                    # bytes(n) makes a new object, which the producer alone holds
                    await producer.submit("orders", bytes(1_000))
                    accepted += 1
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert scope.cancelled_caught  # it waited for room
        assert 5_000 < accepted <= buffer_memory / 1_000
        assert peak < 2 * buffer_memory
        hole.stop()
        await producer.close(timeout=0)


async def test_memory_does_not_grow_with_the_records_that_were_sent(embedded: EmbeddedCluster) -> None:
    async with Producer(bootstrap_servers=embedded.bootstrap_servers) as producer:

        async def send(count: int) -> None:
            for _ in range(count):
                producer.submit_nowait("orders", b"x" * 10)
                await anyio.lowlevel.checkpoint()
            await producer.flush()

        def forget() -> None:
            # The embedded broker keeps its log in memory: only what the producer holds is looked at.
            gc.collect()

        await send(2_000)
        forget()
        tracemalloc.start()
        try:
            held: list[int] = []
            for _ in range(4):
                await send(3_000)
                forget()
                snapshot = tracemalloc.take_snapshot().filter_traces(
                    [
                        tracemalloc.Filter(True, f"*/aioproducer/{part}")
                        for part in ("_core/*", "_runtime/*", "_net/*", "producer.py", "delivery.py", "_backend/*")
                    ]
                )
                held.append(sum(trace.size for trace in snapshot.traces))
        finally:
            tracemalloc.stop()
    assert held[-1] - held[0] < 100_000, held  # 9,000 records more


async def test_the_cost_of_a_record_does_not_grow_with_those_that_wait(embedded: EmbeddedCluster) -> None:
    await embedded.create_topic("orders")
    async with Producer(
        bootstrap_servers=embedded.bootstrap_servers,
        linger_ms=30_000,
        batch_size=10_000_000,
        buffer_memory=2**28,
        max_request_size=20_000_000,
    ) as producer:
        await producer.partitions_for("orders")
        times: list[float] = []
        # The collector looks at all tasks that wait, which are the caller's, and other processes take the wall clock's
        # time: neither is a cost of a record.
        gc.disable()
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    started = time.thread_time()
                    for _ in range(4_000):
                        tasks.start_soon(partial(producer.send, "orders", b"v"))
                    await anyio.lowlevel.checkpoint()
                    await anyio.lowlevel.checkpoint()
                    times.append(time.thread_time() - started)
                await producer.flush()
        finally:
            gc.enable()
    assert min(times[3:]) < 3 * min(times[:2]), times
