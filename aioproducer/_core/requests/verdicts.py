"""What follows from an error code, and how long to wait before the next attempt?

One row per (api, code) a producer can meet; adding a code means adding a row and a test. What the verdicts do is told
where they are acted on (`_core/produce.py`, `_core/identity.py`, `_core/metadata.py`).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._wire.api_keys import ApiKey
from aioproducer.errors._codes import RETRIABLE

if TYPE_CHECKING:
    import random


class Verdict(Enum):
    """What the producer does about an answer."""

    DELIVERED = "the records are in the log"
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

PRODUCE_RULES: Final[dict[int, Rule]] = {
    -1: _FAIL,  # UNKNOWN_SERVER_ERROR
    0: Rule(Verdict.DELIVERED),
    2: _RETRY_REFUSED,  # CORRUPT_MESSAGE
    3: _REFRESH,  # UNKNOWN_TOPIC_OR_PARTITION
    5: _REFRESH,  # LEADER_NOT_AVAILABLE
    6: _REFRESH,  # NOT_LEADER_OR_FOLLOWER
    7: _RETRY,  # REQUEST_TIMED_OUT
    9: _REFRESH,  # REPLICA_NOT_AVAILABLE
    10: Rule(Verdict.SPLIT, proves_not_written=True),  # MESSAGE_TOO_LARGE
    13: _REFRESH,  # NETWORK_EXCEPTION
    14: _RETRY_REFUSED,  # COORDINATOR_LOAD_IN_PROGRESS
    15: _RETRY_REFUSED,  # COORDINATOR_NOT_AVAILABLE
    16: _RETRY_REFUSED,  # NOT_COORDINATOR
    17: _FAIL_REFUSED,  # INVALID_TOPIC_EXCEPTION
    18: Rule(
        Verdict.SPLIT, proves_not_written=True
    ),  # RECORD_LIST_TOO_LARGE: Java fails it, smaller batches may fit a segment
    19: _RETRY_REFUSED,  # NOT_ENOUGH_REPLICAS
    20: _RETRY,  # NOT_ENOUGH_REPLICAS_AFTER_APPEND
    21: _FAIL_REFUSED,  # INVALID_REQUIRED_ACKS
    29: _FAIL_REFUSED,  # TOPIC_AUTHORIZATION_FAILED
    31: _FATAL_REFUSED,  # CLUSTER_AUTHORIZATION_FAILED
    32: _FAIL_REFUSED,  # INVALID_TIMESTAMP
    35: _FATAL_REFUSED,  # UNSUPPORTED_VERSION
    42: _FAIL_REFUSED,  # INVALID_REQUEST
    43: _FAIL_REFUSED,  # UNSUPPORTED_FOR_MESSAGE_FORMAT
    44: _FAIL_REFUSED,  # POLICY_VIOLATION
    45: Rule(Verdict.OUT_OF_ORDER, proves_not_written=True),
    46: Rule(Verdict.DELIVERED),  # DUPLICATE_SEQUENCE_NUMBER
    47: _FAIL_REFUSED,  # INVALID_PRODUCER_EPOCH
    48: _FAIL_REFUSED,  # INVALID_TXN_STATE
    49: _FATAL_REFUSED,  # INVALID_PRODUCER_ID_MAPPING
    51: _RETRY_REFUSED,  # CONCURRENT_TRANSACTIONS
    53: _FATAL_REFUSED,  # TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    55: _FAIL_REFUSED,  # OPERATION_NOT_ATTEMPTED
    56: _REFRESH,  # KAFKA_STORAGE_ERROR
    59: Rule(Verdict.UNKNOWN_PRODUCER, proves_not_written=True),
    72: _REFRESH,  # LISTENER_NOT_FOUND
    74: _REFRESH_REFUSED,  # FENCED_LEADER_EPOCH
    75: _RETRY_REFUSED,  # UNKNOWN_LEADER_EPOCH
    76: _FAIL_REFUSED,  # UNSUPPORTED_COMPRESSION_TYPE
    87: _FAIL_REFUSED,  # INVALID_RECORD
    89: _RETRY_REFUSED,  # THROTTLING_QUOTA_EXCEEDED
    90: _FATAL_REFUSED,  # PRODUCER_FENCED
    100: _REFRESH_REFUSED,  # UNKNOWN_TOPIC_ID
    103: _REFRESH_REFUSED,  # INCONSISTENT_TOPIC_ID
    120: _FAIL_REFUSED,  # TRANSACTION_ABORTABLE
}
"""What a Produce answer says about a batch. Codes not listed fail the batch, which then counts as possibly written."""

INIT_PRODUCER_ID_RULES: Final[dict[int, Rule]] = {
    0: Rule(Verdict.DELIVERED),
    7: _RETRY,  # REQUEST_TIMED_OUT
    13: _RETRY,  # NETWORK_EXCEPTION
    14: _RETRY,  # COORDINATOR_LOAD_IN_PROGRESS
    15: _RETRY,  # COORDINATOR_NOT_AVAILABLE
    16: _RETRY,  # NOT_COORDINATOR
    31: _FAIL,  # CLUSTER_AUTHORIZATION_FAILED: what is buffered fails, then it is tried again
    51: _RETRY,  # CONCURRENT_TRANSACTIONS
    89: _RETRY,  # THROTTLING_QUOTA_EXCEEDED
}
"""What an InitProducerId answer says. Codes not listed are fatal, unless the code is retriable."""

_TRANSACTION_VERDICTS: Final[dict[int, Verdict]] = {
    0: Verdict.DELIVERED,
    15: Verdict.COORDINATOR,  # COORDINATOR_NOT_AVAILABLE
    16: Verdict.COORDINATOR,  # NOT_COORDINATOR
    47: Verdict.FENCED,  # INVALID_PRODUCER_EPOCH
    53: Verdict.FATAL,  # TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    90: Verdict.FENCED,  # PRODUCER_FENCED
    120: Verdict.ABORT,  # TRANSACTION_ABORTABLE
}
"""What holds for every request of a transaction. Codes not listed: RETRY if the code is retriable, else FATAL."""

TRANSACTION_VERDICTS: Final[dict[int, dict[int, Verdict]]] = {
    ApiKey.FIND_COORDINATOR: {
        **_TRANSACTION_VERDICTS,
        15: Verdict.RETRY,  # COORDINATOR_NOT_AVAILABLE
        16: Verdict.RETRY,  # NOT_COORDINATOR
        30: Verdict.ABORT,  # GROUP_AUTHORIZATION_FAILED
    },
    # Nothing is open that could be aborted; a broker that says so may be asked again.
    ApiKey.INIT_PRODUCER_ID: {**_TRANSACTION_VERDICTS, 120: Verdict.RETRY},
    ApiKey.ADD_PARTITIONS_TO_TXN: {
        **_TRANSACTION_VERDICTS,
        29: Verdict.ABORT,  # TOPIC_AUTHORIZATION_FAILED
        55: Verdict.ABORT,  # OPERATION_NOT_ATTEMPTED: another partition of the request was refused
        59: Verdict.ABORT,  # UNKNOWN_PRODUCER_ID
    },
    ApiKey.ADD_OFFSETS_TO_TXN: {
        **_TRANSACTION_VERDICTS,
        30: Verdict.ABORT,  # GROUP_AUTHORIZATION_FAILED
        59: Verdict.ABORT,  # UNKNOWN_PRODUCER_ID
    },
    ApiKey.TXN_OFFSET_COMMIT: {
        **_TRANSACTION_VERDICTS,
        7: Verdict.COORDINATOR,  # REQUEST_TIMED_OUT
        12: Verdict.ABORT,  # OFFSET_METADATA_TOO_LARGE
        22: Verdict.ABORT,  # ILLEGAL_GENERATION: the consumer has lost its place in the group (KIP-447)
        24: Verdict.ABORT,  # INVALID_GROUP_ID
        25: Verdict.ABORT,  # UNKNOWN_MEMBER_ID
        27: Verdict.ABORT,  # REBALANCE_IN_PROGRESS
        29: Verdict.ABORT,  # TOPIC_AUTHORIZATION_FAILED
        30: Verdict.ABORT,  # GROUP_AUTHORIZATION_FAILED
        48: Verdict.ABORT,  # INVALID_TXN_STATE: the coordinator has ended the transaction; EndTxn tells how
        82: Verdict.ABORT,  # FENCED_INSTANCE_ID
        113: Verdict.ABORT,  # STALE_MEMBER_EPOCH
    },
    ApiKey.END_TXN: {
        **_TRANSACTION_VERDICTS,
        # The coordinator aborted the transaction as it was open for too long, and the epoch was not raised.
        48: Verdict.ABORT,  # INVALID_TXN_STATE
        59: Verdict.ABORT,  # UNKNOWN_PRODUCER_ID
    },
    ApiKey.DESCRIBE_TRANSACTIONS: dict(_TRANSACTION_VERDICTS),
}
"""By ApiKey, then code: what follows for the transaction from an answer of its coordinator."""


def transaction_verdict(api_key: int, code: int) -> Verdict:
    """Return what follows from an error code in the answer to a request of a transaction."""
    verdict = TRANSACTION_VERDICTS[api_key].get(code)
    if verdict is not None:
        return verdict
    return Verdict.RETRY if code in RETRIABLE else Verdict.FATAL


METADATA_VERDICTS: Final[dict[int, Verdict]] = {
    0: Verdict.DELIVERED,
    3: Verdict.REFRESH,  # UNKNOWN_TOPIC_OR_PARTITION
    5: Verdict.REFRESH,  # LEADER_NOT_AVAILABLE
    9: Verdict.REFRESH,  # REPLICA_NOT_AVAILABLE
    17: Verdict.FAIL,  # INVALID_TOPIC_EXCEPTION
    29: Verdict.FAIL,  # TOPIC_AUTHORIZATION_FAILED
    72: Verdict.REFRESH,  # LISTENER_NOT_FOUND
    100: Verdict.REFRESH,  # UNKNOWN_TOPIC_ID
}
"""What a Metadata answer says about a topic or a partition. Codes not listed are ignored."""

UNLISTED_PRODUCE_RULE: Final = _FAIL
UNLISTED_INIT_PRODUCER_ID_RULE: Final = Rule(Verdict.FATAL)


def exponential_backoff(attempts: int, base: float, maximum: float, rng: random.Random) -> float:
    """Return seconds to wait after the given number of attempts: base, doubled each time, ±20 %, at most maximum.

    The limit applies after the jitter too (KIP-580). Without room to grow (base >= maximum) it is base, without jitter.
    """
    if base >= maximum:
        return base
    doublings = min(max(attempts, 1) - 1, 30)
    return min(maximum, base * 2.0**doublings * rng.uniform(0.8, 1.2))
