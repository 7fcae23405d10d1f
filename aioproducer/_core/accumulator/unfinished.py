"""The batches that have no outcome yet, and when they expire.

Each is known to its topic and to flush() from its first record to its outcome. Expiry asks for the oldest alone, so it
costs what is due: batches are kept in the order of creation, but for the parts of a split, which are as old as what
they were cut from and have a heap beside it.
"""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.accumulator.flush import FlushEpochs
    from aioproducer._core.accumulator.topics import TopicState
    from aioproducer._core.accumulator.waiting import FlushTicket


class UnfinishedBatches:
    """Batches from their creation to their outcome, in flight or not.

    Args:
        flushes: counts them, too.
        delivery_timeout: seconds after which a batch expires.
    """

    def __init__(self, flushes: FlushEpochs, delivery_timeout: float) -> None:
        self._flushes = flushes
        self._delivery_timeout = delivery_timeout
        self._by_age: OrderedDict[ProducerBatch, None] = OrderedDict()  # but for parts of a split
        self._part_expiry: list[tuple[float, int, ProducerBatch]] = []

    def __len__(self) -> int:
        return len(self._by_age)

    def __iter__(self) -> Iterator[ProducerBatch]:
        return iter(self._by_age)

    def add(self, state: TopicState, batch: ProducerBatch) -> None:
        """Note a batch of this topic; it is no older than those before it, or `watch_part` follows."""
        self._by_age[batch] = None
        state.unfinished += 1
        self._flushes.enter(batch.flush_epoch)

    def watch_part(self, part: ProducerBatch) -> None:
        """Have a part of a split expire with its own age, though younger batches were added before it."""
        heapq.heappush(self._part_expiry, (part.created_at + self._delivery_timeout, id(part), part))

    def remove(self, state: TopicState, batch: ProducerBatch) -> list[FlushTicket]:
        """Forget a batch that has its outcome; return the flushes that are done thereby."""
        del self._by_age[batch]
        state.unfinished -= 1
        return self._flushes.leave(batch.flush_epoch)

    def expired(self, now: float) -> list[ProducerBatch]:
        """Return the batches that are delivery_timeout_ms old, oldest first; the caller gives each its outcome.

        A part of a split is not returned again.
        """
        oldest = now - self._delivery_timeout
        first = next(iter(self._by_age), None)
        parts = self._part_expiry
        if not parts and (first is None or first.created_at > oldest):
            return []
        expired: dict[ProducerBatch, None] = {}  # a part may be found in both places
        for batch in self._by_age:
            if batch.created_at > oldest:
                break
            expired[batch] = None
        while parts and (parts[0][2].is_done or parts[0][2].created_at <= oldest):
            part = heapq.heappop(parts)[2]
            if not part.is_done:
                expired[part] = None
        return list(expired)

    def next_expiry(self) -> float:
        """Return when the next batch expires; infinity if there is none."""
        soonest = float("inf")
        for batch in self._by_age:  # the oldest alone
            soonest = batch.created_at + self._delivery_timeout
            break
        parts = self._part_expiry
        while parts and parts[0][2].is_done:
            heapq.heappop(parts)
        return min(soonest, parts[0][0]) if parts else soonest

    def oldest_at(self) -> float | None:
        """Return when the oldest was created; None if there is none."""
        times = [batch.created_at for batch in itertools.islice(self._by_age, 1)]
        if self._part_expiry:  # may be done already; then it is a moment too old
            times.append(self._part_expiry[0][0] - self._delivery_timeout)
        return min(times, default=None)
