"""One of three brokers swallows what it is sent: what becomes of records without a key? python -m benchmarks.black_hole

Metadata goes on naming it as a leader, and its connections stay open. Two loads, on an embedded cluster in a process of
its own: "steady" submits so many records a second and looks at every outcome; "workers" are five tasks that send, wait
for the acknowledgement, and send again. The same settings for all: delivery within 1 s, an answer within 0.5 s. Figures
are acknowledgements in each second after the broker has gone, in % of what there was a second before, all partitions.
"""

# The other clients have no types that a strict checker accepts.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio

from benchmarks.machine import ROOT, describe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

TOPIC: Final = "t"
PARTITIONS: Final = 6
LOST: Final = 2
"""The broker that swallows."""
CLIENTS: Final = ("aioproducer", "aiokafka", "confluent-kafka")
LOADS: Final = ("steady", "workers")
RATE: Final = 2_000
"""Records a second of the steady load."""
WORKERS: Final = 5
VALUE: Final = bytes(200)
DELIVERY_MS: Final = 1_000
REQUEST_MS: Final = 500
WARM_UP: Final = 3.0
BEFORE: Final = 2.0
AFTER: Final = 10.0
SLICE: Final = 0.25
ENOUGH: Final = 0.9


@dataclass(frozen=True, slots=True)
class Order:
    """What one process has to do."""

    client: str
    load: str
    bootstrap: str


@dataclass(slots=True)
class Outcomes:
    """When which partition has acknowledged a record, by the machine's monotonic clock.

    Attributes:
        failed: how many records had no acknowledgement in time.
    """

    times: list[float] = field(default_factory=list[float])
    partitions: list[int] = field(default_factory=list[int])
    failed: int = 0

    def note(self, partition: int) -> None:
        """One is acknowledged."""
        self.times.append(time.monotonic())
        self.partitions.append(partition)


# ── one client, in a process of its own ──────────────────────────────────────────────────────────────────────────────


class Told:
    """Set when the parent closes our standard input."""

    def __init__(self) -> None:
        self.is_over = False
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        sys.stdin.read()
        self.is_over = True


def paced(told: Told) -> Iterator[int]:
    """Yield how many records are due, every few milliseconds; what could not be sent for long is not caught up with."""
    due = time.monotonic()
    while not told.is_over:
        now = time.monotonic()
        due = max(due, now - 0.1)
        count = int((now - due) * RATE)
        due += count / RATE
        yield count


async def _steady(told: Told, submit: Callable[[], Awaitable[object]]) -> None:
    for count in paced(told):
        for _ in range(count):
            await submit()
        await anyio.sleep(0.005)


async def _workers(told: Told, send: Callable[[], Awaitable[object]]) -> None:
    async def work() -> None:
        while not told.is_over:
            await send()

    async with anyio.create_task_group() as tasks:
        for _ in range(WORKERS):
            tasks.start_soon(work)
        while not told.is_over:  # noqa: ASYNC110 - it is a thread that knows
            await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()


async def _aioproducer(order: Order, told: Told, outcomes: Outcomes) -> None:
    from aioproducer import Delivery, KafkaError, Producer

    def note(delivery: Delivery) -> None:
        if delivery.exception() is None:
            outcomes.note(delivery.result().partition)
        else:
            outcomes.failed += 1

    async with Producer(
        bootstrap_servers=order.bootstrap, delivery_timeout_ms=DELIVERY_MS, request_timeout_ms=REQUEST_MS
    ) as producer:

        async def send() -> None:
            try:
                outcomes.note((await producer.send(TOPIC, VALUE)).partition)
            except KafkaError:
                outcomes.failed += 1

        if order.load == "workers":
            await _workers(told, send)
        else:
            await _steady(told, lambda: producer.submit(TOPIC, VALUE, on_delivery=note))
        await producer.close(0)


