"""What is produced to: a real Kafka of one node, or the sink."""

# confluent-kafka has no types that a strict checker accepts.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from typing import Any, Final, Literal, Protocol

from benchmarks.machine import ROOT

BrokerKind = Literal["kafka", "sink"]

KAFKA_PROPERTIES: Final = {
    "log.segment.bytes": str(256 * 1024 * 1024),
    "file.delete.delay.ms": "1000",
    "log.retention.check.interval.ms": "3600000",
}
HEAP_MB: Final = 768
ADMIN_SECONDS: Final = 60.0


class Broker(Protocol):
    """Where records go."""

    bootstrap: str

    def make_topic(self, name: str, partitions: int) -> None:
        """Have an empty topic."""
        ...

    def drop_topic(self, name: str) -> None:
        """Be done with it."""
        ...

    def count(self, name: str, partitions: int) -> int | None:
        """Return the records that a topic has, or None where nobody knows."""
        ...


class RealKafka:
    """A real Kafka, asked by its admin protocol."""

    def __init__(self, bootstrap: str) -> None:
        from confluent_kafka.admin import AdminClient

        self.bootstrap = bootstrap
        self._new_admin: Callable[[], Any] = lambda: AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def make_topic(self, name: str, partitions: int) -> None:
        """Have an empty topic."""
        from confluent_kafka import KafkaException
        from confluent_kafka.cimpl import NewTopic

        admin = self._new_admin()
        for future in admin.create_topics([NewTopic(name, partitions, 1)]).values():
            future.result(ADMIN_SECONDS)
        deadline = time.monotonic() + ADMIN_SECONDS
        while True:  # its leaders are elected a moment later
            try:
                self.count(name, partitions)
                return
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def drop_topic(self, name: str) -> None:
        """Delete it, or the disk would fill."""
        admin = self._new_admin()
        for future in admin.delete_topics([name]).values():
            future.result(ADMIN_SECONDS)

    def count(self, name: str, partitions: int) -> int:
        """Return the sum of the end offsets."""
        from confluent_kafka import TopicPartition
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # pyright: ignore[reportPrivateImportUsage]

        # A new one each time: an old one remembers that a new topic had no leaders.
        admin = self._new_admin()
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(name, index): latest for index in range(partitions)}
        return sum(int(future.result(ADMIN_SECONDS).offset) for future in admin.list_offsets(asked).values())


class SinkBroker:
    """The sink: it has every topic, and knows nothing afterwards."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def make_topic(self, name: str, partitions: int) -> None:
        """Nothing to do."""

    def drop_topic(self, name: str) -> None:
        """Nothing to do."""

    def count(self, name: str, partitions: int) -> None:
        """Nobody knows."""


@contextlib.contextmanager
def started(kind: BrokerKind) -> Generator[Broker, None, None]:
    """Start a broker, or take the Kafka that KAFKA_BOOTSTRAP_SERVERS names."""
    if kind == "sink":
        with sink() as bootstrap:
            yield SinkBroker(bootstrap)
        return
    if given := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield RealKafka(given)
        return
    from aioproducer.testing import RealCluster

    with RealCluster(nodes=1, heap_mb=HEAP_MB, auto_create_topics=False, properties=KAFKA_PROPERTIES) as cluster:
        yield RealKafka(cluster.bootstrap_servers)


@contextlib.contextmanager
def sink(nodes: int = 1, stall: float = 0.0, certificate: str = "") -> Generator[str, None, None]:
    """Start the sink in a process of its own; gives the address of its first node."""
    command = [sys.executable, "-m", "benchmarks.sink", "--nodes", str(nodes), "--stall", str(stall)]
    command += ["--certificate", certificate] if certificate else []
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield f"127.0.0.1:{process.stdout.readline().split()[0]}"
        finally:
            process.stdin.close()  # it ends by that
