"""What happens to a record before it is appended: interceptors, serializers, argument checks. Nothing here suspends or
queues.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from aioproducer._runtime.completion import Intercepted, acknowledge
from aioproducer._types import (
    NO_OFFSET,
    NO_TIMESTAMP,
    Headers,
    ProducerRecord,
    RecordMetadata,
    check_partition,
    check_timestamp_ms,
    check_topic,
    copy_bytes,
    is_coroutine_function,
    normalize_headers,
)
from aioproducer.errors import SerializationError

if TYPE_CHECKING:
    from aioproducer._runtime.completion import RecordHolder
    from aioproducer.interceptors import ProducerInterceptor

Serialize = Callable[[Any, str, Headers], Any]


class PreparedRecord(NamedTuple):
    """A record that passed all checks: bytes only."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers | None
    timestamp_ms: int | None

    def __repr__(self) -> str:
        return f"<PreparedRecord for {self.topic!r}>"


class RecordPreparer:
    """Checks and serializes the records of one producer, or of one topic handle with serializers of its own.

    Attributes:
        is_plain: neither serializers nor interceptors are set, so that a record of bytes needs nothing from here.
        is_serializing: serializers are set and no interceptors, so that `serialize` is all that a record without
            headers needs if its topic is known.
    """

    def __init__(
        self, key_serializer: Any, value_serializer: Any, interceptors: Sequence[ProducerInterceptor[Any, Any]]
    ) -> None:
        self._key = as_function(key_serializer)
        self._value = as_function(value_serializer)
        self._interceptors = interceptors
        # The short way calls a callable of the value itself: 0.1 µs less for each record.
        self._value_alone: Callable[[Any], Any] | None = (
            value_serializer if callable(value_serializer) and not _has_method(value_serializer) else None
        )
        self.is_plain = self._key is None and self._value is None and not interceptors
        self.is_serializing = not self.is_plain and not interceptors

    def prepare(
        self, topic: Any, value: Any, key: Any, partition: Any, timestamp_ms: Any, headers: Any
    ) -> PreparedRecord:
        """Run interceptors and serializers and check everything that can be checked without the cluster.

        Raises:
            TypeError, ValueError, InvalidTopicError: an argument is wrong.
            SerializationError: a serializer raised.
        """
        if not self._interceptors:
            return self._check(topic, value, key, partition, timestamp_ms, headers)
        record = self._intercept(
            ProducerRecord(topic, value, key=key, partition=partition, timestamp_ms=timestamp_ms, headers=headers)
        )
        try:
            return self._check(
                record.topic, record.value, record.key, record.partition, record.timestamp_ms, record.headers
            )
        except Exception as error:
            self.refused(PreparedRecord(record.topic, None, None, None, None, None), error)
            raise

    def serialize(self, topic: str, value: Any, key: Any) -> tuple[bytes | None, bytes | None]:
        """Return key and value of a record without headers as bytes: a part of `prepare`; raises as that does."""
        if key is not None:
            key = _to_bytes("key", key, self._key, topic, ())
        if value is None:
            return key, None
        serializer = self._value_alone
        if serializer is None:
            return key, _to_bytes("value", value, self._value, topic, ())
        try:
            serialized = serializer(value)
        except Exception as error:
            raise _serializer_raised("value", error, topic) from error
        return key, serialized if type(serialized) is bytes else _serialized("value", serialized, topic)

    def _check(
        self, topic: Any, value: Any, key: Any, partition: Any, timestamp_ms: Any, headers: Any
    ) -> PreparedRecord:
        check_topic(topic)
        if partition is not None:
            check_partition(partition)
        if timestamp_ms is not None:
            check_timestamp_ms(timestamp_ms)
        names = normalize_headers(headers) if headers is not None else ()
        return PreparedRecord(
            topic,
            partition,
            key if key is None else _to_bytes("key", key, self._key, topic, names),
            value if value is None else _to_bytes("value", value, self._value, topic, names),
            names or None,
            timestamp_ms,
        )

    def appended(self, holder: RecordHolder, index: int, headers: Headers | None) -> None:
        """The record was accepted: note that the interceptors are to hear of its outcome."""
        if self._interceptors:
            if holder.callbacks is None:
                holder.callbacks = []
            holder.callbacks.append((index, Intercepted(headers or ())))

    def refused(self, record: PreparedRecord, error: BaseException) -> None:
        """The record was not accepted, and its call raises: tell the interceptors now."""
        if self._interceptors:
            partition = -1 if record.partition is None else record.partition
            metadata = RecordMetadata(record.topic, partition, NO_OFFSET, NO_TIMESTAMP)
            acknowledge(self._interceptors, metadata, error, record.headers or ())

    def _intercept(self, record: ProducerRecord[Any, Any]) -> ProducerRecord[Any, Any]:
        for interceptor in self._interceptors:
            try:
                changed: Any = interceptor.on_send(record)
            except Exception as error:
                from aioproducer._runtime import log_lines

                log_lines.interceptor_failed("on_send", interceptor, error)
                continue
            if not isinstance(changed, ProducerRecord):
                raise TypeError(
                    f"on_send of {type(interceptor).__name__} returned {type(changed).__name__};"
                    " it must return a ProducerRecord"
                )
            record = changed  # pyright: ignore[reportUnknownVariableType]
        return record


def as_function(serializer: Any) -> Serialize | None:
    """Bring both forms of a serializer, a callable of the value and an object with `serialize`, into one."""
    if serializer is None:
        return None
    if is_coroutine_function(serializer) or is_coroutine_function(getattr(serializer, "serialize", None)):
        raise TypeError("a serializer is a coroutine function; it must be a plain one, as nothing would await it")
    if _has_method(serializer):
        method = serializer.serialize
        return lambda value, topic, headers: method(topic, value, headers)
    return lambda value, topic, headers: serializer(value)


def _has_method(serializer: Any) -> bool:
    return callable(getattr(serializer, "serialize", None))


def _to_bytes(part: str, value: Any, serialize: Serialize | None, topic: str, headers: Headers) -> bytes | None:
    if serialize is None:
        return value if type(value) is bytes else copy_bytes(part, value)
    try:
        serialized = serialize(value, topic, headers)
    except Exception as error:
        raise _serializer_raised(part, error, topic) from error
    return _serialized(part, serialized, topic)


def _serializer_raised(part: str, error: Exception, topic: str) -> SerializationError:
    # Only the class: the text of a serializer's error often quotes the value.
    return SerializationError(
        f"the {part} serializer raised {type(error).__name__} (topic {topic!r}); see __cause__ for its words",
        topic=topic,
        part=part,
    )


def _serialized(part: str, serialized: Any, topic: str) -> bytes | None:
    """Check what a serializer has returned, and copy it if it may change."""
    if serialized is None or type(serialized) is bytes:
        return serialized
    if isinstance(serialized, bytes | bytearray | memoryview):
        return copy_bytes(part, cast("bytearray", serialized))
    raise SerializationError(
        f"the {part} serializer returned {type(serialized).__name__} (topic {topic!r}); it must return bytes",
        topic=topic,
        part=part,
    )
