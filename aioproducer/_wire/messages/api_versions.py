"""ApiVersions, versions 0 to 4: which requests does the broker know, in which versions?

1 throttle time · 3 flexible, name and version of the client's software (KIP-511), features (KIP-584) · 4 supported
features may start at version 0. The response's header stays at version 0, so that a client can read the answer to a
version the broker lacks.
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, Struct, array, boolean, int16, int32, int64, string


class ApiVersionsRequest(Request):
    """Which requests do you know?"""

    api_key = ApiKey.API_VERSIONS
    min_version = 0
    max_version = 4
    flexible_from = 3

    client_software_name: str = string(since=3, ignorable=True)
    client_software_version: str = string(since=3, ignorable=True)


class ApiVersion(Struct):
    """One request and the versions that are known of it."""

    api_key: int = int16()
    min_version: int = int16()
    max_version: int = int16()


class SupportedFeatureKey(Struct):
    """A feature that the broker could have, and its versions."""

    name: str = string(since=3)
    min_version: int = int16(since=3)
    max_version: int = int16(since=3)


class FinalizedFeatureKey(Struct):
    """A feature that the whole cluster has, and its versions."""

    name: str = string(since=3)
    max_version_level: int = int16(since=3)
    min_version_level: int = int16(since=3)


class ApiVersionsResponse(Response):
    """All requests that the broker knows, and its features."""

    api_key = ApiKey.API_VERSIONS
    min_version = 0
    max_version = 4
    flexible_from = 3
    throttles_since = 2

    error_code: int = int16()
    api_keys: list[ApiVersion] = array(ApiVersion)
    throttle_time_ms: int = int32(since=1, ignorable=True)
    supported_features: list[SupportedFeatureKey] = array(SupportedFeatureKey, since=3, tag=0, ignorable=True)
    finalized_features_epoch: int = int64(since=3, default=-1, tag=1, ignorable=True)
    finalized_features: list[FinalizedFeatureKey] = array(FinalizedFeatureKey, since=3, tag=2, ignorable=True)
    zk_migration_ready: bool = boolean(since=3, tag=3, ignorable=True)
