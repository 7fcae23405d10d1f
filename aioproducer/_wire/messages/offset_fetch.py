"""OffsetFetch, versions 1 to 9: which offsets has a group committed?

2 null topics for all, error of the whole answer · 3 throttle time · 5 leader epoch · 6 flexible · 7 wait for open
transactions (KIP-447) · 8 several groups at once (KIP-709) · 9 members of the new group protocol (KIP-848).
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, Struct, array, boolean, int16, int32, int64, string


class OffsetFetchRequestTopic(Struct):
    """The partitions of one topic."""

    name: str = string(until=7)
    partition_indexes: list[int] = array(int32, until=7)


class OffsetFetchRequestTopics(Struct):
    """The partitions of one topic, from version 8 on."""

    name: str = string(since=8, ignorable=True)
    partition_indexes: list[int] = array(int32, since=8)


class OffsetFetchRequestGroup(Struct):
    """A group and the partitions wanted; None for all."""

    group_id: str = string(since=8)
    member_id: str | None = string(since=9, nullable_since=9, default=None, ignorable=True)
    member_epoch: int = int32(since=9, default=-1, ignorable=True)
    topics: list[OffsetFetchRequestTopics] | None = array(OffsetFetchRequestTopics, since=8, nullable_since=8)


class OffsetFetchRequest(Request):
    """Which offsets are committed? One group up to version 7, then several."""

    api_key = ApiKey.OFFSET_FETCH
    min_version = 1
    max_version = 9
    flexible_from = 6

    group_id: str = string(until=7)
    topics: list[OffsetFetchRequestTopic] | None = array(OffsetFetchRequestTopic, until=7, nullable_since=2)
    groups: list[OffsetFetchRequestGroup] = array(OffsetFetchRequestGroup, since=8)
    require_stable: bool = boolean(since=7)


class OffsetFetchResponsePartition(Struct):
    """The offset of one partition; -1 if there is none."""

    partition_index: int = int32(until=7)
    committed_offset: int = int64(until=7)
    committed_leader_epoch: int = int32(since=5, until=7, default=-1, ignorable=True)
    metadata: str | None = string(until=7, nullable_since=0)
    error_code: int = int16(until=7)


class OffsetFetchResponseTopic(Struct):
    """The offsets of one topic."""

    name: str = string(until=7)
    partitions: list[OffsetFetchResponsePartition] = array(OffsetFetchResponsePartition, until=7)


class OffsetFetchResponsePartitions(Struct):
    """The offset of one partition, from version 8 on; -1 if there is none."""

    partition_index: int = int32(since=8)
    committed_offset: int = int64(since=8)
    committed_leader_epoch: int = int32(since=8, default=-1, ignorable=True)
    metadata: str | None = string(since=8, nullable_since=8)
    error_code: int = int16(since=8)


class OffsetFetchResponseTopics(Struct):
    """The offsets of one topic, from version 8 on."""

    name: str = string(since=8, ignorable=True)
    partitions: list[OffsetFetchResponsePartitions] = array(OffsetFetchResponsePartitions, since=8)


class OffsetFetchResponseGroup(Struct):
    """The offsets of one group."""

    group_id: str = string(since=8)
    topics: list[OffsetFetchResponseTopics] = array(OffsetFetchResponseTopics, since=8)
    error_code: int = int16(since=8)


class OffsetFetchResponse(Response):
    """The committed offsets."""

    api_key = ApiKey.OFFSET_FETCH
    min_version = 1
    max_version = 9
    flexible_from = 6
    throttles_since = 4

    throttle_time_ms: int = int32(since=3, ignorable=True)
    topics: list[OffsetFetchResponseTopic] = array(OffsetFetchResponseTopic, until=7)
    error_code: int = int16(since=2, until=7, ignorable=True)
    groups: list[OffsetFetchResponseGroup] = array(OffsetFetchResponseGroup, since=8)
