"""Reads a topic's whole log through Kafka's protocol: from the embedded cluster, or any other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import anyio

from aioproducer._config import ProducerConfig
from aioproducer._public import public_in
from aioproducer._records.decode import decode_batch, read_header, split_batches
from aioproducer._runtime.setup_steps import prepared_steps
from aioproducer._wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from aioproducer._wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from aioproducer.errors import ErrorCode, KafkaError
from aioproducer.errors._from_code import error_for
from aioproducer.testing._request_client import RequestClient, asker, first_reachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from uuid import UUID

    from aioproducer._net.setup import SetupSteps
    from aioproducer._records.decode import RecordBatch
    from aioproducer._types import Headers
    from aioproducer._wire.messages.fetch import PartitionData

Isolation: TypeAlias = Literal["read_uncommitted", "read_committed"]

FETCH_BYTES: Final = 8 * 1024 * 1024
_LATEST: Final = -1
_EARLIEST: Final = -2
_RETRY_SECONDS: Final = 0.05
_ABORT_MARKER: Final = b"\0\0\0\0"  # version 0, type 0


@public_in("aioproducer.testing")
@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record as a consumer sees it, with what its batch says of its producer.

    Attributes:
        partition: where it is.
        offset: its offset there.
        timestamp_ms: its own, or the broker's when the topic has message.timestamp.type=LogAppendTime.
        key: the key's bytes, or None.
        value: the value's bytes; None is a tombstone.
        headers: (name, value) in order; () for none.
        producer_id: of the producer that wrote it; -1 without idempotence.
        producer_epoch: of that producer; -1 without idempotence.
        sequence: its sequence number in the partition; -1 without idempotence.
        base_offset: the offset of the first record of its batch, so that batches can be told apart.
        is_transactional: whether it was written in a transaction.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    producer_id: int
    producer_epoch: int
    sequence: int
    base_offset: int
    is_transactional: bool

    def __repr__(self) -> str:
        # Key and value may be large or secret.
        return f"<LogRecord partition={self.partition} offset={self.offset} timestamp_ms={self.timestamp_ms}>"


@public_in("aioproducer.testing")
async def read_topic(
    bootstrap_servers: str | Iterable[str],
    topic: str,
    *,
    isolation: Isolation = "read_uncommitted",
    timeout: float = 30.0,
    settings: Mapping[str, Any] | None = None,
) -> list[LogRecord]:
    """Return every record that the topic holds at the time of the call, by partition, then offset.

    Offsets may have gaps: where transactions end, and after compaction. Cancel-safe.

    Args:
        bootstrap_servers: "host:port" or a list of such.
        topic: the topic's name. It is not created.
        isolation: "read_committed" leaves out records of aborted transactions, and ends before the first open one.
        timeout: seconds for all of it; a partition without a leader is waited for that long.
        settings: those of a producer that brokers want to be called with: security_protocol, ssl_… and sasl_…; its
            other settings, such as bootstrap_servers, may be among them.

    Raises:
        AuthenticationError: a broker does not let us in, or is not trusted.
        ConfigurationError: the settings contradict each other.
        BrokerError: the cluster answers with an error that waiting does not cure, such as
            UNKNOWN_TOPIC_OR_PARTITION for a topic that does not exist.
        KafkaConnectionError: no broker can be reached.
        TimeoutError: it took longer than `timeout`.

    Example:
        records = await read_topic("localhost:9092", "orders")
    """
    given_servers = bootstrap_servers.split(",") if isinstance(bootstrap_servers, str) else bootstrap_servers
    servers = [each.strip() for each in given_servers]
    with anyio.fail_after(timeout):
        given: dict[str, Any] = {**(settings or {}), "bootstrap_servers": servers}
        steps = await prepared_steps(ProducerConfig(**given))
        while True:
            try:
                return await _read(servers, steps, topic, isolation)
            except KafkaError as error:
                # A new topic has no leader for a moment, and a leader may move while it is read: begin again.
                if not error.retriable or error.code in (None, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION):
                    raise
            await anyio.sleep(_RETRY_SECONDS)


async def _read(servers: list[str], steps: SetupSteps, topic: str, isolation: Isolation) -> list[LogRecord]:
    host, port = await first_reachable(servers, steps)
    async with asker(host, port, steps) as broker:
        layout = await _layout(broker, topic)
    found: list[LogRecord] = []
    for (leader_host, leader_port), partitions in layout.partitions.items():
        async with asker(leader_host, leader_port, steps) as leader:
            found += await _LeaderReader(leader, layout, isolation).read(partitions)
    return sorted(found, key=lambda record: (record.partition, record.offset))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which broker, by address, leads which partitions."""

    topic: str
    topic_id: UUID
    partitions: dict[tuple[str, int], list[int]]


