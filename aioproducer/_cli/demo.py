"""`aioproducer demo`: the main job, start to end, on the embedded cluster or on a real one."""

from __future__ import annotations

import importlib
import inspect
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import anyio

from aioproducer import KafkaError, Producer, RecordMetadata
from aioproducer.testing import EmbeddedCluster, LogRecord, read_topic

PARTITIONS: Final = 3
RECORDS: Final = 12
MAX_BLOCK_MS: Final = 10_000
"""How long a cluster that cannot be reached is tried; the default would keep somebody waiting for a minute."""

PROGRAMS: Final = {"asyncio": "aioproducer._cli.demo_program", "trio": "aioproducer._cli.demo_program_trio"}
"""For each event loop the module with the program: each has a `send_in_all_three_ways`."""

Program = Callable[[list[str], str, "Printer"], Awaitable[None]]


class Outcome(Protocol):
    """What a callback is given: an asyncio.Task that sends, or a Delivery."""

    def exception(self) -> BaseException | None:
        """Why the record was not delivered, or None."""
        ...

    def result(self) -> Any:
        """Where it was written."""
        ...


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
        _print(f"  {where:<28} {way:<20} key={key.decode():<11} {latency_ms:6.1f} ms")

    def callback(self, way: str, key: bytes, value: bytes) -> Callable[[Outcome], None]:
        """Return a callback for a task or a delivery that notes the record, or says why it was not delivered."""
        started = time.perf_counter()

        def on_done(outcome: Outcome) -> None:
            error = outcome.exception()
            if error is None:
                self.acknowledged(way, key, value, outcome.result(), started)
            else:
                _print(f"  not delivered               {way:<20} key={key.decode():<11} {error}")

        return on_done


def run(*, bootstrap: str | None, topic: str | None, loop: str) -> int:
    """Run the demo on the given event loop; return the exit status."""
    try:
        return anyio.run(_demo, bootstrap, topic, loop, backend=loop)
    except* (KafkaError, OSError) as errors:
        for error in errors.exceptions:
            print(f"the demo failed: {error}", file=sys.stderr)
    return 1


async def _demo(bootstrap: str | None, topic: str | None, loop: str) -> int:
    # Loaded when it is wanted: the other one's event loop need not be there.
    program: Program = importlib.import_module(PROGRAMS[loop]).send_in_all_three_ways
    if bootstrap is not None:
        _print(f"cluster: {bootstrap}")
        servers = bootstrap.split(",")
        async with Producer(bootstrap_servers=servers, max_block_ms=MAX_BLOCK_MS):
            pass  # it can be reached
        return await _send_and_compare(servers, topic, program)
    started = time.perf_counter()
    async with EmbeddedCluster(brokers=1, partitions=PARTITIONS) as cluster:
        started_ms = (time.perf_counter() - started) * 1000
        _print(f"cluster: embedded, {started_ms:.0f} ms to start, {cluster.bootstrap_servers[0]}")
        return await _send_and_compare(cluster.bootstrap_servers, topic, program)


async def _send_and_compare(bootstrap_servers: list[str], topic: str | None, program: Program) -> int:
    name = topic or f"aioproducer-demo-{uuid.uuid4().hex[:8]}"
    printer = Printer()
    _print(f"sending to topic {name}, as the acknowledgements come in:")
    await program(bootstrap_servers, name, printer)
    log = {(record.partition, record.offset): record for record in await read_topic(bootstrap_servers, name)}
    matching = sum(_is_in_log(sent, log) for sent in printer.sent)
    _print(f"read back: {len(log)} records in the log, {matching} of {RECORDS} as they were acknowledged")
    _print("\nthe program that did it:\n")
    _print(inspect.getsource(program))
    # A topic that was there before has other records too.
    if matching == RECORDS and (topic is not None or len(log) == RECORDS):
        return 0
    print("the log does not match what was sent", file=sys.stderr)
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
