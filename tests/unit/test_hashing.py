"""Hashes bit for bit, and the memo of short keys."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aioproducer import _hashing
from aioproducer._hashing import (
    IS_COMPILED,
    MEMO_KEY_BYTES,
    MEMO_SIZE,
    KeyHasher,
    crc32_partition,
    fnv1a_partition,
    murmur2,
    murmur2_machine,
    murmur2_of_length,
    murmur2_partition,
)

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "partitioner_vectors.json").read_text("utf-8")
)["vectors"]

JAVA = [  # key, hash as Java's int, partition of 6
    ("", 275646681, 3),
    ("a", -1563381124, 4),
    ("ab", 316155434, 2),
    ("abc", 479470107, 3),
    ("abcd", -1323649548, 2),
    ("21", -973932308, 0),
    ("foobar", -790332482, 0),
    ("kafka", -798503068, 4),
    ("a-little-bit-long-string", -985981536, 2),
    ("a-little-bit-longer-string", -1486304829, 5),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971, 5),
    ("é中", -289825924, 4),
]


def textbook_murmur2(key: bytes) -> int:
    """The algorithm word by word, as it is described."""
    h = 0x9747B28C ^ len(key)
    whole = len(key) // 4 * 4
    for start in range(0, whole, 4):
        k = int.from_bytes(key[start : start + 4], "little") * 0x5BD1E995 % 2**32
        k ^= k >> 24
        h = (h * 0x5BD1E995 % 2**32) ^ (k * 0x5BD1E995 % 2**32)
    if len(key) > whole:
        h = (h ^ int.from_bytes(key[whole:], "little")) * 0x5BD1E995 % 2**32
    h = (h ^ (h >> 13)) * 0x5BD1E995 % 2**32
    return h ^ (h >> 15)


@pytest.mark.parametrize(("key", "java_hash", "partition"), JAVA)
def test_murmur2_is_javas(key: str, java_hash: int, partition: int) -> None:
    assert murmur2(key.encode()) == java_hash % 2**32
    assert murmur2_partition(key.encode(), 6) == partition


def test_murmur2_takes_bytes_as_unsigned() -> None:
    assert murmur2(bytes.fromhex("6162ff8000")) == 1838168085


@pytest.mark.parametrize("hash_of", [murmur2, murmur2_machine])
def test_murmur2_of_every_length_is_the_textbooks(hash_of: Callable[[bytes], int]) -> None:
    rng = random.Random(1)
    for length in [*range(300), 4096, 100_003]:
        for key in (rng.randbytes(length), b"\xff" * length):
            assert hash_of(key) == textbook_murmur2(key), length


def test_murmur2_in_lanes_is_the_textbooks_at_every_length_of_a_short_key() -> None:
    rng = random.Random(2)
    for length in range(4, MEMO_KEY_BYTES + 1):
        hash_of = murmur2_of_length(length)
        for key in (rng.randbytes(length), rng.randbytes(length), b"\xff" * length, bytes(length)):
            assert hash_of(key) == textbook_murmur2(key), key.hex()


def test_a_hasher_hashes_keys_of_every_length_as_java() -> None:
    rng = random.Random(3)
    hasher = KeyHasher()
    for length in range(MEMO_KEY_BYTES + 20):
        key = rng.randbytes(length)
        for _ in range(2):
            assert hasher.partition(key, 1000) == (textbook_murmur2(key) & 0x7FFFFFFF) % 1000, length


@pytest.mark.parametrize(
    ("column", "partition_of"),
    [("murmur2", murmur2_partition), ("consistent", crc32_partition), ("fnv1a", fnv1a_partition)],
)
def test_hashes_are_librdkafkas(column: str, partition_of: Any) -> None:
    assert len(VECTORS) == 180
    for row in VECTORS:
        assert partition_of(bytes.fromhex(row["key_hex"]), row["partitions"]) == row[column], row


def test_fnv1a_partition_of_the_lowest_hash_is_in_range() -> None:
    assert all(0 <= fnv1a_partition(bytes([a, b]), 7) < 7 for a in range(256) for b in range(0, 256, 5))


def test_a_hasher_gives_the_same_partition_again_and_for_other_counts() -> None:
    hasher = KeyHasher()
    for key, java_hash, _ in JAVA:
        for count in (1, 6, 100):
            expected = (java_hash & 0x7FFFFFFF) % count
            assert hasher.partition(key.encode(), count) == expected
            assert hasher.partition(key.encode(), count) == expected


def test_a_hasher_stays_small_and_right_beyond_its_size() -> None:
    hasher = KeyHasher()
    for number in range(MEMO_SIZE * 2 + 10):
        key = b"%d" % number
        assert hasher.partition(key, 12) == murmur2_partition(key, 12)
        assert len(hasher.hashes) <= MEMO_SIZE


def test_a_hasher_keeps_no_long_keys() -> None:
    hasher = KeyHasher()
    hasher.partition(b"x" * (MEMO_KEY_BYTES + 1), 3)
    assert not hasher.hashes


def test_the_module_tells_whether_it_is_compiled() -> None:
    assert (_hashing.__file__ or "").endswith((".so", ".pyd")) is IS_COMPILED
