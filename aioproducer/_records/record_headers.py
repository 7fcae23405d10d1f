"""The headers of a record as bytes, made when it is appended: what is measured then is what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aioproducer._records.varints import NULL, VARINTS, short_varint

if TYPE_CHECKING:
    from aioproducer._types import Headers, HeadersLike

NO_HEADERS: Final = b"\0"

MAX_NAMES: Final = 1024
MAX_NAME_BYTES: Final = 128


def encode_headers(headers: Headers) -> bytes:
    """Return the headers of one record as they are in it, their count first."""
    parts = [short_varint(len(headers))]
    for name, value in headers:
        encoded = name.encode()
        parts += (short_varint(len(encoded)), encoded)
        parts += (NULL,) if value is None else (short_varint(len(value)), value)
    return b"".join(parts)


class HeaderBlocks:
    """Encodes headers that need nothing done to them, which is faster than checking and then encoding them.

    Names are remembered, as most records have the same ones: at most 1,024, then all are forgotten. So are the headers
    of the last record, as they are often one tuple for all.
    """

    __slots__ = ("_block", "_headers", "_names")

    def __init__(self) -> None:
        self._names = _Names()
        self._headers: object = None
        self._block: bytes | None = None

    def block(self, headers: HeadersLike) -> bytes | None:
        """Return what `encode_headers` does, or None: they are long, or no tuple, list or dict of str and bytes.

        Nothing has to be checked before. A value may be None.
        """
        if headers is self._headers:
            return self._block
        kind = headers.__class__
        pairs: Any = headers
        if kind is dict:
            pairs = pairs.items()
        elif kind is not tuple and kind is not list:
            return None
        # 0.9 µs for three headers; checking, measuring and encoding them one after the other takes 6.
        names = self._names
        try:
            parts = [VARINTS[len(pairs)]]
            for pair in pairs:
                name, value = pair
                if pair.__class__ is not tuple or name.__class__ is not str:
                    return None
                if value.__class__ is bytes:
                    parts += (names[name], VARINTS[len(value)], value)
                elif value is None:
                    parts += (names[name], NULL)
                else:
                    return None
        except (ValueError, TypeError, IndexError):
            return None  # no pair, no UTF-8, or too long for the table
        block = b"".join(parts)
        if kind is tuple:  # nothing in it can change
            self._headers = headers
            self._block = block
        return block


class _Names(dict[str, bytes]):
    """Header names, encoded with their lengths."""

    def __missing__(self, name: str) -> bytes:
        encoded = name.encode()
        encoded = short_varint(len(encoded)) + encoded
        if len(encoded) <= MAX_NAME_BYTES:
            if len(self) >= MAX_NAMES:
                self.clear()
            self[name] = encoded
        return encoded
