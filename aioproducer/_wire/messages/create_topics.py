"""CreateTopics, versions 2 to 7: make topics.

4 partitions and replicas may be left to the broker's defaults (KIP-464) · 5 flexible, the topic's configuration in
the answer (KIP-525) · 6 THROTTLING_QUOTA_EXCEEDED (KIP-599) · 7 topic id in the answer.
"""

from __future__ import annotations

from uuid import UUID

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, Struct, array, boolean, int8, int16, int32, string, uuid


class CreatableReplicaAssignment(Struct):
    """Which brokers are to hold one partition."""

    partition_index: int = int32()
    broker_ids: list[int] = array(int32)


class CreatableTopicConfig(Struct):
    """A setting for the new topic."""

    name: str = string()
    value: str | None = string(nullable_since=0)


class CreatableTopic(Struct):
    """A topic to make; -1 partitions or replicas for the broker's default."""

    name: str = string()
    num_partitions: int = int32()
    replication_factor: int = int16()
    assignments: list[CreatableReplicaAssignment] = array(CreatableReplicaAssignment)
    configs: list[CreatableTopicConfig] = array(CreatableTopicConfig)


class CreateTopicsRequest(Request):
    """Make these topics."""

    api_key = ApiKey.CREATE_TOPICS
    min_version = 2
    max_version = 7
    flexible_from = 5

    topics: list[CreatableTopic] = array(CreatableTopic)
    timeout_ms: int = int32(default=60000)
    validate_only: bool = boolean()


class CreatableTopicConfigs(Struct):
    """A setting that the new topic has."""

    name: str = string(since=5)
    value: str | None = string(since=5, nullable_since=5)
    read_only: bool = boolean(since=5)
    config_source: int = int8(since=5, default=-1, ignorable=True)
    is_sensitive: bool = boolean(since=5)


class CreatableTopicResult(Struct):
    """What became of one topic."""

    name: str = string()
    topic_id: UUID = uuid(since=7, ignorable=True)
    error_code: int = int16()
    error_message: str | None = string(nullable_since=0)
    topic_config_error_code: int = int16(since=5, tag=0, ignorable=True)
    num_partitions: int = int32(since=5, default=-1, ignorable=True)
    replication_factor: int = int16(since=5, default=-1, ignorable=True)
    configs: list[CreatableTopicConfigs] | None = array(
        CreatableTopicConfigs, since=5, nullable_since=5, ignorable=True
    )


class CreateTopicsResponse(Response):
    """What became of each topic."""

    api_key = ApiKey.CREATE_TOPICS
    min_version = 2
    max_version = 7
    flexible_from = 5
    throttles_since = 3

    throttle_time_ms: int = int32()
    topics: list[CreatableTopicResult] = array(CreatableTopicResult)
