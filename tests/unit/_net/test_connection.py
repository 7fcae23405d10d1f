"""_net/connection.py over streams in memory: no network."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from aioproducer._net.connection import Connection, open_connection
from aioproducer._wire.frames import decode_request, encode_request, encode_response
from aioproducer._wire.messages.api_versions import ApiVersion, ApiVersionsResponse
from aioproducer._wire.messages.metadata import MetadataRequest
from aioproducer.errors import KafkaConnectionError, ProtocolError, UnsupportedVersionError

PRODUCE, METADATA, API_VERSIONS = 0, 3, 18


class Script(ByteStream):
    """A broker that answers each send with the next bytes of a list; None closes."""

    def __init__(self, *answers: bytes | Exception | None) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []
        self.is_closed = False

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append(item)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            raise anyio.EndOfStream
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def send_eof(self) -> None:
        raise AssertionError("a producer never closes one half")

    async def aclose(self) -> None:
        self.is_closed = True

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {}


def api_versions(version: int = 4, produce: tuple[int, int] = (0, 13), error_code: int = 0) -> bytes:
    """The answer to the first request of a connection."""
    keys = [
        ApiVersion(api_key=PRODUCE, min_version=produce[0], max_version=produce[1]),
        ApiVersion(api_key=METADATA, min_version=0, max_version=13),
        ApiVersion(api_key=API_VERSIONS, min_version=0, max_version=4),
    ]
    return encode_response(ApiVersionsResponse(error_code=error_code, api_keys=keys), version, 0)


async def connect(stream: Script) -> Connection:
    async def connector(host: str, port: int) -> ByteStream:
        return stream

    return await open_connection(connector, "broker", 9092, "me")


async def test_an_open_connection_knows_the_brokers_versions() -> None:
    stream = Script(api_versions())
    connection = await connect(stream)
    header, _ = decode_request(stream.sent[0][4:])
    assert (header.api_key, header.api_version, header.client_id) == (API_VERSIONS, 4, "me")
    assert connection.versions.usable(PRODUCE) == 13
    assert not stream.is_closed


async def test_the_answer_may_come_in_pieces() -> None:
    answer = api_versions()
    connection = await connect(Script(*[answer[at : at + 1] for at in range(len(answer))]))
    assert connection.versions.usable(METADATA) == 13


async def test_frames_are_returned_when_they_are_complete() -> None:
    frame = encode_request(MetadataRequest(topics=None), 9, 1, "x")
    stream = Script(api_versions(), frame[:5], frame[5:] + frame + frame[:3])
    connection = await connect(stream)
    assert await connection.read_frames() == []
    assert await connection.read_frames() == [frame[4:], frame[4:]]


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ((), KafkaConnectionError),
        ((b"\0\0",), KafkaConnectionError),
        ((b"HTTP/1.1 400 Bad Request\r\n",), ProtocolError),
        ((b"\0\0\0\2\0\0",), ProtocolError),
        ((ConnectionResetError(104, "reset"),), KafkaConnectionError),
        ((api_versions(produce=(0, 1)),), UnsupportedVersionError),
        ((api_versions()[:-1] + b"\1",), ProtocolError),
    ],
)
async def test_a_failed_handshake_closes_the_stream(
    answers: tuple[bytes | Exception, ...], error: type[Exception]
) -> None:
    stream = Script(*answers)
    with pytest.raises(error):
        await connect(stream)
    assert stream.is_closed


async def test_a_cancelled_handshake_closes_the_stream() -> None:
    stream = Script(api_versions())
    with anyio.CancelScope() as scope:
        scope.cancel()
        await connect(stream)
    assert scope.cancelled_caught
    assert stream.is_closed


async def _fail(error: OSError, cause: BaseException | None = None) -> str:
    async def connector(host: str, port: int) -> ByteStream:
        raise error from cause

    with pytest.raises(KafkaConnectionError) as caught:
        await open_connection(connector, "broker", 9092, "me")
    assert caught.value.address == ("broker", 9092)
    return str(caught.value)


async def test_a_refused_connection_is_told_in_the_words_of_the_system() -> None:
    told = await _fail(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9092)"))
    assert told == "cannot connect to broker:9092: Connection refused"


async def test_several_addresses_that_fail_are_told_of_once_for_each_reason() -> None:
    refused = [ConnectionRefusedError(111, f"Connect call failed ('127.0.0.{n}', 9092)") for n in (1, 2)]
    group = ExceptionGroup("several", [*refused, OSError(113, "whatever")])
    told = await _fail(OSError("All connection attempts failed"), group)
    assert told == "cannot connect to broker:9092: Connection refused, No route to host"


async def test_an_unknown_name_is_told_as_such() -> None:
    told = await _fail(socket.gaierror(-2, "Name or service not known"))
    assert told == "cannot connect to broker:9092: Name or service not known"


@pytest.mark.parametrize("error", [anyio.BrokenResourceError(), anyio.ClosedResourceError(), OSError(32, "pipe")])
async def test_a_broken_connection_is_a_kafka_connection_error(error: Exception) -> None:
    connection = await connect(Script(api_versions(), error))
    with pytest.raises(KafkaConnectionError, match="broke"):
        await connection.read_frames()


async def test_the_end_of_the_stream_is_a_kafka_connection_error() -> None:
    connection = await connect(Script(api_versions()))
    with pytest.raises(KafkaConnectionError, match="closed"):
        await connection.read_frames()


async def test_a_length_that_no_broker_sends_is_refused() -> None:
    connection = await connect(Script(api_versions(), b"\x7f\xff\xff\xff"))
    with pytest.raises(ProtocolError):
        await connection.read_frames()
