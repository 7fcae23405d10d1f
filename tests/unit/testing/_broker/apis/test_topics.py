"""Topics are created, grown, described and deleted, or the answer says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._wire.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
)
from aioproducer._wire.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from aioproducer._wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicState
from aioproducer._wire.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResponse,
)
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.configs import DEFAULTS, TYPES
from tests.unit.testing._broker.helpers import Client, core

if TYPE_CHECKING:
    from aioproducer.testing._broker import ClusterCore


def create(
    cluster: ClusterCore,
    name: str = "orders",
    *,
    partitions: int = -1,
    factor: int = -1,
    version: int = 7,
    config: dict[str, str] | None = None,
    assignments: list[CreatableReplicaAssignment] | None = None,
    validate_only: bool = False,
) -> CreatableTopicResult:
    topic = CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=factor,
        configs=[CreatableTopicConfig(name=key, value=value) for key, value in (config or {}).items()],
        assignments=assignments or [],
    )
    request = CreateTopicsRequest(topics=[topic], validate_only=validate_only)
    return Client(cluster).ask(request, version, CreateTopicsResponse).topics[0]


@pytest.mark.parametrize("version", range(2, 8))
def test_topic_is_created(version: int) -> None:
    cluster = core(2)
    answer = create(cluster, partitions=3, factor=2, version=version, config={"retention.bytes": "7"})
    assert (answer.error_code, answer.num_partitions, answer.replication_factor) == (0, 3, 2)
    topic = cluster.state.topics["orders"]
    assert (topic.id, topic.config.retention_bytes) == (answer.topic_id, 7)


def test_validation_creates_nothing() -> None:
    cluster = core()
    assert create(cluster, validate_only=True).error_code == 0
    assert cluster.state.topics == {}


def test_assignment_is_kept() -> None:
    cluster = core(3)
    assignments = [CreatableReplicaAssignment(partition_index=i, broker_ids=[2, i]) for i in range(2)]
    assert create(cluster, assignments=assignments).error_code == 0
    assert [each.replicas for each in cluster.state.topics["orders"].partitions] == [[2, 0], [2, 1]]
    assert create(cluster, "other", partitions=2, assignments=assignments).error_code == ErrorCode.INVALID_REQUEST
    gap = [CreatableReplicaAssignment(partition_index=1, broker_ids=[0])]
    assert create(cluster, "other", assignments=gap).error_code == ErrorCode.INVALID_REPLICA_ASSIGNMENT


def test_what_is_wrong_is_told() -> None:
    cluster = core(2)
    assert create(cluster, "a b").error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
    assert create(cluster, partitions=0).error_code == ErrorCode.INVALID_PARTITIONS
    assert create(cluster, factor=3).error_code == ErrorCode.INVALID_REPLICATION_FACTOR
    assert create(cluster, config={"no.such": "1"}).error_code == ErrorCode.INVALID_CONFIG
    assert create(cluster, config={"retention.bytes": "many"}).error_code == ErrorCode.INVALID_CONFIG
    assert create(cluster).error_code == 0
    assert create(cluster).error_code == ErrorCode.TOPIC_ALREADY_EXISTS


def test_topic_is_deleted_by_name_or_id() -> None:
    cluster = core()
    client = Client(cluster)
    cluster.state.create_topic("one")
    topic_id = cluster.state.create_topic("two").id
    by_name = client.ask(DeleteTopicsRequest(topic_names=["one", "none"]), 5, DeleteTopicsResponse)
    assert [each.error_code for each in by_name.responses] == [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
    by_id = DeleteTopicsRequest(topics=[DeleteTopicState(topic_id=topic_id)] * 2)
    answers = client.ask(by_id, 6, DeleteTopicsResponse).responses
    assert [each.error_code for each in answers] == [0, ErrorCode.UNKNOWN_TOPIC_ID]
    assert cluster.state.topics == {}


def test_a_topic_is_deleted_by_its_name_or_its_id_and_not_by_both() -> None:
    cluster = core()
    topic_id = cluster.state.create_topic("one").id
    asked = [DeleteTopicState(name="one", topic_id=topic_id), DeleteTopicState()]
    answers = Client(cluster).ask(DeleteTopicsRequest(topics=asked), 6, DeleteTopicsResponse).responses
    assert [(each.name, each.error_code) for each in answers] == [
        ("one", ErrorCode.INVALID_REQUEST),
        (None, ErrorCode.INVALID_REQUEST),
    ]
    assert "one" in cluster.state.topics


def test_topic_grows_but_never_shrinks() -> None:
    cluster = core(2)
    cluster.state.create_topic("orders", 1, 2)
    asked = [CreatePartitionsTopic(name=name, count=3) for name in ("orders", "orders", "other")]
    answer = Client(cluster).ask(CreatePartitionsRequest(topics=asked), 3, CreatePartitionsResponse)
    assert [each.error_code for each in answer.results] == [
        ErrorCode.NONE,
        ErrorCode.INVALID_PARTITIONS,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ]
    assert [each.leader for each in cluster.state.topics["orders"].partitions] == [0, 1, 0]


def test_settings_are_described() -> None:
    cluster = core()
    cluster.state.create_topic("orders", settings={"cleanup.policy": "compact"})
    keys = ["cleanup.policy", "retention.ms"]
    asked = [
        DescribeConfigsResource(resource_type=2, resource_name="orders", configuration_keys=keys),
        DescribeConfigsResource(resource_type=2, resource_name="other", configuration_keys=None),
        DescribeConfigsResource(resource_type=4, resource_name="0", configuration_keys=None),
        DescribeConfigsResource(resource_type=2, resource_name="a b", configuration_keys=None),
        DescribeConfigsResource(resource_type=2, resource_name="orders", configuration_keys=[]),
    ]
    answer = Client(cluster).ask(DescribeConfigsRequest(resources=asked), 4, DescribeConfigsResponse)
    assert [each.error_code for each in answer.results] == [
        ErrorCode.NONE,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.NONE,
        ErrorCode.INVALID_TOPIC_EXCEPTION,
        ErrorCode.NONE,
    ]
    assert {each.name for each in answer.results[-1].configs} == set(DEFAULTS)
    assert {each.name: each.config_type for each in answer.results[-1].configs} == TYPES
    told = {each.name: (each.value, each.config_source) for each in answer.results[0].configs}
    assert told == {"cleanup.policy": ("compact", 1), "retention.ms": ("604800000", 5)}
