"""Compression codecs: what compresses and expands the records of a batch.

A compressor belongs to one job at a time: a zstd compressor that two threads use at once crashes the interpreter. Make
one per worker thread, or one per job, with `compressor`; never share one between the event loop and a worker.

Linked LZ4 blocks, which Kafka cannot read, and which only batches above 64 KiB would have, are never written.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from enum import IntEnum
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from aioproducer._records.checksum import load_crc32c
from aioproducer.errors import ConfigurationError, CorruptRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aioproducer._types import BytesLike

Compressor: TypeAlias = Callable[[bytes], bytes]


class Codec(IntEnum):
    """The codecs, by their number in bits 0 to 2 of a batch's attributes."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4

    @property
    def label(self) -> str:
        """Its name in the setting compression_type."""
        return self.name.lower()


MAX_UNCOMPRESSED_BYTES: Final = 100 * 1024 * 1024
"""What `decompress` gives at most, unless told otherwise; the limit of a frame too."""

PACKAGES: Final = {
    # codec: (module to import, what to install)
    Codec.SNAPPY: ("cramjam", "aioproducer[snappy]"),
    Codec.LZ4: ("lz4.frame", "lz4"),
    Codec.ZSTD: ("zstandard", "zstandard"),
}
LEVELS: Final = {
    # codec: (default, lowest, highest); gzip's -1 is zlib's own default, 6
    Codec.GZIP: (-1, 1, 9),
    Codec.LZ4: (1, 1, 17),
    Codec.ZSTD: (3, -131072, 22),
}

XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
XERIAL_HEADER: Final = XERIAL_MAGIC + b"\x00\x00\x00\x01\x00\x00\x00\x01"
XERIAL_BLOCK_BYTES: Final = 32 * 1024
STEP_BYTES: Final = {
    # What a decompressor gets at once becomes at most 16 MiB: gzip expands 1,032 times, zstd 4 bytes to 128 KiB,
    # and lz4 gives a block of at most 4 MiB when it is complete.
    Codec.GZIP: 4096,
    Codec.LZ4: 4096,
    Codec.ZSTD: 512,
}


def load(codec: Codec) -> None:
    """Import what batches of this codec need, the checksum included; the first time it can take 150 ms.

    Raises:
        ConfigurationError: the codec's package is not installed; the message has the command that installs it.
    """
    load_crc32c()
    if codec in PACKAGES:
        _package(codec)


def check_level(codec: Codec, level: int | None) -> int:
    """Return the level to compress with: the one given, or the codec's default for None.

    Raises:
        ConfigurationError: the codec has no such level, or no levels at all.
    """
    if codec not in LEVELS:
        if level is None:
            return 0
        raise ConfigurationError(f"compression level {level} for {codec.label}: it has no levels; leave the level out")
    default, lowest, highest = LEVELS[codec]
    if level is None or level == default or lowest <= level <= highest:
        return default if level is None else level
    besides = " or -1" if default == -1 else ""
    raise ConfigurationError(
        f"compression level {level} for {codec.label}: it must be from {lowest} to {highest}{besides}"
    )


def compressor(codec: Codec, level: int | None = None) -> Compressor:
    """Make a function that compresses the records section of a batch. One thread at a time may use it.

    Reuse pays for zstd (16 KiB of JSON: 32 instead of 58 µs); the others keep nothing between calls.

    Args:
        codec: any; with `Codec.NONE` the function returns its argument.
        level: gzip 1 to 9 or -1; lz4 1 to 17, where 1 and 2 are the fast mode and those from 12 on are the same; zstd
            -131072 to 22. None for the default: -1, 1, 3.

    Raises:
        ConfigurationError: the level is out of range, or the codec's package is not installed.
    """
    return _MAKERS[codec](check_level(codec, level))


def decompress(codec: Codec, data: BytesLike, max_bytes: int = MAX_UNCOMPRESSED_BYTES) -> bytes:
    """Expand the records section of a batch.

    Whatever the data says of its size, this allocates at most 16 MiB more than `max_bytes`, and for zstd the window of
    the frame, at most 128 MiB.

    Raises:
        CorruptRecordError: the data is not of this codec, is cut off, or would give more than `max_bytes`.
        ConfigurationError: the codec's package is not installed.
    """
    return _EXPANDERS[codec](data, max_bytes)


@cache
def _package(codec: Codec) -> Any:  # a module; lz4 has no types, and a Protocol for each would be longer than the calls
    module, install = PACKAGES[codec]
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"compression_type={codec.label!r} needs the package {module.partition('.')[0]!r}, which cannot be imported"
            f" ({error}); pip install '{install}'"
        ) from error


def _same(data: bytes) -> bytes:
    return data


def _make_none(level: int) -> Compressor:
    return _same


def _make_gzip(level: int) -> Compressor:
    def compress(data: bytes) -> bytes:
        job = zlib.compressobj(level, zlib.DEFLATED, 31)
        return job.compress(data) + job.flush()

    return compress


