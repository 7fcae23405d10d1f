"""CreateTopics 2 to 7, DeleteTopics 1 to 6 and CreatePartitions 0 to 3. Any broker answers.

CreateTopics: 4 defaults for −1; 5 what was made, flexible; 6 THROTTLING_QUOTA_EXCEEDED; 7 the topic id. DeleteTopics:
4 flexible; 5 error texts; 6 by id. CreatePartitions: 2 flexible; 3 quotas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer._wire.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)
from aioproducer._wire.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from aioproducer._wire.messages.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from aioproducer._wire.schema import ZERO_UUID
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.acls import Operation, Resource
from aioproducer.testing._broker.configs import DEFAULTS
from aioproducer.testing._broker.requests import Refused

if TYPE_CHECKING:
    from aioproducer.testing._broker.requests import Request
    from aioproducer.testing._broker.state import ClusterState, Topic

DENIED: Final = "Authorization failed."
TOPIC_CONFIG: Final = 1
DEFAULT_CONFIG: Final = 5


def handle_create(state: ClusterState, request: Request, message: CreateTopicsRequest) -> CreateTopicsResponse:
    """Create each topic, or only check it."""
    return CreateTopicsResponse(
        topics=[_create(state, request, each, message.validate_only) for each in message.topics]
    )


def refuse_create(message: CreateTopicsRequest, request: Request, code: int) -> CreateTopicsResponse:
    """Answer with an error code for every topic."""
    return CreateTopicsResponse(topics=[_create_error(each.name, code, None) for each in message.topics])


def handle_delete(state: ClusterState, request: Request, message: DeleteTopicsRequest) -> DeleteTopicsResponse:
    """Delete each topic."""
    return DeleteTopicsResponse(responses=[_delete(state, request, each) for each in _to_delete(message, request)])


def refuse_delete(message: DeleteTopicsRequest, request: Request, code: int) -> DeleteTopicsResponse:
    """Answer with an error code for every topic."""
    return DeleteTopicsResponse(
        responses=[
            DeletableTopicResult(name=each.name, topic_id=each.topic_id, error_code=code)
            for each in _to_delete(message, request)
        ]
    )


def handle_create_partitions(
    state: ClusterState, request: Request, message: CreatePartitionsRequest
) -> CreatePartitionsResponse:
    """Grow each topic, or only check it."""
    return CreatePartitionsResponse(
        results=[_grow(state, request, each, message.validate_only) for each in message.topics]
    )


def refuse_create_partitions(message: CreatePartitionsRequest, request: Request, code: int) -> CreatePartitionsResponse:
    """Answer with an error code for every topic."""
    return CreatePartitionsResponse(
        results=[CreatePartitionsTopicResult(name=each.name, error_code=code) for each in message.topics]
    )


def may_create(state: ClusterState, request: Request, topic: str) -> bool:
    """Whether the client may create topics, or this one."""
    return state.allows(request, Operation.CREATE, Resource.CLUSTER) or state.allows(
        request, Operation.CREATE, Resource.TOPIC, topic
    )


def _create(state: ClusterState, request: Request, asked: CreatableTopic, validate_only: bool) -> CreatableTopicResult:
    if not may_create(state, request, asked.name):
        return _create_error(asked.name, ErrorCode.TOPIC_AUTHORIZATION_FAILED, DENIED)
    if asked.assignments and (asked.num_partitions, asked.replication_factor) != (-1, -1):
        text = "with assignments, the numbers of partitions and replicas must be -1"
        return _create_error(asked.name, ErrorCode.INVALID_REQUEST, text)
    settings = {each.name: each.value for each in asked.configs if each.value is not None}
    assignment = {each.partition_index: each.broker_ids for each in asked.assignments}
    make = state.plan_topic if validate_only else state.create_topic
    try:
        topic = make(asked.name, asked.num_partitions, asked.replication_factor, settings, assignment)
    except Refused as refused:
        return _create_error(asked.name, refused.code, refused.text)
    return CreatableTopicResult(
        name=topic.name,
        topic_id=topic.id,
        error_message=None,
        num_partitions=len(topic.partitions),
        replication_factor=len(topic.partitions[0].replicas),
        configs=[
            CreatableTopicConfigs(name=name, value=value, config_source=source)
            for name, (value, source) in described(state, topic).items()
        ],
    )


def described(state: ClusterState, topic: Topic) -> dict[str, tuple[str, int]]:
    """The settings of a topic: value and where it comes from, by name."""
    found = {name: (value, DEFAULT_CONFIG) for name, value in DEFAULTS.items()}
    given = {**state.options.topic_config, **topic.settings}
    return {**found, **{name: (value, TOPIC_CONFIG) for name, value in given.items()}}


def _create_error(name: str, code: int, text: str | None) -> CreatableTopicResult:
    return CreatableTopicResult(name=name, error_code=code, error_message=text, configs=[])


def _to_delete(message: DeleteTopicsRequest, request: Request) -> list[DeleteTopicState]:
    if request.version >= 6:
        return message.topics
    return [DeleteTopicState(name=name) for name in message.topic_names]


def _delete(state: ClusterState, request: Request, asked: DeleteTopicState) -> DeletableTopicResult:
    if (asked.topic_id == ZERO_UUID) == (asked.name is None):
        text = "a topic is deleted by its name or by its id: one of them, and not both"
        return DeletableTopicResult(
            name=asked.name, topic_id=asked.topic_id, error_code=ErrorCode.INVALID_REQUEST, error_message=text
        )
    by_id = state.topics_by_id.get(asked.topic_id)
    if asked.topic_id != ZERO_UUID and by_id is None:
        return DeletableTopicResult(name=None, topic_id=asked.topic_id, error_code=ErrorCode.UNKNOWN_TOPIC_ID)
    name = by_id.name if by_id is not None else asked.name or ""
    topic = state.topics.get(name)
    if not state.allows(request, Operation.DELETE, Resource.TOPIC, name):
        return DeletableTopicResult(name=name, error_code=ErrorCode.TOPIC_AUTHORIZATION_FAILED, error_message=DENIED)
    try:
        state.delete_topic(name)
    except Refused as refused:
        return DeletableTopicResult(name=name, error_code=refused.code, error_message=refused.text)
    return DeletableTopicResult(name=name, topic_id=topic.id if topic is not None else ZERO_UUID)


def _grow(
    state: ClusterState, request: Request, asked: CreatePartitionsTopic, validate_only: bool
) -> CreatePartitionsTopicResult:
    if not state.allows(request, Operation.ALTER, Resource.TOPIC, asked.name):
        return CreatePartitionsTopicResult(
            name=asked.name, error_code=ErrorCode.TOPIC_AUTHORIZATION_FAILED, error_message=DENIED
        )
    topic = state.topics.get(asked.name)
    if topic is None:
        return CreatePartitionsTopicResult(name=asked.name, error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    if asked.count <= len(topic.partitions):
        text = f"Topic currently has {len(topic.partitions)} partitions, which is not fewer than {asked.count}."
        return CreatePartitionsTopicResult(name=asked.name, error_code=ErrorCode.INVALID_PARTITIONS, error_message=text)
    if not validate_only:
        state.add_partitions(topic, asked.count)
    return CreatePartitionsTopicResult(name=asked.name)
