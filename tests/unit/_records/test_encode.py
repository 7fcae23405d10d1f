"""Records become the bytes that the format says, by each of the ways to make them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from aioproducer._records.compression import Codec, compressor
from aioproducer._records.decode import check_crc, read_header
from aioproducer._records.encode import encode_records, restamp, seal_batch
from aioproducer._records.record_headers import NO_HEADERS, encode_headers
from aioproducer._records.sizes import headers_size, record_size
from aioproducer._records.varints import varint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioproducer._types import Headers

NOW = 1_700_000_000_000


def blocks(headers: Sequence[Headers] | None) -> list[bytes] | None:
    return None if headers is None else [encode_headers(each) for each in headers]


def by_the_book(
    timestamps: Sequence[int],
    keys: Sequence[bytes | None] | None,
    values: Sequence[bytes | None],
    headers: Sequence[Headers] | None,
) -> bytes:
    """Write field after field, as the protocol's description has them."""

    def sized(part: bytes | None) -> bytes:
        return varint(-1) if part is None else varint(len(part)) + part

    section = b""
    for index, value in enumerate(values):
        pairs = () if headers is None else headers[index]
        body = b"\0" + varint(timestamps[index] - timestamps[0]) + varint(index)
        body += sized(None if keys is None else keys[index]) + sized(value) + varint(len(pairs))
        for name, text in pairs:
            body += sized(name.encode()) + sized(text)
        section += varint(len(body)) + body
    return section


def seal(records: bytes = b"", count: int = 1, codec: Codec = Codec.NONE) -> bytes:
    return seal_batch(
        records or encode_records([NOW], None, [b"v"], None),
        count=count,
        base_timestamp=NOW,
        max_timestamp=NOW + 5,
        codec=codec,
        compressor=compressor(codec),
        producer_id=77,
        producer_epoch=3,
        base_sequence=12,
    )


def test_one_record_is_written_field_by_field() -> None:
    encoded = encode_records([NOW], [b"k"], [None], [encode_headers((("h", None),))])
    # length 10; attributes, timestamp delta, offset delta; key; value null; one header "h", null
    assert encoded.hex() == "14" + "00" + "00" + "00" + "026b" + "01" + "02" + "0268" + "01"


def test_no_records_are_no_bytes() -> None:
    assert encode_records([], None, [], None) == b""
    assert encode_records([], [], [], []) == b""


@pytest.mark.parametrize(
    "value_size", [None, 0, 1, 56, 57, 58, 63, 64, 8170, 8180, 8185, 8190, 8191, 8192, 8193, 100_000]
)
@pytest.mark.parametrize("key", [None, b"", b"key", bytes(64)])
@pytest.mark.parametrize("headers", [None, (("name", b"text"), ("", None))])
def test_every_length_is_written_by_the_book(
    value_size: int | None, key: bytes | None, headers: Headers | None
) -> None:
    values = [b"first", None if value_size is None else bytes(value_size), b"last"]
    timestamps = [NOW, NOW + 1, NOW + 2]
    pairs = None if headers is None else [headers, (), headers]
    for keys in (None, [key] * 3):
        assert encode_records(timestamps, keys, values, blocks(pairs)) == by_the_book(timestamps, keys, values, pairs)


@pytest.mark.parametrize("delta", [0, 1, 63, 64, 8191, 8192, 2**40, -1, -64, -65, -8192, -8193, -(2**40)])
@pytest.mark.parametrize("keys", [None, [b"a", None, b"c"]])
@pytest.mark.parametrize("headers", [None, [(), (("h", b"1"),), ()]])
def test_every_timestamp_delta_is_written_by_the_book(
    delta: int, keys: list[bytes | None] | None, headers: list[Headers] | None
) -> None:
    timestamps = [NOW, NOW + delta, NOW]
    values: list[bytes | None] = [b"x", b"y", b"z"]
    assert encode_records(timestamps, keys, values, blocks(headers)) == by_the_book(timestamps, keys, values, headers)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 66, 8191, 8192, 8193, 8194])
def test_every_offset_delta_is_written_by_the_book(count: int) -> None:
    timestamps = [NOW] * count
    values: list[bytes | None] = [b"v"] * count
    assert encode_records(timestamps, None, values, None) == by_the_book(timestamps, None, values, None)


def test_headers_of_no_record_are_as_none() -> None:
    timestamps, values = [NOW, NOW], [b"a", b"b"]
    assert encode_records(timestamps, None, values, [NO_HEADERS] * 2) == encode_records(timestamps, None, values, None)


