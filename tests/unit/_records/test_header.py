"""The header is read field by field, and what cannot be is refused."""

from __future__ import annotations

import pytest

from aioproducer._records.compression import Codec
from aioproducer._records.header import HEADER, BatchHeader, check_magic, read_header
from aioproducer.errors import CorruptRecordError, ProtocolError

FIELDS = (2**40, 100, 7, 2, 0xDEADBEEF, 0b11011, 4, 1_700_000_000_000, 1_700_000_000_009, 2**50, 3, 17, 5)
PACKED = HEADER.pack(*FIELDS)


def changed(position: int, value: int) -> bytes:
    return HEADER.pack(*[value if index == position else field for index, field in enumerate(FIELDS)])


def test_fields_are_read_where_they_are() -> None:
    assert read_header(PACKED) == BatchHeader(*FIELDS)
    assert read_header(memoryview(b"before" + PACKED), 6) == BatchHeader(*FIELDS)


def test_attributes_are_told_apart() -> None:
    header = read_header(PACKED)
    assert header.codec is Codec.LZ4
    assert header.log_append_time
    assert header.is_transactional
    assert not header.is_control
    assert header.size == 112
    control = read_header(changed(5, 0b100000))
    assert control.is_control
    assert (control.codec, control.log_append_time, control.is_transactional) == (Codec.NONE, False, False)


@pytest.mark.parametrize("size", range(61))
def test_strict_prefixes_are_refused(size: int) -> None:
    with pytest.raises(CorruptRecordError, match=f"61 bytes; {size} are left"):
        read_header(PACKED[:size])


def test_an_offset_outside_of_the_buffer_is_refused() -> None:
    for offset in (-1, 1, 1000):
        with pytest.raises(CorruptRecordError):
            read_header(PACKED, offset)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (1, 48, "batch length 48"),
        (1, -1, "batch length -1"),
        (5, 5, "codec 5"),
        (5, 7, "codec 7"),
        (12, -1, "record count -1"),
    ],
)
def test_values_that_cannot_be_are_refused(position: int, value: int, message: str) -> None:
    with pytest.raises(CorruptRecordError, match=message):
        read_header(changed(position, value))


@pytest.mark.parametrize("magic", [0, 1, 3, -1])
def test_other_formats_are_named(magic: int) -> None:
    with pytest.raises(ProtocolError, match=f"magic {magic}"):
        read_header(changed(3, magic))
    with pytest.raises(ProtocolError, match=f"magic {magic}"):
        check_magic(magic)
