"""The epochs of flush(): everything accepted carries the epoch it was accepted in, and a flush ends an epoch.

A count for each epoch is enough: a flush is done when no count of its epoch or of an earlier one is left.
"""

from __future__ import annotations

from collections import deque

from aioproducer._core.accumulator.waiting import FlushTicket


class FlushEpochs:
    """The epochs, how much is unfinished in each, and who waits for them.

    Attributes:
        epoch: what is accepted now belongs to it.
    """

    __slots__ = ("_counts", "_tickets", "epoch")

    def __init__(self) -> None:
        self.epoch = 0
        # In ascending order of the keys: only the current epoch is ever added, an ended one only counts down.
        self._counts: dict[int, int] = {}
        self._tickets: deque[FlushTicket] = deque()

    @property
    def is_flushing(self) -> bool:
        """Whether a flush waits."""
        return bool(self._tickets)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is unfinished."""
        return not self._counts

    def enter(self, epoch: int) -> None:
        """One more unfinished thing of this epoch: the current one, or one that has unfinished things already."""
        self._counts[epoch] = self._counts.get(epoch, 0) + 1

    def leave(self, epoch: int) -> list[FlushTicket]:
        """One thing of this epoch is finished; return the flushes that are done thereby."""
        left = self._counts[epoch] - 1
        if left:
            self._counts[epoch] = left
            return []
        del self._counts[epoch]
        return self._take_done()

    def begin(self) -> FlushTicket:
        """Begin a flush; it may be done at once."""
        ticket = FlushTicket(self.epoch)
        self.epoch += 1
        if self._is_over(ticket):
            ticket.done = True
        else:
            self._tickets.append(ticket)
        return ticket

    def end(self, ticket: FlushTicket) -> None:
        """Nobody waits for this flush any more."""
        if not ticket.done and ticket in self._tickets:
            self._tickets.remove(ticket)

    def _take_done(self) -> list[FlushTicket]:
        done: list[FlushTicket] = []
        while self._tickets and self._is_over(self._tickets[0]):
            ticket = self._tickets.popleft()
            ticket.done = True
            done.append(ticket)
        return done

    def _is_over(self, ticket: FlushTicket) -> bool:
        oldest = next(iter(self._counts), None)
        return oldest is None or oldest > ticket.epoch
