"""_net/connection.py over a stream in memory: no network."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from aioproducer._net.connection import Connection
from aioproducer._wire.frames import FrameBuffer, encode_request
from aioproducer._wire.messages.metadata import MetadataRequest
from aioproducer.errors import KafkaConnectionError, ProtocolError
from tests.unit._net.script import Script


def connection(*answers: bytes | Exception | None) -> Connection:
    return Connection(Script(*answers), FrameBuffer())


async def test_frames_are_returned_when_they_are_complete() -> None:
    frame = encode_request(MetadataRequest(topics=None), 9, 1, "x")
    opened = connection(frame[:5], frame[5:] + frame + frame[:3])
    assert await opened.read_frames() == []
    assert await opened.read_frames() == [frame[4:], frame[4:]]


@pytest.mark.parametrize("error", [anyio.BrokenResourceError(), anyio.ClosedResourceError(), OSError(32, "pipe")])
async def test_a_broken_connection_is_a_kafka_connection_error(error: Exception) -> None:
    with pytest.raises(KafkaConnectionError, match="broke"):
        await connection(error).read_frames()


async def test_the_end_of_the_stream_is_a_kafka_connection_error() -> None:
    with pytest.raises(KafkaConnectionError, match="closed"):
        await connection(None).read_frames()


async def test_a_length_that_no_broker_sends_is_refused() -> None:
    with pytest.raises(ProtocolError):
        await connection(b"\x7f\xff\xff\xff").read_frames()


class Mistaken:
    """A receiver with a mistake of its own."""

    def on_frames(self, frames: list[bytes]) -> None:
        raise AssertionError("a mistake in the core")

    def on_writable(self) -> None:
        raise NotImplementedError


async def test_a_mistake_of_the_receivers_is_not_the_connections() -> None:
    frame = encode_request(MetadataRequest(topics=None), 9, 1, "x")
    with pytest.raises(AssertionError, match="a mistake in the core"):
        await connection(frame).serve(Mistaken())


async def test_what_no_stream_promises_to_raise_is_the_connections_end() -> None:
    class NoPromise(Script):
        async def receive(self, max_bytes: int = 65536) -> bytes:
            raise asyncio.CancelledError

    with pytest.raises(KafkaConnectionError, match="the connection broke: CancelledError"):
        await Connection(NoPromise(), FrameBuffer()).read_frames()
