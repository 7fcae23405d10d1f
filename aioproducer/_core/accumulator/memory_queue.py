"""The queue of calls that wait for memory: one for all topics, first come, first served.

While it is not empty nobody else gets memory, even if it would fit: a large record is not starved by small ones.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING

from aioproducer._core.accumulator.errors import buffer_full

if TYPE_CHECKING:
    from aioproducer._core.accumulator.append import Appender
    from aioproducer._core.accumulator.waiting import PendingAppend


class MemoryQueue:
    """Calls whose topic is known, in the order in which they get memory.

    Args:
        appender: has the memory, and lets nobody append past those who wait here.

    Attributes:
        reserved_for_waiters: bytes that the calls which wait for their topic will need once it is known.
    """

    def __init__(self, appender: Appender) -> None:
        self.reserved_for_waiters = 0
        self._appender = appender
        self._queue: OrderedDict[PendingAppend, None] = OrderedDict()  # by number
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def first(self) -> PendingAppend | None:
        """The call that gets memory next."""
        return next(iter(self._queue), None)

    def give_number(self, pending: PendingAppend) -> None:
        """Give a call its place among all that wait: behind those that have a number already."""
        self._last_number += 1
        pending.number = self._last_number

    # ── memory for calls that are not in the queue ───────────────────────────────────────────────────────────────────

    def reserve(self, pending: PendingAppend) -> None:
        """Count what a call that waits for its topic will need; an accepted record has its memory."""
        if not pending.accepted:
            self.reserved_for_waiters += pending.charge

    def end_reservation(self, pending: PendingAppend) -> None:
        """The call does not wait for its topic any more."""
        if not pending.accepted:
            self.reserved_for_waiters -= pending.charge

    def take_for_accepted(self, pending: PendingAppend) -> None:
        """Take memory for a record of submit_nowait.

        Calls before it that wait are never kept waiting for the very memory that it holds: there has to be memory for
        them as well.

        Raises:
            BufferFullError: there is not, or calls wait in the queue.
        """
        free, reserved = self._appender.free_bytes, self.reserved_for_waiters
        if self._queue or pending.charge + reserved > free:
            raise buffer_full(pending, free, self._appender.buffer_memory, reserved=reserved, waiting=len(self._queue))
        self._appender.take(pending.charge)

    def check_room(self, pending: PendingAppend) -> None:
        """Raise what `take_for_accepted` is to raise later, as far as that is known in the middle of something else:
        the queue may be half changed.
        """
        free = abs(self._appender.free_bytes)
        if pending.charge > free:
            raise buffer_full(pending, free, self._appender.buffer_memory, reserved=0, waiting=0)

    # ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, pending: PendingAppend) -> None:
        """Put a call at the end; nobody appends at once to any topic until the queue is empty."""
        pending.wait_for_memory()
        self._queue[pending] = None
        self._appender.pause_for_waiters()

    def discard(self, pending: PendingAppend) -> None:
        """Take a call out, if it is here; `grant` follows."""
        self._queue.pop(pending, None)

    def sort(self) -> None:
        """Restore the order of the calls: a topic became known later than another, and its calls may be older."""
        if any(first.number > second.number for first, second in pairwise(self._queue)):
            self._queue = OrderedDict.fromkeys(sorted(self._queue, key=_number))

    def grant(self) -> list[PendingAppend]:
        """Take memory for the first calls, as far as it goes; return them.

        The first that does not fit stops all others: were those behind it let past, it might never have its memory.
        """
        granted: list[PendingAppend] = []
        while self._queue:
            first = next(iter(self._queue))
            if first.charge > self._appender.free_bytes:
                return granted
            del self._queue[first]
            self._appender.take(first.charge)
            first.grant()
            granted.append(first)
        self._appender.resume()
        return granted


def _number(pending: PendingAppend) -> int:
    return pending.number
