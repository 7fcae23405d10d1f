"""DescribeConfigs 1 to 4, for topics. A broker that is asked for has no settings to tell.

1 sources and synonyms (which are left empty); 3 types, and documentation (left out); 4 flexible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer._wire.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
)
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.acls import Operation, Resource
from aioproducer.testing._broker.apis.topics import described
from aioproducer.testing._broker.configs import TYPES
from aioproducer.testing._broker.requests import Refused

if TYPE_CHECKING:
    from aioproducer.testing._broker.requests import Request
    from aioproducer.testing._broker.state import ClusterState

TOPIC: Final = 2
BROKER: Final = 4


def handle(state: ClusterState, request: Request, message: DescribeConfigsRequest) -> DescribeConfigsResponse:
    """Describe each topic that is asked for."""
    return DescribeConfigsResponse(results=[_describe(state, request, each) for each in message.resources])


def refuse(message: DescribeConfigsRequest, request: Request, code: int) -> DescribeConfigsResponse:
    """Answer with an error code for everything."""
    return DescribeConfigsResponse(results=[_result(each, code) for each in message.resources])


def _describe(state: ClusterState, request: Request, asked: DescribeConfigsResource) -> DescribeConfigsResult:
    if asked.resource_type == BROKER:
        return _result(asked, ErrorCode.NONE)
    if asked.resource_type != TOPIC:
        return _result(asked, ErrorCode.INVALID_REQUEST)
    if not state.allows(request, Operation.DESCRIBE_CONFIGS, Resource.TOPIC, asked.resource_name):
        return _result(asked, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    try:
        state.check_name(asked.resource_name)
    except Refused as refused:
        return _result(asked, refused.code)
    topic = state.topics.get(asked.resource_name)
    if topic is None:
        return _result(asked, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    wanted = asked.configuration_keys
    return _result(
        asked,
        ErrorCode.NONE,
        [
            DescribeConfigsResourceResult(
                name=name, value=value, config_source=source, config_type=TYPES[name], documentation=None
            )
            for name, (value, source) in described(state, topic).items()
            if not wanted or name in wanted
        ],
    )


def _result(
    asked: DescribeConfigsResource, code: int, configs: list[DescribeConfigsResourceResult] | None = None
) -> DescribeConfigsResult:
    return DescribeConfigsResult(
        error_code=code,
        error_message=None,
        resource_type=asked.resource_type,
        resource_name=asked.resource_name,
        configs=configs or [],
    )
