"""The headers of a record become the same bytes by the short way and by the long one."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from aioproducer._records.record_headers import MAX_NAMES, HeaderBlocks, encode_headers
from aioproducer._records.sizes import headers_size

if TYPE_CHECKING:
    from aioproducer._types import Headers

WELL_FORMED: list[Headers] = [
    (),
    (("trace", b"1"),),
    (("trace", b"1"), ("trace", None), ("é", b""), ("", bytes(8191))),
    tuple([(f"name {number}", b"x" * number) for number in range(200)]),
    (("long" * 100, b""),),
]


@pytest.mark.parametrize("headers", WELL_FORMED)
def test_the_short_way_encodes_headers_as_the_long_one(headers: Headers) -> None:
    taken = HeaderBlocks()
    expected = encode_headers(headers)
    assert len(expected) == headers_size(headers)
    assert [taken.block(headers), taken.block(headers), taken.block(list(headers))] == [expected] * 3
    if len(dict(headers)) == len(headers):
        assert taken.block(dict(headers)) == expected


@pytest.mark.parametrize(
    "headers",
    [
        "text",
        b"bytes",
        7,
        [("h", "text")],
        [("h", bytearray(b"x"))],
        [(b"h", b"x")],
        [("h",)],
        [("h", b"x", b"y")],
        [["h", b"x"]],
        ["hx"],
        [{"h", b"x"}],
        [None],
        [("\ud800", b"x")],
        [("h", bytes(8192))],
        [("h", b"")] * 8192,
        iter([("h", b"x")]),
        {"h": 1},
        {1: b"x"},
    ],
)
def test_the_short_way_leaves_headers_that_need_something_done(headers: Any) -> None:
    taken = HeaderBlocks()
    assert [taken.block(headers), taken.block(headers)] == [None, None]


def test_the_short_way_sees_that_a_list_of_headers_has_changed() -> None:
    taken, headers = HeaderBlocks(), [("h", b"x")]
    first = taken.block(headers)
    headers.append(("h", b"y"))
    assert (first, taken.block(headers)) == (encode_headers((("h", b"x"),)), encode_headers(tuple(headers)))


def test_header_names_that_are_all_different_are_not_all_remembered() -> None:
    taken = HeaderBlocks()
    tracemalloc.start()
    try:
        for number in range(20 * MAX_NAMES):
            taken.block([(f"name {number}", b"x")])
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 300 * MAX_NAMES
