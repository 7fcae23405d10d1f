"""Metadata 0 to 13 and DescribeCluster 0 to 2: brokers, topics and who leads them.

Metadata: 1 the controller, null for all topics; 2 cluster id; 3 throttle time; 4 allow_auto_topic_creation; 5 offline
replicas; 7 leader epochs; 8 to 10 authorized operations; 9 flexible; 10 topic ids; 12 asking by id; 13 an error code
for all.

A topic that is asked for and may be created is created at once, but this answer still says UNKNOWN_TOPIC_OR_PARTITION,
as a broker's does whose controller has yet to do it. DescribeCluster: 1 endpoint type; 2 fenced brokers (there are
none).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aioproducer._types import TopicPartition
from aioproducer._wire.messages.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)
from aioproducer._wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from aioproducer._wire.schema import ZERO_UUID
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.acls import CLUSTER_NAME, Operation, Resource
from aioproducer.testing._broker.apis import topics as topic_apis
from aioproducer.testing._broker.faults import Effect
from aioproducer.testing._broker.partition import NO_LEADER
from aioproducer.testing._broker.requests import Refused
from aioproducer.testing._broker.state import INTERNAL_TOPICS

if TYPE_CHECKING:
    from aioproducer.testing._broker.partition import Partition
    from aioproducer.testing._broker.requests import Request
    from aioproducer.testing._broker.state import ClusterState, Topic


BROKERS: Final = 1
CONTROLLERS: Final = 2
TOPIC_OPERATIONS: Final = 0b1101_1111_1000
CLUSTER_OPERATIONS: Final = 0b1_1111_1010_0000
"""Everything that an operation can be (Java class AclOperation, a bit each)."""

NOT_ASKED_FOR: Final = -(2**31)


def handle(state: ClusterState, request: Request, message: MetadataRequest) -> MetadataResponse:
    """Answer with the brokers and the topics that are asked for."""
    asked = message.topics
    code = _mistake(request.version, asked or [])
    if code:
        return refuse(message, request, code)
    if asked is None or (request.version == 0 and not asked):
        topics = [_known(state, request, topic) for topic in state.topics.values() if _is_shown(state, request, topic)]
    else:
        may_create = state.options.auto_create_topics and (request.version < 4 or message.allow_auto_topic_creation)
        once = {(each.topic_id, each.name): each for each in asked}.values()
        topics = [_asked(state, request, each, may_create) for each in once]
    if message.include_topic_authorized_operations:
        topics = [_with_operations(state, request, topic) for topic in topics]
    return MetadataResponse(
        brokers=[
            MetadataResponseBroker(node_id=node.id, host=node.host, port=node.port, rack=node.rack)
            for node in state.alive_nodes()
        ],
        cluster_id=state.cluster_id,
        controller_id=state.controller_id,
        topics=topics,
        cluster_authorized_operations=_cluster_operations(
            state, request, is_asked=message.include_cluster_authorized_operations
        ),
    )


def refuse(message: MetadataRequest, request: Request, code: int) -> MetadataResponse:
    """Answer with an error code for every topic, and no brokers."""
    return MetadataResponse(
        topics=[
            MetadataResponseTopic(error_code=code, name=each.name or "", topic_id=each.topic_id)
            for each in message.topics or []
        ],
        error_code=code if request.version >= 13 else ErrorCode.NONE,
    )


def handle_describe_cluster(
    state: ClusterState, request: Request, message: DescribeClusterRequest
) -> DescribeClusterResponse:
    """Answer with the brokers."""
    if message.endpoint_type != BROKERS:
        is_known = message.endpoint_type == CONTROLLERS
        code = ErrorCode.MISMATCHED_ENDPOINT_TYPE if is_known else ErrorCode.UNSUPPORTED_ENDPOINT_TYPE
        return refuse_describe_cluster(message, request, code)
    return DescribeClusterResponse(
        cluster_id=state.cluster_id,
        controller_id=state.controller_id,
        brokers=[
            DescribeClusterBroker(broker_id=node.id, host=node.host, port=node.port, rack=node.rack)
            for node in state.alive_nodes()
        ],
        cluster_authorized_operations=_cluster_operations(
            state, request, is_asked=message.include_cluster_authorized_operations
        ),
    )


def refuse_describe_cluster(message: DescribeClusterRequest, request: Request, code: int) -> DescribeClusterResponse:
    """Answer with an error code."""
    return DescribeClusterResponse(error_code=code)


def _cluster_operations(state: ClusterState, request: Request, *, is_asked: bool) -> int:
    if not is_asked:
        return NOT_ASKED_FOR
    if not state.allows(request, Operation.DESCRIBE, Resource.CLUSTER):
        return 0
    return state.acls.operations(request.principal, Resource.CLUSTER, CLUSTER_NAME, CLUSTER_OPERATIONS)


def _is_shown(state: ClusterState, request: Request, topic: Topic) -> bool:
    return state.allows(request, Operation.DESCRIBE, Resource.TOPIC, topic.name)


def _with_operations(state: ClusterState, request: Request, topic: MetadataResponseTopic) -> MetadataResponseTopic:
    if topic.error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED:
        return topic
    values: dict[str, Any] = {name: getattr(topic, name) for name in topic.FIELDS}
    values["topic_authorized_operations"] = state.acls.operations(
        request.principal, Resource.TOPIC, topic.name or "", TOPIC_OPERATIONS
    )
    return MetadataResponseTopic(**values)


def _mistake(version: int, asked: list[MetadataRequestTopic]) -> ErrorCode:
    """What is wrong with the whole request: topic ids before they could be asked for, or a topic that is not named."""
    if version < 12 and any(each.topic_id != ZERO_UUID or each.name is None for each in asked):
        return ErrorCode.INVALID_REQUEST
    if any(each.topic_id == ZERO_UUID and each.name is None for each in asked):
        return ErrorCode.UNKNOWN_SERVER_ERROR  # Kafka fails for the null
    return ErrorCode.NONE


def _asked(
    state: ClusterState, request: Request, asked: MetadataRequestTopic, may_create: bool
) -> MetadataResponseTopic:
    if asked.topic_id != ZERO_UUID:
        topic = state.topics_by_id.get(asked.topic_id)
        if topic is None:
            return MetadataResponseTopic(error_code=ErrorCode.UNKNOWN_TOPIC_ID, topic_id=asked.topic_id, name=None)
        if not _is_shown(state, request, topic):
            return MetadataResponseTopic(
                error_code=ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic_id=asked.topic_id, name=None
            )
        return _known(state, request, topic)
    name = asked.name or ""
    if not state.allows(request, Operation.DESCRIBE, Resource.TOPIC, name):
        return MetadataResponseTopic(error_code=ErrorCode.TOPIC_AUTHORIZATION_FAILED, name=name)
    topic = state.topics.get(name)
    if topic is not None:
        return _known(state, request, topic)
    code = _failure(state, request, name) or _create(state, request, name, may_create)
    return MetadataResponseTopic(error_code=code, name=name, is_internal=name in INTERNAL_TOPICS)


def _create(state: ClusterState, request: Request, name: str, may_create: bool) -> int:
    if may_create and not topic_apis.may_create(state, request, name):
        return ErrorCode.TOPIC_AUTHORIZATION_FAILED
    try:
        if may_create and name not in INTERNAL_TOPICS:
            state.create_topic(name)
        else:
            state.check_name(name)
    except Refused as refused:
        return refused.code
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def _known(state: ClusterState, request: Request, topic: Topic) -> MetadataResponseTopic:
    code = _failure(state, request, topic.name)
    if code:
        return MetadataResponseTopic(error_code=code, name=topic.name, topic_id=topic.id)
    return MetadataResponseTopic(
        name=topic.name,
        topic_id=topic.id,
        partitions=[_partition(state, partition) for partition in topic.partitions],
    )


def _partition(state: ClusterState, partition: Partition) -> MetadataResponsePartition:
    return MetadataResponsePartition(
        error_code=ErrorCode.LEADER_NOT_AVAILABLE if partition.leader == NO_LEADER else ErrorCode.NONE,
        partition_index=partition.index,
        leader_id=partition.leader,
        leader_epoch=partition.leader_epoch,
        replica_nodes=partition.replicas,
        isr_nodes=partition.isr,
        offline_replicas=[node_id for node_id in partition.replicas if not state.nodes[node_id].is_alive],
    )


def _failure(state: ClusterState, request: Request, topic: str) -> int:
    if not state.faults:
        return 0
    fault = state.faults.strike(Effect.FAIL, request.api_key, request.node_id, [TopicPartition(topic, -1)])
    return fault.code if fault is not None else 0
