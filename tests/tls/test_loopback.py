"""TLS over real sockets, on each event loop: OpenSSL's blocking server, and our side of it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest

from aioproducer import _backend
from aioproducer._net.connection import in_words
from aioproducer._net.layer import LayeredStream
from aioproducer._net.tls import TlsLayer
from aioproducer.errors import AuthenticationError, KafkaConnectionError
from tests.unit._net.tls_peers import Notes, certificates, client_context, server_context


@contextmanager
def server(serve: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> Generator[int]:
    """A server with a thread for each connection; yields its port. What it meets is no failure of a test here."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []

        def one(raw: socket.socket) -> None:
            raw.settimeout(20)
            with raw:
                try:
                    if context is None:
                        serve(raw)
                    else:
                        with context.wrap_socket(raw, server_side=True) as secured_socket:
                            serve(secured_socket)
                except OSError:
                    pass

        def accept() -> None:
            while True:
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=one, args=(raw,)))
                threads[-1].start()

        threads.append(threading.Thread(target=accept))
        threads[0].start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)  # ends accept
        for thread in threads:
            thread.join(20)


def echo(stream: socket.socket) -> None:
    """Send back what comes."""
    while data := stream.recv(100_000):
        stream.sendall(data)


class Signals(Notes):
    """Notes whose changes can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = anyio.Event()

    def on_bytes(self, data: bytes) -> None:
        super().on_bytes(data)
        self._changed.set()

    def on_writable(self) -> None:
        super().on_writable()
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds."""
        while not condition():
            self._changed = anyio.Event()
            await self._changed.wait()


@asynccontextmanager
async def secured(port: int, context: ssl.SSLContext | None = None) -> AsyncGenerator[LayeredStream]:
    """A connection under TLS, as a producer makes it."""
    stream = await _backend.current().tcp_connector(-1, -1)("127.0.0.1", port)
    try:
        tls = LayeredStream(stream, TlsLayer(context or client_context(), "127.0.0.1", port))
        with in_words():
            await tls.open()
    except BaseException:
        with anyio.CancelScope(shield=True):
            await stream.aclose()
        raise
    try:
        yield tls
    finally:
        with anyio.CancelScope(shield=True):
            await tls.aclose()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_mebibytes_go_both_ways(version: ssl.TLSVersion) -> None:
    frames = [bytes([n]) * size for n, size in enumerate([1, 100, 70_000, 1 << 20, 16_384, 1 << 20, 5])]
    notes = Signals()
    with server(echo, server_context(version=version)) as port:
        async with secured(port) as tls:
            await tls.send(b"first")
            answer = b""
            while len(answer) < 5:
                answer += await tls.receive()
            assert answer == b"first"
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(tls.serve, notes)
                for frame in frames:
                    notes.writable = 0
                    if not tls.write(frame):
                        await notes.until(lambda: notes.writable > 0)
                await notes.until(lambda: len(notes.data) >= sum(map(len, frames)))
                tasks.cancel_scope.cancel()
    assert bytes(notes.data) == b"".join(frames)


async def test_a_ca_that_is_not_trusted_is_refused() -> None:
    with server(echo, server_context()) as port, pytest.raises(AuthenticationError, match="ssl_truststore_location"):
        async with secured(port, client_context(trusts=certificates().other_ca)):
            pass


async def test_a_missing_client_certificate_is_told_at_the_first_read() -> None:
    with (
        server(echo, server_context(asks=True)) as port,
        pytest.raises((AuthenticationError, KafkaConnectionError), match="client certificate"),
    ):
        async with secured(port) as tls:
            await tls.send(b"question")
            await tls.receive()


async def test_a_plaintext_listener_is_told_in_less_than_a_second() -> None:
    def close(stream: socket.socket) -> None:
        stream.recv(4)  # as Kafka does, which takes the first bytes for a length

    with (
        server(close) as port,
        anyio.fail_after(1),
        pytest.raises(KafkaConnectionError, match="security_protocol to PLAINTEXT"),
    ):
        async with secured(port):
            pass


async def test_a_cancelled_handshake_leaves_no_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with anyio.move_on_after(0.05) as scope:
            async with secured(silent.getsockname()[1]):
                pass
        assert scope.cancelled_caught
        taken, _ = silent.accept()
        with taken:
            taken.settimeout(5)
            while taken.recv(65_536):  # the ClientHello, and then the end
                pass