@pytest.mark.parametrize("seed", range(30))
def test_random_records_are_written_by_the_book_and_have_their_size(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.randint(1, 40)

    def cell() -> bytes | None:
        return rng.choice([None, b"", b"x", bytes(63), bytes(64), bytes(rng.randint(0, 300))])

    def pairs() -> Headers:
        return tuple([(rng.choice(["a", "é", "", "long" * 20]), cell()) for _ in range(rng.randint(0, 3))])

    timestamps = [NOW + rng.choice([0, 1, 64, 9000, -1]) * (seed % 2) for _ in range(count)]
    keys = None if rng.random() < 0.3 else [cell() for _ in range(count)]
    values = [cell() for _ in range(count)]
    headers = None if rng.random() < 0.5 else [pairs() for _ in range(count)]
    encoded = encode_records(timestamps, keys, values, blocks(headers))
    assert encoded == by_the_book(timestamps, keys, values, headers)
    sizes = [
        record_size(
            timestamp - timestamps[0],
            index,
            None if keys is None else keys[index],
            values[index],
            1 if headers is None else headers_size(headers[index]),
        )
        for index, timestamp in enumerate(timestamps)
    ]
    assert sum(sizes) == len(encoded)


def test_sealed_batch_has_the_header_that_was_asked_for() -> None:
    records = encode_records([NOW] * 4, None, [b"v"] * 4, None)
    batch = seal_batch(
        records,
        count=4,
        base_timestamp=NOW,
        max_timestamp=NOW + 9,
        codec=Codec.NONE,
        compressor=None,
        producer_id=2**50,
        producer_epoch=32767,
        base_sequence=2**31 - 1,
        is_transactional=True,
        partition_leader_epoch=0,
        log_append_time=True,
    )
    header = read_header(batch)
    assert (header.base_offset, header.size, header.partition_leader_epoch) == (0, len(batch), 0)
    assert (header.last_offset_delta, header.count) == (3, 4)
    assert (header.base_timestamp, header.max_timestamp) == (NOW, NOW + 9)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (2**50, 32767, 2**31 - 1)
    assert (header.codec, header.is_transactional, header.log_append_time) == (Codec.NONE, True, True)
    assert batch[61:] == records
    assert check_crc(batch)


def test_batch_without_producer_state_says_minus_one() -> None:
    batch = seal_batch(b"\0", count=1, base_timestamp=NOW, max_timestamp=NOW, codec=Codec.NONE)
    header = read_header(batch)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (-1, -1, -1)
    assert (header.partition_leader_epoch, header.attributes) == (-1, 0)


@pytest.mark.parametrize("codec", [codec for codec in Codec if codec is not Codec.NONE])
def test_sealed_batch_has_the_compressed_records(codec: Codec) -> None:
    records = encode_records([NOW], None, [bytes(5000)], None)
    batch = seal(records, codec=codec)
    assert read_header(batch).codec is codec
    assert batch[61:] == compressor(codec)(records)
    assert check_crc(batch)


def test_batch_without_records_is_refused() -> None:
    with pytest.raises(ValueError, match="count is 0"):
        seal(count=0)


def test_codec_without_compressor_is_refused() -> None:
    with pytest.raises(ValueError, match="no compressor"):
        seal_batch(b"x", count=1, base_timestamp=NOW, max_timestamp=NOW, codec=Codec.ZSTD)


@pytest.mark.parametrize("state", [(5, -1, 0), (5, 0, -1), (-1, 0, -1), (-1, -1, 0)])
def test_producer_state_that_is_half_there_is_refused(state: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="producer id"):
        restamp(seal(), *state, False)
    with pytest.raises(ValueError, match="producer id"):
        seal_batch(
            b"x",
            count=1,
            base_timestamp=NOW,
            max_timestamp=NOW,
            codec=Codec.NONE,
            producer_id=state[0],
            producer_epoch=state[1],
            base_sequence=state[2],
        )


def test_transactional_batch_without_producer_id_is_refused() -> None:
    with pytest.raises(ValueError, match="transactional"):
        restamp(seal(), -1, -1, -1, True)


@pytest.mark.parametrize("codec", Codec)
def test_restamp_changes_producer_state_and_crc_only(codec: Codec) -> None:
    batch = seal(codec=codec)
    stamped = restamp(batch, 2**40, 9, 1000, True)
    header = read_header(stamped)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (2**40, 9, 1000)
    assert (header.is_transactional, header.codec) == (True, codec)
    assert check_crc(stamped)
    others = [slice(0, 17), slice(23, 43), slice(57, None)]
    assert [stamped[part] for part in others] == [batch[part] for part in others]
    assert restamp(stamped, 77, 3, 12, False) == batch
