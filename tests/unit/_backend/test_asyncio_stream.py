"""_backend/asyncio_stream.py: connecting to the first address that is there, and bytes without tasks, over loopback."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import anyio
import pytest

from aioproducer._backend import Channel
from aioproducer._backend.asyncio_stream import AsyncioStream, connector

Address = tuple[socket.AddressFamily, int, int, str, tuple[str, int]]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


class Peer(asyncio.Protocol):
    """The other end, as the test directs it."""

    def __init__(self) -> None:
        self.received = b""
        self.is_lost = asyncio.Event()
        self.is_connected = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.Transport = transport
        self.is_connected.set()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost.set()


@asynccontextmanager
async def connected(*sizes: int) -> AsyncGenerator[tuple[AsyncioStream, Peer]]:
    """A stream and its peer; closed at the end. `sizes`: of the socket buffers, send and receive."""
    peer = Peer()
    server = await asyncio.get_running_loop().create_server(lambda: peer, "127.0.0.1", 0)
    send, receive = sizes or (-1, -1)
    try:
        stream = await connector(send, receive)("127.0.0.1", server.sockets[0].getsockname()[1])
        assert isinstance(stream, AsyncioStream)
        await peer.is_connected.wait()
        try:
            yield stream, peer
        finally:
            await stream.aclose()
            peer.transport.abort()
    finally:
        server.close()


class Receiver:
    """Notes what it is told; raises if so asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.data = b""
        self.writable = 0
        self._error = error
        self.news = asyncio.Event()

    def on_bytes(self, data: bytes) -> None:
        self.data += data
        self.news.set()
        if self._error is not None:
            raise self._error

    def on_writable(self) -> None:
        self.writable += 1
        self.news.set()


async def test_it_is_a_stream_first() -> None:
    async with connected() as (stream, peer):
        await stream.send(b"hello")
        with anyio.fail_after(2):
            while peer.received != b"hello":  # noqa: ASYNC110
                await anyio.sleep(0.001)
            peer.transport.write(b"abcdef")
            assert await stream.receive(4) == b"abcd"
            assert await stream.receive(4) == b"ef"
            peer.transport.close()
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()


async def test_what_came_before_it_is_served_is_handed_over_too() -> None:
    async with connected() as (stream, peer):
        receiver = Receiver()
        peer.transport.write(b"abcdef")
        assert await stream.receive(2) == b"ab"
        serving = asyncio.ensure_future(stream.serve(receiver))
        await receiver.news.wait()
        assert receiver.data == b"cdef"
        receiver.news.clear()
        peer.transport.write(b"more")
        await asyncio.wait_for(receiver.news.wait(), 2)
        assert receiver.data == b"cdefmore"
        peer.transport.close()
        with pytest.raises(anyio.EndOfStream):
            await asyncio.wait_for(serving, 2)


async def test_bytes_that_the_socket_does_not_take_are_told_of_when_it_has() -> None:
    async with connected(4096, 4096) as (stream, peer):
        receiver = Receiver()
        serving = asyncio.ensure_future(stream.serve(receiver))
        await asyncio.sleep(0)
        assert stream.write(b"x" * 10)
        peer.transport.pause_reading()
        large = b"y" * 8_000_000
        assert not stream.write(large)
        assert receiver.writable == 0
        peer.transport.resume_reading()
        await asyncio.wait_for(receiver.news.wait(), 5)
        assert receiver.writable == 1
        assert stream.write(b"z")
        serving.cancel()
        await asyncio.wait([serving])


async def test_what_the_receiver_raises_ends_the_serving() -> None:
    async with connected() as (stream, peer):
        receiver = Receiver(ZeroDivisionError("mine"))
        peer.transport.write(b"x")
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(stream.serve(receiver), 2)


async def test_a_connection_that_breaks_ends_the_serving_with_its_error() -> None:
    async with connected() as (stream, peer):
        linger = struct.pack("ii", 1, 0)  # close with a reset
        peer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        peer.transport.abort()
        with pytest.raises((ConnectionResetError, anyio.EndOfStream)):
            await asyncio.wait_for(stream.serve(Receiver()), 2)
        assert isinstance(stream, Channel)
        stream.write(b"to nobody")  # no error: the end was told of by `serve`


async def test_a_cancelled_serving_leaves_a_stream_to_close() -> None:
    async with connected() as (stream, peer):
        with anyio.move_on_after(0.01) as scope:
            await stream.serve(Receiver())
        assert scope.cancelled_caught
        await stream.aclose()
        await asyncio.wait_for(peer.is_lost.wait(), 2)


# ── connecting ───────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def names(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> Generator[None]:
    """Have any name mean these addresses."""

    def getaddrinfo(host: str, port: int, **how: Any) -> list[Address]:
        if how.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "it is a name, and no address")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, number)) for address, number in addresses]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield


@contextmanager
def listening(backlog: int = 5) -> Generator[int]:
    """A port of 127.0.0.1 that takes connections."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(backlog)
        yield server.getsockname()[1]


def refusing() -> int:
    """A port of 127.0.0.1 where nobody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


async def test_the_next_address_is_tried_at_once_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as port, names(monkeypatch, ("127.0.0.1", refusing()), ("127.0.0.1", port)):
        started = anyio.current_time()
        stream = await connector(-1, -1)("broker", 9092)
        assert anyio.current_time() - started < 0.2
        await stream.aclose()


async def test_the_next_address_is_tried_while_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(0) as full, listening() as port:
        held = [socket.socket() for _ in range(3)]  # a full backlog: nobody else is let in
        try:
            for each in held:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", full))
            with names(monkeypatch, ("127.0.0.1", full), ("127.0.0.1", port)), anyio.fail_after(2):
                stream = await connector(-1, -1)("broker", 9092)
            await stream.aclose()
        finally:
            for each in held:
                each.close()


async def test_all_reasons_are_told_when_no_address_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        names(monkeypatch, ("127.0.0.1", refusing()), ("127.0.0.1", refusing())),
        pytest.raises(OSError, match="all addresses failed") as caught,
    ):
        await connector(-1, -1)("broker", 9092)
    reasons = cast("ExceptionGroup[OSError]", caught.value.__cause__).exceptions
    assert [type(error) for error in reasons] == [ConnectionRefusedError] * 2


async def test_a_cancelled_attempt_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(0) as full:
        held = [socket.socket() for _ in range(3)]
        try:
            for each in held:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", full))
            with names(monkeypatch, ("127.0.0.1", full)), anyio.move_on_after(0.05) as scope:
                await connector(-1, -1)("broker", 9092)
            assert scope.cancelled_caught  # a socket that is left would warn, which is an error
        finally:
            for each in held:
                each.close()


async def test_the_buffers_have_the_sizes_that_were_asked_for() -> None:
    async with connected(50_000, 60_000) as (stream, _):
        raw = stream._transport.get_extra_info("socket")  # pyright: ignore[reportPrivateUsage]
        assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) in {50_000, 100_000}  # Linux doubles it
        assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) in {60_000, 120_000}
