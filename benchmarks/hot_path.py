"""What does each step of a record cost: checks, append, delivery, encode, await? python -m benchmarks.hot_path

Times are in µs for each record, the best of several runs; "calls" is the ratio to calling a method that does nothing,
which carries over to other machines better than the time does.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from aioproducer import Producer
from aioproducer._backend import current
from aioproducer._config import ProducerConfig
from aioproducer._core.accumulator.accumulator import Accumulator
from aioproducer._core.accumulator.batch import BatchEvent, ProducerBatch
from aioproducer._core.cluster.metadata import Broker, ClusterMetadata, PartitionMetadata, TopicMetadata
from aioproducer._producer.delivery import Delivery
from aioproducer._producer.prepare import RecordPreparer
from aioproducer._records.encode import encode_records
from aioproducer.testing import EmbeddedCluster

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


COUNT = 100_000
BATCH = 128
TASKS = 1000
SUBMITTED = 20_000
ROOM = 90
"""Records that surely fit into a batch."""
RUNS = 7


class Empty:
    """Something to compare with."""

    __slots__ = ()

    def method(self, topic: str, partition: None, key: None, value: bytes, headers: None, ms: int, now: float) -> None:
        """Do nothing, with the arguments of try_append."""


def best(run: Callable[[], float]) -> float:
    """Return the best time of several runs, in µs for each record."""
    return min(run() for _ in range(RUNS)) / COUNT * 1e6


def accumulator(partitions: int, **settings: object) -> Accumulator:
    """Return an accumulator that knows topic "t"."""
    config = ProducerConfig(bootstrap_servers="localhost:9092", buffer_memory=2**40, **settings)  # type: ignore[arg-type]
    made = Accumulator(config, random.Random(1))
    topic = TopicMetadata("t", None, tuple(PartitionMetadata(1, 0) for _ in range(partitions)))
    made.update_topics(ClusterMetadata({1: Broker(1, "localhost", 9092)}, {"t": topic}), 0.0)
    made.wait_for_topic("t", 0.0, 60.0)
    return made


def appending(value: bytes, keys: list[bytes | None], **settings: object) -> Callable[[], float]:
    """Return a run that appends records, draining now and then, outside of what is timed."""

    def run() -> float:
        made = accumulator(6, **settings)
        total = 0.0
        for start in range(0, COUNT, 1000):
            append = made.appender.try_append
            chunk = keys[start : start + 1000]
            begin = time.perf_counter()
            for key in chunk:
                append("t", None, key, value, None, 1_700_000_000_000, 1.0)
            total += time.perf_counter() - begin
            assert append("t", None, None, value, None, 1_700_000_000_000, 1.0) is not None
            while batches := made.drain(1, 10.0, 2**30, lambda batch: True):
                for batch in batches:
                    made.complete(batch, base_offset=0)
        return total

    return run


def calling() -> float:
    """A run that calls an empty method."""
    call = Empty().method
    value = b"x" * 100
    begin = time.perf_counter()
    for _ in range(COUNT):
        call("t", None, None, value, None, 1_700_000_000_000, 1.0)
    return time.perf_counter() - begin


def viewing() -> float:
    """A run that makes Deliveries, and keeps them."""

    async def view() -> float:
        backend, batch = current(), ProducerBatch("t", 0, 0.0)
        kept: list[Delivery] = []
        keep = kept.append
        begin = time.perf_counter()
        for index in range(COUNT):
            keep(Delivery(batch, index, backend))
        return time.perf_counter() - begin

    return asyncio.run(view())


def checking_all() -> float:
    """A run that checks a record's arguments the long way, as headers or a serializer need it."""
    preparer = RecordPreparer(None, None, ())
    prepare, value = preparer.prepare, b"x" * 100
    begin = time.perf_counter()
    for _ in range(COUNT):
        prepare("t", value, None, None, None, None)
    return time.perf_counter() - begin


