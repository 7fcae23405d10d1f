"""What TLS costs: python -m benchmarks.security [--rounds 5] [--seconds 1]

Against a real Kafka, records over TLS beside records without, and confluent-kafka's over TLS; against the sink, the CPU
that TLS adds to a MiB; that of one connection; and for how long connecting over TLS holds the event loop. Each client
is in a process of its own, in turn, and every other round runs backwards. Needs Java and trustme.
"""

from __future__ import annotations

import argparse
import json
import logging
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import trustme

from benchmarks.brokers import HEAP_MB, KAFKA_PROPERTIES, RealKafka, sink
from benchmarks.machine import ROOT, describe
from benchmarks.order import Order
from benchmarks.report import ratios, spread
from benchmarks.runner import Figures, run
from benchmarks.targets import Check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIB: Final = 1 << 20
SIZES: Final = (100, 1000)
BATCHES: Final = {16_384: 1.0, 262_144: 0.8}
"""By batch_size, the CPU that TLS may add to a MiB, ms."""
CONNECTION_LIMIT_MS: Final = 5.0
HELD_LIMIT_MS: Final = 10.0
CONNECTIONS: Final = 40
TICK_SECONDS: Final = 0.0005
STARTS: Final = 7
PLAINTEXT: Final = "plaintext"

Rounds = dict[str, list[Figures]]


def alternating(orders: Mapping[str, Order], rounds: int) -> Rounds:
    """Run all of them in turn, every other round backwards; the figures by name."""
    found: Rounds = {name: [] for name in orders}
    for number in range(rounds):
        for name in orders if number % 2 == 0 else reversed(list(orders)):
            found[name].append(run(orders[name]))
    return found


# ── records, on a real Kafka ─────────────────────────────────────────────────────────────────────────────────────────


def measure_records(folder: Path, rounds: int, seconds: float) -> None:
    """Print records/s and CPU of both clients, with TLS and without."""
    from aioproducer.testing import RealCluster

    properties = {
        **KAFKA_PROPERTIES,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "kafka.pem"),
    }
    with RealCluster(
        heap_mb=HEAP_MB, auto_create_topics=False, properties=properties, listeners={"TLS": "SSL"}
    ) as cluster:
        kafka = RealKafka(cluster.bootstrap_servers)
        for value_bytes in SIZES:
            topic = f"tls-{value_bytes}"
            kafka.make_topic(topic, 6)
            plain = Order("aioproducer", "pipelined", kafka.bootstrap, topic, seconds=seconds, value_bytes=value_bytes)
            secured = replace(plain, bootstrap=cluster.servers("TLS"), ca=str(folder / "ca.pem"))
            other = "confluent-kafka"
            found = alternating(
                {
                    "aioproducer": plain,
                    "aioproducer, TLS": secured,
                    other: replace(plain, client=other),
                    f"{other}, TLS": replace(secured, client=other),
                },
                rounds,
            )
            kafka.drop_topic(topic)
            print(f"\n{value_bytes:,}-byte values, one task submits · real Kafka")
            for name, runs in found.items():
                rates, costs = ([run[figure] for run in runs] for figure in ("records_per_s", "cpu_us"))
                print(f"  {name:24}{spread([rate / 1e3 for rate in rates])} k records/s   {spread(costs)} CPU µs")
            for name, one, two in (
                ("TLS ÷ plaintext", "aioproducer, TLS", "aioproducer"),
                ("TLS ÷ plaintext, confluent-kafka", f"{other}, TLS", other),
                ("over TLS, ours ÷ confluent-kafka's", "aioproducer, TLS", f"{other}, TLS"),
            ):
                speed, cpu = (ratios(found[one], found[two], figure) for figure in ("records_per_s", "cpu_us"))
                print(f"  {name:36} records/s {spread(speed)} · CPU {spread(cpu)}")


# ── what TLS adds, against the sink ──────────────────────────────────────────────────────────────────────────────────


def measure_added(folder: Path, rounds: int, seconds: float) -> list[Check]:
    """Return what TLS adds to the CPU of a MiB, by size of batches: that of values, in whole batches, no codec."""
    checks: list[Check] = []
    value_bytes = 1000
    with sink() as plaintext, sink(certificate=str(folder / "sink.pem")) as encrypted:
        for batch_size, limit in BATCHES.items():
            plain = Order(
                "aioproducer",
                "forget",
                plaintext,
                "tls-p6",
                seconds=seconds,
                value_bytes=value_bytes,
                batch_size=batch_size,
            )
            secured = replace(plain, bootstrap=encrypted, ca=str(folder / "ca.pem"))
            found = alternating({"plain": plain, "tls": secured}, rounds)
            added = [
                (tls["cpu_us"] - without["cpu_us"]) / 1e3 * MIB / value_bytes
                for tls, without in zip(found["tls"], found["plain"], strict=True)
            ]
            name = f"TLS, batches of {batch_size // 1024} KiB: CPU added to a MiB"
            checks.append(Check(name, tuple(added), limit, unit="ms"))
    return checks


# ── one connection ───────────────────────────────────────────────────────────────────────────────────────────────────


