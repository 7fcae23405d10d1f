"""The launcher: real clusters start, answer, are hurt by the verbs, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest

# The other client has no types: what it returns is Any here.
from confluent_kafka import Consumer, Producer

from aioproducer.testing import RealCluster
from aioproducer.testing._kafka_node import broker_ids
from aioproducer.testing._real_kafka import RealKafkaError

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.kafka

START_AND_HANG = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background of a shell
from aioproducer.testing import RealCluster
cluster = RealCluster()
cluster.start()
print(cluster.pid(1), cluster.folder, flush=True)
time.sleep(60)
"""


def produce(bootstrap_servers: str, topic: str, value: bytes, timeout: float = 20, timestamp_ms: int = 0) -> str:
    """Produce one record with librdkafka (timestamp 0: now); the error's name, empty when it was acknowledged."""
    outcomes: list[str] = []

    def on_delivery(error: Any, _: Any) -> None:
        outcomes.append(error.name() if error else "")

    settings = {"bootstrap.servers": bootstrap_servers, "message.timeout.ms": int(timeout * 1000), "log_level": 0}
    producer: Any = Producer(settings)
    producer.produce(topic, value, timestamp=timestamp_ms, on_delivery=on_delivery)
    producer.flush(timeout + 5)
    assert len(outcomes) == 1
    return outcomes[0]


def consume(bootstrap_servers: str, topic: str, timeout: float = 20) -> bytes:
    """The first record of a topic, read with librdkafka."""
    consumer: Any = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": "g", "auto.offset.reset": "earliest", "log_level": 0}
    )
    try:
        consumer.subscribe([topic])
        message = consumer.poll(timeout)
        assert message is not None
        assert message.error() is None
        value: bytes = message.value()
        return value
    finally:
        consumer.close()


