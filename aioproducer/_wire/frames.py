"""Frames, in which messages travel: length, header, body.

A frame is an int32 length and that many bytes: a header, whose version follows from the request's, and the body.
Functions that encode return all of it; those that decode take a frame without its length, as `FrameBuffer` gives it.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._wire.messages import REQUESTS, RESPONSES, ApiKey
from aioproducer._wire.primitives import Reader, skip_tagged_fields
from aioproducer.errors import ProtocolError

if TYPE_CHECKING:
    from aioproducer._wire.schema import Request, Response

MAX_FRAME_BYTES: Final = 100 * 1024 * 1024
"""Longest frame that is accepted, without its length: socket.request.max.bytes of brokers."""

_LENGTH_BYTES: Final = 4
_LENGTH: Final = struct.Struct(">i")
_REQUEST_HEADER: Final = struct.Struct(">hhi")
_REQUEST_FRAME: Final = struct.Struct(">ihhih")
_RESPONSE_FRAME: Final = struct.Struct(">ii")
_NO_TAGGED_FIELDS: Final = b"\0"


class RequestHeader(NamedTuple):
    """Who asks what: the header of a request, in versions 1 and 2.

    Attributes:
        correlation_id: the response will have the same.
        client_id: the client's name for itself, or None.
    """

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None


def encode_request(message: Request, version: int, correlation_id: int, client_id: str | None) -> bytes:
    """Return the whole frame of a request; its records are copied once, into it.

    Args:
        version: a version of the message; it decides the header's, too.
        correlation_id: int32; the response repeats it.
        client_id: at most 32,767 bytes in UTF-8.

    Raises:
        UnsupportedVersionError: a field that the version lacks has a value that must not be dropped.
        TypeError, ValueError: a value does not fit its field.
    """
    parts = message.encode_parts(version)
    name = b"" if client_id is None else client_id.encode()
    name_size = -1 if client_id is None else len(name)
    flexible_from = message.flexible_from
    tagged = _NO_TAGGED_FIELDS if flexible_from is not None and version >= flexible_from else b""
    size = _REQUEST_FRAME.size - _LENGTH_BYTES + len(name) + len(tagged) + sum(map(len, parts))
    start = _REQUEST_FRAME.pack(size, message.api_key, version, correlation_id, name_size)
    return b"".join([start, name, tagged, *parts])


def encode_response(message: Response, version: int, correlation_id: int) -> bytes:
    """Return the whole frame of a response.

    Raises:
        UnsupportedVersionError: a field that the version lacks has a value that must not be dropped.
        TypeError, ValueError: a value does not fit its field.
    """
    parts = message.encode_parts(version)
    tagged = _NO_TAGGED_FIELDS if _has_flexible_header(type(message), version) else b""
    size = _RESPONSE_FRAME.size - _LENGTH_BYTES + len(tagged) + sum(map(len, parts))
    return b"".join([_RESPONSE_FRAME.pack(size, correlation_id), tagged, *parts])


def decode_request(frame: bytes) -> tuple[RequestHeader, memoryview]:
    """Return (header, body) of a request, for a broker.

    A version or request that is not known here is no error, so that a broker can answer it. The body of an unknown
    request is what follows the client id.

    Raises:
        ProtocolError: the header is not complete, or not UTF-8.
    """
    reader = Reader(frame)
    api_key, version, correlation_id = reader.fixed(_REQUEST_HEADER)
    client_id = reader.nullable_string()
    request = REQUESTS.get(api_key)
    if request is not None and request.is_flexible_in(version):
        reader.skip_tagged_fields()
    return RequestHeader(api_key, version, correlation_id, client_id), memoryview(frame)[reader.position :]


def decode_request_body(api_key: int, version: int, body: bytes | memoryview) -> Request:
    """Return the request in a body, for a broker.

    Raises:
        ProtocolError: no such request or version is known here, or the bytes are not one.
    """
    request = REQUESTS.get(api_key)
    if request is None or not request.min_version <= version <= request.max_version:
        raise ProtocolError(f"request {api_key} version {version} is not known here")
    return request.decode(body, version)


def decode_response_header(frame: bytes, api_key: int, version: int) -> tuple[int, memoryview]:
    """Return (correlation id, body) of a response.

    Args:
        frame: without its length.
        api_key, version: of the request that it is thought to answer.

    Raises:
        ProtocolError: the header is not complete.
    """
    reader = Reader(frame)
    (correlation_id,) = reader.fixed(_LENGTH)
    if _has_flexible_header(RESPONSES[api_key], version):
        reader.skip_tagged_fields()
    return correlation_id, memoryview(frame)[reader.position :]


def decode_response(frame: bytes, api_key: int, version: int, correlation_id: int) -> Response:
    """Return the response that is due next on a connection.

    Args:
        frame: without its length.
        api_key, version, correlation_id: of the request that it answers.

    Raises:
        ProtocolError: it answers another one, or the bytes are no such response.
    """
    response, has_flexible_header = _form_of_response(api_key, version)
    position = _LENGTH_BYTES
    if len(frame) <= position:
        raise ProtocolError(f"a response of {len(frame)} bytes has no body")
    (answered,) = _LENGTH.unpack_from(frame)
    if answered != correlation_id:
        raise ProtocolError(f"the broker answered request {answered}; the next is {correlation_id}")
    if has_flexible_header:
        position = position + 1 if frame[position] == 0 else skip_tagged_fields(frame, position)
    return response.decode(frame, version, position)


@cache  # one entry for each version of each message that is spoken
def _form_of_response(api_key: int, version: int) -> tuple[type[Response], bool]:
    response = RESPONSES[api_key]
    return response, _has_flexible_header(response, version)


def _has_flexible_header(response: type[Response], version: int) -> bool:
    # A client that asks for a version of ApiVersions which the broker lacks must be able to read the answer, so its
    # header never became flexible (KIP-511).
    return response.api_key != ApiKey.API_VERSIONS and response.is_flexible_in(version)


class FrameBuffer:
    """Puts received bytes together to frames.

    Bytes of a frame that is not complete yet are kept as they came and joined once, so the cost is proportional to the
    bytes however they are cut. At most `max_frame_bytes` and one piece are held.
    """

    __slots__ = ("_max_frame_bytes", "_pieces", "_size", "_wanted")

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._pieces: list[bytes] = []
        self._size = 0
        self._wanted = _LENGTH_BYTES  # bytes that are needed before there is anything to do

    @property
    def buffered_bytes(self) -> int:
        """How many bytes of an incomplete frame are held."""
        return self._size

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes as they were received, and return the frames that are now complete, without their lengths.

        Raises:
            ProtocolError: a length is negative or above the limit; the stream is of no more use.
        """
        size = len(data)
        if not self._size and size > _LENGTH_BYTES and size - _LENGTH_BYTES == _LENGTH.unpack_from(data)[0]:
            if size - _LENGTH_BYTES > self._max_frame_bytes:
                self._checked(size - _LENGTH_BYTES)
            return [data[_LENGTH_BYTES:]]  # one whole frame, as most answers are
        self._pieces.append(data)
        self._size += size
        if self._size < self._wanted:
            return []
        buffer = data if len(self._pieces) == 1 else b"".join(self._pieces)
        frames: list[bytes] = []
        position = 0
        while True:
            self._wanted = _LENGTH_BYTES
            start = position + _LENGTH_BYTES
            if start > len(buffer):
                break
            length = self._checked(_LENGTH.unpack_from(buffer, position)[0])
            self._wanted += length
            if start + length > len(buffer):
                break
            frames.append(buffer[start : start + length])
            position = start + length
        rest = buffer[position:]
        self._pieces = [rest] if rest else []
        self._size = len(rest)
        return frames

    def _checked(self, length: int) -> int:
        if not 0 <= length <= self._max_frame_bytes:
            raise ProtocolError(
                f"a frame of {length:,} bytes is announced, allowed are 0 to {self._max_frame_bytes:,};"
                f" {_speaker(length)}"
            )
        return length


def _speaker(length: int) -> str:
    """Who sends such a length? It is the first four bytes of something else."""
    first = length.to_bytes(4, "big", signed=True)
    if first[0] in (0x15, 0x16) and first[1] == 3:  # an alert, or a handshake (RFC 8446 §5.1)
        return "its first bytes are TLS: set security_protocol to SSL or SASL_SSL"
    if first.isascii() and first.decode("ascii").isprintable():
        return f"its first bytes are the text {first.decode('ascii')!r}, as an HTTP server's: is the port right?"
    return "does this port speak Kafka's protocol, and without TLS?"
