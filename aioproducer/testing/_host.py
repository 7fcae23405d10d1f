"""The task in which an embedded cluster lives. It belongs to the event loop and not to who starts the cluster.

So one task may start a cluster and another stop it, as unittest.IsolatedAsyncioTestCase and some fixtures do: a task
group must be left by the task that has entered it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import anyio

from aioproducer import _backend
from aioproducer.errors._redact import redacted

if TYPE_CHECKING:
    from aioproducer.testing._server import Server

logger = logging.getLogger("aioproducer.testing")


class ServerHost:
    """Serves from `start` to `stop`. Made in the event loop in which it serves."""

    def __init__(self, server: Server, ports: dict[int, int]) -> None:
        self._server = server
        self._ports = ports
        self._begun = anyio.Event()
        self._stopping = anyio.Event()
        self._ended = anyio.Event()
        self._error: Exception | None = None

    async def start(self) -> None:
        """Return when all brokers listen. Cancelled or failed, nothing is left.

        Raises:
            OSError: a port is taken.
        """
        _backend.current().spawn_host(self._run, "embedded cluster")
        try:
            await self._begun.wait()
        except BaseException:
            await self.stop()
            raise
        if self._error is not None:
            raise self._error

    async def stop(self) -> None:
        """Return when nothing is left of it.

        Raises:
            Exception: what made it end before.
        """
        self._stopping.set()
        cancelled: BaseException | None = None
        with anyio.CancelScope(shield=True):
            while not self._ended.is_set():
                try:
                    await self._ended.wait()
                except anyio.get_cancelled_exc_class() as error:  # asyncio's own Task.cancel() goes through shields
                    cancelled = error
        if cancelled is not None:
            raise cancelled
        if self._error is not None:
            raise self._error

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                async with self._server.serve(tasks, self._ports):
                    self._begun.set()
                    await self._stopping.wait()
                    self._server.drop(None)
                tasks.cancel_scope.cancel()
        except Exception as error:
            self._error = _innermost(error)
            if self._begun.is_set():
                logger.critical(
                    "the embedded cluster stopped because of a bug in it",
                    exc_info=redacted(self._error),
                    extra={"event_name": "cluster_failed"},
                )
        finally:
            self._begun.set()
            self._ended.set()


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error
