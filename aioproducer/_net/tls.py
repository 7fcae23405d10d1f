"""TLS as one layer from bytes to bytes: plaintext on one side, ciphertext on the other, no I/O.

Over OpenSSL's memory BIOs, so that there is one form for asyncio, uvloop, trio and streams in memory. CPU for each MiB
sent in requests of 16 KiB, TLS 1.3 AES-256-GCM over loopback: asyncio's own 2.4 ms, this 1.8; uvloop's own 2.6, this
1.5; trio's SSLStream 5.9, this 4.9.

Rules that hold here:
- after every operation, reads included, `take_outgoing` may have something: answers to new keys, alerts;
- nothing is renegotiated, resumed or half-closed: a close_notify ends the connection, and the end of the stream without
  one does too, as frames carry their length and cutting them cannot fake one;
- the words for what goes wrong are in `tls_errors`.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING, Final

from aioproducer._net.certificate import peer_certificate
from aioproducer._net.tls_errors import cut_error, name_error, tls_error, unheard_error
from aioproducer.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer._net.certificate import Certificate
    from aioproducer._net.tls_context import TlsContexts

HANDSHAKE_BYTES: Final = 262_144
"""More than any handshake; OpenSSL itself bounds a chain of certificates at 100 KiB."""

UNASKED_BYTES: Final = 65_536
"""What we answer to the peer's own messages of TLS while it takes nothing; who makes us keep more is no broker."""

_FIRST_BYTES: Final = 16
_RECORD_BYTES: Final = 16_384


