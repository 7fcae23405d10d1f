"""How is a batch that the broker finds too large cut into smaller ones? (Java class ProducerBatch.split)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.appending import OBJECT_BYTES, full_size
from aioproducer._core.batch import BatchEvent, ProducerBatch
from aioproducer._core.topics import RATIO_MARGIN
from aioproducer._records.sizes import record_upper_bound

if TYPE_CHECKING:
    from collections.abc import Callable

_SEQUENCE_MASK = 2**31 - 1


def split_batch(batch: ProducerBatch, batch_size: int, size_factor: float) -> list[ProducerBatch]:
    """Cut a batch of several records, in flight, into at least two; its records, and whoever follows them, move there.

    The children are sealed and in no queue, have the age, the flush epoch and the producer id of the batch, its
    sequences one after the other, and its memory.

    Args:
        batch: what was too large. It is DONE afterwards, without an outcome of its own.
        batch_size: what to aim at when it was not itself made by a split.
        size_factor: the expected encoded bytes for each byte of records; 1.0 without compression.
    """
    target = _target_size(batch, batch_size)
    children = _cut(batch, full_size(target, size_factor), size_factor)
    if len(children) == 1:  # the largest record's bound leaves room for tiny ones beside it
        children = _cut(batch, 0, size_factor, lambda index: index * 2 < batch.count)
    batch.split_into = children
    batch.apply(BatchEvent.SPLIT)
    parts = [child for _, child in children]
    _share_memory(batch, parts)
    _move_followers(batch, children)
    batch.drop_payload()
    return parts


def _target_size(batch: ProducerBatch, batch_size: int) -> int:
    half = batch.estimated_size // 2
    if batch_size < batch.estimated_size and not batch.is_split:
        return batch_size
    # Cut to batch_size it would stay as it is, and be refused again. Halving converges on whatever the topic allows.
    return max(half, _largest_bound(batch))


def _largest_bound(batch: ProducerBatch) -> int:
    return max(record_upper_bound(*_payload(batch, index)) for index in range(batch.count))


def _payload(
    batch: ProducerBatch, index: int
) -> tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]:
    key = None if batch.keys is None else batch.keys[index]
    headers = () if batch.headers is None else batch.headers[index]
    return key, batch.values[index], headers


def _cut(
    batch: ProducerBatch, limit: int, size_factor: float, stays: Callable[[int], bool] | None = None
) -> list[tuple[int, ProducerBatch]]:
    """Return (index of the first record, child) of each; `stays` overrules the limit for all but the first record."""
    children: list[tuple[int, ProducerBatch]] = []
    child: ProducerBatch | None = None
    for index in range(batch.count):
        key, value, headers = _payload(batch, index)
        timestamp_ms = batch.timestamps[index]
        if child is not None:
            record_bytes = child.next_record_size(timestamp_ms, key, value, headers)
            has_room = child.has_room(record_bytes) if stays is None else stays(index) or len(children) == 2
            if has_room:
                child.append(timestamp_ms, key, value, headers, record_bytes)
                continue
        child = _child(batch, index, limit, size_factor)
        child.append(timestamp_ms, key, value, headers, child.next_record_size(timestamp_ms, key, value, headers))
        children.append((index, child))
    return children


def _child(batch: ProducerBatch, first: int, limit: int, size_factor: float) -> ProducerBatch:
    child = ProducerBatch(
        batch.topic,
        batch.partition,
        batch.created_at,
        flush_epoch=batch.flush_epoch,
        limit=limit,
        size_factor=size_factor,
    )
    child.is_split = True
    child.last_error = batch.last_error
    child.last_node = batch.last_node
    child.possibly_written = batch.possibly_written
    child.producer_id = batch.producer_id
    child.producer_epoch = batch.producer_epoch
    if batch.has_sequence:
        child.base_sequence = (batch.base_sequence + first) & _SEQUENCE_MASK
    child.apply(BatchEvent.SEAL)
    return child


def _share_memory(batch: ProducerBatch, parts: list[ProducerBatch]) -> None:
    for part in parts[1:]:
        part.charged = sum(record_upper_bound(*_payload(part, i)) + OBJECT_BYTES for i in range(part.count))
    parts[0].charged = batch.charged - sum(part.charged for part in parts[1:])
    batch.charged = 0
    assert parts[0].charged > 0, "a batch is charged for each of its records"


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
