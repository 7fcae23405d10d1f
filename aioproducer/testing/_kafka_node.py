"""One Kafka node as a process: its configuration, its storage, its signals, whether it answers.

Nothing here knows of other nodes; `real_kafka` joins them to a cluster.
"""

from __future__ import annotations

import base64
import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aioproducer.testing._jars import RealKafkaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CLUSTER_ID: Final = "YWlvcHJvZHVjZXItdGVzdA"  # a Kafka Uuid: 16 bytes in base64
HOST: Final = "127.0.0.1"

# Below the range from which the system takes ports for outgoing connections: a stopped node finds its own again.
_PORTS: Final = range(20_000, 32_000)


@dataclass(slots=True)
class Ports:
    """The three listeners of a node: for clients, for the other brokers, for the quorum."""

    client: int
    internal: int
    controller: int


@dataclass(slots=True, eq=False)
class Node:
    """A node and its process; `process` is None before the first start and after the end has been seen."""

    node_id: int
    ports: Ports
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    advertised_port: int = 0
    is_paused: bool = False
    arguments: list[str] = field(default_factory=list[str])

    @property
    def log_path(self) -> Path:
        """What the node printed, of all its starts."""
        return self.folder / "kafka.log"

    @property
    def properties_path(self) -> Path:
        """The node's server.properties."""
        return self.folder / "server.properties"

    @property
    def data_folder(self) -> Path:
        """Where the node keeps its logs (log.dirs)."""
        return self.folder / "data"

    @property
    def is_running(self) -> bool:
        """Whether the process exists; a paused one does."""
        return self.process is not None and self.process.poll() is None

    def write_properties(self, properties: Mapping[str, str]) -> None:
        """Write server.properties."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.properties_path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))

    def write_storage(self, checkpoint: bytes) -> None:
        """Format the storage as StorageTool does, without the second that starting a Java for it takes."""
        self.data_folder.mkdir(parents=True, exist_ok=True)
        (self.data_folder / "bootstrap.checkpoint").write_bytes(checkpoint)
        (self.data_folder / "meta.properties").write_text(
            f"version=1\ncluster.id={CLUSTER_ID}\nnode.id={self.node_id}\ndirectory.id={_directory_id(self.node_id)}\n"
        )

    def launch(self, process_group: int) -> None:
        """Start the process, in the group that ends with the guard."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.arguments, "kafka.Kafka", str(self.properties_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                process_group=process_group,
            )
        self.is_paused = False

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the running process."""
        if self.process is None or not self.is_running:
            raise RealKafkaError(f"node {self.node_id} is not running")
        self.process.send_signal(number)

    def wait_stopped(self, timeout: float) -> bool:
        """Wait for the end of the process; False when it still runs after `timeout` seconds."""
        if self.process is not None:
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                return False
            self.process = None
        return True

    def log_tail(self, line_count: int = 30) -> str:
        """The last lines the node printed."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-line_count:])


class Guard:
    """Kills a process group, and removes its files, when this Python process ends, however it ends.

    A shell waits on a pipe that only we hold open. It leads the group that the nodes are started in, and kills that
    whole group when the pipe breaks: no pid can be reused meanwhile, and Ctrl-C in a terminal does not reach the group.
    """

    def __init__(self, folder: Path) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r _; rm -rf "$1"; kill -9 0', "guard", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    @property
    def process_group(self) -> int:
        """The group to start processes in."""
        return self._shell.pid

    def kill_all(self) -> None:
        """Kill the group and the guard."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait()


def java_arguments(
    java: str, jars: Path, heap_mb: int, log_level: str, archive: Sequence[str], temporary: Path
) -> list[str]:
    """The command line up to the main class: what makes a small Java start fast.

    `temporary` is where codecs unpack their native libraries, and leave them when they are killed.
    """
    # In a fixed order, and without wildcards: a class archive is refused when the class path differs.
    class_path = os.pathsep.join(str(path) for path in sorted(jars.glob("*.jar")))
    return [
        java,
        f"-Xmx{heap_mb}m",
        "-Xms96m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:-UsePerfData",
        "-XX:+ExitOnOutOfMemoryError",
        "-Xlog:disable",
        "-Xlog:all=error:stderr",
        *archive,
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={temporary}",
        f"-Dorg.slf4j.simpleLogger.defaultLogLevel={log_level}",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        "-cp",
        class_path,
    ]


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().choice(_PORTS)
        if port not in found and _is_free(port):
            found.append(port)
    return found


def broker_ids(port: int, timeout: float = 2.0) -> set[int]:
    """The brokers that the one on this port knows (Metadata v1); empty while it is silent or knows no controller."""
    try:
        with socket.create_connection((HOST, port), timeout) as connection:
            connection.settimeout(timeout)
            request = struct.pack(
                ">hhihi", 3, 1, 1, -1, 0
            )  # Metadata, version 1, correlation id, no client id, no topics
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as stream:
                (size,) = struct.unpack(">i", stream.read(4))
                return _parse_brokers(stream.read(size))
    except (OSError, struct.error):
        return set()


def taken(ports: Sequence[int]) -> list[int]:
    """Those of these ports of 127.0.0.1 on which somebody listens."""
    return [port for port in ports if not _is_free(port)]


def accepts(port: int) -> bool:
    """Whether somebody listens on this port of 127.0.0.1."""
    try:
        socket.create_connection((HOST, port), 1.0).close()
    except OSError:
        return False
    return True


def wait_until_free(ports: Sequence[int], timeout: float) -> None:
    """Wait until nobody listens on these ports any more, as after a kill."""
    deadline = time.monotonic() + timeout
    while not all(_is_free(port) for port in ports):
        if time.monotonic() > deadline:
            raise RealKafkaError(f"ports {list(ports)} are still taken after {timeout:g} s")
        time.sleep(0.02)


def _directory_id(node_id: int) -> str:
    return base64.urlsafe_b64encode(b"aioproducer-dir" + bytes([node_id])).decode().rstrip("=")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _parse_brokers(answer: bytes) -> set[int]:
    (count,) = struct.unpack_from(">i", answer, 4)
    position = 8
    found: set[int] = set()
    for _ in range(count):
        (node_id, host_size) = struct.unpack_from(">ih", answer, position)
        position += 6 + host_size + 4
        (rack_size,) = struct.unpack_from(">h", answer, position)
        position += 2 + max(rack_size, 0)
        found.add(node_id)
    (controller_id,) = struct.unpack_from(">i", answer, position)
    return found if controller_id >= 0 else set()
