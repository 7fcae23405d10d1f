"""Records, where they go and what came of them: immutable values, used by every layer.

Functions whose names start with `copy_` or `normalize_` are meant for the hot path: call them only when the argument is
not None and not exactly bytes, as the check at the call is cheaper than the call.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, FrozenInstanceError, dataclass
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, NoReturn, TypeAlias, cast

from aioproducer._public import public_in
from aioproducer.errors import ErrorCode, InvalidTopicError

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    # Without a key nothing tells the type of keys; then it is bytes. The interpreter knows defaults from 3.13 on.
    K = TypeVar("K", default=bytes)
    V = TypeVar("V", default=bytes)
else:
    from typing import TypeVar

    K = TypeVar("K")
    V = TypeVar("V")

_Class = TypeVar("_Class", bound=type[object])

BytesLike: TypeAlias = bytes | bytearray | memoryview
Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]
"""Headers as they are kept: an ordered multimap. Names may repeat; a value may be None, a name may not."""

HeadersLike: TypeAlias = Sequence[tuple[str, BytesLike | None]] | Mapping[str, BytesLike | None]
"""Headers as they may be given."""

NO_OFFSET: Final = -1
NO_TIMESTAMP: Final = -1
MAX_TOPIC_LENGTH: Final = 249
MAX_PARTITION: Final = 2**31 - 1
MAX_TIMESTAMP_MS: Final = 2**63 - 1

_NOT_LEGAL_IN_TOPIC: Final = str.maketrans("", "", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@public_in("aioproducer")
class TopicPartition(NamedTuple):
    """One partition of one topic. A tuple, as it is a key of most tables."""

    topic: str
    partition: int


def _refuse_write(self: object, name: str, value: object = None) -> NoReturn:
    raise FrozenInstanceError(f"cannot change {name!r}: a {type(self).__name__} is immutable")


def _refusing_writes(cls: _Class) -> _Class:
    # With frozen and slots, CPython 3.11's dataclass makes a __setattr__ that raises TypeError for a name that is no
    # field (its super() means the class before the slots were added). Generic sets __orig_class__ on new objects and
    # expects an AttributeError, so ProducerRecord[bytes, bytes](...) would fail.
    cls.__setattr__ = _refuse_write  # type: ignore[method-assign]
    cls.__delattr__ = _refuse_write  # type: ignore[method-assign]
    return cls


@public_in("aioproducer")
@_refusing_writes
@dataclass(frozen=True, slots=True, init=False)
class ProducerRecord(Generic[K, V]):
    """A record to send, as one object.

    Equal records may be sent any number of times. Nothing is checked until it is sent, or `validate` is called.

    Attributes:
        topic: the topic's name.
        value: what the value serializer takes; bytes without one. None is a tombstone.
        key: what the key serializer takes; bytes without one. None means no key.
        partition: a partition to send to, or None to let the partitioner decide.
        timestamp_ms: milliseconds since 1970, at least 0, or None for the time at which the record is accepted.
        headers: a sequence of (name, bytes or None), or a mapping; None for no headers.

    Example:
        >>> record = ProducerRecord("orders", b"value", key=b"k", headers=[("trace", b"1")])
    """

    topic: str
    value: V | None
    _: KW_ONLY
    key: K | None = None
    partition: int | None = None
    timestamp_ms: int | None = None
    headers: HeadersLike | None = None

    def __init__(
        self,
        topic: str,
        value: V | None,
        *,
        key: K | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: HeadersLike | None = None,
    ) -> None:
        # One is made for each record: 0.69 µs, and 1.14 by what a frozen dataclass has of its own.
        _set_topic(self, topic)
        _set_value(self, value)
        _set_key(self, key)
        _set_partition(self, partition)
        _set_timestamp_ms(self, timestamp_ms)
        _set_headers(self, headers)

    def __repr__(self) -> str:
        # Values, keys and headers can be secrets and end up in logs: only their types are shown.
        return (
            f"ProducerRecord(topic={self.topic!r}, value=<{type(self.value).__name__}>,"
            f" key=<{type(self.key).__name__}>, partition={self.partition}, timestamp_ms={self.timestamp_ms},"
            f" headers=<{0 if self.headers is None else len(self.headers)}>)"
        )

    def validate(self) -> None:
        """Check everything but key and value, which are the serializers' business.

        Raises:
            TypeError: an argument has a wrong type.
            ValueError: a partition or timestamp is out of range.
            InvalidTopicError: Kafka does not allow the topic's name.
        """
        check_topic(self.topic)
        if self.partition is not None:
            check_partition(self.partition)
        if self.timestamp_ms is not None:
            check_timestamp_ms(self.timestamp_ms)
        if self.headers is not None:
            normalize_headers(self.headers)


_setters: tuple[Callable[[object, object], None], ...] = tuple(
    [getattr(ProducerRecord, name).__set__ for name in ProducerRecord.__slots__]  # in the order of the fields
)
_set_topic, _set_value, _set_key, _set_partition, _set_timestamp_ms, _set_headers = _setters


@public_in("aioproducer")
class RecordMetadata(NamedTuple):
    """Where a record was written. A tuple, as one is made for each record: 0.32 µs, a frozen dataclass 0.66.

    Attributes:
        topic: the topic's name.
        partition: the partition it went to.
        offset: its offset, or -1 when the broker gave none: with acks=0, and for a duplicate that the broker
            recognised.
        timestamp_ms: the broker's time of append when the topic uses LogAppendTime, else the record's own.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int

    @property
    def has_offset(self) -> bool:
        """Whether the broker told the offset."""
        return self.offset != NO_OFFSET


