"""An open connection to a broker: frames out, frames in. `dialer` opens it."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, cast

import anyio

from aioproducer._backend import Channel
from aioproducer._backend.ending import ends_this_task
from aioproducer._net.task_channel import TaskChannel
from aioproducer.errors import KafkaConnectionError, KafkaError
from aioproducer.errors._redact import redacted

if TYPE_CHECKING:
    from collections.abc import Generator

    from aioproducer._backend import Stream
    from aioproducer._wire.frames import FrameBuffer

READ_BYTES: Final = 65_536
BROKEN: Final = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)


class FrameReceiver(Protocol):
    """Who is notified of what happens on a connection. Called outside of the caller's task."""

    def on_frames(self, frames: list[bytes]) -> None:
        """Frames are complete, without their length prefix. May raise what then ends the connection."""
        ...

    def on_writable(self) -> None:
        """All bytes of the last write that returned False are with the socket."""
        ...


class Connection:
    """Frames over one stream. After any error it is of no more use; `aclose` it.

    A task that asks and waits uses `send` and `read_frames`; a producer, which does neither, `serve` and `write`.
    """

    def __init__(self, stream: Stream, buffer: FrameBuffer) -> None:
        self._stream = stream
        self._channel = stream if isinstance(stream, Channel) else TaskChannel(stream)
        self._buffer = buffer
        self._receivers_error: Exception | None = None

    async def send(self, frame: bytes) -> None:
        """Return when the bytes of a frame are with the socket. Cancelled, an unknown part of it is: close it then.

        Raises:
            KafkaConnectionError: the connection is lost.
        """
        with in_words("the connection broke while a request was written"):
            await self._stream.send(frame)

    async def read_frames(self) -> list[bytes]:
        """Wait for bytes and return the frames that are now complete, without their length prefix; maybe none.

        Raises:
            KafkaConnectionError: the broker closed the connection, or it broke.
            ProtocolError: a length that no broker sends.
        """
        with in_words():
            data = await self._stream.receive(READ_BYTES)
        return self._buffer.feed(data)

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
        try:
            with in_words():
                await self._channel.serve(self)
        except KafkaConnectionError:
            if self._receivers_error is not None:
                raise self._receivers_error from None
            raise

    def on_bytes(self, data: bytes) -> None:
        """See `Receiver.on_bytes`."""
        frames = self._buffer.feed(data)
        if frames:
            try:
                self._receiver.on_frames(frames)
            except Exception as error:
                self._receivers_error = error  # it passes through the stream, and is no error of the stream's
                raise

    def on_writable(self) -> None:
        """See `Receiver.on_writable`."""
        try:
            self._receiver.on_writable()
        except Exception as error:
            self._receivers_error = error
            raise

    async def aclose(self) -> None:
        """Close the socket at once, without waiting for the peer."""
        await close(self._stream)


async def close(stream: Stream) -> None:
    """Close a stream at once, without waiting for the peer."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await stream.aclose()
        except BaseException as error:
            if ends_this_task(error):
                raise
            # There is nothing more to be had of it, and nobody to tell: what matters was said before.


@contextmanager
def in_words(what: str = "the connection broke") -> Generator[None]:
    """Raise whatever comes out of a stream as a KafkaConnectionError: it is that connection's end, and nothing else's.

    The one place for that. A stream may be one that `connect=` has returned, and raise any class of its library's.
    """
    try:
        yield
    except KafkaError:
        raise
    except anyio.EndOfStream as error:
        raise KafkaConnectionError("the broker closed the connection") from error
    except BROKEN as error:
        raise KafkaConnectionError(f"{what}: {reason(error)}") from error
    except BaseException as error:
        if ends_this_task(error):
            raise
        # Not its words: whoever was given a request to write may quote it.
        raise KafkaConnectionError(f"{what}: {type(error).__name__}") from redacted(error)


def reason(error: BaseException) -> str:
    """Return the words of the system, "Connection refused", not those of a library or an address that is known."""
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    if isinstance(root, BaseExceptionGroup):  # one for each address of a name
        group = cast("BaseExceptionGroup[BaseException]", root)
        return ", ".join(dict.fromkeys(map(reason, group.exceptions)))
    if isinstance(root, OSError):
        if root.errno is not None and not isinstance(root, socket.gaierror):
            return os.strerror(root.errno)
        return root.strerror or str(root) or type(root).__name__
    return str(root) or type(root).__name__
