"""trio: parking with its lowlevel traps, and a host that is a system task."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextvars import Context
from functools import partial
from typing import Any, Literal

import trio


class TrioWaiter:
    """One task's wait. A task that was woken cannot be cancelled any more before it resumes; trio sees to that."""

    __slots__ = ("_is_pending", "_task", "index")

    def __init__(self, index: int) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._is_pending = True
        self.index = index

    def __await__(self) -> Generator[Any, Any, None]:
        if self._is_pending:
            self._task = trio.lowlevel.current_task()
            yield from trio.lowlevel.wait_task_rescheduled(self._abort).__await__()  # noqa: ASYNC105

    def _abort(self, raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        del raise_cancel
        self._is_pending = False
        return trio.lowlevel.Abort.SUCCEEDED

    def is_waiting(self) -> bool:
        """See `Waiter.is_waiting`."""
        return self._is_pending

    def resume(self) -> None:
        """Make the task runnable, unless it was cancelled."""
        if self._is_pending:
            self._is_pending = False
            if self._task is not None:
                trio.lowlevel.reschedule(self._task)


class TrioWakeUp:
    """See `WakeUp`."""

    __slots__ = ("_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: TrioWaiter | None = None

    def set(self) -> None:
        """See `WakeUp.set`."""
        self._is_set = True
        if self._waiter is not None:
            self._waiter.resume()

    async def wait_until(self, deadline: float | None) -> None:
        """See `WakeUp.wait_until`."""
        if self._is_set or (deadline is not None and deadline <= trio.current_time()):
            await trio.lowlevel.checkpoint()
        else:
            self._waiter = TrioWaiter(0)
            try:
                with trio.CancelScope(deadline=float("inf") if deadline is None else deadline):
                    await self._waiter
            finally:
                self._waiter = None
        self._is_set = False


class TrioBackend:
    """See `Backend`. Made inside of the run that it is bound to."""

    name: Literal["asyncio", "trio"] = "trio"

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self.clock: Callable[[], float] = trio.current_time
        self._process_id = os.getpid()
        self.is_current: Callable[[], bool] = self._is_current

    def _is_current(self) -> bool:
        try:
            return trio.lowlevel.current_trio_token() is self._token and os.getpid() == self._process_id
        except RuntimeError:
            return False

    def spawn_host(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """See `Backend.spawn_host`."""
        trio.lowlevel.spawn_system_task(main, name="aioproducer")

    def call_soon(self, function: Callable[..., object], *arguments: object, context: Context | None = None) -> None:
        """See `Backend.call_soon`."""
        if context is None:
            self._token.run_sync_soon(function, *arguments)
        else:
            self._token.run_sync_soon(partial(context.run, function, *arguments))

    def new_waiter(self, index: int = 0) -> TrioWaiter:
        """See `Backend.new_waiter`."""
        return TrioWaiter(index)

    def wake(self, waiters: Sequence[Any]) -> None:
        """See `Backend.wake`."""
        for waiter in waiters:
            waiter.resume()

    def new_wake_up(self) -> TrioWakeUp:
        """See `Backend.new_wake_up`."""
        return TrioWakeUp()

    async def yield_now(self) -> None:
        """See `Backend.yield_now`."""
        await trio.lowlevel.checkpoint()
