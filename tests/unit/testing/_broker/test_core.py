"""Requests of a connection are answered in order, now or when it is time, and faults strike those that fit."""

from __future__ import annotations

import pytest

from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from aioproducer._wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from aioproducer._wire.messages.produce import ProduceResponse
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker import Closed, ClusterCore, Fault, Reply
from aioproducer.testing._broker.faults import Effect
from aioproducer.testing._broker.state import Options
from tests.unit.testing._broker.helpers import Client, batch, core, produce_request


@pytest.fixture
def cluster() -> ClusterCore:
    made = core(2)
    made.state.create_topic("orders", 1, 2)
    return made


def long_poll(max_wait_ms: int = 500) -> FetchRequest:
    wanted = FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1_000_000)
    return FetchRequest(max_wait_ms=max_wait_ms, min_bytes=1, topics=[FetchTopic(topic="orders", partitions=[wanted])])


def test_long_poll_is_answered_by_an_append(cluster: ClusterCore) -> None:
    reader, writer = Client(cluster), Client(cluster)
    assert reader.send(long_poll(), 12) == []
    outputs = writer.send(produce_request("orders", batch()), 9)
    assert [output.connection for output in outputs] == [writer, reader]
    assert cluster.deadline() is None


def test_long_poll_ends_at_its_deadline(cluster: ClusterCore) -> None:
    reader = Client(cluster)
    assert reader.send(long_poll(), 12) == []
    assert cluster.deadline() == 0.5
    assert cluster.poll(0.4) == []
    (output,) = cluster.poll(0.5)
    assert isinstance(output, Reply)
    assert isinstance(output.message, FetchResponse)


def test_requests_behind_one_that_waits_are_held_up(cluster: ClusterCore) -> None:
    client = Client(cluster)
    assert client.send(long_poll(), 12) == []
    assert client.send(MetadataRequest(topics=None), 9) == []
    outputs = cluster.poll(1.0)
    assert [output.correlation_id for output in outputs if isinstance(output, Reply)] == [1, 2]


def test_closed_connection_gets_no_answer(cluster: ClusterCore) -> None:
    client = Client(cluster)
    client.send(long_poll(), 12)
    cluster.disconnected(client)
    assert cluster.deadline() is None
    assert cluster.poll(9.0) == []


def test_stopped_broker_closes_connections(cluster: ClusterCore) -> None:
    cluster.state.stop_node(0)
    client = Client(cluster)
    assert client.send(MetadataRequest(topics=None), 9) == [Closed(client)]


def test_version_that_is_not_spoken_closes_the_connection() -> None:
    cluster = core(options=Options(max_versions={ApiKey.METADATA: 8, ApiKey.INIT_PRODUCER_ID: -1}))
    client = Client(cluster)
    assert client.send(MetadataRequest(topics=None), 9) == [Closed(client)]
    assert not cluster.accepts(ApiKey.INIT_PRODUCER_ID, 0)
    assert not cluster.accepts(ApiKey.PRODUCE, 2)
    assert cluster.refuse(0, client, 77, 0, 1, 0.0) == [Closed(client)]


def test_newer_api_versions_is_answered_in_version_0() -> None:
    cluster = core(options=Options(max_versions={ApiKey.API_VERSIONS: 2}))
    client = Client(cluster)
    (output,) = cluster.refuse(0, client, ApiKey.API_VERSIONS, 4, 7, 0.0)
    assert isinstance(output, Reply)
    assert (output.version, output.correlation_id) == (0, 7)
    assert isinstance(output.message, ApiVersionsResponse)
    assert output.message.error_code == ErrorCode.UNSUPPORTED_VERSION
    (own,) = output.message.api_keys
    assert (own.api_key, own.min_version, own.max_version) == (ApiKey.API_VERSIONS, 0, 2)
    assert client.send(ApiVersionsRequest(), 4) == [Reply(client, 1, ApiKey.API_VERSIONS, 0, output.message)]


def test_fault_fails_as_often_as_it_says(cluster: ClusterCore) -> None:
    fault = cluster.faults.add(Fault(Effect.FAIL, ErrorCode.NOT_ENOUGH_REPLICAS, api=ApiKey.PRODUCE, remaining=2))
    client = Client(cluster)
    codes = [client.produce("orders", batch()).error_code for _ in range(3)]
    assert codes == [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.NONE]
    assert fault.hits == 2
    assert cluster.state.topics["orders"].partitions[0].log.end_offset == 1