@public_in("aioproducer")
@dataclass(frozen=True, slots=True)
class OffsetAndMetadata:
    """A consumer's position, to be committed with a transaction.

    Attributes:
        offset: the offset of the next record to read, at least 0.
        metadata: a text to keep with it.
        leader_epoch: the leader epoch of the record last read, or None.
    """

    offset: int
    metadata: str = ""
    leader_epoch: int | None = None

    def __post_init__(self) -> None:
        if self.offset < 0:
            raise ValueError(f"offset is {self.offset}; it must be at least 0")
        if self.leader_epoch is not None and self.leader_epoch < 0:
            raise ValueError(f"leader_epoch is {self.leader_epoch}; it must be at least 0, or None")


@public_in("aioproducer")
@dataclass(frozen=True, slots=True)
class ConsumerGroupMetadata:
    """The membership of the consumer whose offsets a transaction commits, so that a zombie member is fenced (KIP-447).

    Attributes:
        group_id: the consumer group.
        generation_id: the member's generation (or member epoch), -1 when the group is not managed by Kafka.
        member_id: the member's id, "" when the group is not managed by Kafka.
        group_instance_id: the static member's id, or None.
    """

    group_id: str
    generation_id: int = -1
    member_id: str = ""
    group_instance_id: str | None = None

    def __post_init__(self) -> None:
        if not self.group_id:
            raise ValueError("group_id is empty; name the consumer group")
        # As Java's ConsumerGroupMetadata: a member id alone is what a consumer has before it has joined (KIP-848).
        if self.generation_id > 0 and not self.member_id:
            raise ValueError(
                f"generation_id={self.generation_id} has no member_id; give both as the consumer has them, or neither"
            )


@public_in("aioproducer")
@dataclass(frozen=True, slots=True)
class TopicView:
    """What a partitioner sees of a topic.

    Attributes:
        topic: the topic's name.
        partition_count: how many partitions it has, with a leader or without; at least 1.
        available: the partitions that have a leader now, ascending; may be empty. A partitioner sees only those whose
            leaders can be reached from here, as long as there are any.
    """

    topic: str
    partition_count: int
    available: tuple[int, ...]


def is_coroutine_function(call: object) -> bool:
    """Whether calling it makes a coroutine, which whoever expects a plain function would never await: an `async def`, a
    partial of one, an object whose `__call__` is one.
    """
    from inspect import iscoroutinefunction  # of 6 ms, which importing the package can do without

    return iscoroutinefunction(call) or (callable(call) and iscoroutinefunction(call.__call__))


def check_topic(topic: str) -> None:
    """Check that Kafka allows the topic's name: 1 to 249 of ASCII letters, digits, '.', '_', '-', and not '.' or '..'.

    Raises:
        TypeError: it is not a str.
        InvalidTopicError: it is not allowed.
    """
    if not isinstance(topic, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"topic is {type(topic).__name__}; it must be str")
    problem = _topic_problem(topic)
    if problem:
        raise InvalidTopicError(
            f"topic name {topic[:MAX_TOPIC_LENGTH]!r} is not legal: {problem}; use 1 to {MAX_TOPIC_LENGTH} of"
            " a-z A-Z 0-9 . _ -",
            code=ErrorCode.INVALID_TOPIC_EXCEPTION,
            topic=topic,
        )


