"""The queue for memory alone: whose turn it is, and what is kept for those who wait for their topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._core.accumulator.memory_queue import MemoryQueue
from aioproducer._core.accumulator.waiting import PendingAppend, PendingState
from aioproducer.errors import BufferFullError
from tests.unit._core.accumulators import parts

if TYPE_CHECKING:
    from aioproducer._core.accumulator.append import Appender

MEMORY = 1000


def appender() -> Appender:
    return parts(buffer_memory=MEMORY, batch_size=100).appender


def pending(charge: int, *, accepted: bool = False) -> PendingAppend:
    return PendingAppend(
        "t", None, None, b"v", None, 1, enqueued_at=0.0, deadline=1.0, charge=charge, accepted=accepted
    )


def test_memory_goes_to_the_first_as_far_as_it_goes() -> None:
    memory = appender()
    queue = MemoryQueue(memory)
    calls = [pending(400), pending(500), pending(400), pending(10)]
    for call in calls:
        queue.add(call)
    assert queue.grant() == calls[:2]
    assert [call.state for call in calls] == [PendingState.GRANTED] * 2 + [PendingState.FOR_MEMORY] * 2
    assert (memory.free_bytes, len(queue), queue.first) == (100, 2, calls[2])  # the last would fit, and may not pass


def test_nobody_appends_at_once_until_the_queue_is_empty() -> None:
    memory = appender()
    queue = MemoryQueue(memory)
    call = pending(MEMORY)
    queue.add(call)
    memory.take(1)
    assert queue.grant() == []
    assert memory.is_memory_awaited
    queue.discard(call)
    assert queue.grant() == []
    assert not memory.is_memory_awaited


def test_an_accepted_record_leaves_memory_for_calls_that_wait_for_their_topic() -> None:
    memory = appender()
    queue = MemoryQueue(memory)
    waiting = pending(600)
    queue.reserve(waiting)
    with pytest.raises(BufferFullError, match="600 of them for calls that wait for their topic"):
        queue.take_for_accepted(pending(401, accepted=True))
    queue.take_for_accepted(pending(400, accepted=True))
    assert memory.free_bytes == 600
    queue.end_reservation(waiting)
    assert queue.reserved_for_waiters == 0


def test_an_accepted_record_reserves_nothing_as_it_has_its_memory() -> None:
    queue = MemoryQueue(appender())
    queue.reserve(pending(100, accepted=True))
    assert queue.reserved_for_waiters == 0


def test_an_accepted_record_does_not_pass_the_queue() -> None:
    queue = MemoryQueue(appender())
    queue.add(pending(10))
    with pytest.raises(BufferFullError, match="1 call waits"):
        queue.take_for_accepted(pending(10, accepted=True))


def test_who_joined_later_with_an_older_number_is_sorted_before_the_others() -> None:
    queue = MemoryQueue(appender())
    calls = [pending(10) for _ in range(3)]
    for call in calls:
        queue.give_number(call)
    for call in (calls[1], calls[2], calls[0]):
        queue.add(call)
    queue.sort()
    assert queue.grant() == calls