def measure_connections(folder: Path, rounds: int) -> list[Check]:
    """Return the CPU of a connection, what TLS is of it included, and for how long start() holds the loop."""
    trusts = {"a CA": str(folder / "ca.pem"), "the system's CAs": ""}
    bundle: str | None = (
        ssl.get_default_verify_paths().cafile
    )  # None where there is no such file, whatever the types say
    if bundle:
        trusts["the same, as a file"] = bundle
    with sink(certificate=str(folder / "sink.pem")) as encrypted, sink() as plaintext:
        connections = tuple(_here("connect", encrypted, trusts["a CA"]) for _ in range(rounds))
        checks = [Check("a TLS connection: CPU", connections, CONNECTION_LIMIT_MS, unit="ms")]
        floor = tuple(_here("held", plaintext, PLAINTEXT) for _ in range(rounds))
        for name, ca in trusts.items():
            held = tuple(_here("held", encrypted, ca) for _ in range(rounds))
            checks.append(Check(f"start(), {name}: loop held", held, HELD_LIMIT_MS, unit="ms", floor=floor))
    return checks


def _here(what: str, *arguments: object) -> float:
    """Run one of the programs below in a process of its own; it prints a number."""
    command = [sys.executable, "-m", "benchmarks.security", f"--{what}", json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    return float(done.stdout)


async def connect(bootstrap: str, ca: str) -> float:
    """Connect again and again; return the CPU of one connection, ms, from the first byte to the broker's versions."""
    from aioproducer import ProducerConfig, _backend
    from aioproducer._net.dialer import Dialer
    from aioproducer._runtime.setup_steps import prepared_steps

    backend = _backend.current()
    config = ProducerConfig(bootstrap_servers=bootstrap, security_protocol="SSL", ssl_truststore_location=ca)
    dialer = Dialer(backend.tcp_connector(-1, -1), "bench", backend.clock, steps=await prepared_steps(config))
    ((host, port),) = config.bootstrap_servers
    begin = 0.0
    for number in range(CONNECTIONS + 5):
        if number == 5:
            begin = time.process_time()
        established = await dialer.dial(host, port)
        await established.connection.aclose()
    return (time.process_time() - begin) / CONNECTIONS * 1e3


async def held(bootstrap: str, ca: str) -> float:
    """Start producers beside a task that ticks; return by how much it was late at most, ms: the median of some starts.

    The first, which imports what is needed, does not count. Without the right CA the sink's certificate is refused at
    the end; that costs the same.
    """
    from aioproducer import Producer
    from aioproducer.errors import AuthenticationError

    settings: dict[str, Any] = {"ssl_truststore_location": ca} if ca else {}
    settings |= {"security_protocol": "SSL" if ca != PLAINTEXT else "PLAINTEXT"}
    if ca == PLAINTEXT:
        del settings["ssl_truststore_location"]
    worst, found = 0.0, list[float]()

    async def tick() -> None:
        nonlocal worst
        while True:
            begin = time.perf_counter()
            await anyio.sleep(TICK_SECONDS)
            worst = max(worst, time.perf_counter() - begin - TICK_SECONDS)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        for _ in range(STARTS + 1):
            await anyio.sleep(0.02)
            worst = 0.0
            try:
                async with Producer[bytes, bytes](bootstrap_servers=bootstrap, **settings):
                    await anyio.sleep(0.02)
            except AuthenticationError:
                pass
            found.append(worst * 1e3)
        tasks.cancel_scope.cancel()
    return statistics.median(found[1:])


# ── all of it ────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_certificates(folder: Path) -> None:
    """Write a CA's, and a broker's with its key as Kafka and as OpenSSL want it."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    ca = trustme.CA(key_type=trustme.KeyType.RSA)
    broker = ca.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.RSA)
    chain = b"".join(blob.bytes() for blob in broker.cert_chain_pems)
    key = load_pem_private_key(broker.private_key_pem.bytes(), None)
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, content in (("kafka.pem", pkcs8 + chain), ("sink.pem", pkcs8 + chain), ("ca.pem", ca.cert_pem.bytes())):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)


def main(arguments: Sequence[str]) -> None:
    """Print the figures, or be one of the processes."""
    match arguments:
        case ["--connect", given]:
            print(anyio.run(connect, *json.loads(given)))
        case ["--held", given]:
            logging.getLogger("aioproducer").setLevel(logging.CRITICAL)  # refused on purpose
            print(anyio.run(held, *json.loads(given)))
        case _:
            parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
            parser.add_argument("--rounds", type=int, default=5)
            parser.add_argument("--seconds", type=float, default=1.0, help="that the timed part of a run takes, about")
            parser.add_argument("--sink", action="store_true", help="without what a real Kafka is needed for")
            measure(parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> None:
    """Measure and print."""
    print(json.dumps(describe()), flush=True)
    with tempfile.TemporaryDirectory(prefix="aioproducer-bench-") as name:
        folder = Path(name)
        write_certificates(folder)
        if not options.sink:
            measure_records(folder, options.rounds, options.seconds)
        checks = measure_added(folder, options.rounds, options.seconds)
        checks += measure_connections(folder, options.rounds)
    print("\nTargets; what is called bare tasks is start() without TLS")
    for check in checks:
        print(check.line())


if __name__ == "__main__":
    main(sys.argv[1:])