def _topic_problem(topic: str) -> str | None:
    if not topic:
        return "it is empty"
    if topic in {".", ".."}:
        return "'.' and '..' are reserved"
    if len(topic) > MAX_TOPIC_LENGTH:
        return f"it has {len(topic)} characters"
    others = topic.translate(_NOT_LEGAL_IN_TOPIC)
    return f"it has {others[0]!r}" if others else None


def check_partition(partition: int) -> None:
    """Check a partition given by the caller; whether the topic has it is found out later.

    Raises:
        TypeError: it is not an int.
        ValueError: it is negative, or above what Kafka can count.
    """
    _check_int("partition", partition, MAX_PARTITION)


def check_timestamp_ms(timestamp_ms: int) -> None:
    """Check a timestamp given by the caller.

    Raises:
        TypeError: it is not an int (a float is most often seconds, so it is not converted).
        ValueError: it is negative or does not fit into 64 bits.
    """
    _check_int("timestamp_ms", timestamp_ms, MAX_TIMESTAMP_MS)


def _check_int(name: str, value: object, maximum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is {type(value).__name__}; it must be int or None")
    if not 0 <= value <= maximum:
        raise ValueError(f"{name} is {value}; it must be from 0 to {maximum}")


def check_source(records: object) -> None:
    """Check that this can be read record by record, at once or as they come; what is in it is another matter.

    Raises:
        TypeError: it cannot.
    """
    given = type(records).__name__
    # A text, bytes and a mapping can be read, but what comes out of them is not what is meant.
    is_whole = isinstance(records, str | bytes | bytearray | memoryview | Mapping | ProducerRecord)
    if is_whole or not (isinstance(records, AsyncIterable | Iterable) or hasattr(records, "__getitem__")):
        raise TypeError(
            f"send_all takes records from an iterable or an asynchronous iterable, not {given}; give it a list, a"
            " generator or an async generator (called, not awaited), or send one record with send()"
        )


def copy_bytes(part: str, value: object) -> bytes:
    """Return a key or value that is not exactly bytes as bytes: a bytearray or memoryview is copied now.

    Args:
        part: "key" or "value", for the message.
        value: what the caller gave; not None.

    Raises:
        TypeError: it is something else; the message names the way out.
    """
    copied = _copied(value)
    if copied is not None:
        return copied
    raise TypeError(
        f"{part} is {type(value).__name__}; without a {part}_serializer it must be bytes, bytearray or memoryview:"
        f" encode it, or give the producer a {part}_serializer (aioproducer.serializers has some)"
    )


def normalize_headers(headers: HeadersLike | None) -> Headers:
    """Return headers as they are kept: a tuple of (name, bytes or None), in the order given, bytes-like values copied.

    Raises:
        TypeError: a name is not str, a value is neither bytes-like nor None, or the whole is no sequence of pairs.
        ValueError: a name has no UTF-8 form (a lone surrogate).
    """
    if headers is None:
        return ()
    kind = type(headers).__name__
    given = cast("object", headers)  # callers without a type checker give anything
    if isinstance(given, Mapping):
        return tuple([_header(name, value) for name, value in cast("Mapping[object, object]", given).items()])
    if isinstance(given, Sequence) and not isinstance(given, str | bytes | bytearray | memoryview):
        return tuple([_header_of_pair(pair) for pair in cast("Sequence[object]", given)])
    raise TypeError(f"headers is {kind}; it must be a sequence of (name, bytes or None), or a mapping")


def _header_of_pair(pair: object) -> tuple[str, bytes | None]:
    kind = type(pair).__name__
    if isinstance(pair, tuple | list) and len(cast("tuple[object, ...]", pair)) == 2:
        name, value = cast("tuple[object, object]", pair)
        return _header(name, value)
    raise TypeError(f"a header is {kind}; it must be a pair (name, bytes or None)")


def _header(name: object, value: object) -> tuple[str, bytes | None]:
    if not isinstance(name, str):
        raise TypeError(f"a header's name is {type(name).__name__}; it must be str")
    if not name.isascii():
        _check_utf8(name)  # now rather than when the batch is made
    if value is None or type(value) is bytes:
        return name, value
    copied = _copied(value)
    if copied is not None:
        return name, copied
    raise TypeError(f"the value of header {name!r} is {type(value).__name__}; it must be bytes-like or None")


def _check_utf8(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"a header's name of {len(name)} characters has no UTF-8 form ({error.reason}, at {error.start});"
            " give names that are whole text"
        ) from None


def _copied(value: object) -> bytes | None:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    return cast("memoryview", value).tobytes() if isinstance(value, memoryview) else None
