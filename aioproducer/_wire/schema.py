"""The base of all messages: their fields, to bytes and back.

A message class declares its fields once, with the versions that have them (fields.py); the functions that encode and
decode a version are made on its first use (`codegen`) and kept on the class.
"""

from __future__ import annotations

import struct as _struct
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast, dataclass_transform

from aioproducer._wire.codegen import compile_decoder, compile_encoder, compile_init, has_records
from aioproducer._wire.fields import (
    Field,
    Records,
    array,
    binary,
    boolean,
    int8,
    int16,
    int32,
    int64,
    records,
    string,
    struct,
    uuid,
)
from aioproducer._wire.primitives import ZERO_UUID
from aioproducer.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aioproducer._wire.codegen import Decoder, Encoder

__all__ = [
    "ZERO_UUID",
    "Field",
    "Message",
    "Records",
    "Request",
    "Response",
    "Struct",
    "array",
    "binary",
    "boolean",
    "int8",
    "int16",
    "int32",
    "int64",
    "records",
    "string",
    "struct",
    "uuid",
]


def _first_init(self: Struct, **values: Any) -> None:
    # Most classes are never used in a process, so a constructor is made on first use.
    cls = type(self)
    init = compile_init(cls)
    type.__setattr__(cls, "__init__", init)
    init(self, **values)


