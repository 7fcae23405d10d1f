"""The entries of calls that have to wait: for a topic, for memory, or for flush.

These are entries in queues, not tasks: the shell parks its task on one of them, and wakes it when the core says so.
"""

from __future__ import annotations

import heapq
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._types import Headers, TopicView
    from aioproducer.errors import KafkaError


class PendingState(IntEnum):
    """Where a waiting append is."""

    FOR_TOPIC = 0
    """Its topic, or the partition that it names, is not known."""
    FOR_MEMORY = 1
    """There is no memory for it, or others wait for memory before it."""
    GRANTED = 2
    """Its memory is reserved; it is appended when its task, or a later one of its topic, completes it."""
    APPENDED = 3
    """It is in a batch."""
    FAILED = 4
    """It has an error."""
    CANCELLED = 5
    """Nobody wants it any more."""


class PendingAppend:
    """A record that waits to be appended, in the order of the calls.

    Attributes:
        topic, partition, key, value, headers, timestamp_ms: the record; key, value and headers are dropped at the end.
        enqueued_at, deadline: monotonic seconds.
        charge: the bytes of buffer_memory that it needs.
        number: its place in the queues: that of the call, or of the moment when the partition that it names came to be.
        is_behind: it was granted at once, but stands behind others whose tasks have yet to run (see `has_to_park`).
        accepted: submit_nowait took it: it is charged already, nobody parks on it, and its Delivery points here first.
        flush_epoch: of an accepted one: the flush() calls that wait for it are those with this epoch or a later one.
        batch, index: where the record is, once appended.
        error: why it was not appended; a partitioner's own exception is kept as it is.
        waiter: the shell's, for the task that waits.
        waiters, callbacks: the shell's, for its Delivery; (0, something) each. They move to the batch.
    """

    __slots__ = (
        "accepted",
        "batch",
        "callbacks",
        "charge",
        "deadline",
        "enqueued_at",
        "error",
        "flush_epoch",
        "headers",
        "index",
        "is_behind",
        "key",
        "number",
        "partition",
        "state",
        "timestamp_ms",
        "topic",
        "value",
        "waiter",
        "waiters",
    )

    def __init__(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int | None,
        *,
        enqueued_at: float,
        deadline: float,
        charge: int,
        accepted: bool,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.key = key
        self.value = value
        self.headers = headers
        self.timestamp_ms = timestamp_ms
        self.enqueued_at = enqueued_at
        self.deadline = deadline
        self.charge = charge
        self.number = 0
        self.accepted = accepted
        self.flush_epoch = 0
        self.is_behind = False
        self.state = PendingState.FOR_TOPIC
        self.batch: ProducerBatch | None = None
        self.index = 0
        self.error: Any = None  # a KafkaError, or what the user's partitioner raised
        self.waiter: Any = None  # Any: the shell's own, as in ProducerBatch
        self.waiters: list[tuple[int, Any]] | None = None
        self.callbacks: list[tuple[int, Any]] | None = None

    def __repr__(self) -> str:
        return f"<PendingAppend {self.topic} {self.state.name}>"

    @property
    def is_granted(self) -> bool:
        """Whether it may be completed now (or its error be had by that): there is nothing left to wait for."""
        return self.state not in _STILL_WAITING

    @property
    def has_to_park(self) -> bool:
        """Whether its task must wait until `take_woken` returns it, though it may be granted already.

        Were it to run first, it would append those before it, too: 1. A is granted, its task does not know yet
        2. B is granted at once, and completes 3. A's task is cancelled, and its record is in a batch.
        """
        return self.is_behind or self.state in _STILL_WAITING

    def wait_for_memory(self) -> None:
        """Its topic is known."""
        self.state = PendingState.FOR_MEMORY

    def grant(self) -> None:
        """Its memory is there."""
        self.state = PendingState.GRANTED

    def append_to(self, batch: ProducerBatch, index: int) -> None:
        """End the wait: the record is in a batch now, and whoever follows the record goes with it."""
        self._end(PendingState.APPENDED)
        self.batch = batch
        self.index = index
        if self.waiters is not None:
            batch.waiters = (batch.waiters or []) + [(index, waiter) for _, waiter in self.waiters]
            self.waiters = None
        if self.callbacks is not None:
            batch.callbacks = (batch.callbacks or []) + [(index, callback) for _, callback in self.callbacks]
            self.callbacks = None

    def fail(self, error: BaseException) -> None:
        """End the wait: the record is not appended, and this is why."""
        self._end(PendingState.FAILED)
        self.error = error

    def cancel(self) -> None:
        """End the wait: nobody wants it any more."""
        self._end(PendingState.CANCELLED)

    def _end(self, state: PendingState) -> None:
        self.state = state
        self.key = self.value = self.headers = None


_STILL_WAITING: Final = frozenset({PendingState.FOR_TOPIC, PendingState.FOR_MEMORY})


class PendingTopic:
    """A call that waits until a topic is known.

    Attributes:
        view: the topic, once known.
        error: why it did not become known.
        waiter: the shell's.
    """

    __slots__ = ("deadline", "enqueued_at", "error", "topic", "view", "waiter")

    def __init__(self, topic: str, *, enqueued_at: float, deadline: float) -> None:
        self.topic = topic
        self.enqueued_at = enqueued_at
        self.deadline = deadline
        self.view: TopicView | None = None
        self.error: Any = None
        self.waiter: Any = None

    @property
    def done(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.view is not None or self.error is not None

    def resolve(self, view: TopicView) -> None:
        """End the wait: the topic is known."""
        self.view = view

    def fail(self, error: KafkaError) -> None:
        """End the wait: it did not become known, and this is why."""
        self.error = error


class FlushTicket:
    """A flush() that waits for everything accepted before it.

    Attributes:
        epoch: it waits for the batches and accepted records of this epoch and of earlier ones.
        done: they all have their outcome.
        waiter: the shell's.
    """

    __slots__ = ("done", "epoch", "error", "waiter")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.done = False
        self.error: Any = None
        self.waiter: Any = None


Waiting: TypeAlias = PendingAppend | PendingTopic | FlushTicket


class Deadlines:
    """When each wait ends, soonest first. Waits that have ended are skipped, and swept when they pile up."""

    _SWEEP_AT: Final = 1024

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, PendingAppend | PendingTopic]] = []
        self._added = 0
        self._sweep_at = self._SWEEP_AT

    def add(self, waiting: PendingAppend | PendingTopic) -> None:
        """Watch the deadline of a wait."""
        self._added += 1
        heapq.heappush(self._heap, (waiting.deadline, self._added, waiting))
        if len(self._heap) >= self._sweep_at:
            # Calls that are cancelled or granted early leave their entry behind; without this a fast producer with a
            # long max_block_ms would collect millions. Each entry pays for being looked at twice, at most.
            self._heap = [entry for entry in self._heap if _is_waiting(entry[2])]
            heapq.heapify(self._heap)
            self._sweep_at = max(self._SWEEP_AT, 2 * len(self._heap))

    def next(self) -> float | None:
        """Return the soonest deadline of a wait that goes on."""
        heap = self._heap
        while heap and not _is_waiting(heap[0][2]):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def look_at_next(self) -> float | None:
        """As `next`, and changes nothing."""
        return min([deadline for deadline, _, waiting in list(self._heap) if _is_waiting(waiting)], default=None)

    def pop_due(self, now: float) -> PendingAppend | PendingTopic | None:
        """Return one wait whose deadline has come, and forget it; None if there is none."""
        soonest = self.next()
        if soonest is None or soonest > now:
            return None
        return heapq.heappop(self._heap)[2]


def _is_waiting(waiting: PendingAppend | PendingTopic) -> bool:
    if isinstance(waiting, PendingAppend):
        return waiting.state in _STILL_WAITING
    return not waiting.done
