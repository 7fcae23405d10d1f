"""TCP on asyncio by its own transports: a protocol that hands bytes over as they are read.

anyio's SocketStream is for tasks: a task that reads and one that writes cost five passes of the loop for a request and
its answer, these callbacks one. The socket is made here, too, as SO_RCVBUF counts only when it is set before
connecting (it limits the window that TCP agrees on).
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio

from aioproducer._backend.names import Address, Resolver, connect_first

if TYPE_CHECKING:
    from aioproducer._backend.base import Connector, Receiver


class AsyncioStream(asyncio.Protocol):
    """One connection, as a `Stream` for the handshake, and then as a `Channel`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._lost: asyncio.Future[Exception] = loop.create_future()
        self._loop = loop
        self._chunks: deque[bytes] = deque()
        self._is_paused = False
        self._receiver: Receiver | None = None
        self._change: asyncio.Future[None] | None = None  # what `send` or `receive` waits for

    # ── told by the transport ────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; have it say whenever it could not write all."""
        # By its kind: uvloop's transports derive from nothing.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Hand the bytes over."""
        if self._receiver is None:
            self._chunks.append(data)
            self._note_change()
            return
        try:
            self._receiver.on_bytes(data)
        except Exception as error:
            self._end(error)

    def pause_writing(self) -> None:
        """The socket did not take all."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """It has taken the rest."""
        self._is_paused = False
        if self._receiver is None:
            self._note_change()
            return
        try:
            self._receiver.on_writable()
        except Exception as error:
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._end(anyio.EndOfStream() if exc is None else exc)

    def _end(self, error: Exception) -> None:
        if not self._lost.done():
            self._lost.set_result(error)
        self._note_change()

    # ── as a stream ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, item: bytes, /) -> None:
        """See `Stream.send`."""
        if not self.write(item):
            await self._until(lambda: not self._is_paused)

    async def receive(self, max_bytes: int = 65536, /) -> bytes:
        """See `Stream.receive`."""
        await self._until(lambda: bool(self._chunks))
        data = self._chunks.popleft()
        if len(data) > max_bytes:
            self._chunks.appendleft(data[max_bytes:])
        return data[:max_bytes]

    async def aclose(self) -> None:
        """Close the socket at once: what was not written is dropped."""
        self._transport.abort()
        await asyncio.sleep(0)  # the transport closes its socket in the next pass

    async def _until(self, condition: Any) -> None:
        while not condition():
            if self._lost.done():
                raise self._lost.result()
            self._change = self._loop.create_future()
            try:
                await self._change
            finally:
                self._change = None

    def _note_change(self) -> None:
        if self._change is not None and not self._change.done():
            self._change.set_result(None)

    # ── as a channel ─────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, data: bytes) -> bool:
        """See `Channel.write`."""
        if not self._transport.is_closing():  # otherwise `connection_lost` is on its way
            self._transport.write(data)
        return not self._is_paused

    async def serve(self, receiver: Receiver) -> None:
        """See `Channel.serve`."""
        self._receiver = receiver
        while self._chunks:
            receiver.on_bytes(self._chunks.popleft())
        raise await self._lost


def connector(send_buffer_bytes: int, receive_buffer_bytes: int) -> Connector:
    """See `Backend.tcp_connector`."""
    options = [(socket.SO_SNDBUF, send_buffer_bytes), (socket.SO_RCVBUF, receive_buffer_bytes)]
    options = [(option, size) for option, size in options if size >= 0]
    resolver = Resolver()

    async def connect(host: str, port: int) -> AsyncioStream:
        addresses = await resolver.addresses(host, port)
        return await connect_first(addresses, partial(_connect, options=options), AsyncioStream.aclose)

    return connect


async def _connect(address: Address, options: list[tuple[int, int]]) -> AsyncioStream:
    loop = asyncio.get_running_loop()
    family, where = address
    raw = socket.socket(family, socket.SOCK_STREAM)
    try:
        raw.setblocking(False)
        for option, size in options:
            raw.setsockopt(socket.SOL_SOCKET, option, size)
        await loop.sock_connect(raw, where)
        _, stream = await loop.create_connection(lambda: AsyncioStream(loop), sock=raw)
    except BaseException:
        raw.close()
        raise
    return stream
