"""The encoder of RecordBatches.

In two steps, as only the second needs the producer's state: `encode_records` gives the records section, `seal_batch`
compresses it and puts the header before it. `restamp` gives a batch another producer id without doing either again.
(Their own headers are bytes by then: `record_headers`.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer._records.checksum import load_crc32c
from aioproducer._records.compression import Codec
from aioproducer._records.header import (
    ATTRIBUTES_OFFSET,
    CHECKED_HEAD,
    CRC_OFFSET,
    HEAD,
    LOG_APPEND_TIME_BIT,
    MAGIC,
    MIN_BATCH_LENGTH,
    PRODUCER_STATE,
    PRODUCER_STATE_OFFSET,
    TRANSACTIONAL_BIT,
)
from aioproducer._records.record_headers import NO_HEADERS
from aioproducer._records.varints import NULL, TABLE_SIZE, VARINTS, short_varint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioproducer._records.compression import Compressor


HEADS: Final = [b"\0" + encoded + b"\0" for encoded in VARINTS]
"""By the length of a record: the header count 0 that ends the record before it, its length, its attributes."""

NULL_KEYS: Final = [b"\1" + encoded for encoded in VARINTS]
"""By the length of a value: the key length -1, and the value length."""

NO_ATTRIBUTES: Final = b"\0"


def encode_records(
    timestamps: Sequence[int],
    keys: Sequence[bytes | None] | None,
    values: Sequence[bytes | None],
    headers: Sequence[bytes] | None,
) -> bytes:
    """Return the records section of a batch, not compressed; b"" for no records.

    Args:
        timestamps: milliseconds, one for each record. Their deltas count from the first; later ones may be smaller.
        keys: one for each record, or None when all are null.
        values: one for each record.
        headers: those of each record, encoded (NO_HEADERS for none), or None when no record has any.
    """
    # A table is never indexed with a negative delta: it would answer from its end.
    if 0 < len(values) <= TABLE_SIZE and min(timestamps) >= timestamps[0]:
        try:
            if headers is not None:
                return _encode_with_headers(timestamps, keys or [None] * len(values), values, headers)
            return _encode_values(timestamps, values) if keys is None else _encode_pairs(timestamps, keys, values)
        except IndexError:
            pass  # a delta or a length is beyond the tables
    return _encode_any(timestamps, keys, values, headers)


def seal_batch(
    records: bytes,
    *,
    count: int,
    base_timestamp: int,
    max_timestamp: int,
    codec: Codec = Codec.NONE,
    compressor: Compressor | None = None,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    is_transactional: bool = False,
    partition_leader_epoch: int = -1,
    log_append_time: bool = False,
) -> bytes:
    """Return a whole RecordBatch: header, CRC, and the records, compressed.

    Args:
        records: what `encode_records` gave.
        count: how many records that are; at least 1.
        base_timestamp: the timestamp of the first one.
        max_timestamp: the largest timestamp.
        codec: what `compressor` is for.
        compressor: from `compression.compressor`, this thread's own; not used for `Codec.NONE`.
        producer_id: with the next two, the producer's state; all -1 without idempotence.
        producer_epoch: see producer_id.
        base_sequence: see producer_id.
        is_transactional: whether the batch belongs to a transaction.
        partition_leader_epoch: a producer says -1; the CRC does not cover it.
        log_append_time: whether max_timestamp is the broker's and counts for every record.

    Raises:
        ValueError: no records, or a producer state that Kafka would refuse.
    """
    if count < 1:
        raise ValueError(f"count is {count}; a batch has at least 1 record")
    _check_producer_state(producer_id, producer_epoch, base_sequence, is_transactional)
    if codec is not Codec.NONE:
        if compressor is None:
            raise ValueError(f"codec is {codec.label}, but there is no compressor")
        records = compressor(records)
    attributes = (
        codec | (TRANSACTIONAL_BIT if is_transactional else 0) | (LOG_APPEND_TIME_BIT if log_append_time else 0)
    )
    checked = CHECKED_HEAD.pack(
        attributes, count - 1, base_timestamp, max_timestamp, producer_id, producer_epoch, base_sequence, count
    )
    crc32c = load_crc32c()
    crc = crc32c(records, crc32c(checked))
    head = HEAD.pack(0, MIN_BATCH_LENGTH + len(records), partition_leader_epoch, MAGIC, crc)
    return b"".join((head, checked, records))


def restamp(batch: bytes, producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool) -> bytes:
    """Return the batch with another producer state and the CRC that belongs to it; nothing else changes.

    Args:
        batch: one whole batch, of ours: it is not checked.
        producer_id: with the next two, the new producer's state; all -1 for none.
        producer_epoch: see producer_id.
        base_sequence: see producer_id.
        is_transactional: whether the batch belongs to a transaction from now on.

    Raises:
        ValueError: a producer state that Kafka would refuse.
    """
    _check_producer_state(producer_id, producer_epoch, base_sequence, is_transactional)
    stamped = bytearray(batch)
    attributes = int.from_bytes(batch[ATTRIBUTES_OFFSET : ATTRIBUTES_OFFSET + 2], "big") & ~TRANSACTIONAL_BIT
    if is_transactional:
        attributes |= TRANSACTIONAL_BIT
    stamped[ATTRIBUTES_OFFSET : ATTRIBUTES_OFFSET + 2] = attributes.to_bytes(2, "big")
    PRODUCER_STATE.pack_into(stamped, PRODUCER_STATE_OFFSET, producer_id, producer_epoch, base_sequence)
    return with_new_crc(stamped)


def with_new_crc(batch: bytearray) -> bytes:
    """Return the batch, whose bytes have been changed, with the CRC that belongs to them."""
    crc = load_crc32c()(memoryview(batch)[ATTRIBUTES_OFFSET:])
    batch[CRC_OFFSET:ATTRIBUTES_OFFSET] = crc.to_bytes(4, "big")
    return bytes(batch)


def _check_producer_state(producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool) -> None:
    if producer_id >= 0:
        if producer_epoch < 0 or base_sequence < 0:
            raise ValueError(
                f"producer id {producer_id} with epoch {producer_epoch}, sequence {base_sequence}: below 0"
            )
    elif is_transactional or producer_epoch != -1 or base_sequence != -1:
        raise ValueError(
            f"no producer id, but epoch {producer_epoch}, sequence {base_sequence}, transactional: {is_transactional};"
            " without an id there is no producer state"
        )


def _encode_values(timestamps: Sequence[int], values: Sequence[bytes | None]) -> bytes:
    # 0.23 µs a record of 100 bytes in a batch of 150 (CPython 3.11, benchmarks/encode_records.py). In a trial of the
    # loops alone (this one 0.21): appending each piece 0.31; formatting with b"%b%b…" 0.29; columns made by map and
    # slice assignment 0.19, but they cost three times as much for a batch of one record.
    parts: list[bytes] = []
    extend = parts.extend
    base = timestamps[0]
    for offset_delta, timestamp, value in zip(VARINTS, timestamps, values, strict=False):
        time_delta = VARINTS[timestamp - base]
        if value is None:
            extend((HEADS[4 + len(time_delta) + len(offset_delta)], time_delta, offset_delta, b"\1\1"))
            continue
        size = len(value)
        lengths = NULL_KEYS[size]
        length = 2 + len(time_delta) + len(offset_delta) + len(lengths) + size
        extend((HEADS[length], time_delta, offset_delta, lengths, value))
    return _joined(parts)


def _encode_pairs(timestamps: Sequence[int], keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> bytes:
    parts: list[bytes] = []
    extend = parts.extend
    base = timestamps[0]
    for offset_delta, timestamp, key, value in zip(VARINTS, timestamps, keys, values, strict=False):
        time_delta = VARINTS[timestamp - base]
        if key is None:
            key = b""
            key_size = NULL
        else:
            key_size = VARINTS[len(key)]
        if value is None:
            value = b""
            value_size = NULL
        else:
            value_size = VARINTS[len(value)]
        length = 2 + len(time_delta) + len(offset_delta) + len(key_size) + len(key) + len(value_size) + len(value)
        extend((HEADS[length], time_delta, offset_delta, key_size, key, value_size, value))
    return _joined(parts)


def _joined(parts: list[bytes]) -> bytes:
    # Each head begins with the header count of the record before it, which the first does not have, and the last lacks.
    parts[0] = parts[0][1:]
    parts.append(NO_HEADERS)
    return b"".join(parts)


def _encode_with_headers(
    timestamps: Sequence[int],
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    headers: Sequence[bytes],
) -> bytes:
    # 0.5 µs a record; `_encode_any`, which asks whether a number is in the tables, 1.0.
    parts: list[bytes] = []
    extend = parts.extend
    base = timestamps[0]
    for offset_delta, timestamp, key, value, block in zip(VARINTS, timestamps, keys, values, headers, strict=False):
        time_delta = VARINTS[timestamp - base]
        if key is None:
            key = b""
            key_size = NULL
        else:
            key_size = VARINTS[len(key)]
        if value is None:
            value = b""
            value_size = NULL
        else:
            value_size = VARINTS[len(value)]
        length = len(time_delta) + len(offset_delta) + len(key_size) + len(key) + len(value_size) + len(value)
        head = VARINTS[1 + length + len(block)]
        extend((head, NO_ATTRIBUTES, time_delta, offset_delta, key_size, key, value_size, value, block))
    return b"".join(parts)


def _encode_any(
    timestamps: Sequence[int],
    keys: Sequence[bytes | None] | None,
    values: Sequence[bytes | None],
    headers: Sequence[bytes] | None,
) -> bytes:
    parts: list[bytes] = []
    for index, value in enumerate(values):
        key = None if keys is None else keys[index]
        record = [short_varint(timestamps[index] - timestamps[0]), short_varint(index)]
        record += (NULL,) if key is None else (short_varint(len(key)), key)
        record += (NULL,) if value is None else (short_varint(len(value)), value)
        record.append(NO_HEADERS if headers is None else headers[index])
        parts += (short_varint(1 + sum(map(len, record))), NO_ATTRIBUTES, *record)
    return b"".join(parts)
