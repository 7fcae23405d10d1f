"""The errors of calls that waited in vain or could not wait, and copies of errors that others have too."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from aioproducer.errors import (
    BrokerError,
    BufferFullError,
    BufferTimeoutError,
    ErrorCode,
    KafkaError,
    MetadataTimeoutError,
    RecordTooLargeError,
)

if TYPE_CHECKING:
    from aioproducer._core.accumulator.topics import TopicState
    from aioproducer._core.accumulator.waiting import PendingAppend


def buffer_full(pending: PendingAppend, free: int, total: int, *, reserved: int, waiting: int) -> BufferFullError:
    """Return the error of a record that cannot be accepted at once.

    Args:
        pending: the record.
        free: the free bytes of buffer_memory.
        total: buffer_memory.
        reserved: the bytes that calls which wait for their topic will need.
        waiting: how many calls wait for room.
    """
    for_topics = f", {reserved:,} of them for calls that wait for their topic" if reserved else ""
    return BufferFullError(
        f"no room for a record of {pending.charge:,} bytes (topic {pending.topic!r}): {free:,} of"
        f" buffer_memory={total:,} are free{for_topics}{_waiting(waiting)}; wait with submit or send, try again later,"
        " or raise buffer_memory"
    )


def memory_timeout(
    pending: PendingAppend, free: int, total: int, *, waiting: int, elapsed: float
) -> BufferTimeoutError:
    """Return the error of a call that waited for room until max_block_ms; the arguments as above."""
    return BufferTimeoutError(
        f"no room for a record of {pending.charge:,} bytes (topic {pending.topic!r}) within {elapsed:.1f} s"
        f" (max_block_ms): {free:,} of buffer_memory={total:,} are free{_waiting(waiting)}; the brokers take less than"
        " is sent, or cannot be reached (producer.status() tells): send less, or raise buffer_memory",
        elapsed=elapsed,
        topic=pending.topic,
        partition=pending.partition,
    )


def _waiting(count: int) -> str:
    return "" if not count else f" and {'1 call waits' if count == 1 else f'{count} calls wait'} for room"


def topic_timeout(state: TopicState, partition: int | None, elapsed: float) -> MetadataTimeoutError:
    """Return the error of a call that waited for a topic, or for a partition of it, until max_block_ms."""
    within = f"within {elapsed:.1f} s (max_block_ms)"
    if state.is_known and state.view is not None:
        count = state.view.partition_count
        there = "1 partition, 0" if count == 1 else f"{count} partitions, 0 to {count - 1}"
        missing = (
            f"partition {partition} of topic {state.name!r} did not appear {within}; the topic has {there}:"
            " name one of them, or add some"
        )
    elif state.error is not None and state.error.code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
        missing = (
            f"topic {state.name!r} does not exist, or may not be seen: that is what the brokers answered, and it did"
            f" not appear {within}; check its name, create it, or grant Describe on it"
        )
    else:
        why = "" if state.error is None else f"; last failure: {state.error}"
        advice = "" if isinstance(state.error, BrokerError) else "; check that the brokers can be reached"
        missing = f"topic {state.name!r} was not known {within}{why}{advice}"
    error = MetadataTimeoutError(missing, elapsed=elapsed, topic=state.name, partition=partition)
    error.__cause__ = state.error
    return error


def copy_of(error: KafkaError) -> KafkaError:
    """Return a copy to raise: each raise adds to an error's traceback, and many calls may get it."""
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied


def with_possibly_written(error: KafkaError, *, possibly_written: bool) -> KafkaError:
    """Return the error, or a copy if need be (others may have it too), that says whether the records may be written."""
    if error.possibly_written == possibly_written:
        return error
    copied = copy_of(error)
    copied.possibly_written = possibly_written
    return copied


def too_large(topic: str, partition: int | None, size: int, setting: str, limit: int) -> RecordTooLargeError:
    """Return the error of a record whose size is above that setting's limit."""
    where = f"topic {topic!r}" if partition is None else f"topic {topic!r}, partition {partition}"
    remedy = "raise buffer_memory here"
    if setting == "max_request_size":
        remedy = "raise max_request_size here and max.message.bytes on the topic"
    error = RecordTooLargeError(
        f"record of {size:,} bytes exceeds {setting}={limit:,} ({where}); {remedy}, or send smaller records",
        topic=topic,
        partition=partition,
    )
    error.size = size
    error.limit = limit
    return error
