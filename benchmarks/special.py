"""What the cases do not tell of aioproducer: memory when the broker stalls, an idle producer, and what grows with size.

    python -m benchmarks.special            # all of it
    python -m benchmarks.special memory     # or: idle, flat

Each run is in a process of its own, against the sink.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final

import anyio

from benchmarks.brokers import sink
from benchmarks.load import make_value
from benchmarks.machine import ROOT
from benchmarks.order import Order
from benchmarks.process import peak_mb, reset_peak, resident_mb
from benchmarks.runner import Figures, run

BUFFER_MB: Final = 33.554432
"""buffer_memory's default, 32 MiB."""
IN_FLIGHT_MB: Final = 5 * 1.048576
"""Five requests of max_request_size to the one broker."""
STALL_SECONDS: Final = 1.5
LOAD_SECONDS: Final = 5.0
LOADS: Final = {"10 B": (10, "none"), "100 B": (100, "none"), "10 KB": (10_000, "none"), "100 KB": (100_000, "zstd")}
"""Bytes of a value, and the codec."""

IDLE_SECONDS: Final = 8.0
IDLE_TOPICS: Final = 100
IDLE_PARTITIONS: Final = 100

FLAT_COUNT: Final = 300_000
FLAT_LINGER_MS: Final = 2000
FLAT_BUFFER: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shape:
    """A cluster, and how records go to it. `client`: "bare-tasks" are those that send nothing, see `clients.floors`."""

    nodes: int
    topics: int
    partitions: int
    workload: str = "forget"
    tasks: int = 1000
    linger_ms: int = FLAT_LINGER_MS
    client: str = "aioproducer"


# Full batches in every shape, for what is compared is not what a batch costs: records go round robin over the topics,
# and the time to linger is long. The last two shapes have the usual one, and no target.
SHAPES: Final = {
    "6 partitions": Shape(1, 2, 3),
    "1,000 topics x 10 partitions": Shape(1, 1000, 10),
    "the same, 100 brokers": Shape(100, 1000, 10),
    "1,000 waiting tasks": Shape(1, 1, 6, "workers", 1000, 5),
    "10,000 waiting tasks": Shape(1, 1, 6, "workers", 10_000, 5),
    "1,000 bare tasks": Shape(1, 1, 6, "workers", 1000, 5, "bare-tasks"),
    "10,000 bare tasks": Shape(1, 1, 6, "workers", 10_000, 5, "bare-tasks"),
    "6 partitions, linger 5 ms": Shape(1, 2, 3, linger_ms=5),
    "1,000 topics x 10 partitions, linger 5 ms": Shape(1, 1000, 10, linger_ms=5),
}
FLAT_PAIRS: Final = (
    ("1,000 topics x 10 partitions", "6 partitions"),
    ("the same, 100 brokers", "6 partitions"),
    ("10,000 waiting tasks", "1,000 waiting tasks"),
)
"""What is at most 1.3 times what."""
FLAT_FLOORS: Final = {"1,000 waiting tasks": "1,000 bare tasks", "10,000 waiting tasks": "10,000 bare tasks"}
"""What the program's own tasks take, without a producer."""


@dataclass(slots=True)
class Special:
    """What was measured; lists have a figure for each round.

    Attributes:
        memory_mb: by load, what the process grew by beyond the idle producer.
        idle_percent: of a core, by a producer that knows 10,000 partitions.
        flat: by shape, the figures of each round.
        import_ms: by statement, beyond an empty process.
        first_ack_ms: by client, from the start of the process to the first acknowledgement.
    """

    memory_mb: dict[str, list[float]]
    idle_percent: list[float]
    flat: dict[str, list[Figures]]
    import_ms: dict[str, list[float]]
    first_ack_ms: dict[str, list[float]]


def measure_memory(rounds: int) -> dict[str, list[float]]:
    """Return by load how much the process grew, MB."""
    grown: dict[str, list[float]] = {name: [] for name in LOADS}
    for _ in range(rounds):
        for name, (value_bytes, codec) in LOADS.items():
            with sink(stall=STALL_SECONDS) as bootstrap:
                grown[name].append(_here("fill", bootstrap, value_bytes, codec))
    return grown


def measure_idle(rounds: int) -> list[float]:
    """Return the share of a core that an idle producer takes, in percent."""
    with sink() as bootstrap:
        return [_here("idle", bootstrap) for _ in range(rounds)]


def measure_flat(rounds: int) -> dict[str, list[Figures]]:
    """Return by shape the figures of each round."""
    costs: dict[str, list[Figures]] = {name: [] for name in SHAPES}
    for _ in range(rounds):
        for name, shape in SHAPES.items():
            with sink(shape.nodes) as bootstrap:
                order = Order(
                    shape.client,
                    "workers" if shape.workload == "workers" else "forget",
                    bootstrap,
                    f"flat-p{shape.partitions}",
                    count=FLAT_COUNT,
                    topics=shape.topics,
                    tasks=shape.tasks,
                    partitions=shape.partitions,
                    linger_ms=shape.linger_ms,
                    buffer_memory=FLAT_BUFFER,
                )
                costs[name].append(run(order))
    return costs


def _here(what: str, *arguments: object) -> float:
    """Run one of the programs below in a process of its own; it prints a number."""
    command = [sys.executable, "-m", "benchmarks.special", f"--{what}", json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    return float(done.stdout)


async def fill(bootstrap: str, value_bytes: int, codec: str) -> float:
    """Submit faster than the broker answers; return what the process grew by, MB. Nothing is kept of the outcomes."""
    import random

    from aioproducer import Producer

    stem = make_value(random.Random(7), max(value_bytes - 8, 1))
    async with Producer[bytes, bytes](
        bootstrap_servers=bootstrap, compression_type="zstd" if codec == "zstd" else "none"
    ) as producer:
        await producer.send("memory-p6", stem)
        idle_mb = resident_mb()
        reset_peak()
        number = 0
        with anyio.move_on_after(LOAD_SECONDS):
            while True:
                await producer.submit("memory-p6", b"%s%08d" % (stem, number))  # each of its own, as in a program
                number += 1
        grown = peak_mb() - idle_mb
        await producer.close(0)
        return grown


async def idle(bootstrap: str) -> float:
    """Know 10,000 partitions and do nothing; return the percent of a core."""
    from aioproducer import Producer

    async with Producer[bytes, bytes](bootstrap_servers=bootstrap) as producer:
        for index in range(IDLE_TOPICS):
            topic = f"idle-p{IDLE_PARTITIONS}.{index}"
            await producer.send(topic, b"value")
        await anyio.sleep(1)
        cpu = time.process_time()
        await anyio.sleep(IDLE_SECONDS)
        return (time.process_time() - cpu) / IDLE_SECONDS * 100


def main() -> None:
    """Print the figures, or be one of the processes."""
    match sys.argv[1:]:
        case ["--fill", arguments]:
            # In this process alone: it drops what is left at the end, and would say so.
            logging.getLogger("aioproducer").setLevel(logging.CRITICAL)
            print(anyio.run(fill, *json.loads(arguments)))
        case ["--idle", arguments]:
            print(anyio.run(idle, *json.loads(arguments)))
        case chosen:
            if not chosen or "memory" in chosen:
                print("grown by, MB:", measure_memory(1))
            if not chosen or "idle" in chosen:
                print("idle, % of a core:", measure_idle(1))
            if not chosen or "flat" in chosen:
                for name, (figures,) in measure_flat(1).items():
                    print(f"{name:45}{figures['cpu_us']:6.2f} µs a record, loop lag {figures['lag_p99_ms']:6.1f} ms")


if __name__ == "__main__":
    main()
