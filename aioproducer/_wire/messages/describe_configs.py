"""DescribeConfigs, versions 1 to 4: how are topics and brokers configured?

1 synonyms, where a value comes from · 3 type and documentation of a setting · 4 flexible.
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, Struct, array, boolean, int8, int16, int32, string


class DescribeConfigsResource(Struct):
    """A topic (2) or broker (4) to describe, and the settings wanted; None for all."""

    resource_type: int = int8()
    resource_name: str = string()
    configuration_keys: list[str] | None = array(string, nullable_since=0)


class DescribeConfigsRequest(Request):
    """How are these configured?"""

    api_key = ApiKey.DESCRIBE_CONFIGS
    min_version = 1
    max_version = 4
    flexible_from = 4

    resources: list[DescribeConfigsResource] = array(DescribeConfigsResource)
    include_synonyms: bool = boolean()
    include_documentation: bool = boolean(since=3)


class DescribeConfigsSynonym(Struct):
    """Another place that gives the setting a value."""

    name: str = string()
    value: str | None = string(nullable_since=0)
    source: int = int8()


class DescribeConfigsResourceResult(Struct):
    """One setting and its value."""

    name: str = string()
    value: str | None = string(nullable_since=0)
    read_only: bool = boolean()
    config_source: int = int8(default=-1)
    is_sensitive: bool = boolean()
    synonyms: list[DescribeConfigsSynonym] = array(DescribeConfigsSynonym)
    config_type: int = int8(since=3, ignorable=True)
    documentation: str | None = string(since=3, nullable_since=3, ignorable=True)


class DescribeConfigsResult(Struct):
    """The settings of one topic or broker."""

    error_code: int = int16()
    error_message: str | None = string(nullable_since=0)
    resource_type: int = int8()
    resource_name: str = string()
    configs: list[DescribeConfigsResourceResult] = array(DescribeConfigsResourceResult)


class DescribeConfigsResponse(Response):
    """The settings of each."""

    api_key = ApiKey.DESCRIBE_CONFIGS
    min_version = 1
    max_version = 4
    flexible_from = 4
    throttles_since = 2

    throttle_time_ms: int = int32()
    results: list[DescribeConfigsResult] = array(DescribeConfigsResult)
