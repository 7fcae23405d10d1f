"""What an exception that comes out of foreign code means to the task that it passes: its own end, or one more error.

A stream, a connector or a callback of somebody else's may raise anything: a cancelled future's CancelledError, the
class that a test library has for a failed test. None of it may end a producer. But a task that is being cancelled has
to end, a coroutine that is closed has to be left, and Ctrl-C is the program's.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import anyio

ENDS_THE_PROGRAM: Final = (KeyboardInterrupt, SystemExit)


def ends_this_task(error: BaseException) -> bool:
    """Whether the error is to pass: the program is at its end, or this task is, and whoever called us has said so."""
    if isinstance(error, Exception):
        return False
    if isinstance(error, ENDS_THE_PROGRAM):
        return True
    if isinstance(error, GeneratorExit):
        return not _is_running()  # somebody drops a coroutine whose loop is gone
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")  # whoever runs on it has loaded it
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        return _is_being_cancelled(asyncio)
    return trio is not None and isinstance(error, trio.Cancelled)  # trio alone can make one


def is_cancellation(error: BaseException) -> bool:
    """Whether it is what an event loop, or what waits for one in another thread, raises when a task is cancelled."""
    asyncio, trio, futures = (sys.modules.get(name) for name in ("asyncio", "trio", "concurrent.futures"))
    return (
        (asyncio is not None and isinstance(error, asyncio.CancelledError))
        or (trio is not None and isinstance(error, trio.Cancelled))
        or (futures is not None and isinstance(error, futures.CancelledError))
    )


def _is_running() -> bool:
    try:
        anyio.get_current_task()
    except Exception:
        return False
    return True


def _is_being_cancelled(asyncio: Any) -> bool:
    """Whether this is a task of asyncio's that was asked to end, by anyio or anybody else."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return not _is_running()  # trio runs, where it is a class like any other
    return task is not None and task.cancelling() > 0
