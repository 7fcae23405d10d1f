"""trio: parking with its lowlevel traps, and a host that is a system task."""

from __future__ import annotations

import _thread
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
import trio
from anyio.abc import ByteStream, SocketAttribute

from aioproducer._backend.names import Address, Resolver, connect_first

if TYPE_CHECKING:
    from aioproducer._backend.base import Connector


SECONDS_TO_RESUME: Final = 7e-6
"""What a task of trio's takes, about, from its waking to its next wait, with a send of ours in between."""


class TrioWaiter:
    """One task's wait. A task that was woken cannot be cancelled any more before it resumes; trio sees to that."""

    __slots__ = ("_is_pending", "_task")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._is_pending = True

    def __await__(self) -> Generator[Any, Any, None]:
        if self._is_pending:
            self._task = trio.lowlevel.current_task()
            yield from trio.lowlevel.wait_task_rescheduled(self._abort).__await__()  # noqa: ASYNC105

    def _abort(self, raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        del raise_cancel
        self._is_pending = False
        return trio.lowlevel.Abort.SUCCEEDED

    def is_waiting(self) -> bool:
        """False once it was resumed, or its task cancelled."""
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
            self._waiter = TrioWaiter()
            try:
                with trio.CancelScope(deadline=float("inf") if deadline is None else deadline):
                    await self._waiter
            finally:
                self._waiter = None
        self._is_set = False


class TrioPoller:
    """See `Poller`. Works in the task that serves: trio has nothing cheaper that needs no task."""

    def __init__(self, step: Callable[[], float | None], call_soon: Callable[..., None]) -> None:
        self._step = step
        self._call_soon = call_soon
        self._wake_up = TrioWakeUp()
        self._is_stopped = False

    def wake(self) -> None:
        """See `Poller.wake`."""
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            # A signal handler, or a __del__, in the middle of trio's own work: 1. trio copies its queue of tasks 2. we
            # put one there 3. trio clears the queue, so that this task never runs again. Only this call may come then.
            self._call_soon(self._wake_up.set)
        else:
            self._wake_up.set()

    def wake_now(self) -> None:
        """See `Poller.wake_now`."""
        self._wake_up.set()

    def call_after(self, function: Callable[[], object]) -> None:
        """See `Poller.call_after`."""
        self._call_soon(function)

    def stop(self) -> None:
        """See `Poller.stop`."""
        self._is_stopped = True
        self._wake_up.set()

    async def serve(self) -> None:
        """See `Poller.serve`."""
        while True:
            deadline = self._step()
            if self._is_stopped:
                return
            await self._wake_up.wait_until(deadline)


class TrioBackend:
    """See `Backend`. Made inside of the run that it is bound to."""

    name: Literal["asyncio", "trio"] = "trio"

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        # What trio.current_time() asks; this can be asked in other threads, too.
        self.clock: Callable[[], float] = trio.lowlevel.current_clock().current_time
        self.token: object = self._token
        process_id = os.getpid()

        def current_token() -> object:
            try:
                return trio.lowlevel.current_trio_token() if os.getpid() == process_id else None
            except RuntimeError:
                return None

        self.current_token: Callable[[], object] = current_token
        self.new_waiter: Callable[[], Awaitable[None]] = TrioWaiter
        self.seconds_to_resume = SECONDS_TO_RESUME

    def is_current(self) -> bool:
        """See `Backend.is_current`."""
        return self.current_token() is self.token

    def is_closed(self) -> bool:
        """See `Backend.is_closed`. At its end a run of trio ends all tasks, which is known without asking."""
        return False

    def spawn_host(self, main: Callable[[], Coroutine[Any, Any, None]], name: str = "aioproducer") -> None:
        """See `Backend.spawn_host`."""
        trio.lowlevel.spawn_system_task(main, name=name)

    def call_soon(self, function: Callable[..., object], *arguments: object, context: Context | None = None) -> None:
        """See `Backend.call_soon`."""
        if context is None:
            self._token.run_sync_soon(function, *arguments)
        else:
            self._token.run_sync_soon(partial(context.run, function, *arguments))

    def raise_soon(self, error: BaseException) -> None:
        """See `Backend.raise_soon`."""
        del error  # of a SystemExit nothing better can be made than an interrupt either
        _thread.interrupt_main()

    def is_waiting(self, waiter: Any) -> bool:
        """See `Backend.is_waiting`."""
        is_waiting: bool = waiter.is_waiting()
        return is_waiting

    def wake(self, waiters: Sequence[Any]) -> None:
        """See `Backend.wake`. The tasks run in the next pass of trio's loop."""
        for waiter in waiters:
            waiter.resume()

    def new_wake_up(self) -> TrioWakeUp:
        """See `Backend.new_wake_up`."""
        return TrioWakeUp()

    def new_poller(self, step: Callable[[], float | None]) -> TrioPoller:
        """See `Backend.new_poller`."""
        return TrioPoller(step, self.call_soon)

    def tcp_connector(self, send_buffer_bytes: int, receive_buffer_bytes: int) -> Connector:
        """See `Backend.tcp_connector`."""

        resolver = Resolver()

        async def connect_to(address: Address) -> ByteStream:
            host, port, *scope = address[1]
            stream = await anyio.connect_tcp(f"{host}%{scope[1]}" if scope and scope[1] else host, port)
            raw = stream.extra(SocketAttribute.raw_socket)
            if send_buffer_bytes >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
            if receive_buffer_bytes >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            return stream

        async def connect(host: str, port: int) -> ByteStream:
            return await connect_first(await resolver.addresses(host, port), connect_to, anyio.aclose_forcefully)

        return connect

    async def yield_now(self) -> None:
        """See `Backend.yield_now`."""
        await trio.lowlevel.checkpoint()
