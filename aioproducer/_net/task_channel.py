"""A channel over any byte stream of anyio: two tasks, one that reads and one that writes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import anyio

from aioproducer._backend.ending import ends_this_task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aioproducer._backend import Receiver, Stream

_READ_BYTES: Final = 65_536


class TaskChannel:
    """See `Channel`. What is written is on its way only while `serve` runs."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._outgoing: deque[bytes] = deque()
        self._written_to = anyio.Event()
        self._error: BaseException | None = None

    def write(self, data: bytes) -> bool:
        """See `Channel.write`."""
        self._outgoing.append(data)
        self._written_to.set()
        return False

    async def serve(self, receiver: Receiver) -> None:
        """See `Channel.serve`."""
        async with anyio.create_task_group() as tasks:
            for half in (self._write, self._read):
                tasks.start_soon(self._until_broken, tasks.cancel_scope, half, receiver)
        assert self._error is not None, "both halves go on until one breaks"
        raise self._error

    async def _until_broken(
        self, scope: anyio.CancelScope, half: Callable[[Receiver], Awaitable[None]], receiver: Receiver
    ) -> None:
        try:
            await half(receiver)
        except BaseException as error:
            if ends_this_task(error):
                raise
            self._error = self._error or error
            scope.cancel()

    async def _write(self, receiver: Receiver) -> None:
        while True:
            while self._outgoing:
                await self._stream.send(self._outgoing.popleft())
                if not self._outgoing:
                    receiver.on_writable()
            self._written_to = anyio.Event()
            await self._written_to.wait()

    async def _read(self, receiver: Receiver) -> None:
        while True:
            receiver.on_bytes(await self._stream.receive(_READ_BYTES))