@pytest.mark.parametrize("code", [ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND, ErrorCode.REQUEST_TIMED_OUT])
def test_errors_after_the_append_leave_the_records_there(cluster: ClusterCore, code: ErrorCode) -> None:
    cluster.faults.add(Fault(Effect.FAIL, code, api=ApiKey.PRODUCE, remaining=1))
    data = batch(producer_id=7, epoch=0, sequence=0)
    assert Client(cluster).produce("orders", data).error_code == code
    assert Client(cluster).produce("orders", data).base_offset == 0
    assert cluster.state.topics["orders"].partitions[0].log.end_offset == 1


def test_fault_strikes_only_what_it_is_about(cluster: ClusterCore) -> None:
    cluster.state.create_topic("other", 2, 2)
    cluster.faults.add(Fault(Effect.FAIL, 19, api=ApiKey.PRODUCE, topic="other", partition=0, node_id=0, acks=-1))
    client = Client(cluster)
    assert client.produce("orders", batch()).error_code == 0
    assert client.produce("other", batch(), acks=1).error_code == 0
    assert client.produce("other", batch()).error_code == 19
    assert Client(cluster, 1).produce("other", batch(), partition=1).error_code == 0


def test_removed_fault_strikes_no_more(cluster: ClusterCore) -> None:
    fault = cluster.faults.add(Fault(Effect.FAIL, 19, api=ApiKey.PRODUCE))
    cluster.faults.remove(fault)
    cluster.faults.remove(fault)
    assert Client(cluster).produce("orders", batch()).error_code == 0
    cluster.faults.add(fault := Fault(Effect.FAIL, 19))
    cluster.faults.clear()
    assert not cluster.faults
    assert fault.remaining == 0


def test_lost_response_is_carried_out(cluster: ClusterCore) -> None:
    cluster.faults.add(Fault(Effect.LOSE_RESPONSE, api=ApiKey.PRODUCE, topic="orders", remaining=1))
    client = Client(cluster)
    assert client.send(produce_request("orders", batch()), 9) == [Closed(client)]
    assert cluster.state.topics["orders"].partitions[0].log.end_offset == 1
    assert Client(cluster).produce("orders", batch()).base_offset == 1


def test_lost_request_is_not_carried_out(cluster: ClusterCore) -> None:
    cluster.faults.add(Fault(Effect.CLOSE, api=ApiKey.PRODUCE, remaining=1))
    client = Client(cluster)
    assert client.send(produce_request("orders", batch()), 9) == [Closed(client)]
    assert cluster.state.topics["orders"].partitions[0].log.end_offset == 0


def test_fault_for_a_topic_finds_it_by_id(cluster: ClusterCore) -> None:
    cluster.faults.add(Fault(Effect.LOSE_RESPONSE, api=ApiKey.PRODUCE, topic="orders", remaining=1))
    request = produce_request("", batch())
    by_id = type(request.topic_data[0])(
        topic_id=cluster.state.topics["orders"].id, partition_data=request.topic_data[0].partition_data
    )
    client = Client(cluster)
    assert client.send(type(request)(acks=-1, topic_data=[by_id]), 13) == [Closed(client)]


def test_delayed_answers_keep_their_order(cluster: ClusterCore) -> None:
    cluster.faults.add(Fault(Effect.DELAY, amount=0.5, api=ApiKey.PRODUCE, remaining=1))
    client, other = Client(cluster), Client(cluster)
    assert client.send(produce_request("orders", batch()), 9) == []
    assert client.send(MetadataRequest(topics=None), 9) == []
    assert len(other.send(MetadataRequest(topics=None), 9)) == 1
    assert cluster.state.topics["orders"].partitions[0].log.end_offset == 1
    assert cluster.deadline() == 0.5
    outputs = cluster.poll(0.5)
    assert [output.correlation_id for output in outputs if isinstance(output, Reply)] == [1, 2]


def test_throttled_answers_say_so(cluster: ClusterCore) -> None:
    cluster.faults.add(Fault(Effect.THROTTLE, amount=200, api=ApiKey.PRODUCE, remaining=1))
    client = Client(cluster)
    answers = [client.ask(produce_request("orders", batch()), 9, ProduceResponse) for _ in range(2)]
    assert [answer.throttle_time_ms for answer in answers] == [200, 0]


def test_metadata_fails_for_a_topic(cluster: ClusterCore) -> None:
    cluster.faults.add(Fault(Effect.FAIL, ErrorCode.LEADER_NOT_AVAILABLE, api=ApiKey.METADATA, topic="orders"))
    asked = [MetadataRequestTopic(name="orders"), MetadataRequestTopic(name="other")]
    answer = Client(cluster).ask(MetadataRequest(topics=asked), 9, MetadataResponse)
    assert [topic.error_code for topic in answer.topics] == [5, 3]


def test_same_seed_makes_the_same_cluster() -> None:
    assert core().state.cluster_id == core().state.cluster_id
    assert core().state.create_topic("a").id == core().state.create_topic("a").id
