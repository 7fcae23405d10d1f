"""Real Apache Kafka on loopback, for tests: one to three nodes, started in seconds, with signals as verbs.

    with RealCluster(nodes=3) as cluster:
        produce_to(cluster.bootstrap_servers)
        cluster.kill(2)
        cluster.restart(2)

Needs Java 17 and, the first time, Maven (see `java_command` and `fetch_jars`). Every node is broker and controller
(KRaft). POSIX only.
"""

from __future__ import annotations

import atexit
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import anyio.to_thread
from anyio.from_thread import start_blocking_portal

from aioproducer._public import public_in
from aioproducer.testing import _kafka_node as kafka_node
from aioproducer.testing._class_archive import ClassArchive, digest, write_atomically
from aioproducer.testing._jars import (
    KAFKA_VERSION,
    RealKafkaError,
    RequirementMissingError,
    fetch_jars,
    has_jars,
    has_java,
    has_maven,
    jar_folder,
    java_command,
)
from aioproducer.testing._proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aioproducer.testing._interception import Interception

__all__ = [
    "KAFKA_VERSION",
    "RealCluster",
    "RealKafkaError",
    "RequirementMissingError",
    "fetch_jars",
    "has_jars",
    "has_java",
    "has_maven",
    "jar_folder",
    "java_command",
]

START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 30.0

# What differs from Kafka's defaults: small files, few threads, no waiting for a group that has one member, failures
# noticed in seconds, and records stay, however old their timestamps are. `properties` overrides any of it.
_SMALL: Final = {
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "1",
    "background.threads": "2",
    "log.segment.bytes": str(16 * 1024 * 1024),
    "log.index.size.max.bytes": str(1024 * 1024),
    "log.retention.ms": "-1",
    "log.cleaner.dedupe.buffer.size": str(2 * 1024 * 1024),  # the default is a third of the heap we give
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.num.partitions": "2",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "4000",
    "replica.lag.time.max.ms": "10000",
    "controlled.shutdown.enable": "true",
}