def _make_snappy(level: int) -> Compressor:
    compress_raw: Callable[[bytes | memoryview], Any] = _package(Codec.SNAPPY).snappy.compress_raw

    def compress(data: bytes) -> bytes:
        # The framing of xerial's snappy-java, which Java clients and brokers use: blocks, each after its length.
        view = memoryview(data)
        parts = [XERIAL_HEADER]
        for start in range(0, len(data), XERIAL_BLOCK_BYTES):
            block = bytes(compress_raw(view[start : start + XERIAL_BLOCK_BYTES]))
            parts += (len(block).to_bytes(4, "big"), block)
        return b"".join(parts)

    return compress


def _make_lz4(level: int) -> Compressor:
    compress_frame = _package(Codec.LZ4).compress

    def compress(data: bytes) -> bytes:
        frame: bytes = compress_frame(data, compression_level=level, block_linked=False, store_size=False)
        return frame

    return compress


def _make_zstd(level: int) -> Compressor:
    compress: Compressor = _package(Codec.ZSTD).ZstdCompressor(level=level).compress
    return compress


def _expand_none(data: BytesLike, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise _too_large(Codec.NONE, max_bytes)
    return bytes(data)


def _expand_gzip(data: BytesLike, max_bytes: int) -> bytes:
    try:
        return _expand_frames(Codec.GZIP, partial(zlib.decompressobj, 31), data, max_bytes)
    except zlib.error as error:
        raise _corrupt(Codec.GZIP, error) from error


def _expand_lz4(data: BytesLike, max_bytes: int) -> bytes:
    try:
        return _expand_frames(Codec.LZ4, _package(Codec.LZ4).LZ4FrameDecompressor, data, max_bytes)
    except RuntimeError as error:  # what the package raises for damaged data
        raise _corrupt(Codec.LZ4, error) from error


def _expand_zstd(data: BytesLike, max_bytes: int) -> bytes:
    zstandard = _package(Codec.ZSTD)
    try:
        return _expand_frames(Codec.ZSTD, zstandard.ZstdDecompressor().decompressobj, data, max_bytes)
    except zstandard.ZstdError as error:
        raise _corrupt(Codec.ZSTD, error) from error


class _Job(Protocol):
    """The decompressor of one frame (gzip: one member); zlib, lz4 and zstandard all have it in this form."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: BytesLike, /) -> bytes: ...


def _expand_frames(codec: Codec, new_job: Callable[[], _Job], data: BytesLike, max_bytes: int) -> bytes:
    # By small steps, as zstandard cannot bound what one call gives, and the readers that could take a frame that is cut
    # off for a whole one. What a step leaves unused is copied, so steps also bound the cost of many tiny frames.
    view = memoryview(data)
    step = STEP_BYTES[codec]
    chunks: list[bytes] = []
    room = max_bytes
    job = new_job()
    at = 0
    while at < len(view):
        if job.eof:
            job = new_job()
        piece = view[at : at + step]
        chunk = job.decompress(piece)
        room -= len(chunk)
        if room < 0:
            raise _too_large(codec, max_bytes)
        chunks.append(chunk)
        at += len(piece) - len(job.unused_data or b"")
    if not job.eof:
        raise _cut_off(codec)
    return b"".join(chunks)


def _expand_snappy(data: BytesLike, max_bytes: int) -> bytes:
    view = memoryview(data)
    room = max_bytes
    blocks: list[bytes] = []
    for block in _snappy_blocks(view):
        blocks.append(_expand_snappy_block(block, room, max_bytes))
        room -= len(blocks[-1])
    return b"".join(blocks)


def _snappy_blocks(view: memoryview) -> Iterator[memoryview]:
    if bytes(view[: len(XERIAL_MAGIC)]) != XERIAL_MAGIC:
        yield view  # one block without framing, as some clients write
        return
    at = len(XERIAL_HEADER)
    while at + 4 <= len(view):
        start = at + 4
        at = start + int.from_bytes(view[at:start], "big")
        yield view[start:at]
    if at != len(view):
        raise _cut_off(Codec.SNAPPY)


def _expand_snappy_block(block: memoryview, room: int, max_bytes: int) -> bytes:
    cramjam = _package(Codec.SNAPPY)
    try:
        if cramjam.snappy.decompress_raw_len(block) > room:
            raise _too_large(Codec.SNAPPY, max_bytes)
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError as error:
        raise _corrupt(Codec.SNAPPY, error) from error


def _too_large(codec: Codec, max_bytes: int) -> CorruptRecordError:
    return CorruptRecordError(f"records compressed with {codec.label} give more than the {max_bytes:,} bytes allowed")


def _cut_off(codec: Codec) -> CorruptRecordError:
    return CorruptRecordError(f"records compressed with {codec.label} are cut off")


def _corrupt(codec: Codec, error: Exception) -> CorruptRecordError:
    return CorruptRecordError(f"records compressed with {codec.label} are damaged: {error}")


_MAKERS: Final[dict[Codec, Callable[[int], Compressor]]] = {
    Codec.NONE: _make_none,
    Codec.GZIP: _make_gzip,
    Codec.SNAPPY: _make_snappy,
    Codec.LZ4: _make_lz4,
    Codec.ZSTD: _make_zstd,
}
_EXPANDERS: Final[dict[Codec, Callable[[BytesLike, int], bytes]]] = {
    Codec.NONE: _expand_none,
    Codec.GZIP: _expand_gzip,
    Codec.SNAPPY: _expand_snappy,
    Codec.LZ4: _expand_lz4,
    Codec.ZSTD: _expand_zstd,
}
