"""FindCoordinator, versions 0 to 6: which broker looks after this group or transactional id?

1 key type, throttle time, error message · 3 flexible · 4 several keys at once (KIP-699) · 5 TRANSACTION_ABORTABLE
(KIP-890) · 6 share groups (KIP-932).
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, Struct, array, int8, int16, int32, string


class FindCoordinatorRequest(Request):
    """Who coordinates these keys? One key up to version 3, then several."""

    api_key = ApiKey.FIND_COORDINATOR
    min_version = 0
    max_version = 6
    flexible_from = 3

    key: str = string(until=3)
    key_type: int = int8(since=1)
    coordinator_keys: list[str] = array(string, since=4)


class FoundCoordinator(Struct):
    """The coordinator of one key."""

    key: str = string(since=4)
    node_id: int = int32(since=4)
    host: str = string(since=4)
    port: int = int32(since=4)
    error_code: int = int16(since=4)
    error_message: str | None = string(since=4, nullable_since=4, ignorable=True)


class FindCoordinatorResponse(Response):
    """The coordinator; one up to version 3, then one for each key."""

    api_key = ApiKey.FIND_COORDINATOR
    min_version = 0
    max_version = 6
    flexible_from = 3
    throttles_since = 2

    throttle_time_ms: int = int32(since=1, ignorable=True)
    error_code: int = int16(until=3)
    error_message: str | None = string(since=1, until=3, nullable_since=1, ignorable=True)
    node_id: int = int32(until=3)
    host: str = string(until=3)
    port: int = int32(until=3)
    coordinators: list[FoundCoordinator] = array(FoundCoordinator, since=4)
