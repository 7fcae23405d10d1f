"""Blocking calls, each in a thread of its own.

Not in the loop's default executor nor anyio's worker threads: the application can fill those, with sends that wait for
the token that would wait for them. What runs here is rare: one call an hour.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import anyio
from anyio.lowlevel import current_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.lowlevel import EventLoopToken

T = TypeVar("T")

THREAD_NAME: Final = "aioproducer-credentials"


async def run_in_thread(call: Callable[[], T], *, abort: Callable[[], None] | None = None) -> T:
    """Run a blocking call in a new thread and return what it returns, or raise what it raises.

    Cancel-safe: `abort` is called then, in this thread, and nobody waits for the call. The thread does not keep the
    process alive.

    Args:
        call: run once, without this task's context variables.
        abort: makes the call end soon; it may already have ended.
    """
    job = _Job(call, current_token())
    threading.Thread(target=job.run, name=THREAD_NAME, daemon=True).start()
    try:
        await job.done.wait()
    finally:
        if abort is not None and not job.done.is_set():
            abort()
    return job.result()


class _Job(Generic[T]):
    """A call, and its outcome."""

    def __init__(self, call: Callable[[], T], token: EventLoopToken) -> None:
        self._call = call
        self._token = token
        self._results: list[T] = []
        self._error: BaseException | None = None
        self.done = anyio.Event()

    def run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:  # raised again in the task that waits
            self._error = error
        try:
            _schedule(self._token, self.done.set)
        except RuntimeError:  # the event loop has ended: nobody waits
            pass

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._results[0]


def _schedule(token: EventLoopToken, call: Callable[[], None]) -> None:
    """Have the event loop call a function, without waiting for it.

    anyio.from_thread.run_sync waits, and for ever if the loop stops first. asyncio and trio have ways that do not.
    """
    native: Any = token.native_token
    schedule = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon
    schedule(call)