def eventually(condition: Callable[[], bool], timeout: float = 20) -> bool:
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def exists(pid: int) -> bool:
    """Whether a process exists and is not merely waiting for its parent to notice its end."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def finalized_feature(address: str, name: bytes) -> int:
    """The level that the cluster has settled on (ApiVersions v3, tagged field 2); 0 when it names none."""
    host, _, port = address.rpartition(":")
    request = struct.pack(">hhih", 18, 3, 1, -1) + b"\x00" + b"\x05test" + b"\x021" + b"\x00"
    with socket.create_connection((host, int(port)), 5) as connection, connection.makefile("rb") as stream:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", stream.read(4))
        answer = stream.read(size)
    # Of the supported features, version 3 leaves out those that start at level 0: what is named is a finalized one,
    # as length + 1, name, highest level, lowest level, tags.
    _, found, rest = answer.partition(bytes([len(name) + 1]) + name)
    level: int = struct.unpack_from(">h", rest)[0] if found else 0
    return level


def test_one_node_starts_serves_another_client_and_leaves_nothing() -> None:
    with RealCluster() as cluster:
        pid, folder = cluster.pid(1), cluster.folder
        assert pid is not None
        assert exists(pid)
        assert produce(cluster.bootstrap_servers, "orders", b"value") == ""
        assert consume(cluster.bootstrap_servers, "orders") == b"value"
        assert finalized_feature(cluster.bootstrap_servers, b"transaction.version") == 2
    assert not exists(pid)
    assert not folder.exists()


def test_three_nodes_form_a_quorum_and_survive_a_crash(real_kafka_3: RealCluster) -> None:
    cluster = real_kafka_3
    ports = [int(address.rpartition(":")[2]) for address in cluster.bootstrap_servers.split(",")]
    assert [broker_ids(port) for port in ports] == [{1, 2, 3}] * 3
    cluster.kill(2)
    assert not cluster.is_running(2)
    assert eventually(lambda: broker_ids(ports[0]) == {1, 3})
    assert produce(cluster.bootstrap_servers, "survivors", b"value") == ""
    cluster.restart(2)
    assert broker_ids(ports[1]) == {1, 2, 3}


def test_terminated_node_leaves_the_cluster_before_it_ends(real_kafka_3: RealCluster) -> None:
    ports = [int(address.rpartition(":")[2]) for address in real_kafka_3.bootstrap_servers.split(",")]
    real_kafka_3.terminate(3)
    try:
        assert not real_kafka_3.is_running(3)
        assert eventually(lambda: broker_ids(ports[0]) == {1, 2}, timeout=2)  # a crash is noticed after four seconds
    finally:
        real_kafka_3.restart(3)


def test_paused_node_is_silent_until_it_is_resumed() -> None:
    with RealCluster() as cluster:
        assert produce(cluster.bootstrap_servers, "orders", b"before") == ""
        cluster.pause(1)
        assert produce(cluster.bootstrap_servers, "orders", b"during", timeout=1) == "_MSG_TIMED_OUT"
        cluster.resume(1)
        assert produce(cluster.bootstrap_servers, "orders", b"after") == ""


def test_killed_node_keeps_its_records_and_its_port() -> None:
    with RealCluster() as cluster:
        address = cluster.bootstrap_servers
        assert produce(address, "orders", b"kept") == ""
        cluster.kill(1)
        with pytest.raises(RealKafkaError, match="node 1 is not running"):
            cluster.kill(1)
        cluster.restart(1)
        assert cluster.bootstrap_servers == address
        assert consume(address, "orders") == b"kept"


def test_clients_of_a_proxied_cluster_go_through_the_proxies() -> None:
    with RealCluster(proxied=True) as cluster:
        proxy = cluster.proxy(1)
        assert cluster.bootstrap_servers == proxy.address
        assert produce(cluster.bootstrap_servers, "orders", b"x" * 5000) == ""
        assert proxy.counters.bytes_to_broker > 5000
        proxy.black_hole("to_client")
        assert produce(cluster.bootstrap_servers, "orders", b"swallowed", timeout=1) == "_MSG_TIMED_OUT"
        proxy.heal()
        assert produce(cluster.bootstrap_servers, "orders", b"healed") == ""
        cluster.kill(1)
        assert broker_ids(proxy.port) == set()
        cluster.restart(1)
        assert broker_ids(proxy.port) == {1}


def test_options_reach_the_brokers() -> None:
    with RealCluster(auto_create_topics=False, transaction_version=0, properties={"num.io.threads": "3"}) as cluster:
        text = (cluster.folder / "node-1" / "server.properties").read_text()
        assert "num.io.threads=3\n" in text
        assert finalized_feature(cluster.bootstrap_servers, b"transaction.version") == 0
        assert produce(cluster.bootstrap_servers, "unknown", b"value", timeout=3) != ""


async def test_async_with_does_not_block_the_loop(anyio_backend_name: str) -> None:
    ticks = 0
    pids: list[int | None] = []

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.sleep(0.01)
            ticks += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        async with RealCluster() as cluster:
            pids.append(cluster.pid(1))
            await anyio.to_thread.run_sync(cluster.restart, 1)
            pids.append(cluster.pid(1))
        tasks.cancel_scope.cancel()
    assert ticks > 20, anyio_backend_name
    assert len(set(pids)) == 2
    assert not [pid for pid in pids if pid is None or exists(pid)]


def test_records_with_old_timestamps_stay() -> None:
    deleting_often = {"log.initial.task.delay.ms": "0", "log.retention.check.interval.ms": "50"}
    with RealCluster(properties=deleting_often) as cluster:
        assert produce(cluster.bootstrap_servers, "topic", b"old", timestamp_ms=5) == ""
        time.sleep(0.5)
        assert consume(cluster.bootstrap_servers, "topic") == b"old"


def test_failed_start_shows_the_log_and_leaves_nothing() -> None:
    cluster = RealCluster(properties={"log.retention.bytes": "not a number"})
    with pytest.raises(RealKafkaError, match=r"log\.retention\.bytes"):
        cluster.start()
    with pytest.raises(RealKafkaError, match="not started"):
        _ = cluster.folder


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_nodes_end_with_the_process_that_started_them(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", START_AND_HANG], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        try:
            assert parent.stdout is not None
            pid, folder = parent.stdout.readline().split()
            assert exists(int(pid))
            os.kill(parent.pid, number)
            parent.wait(30)
        finally:
            parent.kill()
    assert eventually(lambda: not exists(int(pid)))
    assert eventually(lambda: not Path(folder).exists())
