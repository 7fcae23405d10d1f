"""Serializers: what makes bytes of keys and values.

A serializer is a callable `(value) -> bytes | None`, or an object with `serialize(topic, value, headers)`. It is
synchronous, runs in the call that sends the record, and is never given None: a value of None is a tombstone, a key of
None no key. What it raises reaches the caller as the cause of a SerializationError.

Functions of other packages that have that form need nothing from here: `msgspec.json.encode`, `msgspec.msgpack.encode`,
`orjson.dumps`. docs/serializers.md shows each, and CloudEvents, which become whole records by their own SDK.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from aioproducer._types import Headers

__all__ = ["Serializer", "TopicSerializer", "json_serializer", "protobuf", "pydantic_json", "utf8"]

_T_contra = TypeVar("_T_contra", contravariant=True)
_T = TypeVar("_T")


class TopicSerializer(Protocol[_T_contra]):
    """A serializer that wants to know the topic or the headers."""

    def serialize(self, topic: str, value: _T_contra, headers: Headers) -> bytes | None:
        """Return the bytes of a key or value.

        Args:
            topic: the topic that the record goes to.
            value: what to serialize; never None.
            headers: the record's headers.
        """
        ...


Serializer: TypeAlias = Callable[[_T], bytes | None] | TopicSerializer[_T]
"""What the settings key_serializer and value_serializer take."""


class _HasModelDumpJson(Protocol):
    def model_dump_json(self) -> str: ...


class _HasSerializeToString(Protocol):
    def SerializeToString(self) -> bytes: ...


def utf8(value: str) -> bytes:
    """Return a text as UTF-8.

    Example:
        >>> utf8("café")
        b'caf\\xc3\\xa9'
    """
    # str.encode itself would take bytes-like objects' errors for its own: say what was expected.
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"utf8 takes str, not {type(value).__name__}")
    return value.encode()


def json_serializer(dumps: Callable[[Any], str | bytes] | None = None) -> Callable[[Any], bytes]:
    """Return a serializer to JSON.

    Args:
        dumps: what makes the JSON: `orjson.dumps`, `msgspec.json.encode`, or any function to str or bytes. Without
            one, the standard library's, compact and in UTF-8, which refuses NaN and infinities as they are not JSON.

    Example:
        >>> json_serializer()({"id": 1, "name": "é"})
        b'{"id":1,"name":"\\xc3\\xa9"}'
    """
    if dumps is None:
        from json import JSONEncoder  # 1.5 ms that only its users should pay for

        encode: Callable[[Any], str | bytes] = JSONEncoder(
            ensure_ascii=False, separators=(",", ":"), allow_nan=False
        ).encode
    else:
        encode = dumps

    def serialize_json(value: Any) -> bytes:
        text = encode(value)
        return text.encode() if isinstance(text, str) else text

    return serialize_json


def pydantic_json(value: _HasModelDumpJson) -> bytes:
    """Return a pydantic model as JSON (`model_dump_json`)."""
    return value.model_dump_json().encode()


def protobuf(value: _HasSerializeToString) -> bytes:
    """Return a protobuf message in its binary form (`SerializeToString`)."""
    return value.SerializeToString()
