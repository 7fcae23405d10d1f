"""How are the records of a batch compressed and expanded?

A compressor belongs to one job at a time: a zstd compressor that two threads use at once crashes the interpreter. Make
one per worker thread, or one per job, with `compressor`; never share one between the event loop and a worker.

Linked LZ4 blocks, which Kafka cannot read, and which only batches above 64 KiB would have, are never written.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aioproducer._records.checksum import load_crc32c
from aioproducer.errors import ConfigurationError, CorruptRecordError

if TYPE_CHECKING:
    from aioproducer.records import BytesLike

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
ZSTD_STEP_BYTES: Final = 512
CHUNK_BYTES: Final = 1024 * 1024


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

    Reuse pays for zstd (16 KiB: 38 instead of 52 µs); the others keep nothing between calls.

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

    Besides the result it allocates at most 16 MiB more than `max_bytes`, whatever the data says of its size.

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
    output = _Output(Codec.GZIP, max_bytes)
    rest: BytesLike | None = data
    try:
        while rest is not None:
            rest = _gzip_member(rest, output)
    except zlib.error as error:
        raise _corrupt(Codec.GZIP, error) from error
    return output.joined()


def _gzip_member(data: BytesLike, output: _Output) -> bytes | None:
    job = zlib.decompressobj(31)
    pending = data
    while not job.eof:
        chunk = job.decompress(pending, output.next_length())
        if not chunk and not job.eof:
            raise _cut_off(Codec.GZIP)
        output.add(chunk)
        pending = job.unconsumed_tail
    return job.unused_data or None


def _expand_snappy(data: BytesLike, max_bytes: int) -> bytes:
    output = _Output(Codec.SNAPPY, max_bytes)
    view = memoryview(data)
    if bytes(view[: len(XERIAL_MAGIC)]) != XERIAL_MAGIC:
        output.add(_snappy_block(view, output))
        return output.joined()
    at = len(XERIAL_HEADER)
    while at < len(view):
        end = at + 4 + int.from_bytes(view[at : at + 4], "big")
        if end > len(view):
            raise _cut_off(Codec.SNAPPY)
        output.add(_snappy_block(view[at + 4 : end], output))
        at = end
    if at > len(view):
        raise _cut_off(Codec.SNAPPY)
    return output.joined()


def _snappy_block(block: memoryview, output: _Output) -> bytes:
    snappy = _package(Codec.SNAPPY).snappy
    try:
        if snappy.decompress_raw_len(block) >= output.next_length(output.max_bytes + 2):
            raise _too_large(Codec.SNAPPY, output.max_bytes)
        return bytes(snappy.decompress_raw(block))
    except _package(Codec.SNAPPY).DecompressionError as error:
        raise _corrupt(Codec.SNAPPY, error) from error


def _expand_lz4(data: BytesLike, max_bytes: int) -> bytes:
    output = _Output(Codec.LZ4, max_bytes)
    rest: BytesLike | None = data
    try:
        while rest is not None:
            rest = _lz4_frame(rest, output)
    except RuntimeError as error:  # what the package raises for damaged data
        raise _corrupt(Codec.LZ4, error) from error
    return output.joined()


def _lz4_frame(data: BytesLike, output: _Output) -> bytes | None:
    job = _package(Codec.LZ4).LZ4FrameDecompressor()
    pending = data
    while not job.eof:
        chunk: bytes = job.decompress(pending, output.next_length())
        if not job.eof and job.needs_input:
            raise _cut_off(Codec.LZ4)
        output.add(chunk)
        pending = b""
    return job.unused_data or None


def _expand_zstd(data: BytesLike, max_bytes: int) -> bytes:
    output = _Output(Codec.ZSTD, max_bytes)
    zstandard = _package(Codec.ZSTD)
    expander = zstandard.ZstdDecompressor()
    rest: BytesLike | None = data
    try:
        while rest is not None:
            rest = _zstd_frame(expander, rest, output)
    except zstandard.ZstdError as error:
        raise _corrupt(Codec.ZSTD, error) from error
    return output.joined()


def _zstd_frame(expander: Any, data: BytesLike, output: _Output) -> bytes | None:
    # The package cannot bound what one call gives, and its reader takes a frame that is cut off for a whole one. So the
    # data goes in by small steps: 512 bytes are at most 128 blocks, which give at most 128 KiB each.
    job = expander.decompressobj()
    view = memoryview(data)
    for start in range(0, len(view), ZSTD_STEP_BYTES):
        end = start + ZSTD_STEP_BYTES
        output.add(job.decompress(view[start:end]))
        if job.eof:
            return (job.unused_data + bytes(view[end:])) or None
    raise _cut_off(Codec.ZSTD)


class _Output:
    """The chunks that were expanded so far, and how much more is allowed."""

    __slots__ = ("_chunks", "_codec", "_room", "max_bytes")

    def __init__(self, codec: Codec, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._codec = codec
        self._room = max_bytes
        self._chunks: list[bytes] = []

    def next_length(self, at_most: int = CHUNK_BYTES) -> int:
        # One byte more than there is room for, so that too much data is seen; never 0, which is "no limit" to zlib.
        return min(at_most, self._room + 1)

    def add(self, chunk: bytes) -> None:
        self._room -= len(chunk)
        if self._room < 0:
            raise _too_large(self._codec, self.max_bytes)
        self._chunks.append(chunk)

    def joined(self) -> bytes:
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)


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
