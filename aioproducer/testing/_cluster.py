"""A whole Kafka cluster in this process, for tests: loopback TCP, no Java, a few milliseconds to start.

async with EmbeddedCluster(brokers=3) as cluster:
    ...                                              # any client: cluster.bootstrap_servers
    await cluster.expect("orders", count=2)

with EmbeddedCluster.running() as cluster:           # from code without an event loop
    ...
"""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self, TypeVar, Unpack

import anyio
from anyio.from_thread import start_blocking_portal

from aioproducer._public import public_in
from aioproducer.errors import IllegalStateError
from aioproducer.errors._from_code import error_for
from aioproducer.testing._assertions import difference, matches, records_of
from aioproducer.testing._broker import ClusterCore
from aioproducer.testing._broker.requests import Refused
from aioproducer.testing._broker.state import Options
from aioproducer.testing._certificates import Certificates
from aioproducer.testing._host import ServerHost
from aioproducer.testing._security import Security, SecuritySettings, SecurityVerbs
from aioproducer.testing._server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from types import TracebackType

    from anyio.from_thread import BlockingPortal

    from aioproducer._types import TopicPartition
    from aioproducer._wire.messages import ApiKey
    from aioproducer.testing._faults import FaultHandle
    from aioproducer.testing._log_reader import Isolation, LogRecord

T = TypeVar("T")
MAX_DEFAULT_REPLICATION: Final = 3
_LOOK_SECONDS: Final = 0.005


@public_in("aioproducer.testing")
class ClusterSettings(SecuritySettings, total=False):
    """What an embedded cluster can be told when it is made; see EmbeddedCluster."""

    partitions: int
    replication_factor: int
    auto_create_topics: bool
    topic_config: Mapping[str, str]
    transaction_version: int
    max_versions: Mapping[ApiKey, int]
    marker_delay: float
    producer_id_expiration_ms: int
    ports: Sequence[int]
    seed: int


class _Verbs(SecurityVerbs):
    """What both kinds of cluster do in the same way."""

    @property
    def bootstrap_servers(self) -> list[str]:
        """ "host:port" of every broker, the stopped ones included.

        Raises:
            IllegalStateError: the cluster has never been started.
        """
        if not all(node.port for node in self._server.core.state.nodes.values()):
            raise IllegalStateError(
                "the cluster has no addresses before it is started: async with EmbeddedCluster() as cluster"
            )
        return [f"{node.host}:{node.port}" for node in self._server.core.state.nodes.values()]

    @property
    def core(self) -> ClusterCore:
        """The cluster itself, to look into. Only in its event loop's thread."""
        return self._server.core

    def records(self, topic: str, *, isolation: Isolation = "read_uncommitted") -> list[LogRecord]:
        """Every record of a topic, by partition, then offset; none for a topic that does not exist.

        Args:
            isolation: "read_committed" leaves out aborted transactions, and ends before the first open one.
        """
        return self._do(lambda: records_of(self._server.core.state, topic, isolation))

    def committed_offsets(self, group: str) -> dict[TopicPartition, int]:
        """What a group has committed, without what open transactions may still commit."""

        def read() -> dict[TopicPartition, int]:
            offsets = self._server.core.state.groups.offsets(group)
            return {tp: committed.offset for tp, committed in offsets.items()}

        return self._do(read)

    def leader(self, topic: str, partition: int = 0) -> int:
        """The broker that leads a partition; -1 for none."""
        return self._do(lambda: self._partition(topic, partition).leader)

    def _create_topic(
        self, name: str, partitions: int | None, replication_factor: int | None, config: Mapping[str, str] | None
    ) -> None:
        def create() -> None:
            self._server.core.state.create_topic(
                name,
                -1 if partitions is None else partitions,
                -1 if replication_factor is None else replication_factor,
                config,
            )

        self._administer(create, "CreateTopics", name)

    def _delete_topic(self, name: str) -> None:
        self._administer(lambda: self._server.core.state.delete_topic(name), "DeleteTopics", name)

    def _administer(self, action: Callable[[], None], api: str, topic: str) -> None:
        try:
            self._do(action)
        except Refused as refused:
            raise error_for(refused.code, refused.text, api=api, topic=topic) from None


