"""The few things anyio lacks or does too slowly, one file per event loop.

`current()` is asked once, in `start()`; everything that follows goes through the `Backend` it returned. asyncio and
trio are imported nowhere else in the package.
"""

from __future__ import annotations

import sys

from aioproducer._backend.base import Backend, Channel, Connector, Receiver, Stream

__all__ = ["Backend", "Channel", "Connector", "Receiver", "Stream", "current"]


def current() -> Backend:
    """The backend of the event loop that runs in this thread.

    Raises:
        RuntimeError: no event loop is running in this thread.
    """
    trio = sys.modules.get("trio")  # a program that runs on trio has imported it; nobody else should pay for it
    if trio is not None and trio.lowlevel.in_trio_task():
        from aioproducer._backend.trio_ import TrioBackend

        return TrioBackend()
    from aioproducer._backend.asyncio_ import AsyncioBackend

    return AsyncioBackend()
