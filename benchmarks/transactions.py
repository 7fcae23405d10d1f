"""Transactions per second, beside other clients: python -m benchmarks.transactions [--nodes 3] [--save]

Every client runs in a process of its own, in turn, on the same real cluster, with the same linger and batch size; the
rounds alternate. A transaction is begun, gets its records, and is committed; the next one follows at once. Figures are
the median of the rounds; ratios are taken within a round, with their least and greatest. Needs Java.
"""

# The other clients have no types that a strict checker accepts.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio

from benchmarks.machine import ROOT, describe
from benchmarks.order import Figures, Timer, quantile
from benchmarks.report import median_of, ratios, spread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TOPIC: Final = "bench"
PARTITIONS: Final = 6

SIZES: Final = {1: 200, 100: 100, 10_000: 10}
"""Records of a transaction, and how many transactions are timed; a tenth of that, at least two, go before."""

CLIENTS: Final = ("aioproducer", "aioproducer-uvloop", "confluent-kafka", "aiokafka")
RUN_SECONDS: Final = 180.0

Rounds = dict[str, list[dict[str, float]]]
"""By client, the figures of each round."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one process has to do."""

    client: str
    bootstrap: str
    records: int
    transactions: int
    value_bytes: int
    linger_ms: int
    batch_size: int

    @property
    def warm_up(self) -> int:
        """Transactions that go before."""
        return max(2, self.transactions // 10)


# ── one client, in a process of its own ──────────────────────────────────────────────────────────────────────────────


async def _timed(order: Order, one: Callable[[], Awaitable[object]]) -> Figures:
    figures = Figures()
    for _ in range(order.warm_up):
        await one()
    with Timer(figures):
        for _ in range(order.transactions):
            start = time.perf_counter()
            await one()
            figures.latencies.append(time.perf_counter() - start)
    return figures


async def _aioproducer(order: Order) -> Figures:
    from aioproducer import Producer

    value = b"x" * order.value_bytes

    async def one() -> None:
        async with producer.transaction():
            for _ in range(order.records):
                await producer.submit(TOPIC, value)

    async with Producer(
        bootstrap_servers=order.bootstrap,
        transactional_id=uuid.uuid4().hex,
        linger_ms=order.linger_ms,
        batch_size=order.batch_size,
    ) as producer:
        return await _timed(order, one)


async def _aiokafka(order: Order) -> Figures:
    from aiokafka import AIOKafkaProducer

    value = b"x" * order.value_bytes

    async def one() -> None:
        async with producer.transaction():
            for _ in range(order.records):
                await producer.send(TOPIC, value)

    async with AIOKafkaProducer(
        bootstrap_servers=order.bootstrap,
        transactional_id=uuid.uuid4().hex,
        linger_ms=order.linger_ms,
        max_batch_size=order.batch_size,
    ) as producer:
        return await _timed(order, one)


def _confluent(order: Order) -> Figures:
    from confluent_kafka import Producer

    value = b"x" * order.value_bytes
    settings = {
        "bootstrap.servers": order.bootstrap,
        "transactional.id": uuid.uuid4().hex,
        "linger.ms": order.linger_ms,
        "batch.size": order.batch_size,
    }
    producer: Any = Producer(settings)
    producer.init_transactions(30)
    figures = Figures()

    def one() -> None:
        producer.begin_transaction()
        for index in range(order.records):
            producer.produce(TOPIC, value)
            if index % 100 == 0:
                producer.poll(0)
        producer.commit_transaction(60)

    for _ in range(order.warm_up):
        one()
    with Timer(figures):
        for _ in range(order.transactions):
            start = time.perf_counter()
            one()
            figures.latencies.append(time.perf_counter() - start)
    return figures


def measure(order: Order) -> dict[str, float]:
    """Run the order in this process."""
    match order.client:
        case "aioproducer":
            figures = anyio.run(_aioproducer, order)
        case "aioproducer-uvloop":
            figures = anyio.run(_aioproducer, order, backend_options={"use_uvloop": True})
        case "aiokafka":
            figures = anyio.run(_aiokafka, order)
        case _:
            figures = _confluent(order)
    return {
        "transactions_per_s": order.transactions / figures.seconds,
        "cpu_ms": figures.cpu_seconds / order.transactions * 1e3,
        "p50_ms": quantile(figures.latencies, 0.5) * 1e3,
        "p99_ms": quantile(figures.latencies, 0.99) * 1e3,
    }


# ── all of them, in turn ─────────────────────────────────────────────────────────────────────────────────────────────


def run(order: Order) -> dict[str, float]:
    """Run one client in a process of its own.

    Raises:
        RuntimeError: it failed; the text has its last words.
    """
    command = [sys.executable, "-m", "benchmarks.transactions", "--order", json.dumps(asdict(order))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{order.client}, {order.records} records: {done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(size: int, bootstrap: str, chosen: argparse.Namespace) -> Rounds:
    """Run all clients in turn, as often as there are rounds; every other round backwards."""
    rounds: Rounds = defaultdict(list)
    for number in range(chosen.rounds):
        for client in chosen.clients if number % 2 == 0 else reversed(chosen.clients):
            count = max(2, int(SIZES[size] * chosen.scale))
            order = Order(client, bootstrap, size, count, chosen.value_bytes, chosen.linger_ms, chosen.batch_size)
            rounds[client].append(run(order))
    return {client: rounds[client] for client in chosen.clients}


def table(size: int, rounds: Rounds) -> str:
    """Return the lines of one size."""
    lines = [f"\n{size:,} records a transaction"]
    heads = f"{'client':20}{'transactions/s':>15}{'CPU ms':>8}{'p50 ms':>8}{'p99 ms':>8}"
    lines.append(heads + "  ours ÷ theirs: transactions/s · CPU")
    ours = rounds.get("aioproducer", [])
    for client, runs in rounds.items():
        median = median_of(runs)
        line = f"{client:20}{median['transactions_per_s']:>15,.1f}{median['cpu_ms']:>8.2f}"
        line += f"{median['p50_ms']:>8.1f}{median['p99_ms']:>8.1f}"
        if client != "aioproducer" and ours:
            speed, cpu = (spread(ratios(ours, runs, name)) for name in ("transactions_per_s", "cpu_ms"))
            line += f"  {speed} · {cpu}"
        lines.append(line)
    return "\n".join(lines)


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of transactions")
    parser.add_argument("--nodes", type=int, choices=[1, 3], default=1, help="brokers; with three, three replicas")
    parser.add_argument("--clients", choices=CLIENTS, nargs="+", default=list(CLIENTS))
    parser.add_argument("--sizes", type=int, choices=list(SIZES), nargs="+", default=list(SIZES))
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("--linger-ms", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=16_384)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/transactions-DATE-NODES.json")
    parser.add_argument("--order", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    chosen = options()
    if chosen.order:
        print(json.dumps(measure(Order(**json.loads(chosen.order)))))
        return
    from aioproducer.testing import RealCluster

    command = " ".join(["python -m benchmarks.transactions", *sys.argv[1:]])
    result: dict[str, object] = {"command": command, **describe(), "options": vars(chosen)}
    print(json.dumps(result))
    with RealCluster(nodes=chosen.nodes, default_partitions=PARTITIONS, heap_mb=512) as cluster:
        for size in chosen.sizes:
            rounds = compare(size, cluster.bootstrap_servers, chosen)
            print(table(size, rounds), flush=True)
            result[f"{size} records"] = rounds
    if chosen.save:
        path = (
            ROOT
            / "benchmarks"
            / "results"
            / f"transactions-{str(result['date'])[:16].replace(':', '')}-{chosen.nodes}.json"
        )
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(path)


if __name__ == "__main__":
    main()
