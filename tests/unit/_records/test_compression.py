"""Each codec gives back what it was given, within its limits, and refuses everything else in one way."""

from __future__ import annotations

import gzip
import random
import sys
from importlib import import_module

import pytest
import zstandard

from aioproducer._records import compression
from aioproducer._records.compression import Codec, check_level, compressor, decompress, load
from aioproducer.errors import ConfigurationError, CorruptRecordError

CODECS = list(Codec)
PACKED = [codec for codec in Codec if codec is not Codec.NONE]
SIZES = [0, 1, 100, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 64 * 1024 + 1]


def payloads(size: int) -> list[bytes]:
    return [bytes(size), random.Random(size).randbytes(size), (b'{"id": 17, "name": "x"},' * (size // 20 + 1))[:size]]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", SIZES)
def test_decompress_gives_back_what_was_compressed(codec: Codec, size: int) -> None:
    compress = compressor(codec)
    for data in payloads(size):
        assert decompress(codec, memoryview(compress(data))) == data


@pytest.mark.parametrize(
    ("codec", "level"),
    [(Codec.GZIP, -1), (Codec.GZIP, 1), (Codec.GZIP, 9), (Codec.LZ4, 1), (Codec.LZ4, 17), (Codec.ZSTD, -131072)],
)
def test_levels_at_the_ends_work(codec: Codec, level: int) -> None:
    data = payloads(1000)[2]
    assert decompress(codec, compressor(codec, level)(data)) == data


def test_higher_levels_compress_more() -> None:
    rng = random.Random(1)
    data = b"".join(b'{"id": %d, "amount": %d}' % (rng.randrange(10**6), rng.randrange(10**3)) for _ in range(500))
    for codec, low, high in ((Codec.GZIP, 1, 9), (Codec.LZ4, 1, 12), (Codec.ZSTD, -50, 3)):
        assert len(compressor(codec, high)(data)) < len(compressor(codec, low)(data))


def test_defaults_are_ours_for_lz4_and_kafkas_for_the_others() -> None:
    assert {codec: check_level(codec, None) for codec in CODECS} == {
        Codec.NONE: 0,
        Codec.GZIP: -1,
        Codec.SNAPPY: 0,
        Codec.LZ4: 1,
        Codec.ZSTD: 3,
    }


@pytest.mark.parametrize(
    ("codec", "level"),
    [
        (Codec.NONE, 1),
        (Codec.GZIP, 0),
        (Codec.GZIP, 10),
        (Codec.GZIP, -2),
        (Codec.SNAPPY, 1),
        (Codec.LZ4, 0),
        (Codec.LZ4, 18),
        (Codec.ZSTD, 23),
        (Codec.ZSTD, -131073),
    ],
)
def test_levels_that_a_codec_does_not_have_are_refused(codec: Codec, level: int) -> None:
    with pytest.raises(ConfigurationError, match=f"compression level {level} for {codec.label}"):
        compressor(codec, level)


def test_labels_are_the_words_of_compression_type() -> None:
    assert [codec.label for codec in CODECS] == ["none", "gzip", "snappy", "lz4", "zstd"]


def test_snappy_is_written_in_blocks_of_32_kib_with_the_xerial_header() -> None:
    data = random.Random(3).randbytes(32 * 1024 + 5)
    packed = compressor(Codec.SNAPPY)(data)
    assert packed[:16] == b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"
    first = int.from_bytes(packed[16:20], "big")
    second = int.from_bytes(packed[20 + first : 24 + first], "big")
    assert len(packed) == 24 + first + second
    assert decompress(Codec.SNAPPY, packed[20 : 20 + first]) == data[: 32 * 1024]
    assert decompress(Codec.SNAPPY, packed[24 + first :]) == data[32 * 1024 :]


def test_lz4_frames_have_independent_blocks_without_size_or_checksums() -> None:
    packed = compressor(Codec.LZ4)(bytes(200_000))
    assert packed[:4] == b"\x04\x22\x4d\x18"
    assert packed[4] == 0b01_1_0_0_0_0_0  # version 1, independent blocks
    assert packed[5] == 0x40  # blocks of 64 KiB


def test_linked_lz4_blocks_are_read() -> None:
    data = payloads(200_000)[2]
    compress = import_module("lz4.frame").compress  # has no types
    assert decompress(Codec.LZ4, compress(data, block_linked=True, content_checksum=True)) == data


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.LZ4, Codec.ZSTD])
def test_several_frames_are_read_as_one(codec: Codec) -> None:
    compress = compressor(codec)
    assert decompress(codec, compress(b"one ") + compress(b"") + compress(b"two")) == b"one two"


def test_zstd_frames_that_do_not_tell_their_size_are_read() -> None:
    data = payloads(300_000)[2]
    job = zstandard.ZstdCompressor().compressobj()
    assert decompress(Codec.ZSTD, job.compress(data) + job.flush()) == data


@pytest.mark.parametrize("codec", PACKED)
@pytest.mark.parametrize("size", [1, 1000, 70_000])
def test_strict_prefixes_are_refused(codec: Codec, size: int) -> None:
    packed = compressor(codec)(payloads(size)[1])
    for end in {*range(0, min(40, len(packed))), len(packed) // 2, len(packed) - 1}:
        if codec is Codec.SNAPPY and end == 16:
            continue  # the xerial header alone is no data
        with pytest.raises(CorruptRecordError, match=codec.label):
            decompress(codec, packed[:end])


@pytest.mark.parametrize("codec", PACKED)
def test_anything_after_the_data_is_refused(codec: Codec) -> None:
    packed = compressor(codec)(b"some data, some data, some data")
    with pytest.raises(CorruptRecordError, match=codec.label):
        decompress(codec, packed + b"rest")


@pytest.mark.parametrize("codec", CODECS)
def test_limit_is_the_size_allowed(codec: Codec) -> None:
    packed = compressor(codec)(bytes(100_000))
    assert decompress(codec, packed, max_bytes=100_000) == bytes(100_000)
    with pytest.raises(CorruptRecordError, match="99,999"):
        decompress(codec, packed, max_bytes=99_999)


@pytest.mark.parametrize("codec", PACKED)
@pytest.mark.parametrize("seed", [20_261_124])
def test_damaged_data_raises_nothing_else(codec: Codec, seed: int) -> None:
    rng = random.Random(seed)
    packed = bytearray(compressor(codec)(payloads(3000)[2]))
    for _ in range(300):
        damaged = bytearray(packed)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            assert len(decompress(codec, damaged, max_bytes=10_000)) <= 10_000
        except CorruptRecordError:
            pass


def test_a_bomb_is_stopped_at_the_limit() -> None:
    bomb = gzip.compress(bytes(5_000_000))
    with pytest.raises(CorruptRecordError, match="more than the 1,000 bytes"):
        decompress(Codec.GZIP, bomb, max_bytes=1000)


def test_many_tiny_frames_are_read_in_one_pass() -> None:
    # Copying the rest after each frame would be 2 GB here.
    packed = gzip.compress(b"x", mtime=0) * 3000
    assert decompress(Codec.GZIP, packed) == b"x" * 3000


def test_missing_package_is_a_configuration_error_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compression._package.cache_clear()  # pyright: ignore[reportPrivateUsage]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "cramjam", None)
        for call in (
            lambda: load(Codec.SNAPPY),
            lambda: compressor(Codec.SNAPPY),
            lambda: decompress(Codec.SNAPPY, b"x"),
        ):
            with pytest.raises(ConfigurationError, match=r"'snappy' needs .*pip install 'aioproducer\[snappy\]'"):
                call()
    load(Codec.SNAPPY)
