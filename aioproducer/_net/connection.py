"""One connection to one broker: open it, agree on versions, write frames, read frames."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, cast

import anyio

from aioproducer._backend import Channel
from aioproducer._net.task_channel import TaskChannel
from aioproducer._wire.frames import FrameBuffer
from aioproducer._wire.negotiation import BrokerVersions, Handshake
from aioproducer.errors import KafkaConnectionError

if TYPE_CHECKING:
    from collections.abc import Generator

    from aioproducer._backend import Connector, Stream

_READ_BYTES: Final = 65_536
_BROKEN: Final = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)


class FrameReceiver(Protocol):
    """Who is told what happens on a connection. Called outside of the caller's task."""

    def on_frames(self, frames: list[bytes]) -> None:
        """Frames are complete, without their length prefix. May raise what then ends the connection."""
        ...

    def on_writable(self) -> None:
        """All bytes of the last write that returned False are with the socket."""
        ...


class Connection:
    """An open connection whose versions are known. After any error it is of no more use; `aclose` it.

    A task that asks and waits uses `send` and `read_frames`; a producer, which does neither, `serve` and `write`.
    """

    def __init__(self, channel: Channel, stream: Stream, buffer: FrameBuffer, versions: BrokerVersions) -> None:
        self._channel = channel
        self._stream = stream
        self._buffer = buffer
        self.versions = versions

    async def send(self, frame: bytes) -> None:
        """Return when the bytes of a frame are with the socket. Cancelled, an unknown part of it is: close it then.

        Raises:
            KafkaConnectionError: the connection is lost.
        """
        try:
            await self._stream.send(frame)
        except _BROKEN as error:
            raise KafkaConnectionError(f"the connection broke while a request was written: {_reason(error)}") from error

    async def read_frames(self) -> list[bytes]:
        """Wait for bytes and return the frames that are now complete, without their length prefix; maybe none.

        Raises:
            KafkaConnectionError: the broker closed the connection, or it broke.
            ProtocolError: a length that no broker sends.
        """
        return self._buffer.feed(await _receive(self._stream))

    def write(self, frame: bytes) -> bool:
        """Write a frame. False: it is not all with the socket yet; write nothing more before `on_writable`."""
        return self._channel.write(frame)

    async def serve(self, receiver: FrameReceiver) -> None:
        """Hand over what comes until the connection ends; that is, until this raises.

        Raises:
            KafkaConnectionError: the broker closed the connection, or it broke.
            ProtocolError: a length that no broker sends.
            Exception: what the receiver raised.
        """
        self._receiver = receiver
        with _told():
            await self._channel.serve(self)

    def on_bytes(self, data: bytes) -> None:
        """See `Receiver.on_bytes`."""
        frames = self._buffer.feed(data)
        if frames:
            self._receiver.on_frames(frames)

    def on_writable(self) -> None:
        """See `Receiver.on_writable`."""
        self._receiver.on_writable()

    async def aclose(self) -> None:
        """Close the socket at once, without waiting for the peer."""
        await _close(self._stream)


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
        await _close(stream)
        raise
    channel = stream if isinstance(stream, Channel) else TaskChannel(stream)
    return Connection(channel, stream, buffer, versions)


async def _close(stream: Stream) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await stream.aclose()


async def _handshake(stream: Stream, buffer: FrameBuffer, handshake: Handshake) -> BrokerVersions:
    request = handshake.first_request()
    while True:
        try:
            await stream.send(request)
        except _BROKEN as error:
            raise KafkaConnectionError(f"closed during the ApiVersions exchange: {_reason(error)}") from error
        frames: list[bytes] = []
        while not frames:
            frames = buffer.feed(await _receive(stream))
        answer = handshake.on_response(frames[0])
        if isinstance(answer, BrokerVersions):
            return answer
        request = answer


async def _receive(stream: Stream) -> bytes:
    with _told():
        return await stream.receive(_READ_BYTES)


@contextmanager
def _told() -> Generator[None]:
    """Tell of the end of a stream in words of Kafka."""
    try:
        yield
    except anyio.EndOfStream as error:
        raise KafkaConnectionError("the broker closed the connection") from error
    except _BROKEN as error:
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
