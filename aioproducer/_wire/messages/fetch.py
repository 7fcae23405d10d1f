"""Fetch, versions 4 to 17: read record batches.

4 isolation level, aborted transactions · 5 log start offset · 7 incremental sessions (KIP-227) · 9 leader epoch
(KIP-320) · 10 zstd · 11 rack, read from a follower (KIP-392) · 12 flexible, divergence · 13 topic ids in place of
names (KIP-516) · 14 tiered storage errors · 15 replica state (KIP-903) · 16 endpoints of new leaders (KIP-951) · 17
directory ids (KIP-853).
"""

from __future__ import annotations

from uuid import UUID

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import (
    Records,
    Request,
    Response,
    Struct,
    array,
    int8,
    int16,
    int32,
    int64,
    records,
    string,
    struct,
    uuid,
)


class ReplicaState(Struct):
    """The replica that asks; -1 when it is a client."""

    replica_id: int = int32(since=15, default=-1)
    replica_epoch: int = int64(since=15, default=-1)


class FetchPartition(Struct):
    """Where to read in one partition, and how much at most."""

    partition: int = int32()
    current_leader_epoch: int = int32(since=9, default=-1, ignorable=True)
    fetch_offset: int = int64()
    last_fetched_epoch: int = int32(since=12, default=-1)
    log_start_offset: int = int64(since=5, default=-1, ignorable=True)
    partition_max_bytes: int = int32()
    replica_directory_id: UUID = uuid(since=17, tag=0, ignorable=True)


class FetchTopic(Struct):
    """The partitions of one topic, by name up to version 12, then by id."""

    topic: str = string(until=12, ignorable=True)
    topic_id: UUID = uuid(since=13, ignorable=True)
    partitions: list[FetchPartition] = array(FetchPartition)


class ForgottenTopic(Struct):
    """Partitions to take out of the session."""

    topic: str = string(since=7, until=12, ignorable=True)
    topic_id: UUID = uuid(since=13, ignorable=True)
    partitions: list[int] = array(int32, since=7)


class FetchRequest(Request):
    """Send record batches from these positions on."""

    api_key = ApiKey.FETCH
    min_version = 4
    max_version = 17
    flexible_from = 12

    cluster_id: str | None = string(since=12, nullable_since=12, default=None, tag=0, ignorable=True)
    replica_id: int = int32(until=14, default=-1)
    replica_state: ReplicaState = struct(ReplicaState, since=15, tag=1)
    max_wait_ms: int = int32()
    min_bytes: int = int32()
    max_bytes: int = int32(default=2147483647)
    isolation_level: int = int8()
    session_id: int = int32(since=7, ignorable=True)
    session_epoch: int = int32(since=7, default=-1, ignorable=True)
    topics: list[FetchTopic] = array(FetchTopic)
    forgotten_topics_data: list[ForgottenTopic] = array(ForgottenTopic, since=7)
    rack_id: str = string(since=11, ignorable=True)


class EpochEndOffset(Struct):
    """Where the reader's log and the leader's part."""

    epoch: int = int32(since=12, default=-1)
    end_offset: int = int64(since=12, default=-1)


class LeaderIdAndEpoch(Struct):
    """Who leads the partition now; -1 if not known."""

    leader_id: int = int32(since=12, default=-1)
    leader_epoch: int = int32(since=12, default=-1)


class SnapshotId(Struct):
    """The snapshot to fetch in place of the log."""

    end_offset: int = int64(default=-1)
    epoch: int = int32(default=-1)


class AbortedTransaction(Struct):
    """A transaction in the data whose records don't count."""

    producer_id: int = int64()
    first_offset: int = int64()


class PartitionData(Struct):
    """The record batches of one partition; the last may be cut off."""

    partition_index: int = int32()
    error_code: int = int16()
    high_watermark: int = int64()
    last_stable_offset: int = int64(default=-1)
    log_start_offset: int = int64(since=5, default=-1, ignorable=True)
    diverging_epoch: EpochEndOffset = struct(EpochEndOffset, since=12, tag=0)
    current_leader: LeaderIdAndEpoch = struct(LeaderIdAndEpoch, since=12, tag=1)
    snapshot_id: SnapshotId = struct(SnapshotId, since=12, tag=2)
    aborted_transactions: list[AbortedTransaction] | None = array(AbortedTransaction, nullable_since=0)
    preferred_read_replica: int = int32(since=11, default=-1)
    records: Records | None = records()


class FetchableTopicResponse(Struct):
    """The partitions of one topic."""

    topic: str = string(until=12, ignorable=True)
    topic_id: UUID = uuid(since=13, ignorable=True)
    partitions: list[PartitionData] = array(PartitionData)


class NodeEndpoint(Struct):
    """Where a broker named as new leader listens."""

    node_id: int = int32(since=16)
    host: str = string(since=16)
    port: int = int32(since=16)
    rack: str | None = string(since=16, nullable_since=16, default=None)


class FetchResponse(Response):
    """The record batches."""

    api_key = ApiKey.FETCH
    min_version = 4
    max_version = 17
    flexible_from = 12
    throttles_since = 8

    throttle_time_ms: int = int32()
    error_code: int = int16(since=7, ignorable=True)
    session_id: int = int32(since=7)
    responses: list[FetchableTopicResponse] = array(FetchableTopicResponse)
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint, since=16, tag=0)
