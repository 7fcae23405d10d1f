"""The hashes of keys: murmur2 as Kafka's Java client has it, CRC-32 and FNV-1a as librdkafka has them.

Compiled (docs/compiled.md), murmur2 is a loop over machine integers: 0.12 µs for 36 bytes. Interpreted, it is
arithmetic on long integers, written anew for each length of a key, and the hashes of short keys are remembered.
"""

# Machine integers take part in arithmetic with others as they are, which pyright does not know.
# pyright: reportOperatorIssue=false, reportAssignmentType=false, reportUnknownVariableType=false

from __future__ import annotations

from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_extensions import i64

MEMO_SIZE: Final = 8192
"""Hashes that a `KeyHasher` remembers."""

MEMO_KEY_BYTES: Final = 128
"""Bytes of the longest key whose hash is remembered."""

LANES_FROM: Final = 16
"""Bytes of a key from which `murmur2_of_length` is faster than `murmur2`."""


class KeyHasher:
    """Hashes keys with murmur2 as Java's built-in partitioner does, and remembers the hashes of short keys.

    Keys repeat: a hit takes 0.15 µs, computing the hash of a 36-byte key 2 (CPython 3.11). At most 8,192 keys of at
    most 128 bytes are kept; then all are forgotten, which costs less than keeping an order. In the
    compiled form none are: there a hash takes 0.2 µs.

    Attributes:
        hashes: what is remembered: hashes without their sign, by key. Whoever is in a hurry looks here first.
    """

    __slots__ = ("_by_length", "hashes")

    def __init__(self) -> None:
        self.hashes: dict[bytes, int] = {}
        self._by_length: dict[int, Callable[[bytes], int]] = {}

    def partition(self, key: bytes, partition_count: int) -> int:
        """Return the partition of a key, from 0 to `partition_count` - 1."""
        number = self.hashes.get(key)
        return (self.hash(key) if number is None else number) % partition_count

    def hash(self, key: bytes) -> int:
        """Return the hash of a key without its sign, and remember it."""
        length = len(key)
        if IS_COMPILED or length > MEMO_KEY_BYTES:
            return murmur2(key) & 0x7FFFFFFF
        hash_of = self._by_length.get(length) or self._add_length(length)
        number = hash_of(key) & 0x7FFFFFFF
        if len(self.hashes) >= MEMO_SIZE:
            self.hashes.clear()
        self.hashes[key] = number
        return number

    def _add_length(self, length: int) -> Callable[[bytes], int]:
        hash_of = murmur2 if length < LANES_FROM else murmur2_of_length(length)
        self._by_length[length] = hash_of
        return hash_of


def murmur2(key: bytes) -> int:
    """Return the 32-bit murmur2 hash of a key with Kafka's seed, unsigned (Java's Utils.murmur2).

    Example:
        >>> murmur2(b"abc")
        479470107
    """
    if IS_COMPILED:
        return murmur2_machine(key)
    # All words in one unpack, and masks only where the next step would see the upper bits: 3.1 µs for 36 bytes and 0.7
    # for 4, against 5.0 and 0.9 for the textbook loop (CPython 3.11).
    length = len(key)
    word_count = length >> 2
    words = _WORDS[word_count] if word_count < len(_WORDS) else Struct(f"<{word_count}I")
    h = 0x9747B28C ^ length
    for k in words.unpack_from(key):
        k = k * 0x5BD1E995 & 0xFFFFFFFF
        h = (h * 0x5BD1E995 & 0xFFFFFFFF) ^ ((k ^ k >> 24) * 0x5BD1E995)
    tail = length & 3
    if tail:
        h = (h ^ int.from_bytes(key[-tail:], "little")) * 0x5BD1E995
    h &= 0xFFFFFFFF
    h = (h ^ h >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return h ^ h >> 15


def murmur2_machine(key: bytes) -> int:
    """Return what `murmur2` does, byte by byte: the compiled form's way, the slowest of all when interpreted."""
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


@cache
def murmur2_of_length(length: int) -> Callable[[bytes], int]:
    """Return murmur2 for keys of this length alone, at least 4 bytes.

    All words with an even number, and all with an odd one, are multiplied at once, as long integers with a lane of 64
    bits for each word. The rest is a chain of operations without a loop, made as text and compiled, in 0.2 ms. A mask
    in every fourth step keeps the numbers short; in between, the upper bits do no harm. 1.95 µs for 36 bytes against
    3.1 of `murmur2`, 3.9 for 100 against 7.8; from 16 bytes on (CPython 3.11).

    Example:
        >>> murmur2_of_length(6)(b"abcdef") == murmur2(b"abcdef")
        True
    """
    count, tail = divmod(length, 4)
    lane_count = (count + 1) // 2
    ones = sum(1 << 64 * lane for lane in range(lane_count))
    low_32, low_8, size = ones * 0xFFFFFFFF, ones * 0xFF, 8 * lane_count
    words = [f"word_{index}" for index in range(count)]
    even, odd = words[::2], [*words[1::2], "_"][:lane_count]  # of an odd number of words the last lane is no word
    code = f"""
def hash_of(key):
    k = from_bytes(key, "little")
    even = (k & {low_32}) * 0x5BD1E995 & {low_32}
    odd = (k >> 32 & {low_32}) * 0x5BD1E995 & {low_32}
    {", ".join(even)}, = low_halves(((even ^ even >> 24 & {low_8}) * 0x5BD1E995).to_bytes({size}, "little"))
    {", ".join(odd)}, = low_halves(((odd ^ odd >> 24 & {low_8}) * 0x5BD1E995).to_bytes({size}, "little"))
    h = {0x9747B28C ^ length}
"""
    for index in range(0, count, 4):
        chain = "h"
        for word in words[index : index + 4]:
            chain = f"({chain}) * 0x5BD1E995 ^ {word}"
        code += f"    h = ({chain}) & 0xFFFFFFFF\n"
    if tail:
        code += f"    h = (h ^ k >> {32 * count} & {(1 << 8 * tail) - 1}) * 0x5BD1E995 & 0xFFFFFFFF\n"
    code += """
    h = (h ^ h >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return h ^ h >> 15
"""
    names: dict[str, Any] = {"from_bytes": int.from_bytes, "low_halves": Struct("<" + "I4x" * lane_count).unpack}
    exec(code, names)
    hash_of: Callable[[bytes], int] = names["hash_of"]
    return hash_of


IS_COMPILED: Final = type(murmur2_machine).__name__ != "function"
"""Whether this module is an extension: its functions are the interpreter's then."""

_WORDS: Final = tuple([Struct(f"<{count}I") for count in range(65)])


def murmur2_partition(key: bytes, partition_count: int) -> int:
    """Return the partition of a key as Java's built-in partitioner and librdkafka's murmur2 choose it."""
    return (murmur2(key) & 0x7FFFFFFF) % partition_count


def crc32_partition(key: bytes, partition_count: int) -> int:
    """Return the partition of a key as librdkafka's consistent chooses it: CRC-32, unsigned."""
    return crc32(key) % partition_count


def fnv1a_partition(key: bytes, partition_count: int) -> int:
    """Return the partition of a key as librdkafka's fnv1a and Sarama's hash partitioner choose it.

    The 32-bit FNV-1a hash is taken as a signed number, and that without its sign.
    """
    h = 0x811C9DC5
    for byte in key:
        h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    return (h if h < 0x80000000 else 0x100000000 - h) % partition_count
