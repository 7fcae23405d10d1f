"""DescribeCluster, versions 0 to 2: who is in the cluster?

1 brokers or controllers (KIP-919) · 2 fenced brokers (KIP-1073).
"""

from __future__ import annotations

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Request, Response, Struct, array, boolean, int8, int16, int32, string


class DescribeClusterRequest(Request):
    """Who is in the cluster?"""

    api_key = ApiKey.DESCRIBE_CLUSTER
    min_version = 0
    max_version = 2
    flexible_from = 0

    include_cluster_authorized_operations: bool = boolean()
    endpoint_type: int = int8(since=1, default=1)
    include_fenced_brokers: bool = boolean(since=2)


class DescribeClusterBroker(Struct):
    """One broker, or controller, and where it listens."""

    broker_id: int = int32()
    host: str = string()
    port: int = int32()
    rack: str | None = string(nullable_since=0, default=None)
    is_fenced: bool = boolean(since=2)


class DescribeClusterResponse(Response):
    """The cluster's members."""

    api_key = ApiKey.DESCRIBE_CLUSTER
    min_version = 0
    max_version = 2
    flexible_from = 0
    throttles_since = 0

    throttle_time_ms: int = int32()
    error_code: int = int16()
    error_message: str | None = string(nullable_since=0, default=None)
    endpoint_type: int = int8(since=1, default=1)
    cluster_id: str = string()
    controller_id: int = int32(default=-1)
    brokers: list[DescribeClusterBroker] = array(DescribeClusterBroker)
    cluster_authorized_operations: int = int32(default=-2147483648)
