"""Metadata, versions 0 to 13: which brokers are there, and who leads which partition?

1 null topics for all, racks, controller, internal topics · 2 cluster id · 3 throttle time · 4 creation of topics can
be forbidden · 5 offline replicas · 7 leader epochs (KIP-320) · 8 authorized operations · 9 flexible, epochs that can
be relied on · 10 topic ids (KIP-516) · 11 no operations on the cluster any more · 12 topics can be asked for by id ·
13 an error of the whole answer, REBOOTSTRAP_REQUIRED (KIP-1102).
"""

from __future__ import annotations

from uuid import UUID

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, Struct, array, boolean, int16, int32, string, uuid


class MetadataRequestTopic(Struct):
    """A topic to be told of."""

    topic_id: UUID = uuid(since=10, ignorable=True)
    name: str | None = string(nullable_since=10)


class MetadataRequest(Request):
    """Tell me of brokers and topics; topics=None asks for all topics."""

    api_key = ApiKey.METADATA
    min_version = 0
    max_version = 13
    flexible_from = 9

    topics: list[MetadataRequestTopic] | None = array(MetadataRequestTopic, nullable_since=1)
    allow_auto_topic_creation: bool = boolean(since=4, default=True)
    include_cluster_authorized_operations: bool = boolean(since=8, until=10)
    include_topic_authorized_operations: bool = boolean(since=8)


class MetadataResponseBroker(Struct):
    """One broker and where it listens."""

    node_id: int = int32()
    host: str = string()
    port: int = int32()
    rack: str | None = string(since=1, nullable_since=1, default=None, ignorable=True)


class MetadataResponsePartition(Struct):
    """One partition and who leads it."""

    error_code: int = int16()
    partition_index: int = int32()
    leader_id: int = int32()
    leader_epoch: int = int32(since=7, default=-1, ignorable=True)
    replica_nodes: list[int] = array(int32)
    isr_nodes: list[int] = array(int32)
    offline_replicas: list[int] = array(int32, since=5, ignorable=True)


class MetadataResponseTopic(Struct):
    """One topic and its partitions."""

    error_code: int = int16()
    name: str | None = string(nullable_since=12)
    topic_id: UUID = uuid(since=10, ignorable=True)
    is_internal: bool = boolean(since=1, ignorable=True)
    partitions: list[MetadataResponsePartition] = array(MetadataResponsePartition)
    topic_authorized_operations: int = int32(since=8, default=-2147483648)


class MetadataResponse(Response):
    """The brokers and the topics that were asked for."""

    api_key = ApiKey.METADATA
    min_version = 0
    max_version = 13
    flexible_from = 9
    throttles_since = 6

    throttle_time_ms: int = int32(since=3, ignorable=True)
    brokers: list[MetadataResponseBroker] = array(MetadataResponseBroker)
    cluster_id: str | None = string(since=2, nullable_since=2, default=None, ignorable=True)
    controller_id: int = int32(since=1, default=-1, ignorable=True)
    topics: list[MetadataResponseTopic] = array(MetadataResponseTopic)
    cluster_authorized_operations: int = int32(since=8, until=10, default=-2147483648)
    error_code: int = int16(since=13, ignorable=True)
