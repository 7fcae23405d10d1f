"""The steps that set up a connection, and what each has to bring: bytes or messages in and out, no I/O of its own.

The order is fixed, and the `Dialer` keeps it:

1. connect: the stream, by the connector of the event loop or of the user;
2. secure (`SecureStep`): all that follows goes through a `Layer` of bytes, as TLS is one;
3. ApiVersions (`ApiVersionsExchange`): which versions the broker speaks;
4. authenticate (`AuthenticateStep`): requests and answers until the broker knows who we are, as SASL does.

A step that is refused for who we are (wrong password, a certificate that is not trusted) raises AuthenticationError,
which the core tells from a lost connection: start() raises it at once, a running producer tries again after longer
pauses. Whatever else a step raises counts as a connection that could not be made.

Authentication again on the same connection (KIP-368): the core says when (`_core.cluster.nodes`). `exchange` is begun
anew then and driven as the Dialer drives it (`authentication`), but by the connection's usual path: each `Ask` is
written as the request of a Send effect is, and its answer comes in the order of the requests. No other request is
written between the first and the last; those in flight are answered before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from aioproducer._version import __version__
from aioproducer._wire.frames import decode_response_header, encode_request
from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from aioproducer._wire.messages.produce import ProduceRequest
from aioproducer._wire.negotiation import SOFTWARE_NAME, ApiVersionRange, BrokerVersions
from aioproducer.errors import ErrorCode, ProtocolError
from aioproducer.errors._from_code import error_for

if TYPE_CHECKING:
    from aioproducer._net.layer import Layer
    from aioproducer._wire.schema import Request


class SecureStep(Protocol):
    """What all bytes of the connections are to go through.

    Attributes:
        name: the step in messages to people ("TLS handshake").
    """

    name: str

    async def new_layer(self, host: str, port: int) -> Layer:
        """Return a layer for one connection; files that it needs are read in a worker thread.

        Args:
            host, port: whereto we connect, as the user or the cluster has named it.
        """
        ...


class Ask(NamedTuple):
    """Send this request; its answer, a Response of its api key and version, is sent into the exchange."""

    message: Request
    version: int


class Await(NamedTuple):
    """Await what `work` returns (a token to fetch, a key to derive in a thread); it is sent into the exchange."""

    work: Callable[[], Awaitable[object]]


Exchange: TypeAlias = Generator[Ask | Await, object, float | None]
"""Yields what is wanted next, is sent what came of it, and returns the seconds that the session lasts; None: for ever.
"""


class AuthenticateStep(Protocol):
    """How the broker learns who we are. Begun for each connection, and again on one whose session is about to end.

    Attributes:
        name: the step in messages to people ("SASL SCRAM-SHA-256").
    """

    name: str

    def exchange(self, host: str, port: int, versions: BrokerVersions) -> Exchange:
        """Begin.

        Args:
            host, port: whereto we are connected, as the user or the cluster has named it.
            versions: what the broker speaks.

        Raises (while it is driven):
            AuthenticationError: the broker refuses us.
            UnsupportedVersionError: it lacks a request that is needed.
            ProtocolError: what it answers makes no sense.
        """
        ...


KeepReady: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Runs in a task of the producer's, and ends when that is cancelled, if not before."""


class SetupSteps(NamedTuple):
    """What connections need besides TCP and ApiVersions.

    Attributes:
        secure, authenticate: the steps.
        keep_ready: fetches credentials before they are needed; run in a task for as long as the producer lives.
    """

    secure: SecureStep | None = None
    authenticate: AuthenticateStep | None = None
    keep_ready: KeepReady | None = None


NO_STEPS = SetupSteps()
"""Plain Kafka: nothing is encrypted, nobody is asked who they are."""


class Session(NamedTuple):
    """How long the broker takes us for who we said we are.

    Attributes:
        asked_at: when the last request of the exchange was written, in seconds of the backend's clock: before the
            broker's own count began, however long its answer took.
        lifetime: seconds from the broker's answer on; None: as long as the connection lives.
    """

    asked_at: float
    lifetime: float | None


class ApiVersionsExchange:
    """The ApiVersions exchange: send what `first_request` returns, then what `on_response` returns.

    Its newest version tells our software's name and version (KIP-511); a broker that is older than that answers with
    UNSUPPORTED_VERSION in version 0, and is asked again. What it answers is good for this connection only: the broker
    may be another one, or a newer one, on the next.

    Args:
        client_id: sent in the header.
    """

    def __init__(self, client_id: str | None) -> None:
        self._client_id = client_id
        self._version = ApiVersionsRequest.max_version
        self._correlation_id = 0

    def first_request(self) -> bytes:
        """Return the frame to begin with."""
        message = ApiVersionsRequest(client_software_name=SOFTWARE_NAME, client_software_version=__version__)
        return encode_request(message, self._version, self._correlation_id, self._client_id)

    def on_response(self, frame: bytes) -> bytes | BrokerVersions:
        """Take the answer; return another frame to send, or what the broker can do.

        Args:
            frame: without its length.

        Raises:
            ProtocolError: not an answer to our request.
            UnsupportedVersionError: the broker is too old for a producer that writes record batches (before Kafka 2.1).
            BrokerError: it answers with an error.
        """
        correlation_id, body = decode_response_header(frame, ApiKey.API_VERSIONS, self._version)
        if correlation_id != self._correlation_id:
            raise ProtocolError(
                f"the answer to ApiVersions has correlation id {correlation_id}, not {self._correlation_id}"
            )
        error_code = int.from_bytes(body[:2], "big", signed=True)
        if error_code == ErrorCode.UNSUPPORTED_VERSION and self._version > 0:
            return self._older_request(ApiVersionsResponse.decode(body, 0))
        if error_code != ErrorCode.NONE:
            raise error_for(error_code, api="ApiVersions")
        return _checked(ApiVersionsResponse.decode(body, self._version))

    def _older_request(self, answer: ApiVersionsResponse) -> bytes:
        # Brokers since KIP-511 list what they have of ApiVersions; older ones list nothing, and all know version 0.
        listed = [api.max_version for api in answer.api_keys if api.api_key == ApiKey.API_VERSIONS]
        known = listed[0] if listed else 0
        self._version = known if 0 <= known < self._version else 0
        self._correlation_id += 1
        return self.first_request()


def _checked(answer: ApiVersionsResponse) -> BrokerVersions:
    versions = BrokerVersions(
        apis=MappingProxyType(
            {api.api_key: ApiVersionRange(api.min_version, api.max_version) for api in answer.api_keys}
        ),
        supported_features=MappingProxyType(
            {one.name: ApiVersionRange(one.min_version, one.max_version) for one in answer.supported_features}
        ),
        finalized_features=MappingProxyType({one.name: one.max_version_level for one in answer.finalized_features}),
        finalized_features_epoch=answer.finalized_features_epoch,
    )
    if ApiKey.PRODUCE in versions.apis:  # a pure controller does not list it
        versions.version_for(ProduceRequest)
    return versions
