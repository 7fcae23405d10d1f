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

from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from aioproducer.errors.codes import FATAL as FATAL
from aioproducer.errors.codes import INVALID_METADATA as INVALID_METADATA
from aioproducer.errors.codes import KNOWN, TEXTS
from aioproducer.errors.codes import POSSIBLY_WRITTEN as POSSIBLY_WRITTEN
from aioproducer.errors.codes import RETRIABLE as RETRIABLE
from aioproducer.errors.codes import ErrorCode as ErrorCode
from aioproducer.errors.codes import name_of as name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aioproducer.records import RecordMetadata


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
    known = ErrorCode(code) if code in KNOWN else ErrorCode.UNKNOWN_SERVER_ERROR
    error = CLASSES.get(known, BrokerError)(code=code, api=api, node=node, topic=topic, partition=partition)
    error.retriable = code in RETRIABLE
    error.fatal = error.fatal or code in FATAL
    error.abortable = error.abortable and not error.fatal
    error.possibly_written = known in POSSIBLY_WRITTEN
    error.args = (_broker_text(error, TEXTS.get(known), message),)
    return error


def _broker_text(error: BrokerError, meaning: str | None, message: str | None) -> str:
    who = "the broker" if error.node is None else f"broker {error.node}"
    asked = "" if error.api is None else f" {error.api}"
    about = "" if error.topic is None else f" for topic {error.topic!r}"
    where = "" if error.partition is None else f" partition {error.partition}"
    means = "" if meaning is None else f": {meaning}"
    said = f" (it says: {message})" if message else ""
    return f"{who} answered{asked}{about}{where} with {error.name} ({error.code}){means}{said}"
