"""The versions of each request that a broker and we speak, as it has listed them on a connection (ApiVersions)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._wire.messages import REQUESTS
from aioproducer.errors import ErrorCode, UnsupportedVersionError

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
