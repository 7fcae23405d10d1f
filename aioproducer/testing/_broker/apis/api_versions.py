"""ApiVersions 0 to 4: what the brokers speak, and the features of the cluster.

0 error code and ranges; 1 throttle time; 2 the same; 3 client software (KIP-511), features (KIP-584); 4 features whose
lowest version is 0. A version that is not spoken is answered in version 0 with UNSUPPORTED_VERSION and the range of
ApiVersions itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)
from aioproducer.errors import ErrorCode

if TYPE_CHECKING:
    from aioproducer.testing._broker.requests import Request
    from aioproducer.testing._broker.state import ClusterState

TRANSACTION_VERSION: Final = "transaction.version"
MAX_TRANSACTION_VERSION: Final = 2
FEATURES_EPOCH: Final = 1
LISTED_FROM: Final = {int(ApiKey.PRODUCE): 0}
"""librdkafka takes compression to be possible only if Produce 0 is listed; Kafka 4 lists it and refuses to speak it."""

_SOFTWARE: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


def handle(state: ClusterState, request: Request, message: ApiVersionsRequest) -> ApiVersionsResponse:
    """Answer with the versions and features."""
    if request.version >= 3 and not _is_valid(message):
        return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
    level = state.options.transaction_version
    supported = [SupportedFeatureKey(name=TRANSACTION_VERSION, min_version=0, max_version=MAX_TRANSACTION_VERSION)]
    finalized = [FinalizedFeatureKey(name=TRANSACTION_VERSION, max_version_level=level, min_version_level=level)]
    return ApiVersionsResponse(
        api_keys=[
            ApiVersion(api_key=key, min_version=LISTED_FROM.get(key, lowest), max_version=highest)
            for key, (lowest, highest) in state.versions.items()
        ],
        # Before version 4 a feature whose lowest version is 0 cannot be told of.
        supported_features=supported if level >= 0 and request.version >= 4 else [],
        finalized_features_epoch=FEATURES_EPOCH if level >= 0 else -1,
        finalized_features=finalized if level > 0 else [],
    )


def refuse(message: ApiVersionsRequest, request: Request, code: int) -> ApiVersionsResponse:
    """Answer with an error code and nothing else."""
    return ApiVersionsResponse(error_code=code)


def unsupported(state: ClusterState) -> ApiVersionsResponse:
    """The answer to a version that is not spoken; goes out in version 0."""
    lowest, highest = state.versions[ApiKey.API_VERSIONS]
    own = ApiVersion(api_key=ApiKey.API_VERSIONS, min_version=lowest, max_version=highest)
    return ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=[own])


def _is_valid(message: ApiVersionsRequest) -> bool:
    names = message.client_software_name, message.client_software_version
    return all(_SOFTWARE.fullmatch(name) is not None for name in names)
