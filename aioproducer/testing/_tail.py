"""Reads what arrives in a cluster, topic after topic, through Kafka's protocol, so of any cluster."""

from __future__ import annotations

from collections import defaultdict
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import anyio

from aioproducer._config import ProducerConfig
from aioproducer._net.setup import NO_STEPS
from aioproducer._records.decode import read_header
from aioproducer._runtime.setup_steps import prepared_steps
from aioproducer._wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataResponse
from aioproducer.errors import ErrorCode, KafkaError
from aioproducer.testing._log_reader import FETCH_BYTES, batches_of, chunks_of, log_records
from aioproducer.testing._request_client import asker, first_reachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping
    from uuid import UUID

    from aioproducer._wire.messages.fetch import PartitionData
    from aioproducer.testing._log_reader import LogRecord
    from aioproducer.testing._request_client import RequestClient

_WAIT_MS: Final = 100
_RETRY_SECONDS: Final = 0.2


class Arrival(NamedTuple):
    """One record that has arrived."""

    topic: str
    record: LogRecord


class _Led(NamedTuple):
    """A partition, and where its leader is."""

    topic: str
    topic_id: UUID
    partition: int
    host: str
    port: int


class Tail:
    """Follows all topics of a cluster from their beginning, internal ones excepted. For one task.

    Topics that are made later are noticed within a fraction of a second.

    Example:
        >>> async def show_what_arrives() -> None:
        ...     async for topic, record in Tail("localhost:9092").arrivals():
        ...         print(topic, record.offset)
    """

    def __init__(self, bootstrap_servers: str | list[str], settings: Mapping[str, Any] | None = None) -> None:
        """Take the brokers, and what `read_topic` takes as `settings`."""
        self._servers = bootstrap_servers
        self._settings: dict[str, Any] = {**(settings or {}), "bootstrap_servers": bootstrap_servers}
        self._steps = NO_STEPS
        self._positions: dict[tuple[UUID, int], int] = {}

    async def arrivals(self) -> AsyncGenerator[Arrival]:
        """Every record, in the order of its partition, until the caller stops. Brokers that are away are waited for."""
        self._steps = await prepared_steps(ProducerConfig(**self._settings))
        while True:
            found: list[Arrival] = []
            try:
                await self._look(found)
            except KafkaError:
                await anyio.sleep(_RETRY_SECONDS)  # a broker is away or a leader moves: begin again where we were
            for arrival in found:
                yield arrival

    async def _look(self, found: list[Arrival]) -> None:
        """One round: ask who leads what, then each leader for what is new."""
        host, port = await first_reachable(self._servers, self._steps)
        async with asker(host, port, self._steps) as broker, AsyncExitStack() as leaders:
            of_leader: defaultdict[tuple[str, int], list[_Led]] = defaultdict(list)
            for led in await self._partitions(broker):
                of_leader[led.host, led.port].append(led)
            if not of_leader:
                await anyio.sleep(_WAIT_MS / 1000)
            for address, partitions in of_leader.items():
                leader = broker
                if address != (host, port):
                    leader = await leaders.enter_async_context(asker(*address, self._steps))
                await self._fetch(leader, partitions, found, wait_ms=_WAIT_MS // len(of_leader))

    async def _partitions(self, broker: RequestClient) -> list[_Led]:
        answer = await broker.ask(MetadataRequest(topics=None, allow_auto_topic_creation=False), MetadataResponse)
        nodes = {node.node_id: node for node in answer.brokers}
        return [
            _Led(topic.name or "", topic.topic_id, told.partition_index, node.host, node.port)
            for topic in answer.topics
            if not topic.is_internal
            for told in topic.partitions
            if (node := nodes.get(told.leader_id)) is not None
        ]

    async def _fetch(
        self, leader: RequestClient, partitions: list[_Led], found: list[Arrival], *, wait_ms: int
    ) -> None:
        wanted: dict[UUID, FetchTopic] = {}
        names: dict[UUID, str] = {}
        for led in partitions:
            topic = wanted.setdefault(led.topic_id, FetchTopic(topic=led.topic, topic_id=led.topic_id))
            names[led.topic_id] = led.topic
            offset = self._positions.get((led.topic_id, led.partition), 0)
            topic.partitions.append(
                FetchPartition(partition=led.partition, fetch_offset=offset, partition_max_bytes=FETCH_BYTES)
            )
        request = FetchRequest(max_wait_ms=wait_ms, min_bytes=1, max_bytes=FETCH_BYTES, topics=list(wanted.values()))
        answer = await leader.ask(request, FetchResponse)
        ids = {name: topic_id for topic_id, name in names.items()}
        for told in answer.responses:
            topic_id = told.topic_id if told.topic_id in names else ids.get(told.topic)
            if topic_id is not None:
                for partition in told.partitions:
                    found += self._take(names[topic_id], topic_id, partition)

    def _take(self, topic: str, topic_id: UUID, told: PartitionData) -> Iterator[Arrival]:
        place = (topic_id, told.partition_index)
        if told.error_code == ErrorCode.OFFSET_OUT_OF_RANGE and told.log_start_offset >= 0:
            self._positions[place] = told.log_start_offset  # retention was faster
        if told.error_code != ErrorCode.NONE:
            return
        position = self._positions.get(place, 0)
        for batch in batches_of(told):
            if not batch.header.is_control:
                for record in log_records(told.partition_index, batch):
                    if record.offset >= position:
                        yield Arrival(topic, record)
        for header in map(read_header, chunks_of(told)):
            self._positions[place] = header.base_offset + header.last_offset_delta + 1