async def _layout(broker: RequestClient, topic: str) -> _Layout:
    request = MetadataRequest(topics=[MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False)
    answer = await broker.ask(request, MetadataResponse)
    (told,) = answer.topics
    _check(told.error_code, "Metadata", topic)
    addresses = {node.node_id: (node.host, node.port) for node in answer.brokers}
    partitions: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for partition in told.partitions:
        if partition.leader_id not in addresses:
            _check(ErrorCode.LEADER_NOT_AVAILABLE, "Metadata", topic, partition.partition_index)
        partitions[addresses[partition.leader_id]].append(partition.partition_index)
    return _Layout(topic, told.topic_id, dict(partitions))


class _LeaderReader:
    """Reads the partitions that one broker leads, as far as they go at the beginning."""

    def __init__(self, leader: RequestClient, layout: _Layout, isolation: Isolation) -> None:
        self._leader = leader
        self._layout = layout
        self._level = 1 if isolation == "read_committed" else 0
        self._found: list[LogRecord] = []

    async def read(self, partitions: list[int]) -> list[LogRecord]:
        position = await self._offsets(partitions, _EARLIEST)
        end = await self._offsets(partitions, _LATEST)
        while open_partitions := [p for p in partitions if position[p] < end[p]]:
            answer = await self._leader.ask(self._fetch(open_partitions, position), FetchResponse)
            _check(answer.error_code, "Fetch", self._layout.topic)
            for told in answer.responses[0].partitions:
                _check(told.error_code, "Fetch", self._layout.topic, told.partition_index)
                position[told.partition_index] = self._take(told, position[told.partition_index], end)
        return self._found

    async def _offsets(self, partitions: list[int], time: int) -> dict[int, int]:
        wanted = [ListOffsetsPartition(partition_index=partition, timestamp=time) for partition in partitions]
        request = ListOffsetsRequest(
            replica_id=-1,
            isolation_level=self._level,
            topics=[ListOffsetsTopic(name=self._layout.topic, partitions=wanted)],
        )
        answer = await self._leader.ask(request, ListOffsetsResponse)
        (told,) = answer.topics
        for partition in told.partitions:
            _check(partition.error_code, "ListOffsets", self._layout.topic, partition.partition_index)
        return {partition.partition_index: partition.offset for partition in told.partitions}

    def _fetch(self, partitions: list[int], position: dict[int, int]) -> FetchRequest:
        wanted = [
            FetchPartition(partition=partition, fetch_offset=position[partition], partition_max_bytes=FETCH_BYTES)
            for partition in partitions
        ]
        return FetchRequest(
            max_wait_ms=100,
            min_bytes=1,
            max_bytes=FETCH_BYTES,
            isolation_level=self._level,
            topics=[FetchTopic(topic=self._layout.topic, topic_id=self._layout.topic_id, partitions=wanted)],
        )

    def _take(self, told: PartitionData, position: int, end: dict[int, int]) -> int:
        """Keep the records from `position` up to the end; return where to read on."""
        partition = told.partition_index
        for batch in _committed(told) if self._level else batches_of(told):
            if batch.header.is_control:
                continue
            self._found += [
                record for record in log_records(partition, batch) if position <= record.offset < end[partition]
            ]
        headers = [read_header(chunk) for chunk in chunks_of(told)]
        return headers[-1].base_offset + headers[-1].last_offset_delta + 1 if headers else position


def chunks_of(told: PartitionData) -> list[memoryview]:
    """The bytes of each whole batch of one partition's answer."""
    # Decoded messages have one memoryview of the answer here, never a sequence of parts.
    return split_batches(cast("memoryview", told.records or b""), allow_partial=True)


def batches_of(told: PartitionData) -> Iterator[RecordBatch]:
    """The whole batches of one partition's answer."""
    return map(decode_batch, chunks_of(told))


def _committed(told: PartitionData) -> Iterator[RecordBatch]:
    """Leave out what belongs to aborted transactions, as consumers do: from the first offset of each to its marker."""
    aborted = sorted(told.aborted_transactions or [], key=lambda each: each.first_offset, reverse=True)
    aborting: set[int] = set()
    for batch in batches_of(told):
        header = batch.header
        while aborted and aborted[-1].first_offset <= header.base_offset + header.last_offset_delta:
            aborting.add(aborted.pop().producer_id)
        if header.is_control:
            if batch.records[0].key == _ABORT_MARKER:
                aborting.discard(header.producer_id)
        elif not header.is_transactional or header.producer_id not in aborting:
            yield batch


def log_records(partition: int, batch: RecordBatch) -> Iterator[LogRecord]:
    """The records of one batch."""
    header = batch.header
    for record in batch.records:
        index = record.offset - header.base_offset
        yield LogRecord(
            partition=partition,
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
            key=record.key,
            value=record.value,
            headers=record.headers,
            producer_id=header.producer_id,
            producer_epoch=header.producer_epoch,
            sequence=(header.base_sequence + index) % 2**31 if header.base_sequence >= 0 else -1,
            base_offset=header.base_offset,
            is_transactional=header.is_transactional,
        )


def _check(code: int, api: str, topic: str, partition: int | None = None) -> None:
    if code != ErrorCode.NONE:
        raise error_for(code, api=api, topic=topic, partition=partition)
