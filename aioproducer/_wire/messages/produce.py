"""Produce, versions 3 to 13: append record batches to partitions.

3 record batches of magic 2, transactional id · 4 KAFKA_STORAGE_ERROR may come back · 5 log start offset · 7 zstd · 8
which records are to blame (KIP-467) · 9 flexible · 10 the new leader in the answer (KIP-951) · 11
TRANSACTION_ABORTABLE · 12 the partition is added to the transaction by this request (KIP-890) · 13 topic ids in place
of names (KIP-516).
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import (
    Records,
    Request,
    Response,
    Struct,
    array,
    int16,
    int32,
    int64,
    records,
    string,
    struct,
    uuid,
)

ADDS_PARTITIONS_SINCE: Final = 12
"""The first version that adds its partitions to a transaction by itself, in clusters with transaction.version 2."""


class PartitionProduceData(Struct):
    """The record batch for one partition."""

    index: int = int32()
    records: Records | None = records()


class TopicProduceData(Struct):
    """The partitions of one topic, by name up to version 12, then by id."""

    name: str = string(until=12, ignorable=True)
    topic_id: UUID = uuid(since=13, ignorable=True)
    partition_data: list[PartitionProduceData] = array(PartitionProduceData)


class ProduceRequest(Request):
    """Append these record batches; with acks=0 there is no answer."""

    api_key = ApiKey.PRODUCE
    min_version = 3
    max_version = 13
    flexible_from = 9

    transactional_id: str | None = string(nullable_since=0, default=None)
    acks: int = int16()
    timeout_ms: int = int32()
    topic_data: list[TopicProduceData] = array(TopicProduceData)


class BatchIndexAndErrorMessage(Struct):
    """A record that made the broker refuse its batch."""

    batch_index: int = int32(since=8)
    batch_index_error_message: str | None = string(since=8, nullable_since=8, default=None)


class LeaderIdAndEpoch(Struct):
    """Who leads the partition now; -1 if not known."""

    leader_id: int = int32(since=10, default=-1)
    leader_epoch: int = int32(since=10, default=-1)


class PartitionProduceResponse(Struct):
    """What became of the batch for one partition."""

    index: int = int32()
    error_code: int = int16()
    base_offset: int = int64()
    log_append_time_ms: int = int64(default=-1)
    log_start_offset: int = int64(since=5, default=-1, ignorable=True)
    record_errors: list[BatchIndexAndErrorMessage] = array(BatchIndexAndErrorMessage, since=8, ignorable=True)
    error_message: str | None = string(since=8, nullable_since=8, default=None, ignorable=True)
    current_leader: LeaderIdAndEpoch = struct(LeaderIdAndEpoch, since=10, tag=0)


class TopicProduceResponse(Struct):
    """What became of the batches for one topic."""

    name: str = string(until=12, ignorable=True)
    topic_id: UUID = uuid(since=13, ignorable=True)
    partition_responses: list[PartitionProduceResponse] = array(PartitionProduceResponse)


class NodeEndpoint(Struct):
    """Where a broker named as new leader listens."""

    node_id: int = int32(since=10)
    host: str = string(since=10)
    port: int = int32(since=10)
    rack: str | None = string(since=10, nullable_since=10, default=None)


class ProduceResponse(Response):
    """What became of each batch."""

    api_key = ApiKey.PRODUCE
    min_version = 3
    max_version = 13
    flexible_from = 9
    throttles_since = 6

    responses: list[TopicProduceResponse] = array(TopicProduceResponse)
    throttle_time_ms: int = int32()
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint, since=10, tag=0)