async def _aiokafka(order: Order, told: Told, outcomes: Outcomes) -> None:
    from aiokafka import AIOKafkaProducer
    from aiokafka.errors import KafkaError

    def note(future: Any) -> None:
        if future.cancelled() or future.exception() is not None:
            outcomes.failed += 1
        else:
            outcomes.note(future.result().partition)

    # It has no time for a delivery besides that for a request.
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=order.bootstrap,
        acks="all",
        enable_idempotence=True,
        request_timeout_ms=REQUEST_MS,
        linger_ms=5,
    )
    await producer.start()

    async def send() -> None:
        try:
            outcomes.note((await producer.send_and_wait(TOPIC, VALUE)).partition)
        except KafkaError:
            outcomes.failed += 1

    async def submit() -> None:
        try:
            (await producer.send(TOPIC, VALUE)).add_done_callback(note)
        except KafkaError:
            outcomes.failed += 1

    await (_workers(told, send) if order.load == "workers" else _steady(told, submit))
    with anyio.move_on_after(1):
        await producer.stop()


def _confluent(order: Order, told: Told, outcomes: Outcomes) -> None:
    from confluent_kafka import Producer

    settings: dict[str, Any] = {
        "bootstrap.servers": order.bootstrap,
        "enable.idempotence": True,
        "linger.ms": 5,
        "message.timeout.ms": DELIVERY_MS,
        "request.timeout.ms": REQUEST_MS,
        "socket.timeout.ms": REQUEST_MS + DELIVERY_MS,
        "log_level": 0,
    }
    producer: Any = Producer(settings)

    def note(error: Any, message: Any) -> None:
        if error is None:
            outcomes.note(message.partition())
        else:
            outcomes.failed += 1

    if order.load == "workers":
        _confluent_workers(producer, told, note)
        return
    for count in paced(told):
        for _ in range(count):
            try:
                producer.produce(TOPIC, VALUE, on_delivery=note)
            except BufferError:
                outcomes.failed += 1
        producer.poll(0.005)


def _confluent_workers(producer: Any, told: Told, note: Callable[[Any, Any], None]) -> None:
    def again(error: Any, message: Any) -> None:
        note(error, message)
        if not told.is_over:
            producer.produce(TOPIC, VALUE, on_delivery=again)

    for _ in range(WORKERS):
        producer.produce(TOPIC, VALUE, on_delivery=again)
    while not told.is_over:
        producer.poll(0.05)


def work(order: Order) -> Outcomes:
    """Produce in this process until standard input is closed."""
    logging.disable(logging.CRITICAL)  # they say a lot about the broker that is away
    told, outcomes = Told(), Outcomes()
    if order.client == "confluent-kafka":
        _confluent(order, told, outcomes)
    else:
        anyio.run(_aioproducer if order.client == "aioproducer" else _aiokafka, order, told, outcomes)
    return outcomes


# ── the cluster, in a process of its own ─────────────────────────────────────────────────────────────────────────────


def serve() -> None:
    """Run three brokers; a line on standard input makes one of them swallow what it is sent, its end is our end."""
    from aioproducer.testing import EmbeddedCluster

    with EmbeddedCluster.running(brokers=3, partitions=PARTITIONS) as cluster:
        cluster.create_topic(TOPIC, PARTITIONS, replication_factor=3)
        led = [index for index in range(PARTITIONS) if cluster.leader(TOPIC, index) == LOST]
        print(json.dumps({"bootstrap": ",".join(cluster.bootstrap_servers), "led": led}), flush=True)
        if sys.stdin.readline():
            cluster.black_hole(broker=LOST)
            print(time.monotonic(), flush=True)
            sys.stdin.read()


