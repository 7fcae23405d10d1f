"""What the shell needs from an event loop beyond anyio."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from contextvars import Context
from typing import Any, Literal, Protocol


class Waiter(Protocol):
    """One task parked on one thing; cancelling the task cancels nothing else.

    `index` is the record's place in its batch (0 for other things), so that a batch can tell which of its records are
    watched.
    """

    index: int

    def __await__(self) -> Generator[Any, Any, None]:
        """Park until `Backend.wake` is called with this waiter. Awaited once, by the task that created it."""
        ...

    def is_waiting(self) -> bool:
        """False once it was woken or its task cancelled."""
        ...


class WakeUp(Protocol):
    """A flag for one waiting task: setting it twice before it is seen wakes once."""

    def set(self) -> None:
        """Wake the waiting task, now or at its next wait. Called from the loop's own thread."""
        ...

    async def wait_until(self, deadline: float | None) -> None:
        """Suspend until the flag is set or `deadline` (the backend's clock) has come, then clear it. Always
        suspends.
        """
        ...


class Backend(Protocol):
    """One event loop, as the shell uses it. Bound to the loop in which it was made."""

    name: Literal["asyncio", "trio"]
    clock: Callable[[], float]
    """Monotonic seconds; under trio's MockClock, its virtual time."""

    is_current: Callable[[], bool]
    """True in this loop, thread and process only. Asked once per record, so it has to be cheap."""

    def spawn_host(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `main` in a task that belongs to the loop, not to the caller. `main` lets no Exception out."""
        ...

    def call_soon(self, function: Callable[..., object], *arguments: object, context: Context | None = None) -> None:
        """Run `function` in one of the next passes of the loop, in the order of the calls, outside of the caller's
        task.
        """
        ...

    def new_waiter(self, index: int = 0) -> Waiter:
        """A waiter for the running task."""
        ...

    def wake(self, waiters: Sequence[Waiter]) -> None:
        """Wake them in order; those cancelled meanwhile are left out. Called from `call_soon`, not from a task."""
        ...

    def new_wake_up(self) -> WakeUp:
        """A flag that the poll loop sleeps on."""
        ...

    async def yield_now(self) -> None:
        """Let every other ready task run once. A cancellation point."""
        ...
