"""Varints as the record format has them."""

from __future__ import annotations

import pytest

from aioproducer._records.sizes import varint_size
from aioproducer._records.varints import short_varint, varint


@pytest.mark.parametrize(
    ("n", "encoded"),
    [
        (0, "00"),
        (-1, "01"),
        (1, "02"),
        (63, "7e"),
        (-64, "7f"),
        (64, "8001"),
        (-65, "8101"),
        (8191, "fe7f"),
        (8192, "808001"),
        (2**31 - 1, "feffffff0f"),
        (2**63 - 1, "feffffffffffffffff01"),
        (-(2**63), "ffffffffffffffffff01"),
    ],
)
def test_varints_are_zigzag(n: int, encoded: str) -> None:
    assert varint(n).hex() == encoded
    assert short_varint(n) == varint(n)
    assert varint_size(n) == len(varint(n))