class TlsLayer:
    """One connection's TLS, on the client's side; see `Layer`.

    With TLS 1.3 the broker judges our certificate after the handshake, so that its refusal comes with the first read.

    Attributes:
        is_ready: the handshake is done, as far as this side can tell.
        is_ended: the peer has said that nothing more comes (close_notify), or the session is broken.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        host: str,
        port: int,
        *,
        ours: Certificate | None = None,
        on_peer: Callable[[Certificate | None], None] | None = None,
    ) -> None:
        """Begin; nothing is made before `take_outgoing`.

        Args:
            context: for clients. SNI is sent even if it does not check names, as routers go by it.
            host, port: as dialled; the certificate has to be for the host, if the context checks that.
            ours: what the context shows of us, for messages.
            on_peer: is told the peer's certificate when it was accepted.

        Raises:
            KafkaConnectionError: the host is no name that a certificate could be for.
        """
        self._context = context
        self._address = (host, port)
        self._ours = ours
        self._on_peer = on_peer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        try:
            self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name_of(host))
        except ValueError as error:  # UnicodeError is one
            raise name_error(error, host, port) from error
        self._is_begun = False
        self._handshake_bytes = 0
        self._first_bytes = b""  # of the peer's, to tell who it is when it does not speak TLS
        self._has_received = False  # plaintext, so that the broker has accepted us
        self._error: Exception | None = None  # what followed the last plaintext
        self.is_ready = False
        self.is_ended = False

    @property
    def version(self) -> str | None:
        """What is spoken, such as "TLSv1.3"; None before the handshake."""
        return self._object.version()

    def feed(self, data: bytes) -> bytes:
        """See `Layer.feed`.

        Raises:
            AuthenticationError: a certificate was refused by either side, or there is no common way; `phase` is "tls".
            KafkaConnectionError: the peer does not speak TLS, or sends damaged bytes.
            ProtocolError: it sends a handshake, or requests for new keys, without end.
        """
        if self._error is not None:
            raise self._error
        if self.is_ended:
            return b""  # what follows a close_notify means nothing
        self._incoming.write(data)
        try:
            if not self.is_ready and not self._go_on(data):
                return b""
        except ssl.SSLError as error:
            raise self._told(error) from error
        return self._decrypted()

    def write(self, data: memoryview) -> None:
        """See `Layer.write`."""
        try:
            self._object.write(data)  # into memory: it takes all
        except ssl.SSLError:  # what has broken the session is told by the side that reads
            pass

    def take_outgoing(self) -> bytes:
        """See `Layer.take_outgoing`."""
        if not self._is_begun:
            self._is_begun = True
            self._go_on(b"")  # with nothing to read it cannot fail
        return self._outgoing.read() if self._outgoing.pending else b""

    def close(self) -> None:
        """See `Layer.close`. The peer's close_notify is not waited for."""
        if self.is_ready and self._error is None:
            try:
                self._object.unwrap()
            except ssl.SSLError:  # it wants to read the peer's
                pass

    def explained(self, error: Exception) -> Exception:
        """See `Layer.explained`."""
        if self._error is not None:
            return self._error
        if not self.is_ready:
            return cut_error(error, *self._address)
        return error if self._has_received else unheard_error(error, *self._address)

    def _go_on(self, data: bytes) -> bool:
        """Go on with the handshake. True: it is done."""
        self._handshake_bytes += len(data)
        if len(self._first_bytes) < _FIRST_BYTES:
            self._first_bytes = (self._first_bytes + data)[:_FIRST_BYTES]
        if self._handshake_bytes > HANDSHAKE_BYTES:
            raise ProtocolError(f"the TLS handshake went on for more than {HANDSHAKE_BYTES} bytes")
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.is_ready = True
        if self._on_peer is not None:
            self._on_peer(peer_certificate(self._object))
        return True

    def _decrypted(self) -> bytes:
        pieces: list[bytes] = []
        read, incoming, pending = self._object.read, self._incoming, self._object.pending
        # The exception at the end of the input costs 1 to 2 µs; usually it is known without.
        while incoming.pending or pending():
            try:
                piece = read(_RECORD_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                return self._broken(b"".join(pieces), error)
            if not piece:
                self.is_ended = True
                break
            pieces.append(piece)
        if self._outgoing.pending > UNASKED_BYTES:  # nothing of ours: that is written when this is empty
            raise ProtocolError("the peer asks for new TLS keys without end, and takes no answer")
        self._has_received = self._has_received or bool(pieces)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _broken(self, plaintext: bytes, error: ssl.SSLError) -> bytes:
        """What came before the error is handed over first."""
        told = self._told(error)
        told.__cause__ = error
        self._error = told
        if not plaintext:
            raise told
        self.is_ended = True
        return plaintext

    def _told(self, error: ssl.SSLError) -> Exception:
        first = b"" if self._has_received else self._first_bytes
        theirs = peer_certificate(self._object)
        return tls_error(error, self._context, *self._address, first_bytes=first, theirs=theirs, ours=self._ours)


class TlsStep:
    """The step that puts connections under TLS; see `SecureStep`."""

    name = "TLS handshake"

    def __init__(self, contexts: TlsContexts) -> None:
        """Take where contexts come from."""
        self._contexts = contexts
        self._endings = contexts.endings

    async def prepare(self) -> None:
        """Make the context, before there is a connection.

        Raises:
            ConfigurationError: something about its files is wrong.
        """
        await self._contexts.get()

    async def new_layer(self, host: str, port: int) -> TlsLayer:
        """See `SecureStep.new_layer`."""
        context = await self._contexts.get()
        look = partial(self._endings.look, f"the certificate of {host}:{port}")
        return TlsLayer(context, host, port, ours=self._contexts.ours, on_peer=look)


def server_name_of(host: str) -> str:
    """Return the name to ask for and to check, of the host that is dialled.

    Without a final dot, which some clusters advertise and Java's TLS refuses in SNI, and without the zone of an IPv6
    address. OpenSSL sends no SNI for an address and checks it against the addresses in the certificate.

    Example:
        >>> server_name_of("kafka-1.example."), server_name_of("fe80::1%eth0")
        ('kafka-1.example', 'fe80::1')
    """
    return host.partition("%")[0].removesuffix(".") if ":" in host else host.removesuffix(".")
