"""The version of each request that both a broker and we speak.

On every connection the first request is ApiVersions. Its newest version tells our software's name and version
(KIP-511); a broker that is older than that answers with UNSUPPORTED_VERSION in version 0, and is asked again. What it
answers is good for this connection only: the broker may be another one, or a newer one, on the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._version import __version__
from aioproducer._wire.frames import decode_response_header, encode_request
from aioproducer._wire.messages import REQUESTS, ApiKey
from aioproducer._wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from aioproducer._wire.messages.produce import ProduceRequest
from aioproducer.errors import ErrorCode, ProtocolError, UnsupportedVersionError
from aioproducer.errors._from_code import error_for

if TYPE_CHECKING:
    from aioproducer._wire.schema import Message

SOFTWARE_NAME: Final = "aioproducer"
"""What brokers count our connections under (KIP-511)."""

UNKNOWN_EPOCH: Final = -1


class ApiVersionRange(NamedTuple):
    """The versions of a request or feature that a broker has, both included."""

    min_version: int
    max_version: int

    def __str__(self) -> str:
        return f"{self.min_version} to {self.max_version}"


class BrokerVersions(NamedTuple):
    """What one broker can do, as it said on this connection.

    Attributes:
        apis: by api key, also those that are not known here.
        supported_features: by name, what this broker could do if the cluster decided to ("transaction.version").
        finalized_features: by name, the level that the whole cluster has agreed on.
        finalized_features_epoch: grows with each such agreement; -1 if not told. The newest of all brokers is true.
    """

    apis: Mapping[int, ApiVersionRange] = MappingProxyType({})
    supported_features: Mapping[str, ApiVersionRange] = MappingProxyType({})
    finalized_features: Mapping[str, int] = MappingProxyType({})
    finalized_features_epoch: int = UNKNOWN_EPOCH

    def usable(self, api_key: int) -> int | None:
        """Return the highest version that both know, None if there is none."""
        request = REQUESTS.get(api_key)
        return None if request is None else self._highest(request, request.max_version)

    def version_for(self, message: type[Message], at_most: int | None = None) -> int:
        """Return the highest version of a message that both know.

        Args:
            message: the class of the request, or of its response.
            at_most: a version above which not to go, for a reason of the caller's.

        Raises:
            UnsupportedVersionError: there is none.
        """
        highest = message.max_version if at_most is None else min(at_most, message.max_version)
        version = self._highest(message, highest)
        if version is None:
            raise _too_far_apart(message, highest, self.apis.get(message.api_key))
        return version

    def _highest(self, message: type[Message], at_most: int) -> int | None:
        theirs = self.apis.get(message.api_key)
        if theirs is None:
            return None
        version = min(at_most, theirs.max_version)
        return version if version >= max(message.min_version, theirs.min_version) else None


def _too_far_apart(message: type[Message], highest: int, theirs: ApiVersionRange | None) -> UnsupportedVersionError:
    name = message.__name__.removesuffix("Request").removesuffix("Response")
    lowest = message.min_version
    if theirs is None:
        text = f"the broker does not know {name}, of which version {lowest} to {highest} is needed; upgrade the broker"
    else:
        advice = "upgrade the broker (Kafka 2.1 or newer)" if theirs.max_version < lowest else "upgrade aioproducer"
        text = f"the broker has {name} in versions {theirs}, needed is one of {lowest} to {highest}; {advice}"
    return UnsupportedVersionError(text, code=ErrorCode.UNSUPPORTED_VERSION, api=name)


class Handshake:
    """The ApiVersions exchange as steps: send what `first_request` returns, then what `on_response` returns.

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
