"""One connection on which one request at a time is asked and answered."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar, cast

import anyio

from aioproducer import _backend
from aioproducer._net.dialer import Dialer
from aioproducer._net.setup import NO_STEPS, SetupSteps
from aioproducer._wire.frames import decode_response_header, encode_request
from aioproducer._wire.messages import RESPONSES
from aioproducer.errors import KafkaConnectionError, KafkaError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from aioproducer._net.dialer import Established
    from aioproducer._wire.schema import Request, Response

ResponseT = TypeVar("ResponseT", bound="Response")

CLIENT_ID: Final = "aioproducer-testing"
_FIRST_CORRELATION_ID: Final = 1


class RequestClient:
    """Asks one broker. Not for several tasks at once."""

    def __init__(self, established: Established) -> None:
        self._connection = established.connection
        self._versions = established.versions
        self._correlation_id = _FIRST_CORRELATION_ID

    async def ask(self, request: Request, answer: type[ResponseT], *, at_most: int | None = None) -> ResponseT:
        """Send a request and return its answer. Cancelled, the connection is of no more use.

        Args:
            request: spoken in the highest version that both sides know.
            answer: the class of the response.
            at_most: a version not to go above.

        Raises:
            KafkaConnectionError: the connection is lost.
            ProtocolError: what comes is not the answer.
        """
        version = await self.tell(request, at_most=at_most)
        frames: list[bytes] = []
        while not frames:
            frames = await self._connection.read_frames()
        correlation_id, body = decode_response_header(frames[0], answer.api_key, version)
        if correlation_id != self._correlation_id or len(frames) > 1:
            raise ProtocolError(f"the broker answered request {correlation_id}, not {self._correlation_id} alone")
        return cast("ResponseT", RESPONSES[answer.api_key].decode(body, version))

    async def tell(self, request: Request, *, at_most: int | None = None) -> int:
        """Send a request that has no answer, as Produce with acks=0; returns the version that was spoken.

        Raises:
            KafkaConnectionError: the connection is lost.
        """
        version = self._versions.version_for(type(request), at_most)
        self._correlation_id += 1
        await self._connection.send(encode_request(request, version, self._correlation_id, CLIENT_ID))
        return version


@asynccontextmanager
async def asker(host: str, port: int, steps: SetupSteps = NO_STEPS) -> AsyncGenerator[RequestClient, None]:
    """Connect to one broker for the length of the block."""
    backend = _backend.current()
    dialer = Dialer(backend.tcp_connector(-1, -1), CLIENT_ID, backend.clock, steps=steps)
    established = await dialer.dial(host, port)
    try:
        yield RequestClient(established)
    finally:
        with anyio.CancelScope(shield=True):
            await established.connection.aclose()


async def first_reachable(bootstrap_servers: str | Iterable[str], steps: SetupSteps = NO_STEPS) -> tuple[str, int]:
    """Return (host, port) of the first of these brokers that can be connected to.

    Raises:
        KafkaConnectionError: none can.
    """
    failure: KafkaError = KafkaConnectionError("no bootstrap server was given")
    for host, port in addresses(bootstrap_servers):
        try:
            async with asker(host, port, steps):
                return host, port
        except KafkaError as error:
            failure = error
    raise failure


def addresses(bootstrap_servers: str | Iterable[str]) -> list[tuple[str, int]]:
    """Return "host:port,host:port", or a list of such, as pairs."""
    texts = [bootstrap_servers] if isinstance(bootstrap_servers, str) else bootstrap_servers
    pairs = [text.strip().rpartition(":") for joined in texts for text in joined.split(",")]
    return [(host.strip("[]"), int(port)) for host, _, port in pairs]
