"""DescribeTransactions, version 0: where do these transactional ids stand? (KIP-664)"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, Struct, array, int16, int32, int64, string


class DescribeTransactionsRequest(Request):
    """Where do these transactional ids stand? Asked of their coordinator."""

    api_key = ApiKey.DESCRIBE_TRANSACTIONS
    min_version = 0
    max_version = 0
    flexible_from = 0

    transactional_ids: list[str] = array(string)


class TopicData(Struct):
    """The partitions of one topic that are part of a transaction."""

    topic: str = string()
    partitions: list[int] = array(int32)


class TransactionDescription(Struct):
    """What the coordinator keeps of one transactional id; the state by its name in Java ("CompleteAbort")."""

    error_code: int = int16()
    transactional_id: str = string()
    transaction_state: str = string()
    transaction_timeout_ms: int = int32()
    transaction_start_time_ms: int = int64()
    producer_id: int = int64()
    producer_epoch: int = int16()
    topics: list[TopicData] = array(TopicData)


class DescribeTransactionsResponse(Response):
    """Where each of them stands."""

    api_key = ApiKey.DESCRIBE_TRANSACTIONS
    min_version = 0
    max_version = 0
    flexible_from = 0
    throttles_since = 0

    throttle_time_ms: int = int32()
    transaction_states: list[TransactionDescription] = array(TransactionDescription)
