from __future__ import annotations

import struct

import pytest

from aioproducer._wire.primitives import (
    UVARINTS,
    Reader,
    decode_uvarint,
    encode_compact_string,
    encode_string,
    encode_uvarint,
    records_chunks,
    skip_tagged_fields,
)
from aioproducer.errors import ProtocolError

UVARINT_VECTORS = [
    (0, b"\x00"),
    (127, b"\x7f"),
    (128, b"\x80\x01"),
    (255, b"\xff\x01"),
    (256, b"\x80\x02"),
    (16_383, b"\xff\x7f"),
    (16_384, b"\x80\x80\x01"),
    (2**31 - 1, b"\xff\xff\xff\xff\x07"),
    (2**32 - 1, b"\xff\xff\xff\xff\x0f"),
]


@pytest.mark.parametrize(("value", "data"), UVARINT_VECTORS)
def test_uvarints_are_seven_bits_a_byte_least_first(value: int, data: bytes) -> None:
    assert encode_uvarint(value) == data
    assert decode_uvarint(b"??" + data + b"?", 2) == (value, 2 + len(data))


def test_the_table_has_the_small_uvarints() -> None:
    assert all(decode_uvarint(data, 0) == (value, len(data)) for value, data in enumerate(UVARINTS))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\xff\xff\xff"])
def test_an_unfinished_uvarint_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="end within"):
        decode_uvarint(data, 0)


def test_a_uvarint_of_six_bytes_is_refused() -> None:
    with pytest.raises(ProtocolError, match="longer than five"):
        decode_uvarint(b"\x80\x80\x80\x80\x80\x00", 0)


def test_strings_count_bytes_not_characters() -> None:
    assert encode_string("π") == b"\x00\x02\xcf\x80"
    assert encode_compact_string("π") == b"\x03\xcf\x80"
    assert encode_compact_string("") == b"\x01"


def test_a_string_beyond_int16_is_refused() -> None:
    assert encode_string("x" * 32_767)[:2] == b"\x7f\xff"
    with pytest.raises(ValueError, match="32,768 bytes"):
        encode_string("x" * 32_768)


def test_tagged_fields_are_skipped_to_their_end() -> None:
    assert skip_tagged_fields(b"\x00", 0) == 1
    assert skip_tagged_fields(b"\x02\x00\x01a\x05\x02bc!", 0) == 8


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x00", b"\x01\x00\x02a", b"\xff\xff\xff\xff\x0f\x00\x00"])
def test_incomplete_tagged_fields_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        skip_tagged_fields(data, 0)


def test_records_are_one_buffer_or_several() -> None:
    assert records_chunks(b"abc") == (3, (b"abc",))
    assert records_chunks(bytearray(b"abc")) == (3, (b"abc",))
    assert records_chunks([b"ab", memoryview(b"cde")]) == (5, (b"ab", b"cde"))
    assert records_chunks([]) == (0, ())


def test_a_reader_goes_on_where_it_stands() -> None:
    reader = Reader(b"\x00\x07\x00\x02ab\xff\xff\x01\x09\x01x!")
    assert reader.fixed(struct.Struct(">h")) == (7,)
    assert reader.nullable_string() == "ab"
    assert reader.nullable_string() is None
    reader.skip_tagged_fields()
    assert reader.position == len(reader.buffer) - 1


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x03ab", b"\xff\xfe", b"\x00\x01\xff"])
def test_a_reader_refuses_what_is_no_string(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Reader(data).nullable_string()
