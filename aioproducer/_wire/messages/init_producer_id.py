"""InitProducerId, versions 0 to 5: give me a producer id, or a new epoch for mine.

2 flexible · 3 own id and epoch are sent, to have the epoch bumped (KIP-360) · 4 PRODUCER_FENCED · 5
TRANSACTION_ABORTABLE (KIP-890).
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, int16, int32, int64, string


class InitProducerIdRequest(Request):
    """Give me a producer id; with a transactional id, end what its former owner had begun."""

    api_key = ApiKey.INIT_PRODUCER_ID
    min_version = 0
    max_version = 5
    flexible_from = 2

    transactional_id: str | None = string(nullable_since=0)
    transaction_timeout_ms: int = int32()
    producer_id: int = int64(since=3, default=-1)
    producer_epoch: int = int16(since=3, default=-1)


class InitProducerIdResponse(Response):
    """The producer id and epoch to use."""

    api_key = ApiKey.INIT_PRODUCER_ID
    min_version = 0
    max_version = 5
    flexible_from = 2
    throttles_since = 1

    throttle_time_ms: int = int32()
    error_code: int = int16()
    producer_id: int = int64(default=-1)
    producer_epoch: int = int16()