def submitting(key: bytes | None, **record: object) -> Callable[[], float]:
    """Return a run that submits into a batch that is open: checks, append and Delivery; what follows is not timed."""

    async def submit_all() -> float:
        total = 0.0
        async with (
            EmbeddedCluster(partitions=1) as cluster,
            Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000) as producer,
        ):
            submit, value = partial(producer.submit, "t", **record), b"x" * 100
            for _ in range(SUBMITTED // ROOM):
                await submit(value, key=key)  # there is a batch now
                begin = time.perf_counter()
                for _ in range(ROOM):
                    await submit(value, key=key)
                total += time.perf_counter() - begin
                await producer.flush()
        return total / (SUBMITTED // ROOM * ROOM) * COUNT

    return lambda: asyncio.run(submit_all())


def encoding() -> float:
    """A run that encodes the records of batches of 128."""
    values: list[bytes | None] = [b"x" * 100] * BATCH
    timestamps = [1_700_000_000_000] * BATCH
    begin = time.perf_counter()
    for _ in range(COUNT // BATCH):
        encode_records(timestamps, None, values, None)
    return (time.perf_counter() - begin) * COUNT / (COUNT // BATCH * BATCH)


def awaiting() -> float:
    """A run that awaits records that are delivered already."""

    async def wait() -> float:
        backend = current()
        batch = ProducerBatch("t", 0, 0.0)
        for _ in range(BATCH):
            batch.append(1_700_000_000_000, None, b"x" * 100, None, 110)
        for event in (BatchEvent.SEAL, BatchEvent.DRAIN, BatchEvent.COMPLETE):
            batch.apply(event)
        batch.base_offset = 0
        deliveries = [Delivery(batch, index % BATCH, backend) for index in range(COUNT)]
        begin = time.perf_counter()
        for delivery in deliveries:
            await delivery
        return time.perf_counter() - begin

    return asyncio.run(wait())


def checking() -> float:
    """A run that asks whether this is the producer's loop."""

    async def check() -> float:
        is_current = current().is_current
        begin = time.perf_counter()
        for _ in range(COUNT):
            is_current()
        return time.perf_counter() - begin

    return asyncio.run(check())


def waking() -> float:
    """A run in which 1,000 tasks wait for records again and again, and are woken in one pass each time."""

    async def wake() -> float:
        backend = current()
        parked: list[Awaitable[None]] = []

        async def sender() -> None:
            for _ in range(COUNT // TASKS):
                future = backend.new_waiter()
                parked.append(future)
                await future

        begin = time.perf_counter()
        tasks = [asyncio.create_task(sender()) for _ in range(TASKS)]
        await asyncio.sleep(0)
        while parked:
            futures = parked[:]
            parked.clear()
            backend.call_soon(backend.wake, futures)
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return time.perf_counter() - begin

    return asyncio.run(wake())


def main() -> None:
    """Print the figures."""
    none: list[bytes | None] = [None] * COUNT
    keys: list[bytes | None] = [b"key-%d" % (index % 1000) for index in range(COUNT)]
    empty = best(calling)
    print(sys.version)
    rows: list[tuple[str, Callable[[], float]]] = [
        ("an empty method", calling),
        ("try_append, 100-byte value", appending(b"x" * 100, none)),
        ("try_append, 100-byte value, zstd", appending(b"x" * 100, none, compression_type="zstd")),
        ("try_append, 100-byte value, known key", appending(b"x" * 100, keys)),
        ("try_append, 10,000-byte value", appending(b"x" * 10_000, none)),
        ("a Delivery, and its place in a list", viewing),
        ("is this the producer's loop?", checking),
        ("checks, the long way", checking_all),
        ("submit: checks, append, Delivery", submitting(None)),
        ("submit, one key again and again", submitting(b"key")),
        ("submit with a header", submitting(None, headers=[("trace", b"1")])),
        ("encode_records, 128 of 100 bytes", encoding),
        ("await a Delivery that is done", awaiting),
        ("a task's wait for its record, and waking it", waking),
    ]
    for name, run in rows:
        time_us = best(run)
        print(f"{name:44} {time_us:6.2f} µs {time_us / empty:6.1f} calls")


if __name__ == "__main__":
    main()
