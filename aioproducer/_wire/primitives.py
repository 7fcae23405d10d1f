"""Kafka's primitive types as bytes.

Message bodies are read and written by generated code (`codegen`) that uses the functions here for what is longer
than a line; headers, which are short and fixed, use `Reader`.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias
from uuid import UUID

from aioproducer.errors import ProtocolError

Buffer: TypeAlias = bytes | memoryview
"""What is decoded from."""

ZERO_UUID: Final = UUID(int=0)
"""The id that means "none"."""

MAX_STRING_BYTES: Final = 32_767
"""Longest string in UTF-8 where its length is an int16, that is below flexible versions."""


def _encode_uvarint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


UVARINTS: Final[tuple[bytes, ...]] = tuple(_encode_uvarint(value) for value in range(256))
"""The encodings of the small unsigned varints, by value."""


def encode_uvarint(value: int) -> bytes:
    """Return an unsigned varint (KIP-482): 7 bits a byte, least significant first; 0 ≤ value < 2³²."""
    if value < len(UVARINTS):
        return UVARINTS[value]
    return _encode_uvarint(value)


def decode_uvarint(buffer: Buffer, position: int) -> tuple[int, int]:
    """Return (value, position after it) of an unsigned varint of at most five bytes.

    Raises:
        ProtocolError: the buffer ends within it, or it is longer than five bytes.
    """
    value = 0
    for shift in range(0, 35, 7):
        try:
            byte = buffer[position]
        except IndexError:
            raise ProtocolError("the bytes end within a varint") from None
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ProtocolError("a varint is longer than five bytes")


def encode_string(value: str) -> bytes:
    """Return a string as it is below flexible versions: int16 length, UTF-8."""
    data = value.encode()
    if len(data) > MAX_STRING_BYTES:
        raise ValueError(f"a string of {len(data):,} bytes exceeds {MAX_STRING_BYTES:,}; shorten it")
    return len(data).to_bytes(2, "big") + data


def encode_compact_string(value: str) -> bytes:
    """Return a string as it is in flexible versions: length + 1 as unsigned varint, UTF-8."""
    data = value.encode()
    return encode_uvarint(len(data) + 1) + data


def skip_tagged_fields(buffer: Buffer, position: int) -> int:
    """Return the position after a section of tagged fields, none of which is known here.

    Raises:
        ProtocolError: the section is not complete.
    """
    count, position = decode_uvarint(buffer, position)
    for _ in range(count):  # each takes two bytes at least, so a wrong count ends at the end of the buffer
        _, position = decode_uvarint(buffer, position)
        size, position = decode_uvarint(buffer, position)
        position += size
        if position > len(buffer):
            raise ProtocolError("a tagged field is longer than what is left")
    return position


def records_chunks(
    records: Buffer | bytearray | list[Buffer] | tuple[Buffer, ...],
) -> tuple[int, tuple[Buffer | bytearray, ...]]:
    """Return (size in bytes, the chunks) of a records field: one buffer, or several to be sent one after the other."""
    if isinstance(records, bytes | bytearray | memoryview):
        return len(records), (records,)
    return sum(map(len, records)), tuple(records)


class Reader:
    """Reads the fields of a header one after the other; `position` is where it stands."""

    __slots__ = ("buffer", "position")

    def __init__(self, buffer: Buffer, position: int = 0) -> None:
        self.buffer = buffer
        self.position = position

    def fixed(self, layout: struct.Struct) -> tuple[int, ...]:
        """Read fixed-width numbers.

        Raises:
            ProtocolError: fewer bytes are left.
        """
        try:
            values = layout.unpack_from(self.buffer, self.position)
        except struct.error:
            raise ProtocolError(f"the header ends early: {layout.size} bytes wanted at {self.position}") from None
        self.position += layout.size
        return values

    def nullable_string(self) -> str | None:
        """Read an int16 length and UTF-8; −1 is None.

        Raises:
            ProtocolError: the length is not possible, or the bytes are not UTF-8.
        """
        (size,) = self.fixed(_INT16)
        if size == -1:
            return None
        end = self.position + size
        if size < 0 or end > len(self.buffer):
            raise ProtocolError(f"a string of {size} bytes in a header with {len(self.buffer) - self.position} left")
        try:
            value = str(self.buffer[self.position : end], "utf-8")
        except UnicodeDecodeError:
            raise ProtocolError("a string in a header is not UTF-8") from None
        self.position = end
        return value

    def skip_tagged_fields(self) -> None:
        """Skip a section of tagged fields.

        Raises:
            ProtocolError: the section is not complete.
        """
        self.position = skip_tagged_fields(self.buffer, self.position)


_INT16: Final = struct.Struct(">h")
