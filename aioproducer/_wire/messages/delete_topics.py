"""DeleteTopics, versions 1 to 6: delete topics.

1 throttle time · 3 TOPIC_DELETION_DISABLED · 4 flexible · 5 error message, THROTTLING_QUOTA_EXCEEDED (KIP-599) · 6 by
name or by topic id.
"""

from __future__ import annotations

from uuid import UUID

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, Struct, array, int16, int32, string, uuid


class DeleteTopicState(Struct):
    """A topic to delete, by name or by id."""

    name: str | None = string(since=6, nullable_since=6, default=None)
    topic_id: UUID = uuid(since=6)


class DeleteTopicsRequest(Request):
    """Delete these topics; by `topic_names` up to version 5, then by `topics`."""

    api_key = ApiKey.DELETE_TOPICS
    min_version = 1
    max_version = 6
    flexible_from = 4

    topics: list[DeleteTopicState] = array(DeleteTopicState, since=6)
    topic_names: list[str] = array(string, until=5, ignorable=True)
    timeout_ms: int = int32()


class DeletableTopicResult(Struct):
    """What became of one topic."""

    name: str | None = string(nullable_since=6)
    topic_id: UUID = uuid(since=6, ignorable=True)
    error_code: int = int16()
    error_message: str | None = string(since=5, nullable_since=5, default=None, ignorable=True)


class DeleteTopicsResponse(Response):
    """What became of each topic."""

    api_key = ApiKey.DELETE_TOPICS
    min_version = 1
    max_version = 6
    flexible_from = 4
    throttles_since = 2

    throttle_time_ms: int = int32()
    responses: list[DeletableTopicResult] = array(DeletableTopicResult)
