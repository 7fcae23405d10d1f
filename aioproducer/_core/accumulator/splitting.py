"""Cutting a batch that the broker finds too large into smaller ones (Java class ProducerBatch.split)."""

from __future__ import annotations

from aioproducer._core.accumulator.append import OBJECT_BYTES, full_size
from aioproducer._core.accumulator.batch import BatchEvent, ProducerBatch
from aioproducer._core.accumulator.topics import RATIO_MARGIN
from aioproducer._records.record_headers import NO_HEADERS
from aioproducer._records.sizes import BATCH_OVERHEAD, record_upper_bound


def split_batch(batch: ProducerBatch, batch_size: int, size_factor: float) -> list[ProducerBatch]:
    """Cut a batch of several records, in flight, into at least two; its records, and whoever follows them, move there.

    The children are sealed and in no queue, and have the age, the flush epoch and the memory of the batch. What it had
    of attempts (sequence numbers, errors, whether it may have been written) is the caller's to give.

    Args:
        batch: what was too large. It is DONE afterwards, without an outcome of its own.
        batch_size: what to aim at when it was not itself made by a split.
        size_factor: the expected encoded bytes for each byte of records; 1.0 without compression.
    """
    children = _cut(batch, _limit(batch, batch_size, size_factor), size_factor)
    batch.split_into = children
    batch.apply(BatchEvent.SPLIT)
    parts = [child for _, child in children]
    _share_memory(batch, parts)
    _move_followers(batch, children)
    batch.drop_payload()
    return parts


def _limit(batch: ProducerBatch, batch_size: int, size_factor: float) -> int:
    """Return the size that no part may exceed, unless it is a single record; less than that of the whole."""
    limit = full_size(batch_size, size_factor)
    if not batch.is_split and limit < batch.size:
        return limit
    # It was cut to this size before, or would not be cut at all: aim lower, until whatever the topic allows is met.
    return BATCH_OVERHEAD + (batch.size - BATCH_OVERHEAD + 1) // 2


def _payload(batch: ProducerBatch, index: int) -> tuple[bytes | None, bytes | None, bytes]:
    key = None if batch.keys is None else batch.keys[index]
    headers = NO_HEADERS if batch.headers is None else batch.headers[index]
    return key, batch.values[index], headers


def _cut(batch: ProducerBatch, limit: int, size_factor: float) -> list[tuple[int, ProducerBatch]]:
    """Return (index of the first record, child) of each."""
    children: list[tuple[int, ProducerBatch]] = []
    child: ProducerBatch | None = None
    for index, timestamp_ms in enumerate(batch.timestamps):
        key, value, headers = _payload(batch, index)
        record_bytes = 0 if child is None else child.next_record_size(timestamp_ms, key, value, headers)
        if child is None or child.size + record_bytes > limit:
            child = _child(batch, limit, size_factor)
            children.append((index, child))
            record_bytes = child.next_record_size(timestamp_ms, key, value, headers)
        child.append(timestamp_ms, key, value, headers, record_bytes)
    return children


def _child(batch: ProducerBatch, limit: int, size_factor: float) -> ProducerBatch:
    child = ProducerBatch(
        batch.topic,
        batch.partition,
        batch.created_at,
        flush_epoch=batch.flush_epoch,
        limit=limit,
        size_factor=size_factor,
    )
    child.is_split = True
    child.apply(BatchEvent.SEAL)
    return child


def _share_memory(batch: ProducerBatch, parts: list[ProducerBatch]) -> None:
    for part in parts[1:]:
        part.charged = sum(_charge(*_payload(part, i)) for i in range(part.count))
    parts[0].charged = batch.charged - sum(part.charged for part in parts[1:])
    batch.charged = 0
    assert parts[0].charged > 0, "a batch is charged for each of its records"


def _charge(key: bytes | None, value: bytes | None, headers: bytes) -> int:
    return record_upper_bound(key, value, len(headers)) + OBJECT_BYTES


def _move_followers(batch: ProducerBatch, children: list[tuple[int, ProducerBatch]]) -> None:
    for first, child in children:
        end = first + child.count
        if batch.waiters is not None:
            child.waiters = [(i - first, waiter) for i, waiter in batch.waiters if first <= i < end] or None
        if batch.callbacks is not None:
            child.callbacks = [(i - first, callback) for i, callback in batch.callbacks if first <= i < end] or None
    batch.waiters = batch.callbacks = None


def split_factor(ratio: float, *, is_compressing: bool) -> float:
    """Return the size factor for the parts of a split: pessimistic, as the estimate has just proved too hopeful."""
    return max(1.0, ratio) * RATIO_MARGIN if is_compressing else 1.0
