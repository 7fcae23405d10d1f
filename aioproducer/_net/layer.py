"""A layer between frames and the socket, as TLS is one: bytes in, bytes out; and the stream that goes through it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import anyio

from aioproducer._backend import Channel
from aioproducer._net.connection import BROKEN, READ_BYTES
from aioproducer._net.task_channel import TaskChannel

if TYPE_CHECKING:
    from aioproducer._backend import Receiver, Stream

SLICE_BYTES: Final = 65_536
"""So much goes through the layer at once, and only while the socket takes more: what is sealed lies in memory twice."""


class Layer(Protocol):
    """The bytes of one connection, made into others and back. No I/O: whoever has it moves the bytes.

    After each call, whatever it was, `take_outgoing` has what is to be sent next; also after one that has raised, so
    that the peer learns why.
    """

    @property
    def is_ready(self) -> bool:
        """Whether both sides have agreed: `write` may be called."""
        ...

    @property
    def is_ended(self) -> bool:
        """Whether the peer has said that nothing follows."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they were received; return what is in them for us, maybe nothing.

        Raises:
            AuthenticationError: one side does not trust the other.
            KafkaConnectionError: the bytes make no sense, with a word about what may be wrong.
        """
        ...

    def write(self, data: memoryview) -> None:
        """Take bytes that are to be sent."""
        ...

    def take_outgoing(self) -> bytes:
        """Return all that is to be sent, which may be nothing, and forget it. The first call begins the handshake."""
        ...

    def close(self) -> None:
        """Take leave; the last bytes are in `take_outgoing`."""
        ...

    def explained(self, error: Exception) -> Exception:
        """Return what the end of the stream below means at this point: `error` itself, or one that says it."""
        ...


class LayeredStream:
    """A stream through a layer: a `Stream` while the connection is set up, and then a `Channel`.

    Args:
        stream: the bytes below; one that is a Channel too is used as such.
        layer: new; `open` does its handshake.
    """

    def __init__(self, stream: Stream, layer: Layer) -> None:
        self._stream = stream
        self._layer = layer
        self._received = b""  # and not returned or handed over yet
        self._channel = stream if isinstance(stream, Channel) else TaskChannel(stream)
        self._to_write = memoryview(b"")
        self._is_writable = True  # the channel has taken all so far
        self._is_awaited = False  # the receiver is to hear when all is written

    # ── as a stream ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Return when both sides have agreed. Raises what the layer and the stream below raise."""
        with suppress(*BROKEN):  # what can still be read may say why
            await self._send_outgoing()
        while not self._layer.is_ready:
            await self._receive()

    async def send(self, item: bytes, /) -> None:
        """See `Stream.send`."""
        rest = memoryview(item)
        while rest:
            self._layer.write(rest[:SLICE_BYTES])
            rest = rest[SLICE_BYTES:]
            try:
                await self._send_outgoing()
            except BROKEN as error:
                await self._read_why()
                raise self._layer.explained(error) from error.__cause__

    async def receive(self, max_bytes: int = READ_BYTES, /) -> bytes:
        """See `Stream.receive`."""
        while not self._received:
            await self._receive()
        data, self._received = self._received[:max_bytes], self._received[max_bytes:]
        return data

    async def aclose(self) -> None:
        """Close the socket at once; take leave if that needs no waiting."""
        if isinstance(self._stream, Channel) and self._is_writable:
            self._layer.close()
            self._stream.write(self._layer.take_outgoing())
        await self._stream.aclose()

    async def _receive(self) -> None:
        if self._layer.is_ended:
            raise self._layer.explained(anyio.EndOfStream())
        try:
            data = await self._stream.receive(READ_BYTES)
        except (*BROKEN, anyio.EndOfStream) as error:
            raise self._layer.explained(error) from error.__cause__
        try:
            self._received += self._layer.feed(data)
        except Exception:
            with suppress(*BROKEN):  # the reason is the layer's
                await self._send_outgoing()
            raise
        await self._send_outgoing()

    async def _read_why(self) -> None:
        """Read what came before the peer closed: it may have said why, and the layer raises that."""
        with suppress(*BROKEN, anyio.EndOfStream):
            while not self._layer.is_ended:
                self._received += self._layer.feed(await self._stream.receive(READ_BYTES))

    async def _send_outgoing(self) -> None:
        outgoing = self._layer.take_outgoing()
        if outgoing:
            await self._stream.send(outgoing)

    # ── as a channel ─────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, data: bytes) -> bool:
        """See `Channel.write`."""
        self._to_write = memoryview(data)
        self._is_awaited = not self._pump()
        return not self._is_awaited

    async def serve(self, receiver: Receiver) -> None:
        """See `Channel.serve`."""
        self._receiver = receiver
        if self._received:  # in the bytes that ended the set-up
            received, self._received = self._received, b""
            receiver.on_bytes(received)
        try:
            await self._channel.serve(self)
        except (*BROKEN, anyio.EndOfStream) as error:
            raise self._layer.explained(error) from error.__cause__

    def on_bytes(self, data: bytes) -> None:
        """See `Receiver.on_bytes`."""
        try:
            received = self._layer.feed(data)
        finally:
            self._pump()
        if received:
            self._receiver.on_bytes(received)
        if self._layer.is_ended:
            raise anyio.EndOfStream

    def on_writable(self) -> None:
        """See `Receiver.on_writable`. Passed on to a receiver that waits for it: the layer writes by itself too."""
        self._is_writable = True
        if self._pump() and self._is_awaited:
            self._is_awaited = False
            self._receiver.on_writable()

    def _pump(self) -> bool:
        """Write until the socket takes no more; return whether it has taken all."""
        while self._is_writable:
            outgoing = self._layer.take_outgoing()
            if outgoing:
                self._is_writable = self._channel.write(outgoing)
            elif self._to_write:
                self._layer.write(self._to_write[:SLICE_BYTES])
                self._to_write = self._to_write[SLICE_BYTES:]
            else:
                return True
        return False
