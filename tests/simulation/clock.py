"""The virtual clock: what happens next, and when. Nothing waits; time jumps from event to event."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Events in the order of their times; those of the same time in the order in which they were set.

    Attributes:
        now: monotonic seconds.
        events: how many have happened.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.events = 0
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._added = 0

    def at(self, time: float, action: Callable[..., object], *arguments: Any) -> None:  # Any: those of the action
        """Do something at a time; one that has passed means now."""
        self._added += 1
        heapq.heappush(self._heap, (max(time, self.now), self._added, action, arguments))

    def after(self, delay: float, action: Callable[..., object], *arguments: Any) -> None:
        """Do something after a while."""
        self.at(self.now + delay, action, *arguments)

    def step(self) -> bool:
        """Let the next event happen; False if there is none."""
        if not self._heap:
            return False
        self.now, _, action, arguments = heapq.heappop(self._heap)
        self.events += 1
        action(*arguments)
        return True

    def next_time(self) -> float:
        """Return when the next event happens; infinity if there is none."""
        return self._heap[0][0] if self._heap else float("inf")
