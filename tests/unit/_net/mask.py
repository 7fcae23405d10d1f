"""Made-up steps of a connection's set-up: a layer that masks bytes as TLS would encrypt them, and a login."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from aioproducer._net.setup import Ask, Exchange
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataResponse
from aioproducer.errors import AuthenticationError, ErrorCode, KafkaConnectionError, KafkaError
from aioproducer.errors._from_code import error_for

if TYPE_CHECKING:
    from aioproducer._wire.negotiation import BrokerVersions

HELLO, DATA, QUESTION, ANSWER, REFUSAL, GOODBYE = range(6)
HEADER = struct.Struct(">bi")
_MASKED = bytes(byte ^ 0x5A for byte in range(256))


def record(kind: int, payload: bytes = b"") -> bytes:
    """What a mask puts on the wire."""
    return HEADER.pack(kind, len(payload)) + payload.translate(_MASKED)


class Mask:
    """A layer whose two ends are alike: each says hello, then masked records go both ways.

    Attributes:
        writes: the sizes of what was given to `write`.
        distrusts: refuse whoever says hello.
    """

    def __init__(self, *, distrusts: bool = False) -> None:
        self.writes: list[int] = []
        self.distrusts = distrusts
        self.is_ready = False
        self.is_ended = False
        self._outgoing = record(HELLO)
        self._incoming = b""

    def feed(self, data: bytes) -> bytes:
        """See `Layer.feed`."""
        self._incoming += data
        received = b""
        while len(self._incoming) >= HEADER.size:
            kind, size = HEADER.unpack_from(self._incoming)
            end = HEADER.size + size
            if len(self._incoming) < end:
                break
            payload, self._incoming = self._incoming[HEADER.size : end].translate(_MASKED), self._incoming[end:]
            received += self._on_record(kind, payload)
        return received

    def _on_record(self, kind: int, payload: bytes) -> bytes:
        if kind == HELLO and self.distrusts:
            self._outgoing += record(REFUSAL)
            raise AuthenticationError("the certificate of the broker is not signed by anybody")
        if kind == HELLO:
            self.is_ready = True
        elif kind == DATA:
            return payload
        elif kind == QUESTION:
            self._outgoing += record(ANSWER)
        elif kind == REFUSAL:
            raise AuthenticationError("the broker does not know our certificate")
        elif kind == GOODBYE:
            self.is_ended = True
        else:
            raise KafkaConnectionError("the peer does not mask what it sends")
        return b""

    def write(self, data: memoryview) -> None:
        """See `Layer.write`."""
        assert self.is_ready
        self.writes.append(len(data))
        self._outgoing += record(DATA, bytes(data))

    def take_outgoing(self) -> bytes:
        """See `Layer.take_outgoing`."""
        outgoing, self._outgoing = self._outgoing, b""
        return outgoing

    def close(self) -> None:
        """See `Layer.close`."""
        self._outgoing += record(GOODBYE)

    def explained(self, error: Exception) -> Exception:
        """See `Layer.explained`."""
        return error


class MaskStep:
    """Has all connections masked."""

    name = "masking"

    def __init__(self, error: Exception | None = None, *, distrusts: bool = False) -> None:
        self.error = error
        self.distrusts = distrusts
        self.asked_for: list[tuple[str, int]] = []

    async def new_layer(self, host: str, port: int) -> Mask:
        """See `SecureStep.new_layer`."""
        self.asked_for.append((host, port))
        if self.error is not None:
            raise self.error
        return Mask(distrusts=self.distrusts)


class Login:
    """Authentication by two Metadata requests, which every broker answers.

    Attributes:
        error: what the last answer means.
        lifetime: of the session, in seconds.
    """

    name = "login"

    def __init__(self, error: KafkaError | None = None, lifetime: float | None = None) -> None:
        self.error = error
        self.lifetime = lifetime
        self.count = 0

    def exchange(self, host: str, port: int, versions: BrokerVersions) -> Exchange:
        """See `AuthenticateStep.exchange`."""
        del host, port
        self.count += 1
        version = versions.version_for(MetadataRequest)
        for _ in range(2):
            answer = yield Ask(MetadataRequest(topics=[]), version)
            assert isinstance(answer, MetadataResponse)
        if self.error is not None:
            raise self.error
        return self.lifetime


def wrong_password() -> KafkaError:
    """What a broker answers to a wrong password."""
    return error_for(
        ErrorCode.SASL_AUTHENTICATION_FAILED, api="SaslAuthenticate", message="Invalid username or password"
    )
