"""AddOffsetsToTxn, versions 0 to 4: offsets of this group belong to my transaction now.

2 PRODUCER_FENCED · 3 flexible · 4 TRANSACTION_ABORTABLE (KIP-890).
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, int16, int32, int64, string


class AddOffsetsToTxnRequest(Request):
    """Add this group's offsets to the transaction."""

    api_key = ApiKey.ADD_OFFSETS_TO_TXN
    min_version = 0
    max_version = 4
    flexible_from = 3

    transactional_id: str = string()
    producer_id: int = int64()
    producer_epoch: int = int16()
    group_id: str = string()


class AddOffsetsToTxnResponse(Response):
    """Whether the group was added."""

    api_key = ApiKey.ADD_OFFSETS_TO_TXN
    min_version = 0
    max_version = 4
    flexible_from = 3
    throttles_since = 1

    throttle_time_ms: int = int32()
    error_code: int = int16()
