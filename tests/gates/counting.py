"""What a record costs in counts that are the same on every machine: bytecodes executed, and memory blocks kept.

Only what the package itself executes is counted, the embedded cluster and the test excepted. The clock has no part in
it: the time to linger is longer than the test, and where something is done once a batch, two batches of different sizes
are compared, so that what is left is what each record more costs.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import aioproducer
from aioproducer import Delivery, Producer, ProducerRecord
from aioproducer._producer import send_path
from aioproducer._runtime import completion, loop
from aioproducer.testing import EmbeddedCluster

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType

PACKAGE: Final = str(Path(aioproducer.__file__).parent)
TESTING: Final = str(Path(aioproducer.__file__).parent / "testing")

BOUNDS: Final = Path(__file__).with_name("bounds.toml")
VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"

TOPIC: Final = "t"
VALUE: Final = bytes(100)
FEW: Final = 20
MANY: Final = 120
"""Records of the two batches; both fit into one of 16 KiB."""
REPEATS: Final = 3
"""The least of so many counts: how often the background looks around while a batch is on its way depends on sockets."""


class Bytecodes:
    """Counts the bytecodes that the package executes in this thread, in a `with` block."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Bytecodes:
        self._before = sys.gettrace()
        sys.settrace(self._on_call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _on_call(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        name = frame.f_code.co_filename
        if not name.startswith(PACKAGE) or name.startswith(TESTING):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._on_event

    def _on_event(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        if event == "opcode":
            self.count += 1
        return self._on_event


def producer_for(cluster: EmbeddedCluster) -> Producer[bytes, bytes]:
    """A producer that sends nothing before it is told to flush."""
    return Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=600_000, delivery_timeout_ms=700_000)


async def settle(turns: int = 20) -> None:
    """Let the background do what it has to do."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def counts_of_submit(producer: Producer[bytes, bytes], count: int, key: bytes | None) -> tuple[int, int]:
    """The bytecodes of submitting into a batch that exists, and of what follows up to the outcomes being looked at."""
    first = await producer.submit(TOPIC, VALUE, key=key)
    await settle()
    submit = producer.submit
    with Bytecodes() as accepted:
        deliveries = [await submit(TOPIC, VALUE, key=key) for _ in range(count)]
    with Bytecodes() as delivered:
        await producer.flush()
        for delivery in (first, *deliveries):
            await delivery
    return accepted.count, delivered.count


async def counts_of_send(producer: Producer[bytes, bytes], count: int) -> tuple[int, int]:
    """The bytecodes of tasks that send, up to where they wait, and of what follows up to where all are done."""
    first = await producer.submit(TOPIC, VALUE)
    await settle()
    with Bytecodes() as accepted:
        tasks = [asyncio.create_task(producer.send(TOPIC, VALUE)) for _ in range(count)]
        await asyncio.sleep(0)
    with Bytecodes() as delivered:
        await producer.flush()
        await asyncio.gather(*tasks)
    await first
    return accepted.count, delivered.count


async def count_of_send_all(producer: Producer[bytes, bytes], count: int) -> int:
    """The bytecodes of send_all."""
    records = [ProducerRecord[bytes, bytes](TOPIC, VALUE) for _ in range(count)]
    with Bytecodes() as counted:
        await producer.send_all(records)
    return counted.count


async def count_of_one(producer: Producer[bytes, bytes]) -> int:
    """The bytecodes of a record alone, from the call to its outcome: what a batch and a request cost."""
    with Bytecodes() as counted:
        delivery = await producer.submit(TOPIC, VALUE)
        await producer.flush()
        await delivery
    await settle()
    return counted.count


async def blocks_of_submit(producer: Producer[bytes, bytes]) -> tuple[float, float]:
    """Memory blocks that a record in flight keeps, its Delivery included, and that a Delivery keeps when it is done."""
    first = await producer.submit(TOPIC, VALUE)
    await settle()
    submit, deliveries = producer.submit, list[Delivery]()
    gc.collect()
    gc.disable()
    try:
        before = sys.getallocatedblocks()
        for _ in range(MANY):
            deliveries.append(await submit(TOPIC, VALUE))
        waiting = sys.getallocatedblocks() - before
        await producer.flush()
        await first
        del first
        await settle()
        gc.collect()
        done = sys.getallocatedblocks() - before
    finally:
        gc.enable()
    return waiting / MANY, done / MANY


async def per_record(measure: Callable[[int], Awaitable[tuple[int, ...]]]) -> list[float]:
    """What each record more costs: the difference of two batches."""
    few: list[tuple[int, ...]] = []
    many: list[tuple[int, ...]] = []
    await measure(FEW)  # what is compiled or remembered at the first time
    for _ in range(REPEATS):
        few.append(await measure(FEW))
        many.append(await measure(MANY))
    return [
        (min(large) - min(small)) / (MANY - FEW)
        for small, large in zip(zip(*few, strict=True), zip(*many, strict=True), strict=True)
    ]


async def measure() -> dict[str, float]:
    """Return each count for one record."""
    async with EmbeddedCluster(partitions=1) as cluster, producer_for(cluster) as producer:
        await producer.partitions_for(TOPIC)
        plain = await per_record(lambda count: counts_of_submit(producer, count, None))
        keyed = await per_record(lambda count: counts_of_submit(producer, count, b"key"))
        sent = await per_record(lambda count: counts_of_send(producer, count))

        async def bulk(count: int) -> tuple[int, ...]:
            return (await count_of_send_all(producer, count),)

        (all_sent,) = await per_record(bulk)
        alone = [await count_of_one(producer) for _ in range(5 * REPEATS)]
        blocks = [await blocks_of_submit(producer) for _ in range(REPEATS)]
    return {
        "submit_bytecodes": plain[0],
        "submit_to_outcome_bytecodes": plain[1],
        "submit_with_key_bytecodes": keyed[0],
        "submit_with_key_to_outcome_bytecodes": keyed[1],
        "send_bytecodes": sent[0],
        "send_to_outcome_bytecodes": sent[1],
        "send_all_bytecodes": all_sent,
        "one_record_alone_bytecodes": float(min(alone)),
        "blocks_in_flight": min(each[0] for each in blocks),
        "blocks_of_a_done_delivery": min(each[1] for each in blocks),
    }


def run() -> dict[str, float]:
    """Measure on asyncio, in a thread of its own, so that nothing that traces this one is disturbed."""
    found: list[dict[str, float]] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(measure())))
    # Under a tracer all of these would be over after a few records already, and what follows counted or not.
    with (
        patch.object(send_path, "YIELD_MS", 10**15),
        patch.object(completion, "CALLBACK_SECONDS", 10.0**9),
        patch.object(loop, "WRITING_SECONDS", 10.0**9),
    ):
        thread.start()
        thread.join()
    return found[0]


def recorded() -> dict[str, dict[str, float]]:
    """Return the recorded counts by Python version, "3.11", and name."""
    bounds: dict[str, dict[str, float]] = tomllib.loads(BOUNDS.read_text())
    return bounds


def record() -> None:
    """Measure, and write the counts of this Python in place of those recorded; those of other versions stay."""
    bounds = recorded() | {VERSION: run()}
    head = "".join(line for line in BOUNDS.read_text().splitlines(keepends=True) if line.startswith("#"))
    sections = [
        f'\n["{version}"]\n' + "".join(f"{name} = {value:.2f}\n" for name, value in counts.items())
        for version, counts in sorted(bounds.items())
    ]
    BOUNDS.write_text(head + "".join(sections))


if __name__ == "__main__":
    if "--record" in sys.argv:
        record()
    sys.stdout.writelines(f"{name} = {value:.2f}\n" for name, value in run().items())
