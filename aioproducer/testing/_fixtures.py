"""What the fixtures of the pytest plugin hand out."""

from __future__ import annotations

import re
import uuid
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

import anyio
import anyio.to_thread
import pytest

from aioproducer._producer.producer import Producer
from aioproducer._public import public_in
from aioproducer._wire.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from aioproducer._wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse
from aioproducer.errors._from_code import error_for
from aioproducer.testing._assertions import difference, matches
from aioproducer.testing._cluster import EmbeddedCluster
from aioproducer.testing._log_reader import read_topic
from aioproducer.testing._request_client import asker, first_reachable

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from anyio.from_thread import BlockingPortal

    from aioproducer.testing._cluster import BlockingCluster, ClusterSettings
    from aioproducer.testing._log_reader import Isolation, LogRecord

_LOOK_SECONDS: Final = 0.005
_LOOK_SECONDS_REAL: Final = 0.1
_ADMIN_SECONDS: Final = 20
_FAST: Final[dict[str, Any]] = {  # a test that fails should fail soon
    "linger_ms": 0,
    "max_block_ms": 5_000,
    "delivery_timeout_ms": 5_000,
    "request_timeout_ms": 2_000,
    "retry_backoff_ms": 10,
    "retry_backoff_max_ms": 100,
    "reconnect_backoff_ms": 10,
    "reconnect_backoff_max_ms": 100,
    "close_timeout_ms": 1_000,
}


@public_in("aioproducer.testing")
class Kafka:
    """A Kafka for one test; the fixture `kafka`. Its calls may be made from sync and async tests, from any thread.

    The embedded one is a cluster of its own for each test, of one broker. Of a real one, topics that were made with
    `create_topic` are deleted at the end; let it choose their names, and tests can run at the same time.

    Attributes:
        bootstrap_servers: "host:port" of each broker, for any client.
    """

    def __init__(
        self, portal: BlockingPortal, bootstrap_servers: list[str], cluster: BlockingCluster | None, test: str
    ) -> None:
        self.bootstrap_servers: Final = bootstrap_servers
        self._portal = portal
        self._cluster = cluster
        self._test = re.sub(r"[^a-zA-Z0-9_-]+", "-", test)[:60].strip("-")
        self._made: list[str] = []

    @classmethod
    @contextmanager
    def open(
        cls, portal: BlockingPortal, servers: list[str] | None, test: str, **settings: Unpack[ClusterSettings]
    ) -> Generator[Self]:
        """One for the length of the block: embedded, or the real one at `servers`.

        Args:
            portal: to the event loop in which it lives.
            test: the name of the test, for the names of topics.
            settings: of the embedded one.
        """
        if servers is None:
            with EmbeddedCluster.running_in(portal, **settings) as cluster:
                yield cls(portal, cluster.bootstrap_servers, cluster, test)
            return
        opened = cls(portal, servers, None, test)
        try:
            yield opened
        finally:
            if opened._made:
                portal.call(_delete_topics, servers, opened._made)

    @property
    def cluster(self) -> BlockingCluster:
        """The embedded cluster, with its faults; the test is skipped when there is a real Kafka instead."""
        if self._cluster is None:
            pytest.skip("faults need the embedded cluster: --aioproducer-kafka=embedded")
        return self._cluster

    @property
    def client_settings(self) -> dict[str, Any]:
        """What a producer needs to come in: the addresses, and with security all that goes with it."""
        if self._cluster is None:
            return {"bootstrap_servers": self.bootstrap_servers}
        return self._cluster.client_settings

    @cached_property
    def topic(self) -> str:
        """The name of a topic with one partition that no other test has; made when it is first asked for."""
        return self.create_topic()

    def create_topic(
        self,
        name: str | None = None,
        partitions: int = 1,
        *,
        replication_factor: int | None = None,
        config: Mapping[str, str] | None = None,
    ) -> str:
        """Create a topic and return its name.

        Args:
            name: by default one that no other test has.
            config: its settings by Kafka's names.

        Raises:
            BrokerError: it exists, or something about it is wrong.
        """
        chosen = name or f"{self._test}-{uuid.uuid4().hex[:8]}"
        factor = -1 if replication_factor is None else replication_factor
        if self._cluster is not None:
            self._cluster.create_topic(chosen, partitions, replication_factor=replication_factor, config=config)
        else:
            self._portal.call(_create_topic, self.bootstrap_servers, chosen, partitions, factor, dict(config or {}))
            self._made.append(chosen)
        return chosen

    def records(self, topic: str, *, isolation: Isolation = "read_uncommitted") -> list[LogRecord]:
        """Every record of a topic, by partition, then offset: key, value, headers, timestamp_ms and more."""
        if self._cluster is not None:
            return self._cluster.records(topic, isolation=isolation)
        return self._portal.call(partial(read_topic, self.bootstrap_servers, topic, isolation=isolation))

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
        deadline = anyio.current_time() + timeout
        while True:
            if self._cluster is not None:
                found = self.records(topic, isolation=isolation)
            else:
                found = await anyio.to_thread.run_sync(partial(self.records, topic, isolation=isolation))
            if matches(found, count, wanted):
                return found
            if anyio.current_time() >= deadline:
                raise AssertionError(difference(topic, found, count, wanted, timeout))
            await anyio.sleep(_LOOK_SECONDS if self._cluster is not None else _LOOK_SECONDS_REAL)

    def expect_blocking(
        self,
        topic: str,
        count: int | None = None,
        *,
        values: Sequence[bytes | None] | None = None,
        timeout: float = 1.0,
        isolation: Isolation = "read_uncommitted",
    ) -> list[LogRecord]:
        """The same for a test without an event loop: it blocks this thread."""
        expect = partial(self.expect, topic, count, values=values, timeout=timeout, isolation=isolation)
        if self._cluster is not None:
            return self._cluster.expect(topic, count, values=values, timeout=timeout, isolation=isolation)
        return anyio.run(expect)

    def producer(self, **settings: Any) -> Producer[bytes, bytes]:
        """A producer for it with short timeouts, not started: `async with kafka.producer() as producer`."""
        return Producer(**(self.client_settings | _FAST | settings))


async def _create_topic(
    servers: list[str], name: str, partitions: int, replication_factor: int, config: dict[str, str]
) -> None:
    topic = CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=replication_factor,
        configs=[CreatableTopicConfig(name=key, value=value) for key, value in config.items()],
    )
    with anyio.fail_after(_ADMIN_SECONDS):
        async with asker(*await first_reachable(servers)) as broker:
            answer = await broker.ask(
                CreateTopicsRequest(topics=[topic], timeout_ms=_ADMIN_SECONDS * 1000), CreateTopicsResponse
            )
    (told,) = answer.topics
    if told.error_code:
        raise error_for(told.error_code, message=told.error_message, api="CreateTopics", topic=name)


async def _delete_topics(servers: list[str], names: list[str]) -> None:
    with anyio.fail_after(_ADMIN_SECONDS):
        async with asker(*await first_reachable(servers)) as broker:
            request = DeleteTopicsRequest(topic_names=names, timeout_ms=_ADMIN_SECONDS * 1000)
            await broker.ask(request, DeleteTopicsResponse, at_most=5)  # from 6 on topics are told otherwise