@public_in("aioproducer.testing")
class EmbeddedCluster(_Verbs):
    """A Kafka cluster in this event loop, on any of the loops that anyio knows.

    It speaks Kafka's protocol to any client. What it does not do is in docs/embedded.md. Everything that it starts
    ends with the block; the records are in memory and gone then.

    Args:
        brokers: how many; their ids are 0, 1, …
        partitions: of a topic that is made without saying how many.
        replication_factor: likewise; by default 3, or as many as there are brokers.
        auto_create_topics: a topic that is asked for is made.
        topic_config: settings that every topic begins with, by Kafka's names: {"retention.bytes": "1000000"}.
        transaction_version: of the cluster's feature transaction.version: 2 is KIP-890's, 1, 0; −1 for a broker
            without it.
        max_versions: the highest version spoken, per API, to imitate an older broker; −1 takes the API away.
        marker_delay: seconds between the answer to EndTxn and the end of the transaction in the logs.
        producer_id_expiration_ms: how long a partition remembers a producer that writes nothing to it.
        ports: one for each broker; by default free ones.
        seed: of the topic ids, the cluster id and all else that is random.
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. TLS needs the extra `testing`.
        ssl_client_auth: with TLS, whether clients must have a certificate: none, requested or required.
        sasl_mechanisms: those that are enabled; with SASL all of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER.
        users: passwords by name, of PLAIN and SCRAM.
        validate_token: looks at a token of OAUTHBEARER and the time in milliseconds since 1970, returns an
            AcceptedToken or raises TokenError; by default unsecured tokens are accepted until they expire.
        scram_iterations: of SCRAM's keys.
        connections_max_reauth_ms: how long a session is good before it must be renewed (KIP-368); 0 for ever.
        connection_failed_authentication_delay_ms: how long a client that fails waits for the answer (KIP-306).
        deny_by_default: what is not allowed is denied; otherwise what is not denied is allowed.

    Raises:
        ModuleNotFoundError: TLS is asked for and trustme is not installed.
        ValueError: settings that do not go together.

    Example:
        >>> async def test_orders() -> None:
        ...     async with EmbeddedCluster() as cluster:
        ...         async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        ...             await producer.send("orders", b"value")
        ...         assert [record.value for record in cluster.records("orders")] == [b"value"]
    """

    def __init__(self, brokers: int = 1, **settings: Unpack[ClusterSettings]) -> None:
        if brokers < 1:
            raise ValueError(f"brokers={brokers}; a cluster has at least one")
        self._ports = dict(enumerate(settings.get("ports", ())))
        security = self._security = Security.of(settings)
        options = Options(
            partitions=settings.get("partitions", 1),
            replication_factor=settings.get("replication_factor", min(MAX_DEFAULT_REPLICATION, brokers)),
            auto_create_topics=settings.get("auto_create_topics", True),
            topic_config=settings.get("topic_config", {}),
            transaction_version=settings.get("transaction_version", 2),
            max_versions={int(api): version for api, version in settings.get("max_versions", {}).items()},
            marker_delay=settings.get("marker_delay", 0.0),
            producer_id_expiration_ms=settings.get("producer_id_expiration_ms", 86_400_000),
            sasl_mechanisms=security.mechanisms,
            connections_max_reauth_ms=settings.get("connections_max_reauth_ms", 0),
            connection_failed_authentication_delay_ms=settings.get("connection_failed_authentication_delay_ms", 100),
            scram_iterations=settings.get("scram_iterations", 4_096),
            deny_by_default=settings.get("deny_by_default", False),
        )
        core = ClusterCore(brokers, rng=random.Random(settings.get("seed", 0)), options=options)
        core.state.validate_token = settings.get("validate_token", core.state.validate_token)
        for name, password in settings.get("users", {}).items():
            core.state.users.set(name, password)
        if security.has_tls:
            Certificates.check_installed()
        self._server = Server(core)
        self._host: ServerHost | None = None

    async def __aenter__(self) -> Self:
        if self._host is not None:
            raise IllegalStateError("the cluster is running already")
        state = self._server.core.state
        wall_epoch_ms = int((time.time() - anyio.current_time()) * 1000)
        state.options = replace(state.options, wall_epoch_ms=wall_epoch_ms)
        state.now = anyio.current_time()
        if self._security.has_tls:
            self._server.certificates = Certificates(self._security.client_auth)
        host = ServerHost(self._server, self._ports)
        try:
            await host.start()
        except BaseException:
            self._close_certificates()
            raise
        self._host = host
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        host, self._host = self._host, None
        assert host is not None
        try:
            await host.stop()
        finally:
            self._close_certificates()

    def _close_certificates(self) -> None:
        certificates, self._server.certificates = self._server.certificates, None
        if certificates is not None:
            certificates.close()

    @classmethod
    @contextmanager
    def running(cls, brokers: int = 1, **settings: Unpack[ClusterSettings]) -> Generator[BlockingCluster]:
        """Run a cluster in a thread of its own, for code without an event loop. Takes what the class takes."""
        with start_blocking_portal("asyncio") as portal, cls.running_in(portal, brokers, **settings) as cluster:
            yield cluster

    @classmethod
    @contextmanager
    def running_in(
        cls, portal: BlockingPortal, brokers: int = 1, **settings: Unpack[ClusterSettings]
    ) -> Generator[BlockingCluster]:
        """Run a cluster in an event loop that runs in another thread. Takes what the class takes."""
        cluster = cls(brokers, **settings)
        with portal.wrap_async_context_manager(cluster):
            yield BlockingCluster(cluster, cluster._server, portal)

    async def create_topic(
        self,
        name: str,
        partitions: int | None = None,
        *,
        replication_factor: int | None = None,
        config: Mapping[str, str] | None = None,
    ) -> None:
        """Create a topic.

        Args:
            config: its settings by Kafka's names: {"message.timestamp.type": "LogAppendTime"}.

        Raises:
            BrokerError: it exists, or something about it is wrong.
        """
        self._create_topic(name, partitions, replication_factor, config)

    async def delete_topic(self, name: str) -> None:
        """Delete a topic with its records.

        Raises:
            BrokerError: it does not exist.
        """
        self._delete_topic(name)

    async def stop_broker(self, broker: int) -> None:
        """Stop a broker: its port and connections close, its partitions get other leaders where a replica lives.

        Raises:
            ValueError: there is no such broker.
        """
        if not self._node(broker).is_alive:
            return
        self._do(lambda: self.core.state.stop_node(broker))
        await self._server.close_node(broker)

    async def start_broker(self, broker: int) -> None:
        """Start a stopped broker again, on the same port.

        Raises:
            ValueError: there is no such broker.
        """
        node = self._node(broker)
        if node.is_alive:
            return
        await self._server.listen(broker, node.port)
        self._do(lambda: self.core.state.start_node(broker))

    async def expect(
        self,
        topic: str,
        count: int | None = None,
        *,
        values: Sequence[bytes | None] | None = None,
        timeout: float = 1.0,
        isolation: Isolation = "read_uncommitted",
    ) -> list[LogRecord]:
        """Wait until a topic holds what is expected, and return its records. Cancel-safe.

        Args:
            count: how many records; exactly.
            values: their values, in any order across partitions; exactly.

        Raises:
            AssertionError: it does not, within `timeout` seconds; says what is there and what is missing.
        """
        wanted = None if values is None else list(values)

        def is_there() -> bool:
            return matches(self.records(topic, isolation=isolation), count, wanted)

        with anyio.move_on_after(timeout):
            await self._server.changes.wait_until(is_there)
        found = self.records(topic, isolation=isolation)
        if not matches(found, count, wanted):
            raise AssertionError(difference(topic, found, count, wanted, timeout))
        return found

    def _do(self, action: Callable[[], T]) -> T:
        return self._server.act(action)

    async def _wait_until(self, is_so: Callable[[], bool]) -> None:
        await self._server.changes.wait_until(is_so)


