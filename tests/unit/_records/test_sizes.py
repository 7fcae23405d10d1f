"""Sizes are those of the bytes that are made, and Java's bounds."""

from __future__ import annotations

import pytest

from aioproducer._records.sizes import BATCH_OVERHEAD, headers_size, record_size, record_upper_bound, varint_size


@pytest.mark.parametrize(
    ("n", "size"),
    [
        (0, 1),
        (-1, 1),
        (63, 1),
        (-64, 1),
        (64, 2),
        (-65, 2),
        (8191, 2),
        (-8192, 2),
        (8192, 3),
        (-8193, 3),
        (2**20 - 1, 3),
        (2**20, 4),
        (2**27 - 1, 4),
        (2**27, 5),
        (2**31 - 1, 5),
        (-(2**31), 5),
        (2**34, 6),
        (2**63 - 1, 10),
        (-(2**63), 10),
    ],
)
def test_varint_has_seven_bits_a_byte(n: int, size: int) -> None:
    assert varint_size(n) == size


def test_smallest_record_has_seven_bytes() -> None:
    assert record_size(0, 0, None, None) == 7


@pytest.mark.parametrize(
    ("timestamp_delta", "offset_delta", "key_size", "value_size", "size"),
    [
        (0, 0, 1, 1, 9),
        (63, 63, None, 56, 63),
        (0, 0, None, 57, 64),
        (0, 0, None, 58, 66),  # from here the length of the record has two bytes
        (64, 64, None, 0, 9),
        (-65, 8192, None, 0, 10),
        (-(2**40), 0, None, 0, 12),
        (0, 0, 64, 8192, 8268),
    ],
)
def test_record_size_counts_each_varint(
    timestamp_delta: int, offset_delta: int, key_size: int | None, value_size: int, size: int
) -> None:
    key = None if key_size is None else bytes(key_size)
    assert record_size(timestamp_delta, offset_delta, key, bytes(value_size)) == size


def test_headers_count_their_utf_8() -> None:
    assert headers_size(()) == 1
    assert headers_size((("h", b"x"), ("n", None))) == 1 + 4 + 3
    assert headers_size((("é" * 32, None),)) == 1 + 2 + 64 + 1
    assert record_size(0, 0, None, None, headers_size((("h", b"x"),))) == 7 + 4


def test_upper_bounds_are_javas_reference_values() -> None:
    assert BATCH_OVERHEAD == 61
    assert record_upper_bound(None, None) == 85
    assert record_upper_bound(b"k", b"value", headers_size((("h", b"x"), ("n", None)))) == 98
    assert record_upper_bound(bytes(64), bytes(8192)) == 61 + 21 + 66 + 8195 + 1
