"""One connection to one broker: open it, agree on versions, write frames, read frames."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final, cast

import anyio
from anyio.abc import ByteStream, SocketAttribute

from aioproducer._wire.frames import FrameBuffer
from aioproducer._wire.negotiation import BrokerVersions, Handshake
from aioproducer.errors import KafkaConnectionError

_READ_BYTES: Final = 65_536

Connector = Callable[[str, int], Awaitable[ByteStream]]
"""How a byte stream to (host, port) is opened; replaced in simulations by one that needs no network."""


def tcp_connector(send_buffer_bytes: int, receive_buffer_bytes: int) -> Connector:
    """Return a connector for TCP. Resolves the name at each call and tries all of its addresses (Happy Eyeballs, RFC
    8305).

    Args:
        send_buffer_bytes: SO_SNDBUF in bytes; -1 leaves it to the system.
        receive_buffer_bytes: SO_RCVBUF in bytes; -1 leaves it to the system.
    """

    async def connect(host: str, port: int) -> ByteStream:
        stream = await anyio.connect_tcp(host, port)
        raw = stream.extra(SocketAttribute.raw_socket)
        if send_buffer_bytes >= 0:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        if receive_buffer_bytes >= 0:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        return stream

    return connect


class Connection:
    """An open connection whose versions are known.

    One task may write while another reads. After any error the connection is of no more use; `aclose` it.
    """

    def __init__(self, stream: ByteStream, buffer: FrameBuffer, versions: BrokerVersions) -> None:
        self._stream = stream
        self._buffer = buffer
        self.versions = versions

    async def write(self, frame: bytes) -> None:
        """Hand all bytes of a frame to the socket.

        Cancellation leaves an unknown part of it written: close the connection then.

        Raises:
            KafkaConnectionError: the connection is lost.
        """
        try:
            await self._stream.send(frame)
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise KafkaConnectionError(f"the connection broke while a request was written: {_reason(error)}") from error

    async def read_frames(self) -> list[bytes]:
        """Wait for bytes and return the frames that are now complete, without their length prefix; maybe none.

        Raises:
            KafkaConnectionError: the broker closed the connection, or it broke.
            ProtocolError: a length that no broker sends.
        """
        return self._buffer.feed(await _receive(self._stream))

    async def aclose(self) -> None:
        """Close the socket at once, without waiting for the peer."""
        await anyio.aclose_forcefully(self._stream)


async def open_connection(
    connect: Connector, host: str, port: int, client_id: str, answer_timeout: float | None = None
) -> Connection:
    """Connect and learn which versions the broker speaks (ApiVersions; KIP-511 for the software name).

    The caller bounds it in time. Cancelled or failed, it leaves no socket open.

    Args:
        connect: opens the byte stream.
        host, port: whereto.
        client_id: our name for ourselves.
        answer_timeout: seconds that the broker may take to answer once the stream is open, as for any request.

    Raises:
        TimeoutError: it did not answer in time.
        KafkaConnectionError: refused, unreachable, unknown name, or closed during the handshake.
        UnsupportedVersionError: the broker is too old.
        ProtocolError: whoever listens there does not speak Kafka's protocol.
    """
    try:
        stream = await connect(host, port)
    except OSError as error:
        raise KafkaConnectionError(
            f"cannot connect to {host}:{port}: {_reason(error)}", address=(host, port)
        ) from error
    try:
        buffer = FrameBuffer()
        with anyio.fail_after(answer_timeout):
            versions = await _handshake(stream, buffer, Handshake(client_id))
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    return Connection(stream, buffer, versions)


async def _handshake(stream: ByteStream, buffer: FrameBuffer, handshake: Handshake) -> BrokerVersions:
    request = handshake.first_request()
    while True:
        try:
            await stream.send(request)
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise KafkaConnectionError(f"closed during the ApiVersions exchange: {_reason(error)}") from error
        frames: list[bytes] = []
        while not frames:
            frames = buffer.feed(await _receive(stream))
        answer = handshake.on_response(frames[0])
        if isinstance(answer, BrokerVersions):
            return answer
        request = answer


async def _receive(stream: ByteStream) -> bytes:
    try:
        return await stream.receive(_READ_BYTES)
    except anyio.EndOfStream as error:
        raise KafkaConnectionError("the broker closed the connection") from error
    except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise KafkaConnectionError(f"the connection broke: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The words of the system, "Connection refused", rather than those of a library or an address that is known."""
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    if isinstance(root, BaseExceptionGroup):  # one for each address of a name
        group = cast("BaseExceptionGroup[BaseException]", root)
        return ", ".join(dict.fromkeys(map(_reason, group.exceptions)))
    if isinstance(root, OSError):
        if root.errno is not None and not isinstance(root, socket.gaierror):
            return os.strerror(root.errno)
        return root.strerror or str(root) or type(root).__name__
    return str(root) or type(root).__name__
