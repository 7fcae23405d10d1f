"""Which exceptions exist, and which one a Kafka error code becomes.

Everything that this package raises on purpose, apart from TypeError and ValueError for wrong arguments, is a
KafkaError::

    KafkaError
    ├── BrokerError                     the broker answered with an error code that has no class of its own
    │   ├── AuthenticationError         who we are was refused
    │   ├── AuthorizationError          what we asked for is not allowed
    │   ├── UnsupportedVersionError     the broker is too old (or too new) for what is needed
    │   ├── InvalidTopicError           a name that Kafka does not allow, or an internal topic
    │   ├── RecordTooLargeError         larger than max_request_size, buffer_memory or the topic's max.message.bytes
    │   ├── InvalidRecordError          the broker looked into the batch and refused records of it
    │   ├── ProducerFencedError         another producer with our transactional_id has taken over
    │   └── TransactionAbortableError   the open transaction can only be aborted
    ├── ProtocolError                   bytes from the network that are not what Kafka's protocol says
    │   └── CorruptRecordError          a record batch that is damaged
    ├── KafkaConnectionError            the connection was lost, or could not be made
    │   └── BootstrapError              start() reached none of the bootstrap servers
    ├── KafkaTimeoutError               (also TimeoutError)
    │   ├── ConnectionTimeoutError      a connection was not set up in time
    │   ├── RequestTimeoutError         a broker did not answer in time
    │   ├── MetadataTimeoutError        the topic or partition was not known within max_block_ms
    │   ├── BufferTimeoutError          no room in buffer_memory within max_block_ms
    │   └── DeliveryTimeoutError        not acknowledged within delivery_timeout_ms
    ├── BufferFullError                 submit_nowait found no room
    ├── ConfigurationError              (also ValueError) every problem of the settings, at once
    ├── IllegalStateError               a call that is not allowed now, here, or any more
    │   └── ProducerClosedError         the producer was closed, by the caller, before the record was delivered
    ├── FatalProducerError              the producer cannot go on; make a new one
    ├── SerializationError              a serializer raised
    ├── TransactionAbortedError         commit was asked for, but the transaction had to be aborted
    ├── CommitOutcomeUnknownError       whether the transaction is committed is not known
    ├── UndeliveredError                flush() tells of failures that nobody watched
    └── SendAllError                    some records of send_all() failed
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aioproducer.records import RecordMetadata


class ErrorCode(IntEnum):
    """The error codes of Kafka's protocol (Java class Errors), by their names there."""

    UNKNOWN_SERVER_ERROR = -1
    NONE = 0
    OFFSET_OUT_OF_RANGE = 1
    CORRUPT_MESSAGE = 2
    UNKNOWN_TOPIC_OR_PARTITION = 3
    INVALID_FETCH_SIZE = 4
    LEADER_NOT_AVAILABLE = 5
    NOT_LEADER_OR_FOLLOWER = 6
    REQUEST_TIMED_OUT = 7
    BROKER_NOT_AVAILABLE = 8
    REPLICA_NOT_AVAILABLE = 9
    MESSAGE_TOO_LARGE = 10
    STALE_CONTROLLER_EPOCH = 11
    OFFSET_METADATA_TOO_LARGE = 12
    NETWORK_EXCEPTION = 13
    COORDINATOR_LOAD_IN_PROGRESS = 14
    COORDINATOR_NOT_AVAILABLE = 15
    NOT_COORDINATOR = 16
    INVALID_TOPIC_EXCEPTION = 17
    RECORD_LIST_TOO_LARGE = 18
    NOT_ENOUGH_REPLICAS = 19
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20
    INVALID_REQUIRED_ACKS = 21
    ILLEGAL_GENERATION = 22
    INCONSISTENT_GROUP_PROTOCOL = 23
    INVALID_GROUP_ID = 24
    UNKNOWN_MEMBER_ID = 25
    INVALID_SESSION_TIMEOUT = 26
    REBALANCE_IN_PROGRESS = 27
    INVALID_COMMIT_OFFSET_SIZE = 28
    TOPIC_AUTHORIZATION_FAILED = 29
    GROUP_AUTHORIZATION_FAILED = 30
    CLUSTER_AUTHORIZATION_FAILED = 31
    INVALID_TIMESTAMP = 32
    UNSUPPORTED_SASL_MECHANISM = 33
    ILLEGAL_SASL_STATE = 34
    UNSUPPORTED_VERSION = 35
    TOPIC_ALREADY_EXISTS = 36
    INVALID_PARTITIONS = 37
    INVALID_REPLICATION_FACTOR = 38
    INVALID_REPLICA_ASSIGNMENT = 39
    INVALID_CONFIG = 40
    NOT_CONTROLLER = 41
    INVALID_REQUEST = 42
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43
    POLICY_VIOLATION = 44
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45
    DUPLICATE_SEQUENCE_NUMBER = 46
    INVALID_PRODUCER_EPOCH = 47
    INVALID_TXN_STATE = 48
    INVALID_PRODUCER_ID_MAPPING = 49
    INVALID_TRANSACTION_TIMEOUT = 50
    CONCURRENT_TRANSACTIONS = 51
    TRANSACTION_COORDINATOR_FENCED = 52
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
    SECURITY_DISABLED = 54
    OPERATION_NOT_ATTEMPTED = 55
    KAFKA_STORAGE_ERROR = 56
    LOG_DIR_NOT_FOUND = 57
    SASL_AUTHENTICATION_FAILED = 58
    UNKNOWN_PRODUCER_ID = 59
    REASSIGNMENT_IN_PROGRESS = 60
    DELEGATION_TOKEN_AUTH_DISABLED = 61
    DELEGATION_TOKEN_NOT_FOUND = 62
    DELEGATION_TOKEN_OWNER_MISMATCH = 63
    DELEGATION_TOKEN_REQUEST_NOT_ALLOWED = 64
    DELEGATION_TOKEN_AUTHORIZATION_FAILED = 65
    DELEGATION_TOKEN_EXPIRED = 66
    INVALID_PRINCIPAL_TYPE = 67
    NON_EMPTY_GROUP = 68
    GROUP_ID_NOT_FOUND = 69
    FETCH_SESSION_ID_NOT_FOUND = 70
    INVALID_FETCH_SESSION_EPOCH = 71
    LISTENER_NOT_FOUND = 72
    TOPIC_DELETION_DISABLED = 73
    FENCED_LEADER_EPOCH = 74
    UNKNOWN_LEADER_EPOCH = 75
    UNSUPPORTED_COMPRESSION_TYPE = 76
    STALE_BROKER_EPOCH = 77
    OFFSET_NOT_AVAILABLE = 78
    MEMBER_ID_REQUIRED = 79
    PREFERRED_LEADER_NOT_AVAILABLE = 80
    GROUP_MAX_SIZE_REACHED = 81
    FENCED_INSTANCE_ID = 82
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83
    ELECTION_NOT_NEEDED = 84
    NO_REASSIGNMENT_IN_PROGRESS = 85
    GROUP_SUBSCRIBED_TO_TOPIC = 86
    INVALID_RECORD = 87
    UNSTABLE_OFFSET_COMMIT = 88
    THROTTLING_QUOTA_EXCEEDED = 89
    PRODUCER_FENCED = 90
    RESOURCE_NOT_FOUND = 91
    DUPLICATE_RESOURCE = 92
    UNACCEPTABLE_CREDENTIAL = 93
    INCONSISTENT_VOTER_SET = 94
    INVALID_UPDATE_VERSION = 95
    FEATURE_UPDATE_FAILED = 96
    PRINCIPAL_DESERIALIZATION_FAILURE = 97
    SNAPSHOT_NOT_FOUND = 98
    POSITION_OUT_OF_RANGE = 99
    UNKNOWN_TOPIC_ID = 100
    DUPLICATE_BROKER_REGISTRATION = 101
    BROKER_ID_NOT_REGISTERED = 102
    INCONSISTENT_TOPIC_ID = 103
    INCONSISTENT_CLUSTER_ID = 104
    TRANSACTIONAL_ID_NOT_FOUND = 105
    FETCH_SESSION_TOPIC_ID_ERROR = 106
    INELIGIBLE_REPLICA = 107
    NEW_LEADER_ELECTED = 108
    OFFSET_MOVED_TO_TIERED_STORAGE = 109
    FENCED_MEMBER_EPOCH = 110
    UNRELEASED_INSTANCE_ID = 111
    UNSUPPORTED_ASSIGNOR = 112
    STALE_MEMBER_EPOCH = 113
    MISMATCHED_ENDPOINT_TYPE = 114
    UNSUPPORTED_ENDPOINT_TYPE = 115
    UNKNOWN_CONTROLLER_ID = 116
    UNKNOWN_SUBSCRIPTION_ID = 117
    TELEMETRY_TOO_LARGE = 118
    INVALID_REGISTRATION = 119
    TRANSACTION_ABORTABLE = 120
    INVALID_RECORD_STATE = 121
    SHARE_SESSION_NOT_FOUND = 122
    INVALID_SHARE_SESSION_EPOCH = 123
    FENCED_STATE_EPOCH = 124
    INVALID_VOTER_KEY = 125
    DUPLICATE_VOTER = 126
    VOTER_NOT_FOUND = 127
    INVALID_REGULAR_EXPRESSION = 128
    REBOOTSTRAP_REQUIRED = 129
    STREAMS_INVALID_TOPOLOGY = 130
    STREAMS_INVALID_TOPOLOGY_EPOCH = 131
    STREAMS_TOPOLOGY_FENCED = 132
    SHARE_SESSION_LIMIT_REACHED = 133


