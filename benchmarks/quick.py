"""Compare aioproducer with other clients: python benchmarks/quick.py [--rounds 5] [--against sink] [--save]

Every client runs in a process of its own, in turn, against the same broker, with the same settings (acks=all,
idempotence, linger, batch size); the rounds alternate, so that what else the machine does hits all of them. Figures are
the median of the rounds; ratios are taken within a round, with their least and greatest.

Against "kafka", a real Kafka of one node (needs Java), or "sink", a broker that takes everything and keeps nothing.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from dataclasses import asdict
from typing import Final

from benchmarks.comparison.versions import ROOT, describe
from benchmarks.comparison.worker import CLIENTS
from benchmarks.comparison.workload import PARTITIONS, WORKLOADS, Order

RUN_SECONDS: Final = 120.0
COUNTS: Final = {
    "pipelined": {"confluent-kafka": 300_000, "": 100_000},
    "tasks": {"aiokafka": 30_000, "": 60_000},
    "latency": {"confluent-aio": 50, "": 1000},
}
"""Records of a run, about a second's worth; "" is for those not named."""

Rounds = dict[str, list[dict[str, float]]]
"""By client, the figures of each round."""


@contextlib.contextmanager
def broker(kind: str) -> Generator[str, None, None]:
    """Start what is produced to; gives its address."""
    if kind == "kafka":
        from aioproducer.testing import RealCluster

        with RealCluster(nodes=1, default_partitions=PARTITIONS, heap_mb=512) as cluster:
            yield cluster.bootstrap_servers
        return
    command = [sys.executable, "-m", "benchmarks.comparison.sink"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()  # it ends by that


def run(order: Order) -> dict[str, float]:
    """Run one client in a process of its own.

    Raises:
        RuntimeError: it failed; the text has its last words.
    """
    command = [sys.executable, "-m", "benchmarks.comparison.worker", json.dumps(asdict(order))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{order.client}, {order.workload}: {done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(workload: str, clients: list[str], bootstrap: str, options: argparse.Namespace) -> Rounds:
    """Run all clients in turn, as often as there are rounds; every other round backwards."""
    rounds: Rounds = defaultdict(list)
    for number in range(options.rounds):
        for client in clients if number % 2 == 0 else reversed(clients):
            if workload == "tasks" and client == "confluent-kafka":
                continue  # it has no way to await a record
            count = COUNTS[workload].get(client, COUNTS[workload][""])
            order = Order(
                client,
                workload,
                bootstrap,
                max(int(count * options.scale), 100),
                value_bytes=options.value_bytes,
                linger_ms=options.linger_ms,
                batch_size=options.batch_size,
                key_count=options.keys,
            )
            rounds[client].append(run(order))
    return rounds


def spread(values: list[float]) -> str:
    """Return median, least and greatest as text."""
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


def table(workload: str, rounds: Rounds, against: str) -> Iterator[str]:
    """Yield the lines of a workload's table."""
    yield f"\n{workload}, {against}"
    heads = f"{'client':20}{'records/s':>11}{'CPU µs':>8}{'p50 ms':>8}{'p99 ms':>8}{'lag p99':>9}"
    yield heads + "  ours ÷ theirs: records/s · CPU"
    ours = rounds.get("aioproducer", [])
    for client, runs in rounds.items():
        median = {name: statistics.median(each[name] for each in runs) for name in runs[0]}
        line = f"{client:20}{median['records_per_s']:>11,.0f}{median['cpu_us']:>8.2f}"
        for name in ("latency_p50_ms", "latency_p99_ms", "lag_p99_ms"):
            line += f"{median[name]:>{9 if name == 'lag_p99_ms' else 8}.2f}" if name in median else " " * 8
        if client != "aioproducer" and ours:
            speed = [mine["records_per_s"] / other["records_per_s"] for mine, other in zip(ours, runs, strict=True)]
            cpu = [mine["cpu_us"] / other["cpu_us"] for mine, other in zip(ours, runs, strict=True)]
            line += f"  {spread(speed)} · {spread(cpu)}"
        yield line


def import_times(rounds: int) -> dict[str, float]:
    """Return ms that importing takes beyond an empty process, the median of some runs, alternating."""
    statements = {
        "nothing": "",
        "anyio": "import anyio",
        "aioproducer": "import aioproducer",
        "aioproducer.Producer": "from aioproducer import Producer",
        "Producer(…)": "from aioproducer import Producer; Producer(bootstrap_servers='localhost:9092')",
        "aiokafka": "from aiokafka import AIOKafkaProducer",
        "confluent_kafka": "from confluent_kafka import Producer",
        "confluent_kafka.aio": "from confluent_kafka.aio import AIOProducer",
    }
    times: dict[str, list[float]] = defaultdict(list)
    # Installed packages are compiled; without the byte code of ours, its import would take twice as long.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    compileall.compile_dir(ROOT / "aioproducer", quiet=2)
    for _ in range(rounds):
        for name, statement in statements.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True, cwd=ROOT, timeout=30, env=environment)
            times[name].append((time.perf_counter() - start) * 1e3)
    empty = statistics.median(times["nothing"])
    return {name: round(statistics.median(values) - empty, 1) for name, values in times.items() if name != "nothing"}


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of records")
    parser.add_argument("--against", choices=["kafka", "sink"], nargs="+", default=["kafka", "sink"])
    parser.add_argument("--clients", choices=list(CLIENTS), nargs="+", default=list(CLIENTS))
    parser.add_argument("--workloads", choices=WORKLOADS, nargs="+", default=list(WORKLOADS))
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("--linger-ms", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=16_384)
    parser.add_argument("--keys", type=int, default=0, help="how many different keys; 0: records without a key")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/DATE.json")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    chosen = options()
    result: dict[str, object] = {"command": " ".join(sys.argv), **describe(), "options": vars(chosen)}
    print(json.dumps(result))
    for against in chosen.against:
        with broker(against) as bootstrap:
            for workload in chosen.workloads:
                rounds = compare(workload, chosen.clients, bootstrap, chosen)
                print("\n".join(table(workload, rounds, against)), flush=True)
                result[f"{workload}, {against}"] = rounds
    imports = import_times(chosen.rounds * 2 + 1)
    print("\nimport, ms beyond an empty process:", ", ".join(f"{name} {ms}" for name, ms in imports.items()))
    result["import_ms"] = imports
    if chosen.save:
        path = ROOT / "benchmarks" / "results" / f"quick-{str(result['date'])[:16].replace(':', '')}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(path)


if __name__ == "__main__":
    main()
