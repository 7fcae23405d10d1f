"""How is a key hashed where there is a compiler? With machine integers, byte by byte: 0.12 µs for 36 bytes.

`partitioners` takes this function from an extension alone; interpreted, its own ways are faster.
"""

# Machine integers take part in arithmetic with others as they are, which pyright does not know.
# pyright: reportOperatorIssue=false, reportAssignmentType=false, reportUnknownVariableType=false

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import i64


def murmur2(key: bytes) -> int:
    """Return what `partitioners.murmur2` does."""
    # No product exceeds 63 bits: 32 of the hash, 31 of the factor.
    length: i64 = len(key)
    h: i64 = 0x9747B28C ^ length
    k: i64 = 0
    index: i64 = 0
    while index + 4 <= length:
        k = key[index] | key[index + 1] << 8 | key[index + 2] << 16 | key[index + 3] << 24
        k = k * 0x5BD1E995 & 0xFFFFFFFF
        k = (k ^ k >> 24) * 0x5BD1E995 & 0xFFFFFFFF
        h = (h * 0x5BD1E995 & 0xFFFFFFFF) ^ k
        index += 4
    if index < length:
        shift: i64 = 0
        while index < length:
            h ^= key[index] << shift
            index += 1
            shift += 8
        h = h * 0x5BD1E995 & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return h ^ h >> 15