@dataclass_transform(kw_only_default=True, eq_default=True, frozen_default=True)
class StructType(type):
    """Makes slotted classes out of field declarations."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> StructType:
        """Take the declarations out of the class body and turn them into slots."""
        fields = {key: value for key, value in namespace.items() if isinstance(value, Field)}
        body = {key: value for key, value in namespace.items() if key not in fields}
        body["__slots__"] = tuple(fields)
        body["FIELDS"] = MappingProxyType(fields)
        body["__init__"] = _first_init
        body["encoders"] = {}
        body["decoders"] = {}
        return super().__new__(mcs, name, bases, body)


class Struct(metaclass=StructType):
    """A group of fields: a message, or what its arrays hold.

    Made with keywords, each of which has a default. Not to be changed once made (type checkers see to it): defaults are
    shared.
    """

    FIELDS: ClassVar[Mapping[str, Field]]
    """The declarations, by name, in the order of the wire."""

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # lists inside

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.FIELDS)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={_shown(getattr(self, name))}" for name in self.FIELDS)
        return f"{type(self).__name__}({values})"


def _shown(value: Any) -> str:
    # Bytes are records or credentials: they don't belong in logs.
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if isinstance(value, memoryview):
        return f"<{value.nbytes} bytes>"
    if isinstance(value, list | tuple):
        return "[" + ", ".join([_shown(item) for item in cast("list[Any]", value)]) + "]"
    return repr(value)


class Message(Struct):
    """A request or a response, in the versions min_version to max_version."""

    api_key: ClassVar[int]
    """Which request it is, or answers: a number of messages.ApiKey."""
    min_version: ClassVar[int]
    max_version: ClassVar[int]
    flexible_from: ClassVar[int | None]
    """The first version with compact lengths and tagged fields (KIP-482); None if there is none."""

    encoders: ClassVar[dict[int, Encoder]]
    decoders: ClassVar[dict[int, tuple[Decoder, bool]]]

    @classmethod
    def is_flexible_in(cls, version: int) -> bool:
        """Whether the version has compact lengths and tagged fields."""
        return cls.flexible_from is not None and version >= cls.flexible_from

    def encode_parts(self, version: int) -> list[bytes | bytearray | memoryview]:
        """Return the body in parts, to be joined; records are not copied, but are parts themselves.

        Args:
            version: between min_version and max_version.

        Raises:
            UnsupportedVersionError: a field that the version lacks has a value that must not be dropped.
            TypeError, ValueError: a value does not fit its field.
        """
        encoder = self.encoders.get(version)
        if encoder is None:
            encoder = self._compile_encoder(version)
        parts: list[bytes | bytearray | memoryview] = []
        try:
            encoder(self, parts.append)
        except _struct.error as error:
            raise ValueError(f"{type(self).__name__} v{version}: a value does not fit its field: {error}") from error
        except (AttributeError, TypeError) as error:
            raise TypeError(f"{type(self).__name__} v{version}: a value is of the wrong type: {error}") from error
        return parts

    def encode(self, version: int) -> bytes:
        """Return the body as bytes; see `encode_parts`."""
        return b"".join(self.encode_parts(version))

    @classmethod
    def decode(cls, buffer: bytes | bytearray | memoryview, version: int, start: int = 0) -> Self:
        """Return the message that the buffer holds, all of it from `start`.

        Record batches in it are memoryviews of the buffer: they are not copied, and keep it alive.

        Args:
            buffer: the body.
            version: between min_version and max_version.
            start: what comes before it, a header, is not looked at.

        Raises:
            ProtocolError: the bytes are not a message of this version: some are missing or, in a request, left over.
        """
        compiled = cls.decoders.get(version)
        if compiled is None:
            compiled = cls._compile_decoder(version)
        decoder, from_bytes = compiled
        # Strings are sliced out of bytes twice as fast as out of a memoryview: worth one copy of what has no records.
        data = bytes(buffer) if from_bytes else memoryview(buffer)
        try:
            message, position = decoder(data, start, len(data))
        except ProtocolError as error:
            raise ProtocolError(f"{cls.__name__} v{version}: {error}") from error
        except (IndexError, _struct.error) as error:
            raise ProtocolError(
                f"{cls.__name__} v{version}: the bytes end too early ({len(data) - start:,} there)"
            ) from error
        except UnicodeDecodeError as error:
            raise ProtocolError(
                f"{cls.__name__} v{version}: a string is not UTF-8 (byte {error.start} of it)"
            ) from None
        if position != len(data):
            cls._on_left_over(version, len(data) - position)
        return message  # type: ignore[no-any-return]  # the generated code makes instances of cls

    @classmethod
    def _on_left_over(cls, version: int, count: int) -> None:
        raise ProtocolError(f"{cls.__name__} v{version}: {count:,} bytes are left over")

    @classmethod
    def _compile_encoder(cls, version: int) -> Encoder:
        cls._check_version(version)
        encoder = compile_encoder(cls, version, cls.is_flexible_in(version))
        cls.encoders[version] = encoder
        return encoder

    @classmethod
    def _compile_decoder(cls, version: int) -> tuple[Decoder, bool]:
        cls._check_version(version)
        compiled = compile_decoder(cls, version, cls.is_flexible_in(version)), not has_records(cls)
        cls.decoders[version] = compiled
        return compiled

    @classmethod
    def _check_version(cls, version: int) -> None:
        if not cls.min_version <= version <= cls.max_version:
            raise ValueError(f"{cls.__name__} has versions {cls.min_version} to {cls.max_version}, not {version}")


class Request(Message):
    """What a client sends."""


class Response(Message):
    """What a broker answers. Bytes after the message are read over, as Kafka's own clients do: some brokers of another
    make have them (librdkafka's mock cluster after Metadata 12).
    """

    throttles_since: ClassVar[int | None] = None
    """The first version after which the client has to wait for `throttle_time_ms` (KIP-219); None if it never has.

    In versions before it the broker holds the answer back instead. Java: AbstractResponse.shouldClientThrottle.
    """

    def throttle_ms(self, version: int) -> int:
        """Return for how many milliseconds the broker asks not to be sent anything."""
        since = self.throttles_since
        if since is None or version < since:
            return 0
        throttle_time_ms: int = getattr(self, "throttle_time_ms", 0)
        return throttle_time_ms

    @classmethod
    def _on_left_over(cls, version: int, count: int) -> None:
        from aioproducer._logger import get_logger  # it is rarely needed, and 5 ms of an import

        log = get_logger("aioproducer.protocol")
        log.debug(
            "%s v%d: %d bytes after its end are not read",
            cls.__name__,
            version,
            count,
            extra={"event_name": "bytes_left_over", "api": cls.__name__, "count": count},
        )