@public_in("aioproducer.testing")
class BlockingCluster(_Verbs):
    """A cluster in a thread of its own; `EmbeddedCluster.running()` makes it. Verbs may be called from any thread."""

    def __init__(self, cluster: EmbeddedCluster, server: Server, portal: BlockingPortal) -> None:
        self._cluster = cluster
        self._server = server
        self._portal = portal
        self._security = cluster._security

    def create_topic(
        self,
        name: str,
        partitions: int | None = None,
        *,
        replication_factor: int | None = None,
        config: Mapping[str, str] | None = None,
    ) -> None:
        """As EmbeddedCluster.create_topic."""
        self._create_topic(name, partitions, replication_factor, config)

    def delete_topic(self, name: str) -> None:
        """As EmbeddedCluster.delete_topic."""
        self._delete_topic(name)

    def stop_broker(self, broker: int) -> None:
        """As EmbeddedCluster.stop_broker."""
        self._portal.call(self._cluster.stop_broker, broker)

    def start_broker(self, broker: int) -> None:
        """As EmbeddedCluster.start_broker."""
        self._portal.call(self._cluster.start_broker, broker)

    def expect(
        self,
        topic: str,
        count: int | None = None,
        *,
        values: Sequence[bytes | None] | None = None,
        timeout: float = 1.0,
        isolation: Isolation = "read_uncommitted",
    ) -> list[LogRecord]:
        """As EmbeddedCluster.expect."""

        async def expect() -> list[LogRecord]:
            return await self._cluster.expect(topic, count, values=values, timeout=timeout, isolation=isolation)

        return self._portal.call(expect)

    def wait_hit(self, fault: FaultHandle, count: int = 1, *, timeout: float = 5.0) -> None:
        """As FaultHandle.wait_hit."""

        async def wait() -> None:
            await fault.wait_hit(count, timeout=timeout)

        self._portal.call(wait)

    def _do(self, action: Callable[[], T]) -> T:
        return self._portal.call(self._server.act, action)

    async def _wait_until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():  # noqa: ASYNC110 - the caller's event loop is another than the cluster's
            await anyio.sleep(_LOOK_SECONDS)
