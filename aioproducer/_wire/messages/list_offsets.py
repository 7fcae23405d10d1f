"""ListOffsets, versions 1 to 10: which offset belongs to a time, or is first or last?

2 isolation level, throttle time · 4 leader epoch (KIP-320) · 5 OFFSET_NOT_AVAILABLE · 6 flexible · 7 offset of the
greatest timestamp (KIP-734) · 8 first local offset (KIP-405) · 9 last tiered offset (KIP-1005) · 10 a timeout, for
what is in remote storage (KIP-1075).
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, Struct, array, int8, int16, int32, int64, string


class ListOffsetsPartition(Struct):
    """A time in one partition: milliseconds, or -1 for the end, -2 for the start."""

    partition_index: int = int32()
    current_leader_epoch: int = int32(since=4, default=-1, ignorable=True)
    timestamp: int = int64()


class ListOffsetsTopic(Struct):
    """The partitions of one topic."""

    name: str = string()
    partitions: list[ListOffsetsPartition] = array(ListOffsetsPartition)


class ListOffsetsRequest(Request):
    """Which offsets belong to these times?"""

    api_key = ApiKey.LIST_OFFSETS
    min_version = 1
    max_version = 10
    flexible_from = 6

    replica_id: int = int32()
    isolation_level: int = int8(since=2)
    topics: list[ListOffsetsTopic] = array(ListOffsetsTopic)
    timeout_ms: int = int32(since=10, ignorable=True)


class ListOffsetsPartitionResponse(Struct):
    """The first offset at or after the time; -1 if there is none."""

    partition_index: int = int32()
    error_code: int = int16()
    timestamp: int = int64(default=-1)
    offset: int = int64(default=-1)
    leader_epoch: int = int32(since=4, default=-1)


class ListOffsetsTopicResponse(Struct):
    """The offsets of one topic."""

    name: str = string()
    partitions: list[ListOffsetsPartitionResponse] = array(ListOffsetsPartitionResponse)


class ListOffsetsResponse(Response):
    """The offsets."""

    api_key = ApiKey.LIST_OFFSETS
    min_version = 1
    max_version = 10
    flexible_from = 6
    throttles_since = 3

    throttle_time_ms: int = int32(since=2, ignorable=True)
    topics: list[ListOffsetsTopicResponse] = array(ListOffsetsTopicResponse)
