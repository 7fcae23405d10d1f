"""The tables of what follows from an error code that a broker answers.

One row per (api, code) a producer can meet; adding a code means adding a row and a test. The tables alone decide: what
acts on an answer asks for the verdict, never for the code's class. What a verdict leads to stands where it is acted
on: `produce/produce.py`, `requests/control_request.py` and who derives from it, `cluster/metadata_state.py`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._wire.api_keys import ApiKey
from aioproducer.errors import ErrorCode
from aioproducer.errors._codes import RETRIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping


class Verdict(Enum):
    """What the producer does about an answer."""

    DELIVERED = "it is done: the records are in the log, the request has what it asked for"
    RETRY = "send the same again after the backoff"
    REFRESH = "send the same again after the backoff, and refresh the metadata meanwhile"
    SPLIT = "send it as two batches if it has several records, else fail"
    FAIL = "this batch (or topic, or request) fails; others go on"
    FATAL = "the producer cannot go on"
    OUT_OF_ORDER = "a gap in the sequence: either collateral of an earlier batch, or the broker lost state"
    UNKNOWN_PRODUCER = "the broker has no state of this producer id"
    COORDINATOR = "look up the coordinator anew, then send the same again"
    ABORT = "the transaction can only be aborted"
    FENCED = "our epoch is over: another producer has taken over, or the coordinator aborted a transaction in time-out"
    IGNORE = "nothing follows; whoever waits runs into its timeout"


SEVERITY: Final = (
    Verdict.DELIVERED,
    Verdict.RETRY,
    Verdict.COORDINATOR,
    Verdict.FAIL,
    Verdict.ABORT,
    Verdict.FENCED,
    Verdict.FATAL,
)
"""Of several error codes in an answer to a control request the last in this order decides."""


class Rule(NamedTuple):
    """A row: the verdict, and whether the code proves that this attempt wrote nothing.

    A broker may lose the leadership after it has appended and before the replicas have confirmed; it then answers with
    NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION or KAFKA_STORAGE_ERROR (Kafka's DelayedProduce), so that these
    prove nothing. The codes that prove it are found before the append.
    """

    verdict: Verdict
    proves_not_written: bool = False


_RETRY: Final = Rule(Verdict.RETRY)
_RETRY_REFUSED: Final = Rule(Verdict.RETRY, proves_not_written=True)
_REFRESH: Final = Rule(Verdict.REFRESH)
_REFRESH_REFUSED: Final = Rule(Verdict.REFRESH, proves_not_written=True)
_FAIL: Final = Rule(Verdict.FAIL)
_FAIL_REFUSED: Final = Rule(Verdict.FAIL, proves_not_written=True)
_FATAL_REFUSED: Final = Rule(Verdict.FATAL, proves_not_written=True)
_SPLIT: Final = Rule(Verdict.SPLIT, proves_not_written=True)

PRODUCE_RULES: Final[dict[int, Rule]] = {
    ErrorCode.UNKNOWN_SERVER_ERROR: _FAIL,
    ErrorCode.NONE: Rule(Verdict.DELIVERED),
    ErrorCode.CORRUPT_MESSAGE: _RETRY_REFUSED,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: _REFRESH,
    ErrorCode.LEADER_NOT_AVAILABLE: _REFRESH,
    ErrorCode.NOT_LEADER_OR_FOLLOWER: _REFRESH,
    ErrorCode.REQUEST_TIMED_OUT: _RETRY,
    ErrorCode.REPLICA_NOT_AVAILABLE: _REFRESH,
    ErrorCode.MESSAGE_TOO_LARGE: _SPLIT,
    ErrorCode.NETWORK_EXCEPTION: _REFRESH,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS: _RETRY_REFUSED,
    ErrorCode.COORDINATOR_NOT_AVAILABLE: _RETRY_REFUSED,
    ErrorCode.NOT_COORDINATOR: _RETRY_REFUSED,
    ErrorCode.INVALID_TOPIC_EXCEPTION: _FAIL_REFUSED,
    ErrorCode.RECORD_LIST_TOO_LARGE: _SPLIT,  # Java fails it, smaller batches may fit a segment
    ErrorCode.NOT_ENOUGH_REPLICAS: _RETRY_REFUSED,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND: _RETRY,
    ErrorCode.INVALID_REQUIRED_ACKS: _FAIL_REFUSED,
    ErrorCode.TOPIC_AUTHORIZATION_FAILED: _FAIL_REFUSED,
    ErrorCode.CLUSTER_AUTHORIZATION_FAILED: _FATAL_REFUSED,
    ErrorCode.INVALID_TIMESTAMP: _FAIL_REFUSED,
    ErrorCode.UNSUPPORTED_VERSION: _FATAL_REFUSED,
    ErrorCode.INVALID_REQUEST: _FAIL_REFUSED,
    ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT: _FAIL_REFUSED,
    ErrorCode.POLICY_VIOLATION: _FAIL_REFUSED,
    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER: Rule(Verdict.OUT_OF_ORDER, proves_not_written=True),
    ErrorCode.DUPLICATE_SEQUENCE_NUMBER: Rule(Verdict.DELIVERED),
    ErrorCode.INVALID_PRODUCER_EPOCH: _FAIL_REFUSED,
    ErrorCode.INVALID_TXN_STATE: _FAIL_REFUSED,
    ErrorCode.INVALID_PRODUCER_ID_MAPPING: _FATAL_REFUSED,
    ErrorCode.CONCURRENT_TRANSACTIONS: _RETRY_REFUSED,
    ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: _FATAL_REFUSED,
    ErrorCode.OPERATION_NOT_ATTEMPTED: _FAIL_REFUSED,
    ErrorCode.KAFKA_STORAGE_ERROR: _REFRESH,
    ErrorCode.UNKNOWN_PRODUCER_ID: Rule(Verdict.UNKNOWN_PRODUCER, proves_not_written=True),
    ErrorCode.LISTENER_NOT_FOUND: _REFRESH,
    ErrorCode.FENCED_LEADER_EPOCH: _REFRESH_REFUSED,
    ErrorCode.UNKNOWN_LEADER_EPOCH: _RETRY_REFUSED,
    ErrorCode.UNSUPPORTED_COMPRESSION_TYPE: _FAIL_REFUSED,
    ErrorCode.INVALID_RECORD: _FAIL_REFUSED,
    ErrorCode.THROTTLING_QUOTA_EXCEEDED: _RETRY_REFUSED,
    ErrorCode.PRODUCER_FENCED: _FATAL_REFUSED,
    ErrorCode.UNKNOWN_TOPIC_ID: _REFRESH_REFUSED,
    ErrorCode.INCONSISTENT_TOPIC_ID: _REFRESH_REFUSED,
    ErrorCode.TRANSACTION_ABORTABLE: _FAIL_REFUSED,
}
"""What a Produce answer says about a batch. Codes not listed fail the batch, which then counts as possibly written."""

INIT_PRODUCER_ID_VERDICTS: Final[dict[int, Verdict]] = {
    ErrorCode.NONE: Verdict.DELIVERED,
    ErrorCode.REQUEST_TIMED_OUT: Verdict.RETRY,
    ErrorCode.NETWORK_EXCEPTION: Verdict.RETRY,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS: Verdict.RETRY,
    ErrorCode.COORDINATOR_NOT_AVAILABLE: Verdict.RETRY,
    ErrorCode.NOT_COORDINATOR: Verdict.RETRY,
    ErrorCode.CLUSTER_AUTHORIZATION_FAILED: Verdict.FAIL,  # what is buffered fails, then it is tried again
    ErrorCode.CONCURRENT_TRANSACTIONS: Verdict.RETRY,
    ErrorCode.THROTTLING_QUOTA_EXCEEDED: Verdict.RETRY,
}
"""What an InitProducerId answer says to a producer without transactions. Codes not listed: see `control_verdict`."""

_TRANSACTION_VERDICTS: Final[dict[int, Verdict]] = {
    ErrorCode.NONE: Verdict.DELIVERED,
    ErrorCode.COORDINATOR_NOT_AVAILABLE: Verdict.COORDINATOR,
    ErrorCode.NOT_COORDINATOR: Verdict.COORDINATOR,
    ErrorCode.INVALID_PRODUCER_EPOCH: Verdict.FENCED,
    ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Verdict.FATAL,
    ErrorCode.PRODUCER_FENCED: Verdict.FENCED,
    ErrorCode.TRANSACTION_ABORTABLE: Verdict.ABORT,
}
"""What holds for every request of a transaction."""

TRANSACTION_VERDICTS: Final[dict[int, dict[int, Verdict]]] = {
    ApiKey.FIND_COORDINATOR: {
        **_TRANSACTION_VERDICTS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE: Verdict.RETRY,
        ErrorCode.NOT_COORDINATOR: Verdict.RETRY,
        ErrorCode.GROUP_AUTHORIZATION_FAILED: Verdict.ABORT,
    },
    # Nothing is open that could be aborted; a broker that says so may be asked again.
    ApiKey.INIT_PRODUCER_ID: {**_TRANSACTION_VERDICTS, ErrorCode.TRANSACTION_ABORTABLE: Verdict.RETRY},
    ApiKey.ADD_PARTITIONS_TO_TXN: {
        **_TRANSACTION_VERDICTS,
        ErrorCode.TOPIC_AUTHORIZATION_FAILED: Verdict.ABORT,
        ErrorCode.OPERATION_NOT_ATTEMPTED: Verdict.ABORT,  # another partition of the request was refused
        ErrorCode.UNKNOWN_PRODUCER_ID: Verdict.ABORT,
    },
    ApiKey.ADD_OFFSETS_TO_TXN: {
        **_TRANSACTION_VERDICTS,
        ErrorCode.GROUP_AUTHORIZATION_FAILED: Verdict.ABORT,
        ErrorCode.UNKNOWN_PRODUCER_ID: Verdict.ABORT,
    },
    ApiKey.TXN_OFFSET_COMMIT: {
        **_TRANSACTION_VERDICTS,
        ErrorCode.REQUEST_TIMED_OUT: Verdict.COORDINATOR,
        ErrorCode.OFFSET_METADATA_TOO_LARGE: Verdict.ABORT,
        ErrorCode.ILLEGAL_GENERATION: Verdict.ABORT,  # the consumer has lost its place in the group (KIP-447)
        ErrorCode.INVALID_GROUP_ID: Verdict.ABORT,
        ErrorCode.UNKNOWN_MEMBER_ID: Verdict.ABORT,
        ErrorCode.REBALANCE_IN_PROGRESS: Verdict.ABORT,
        ErrorCode.TOPIC_AUTHORIZATION_FAILED: Verdict.ABORT,
        ErrorCode.GROUP_AUTHORIZATION_FAILED: Verdict.ABORT,
        ErrorCode.INVALID_TXN_STATE: Verdict.ABORT,  # the coordinator has ended the transaction; EndTxn tells how
        ErrorCode.FENCED_INSTANCE_ID: Verdict.ABORT,
        ErrorCode.STALE_MEMBER_EPOCH: Verdict.ABORT,
    },
    ApiKey.END_TXN: {
        **_TRANSACTION_VERDICTS,
        # The coordinator aborted the transaction as it was open for too long, and the epoch was not raised.
        ErrorCode.INVALID_TXN_STATE: Verdict.ABORT,
        ErrorCode.UNKNOWN_PRODUCER_ID: Verdict.ABORT,
    },
    ApiKey.DESCRIBE_TRANSACTIONS: dict(_TRANSACTION_VERDICTS),
}
"""By ApiKey, then code: what follows for the transaction from an answer. Codes not listed: see `control_verdict`."""

METADATA_VERDICTS: Final[dict[int, Verdict]] = {
    ErrorCode.NONE: Verdict.DELIVERED,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: Verdict.REFRESH,
    ErrorCode.LEADER_NOT_AVAILABLE: Verdict.REFRESH,
    ErrorCode.REPLICA_NOT_AVAILABLE: Verdict.REFRESH,
    ErrorCode.INVALID_TOPIC_EXCEPTION: Verdict.FAIL,
    ErrorCode.TOPIC_AUTHORIZATION_FAILED: Verdict.FAIL,
    ErrorCode.LISTENER_NOT_FOUND: Verdict.REFRESH,
    ErrorCode.UNKNOWN_TOPIC_ID: Verdict.REFRESH,
}
"""What a Metadata answer says about a topic or a partition. Codes not listed are ignored."""

UNLISTED_PRODUCE_RULE: Final = _FAIL


def control_verdict(verdicts: Mapping[int, Verdict], code: int) -> Verdict:
    """Return what follows from an error code in the answer to a control request.

    Codes that its table does not list: RETRY if the code is retriable, else FATAL.
    """
    verdict = verdicts.get(code)
    if verdict is not None:
        return verdict
    return Verdict.RETRY if code in RETRIABLE else Verdict.FATAL