# ── all of them, in turn ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of one run.

    Attributes:
        before_per_s: acknowledgements a second before the broker went.
        percent: of that, in each second since.
        least: of the partitions that can be reached, from the fifth second on: the worst second, in % of what they had.
        back_after: seconds until a quarter of a second had 90 % of what there was before; None: it never had.
        failed: records that were not acknowledged in time.
    """

    before_per_s: float
    percent: list[float]
    least: float
    back_after: float | None
    failed: int


def figures_of(outcomes: Outcomes, hole_at: float, led: list[int]) -> Figures:
    """Judge a run."""
    times = [each - hole_at for each in outcomes.times]
    before = sum(-BEFORE <= each < 0 for each in times) / BEFORE
    reachable = [each for each, index in zip(times, outcomes.partitions, strict=True) if index not in led]
    reachable_before = sum(-BEFORE <= each < 0 for each in reachable) / BEFORE
    percent = [100 * _rate(times, second, 1.0) / max(before, 1e-9) for second in range(int(AFTER))]
    late = [_rate(reachable, second, 1.0) for second in range(5, int(AFTER))]
    starts = [index * SLICE for index in range(int(AFTER / SLICE))]
    back = next((start + SLICE for start in starts if _rate(times, start, SLICE) >= ENOUGH * before), None)
    return Figures(before, percent, 100 * min(late) / max(reachable_before, 1e-9), back, outcomes.failed)


def _rate(times: list[float], start: float, length: float) -> float:
    return sum(start <= each < start + length for each in times) / length


def run(client: str, load: str) -> Figures:
    """Run one client beside a cluster of its own.

    Raises:
        RuntimeError: one of the two has failed; the text has its last words.
    """
    here = [sys.executable, "-m", "benchmarks.black_hole"]
    pipes: dict[str, Any] = {"cwd": ROOT, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*here, "--serve"], **pipes) as cluster:
        assert cluster.stdin is not None
        assert cluster.stdout is not None
        told = json.loads(cluster.stdout.readline())
        order = json.dumps(asdict(Order(client, load, told["bootstrap"])))
        with subprocess.Popen([*here, "--order", order], **pipes) as process:
            time.sleep(WARM_UP + BEFORE)
            cluster.stdin.write("hole\n")
            cluster.stdin.flush()
            hole_at = float(cluster.stdout.readline())
            time.sleep(AFTER)
            words, _ = process.communicate(timeout=30)
        cluster.stdin.close()
    if not words:
        raise RuntimeError(f"{client} has failed")
    return figures_of(Outcomes(**json.loads(words.splitlines()[-1])), hole_at, told["led"])


def table(load: str, found: dict[str, list[Figures]]) -> str:
    """Return the lines of one load."""
    lines = [f"\n{load}: % of the acknowledgements before, in each second since one of three brokers swallows all"]
    lines.append(f"{'client':17}{'before/s':>9}  " + "".join(f"{second:>5}" for second in range(1, int(AFTER) + 1)))
    lines[-1] += f"{'least*':>8}{'back s':>8}{'failed':>8}"
    for client, runs in found.items():
        for each in runs:
            line = f"{client:17}{each.before_per_s:>9,.0f}  " + "".join(f"{value:>5.0f}" for value in each.percent)
            back = "never" if each.back_after is None else f"{each.back_after:.2f}"
            lines.append(f"{line}{each.least:>8.0f}{back:>8}{each.failed:>8,}")
    lines.append("* the worst second from the fifth on, of the partitions that can be reached, in % of what they had")
    return "\n".join(lines)


def main() -> None:
    """Measure and print, or be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", choices=CLIENTS, nargs="+", default=list(CLIENTS))
    parser.add_argument("--loads", choices=LOADS, nargs="+", default=list(LOADS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--order", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve()
        return
    if chosen.order:
        print(json.dumps(asdict(work(Order(**json.loads(chosen.order))))))
        return
    print(json.dumps(describe()), flush=True)
    for load in chosen.loads:
        found: dict[str, list[Figures]] = {client: [] for client in chosen.clients}
        for number in range(chosen.rounds):
            for client in chosen.clients if number % 2 == 0 else reversed(chosen.clients):
                found[client].append(run(client, load))
        print(table(load, found), flush=True)


if __name__ == "__main__":
    main()
