"""Metadata tells of brokers, leaders and topics, and makes those that may be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from aioproducer._wire.messages.describe_cluster import DescribeClusterRequest, DescribeClusterResponse
from aioproducer._wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseTopic,
)
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.state import Options
from tests.unit.testing._broker.helpers import Client, core

if TYPE_CHECKING:
    from aioproducer.testing._broker import ClusterCore


def ask(
    cluster: ClusterCore, name: str, *, version: int = 12, may_create: bool = True, node: int = 0
) -> MetadataResponseTopic:
    asked = [MetadataRequestTopic(name=name)]
    request = MetadataRequest(topics=asked, allow_auto_topic_creation=may_create)
    return Client(cluster, node).ask(request, version, MetadataResponse).topics[0]


@pytest.mark.parametrize("version", range(14))
def test_every_version_tells_of_a_topic(version: int) -> None:
    cluster = core(2, Options(replication_factor=2))
    topic = cluster.state.create_topic("orders", 2)
    found = ask(cluster, "orders", version=version)
    assert (found.error_code, found.name, found.topic_id) == (0, "orders", topic.id)
    told = [(each.partition_index, each.leader_id, each.replica_nodes) for each in found.partitions]
    assert told == [(0, 0, [0, 1]), (1, 1, [1, 0])]


def test_all_topics_or_none() -> None:
    cluster = core()
    cluster.state.create_topic("orders")
    client = Client(cluster)
    counts = [
        len(client.ask(MetadataRequest(topics=topics), version, MetadataResponse).topics)
        for version, topics in [(0, list[MetadataRequestTopic]()), (1, None), (1, [])]
    ]
    assert counts == [1, 1, 0]


def test_topic_is_made_but_not_known_yet() -> None:
    cluster = core(options=Options(partitions=3))
    assert ask(cluster, "orders").error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert len(ask(cluster, "orders").partitions) == 3


@pytest.mark.parametrize(("auto_create", "may_create"), [(False, True), (True, False)])
def test_topic_is_not_made_when_it_may_not(auto_create: bool, may_create: bool) -> None:
    cluster = core(options=Options(auto_create_topics=auto_create))
    assert ask(cluster, "orders", may_create=may_create).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert "orders" not in cluster.state.topics


@pytest.mark.parametrize("may_create", [True, False])
@pytest.mark.parametrize("name", ["a b", "", "..", "x" * 250])
def test_bad_names_are_invalid(name: str, may_create: bool) -> None:
    cluster = core()
    assert ask(cluster, name, may_create=may_create).error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
    assert cluster.state.topics == {}


def test_unknown_topic_id() -> None:
    cluster = core()
    topic = cluster.state.create_topic("orders")
    by_id = MetadataRequest(topics=[MetadataRequestTopic(topic_id=topic.id, name=None)])
    assert Client(cluster).ask(by_id, 12, MetadataResponse).topics[0].name == "orders"
    cluster.state.delete_topic("orders")
    assert Client(cluster).ask(by_id, 12, MetadataResponse).topics[0].error_code == ErrorCode.UNKNOWN_TOPIC_ID


def test_stopped_broker_is_missing_and_its_partitions_move() -> None:
    cluster = core(3, Options(replication_factor=2))
    cluster.state.create_topic("orders", 3)
    cluster.state.create_topic("alone", 3, 1)
    cluster.state.stop_node(1)
    (moved,) = [each for each in ask(cluster, "orders").partitions if each.partition_index == 1]
    assert (moved.leader_id, moved.leader_epoch, moved.isr_nodes, moved.offline_replicas) == (2, 1, [2], [1])
    (lost,) = [each for each in ask(cluster, "alone").partitions if each.partition_index == 1]
    assert (lost.leader_id, lost.error_code) == (-1, ErrorCode.LEADER_NOT_AVAILABLE)
    brokers = Client(cluster).ask(MetadataRequest(topics=[]), 12, MetadataResponse).brokers
    assert [broker.node_id for broker in brokers] == [0, 2]
    cluster.state.start_node(1)
    (back,) = [each for each in ask(cluster, "alone").partitions if each.partition_index == 1]
    assert (back.leader_id, back.leader_epoch) == (1, 2)


def test_describe_cluster() -> None:
    cluster = core(2)
    answer = Client(cluster).ask(DescribeClusterRequest(), 1, DescribeClusterResponse)
    assert [broker.broker_id for broker in answer.brokers] == [0, 1]
    assert (answer.cluster_id, answer.controller_id) == (cluster.state.cluster_id, 0)


@pytest.mark.parametrize(("version", "code"), [(10, ErrorCode.INVALID_REQUEST), (12, ErrorCode.UNKNOWN_SERVER_ERROR)])
def test_a_topic_without_a_name_is_asked_for_by_its_id_or_not_at_all(version: int, code: ErrorCode) -> None:
    request = MetadataRequest(topics=[MetadataRequestTopic(name=None)])
    answer = Client(core()).ask(request, version, MetadataResponse)
    assert (answer.topics[0].error_code, answer.topics[0].name, answer.brokers) == (code, "", [])


def test_ids_are_of_no_use_before_version_12() -> None:
    cluster = core()
    topic_id = cluster.state.create_topic("orders").id
    request = MetadataRequest(topics=[MetadataRequestTopic(name=None, topic_id=topic_id)])
    codes = [Client(cluster).ask(request, version, MetadataResponse).topics[0].error_code for version in (11, 12)]
    assert codes == [ErrorCode.INVALID_REQUEST, ErrorCode.NONE]


def test_a_topic_is_told_of_once() -> None:
    cluster = core()
    cluster.state.create_topic("orders")
    request = MetadataRequest(topics=[MetadataRequestTopic(name="orders")] * 2)
    assert len(Client(cluster).ask(request, 9, MetadataResponse).topics) == 1


def test_everything_is_allowed() -> None:
    cluster = core()
    cluster.state.create_topic("orders")
    request = MetadataRequest(
        topics=None, include_topic_authorized_operations=True, include_cluster_authorized_operations=True
    )
    told = Client(cluster).ask(request, 8, MetadataResponse)
    assert (told.topics[0].topic_authorized_operations, told.cluster_authorized_operations) == (3576, 8096)
    silent = Client(cluster).ask(MetadataRequest(topics=None), 8, MetadataResponse)
    assert {silent.topics[0].topic_authorized_operations, silent.cluster_authorized_operations} == {-(2**31)}


@pytest.mark.parametrize(
    ("endpoint_type", "code"), [(2, ErrorCode.MISMATCHED_ENDPOINT_TYPE), (3, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE)]
)
def test_only_brokers_are_described(endpoint_type: int, code: ErrorCode) -> None:
    request = DescribeClusterRequest(endpoint_type=endpoint_type)
    answer = Client(core()).ask(request, 1, DescribeClusterResponse)
    assert (answer.error_code, answer.brokers) == (code, [])


@pytest.mark.parametrize(("level", "supported", "finalized"), [(2, 1, 2), (1, 1, 1), (0, 1, None), (-1, 0, None)])
def test_features(level: int, supported: int, finalized: int | None) -> None:
    client = Client(core(options=Options(transaction_version=level)))
    request = ApiVersionsRequest(client_software_name="test", client_software_version="1.0")
    answer = client.ask(request, 4, ApiVersionsResponse)
    assert len(answer.supported_features) == supported
    levels = [each.max_version_level for each in answer.finalized_features]
    assert levels == ([] if finalized is None else [finalized])
    assert client.ask(request, 3, ApiVersionsResponse).supported_features == []


def test_software_names_are_checked() -> None:
    request = ApiVersionsRequest(client_software_name="-", client_software_version="1.0")
    assert Client(core()).ask(request, 4, ApiVersionsResponse).error_code == ErrorCode.INVALID_REQUEST


def test_produce_is_listed_from_version_0() -> None:
    listed = {each.api_key: each for each in Client(core()).ask(ApiVersionsRequest(), 0, ApiVersionsResponse).api_keys}
    assert (listed[ApiKey.PRODUCE].min_version, listed[ApiKey.PRODUCE].max_version) == (0, 13)
    assert (listed[ApiKey.METADATA].min_version, listed[ApiKey.METADATA].max_version) == (0, 13)
