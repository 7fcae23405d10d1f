"""Batches are read back as they were written; whatever else the bytes are, only ProtocolError is raised."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioproducer._records.compression import Codec, compressor
from aioproducer._records.decode import (
    Record,
    check_crc,
    control_batch,
    decode_batch,
    read_header,
    rewrite_for_append,
    split_batches,
)
from aioproducer._records.encode import encode_records, seal_batch, with_new_crc
from aioproducer._records.record_headers import encode_headers
from aioproducer._records.varints import varint
from aioproducer.errors import CorruptRecordError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = 1_700_000_000_000
RECORDS = [
    Record(0, NOW, b"key", b"value", ()),
    Record(1, NOW - 100, None, None, (("trace", b"1"), ("empty", None), ("é", b""))),
    Record(2, NOW + 10_000, b"", bytes(300), ()),
]

cells = st.none() | st.binary(max_size=70)
pairs = st.lists(st.tuples(st.text(max_size=5), cells), max_size=3).map(tuple)
batches = st.lists(st.tuples(st.integers(0, 2**42), cells, cells, pairs), min_size=1, max_size=20)


def seal(records: Sequence[Record], codec: Codec = Codec.NONE, *, log_append_time: bool = False) -> bytes:
    timestamps = [record.timestamp_ms for record in records]
    section = encode_records(
        timestamps,
        [record.key for record in records],
        [record.value for record in records],
        [encode_headers(record.headers) for record in records],
    )
    return seal_section(section, len(records), timestamps, codec, log_append_time=log_append_time)


def seal_section(
    section: bytes,
    count: int,
    timestamps: Sequence[int] = (NOW,),
    codec: Codec = Codec.NONE,
    *,
    log_append_time: bool = False,
) -> bytes:
    return seal_batch(
        section,
        count=count,
        base_timestamp=timestamps[0],
        max_timestamp=max(timestamps),
        codec=codec,
        compressor=compressor(codec),
        log_append_time=log_append_time,
    )


def record_bytes(body: bytes) -> bytes:
    return varint(len(body)) + body


@given(rows=batches, codec=st.sampled_from(Codec))
@settings(max_examples=60, deadline=None)
def test_decoding_gives_back_what_was_encoded(
    rows: list[tuple[int, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]], codec: Codec
) -> None:
    records = [Record(index, *row) for index, row in enumerate(rows)]
    decoded = decode_batch(memoryview(seal(records, codec)))
    assert decoded.records == records
    assert decoded.header.count == len(records)


def test_offsets_count_from_the_base_offset() -> None:
    decoded = decode_batch(rewrite_for_append(seal(RECORDS), 1000, 4))
    assert [record.offset for record in decoded.records] == [1000, 1001, 1002]
    assert (decoded.header.base_offset, decoded.header.partition_leader_epoch) == (1000, 4)


def test_log_append_time_counts_for_every_record() -> None:
    decoded = decode_batch(seal(RECORDS, log_append_time=True))
    assert [record.timestamp_ms for record in decoded.records] == [NOW + 10_000] * 3


def test_header_names_that_are_not_utf_8_are_replaced() -> None:
    body = b"\0\0\0" + varint(-1) + varint(-1) + varint(1) + varint(2) + b"\xffn" + varint(-1)
    assert decode_batch(seal_section(record_bytes(body), 1)).records[0].headers == (("\ufffdn", None),)


def test_gaps_of_compaction_are_kept() -> None:
    section = b"".join(record_bytes(b"\0\0" + varint(delta) + b"\1\1\0") for delta in (2, 70, 9000))
    assert [record.offset for record in decode_batch(seal_section(section, 3)).records] == [2, 70, 9000]


@pytest.mark.parametrize("codec", Codec)
def test_strict_prefixes_of_a_batch_are_refused(codec: Codec) -> None:
    batch = seal(RECORDS, codec)
    for end in range(len(batch)):
        with pytest.raises(CorruptRecordError):
            decode_batch(batch[:end])


def test_bytes_after_the_batch_are_refused() -> None:
    with pytest.raises(CorruptRecordError, match="says it has"):
        decode_batch(seal(RECORDS) + b"\0")


def test_every_changed_byte_under_the_checksum_is_noticed() -> None:
    batch = seal(RECORDS)
    assert check_crc(batch)
    for index in range(17, len(batch)):
        damaged = bytearray(batch)
        damaged[index] ^= 0x08
        if index == 22:
            damaged[index] ^= 0x09  # codec 1 instead
        assert not check_crc(damaged)
        with pytest.raises(CorruptRecordError, match="CRC"):
            decode_batch(damaged)


def test_what_the_broker_changes_is_outside_of_the_checksum() -> None:
    batch = seal(RECORDS)
    stored = rewrite_for_append(batch, 2**40, 9)
    assert check_crc(stored)
    assert stored[16:] == batch[16:]
    assert stored[8:12] == batch[8:12]


def test_log_append_time_sets_bit_max_timestamp_and_checksum() -> None:
    batch = seal(RECORDS, Codec.ZSTD)
    stored = rewrite_for_append(memoryview(batch), 5, 1, NOW + 77_777)
    header = read_header(stored)
    assert (header.log_append_time, header.max_timestamp, header.base_timestamp) == (True, NOW + 77_777, NOW)
    assert header.codec is Codec.ZSTD
    assert check_crc(stored)
    assert [record.timestamp_ms for record in decode_batch(stored).records] == [NOW + 77_777] * 3


@pytest.mark.parametrize(
    ("section", "count", "message"),
    [
        (b"", 1, "cannot be the 1 records"),
        (b"\x0c\0\0\0\1\1\0", 2, "cannot be the 2 records"),
        (b"\x0c\0\0\0\1\1\0", 2**31 - 1, "cannot be the"),
        (b"\x0c\0\0\0\1\1\0\0", 1, "1 bytes are left"),
        (b"\x0e\0\0\0\1\1\0", 1, "record length 7; 6 bytes"),
        (b"\x0b\0\0\0\1\1\0", 1, "record length -6"),
        (b"\x0a\0\0\0\1\1\0", 1, "ends at byte 6, but ends at 7"),
        (b"\x0e\0\0\0\1\1\0\0", 1, "ends at byte 8, but ends at 7"),
        (b"\x0c\0\0\0\x10\1\0", 1, "a length of 8 bytes; 2 are left"),
        (b"\x0c\0\0\0\1\x04\0", 1, "a length of 2 bytes; 1 are left"),
        (b"\x0c\0\0\0\1\1\1", 1, "header count -1"),
        (b"\x0c\0\0\0\1\1\x7e", 1, "header count 63"),
        (b"\x10\0\0\0\1\1\2\1\1", 1, "a header has no name"),
        (b"\x0c\0\0\0\1\1\x80", 1, "record 0 of 1 is cut off"),
        (b"\xff\xff\xff\xff\x10" + bytes(9), 1, "more than 32 bits"),
        (b"\xff\xff\xff\xff\xff\x01" + bytes(9), 1, "more than 32 bits"),
        (b"\x1e\0" + b"\xff" * 9 + b"\x02" + bytes(9), 1, "more than 64 bits"),
        (b"\x1e\0" + b"\xff" * 10 + b"\x01" + bytes(9), 1, "more than 64 bits"),
    ],
)
def test_records_that_contradict_themselves_are_refused(section: bytes, count: int, message: str) -> None:
    with pytest.raises(CorruptRecordError, match=message):
        decode_batch(seal_section(section, count))


@pytest.mark.parametrize("delta", [2**63 - 1, -(2**63), 2**31, -8193])
def test_timestamp_deltas_have_64_bits(delta: int) -> None:
    section = record_bytes(b"\0" + varint(delta) + b"\0\1\1\0")
    assert decode_batch(seal_section(section, 1)).records[0].timestamp_ms == NOW + delta


def test_records_beyond_the_limit_are_refused() -> None:
    batch = seal([Record(0, NOW, None, bytes(100_000), ())], Codec.GZIP)
    with pytest.raises(CorruptRecordError, match="more than the 1,000 bytes"):
        decode_batch(batch, max_uncompressed_bytes=1000)


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("seed", range(3))
def test_random_damage_decodes_or_is_a_protocol_error(codec: Codec, seed: int) -> None:
    rng = random.Random(seed)
    batch = seal(RECORDS, codec)
    refused = 0
    for _ in range(200):
        damaged = bytearray(batch)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(8, len(damaged))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        damaged_records = with_new_crc(damaged)  # or the damage would not get past the checksum
        try:
            decode_batch(damaged_records, max_uncompressed_bytes=100_000)
        except ProtocolError:
            refused += 1
    assert refused > 0  # not all: most bytes of the batch that is not compressed are a value's


@given(data=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_random_records_sections_decode_or_are_a_protocol_error(data: bytes) -> None:
    try:
        decoded = decode_batch(seal_section(data, max(1, len(data) // 8)))
    except ProtocolError:
        return
    assert len(decoded.records) == max(1, len(data) // 8)


@given(data=st.binary(max_size=200), allow_partial=st.booleans())
@settings(max_examples=200, deadline=None)
def test_random_bytes_split_or_are_a_protocol_error(data: bytes, allow_partial: bool) -> None:
    try:
        parts = split_batches(data, allow_partial=allow_partial)
    except ProtocolError:
        return
    assert data.startswith(b"".join(parts))


def test_batches_are_split_without_a_copy() -> None:
    first, second = seal(RECORDS), seal(RECORDS[:1], Codec.LZ4)
    buffer = first + second
    parts = split_batches(buffer)
    assert [bytes(part) for part in parts] == [first, second]
    assert all(part.obj is buffer for part in parts)
    assert split_batches(b"") == []


def test_last_batch_that_is_cut_off_is_dropped_only_when_allowed() -> None:
    first, second = seal(RECORDS), seal(RECORDS[:1])
    for end in range(1, len(second)):
        buffer = first + second[:end]
        assert [bytes(part) for part in split_batches(buffer, allow_partial=True)] == [first]
        with pytest.raises(CorruptRecordError, match="cut off"):
            split_batches(buffer)


def test_length_that_no_batch_has_is_refused_even_when_partial_ones_are_allowed() -> None:
    for length in (48, 0, -1):
        batch = seal(RECORDS)
        damaged = batch[:8] + length.to_bytes(4, "big", signed=True) + batch[12:]
        with pytest.raises(CorruptRecordError, match=f"batch length {length}"):
            split_batches(damaged, allow_partial=True)


def test_older_formats_are_named() -> None:
    message_set = bytes(8) + (30).to_bytes(4, "big") + bytes(4) + b"\1" + bytes(25)
    with pytest.raises(ProtocolError, match="magic 1"):
        split_batches(message_set)
    batch = bytearray(seal(RECORDS))
    batch[16] = 0
    with pytest.raises(ProtocolError, match="magic 0"):
        split_batches(batch)
    with pytest.raises(ProtocolError, match="magic 0"):
        decode_batch(batch)


@pytest.mark.parametrize(("commit", "key"), [(True, b"\0\0\0\1"), (False, b"\0\0\0\0")])
def test_marker_is_a_transactional_control_batch_of_one_record(commit: bool, key: bytes) -> None:
    marker = control_batch(77, 3, 500, commit, 9, NOW, leader_epoch=2)
    decoded = decode_batch(marker)
    assert decoded.records == [Record(500, NOW, key, b"\0\0\0\0\0\x09", ())]
    header = decoded.header
    assert (header.is_control, header.is_transactional, header.partition_leader_epoch) == (True, True, 2)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (77, 3, -1)
