"""The exceptions, and what each tells. The tree is drawn in `aioproducer.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from aioproducer.errors._codes import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aioproducer._types import RecordMetadata


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
    """One side does not accept who the other one is: a certificate, credentials, or a mechanism that is not offered.

    Trying again with the same ones is of no use.

    Attributes:
        phase: "tls" when the certificate of either side was refused, or the two could not agree on how to speak TLS;
            None when the broker refused our credentials.
    """

    abortable = False
    fatal = True
    phase: str | None = None


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


# ── time and memory ──────────────────────────────────────────────────────────────────────────────────────────────────


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
    """Too little of buffer_memory was free for the record within max_block_ms; it was not accepted."""

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
    """submit_nowait found too little of buffer_memory free; the record was not accepted. Wait, with submit."""

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
        possibly_written: one of them, at least, may be in the log all the same.
    """

    def __init__(
        self,
        message: str = "",
        *,
        counts: Mapping[str, int] | None = None,
        first: BaseException | None = None,
        possibly_written: bool = False,
    ) -> None:
        super().__init__(message, possibly_written=possibly_written)
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
        self.possibly_written: bool = any(getattr(error, "possibly_written", False) for error in self.failures.values())
