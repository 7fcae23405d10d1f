"""The other side of a TLS connection in memory, and certificates for it."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import anyio
import trustme

from aioproducer._net.connection import in_words
from aioproducer._net.layer import LayeredStream
from aioproducer._net.tls import TlsLayer

HOST = "broker.example"


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a test needs; made once, as keys take a while."""

    ca: trustme.CA
    other_ca: trustme.CA
    broker: trustme.LeafCert
    expired: trustme.LeafCert
    client: trustme.LeafCert
    stranger: trustme.LeafCert


@cache
def certificates() -> Certificates:
    """Two CAs and what they have issued."""
    ca, other_ca = trustme.CA(), trustme.CA()
    now = datetime.datetime.now(datetime.UTC)
    return Certificates(
        ca=ca,
        other_ca=other_ca,
        broker=ca.issue_cert(HOST, "localhost", "127.0.0.1"),
        expired=ca.issue_cert(
            HOST, not_before=now - datetime.timedelta(days=9), not_after=now - datetime.timedelta(days=1)
        ),
        client=ca.issue_cert("alice@example.test"),
        stranger=other_ca.issue_cert("mallory@example.test"),
    )


def client_context(trusts: trustme.CA | None = None, shows: trustme.LeafCert | None = None) -> ssl.SSLContext:
    """As a producer's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust(context, trusts or certificates().ca)
    if shows is not None:
        show(context, shows)
    return context


def server_context(
    certificate: trustme.LeafCert | None = None, *, asks: bool = False, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """As a broker's; `asks` for a client certificate of the CA's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    show(context, certificate or certificates().broker)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        trust(context, certificates().ca)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def trust(context: ssl.SSLContext, ca: trustme.CA) -> None:
    """Have a context trust what a CA has issued. trustme's own way is typed by a package that is not there."""
    context.load_verify_locations(cadata=ca.cert_pem.bytes().decode())


def show(context: ssl.SSLContext, certificate: trustme.LeafCert) -> None:
    """Have a context show a certificate."""
    with certificate.private_key_and_cert_chain_pem.tempfile() as path:
        context.load_cert_chain(path)


class Peer:
    """A server's side of TLS: bytes in, bytes out. What it decrypts is in `received`."""

    def __init__(self, context: ssl.SSLContext, reply: Callable[[bytes], bytes] | None = None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.is_established = False
        self.is_closed = False
        self.received = bytearray()
        self.error: ssl.SSLError | None = None
        self._reply = reply

    def talk(self, ciphertext: bytes) -> bytes:
        """Take bytes and return the answer."""
        self._incoming.write(ciphertext)
        try:
            self._go_on()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = self.error or error
        return self._outgoing.read()

    def say(self, plaintext: bytes) -> bytes:
        """Return the ciphertext of something."""
        self.tls.write(plaintext)
        return self._outgoing.read()

    def goodbye(self) -> bytes:
        """Return a close_notify."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass
        return self._outgoing.read()

    def _go_on(self) -> None:
        if not self.is_established:
            self.tls.do_handshake()
            self.is_established = True
        while True:
            plaintext = self.tls.read(65_536)
            if not plaintext:
                self.is_closed = True
                return
            self.received += plaintext
            if self._reply is not None:
                self.tls.write(self._reply(plaintext))


class PeerStream:
    """A stream whose other end is a peer, which answers at once; pieces of the answers are as long as told.

    Attributes:
        cut_after: so many bytes of the peer's are handed over, then the stream ends; None: it never does.
        error: what then is raised; by default the orderly end.
    """

    def __init__(self, peer: Any, *, piece: int = 65_536, cut_after: int | None = None) -> None:
        self.peer = peer
        self.piece = piece
        self.cut_after = cut_after
        self.error: Exception = anyio.EndOfStream()
        self.is_closed = False
        self.count = 0  # bytes of the peer's, handed over
        self.sent = bytearray()
        self._waiting = bytearray()
        self._news = anyio.Event()

    def put(self, data: bytes) -> None:
        """Have the peer say something by itself."""
        self._waiting += data
        self._news.set()

    async def send(self, item: bytes, /) -> None:
        await anyio.lowlevel.checkpoint()
        if self.is_closed:
            raise anyio.ClosedResourceError
        self.sent += item
        self.put(self.peer.talk(bytes(item)))

    async def receive(self, max_bytes: int = 65536, /) -> bytes:
        await anyio.lowlevel.checkpoint()
        while not self._waiting:
            if self.cut_after is not None:
                raise self.error
            self._news = anyio.Event()
            await self._news.wait()
        count = min(self.piece, max_bytes, len(self._waiting))
        if self.cut_after is not None:
            count = min(count, self.cut_after - self.count)
            if count <= 0:
                raise self.error
        data = bytes(self._waiting[:count])
        del self._waiting[:count]
        self.count += count
        return data

    async def aclose(self) -> None:
        self.is_closed = True

    def drain(self) -> bytes:
        """Take what was not received."""
        data = bytes(self._waiting)
        self._waiting.clear()
        return data


async def secure(stream: Any, context: ssl.SSLContext, host: str, port: int) -> LayeredStream:
    """Shake hands over a stream."""
    layered = LayeredStream(stream, TlsLayer(context, host, port))
    with in_words():
        await layered.open()
    return layered


class Says:
    """A peer that is no TLS server: it answers the first bytes with these."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def talk(self, ciphertext: bytes) -> bytes:
        answer, self.answer = self.answer, b""
        return answer


class Notes:
    """A receiver that keeps what it is told."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.pieces = 0
        self.writable = 0

    def on_bytes(self, data: bytes) -> None:
        self.data += data
        self.pieces += 1

    def on_writable(self) -> None:
        self.writable += 1


class GatedChannel:
    """A channel that is a stream too, as asyncio's, whose socket takes nothing while `is_open` is False."""

    def __init__(self, stream: PeerStream) -> None:
        self._stream = stream
        self.is_open = True
        self.held: list[bytes] = []
        self.receiver: Any = None
        self.send, self.receive, self.aclose = stream.send, stream.receive, stream.aclose

    def write(self, data: bytes) -> bool:
        self.held.append(data)
        return self.flush() if self.is_open else False

    def flush(self) -> bool:
        while self.held:
            answer = self._stream.peer.talk(self.held.pop(0))
            if answer:
                self.receiver.on_bytes(answer)
        return True

    async def serve(self, receiver: Any) -> None:
        self.receiver = receiver
        early = self._stream.drain()
        if early:
            receiver.on_bytes(early)
        await anyio.sleep_forever()

    def open(self) -> None:
        """Let one write through."""
        self.flush()
        self.receiver.on_writable()
