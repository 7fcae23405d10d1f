"""A connection under TLS: the handshake over a stream, and then a stream and a channel like those beneath it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import anyio

from aioproducer._backend import Channel
from aioproducer._net.task_channel import TaskChannel
from aioproducer._net.tls import SLICE_BYTES, TlsSession, server_name_of
from aioproducer._net.tls_errors import cut_error, name_error, tls_error, unheard_error
from aioproducer.errors import KafkaError, ProtocolError

if TYPE_CHECKING:
    from aioproducer._backend import Receiver, Stream

_READ_BYTES: Final = 65_536
_LOST: Final = (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
_CLOSE_SECONDS: Final = 0.05
"""For the 24 bytes of a close_notify, where a task has to send them; they are not worth more."""

UNASKED_BYTES: Final = 65_536
"""What we answer to the peer's own messages of TLS while it takes nothing; who makes us keep more is no broker."""


async def secure(stream: Stream, context: ssl.SSLContext, host: str, port: int) -> TlsStream:
    """Shake hands, and return the connection under TLS. Bounded in time by the caller, who closes the stream if this
    raises or is cancelled.

    Args:
        stream: just opened.
        context: for clients.
        host, port: as dialled; the certificate has to be for the host, if the context checks that.

    Raises:
        AuthenticationError: a certificate was refused by either side, or there is no common way; `phase` is "tls".
        KafkaConnectionError: the peer cut the handshake, or does not speak TLS.
    """
    try:
        session = TlsSession(context, server_name_of(host))
    except ValueError as error:  # UnicodeError is one
        raise name_error(error, host, port) from error
    secured = TlsStream(stream, session, context, (host, port))
    while not await secured.handshake():
        pass
    return secured