@public_in("aioproducer.testing")
class RealCluster:
    """A Kafka cluster of real brokers, whose methods block; the ones for signals do so for a moment only.

    Usable with `with` and, the waiting in a worker thread, with `async with`. In async code call `restart`, `terminate`
    and `wait_ready` with `anyio.to_thread.run_sync`. Processes and files are gone after `stop()`, and also when this
    Python process ends in any way. Nodes are numbered from 1.

    Args:
        nodes: 1 to 3; with three, replication is three unless told otherwise.
        proxied: clients are sent through a FaultProxy per node, see `proxy`.
        auto_create_topics: whether asking for an unknown topic creates it (auto.create.topics.enable).
        default_partitions: partitions of topics created that way.
        replication_factor: of new topics and of Kafka's own; None is one per node.
        min_insync_replicas: of topics that do not say.
        message_max_bytes: the largest batch a topic takes unless it says otherwise.
        transaction_version: 0, or 2 with KIP-890; None is this Kafka's default (2).
        features: other feature levels, by name.
        properties: further lines of server.properties; they win over ours.
        format_arguments: further arguments of `StorageTool format`, such as `["--add-scram", "SCRAM-SHA-256=[…]"]`.
        listeners: further listeners for clients, by name in upper case, and the protocol of each, such as
            {"TLS": "SSL"}; what it needs goes into `properties`, with the prefix `listener.name.tls.`. See `servers`.
        client_security_protocol: of the listener for clients; what it needs goes into `properties`, where
            `listener.name.client.` is its prefix.
        heap_mb: memory of each node.
        log_level: what nodes write to their log file: "error", "warn", "info" (starts up to a second later), "debug".
        client_ports: of the listeners for clients, one a node; free ones by default.
        java_options: further options of Java, such as "-Djava.security.krb5.conf=…".
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        proxied: bool = False,
        auto_create_topics: bool = True,
        default_partitions: int = 1,
        replication_factor: int | None = None,
        min_insync_replicas: int = 1,
        message_max_bytes: int = 1_048_588,
        transaction_version: int | None = None,
        features: Mapping[str, int] | None = None,
        properties: Mapping[str, str] | None = None,
        format_arguments: Sequence[str] = (),
        listeners: Mapping[str, str] | None = None,
        client_security_protocol: str = "PLAINTEXT",
        heap_mb: int = 384,
        log_level: str = "warn",
        client_ports: Sequence[int] = (),
        java_options: Sequence[str] = (),
    ) -> None:
        if nodes not in (1, 2, 3):
            raise ValueError(f"nodes={nodes} is not 1, 2 or 3")
        if sys.platform == "win32":
            raise RealKafkaError("RealCluster uses process groups and signals, which Windows does not have")
        self._node_count = nodes
        self._is_proxied = proxied
        version = {} if transaction_version is None else {"transaction.version": transaction_version}
        self._features = {**(features or {}), **version}
        self._format_arguments = tuple(format_arguments)
        self._client_security_protocol = client_security_protocol
        self._listeners = dict(listeners or {})
        self._listener_ports: dict[tuple[int, str], int] = {}
        self._heap_mb = heap_mb
        self._log_level = log_level
        self._client_ports = list(client_ports)
        self._java_options = tuple(java_options)
        replicas = nodes if replication_factor is None else replication_factor
        self._properties = {
            **_SMALL,
            "auto.create.topics.enable": str(auto_create_topics).lower(),
            "num.partitions": str(default_partitions),
            "default.replication.factor": str(replicas),
            "offsets.topic.replication.factor": str(replicas),
            "transaction.state.log.replication.factor": str(replicas),
            "share.coordinator.state.topic.replication.factor": str(replicas),
            "transaction.state.log.min.isr": str(min(2, replicas)),
            "share.coordinator.state.topic.min.isr": str(min(2, replicas)),
            "min.insync.replicas": str(min_insync_replicas),
            "message.max.bytes": str(message_max_bytes),
        }
        self._own_properties = dict(properties or {})
        self._nodes: dict[int, kafka_node.Node] = {}
        self._proxies: dict[int, FaultProxy] = {}
        self._folder: Path | None = None
        self._guard: kafka_node.Guard | None = None
        self._archive: ClassArchive | None = None
        self._background = contextlib.ExitStack()
        self._stopping = threading.Lock()
        self.start_seconds: float = 0.0

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect to first: host:port of every node, through the proxies if there are any."""
        return ",".join(f"{kafka_node.HOST}:{node.advertised_port}" for node in self._nodes.values())

    def servers(self, listener: str) -> str:
        """Where clients connect to one of the further `listeners`: host:port of every node."""
        return ",".join(f"{kafka_node.HOST}:{self._listener_ports[node_id, listener]}" for node_id in self._nodes)

    @property
    def node_ids(self) -> list[int]:
        """The numbers of the nodes, also of stopped ones."""
        return list(self._nodes)

    @property
    def folder(self) -> Path:
        """Where the nodes' files are while the cluster runs."""
        if self._folder is None:
            raise RealKafkaError("the cluster is not started")
        return self._folder

    def start(self) -> None:
        """Start all nodes at the same time and wait until each of them knows all the others.

        Raises:
            RequirementMissingError: no Java, or no jars and no Maven.
            RealKafkaError: one of `client_ports` is taken; or a node ended or did not answer within 90 s, and the
                message has the end of its log.
        """
        if self._folder is not None:
            raise RealKafkaError("the cluster is started already")
        # 1. A port is taken, perhaps by another Kafka. 2. The node cannot have it and takes seconds to say so.
        # 3. Whoever asks that port meanwhile whether the node is ready gets somebody else's answer.
        taken = kafka_node.taken(self._client_ports)
        if taken:
            raise RealKafkaError(f"port {taken[0]} of {kafka_node.HOST} is in use; end who uses it, or choose another")
        java, jars = java_command(), fetch_jars()
        started = time.monotonic()
        self._folder = Path(tempfile.mkdtemp(prefix="aioproducer-kafka-"))
        atexit.register(self.stop)
        try:
            self._make_nodes()
            if self._is_proxied:
                self._start_proxies()
            self._prepare(java, jars)
            self._guard = kafka_node.Guard(self.folder)
            for node in self._nodes.values():
                node.launch(self._guard.process_group)
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.monotonic() - started

    def stop(self) -> None:
        """Kill all nodes and remove their files; a cluster that is not started stays so. May be called twice."""
        with self._stopping:
            atexit.unregister(self.stop)
            if self._archive is not None:
                self._archive.keep(self._nodes[1])
                self._archive = None
            if self._guard is not None:
                self._guard.kill_all()
                self._guard = None
            for node in self._nodes.values():
                node.wait_stopped(STOP_SECONDS)
            self._background.close()
            self._nodes.clear()
            self._proxies.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):  # bounded: nodes are killed
            await anyio.to_thread.run_sync(self.stop)

    def kill(self, node_id: int) -> None:
        """End a node at once (SIGKILL), as a crash does; its files stay. Works on a paused node too."""
        node = self._node(node_id)
        node.send_signal(signal.SIGKILL)
        self._after_end(node, STOP_SECONDS)

    def terminate(self, node_id: int) -> None:
        """End a node in a controlled way (SIGTERM): it moves its leaderships first. Blocks until it has ended."""
        node = self._node(node_id)
        node.send_signal(signal.SIGTERM)
        self._after_end(node, STOP_SECONDS)

    def pause(self, node_id: int) -> None:
        """Stop a node from running (SIGSTOP); connections to it stay open and nothing is answered."""
        node = self._node(node_id)
        node.send_signal(signal.SIGSTOP)
        node.is_paused = True

    def resume(self, node_id: int) -> None:
        """Let a paused node go on (SIGCONT)."""
        node = self._node(node_id)
        node.send_signal(signal.SIGCONT)
        node.is_paused = False

    def restart(self, node_id: int) -> None:
        """Start a node again, after a kill if it still runs, and wait until it is part of the cluster."""
        node = self._node(node_id)
        if node.is_running:
            self.kill(node_id)
        assert self._guard is not None
        kafka_node.wait_until_free([node.ports.client, node.ports.internal, node.ports.controller], STOP_SECONDS)
        node.launch(self._guard.process_group)
        if node_id in self._proxies:
            self._proxies[node_id].accept()
        self.wait_ready()

    def wait_ready(self, timeout: float = START_SECONDS) -> None:
        """Wait until every running node knows every other running one, and a controller.

        Raises:
            RealKafkaError: a node ended meanwhile, or that took longer than `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        awaited = [node for node in self._nodes.values() if node.process is not None and not node.is_paused]
        expected = {node.node_id for node in awaited}
        for node in awaited:
            while not (
                kafka_node.broker_ids(node.ports.internal) >= expected and kafka_node.accepts(node.ports.client)
            ):
                if not node.is_running:
                    raise RealKafkaError(f"node {node.node_id} ended while it was started\n{self._logs()}")
                if time.monotonic() > deadline:
                    raise RealKafkaError(f"node {node.node_id} is not ready after {timeout:g} s\n{self._logs()}")
                time.sleep(0.05)

    def proxy(self, node_id: int) -> FaultProxy:
        """The proxy between clients and this node; its verbs may be called from any thread."""
        if not self._is_proxied:
            raise RealKafkaError("the cluster has no proxies; make it with proxied=True")
        return self._proxies[node_id]

    def intercept(self, interception: Interception) -> None:
        """Have it act when its moment comes, at whichever node; it acts once."""
        for node_id in self._nodes:
            self.proxy(node_id).intercept(interception)

    def is_running(self, node_id: int) -> bool:
        """Whether the node's process exists; a paused one does."""
        return self._node(node_id).is_running

    def pid(self, node_id: int) -> int | None:
        """The node's process id; None when it does not run."""
        process = self._node(node_id).process
        return process.pid if process is not None else None

    def log_path(self, node_id: int) -> Path:
        """The file that the node logs to; it goes with `stop()`."""
        return self._node(node_id).log_path

    def _node(self, node_id: int) -> kafka_node.Node:
        try:
            return self._nodes[node_id]
        except KeyError:
            raise RealKafkaError(f"node {node_id} does not exist; there are {self.node_ids}") from None

    def _after_end(self, node: kafka_node.Node, timeout: float) -> None:
        if not node.wait_stopped(timeout):
            raise RealKafkaError(f"node {node.node_id} did not end within {timeout:g} s\n{self._logs()}")
        if node.node_id in self._proxies:  # a port that nobody listens on, as without a proxy
            self._proxies[node.node_id].refuse()
            self._proxies[node.node_id].reset()

    def _make_nodes(self) -> None:
        ports = kafka_node.free_ports((3 + len(self._listeners)) * self._node_count)
        rest = iter(ports[3 * self._node_count :])
        for index in range(self._node_count):
            own = kafka_node.Ports(*ports[3 * index : 3 * index + 3])
            if index < len(self._client_ports):
                own.client = self._client_ports[index]
            node_id = index + 1
            folder = self.folder / f"node-{node_id}"
            self._nodes[node_id] = kafka_node.Node(node_id, own, folder, advertised_port=own.client)
            self._listener_ports.update({(node_id, name): next(rest) for name in self._listeners})

    def _start_proxies(self) -> None:
        portal = self._background.enter_context(start_blocking_portal())
        for node in self._nodes.values():
            proxy = FaultProxy((kafka_node.HOST, node.ports.client))
            self._background.enter_context(portal.wrap_async_context_manager(proxy))
            self._proxies[node.node_id] = proxy
            node.advertised_port = proxy.port

    def _prepare(self, java: str, jars: Path) -> None:
        archive = ClassArchive.of(java, jars)
        for node in self._nodes.values():
            flags = archive.flags(is_recording=node.node_id == 1, folder=self.folder)
            arguments = kafka_node.java_arguments(java, jars, self._heap_mb, self._log_level, flags, self.folder)
            node.arguments = [*arguments, *self._java_options]
            node.write_properties(self._properties_of(node))
        if archive.is_recording:
            self._archive = archive
        tool = kafka_node.java_arguments(java, jars, 128, "error", archive.read_flags(), self.folder)
        checkpoint = self._checkpoint(tool, jars)
        for node in self._nodes.values():
            node.write_storage(checkpoint)

    def _properties_of(self, node: kafka_node.Node) -> dict[str, str]:
        host = kafka_node.HOST
        voters = (f"{other.node_id}@{host}:{other.ports.controller}" for other in self._nodes.values())
        further = [f",{name}://{host}:{self._listener_ports[node.node_id, name]}" for name in self._listeners]
        protocols = "".join(f",{name}:{protocol}" for name, protocol in self._listeners.items())
        return {
            "node.id": str(node.node_id),
            "process.roles": "broker,controller",
            "controller.quorum.voters": ",".join(voters),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "INTERNAL",
            "listeners": f"CLIENT://{host}:{node.ports.client},INTERNAL://{host}:{node.ports.internal},"
            f"CONTROLLER://{host}:{node.ports.controller}{''.join(further)}",
            "advertised.listeners": f"CLIENT://{host}:{node.advertised_port},INTERNAL://{host}:{node.ports.internal}"
            f"{''.join(further)}",
            "listener.security.protocol.map": f"CLIENT:{self._client_security_protocol},INTERNAL:PLAINTEXT,"
            f"CONTROLLER:PLAINTEXT{protocols}",
            "log.dirs": str(node.data_folder),
            **self._properties,
            **self._own_properties,
        }

    def _checkpoint(self, java: list[str], jars: Path) -> bytes:
        """What StorageTool writes into bootstrap.checkpoint: feature levels and credentials, nothing of a single node.

        It is kept for the next cluster that wants the same features; one with credentials is not.
        """
        features = [f"{name}={level}" for name, level in sorted(self._features.items())]
        cached = jars.with_name(f"{jars.name}-features-{digest(features)}.checkpoint")
        if cached.exists() and not self._format_arguments:
            return cached.read_bytes()
        scratch = kafka_node.Node(1, self._nodes[1].ports, self.folder / "format")
        scratch.write_properties({**self._properties_of(self._nodes[1]), "log.dirs": str(scratch.data_folder)})
        arguments = [argument for feature in features for argument in ("--feature", feature)]
        command = [*java, "kafka.tools.StorageTool", "format", "-t", kafka_node.CLUSTER_ID]
        command += ["-c", str(scratch.properties_path), *arguments, *self._format_arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        if result.returncode != 0:
            raise RealKafkaError(f"StorageTool format failed:\n{result.stdout[-1000:]}{result.stderr[-2000:]}")
        checkpoint = (scratch.data_folder / "bootstrap.checkpoint").read_bytes()
        if not self._format_arguments:
            write_atomically(cached, checkpoint)
        return checkpoint

    def _logs(self) -> str:
        parts = (f"── node {node.node_id}: {node.log_path}\n{node.log_tail()}" for node in self._nodes.values())
        return "\n".join(parts)
