"""The decoder of RecordBatches: what is in the bytes, whether they are whole, what a broker changes in them.

Whatever the bytes are, only ProtocolError (mostly its subclass CorruptRecordError) is raised for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._records.checksum import load_crc32c
from aioproducer._records.compression import MAX_UNCOMPRESSED_BYTES, decompress
from aioproducer._records.encode import encode_records, with_new_crc
from aioproducer._records.header import (
    ATTRIBUTES_OFFSET,
    CHECKED_HEAD,
    CONTROL_BIT,
    HEAD,
    LAST_OFFSET_DELTA_OFFSET,
    LEADER_EPOCH_OFFSET,
    LENGTH_END,
    LENGTH_OFFSET,
    LOG_APPEND_TIME_BIT,
    MAGIC,
    MAGIC_OFFSET,
    MAX_TIMESTAMP_OFFSET,
    MIN_BATCH_LENGTH,
    TRANSACTIONAL_BIT,
    BatchHeader,
    check_magic,
    read_header,
)
from aioproducer._records.sizes import BATCH_OVERHEAD
from aioproducer.errors import CorruptRecordError

if TYPE_CHECKING:
    from aioproducer._types import BytesLike, Headers

__all__ = [
    "BatchHeader",
    "Record",
    "RecordBatch",
    "check_crc",
    "control_batch",
    "decode_batch",
    "read_header",
    "rewrite_for_append",
    "split_batches",
]

MIN_RECORD_BYTES: Final = 7
"""Length, attributes, timestamp delta, offset delta, null key, null value, no headers: a byte each."""

NULL: Final = 1
"""The varint of the length -1."""


class Record(NamedTuple):
    """One record of a batch. A tuple, as many are made.

    Attributes:
        offset: its offset in the partition (in a producer's batch, its index).
        timestamp_ms: its own, or the batch's max_timestamp with LogAppendTime.
        key: the key's bytes.
        value: the value's bytes; None is a tombstone.
        headers: () for none. Names that are not UTF-8 have U+FFFD in them, as Kafka's own decoder gives.
    """

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """A batch, decoded.

    Attributes:
        header: what the header says.
        records: in the order of the bytes. Offsets may have gaps after compaction.
    """

    header: BatchHeader
    records: list[Record]


def split_batches(buffer: BytesLike, *, allow_partial: bool = False) -> list[memoryview]:
    """Return the batches of a records field, each as a slice that is not copied. Only lengths and magic are checked.

    Args:
        buffer: batches, one after the other.
        allow_partial: drop a last batch that is cut off, as Fetch responses may have one, instead of raising.

    Raises:
        ProtocolError: a batch is of an older format.
        CorruptRecordError: a length is too small, or (without allow_partial) the last batch is cut off.
    """
    view = memoryview(buffer)
    batches: list[memoryview] = []
    at = 0
    while at < len(view):
        end = _batch_end(view, at)
        if end is None or end > len(view):
            if allow_partial:
                break
            raise CorruptRecordError(f"the batch at byte {at} of {len(view)} is cut off")
        check_magic(view[at + MAGIC_OFFSET])
        batches.append(view[at:end])
        at = end
    return batches


def check_crc(batch: BytesLike) -> bool:
    """Return whether the batch has the checksum that it says it has.

    Raises:
        ProtocolError: see `read_header`.
        CorruptRecordError: it is not one whole batch.
    """
    return _crc_of(batch) == _whole_header(batch).crc


def decode_batch(buffer: BytesLike, max_uncompressed_bytes: int = MAX_UNCOMPRESSED_BYTES) -> RecordBatch:
    """Decode one whole batch, its checksum checked.

    Args:
        buffer: exactly the batch.
        max_uncompressed_bytes: refuse a batch whose records are larger than that.

    Raises:
        ProtocolError: it is of an older format.
        CorruptRecordError: it is cut off, has bytes left over, a wrong checksum, or anything in it is wrong.
        ConfigurationError: the package for its codec is not installed.
    """
    header = _whole_header(buffer)
    crc = _crc_of(buffer)
    if crc != header.crc:
        raise CorruptRecordError(f"the batch has CRC {crc:#010x}, but says {header.crc:#010x}")
    data = decompress(header.codec, memoryview(buffer)[BATCH_OVERHEAD:], max_uncompressed_bytes)
    if header.count * MIN_RECORD_BYTES > len(data):
        raise CorruptRecordError(f"{len(data)} bytes cannot be the {header.count} records that the batch says it has")
    return RecordBatch(header, _decode_records(header, data))


def rewrite_for_append(
    batch: BytesLike, base_offset: int, leader_epoch: int, log_append_time_ms: int | None = None
) -> bytes:
    """Return the batch as a leader stores it.

    Base offset and leader epoch are outside of the CRC, so the bytes under it stay as the producer made them; but a
    LogAppendTime sets the attribute bit and max_timestamp.

    Args:
        batch: one whole batch.
        base_offset: the offset of its first record.
        leader_epoch: the leader's epoch.
        log_append_time_ms: for a topic with message.timestamp.type=LogAppendTime, the time now.

    Raises:
        ProtocolError: see `read_header`.
        CorruptRecordError: it is not one whole batch.
    """
    header = _whole_header(batch)
    stored = bytearray(batch)
    stored[:LENGTH_OFFSET] = base_offset.to_bytes(8, "big", signed=True)
    stored[LEADER_EPOCH_OFFSET:MAGIC_OFFSET] = leader_epoch.to_bytes(4, "big", signed=True)
    if log_append_time_ms is None:
        return bytes(stored)
    attributes = (header.attributes | LOG_APPEND_TIME_BIT).to_bytes(2, "big", signed=True)
    stored[ATTRIBUTES_OFFSET:LAST_OFFSET_DELTA_OFFSET] = attributes
    stored[MAX_TIMESTAMP_OFFSET : MAX_TIMESTAMP_OFFSET + 8] = log_append_time_ms.to_bytes(8, "big", signed=True)
    return with_new_crc(stored)


def control_batch(
    producer_id: int,
    producer_epoch: int,
    base_offset: int,
    commit: bool,
    coordinator_epoch: int,
    timestamp_ms: int,
    leader_epoch: int = -1,
) -> bytes:
    """Return the marker that ends a transaction in a partition (EndTransactionMarker; KIP-98), as a leader stores it.

    Args:
        producer_id: whose transaction.
        producer_epoch: of the producer whose transaction ends.
        base_offset: the marker's own offset.
        commit: whether the transaction's records count; else it was aborted.
        coordinator_epoch: the epoch of the transaction coordinator.
        timestamp_ms: wall clock.
        leader_epoch: the partition leader's epoch.
    """
    key = b"\0\0" + (b"\0\1" if commit else b"\0\0")  # version 0, type
    value = b"\0\0" + coordinator_epoch.to_bytes(4, "big", signed=True)
    records = encode_records([timestamp_ms], [key], [value], None)
    attributes = TRANSACTIONAL_BIT | CONTROL_BIT
    checked = CHECKED_HEAD.pack(attributes, 0, timestamp_ms, timestamp_ms, producer_id, producer_epoch, -1, 1)
    head = HEAD.pack(base_offset, MIN_BATCH_LENGTH + len(records), leader_epoch, MAGIC, 0)
    return with_new_crc(bytearray(head + checked + records))


def _batch_end(view: memoryview, at: int) -> int | None:
    if len(view) - at < MAGIC_OFFSET + 1:
        return None
    length = int.from_bytes(view[at + LENGTH_OFFSET : at + LENGTH_END], "big", signed=True)
    if length < MIN_BATCH_LENGTH:
        check_magic(view[at + MAGIC_OFFSET])
        raise CorruptRecordError(f"batch length {length} at byte {at}; it must be at least {MIN_BATCH_LENGTH}")
    return at + LENGTH_END + length


def _whole_header(batch: BytesLike) -> BatchHeader:
    header = read_header(batch)
    if header.size != len(batch):
        raise CorruptRecordError(f"the batch says it has {header.size} bytes; it has {len(batch)}")
    return header


def _crc_of(batch: BytesLike) -> int:
    return load_crc32c()(memoryview(batch)[ATTRIBUTES_OFFSET:])


def _decode_records(header: BatchHeader, data: bytes) -> list[Record]:
    records: list[Record] = []
    at = 0
    try:
        for _ in range(header.count):
            record, at = _decode_record(header, data, at)
            records.append(record)
    except IndexError:
        raise CorruptRecordError(f"record {len(records)} of {header.count} is cut off") from None
    if at != len(data):
        raise CorruptRecordError(f"{len(data) - at} bytes are left after the last record")
    if header.log_append_time:
        return [record._replace(timestamp_ms=header.max_timestamp) for record in records]
    return records


def _decode_record(header: BatchHeader, data: bytes, at: int) -> tuple[Record, int]:
    # Most varints have one byte and are read here: 1.8 µs a record of 70 bytes, by a reader object 2.5 (CPython 3.11,
    # benchmarks/encode_records.py).
    length = data[at]
    if length < 0x80:
        length, at = (length >> 1) ^ -(length & 1), at + 1
    else:
        length, at = _varint(data, at)
    end = at + length
    if length < 0 or end > len(data):
        raise CorruptRecordError(f"record length {length}; {len(data) - at} bytes are left")
    at += 1  # attributes: no bit has a meaning
    time_delta, at = _varint(data, at, 64)
    offset_delta = data[at]
    if offset_delta < 0x80:
        offset_delta, at = (offset_delta >> 1) ^ -(offset_delta & 1), at + 1
    else:
        offset_delta, at = _varint(data, at)
    key, at = (None, at + 1) if data[at] == NULL else _nullable_bytes(data, at)
    value, at = _nullable_bytes(data, at)
    headers, at = ((), at + 1) if data[at] == 0 else _headers(data, at)
    if at != end:
        raise CorruptRecordError(f"a record says that it ends at byte {end}, but ends at {at}")
    return Record(header.base_offset + offset_delta, header.base_timestamp + time_delta, key, value, headers), end


def _nullable_bytes(data: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _varint(data, at)
    if length < 0:
        return None, at
    end = at + length
    if end > len(data):
        raise CorruptRecordError(f"a length of {length} bytes; {len(data) - at} are left")
    return data[at:end], end


def _headers(data: bytes, at: int) -> tuple[Headers, int]:
    count, at = _varint(data, at)
    if not 0 <= count <= (len(data) - at) // 2:
        raise CorruptRecordError(f"header count {count}; {len(data) - at} bytes are left")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, at = _nullable_bytes(data, at)
        if name is None:
            raise CorruptRecordError("a header has no name")
        value, at = _nullable_bytes(data, at)
        headers.append((name.decode(errors="replace"), value))
    return tuple(headers), at


def _varint(data: bytes, at: int, bits: int = 32) -> tuple[int, int]:
    byte = data[at]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at + 1
    raw = byte & 0x7F
    shift = 7
    while shift <= bits:
        at += 1
        byte = data[at]
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    if byte >= 0x80 or raw >> bits:
        raise CorruptRecordError(f"a varint has more than {bits} bits")
    return (raw >> 1) ^ -(raw & 1), at + 1