# The four sets hold plain ints, so that a code that this version does not know can be looked up too.

INVALID_METADATA: Final[frozenset[int]] = frozenset({3, 5, 6, 9, 13, 56, 72, 74, 80, 83, 84, 100, 103})
"""Codes that say: what we know of the cluster is out of date, refresh it (Java class InvalidMetadataException)."""

RETRIABLE: Final[frozenset[int]] = INVALID_METADATA | frozenset(
    {2, 7, 14, 15, 16, 19, 20, 41, 51, 70, 71, 75, 78, 88, 89, 106, 122, 123, 133}
)
"""Codes after which the same request may succeed (Java class RetriableException)."""

FATAL: Final[frozenset[int]] = frozenset({31, 35, 49, 53, 90})
"""Codes after which an idempotent or transactional producer cannot go on."""

POSSIBLY_WRITTEN: Final[frozenset[int]] = frozenset({-1, 7, 13, 20})
"""Codes of a Produce answer (or of a lost one) after which the records may be in the log all the same."""


class Flags(TypedDict, total=False):
    """What can be given to every error; see KafkaError."""

    code: int
    retriable: bool
    fatal: bool
    abortable: bool
    possibly_written: bool


class KafkaError(Exception):
    """The root of all errors raised here.

    Attributes (each class has its defaults; a single error may differ):
        retriable: the same call may succeed later. The producer has already retried what it may.
        fatal: this producer is of no further use; close it and make a new one.
        abortable: inside a transaction: it can only be aborted now.
        possibly_written: the record (or the commit) may have taken effect all the same; sending it again may duplicate
            it.
        code: the error code of the broker, or None.
        name: the name of that code in Kafka's protocol, or None.
    """

    retriable: bool = False
    fatal: bool = False
    abortable: bool = False
    possibly_written: bool = False
    code: int | None = None
    name: str | None = None

    def __init__(self, message: str = "", **flags: Unpack[Flags]) -> None:
        """Make an error; a flag that is not given is the class's own."""
        super().__init__(message)
        unknown = flags.keys() - Flags.__annotations__.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no argument {', '.join(sorted(unknown))}")
        self.__dict__.update(flags)
        if self.code is not None:
            self.code = int(self.code)
            self.name = name_of(self.code)

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way calls the class with args alone, which loses keyword arguments (or fails for want of
        # them). The cause travels along when it surely can: our own errors and the system's. Others may not be
        # picklable.
        cause = self.__cause__ if isinstance(self.__cause__, KafkaError | OSError) else None
        return _restore, (type(self), self.args, dict(self.__dict__), cause)


def _restore(
    error_class: type[KafkaError], args: tuple[Any, ...], attributes: dict[str, Any], cause: BaseException | None
) -> KafkaError:
    error = error_class.__new__(error_class)
    error.args = args
    error.__dict__.update(attributes)
    error.__cause__ = cause
    return error


# ── what brokers answer ──────────────────────────────────────────────────────────────────────────────────────────────


class BrokerError(KafkaError):
    """A broker answered with an error code; `error_for` makes these.

    Attributes:
        api: the request that was answered, by its name in the protocol ("Produce"), or None.
        node: the id of the broker, or None.
        topic, partition: what the answer was about, as far as it says.
    """

    abortable = True

    def __init__(
        self,
        message: str = "",
        *,
        api: str | None = None,
        node: int | None = None,
        topic: str | None = None,
        partition: int | None = None,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(message, **flags)
        self.api = api
        self.node = node
        self.topic = topic
        self.partition = partition


class AuthenticationError(BrokerError):
    """The broker refused our credentials or the mechanism; trying again with the same ones is of no use."""

    abortable = False
    fatal = True


class AuthorizationError(BrokerError):
    """The principal may not do this: to the topic, the group, the transactional id or the cluster (see `name`)."""


class UnsupportedVersionError(BrokerError):
    """The broker does not speak a version of a request, or lack a feature, that is needed."""

    abortable = False
    fatal = True


class InvalidTopicError(BrokerError):
    """The topic's name is not legal, or the topic is one of Kafka's own."""


class RecordTooLargeError(BrokerError):
    """A record is larger than max_request_size or buffer_memory, or a batch larger than the topic allows.

    Attributes:
        size: encoded bytes, or None when only the broker knows.
        limit: the limit in bytes that was exceeded, or None when only the broker knows.
    """

    size: int | None = None
    limit: int | None = None


class InvalidRecordError(BrokerError):
    """The broker refused the batch because of records in it.

    Attributes:
        record_errors: (index in the batch, the broker's text) of each record that it named.
    """

    record_errors: tuple[tuple[int, str | None], ...] = ()


class ProducerFencedError(BrokerError):
    """A newer producer with the same transactional_id is at work; this one must stop."""

    abortable = False
    fatal = True


class TransactionAbortableError(BrokerError):
    """The open transaction cannot be committed any more; abort it, then do its work again in a new one (KIP-890)."""


# ── bytes and connections ────────────────────────────────────────────────────────────────────────────────────────────


class ProtocolError(KafkaError):
    """Bytes from the network are not what Kafka's protocol says they should be."""


class CorruptRecordError(ProtocolError):
    """A record batch is damaged: its checksum, a length, or its compressed data is wrong."""


class KafkaConnectionError(KafkaError):
    """A connection to a broker could not be made, or was lost.

    Attributes:
        node: the id of the broker, or None while it is not known (bootstrap).
        address: (host, port), or None.
    """

    retriable = True
    abortable = True

    def __init__(
        self,
        message: str = "",
        *,
        node: int | None = None,
        address: tuple[str, int] | None = None,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(message, **flags)
        self.node = node
        self.address = address


class BootstrapError(KafkaConnectionError):
    """start() could not connect to any of the bootstrap servers within max_block_ms.

    Attributes:
        failures: for each address tried, the last failure in words.
    """

    abortable = False

    def __init__(self, message: str = "", *, failures: Mapping[tuple[str, int], str] | None = None) -> None:
        super().__init__(message)
        self.failures: dict[tuple[str, int], str] = dict(failures or {})


# ── time and room ────────────────────────────────────────────────────────────────────────────────────────────────────


class KafkaTimeoutError(KafkaError, TimeoutError):
    """Something did not happen in time; also a TimeoutError.

    Attributes:
        elapsed: seconds waited, or None.
        topic, partition: what was waited for, as far as it was about one.
    """

    retriable = True

    def __init__(
        self,
        message: str = "",
        *,
        elapsed: float | None = None,
        topic: str | None = None,
        partition: int | None = None,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(message, **flags)
        self.elapsed = elapsed
        self.topic = topic
        self.partition = partition


class ConnectionTimeoutError(KafkaTimeoutError):
    """A connection was not ready within socket_connection_setup_timeout_ms."""


class RequestTimeoutError(KafkaTimeoutError):
    """A broker did not answer a request within request_timeout_ms."""


class MetadataTimeoutError(KafkaTimeoutError):
    """The topic, or the partition asked for, was not known within max_block_ms; the cause has the broker's reason."""

    abortable = True


class BufferTimeoutError(KafkaTimeoutError):
    """buffer_memory had no room for the record within max_block_ms; it was not accepted."""

    abortable = True


class DeliveryTimeoutError(KafkaTimeoutError):
    """A record was not acknowledged within delivery_timeout_ms; its cause is the last failure.

    Attributes:
        attempts: how often its batch was sent; 0 means that it never left this process.
        node: the broker it was last sent to (or waited for), or None.
    """

    abortable = True

    def __init__(
        self,
        message: str = "",
        *,
        elapsed: float | None = None,
        topic: str | None = None,
        partition: int | None = None,
        attempts: int = 0,
        node: int | None = None,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(message, elapsed=elapsed, topic=topic, partition=partition, **flags)
        self.attempts = attempts
        self.node = node


class BufferFullError(KafkaError):
    """submit_nowait found no room in buffer_memory; the record was not accepted. Wait with submit, or try later."""

    retriable = True


# ── the caller's side ────────────────────────────────────────────────────────────────────────────────────────────────


class ConfigurationError(KafkaError, ValueError):
    """Settings are wrong; also a ValueError. One error tells of all of them.

    Attributes:
        problems: a sentence for each.
    """

    def __init__(self, problems: str | Sequence[str] = ()) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("; ".join(self.problems))


class IllegalStateError(KafkaError):
    """The call is not allowed in the producer's present state, or from this task, loop, thread or process."""


class ProducerClosedError(IllegalStateError):
    """The producer is closed; a record with this error was accepted and then dropped by close()."""


class FatalProducerError(KafkaError):
    """The producer met an error that it cannot go on after (see `__cause__`); close it and make a new one."""

    fatal = True


class SerializationError(KafkaError):
    """A serializer raised (its exception is the cause) or returned something else than bytes or None.

    Attributes:
        topic: the record's topic.
        part: "key" or "value".
    """

    def __init__(self, message: str = "", *, topic: str | None = None, part: str | None = None) -> None:
        super().__init__(message)
        self.topic = topic
        self.part = part


class TransactionAbortedError(KafkaError):
    """Commit was asked for, but a record of the transaction had failed (the cause), so it was aborted."""


class CommitOutcomeUnknownError(KafkaError):
    """The commit was sent and not answered: it may or may not have taken effect. Call commit again, or close."""

    retriable = True
    possibly_written = True


class UndeliveredError(KafkaError):
    """Records that nobody waits for or watches have failed since the last flush.

    Attributes:
        counts: number of them for each topic.
        first: the first failure; also the cause.
    """

    def __init__(
        self, message: str = "", *, counts: Mapping[str, int] | None = None, first: BaseException | None = None
    ) -> None:
        super().__init__(message)
        self.counts: dict[str, int] = dict(counts or {})
        self.first = first
        self.__cause__ = first


class SendAllError(KafkaError):
    """Some records of a send_all() failed; all have been dealt with.

    Attributes:
        results: in the order of the records, its RecordMetadata, or None for one that failed.
        failures: for the index of each failed record, its error.
    """

    def __init__(
        self,
        message: str = "",
        *,
        results: Sequence[RecordMetadata | None] = (),
        failures: Mapping[int, BaseException] | None = None,
    ) -> None:
        super().__init__(message)
        self.results = results
        self.failures: dict[int, BaseException] = dict(failures or {})
        self.possibly_written = any(getattr(error, "possibly_written", False) for error in self.failures.values())


# ── from a code to an error ──────────────────────────────────────────────────────────────────────────────────────────

CLASSES: Final[dict[ErrorCode, type[BrokerError]]] = {
    ErrorCode.MESSAGE_TOO_LARGE: RecordTooLargeError,
    ErrorCode.INVALID_TOPIC_EXCEPTION: InvalidTopicError,
    ErrorCode.RECORD_LIST_TOO_LARGE: RecordTooLargeError,
    ErrorCode.TOPIC_AUTHORIZATION_FAILED: AuthorizationError,
    ErrorCode.GROUP_AUTHORIZATION_FAILED: AuthorizationError,
    ErrorCode.CLUSTER_AUTHORIZATION_FAILED: AuthorizationError,
    ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: AuthorizationError,
    ErrorCode.DELEGATION_TOKEN_AUTHORIZATION_FAILED: AuthorizationError,
    ErrorCode.INVALID_TIMESTAMP: InvalidRecordError,
    ErrorCode.INVALID_RECORD: InvalidRecordError,
    ErrorCode.UNSUPPORTED_SASL_MECHANISM: AuthenticationError,
    ErrorCode.ILLEGAL_SASL_STATE: AuthenticationError,
    ErrorCode.SASL_AUTHENTICATION_FAILED: AuthenticationError,
    ErrorCode.UNSUPPORTED_VERSION: UnsupportedVersionError,
    ErrorCode.PRODUCER_FENCED: ProducerFencedError,
    ErrorCode.TRANSACTION_ABORTABLE: TransactionAbortableError,
}
"""The class of a code; those not listed are plain BrokerErrors."""

TEXTS: Final[dict[ErrorCode, str]] = {
    ErrorCode.UNKNOWN_SERVER_ERROR: "the broker failed in a way that has no code; its log tells more",
    ErrorCode.CORRUPT_MESSAGE: "the batch arrived damaged, or has a null key and the topic is compacted",
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: "no such topic or partition on this broker; create it, or grant Describe",
    ErrorCode.LEADER_NOT_AVAILABLE: "the partition has no leader at the moment",
    ErrorCode.NOT_LEADER_OR_FOLLOWER: "the partition has moved to another broker",
    ErrorCode.REQUEST_TIMED_OUT: "the replicas did not confirm in time; the records may be written",
    ErrorCode.REPLICA_NOT_AVAILABLE: "the replica is not available at the moment",
    ErrorCode.MESSAGE_TOO_LARGE: "the batch is larger than max.message.bytes of the topic; raise that or send less",
    ErrorCode.NETWORK_EXCEPTION: "the connection was lost before the answer came; the records may be written",
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS: "the coordinator is still loading its state",
    ErrorCode.COORDINATOR_NOT_AVAILABLE: "there is no coordinator at the moment",
    ErrorCode.NOT_COORDINATOR: "the coordinator has moved to another broker",
    ErrorCode.INVALID_TOPIC_EXCEPTION: "the name is not legal, or the topic is one of Kafka's own",
    ErrorCode.RECORD_LIST_TOO_LARGE: "the batch is larger than segment.bytes of the topic; lower batch_size",
    ErrorCode.NOT_ENOUGH_REPLICAS: "fewer replicas are in sync than min.insync.replicas asks for; nothing was written",
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND: "written, but too few replicas stayed in sync to confirm it",
    ErrorCode.INVALID_REQUIRED_ACKS: "acks must be -1, 0 or 1",
    ErrorCode.TOPIC_AUTHORIZATION_FAILED: "the principal may not write to the topic; grant Write on it",
    ErrorCode.GROUP_AUTHORIZATION_FAILED: "the principal may not use the consumer group; grant Read on it",
    ErrorCode.CLUSTER_AUTHORIZATION_FAILED: "the principal may not do this; grant IdempotentWrite on the cluster",
    ErrorCode.INVALID_TIMESTAMP: "a timestamp is too far from the broker's clock (topic: message.timestamp.*.max.ms)",
    ErrorCode.UNSUPPORTED_SASL_MECHANISM: "the broker does not offer this SASL mechanism",
    ErrorCode.UNSUPPORTED_VERSION: "the broker does not speak the version of the request",
    ErrorCode.INVALID_REQUEST: "the broker finds the request malformed",
    ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT: "the topic's message format is too old for what was sent",
    ErrorCode.POLICY_VIOLATION: "a policy of the cluster forbids it",
    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER: "the broker misses an earlier batch of this producer",
    ErrorCode.DUPLICATE_SEQUENCE_NUMBER: "the broker has these records already",
    ErrorCode.INVALID_PRODUCER_EPOCH: "the producer epoch is out of date; the transaction timed out or was taken over",
    ErrorCode.INVALID_TXN_STATE: "the transaction is not in a state that allows it",
    ErrorCode.INVALID_PRODUCER_ID_MAPPING: "the producer id does not belong to the transactional id any more",
    ErrorCode.INVALID_TRANSACTION_TIMEOUT: "transaction_timeout_ms is above the broker's transaction.max.timeout.ms",
    ErrorCode.CONCURRENT_TRANSACTIONS: "the previous transaction is still being completed",
    ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "the principal may not use the transactional id; grant Write",
    ErrorCode.KAFKA_STORAGE_ERROR: "the broker's disk failed",
    ErrorCode.SASL_AUTHENTICATION_FAILED: "the credentials were refused",
    ErrorCode.UNKNOWN_PRODUCER_ID: "the broker has no state of this producer any more",
    ErrorCode.LISTENER_NOT_FOUND: "the leader has no listener of the name that we connect through",
    ErrorCode.FENCED_LEADER_EPOCH: "our leader epoch is out of date",
    ErrorCode.UNKNOWN_LEADER_EPOCH: "the broker does not know the leader epoch yet",
    ErrorCode.UNSUPPORTED_COMPRESSION_TYPE: "the broker cannot take batches compressed this way",
    ErrorCode.INVALID_RECORD: "the broker refused records of the batch",
    ErrorCode.THROTTLING_QUOTA_EXCEEDED: "the quota is used up for now",
    ErrorCode.PRODUCER_FENCED: "a newer producer with the same transactional_id has taken over",
    ErrorCode.UNKNOWN_TOPIC_ID: "the topic was deleted or made anew",
    ErrorCode.INCONSISTENT_TOPIC_ID: "the topic was made anew",
    ErrorCode.TRANSACTION_ABORTABLE: "the transaction can only be aborted",
}
"""What a code means and what to do, for those a producer meets."""


def name_of(code: int) -> str:
    """Return the name of an error code, "UNKNOWN_CODE_<n>" for one that this version does not know."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"UNKNOWN_CODE_{code}"


def error_for(
    code: int,
    message: str | None = None,
    *,
    api: str | None = None,
    node: int | None = None,
    topic: str | None = None,
    partition: int | None = None,
) -> BrokerError:
    """Return the error for a broker's error code (not raised, and not for code 0).

    The flags are the code's own; whoever knows the request better may set them on the error afterwards.

    Args:
        code: any int16; codes that this version does not know count as UNKNOWN_SERVER_ERROR does, but keep their
            number.
        message: the broker's own text, if it sent one.
        api: the request that was answered, by its name in the protocol.
        node: the id of the broker.
        topic: the topic that the answer is about.
        partition: the partition that the answer is about.
    """
    known = ErrorCode(code) if code in _KNOWN else ErrorCode.UNKNOWN_SERVER_ERROR
    error = CLASSES.get(known, BrokerError)(code=code, api=api, node=node, topic=topic, partition=partition)
    error.retriable = code in RETRIABLE
    error.fatal = error.fatal or code in FATAL
    error.abortable = error.abortable and not error.fatal
    error.possibly_written = known in POSSIBLY_WRITTEN
    error.args = (_broker_text(error, TEXTS.get(known), message),)
    return error


_KNOWN: Final = frozenset(int(code) for code in ErrorCode)


def _broker_text(error: BrokerError, meaning: str | None, message: str | None) -> str:
    who = "the broker" if error.node is None else f"broker {error.node}"
    asked = "" if error.api is None else f" {error.api}"
    about = "" if error.topic is None else f" for topic {error.topic!r}"
    where = "" if error.partition is None else f" partition {error.partition}"
    means = "" if meaning is None else f": {meaning}"
    said = f" (it says: {message})" if message else ""
    return f"{who} answered{asked}{about}{where} with {error.name} ({error.code}){means}{said}"
