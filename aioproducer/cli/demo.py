"""`aioproducer demo`: the main job, start to end, on the embedded cluster or on a real one."""

from __future__ import annotations

import inspect
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from aioproducer import Delivery, KafkaError, Producer, RecordMetadata
from aioproducer.testing import EmbeddedCluster, LogRecord, read_topic

PARTITIONS = 3


@dataclass(frozen=True, slots=True)
class Sent:
    """What one acknowledged record of the demo was, and where it went."""

    key: bytes
    value: bytes
    metadata: RecordMetadata


class Printer:
    """Prints a line for each acknowledgement and keeps what was sent, to compare it with the log afterwards."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def acknowledged(self, way: str, key: bytes, value: bytes, metadata: RecordMetadata, started: float) -> None:
        """Note one acknowledged record."""
        self.sent.append(Sent(key, value, metadata))
        latency_ms = (time.perf_counter() - started) * 1000
        where = f"{metadata.topic}[{metadata.partition}]@{metadata.offset}"
        _print(f"  {where:<28} {way:<24} key={key.decode():<10} {latency_ms:6.1f} ms")

    def callback(self, way: str, key: bytes, value: bytes) -> Callable[[Delivery], None]:
        """Return a delivery callback that notes the record."""
        started = time.perf_counter()
        return lambda delivery: self.acknowledged(way, key, value, delivery.result(), started)


async def send_in_all_three_ways(bootstrap_servers: str | list[str], topic: str, printer: Printer) -> None:
    """The program that the demo shows: wait for the result, callbacks, fire and forget."""
    async with Producer[bytes, bytes](bootstrap_servers=bootstrap_servers) as producer:
        # 1. wait for the result
        for number in range(3):
            key, value = b"wait-%d" % number, b"waited for"
            started = time.perf_counter()
            metadata = await producer.send(topic, value, key=key)
            printer.acknowledged("await send", key, value, metadata, started)

        # 2. callbacks: on tasks, and on deliveries
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                key, value = b"task-%d" % number, b"sent by a task"
                tasks.start_soon(send_in_task, producer, topic, key, value, printer)
        for number in range(3):
            key, value = b"submit-%d" % number, b"with a callback"
            delivery = await producer.submit(topic, value, key=key)
            delivery.add_done_callback(printer.callback("submit + callback", key, value))
        await producer.flush()

        # 3. fire and forget (on_delivery is here only to print it)
        for number in range(3):
            key, value = b"forget-%d" % number, b"fire and forget"
            producer.submit_nowait(topic, value, key=key, on_delivery=printer.callback("fire and forget", key, value))
        # leaving the block delivers whatever was accepted


async def send_in_task(
    producer: Producer[bytes, bytes], topic: str, key: bytes, value: bytes, printer: Printer
) -> None:
    """A task of its own for one record; its end is the callback."""
    started = time.perf_counter()
    metadata = await producer.send(topic, value, key=key)
    printer.acknowledged("task", key, value, metadata, started)


def run(*, bootstrap: str | None, topic: str | None, loop: str) -> int:
    """Run the demo on the given event loop; return the exit status."""
    name = topic or f"aioproducer-demo-{uuid.uuid4().hex[:8]}"
    try:
        return anyio.run(_demo, bootstrap, name, backend=loop)
    except* (KafkaError, OSError) as errors:
        for error in errors.exceptions:
            print(f"the demo failed: {error}", file=sys.stderr)
    return 1


async def _demo(bootstrap: str | None, topic: str) -> int:
    if bootstrap is not None:
        _print(f"cluster: {bootstrap}")
        return await _send_and_compare([bootstrap], topic)
    started = time.perf_counter()
    async with EmbeddedCluster(brokers=1, partitions=PARTITIONS) as cluster:
        started_ms = (time.perf_counter() - started) * 1000
        _print(f"cluster: embedded, {started_ms:.0f} ms to start, {cluster.bootstrap_servers[0]}")
        return await _send_and_compare(cluster.bootstrap_servers, topic)


async def _send_and_compare(bootstrap_servers: list[str], topic: str) -> int:
    printer = Printer()
    _print(f"sending to topic {topic}, as the acknowledgements come in:")
    await send_in_all_three_ways(bootstrap_servers, topic, printer)
    log = {(record.partition, record.offset): record for record in await read_topic(bootstrap_servers, topic)}
    matching = sum(_is_in_log(sent, log) for sent in printer.sent)
    _print(f"read back: {len(log)} records in the log, {matching} of {len(printer.sent)} as they were acknowledged")
    _print("\nthe program that did it:\n")
    _print(inspect.getsource(send_in_all_three_ways))
    if matching == len(printer.sent) == len(log):
        return 0
    print("the log does not match what was acknowledged", file=sys.stderr)
    return 1


def _is_in_log(sent: Sent, log: dict[tuple[int, int], LogRecord]) -> bool:
    record = log.get((sent.metadata.partition, sent.metadata.offset))
    return record is not None and (record.key, record.value, record.timestamp_ms) == (
        sent.key,
        sent.value,
        sent.metadata.timestamp_ms,
    )


def _print(line: str) -> None:
    print(line, flush=True)