class TlsStream:
    """A `Stream`, and a `Channel`, over one without TLS. Not for several tasks at once: reading may have to write.

    The contract of `Channel.write` holds for the ciphertext: False until all of it is with the socket, and a slice is
    encrypted only when the socket has taken the one before.
    """

    def __init__(self, stream: Stream, session: TlsSession, context: ssl.SSLContext, address: tuple[str, int]) -> None:
        self._stream = stream
        self._session = session
        self._context = context
        self._address = address
        self._plaintext = b""  # decrypted and not asked for yet
        self._error: Exception | None = None  # what ends this, once the plaintext before it was handed over
        self._channel = stream if isinstance(stream, Channel) else TaskChannel(stream)
        self._rest: memoryview | None = None  # of a write, not encrypted yet
        self._is_blocked = False  # the channel beneath has not taken all
        self._is_awaited = False  # `on_writable` is owed to the receiver
        self._unasked = 0

    @property
    def version(self) -> str | None:
        """What is spoken, such as "TLSv1.3"."""
        return self._session.version

    # ── as a stream ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def handshake(self) -> bool:
        """Do one step of the handshake: what we have to say, and what answers it. True: it is done."""
        session = self._session
        try:
            is_done = session.handshake()
        except ssl.SSLError as error:
            await self._flush_if_possible()  # our alert tells the broker's log why
            raise self._told(error) from error
        lost = await self._flush_if_possible()
        if lost is None and is_done:
            return True
        try:
            # Also after a failed write: the alert that says why the broker has closed may be there.
            session.put(await self._stream.receive(_READ_BYTES))
        except ssl.SSLError as error:
            raise self._told(error) from error
        except _LOST as error:
            raise cut_error(lost or error, *self._address) from error
        return False

    async def send(self, item: bytes, /) -> None:
        """See `Stream.send`."""
        view = memoryview(item)
        for at in range(0, len(view), SLICE_BYTES):
            self._session.encrypt(view[at : at + SLICE_BYTES])
            await self._flush()

    async def receive(self, max_bytes: int = 65536, /) -> bytes:
        """See `Stream.receive`."""
        self._decrypt()
        while not self._plaintext:
            await self._flush()
            if self._error is not None:
                raise self._error
            await self._read_more()
            self._decrypt()
        await self._flush()
        plaintext, self._plaintext = self._plaintext[:max_bytes], self._plaintext[max_bytes:]
        return plaintext

    async def aclose(self) -> None:
        """Close the socket at once, after a word of it to the peer if that can be said without waiting."""
        if not self._is_blocked and not isinstance(self._error, KafkaError):
            await self._say_goodbye()
        await self._stream.aclose()

    async def _read_more(self) -> None:
        try:
            self._session.put(await self._stream.receive(_READ_BYTES))
        except _LOST as error:
            if self._session.has_received:
                raise
            raise unheard_error(error, *self._address) from error

    async def _flush_if_possible(self) -> Exception | None:
        try:
            await self._flush()
        except _LOST as error:
            return error
        return None

    async def _flush(self) -> None:
        ciphertext = self._session.take()
        if ciphertext:
            await self._stream.send(ciphertext)

    async def _say_goodbye(self) -> None:
        self._session.close()
        ciphertext = self._session.take()
        if not ciphertext:
            return
        if self._channel is self._stream:
            self._channel.write(ciphertext)
            return
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            try:
                await self._stream.send(ciphertext)
            except (*_LOST, anyio.BusyResourceError):
                pass

    # ── as a channel ─────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, data: bytes) -> bool:
        """See `Channel.write`."""
        assert self._rest is None, "nothing is written before on_writable"
        self._rest = memoryview(data)
        self._is_awaited = not self._pump()
        return not self._is_awaited

    async def serve(self, receiver: Receiver) -> None:
        """See `Channel.serve`."""
        self._receiver = receiver
        self._take_in()
        try:
            await self._channel.serve(self)
        except _LOST as error:
            if self._session.has_received or error is self._error:
                raise
            raise unheard_error(error, *self._address) from error

    def on_bytes(self, data: bytes) -> None:
        """See `Receiver.on_bytes`: ciphertext came."""
        if self._error is not None:
            return  # what follows the end means nothing
        try:
            self._session.put(data)
        except ssl.SSLError as error:
            self._error = self._told(error)
            raise self._error from error
        self._take_in()

    def on_writable(self) -> None:
        """See `Receiver.on_writable`: all ciphertext is with the socket."""
        self._is_blocked = False
        self._unasked = 0
        if self._is_awaited and self._pump():
            self._is_awaited = False
            self._receiver.on_writable()

    def _take_in(self) -> None:
        """Hand over what can be decrypted, then raise what ends the connection."""
        self._decrypt()
        ciphertext = self._session.take()
        if ciphertext:
            self._write_unasked(ciphertext)
        if self._plaintext:
            plaintext, self._plaintext = self._plaintext, b""
            self._receiver.on_bytes(plaintext)
        if self._error is not None:
            raise self._error

    def _write_unasked(self, ciphertext: bytes) -> None:
        # An alert, or the answer to a key update: a few bytes, in the order in which OpenSSL numbered its records.
        self._unasked += len(ciphertext)
        if self._unasked > UNASKED_BYTES and self._is_blocked:
            self._error = ProtocolError("the peer asks for TLS key updates without end and takes no answer")
        elif not self._channel.write(ciphertext):
            self._is_blocked = True

    def _pump(self) -> bool:
        """Encrypt and write as long as the channel takes it. True: all is with the socket."""
        while not self._is_blocked and self._rest is not None:
            rest = self._rest
            self._rest = rest[SLICE_BYTES:] if len(rest) > SLICE_BYTES else None
            try:
                self._session.encrypt(rest[:SLICE_BYTES])
            except ssl.SSLError:  # the read side says why, or the connection's end
                self._rest = None
                return False
            self._is_blocked = not self._channel.write(self._session.take())
        return not self._is_blocked and self._rest is None

    # ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _decrypt(self) -> None:
        plaintext, error = self._session.read()
        self._plaintext = self._plaintext + plaintext if self._plaintext else plaintext
        if error is not None:
            self._error = self._told(error)
            self._error.__cause__ = error
        elif self._session.is_ended:
            self._error = anyio.EndOfStream()

    def _told(self, error: ssl.SSLError) -> Exception:
        return tls_error(error, self._session, self._context, *self._address)
