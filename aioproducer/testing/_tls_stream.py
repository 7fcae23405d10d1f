"""The brokers' side of TLS, over any stream of bytes.

Unlike anyio's, it sends its alert before it gives up: what is in it is all that a client whose certificate is refused
gets to know.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

import anyio

from aioproducer.testing._certificates import principal_of

if TYPE_CHECKING:
    from aioproducer.testing._server import ByteStream

_READ_BYTES: Final = 64 * 1024


class TlsStream:
    """A stream that is encrypted; one task may read while another writes. Made by `accept`."""

    def __init__(self, stream: ByteStream, context: ssl.SSLContext) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_flushing = False

    @classmethod
    async def accept(cls, stream: ByteStream, context: ssl.SSLContext) -> TlsStream:
        """Shake hands.

        Raises:
            ssl.SSLError: the client does not speak TLS, or its certificate is refused.
            anyio.EndOfStream: it went away.
        """
        made = cls(stream, context)
        while True:
            try:
                made._tls.do_handshake()
            except ssl.SSLWantReadError:
                await made._flush()
                await made._fill()
            except ssl.SSLError:
                await made._flush()
                raise
            else:
                await made._flush()
                return made

    @property
    def principal(self) -> str | None:
        """Who the client is by its certificate; None without one."""
        certificate = self._tls.getpeercert()
        if not certificate:
            return None
        subject: Any = certificate["subject"]  # typeshed has one type for all that is in a certificate
        return principal_of(subject)

    async def receive(self, max_bytes: int = _READ_BYTES) -> bytes:
        """Wait for some bytes.

        Raises:
            anyio.EndOfStream: the client has closed it.
            ssl.SSLError: what came is no TLS.
        """
        while True:
            try:
                data = self._tls.read(max_bytes)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
                continue
            except ssl.SSLZeroReturnError:
                raise anyio.EndOfStream from None
            except ssl.SSLError:
                await self._flush()
                raise
            if not data:
                raise anyio.EndOfStream
            return data

    async def send(self, item: bytes) -> None:
        """Return when all bytes are with the socket, or with the task that sends already."""
        self._tls.write(item)
        await self._flush()

    async def aclose(self) -> None:
        """Say goodbye without waiting for an answer, and close."""
        try:
            try:
                self._tls.unwrap()
            except (ssl.SSLError, ValueError):
                pass  # the client's goodbye is not waited for
            await self._flush()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            pass  # the client is gone
        finally:
            await self._stream.aclose()

    async def _fill(self) -> None:
        self._incoming.write(await self._stream.receive(_READ_BYTES))

    async def _flush(self) -> None:
        # Whoever is sending already sends what is added meanwhile: two tasks must not write to a stream at once.
        if self._is_flushing:
            return
        self._is_flushing = True
        try:
            while self._outgoing.pending:
                await self._stream.send(self._outgoing.read())
        finally:
            self._is_flushing = False
