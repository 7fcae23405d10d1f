"""EndTxn, versions 0 to 5: commit or abort my transaction.

2 PRODUCER_FENCED · 3 flexible · 4 TRANSACTION_ABORTABLE · 5 the answer has the producer id and epoch to go on with
(KIP-890).
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, boolean, int16, int32, int64, string


class EndTxnRequest(Request):
    """Commit the transaction, or abort it."""

    api_key = ApiKey.END_TXN
    min_version = 0
    max_version = 5
    flexible_from = 3

    transactional_id: str = string()
    producer_id: int = int64()
    producer_epoch: int = int16()
    committed: bool = boolean()


class EndTxnResponse(Response):
    """Whether it will be ended so."""

    api_key = ApiKey.END_TXN
    min_version = 0
    max_version = 5
    flexible_from = 3
    throttles_since = 1

    throttle_time_ms: int = int32()
    error_code: int = int16()
    producer_id: int = int64(since=5, default=-1, ignorable=True)
    producer_epoch: int = int16(since=5, default=-1, ignorable=True)
