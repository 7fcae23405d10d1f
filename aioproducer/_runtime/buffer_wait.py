"""The waits for room in the buffer of those who have no record to put there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from aioproducer._backend import Backend
    from aioproducer._core.accumulator.accumulator import Accumulator


class BufferWaiters:
    """Calls that wait until so many bytes of buffer_memory are free. They reserve nothing and stand in no queue."""

    def __init__(self, accumulator: Accumulator, backend: Backend) -> None:
        self._accumulator = accumulator
        self._backend = backend
        self._waiting: dict[Awaitable[None], int] = {}

    async def wait(self, size_bytes: int) -> None:
        """Return when there was room a moment ago. Cancel-safe. Closing wakes everybody."""
        while not self._accumulator.has_free_memory(size_bytes) and self._accumulator.closed_error is None:
            waiter = self._backend.new_waiter()
            self._waiting[waiter] = size_bytes
            try:
                await waiter
            finally:
                self._waiting.pop(waiter, None)

    def check(self) -> None:
        """Wake those for whom there is room now; asked after each poll of the core."""
        if self._waiting:
            is_closed = self._accumulator.closed_error is not None
            waiting = list(self._waiting.items())  # a copy: a coroutine that waits here may be dropped meanwhile
            woken = [waiter for waiter, size in waiting if is_closed or self._accumulator.has_free_memory(size)]
            self._backend.call_soon(self._backend.wake, woken)
