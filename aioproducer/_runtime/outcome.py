"""The outcome of one record: found in the batch that it was in at last, and told to whoever asked to be called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from aioproducer._backend.ending import ENDS_THE_PROGRAM
from aioproducer._core.accumulator.batch import ProducerBatch
from aioproducer._core.accumulator.waiting import PendingAppend
from aioproducer._types import RecordMetadata

if TYPE_CHECKING:
    import contextvars

    from aioproducer.errors import KafkaError

# 0.15 µs; RecordMetadata(…) takes 0.31.
new_metadata: Final[Callable[[type[RecordMetadata], tuple[str, int, int, int]], RecordMetadata]] = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def follow_split(batch: ProducerBatch, index: int) -> tuple[ProducerBatch, int]:
    """Return the batch that holds the record now, and its index there."""
    while batch.split_into is not None:
        for first, child in reversed(batch.split_into):
            if index >= first:
                batch, index = child, index - first
                break
    return batch, index


def outcome_error(holder: ProducerBatch | PendingAppend, index: int) -> KafkaError | None:
    """Return the error of one record of a done batch, or None."""
    if isinstance(holder, PendingAppend):
        waiting_error: KafkaError | None = holder.error
        return waiting_error
    if holder.record_errors is not None:
        error = holder.record_errors.get(index)
        if error is not None:
            return error
    return holder.error


def record_metadata(holder: ProducerBatch | PendingAppend, index: int) -> RecordMetadata:
    """Return the RecordMetadata of one record of a delivered batch."""
    assert isinstance(holder, ProducerBatch), "a record without a batch is not delivered"
    base_offset = holder.base_offset
    timestamp_ms = holder.log_append_time_ms
    return new_metadata(
        RecordMetadata,
        (
            holder.topic,
            holder.partition,
            base_offset + index if base_offset >= 0 else -1,
            timestamp_ms if timestamp_ms >= 0 else holder.timestamps[index],
        ),
    )


def run_callback(callback: Callable[[Any], object], delivery: Any, context: contextvars.Context) -> None:
    """Run one user callback; what it raises is logged and goes no further."""
    try:
        context.run(callback, delivery)
    except BaseException as error:
        if isinstance(error, ENDS_THE_PROGRAM):
            raise
        from aioproducer._runtime import log_lines

        log_lines.callback_failed(delivery, error)
