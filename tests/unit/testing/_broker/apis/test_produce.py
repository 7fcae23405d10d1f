"""Produce answers each partition with what became of its batch, in every version."""

from __future__ import annotations

import pytest

from aioproducer._records.compression import Codec
from aioproducer._wire.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker import Closed, ClusterCore, Reply
from aioproducer.testing._broker.state import Options
from aioproducer.testing._broker.transactions import Identity
from tests.unit.testing._broker.helpers import Client, batch, core, produce_request


@pytest.fixture
def cluster() -> ClusterCore:
    made = core(2, Options(replication_factor=2))
    made.state.create_topic("orders")
    return made


def log_end(cluster: ClusterCore) -> int:
    return cluster.state.topics["orders"].partitions[0].log.end_offset


@pytest.mark.parametrize("version", range(3, 13))
def test_every_version_appends(cluster: ClusterCore, version: int) -> None:
    client = Client(cluster)
    client.produce("orders", batch(), version=version)
    answer = client.produce("orders", batch(), version=version)
    assert (answer.error_code, answer.base_offset, answer.log_append_time_ms) == (0, 1, -1)


def by_id(cluster: ClusterCore, topic: str) -> ProduceRequest:
    topic_id = cluster.state.topics[topic].id
    data = PartitionProduceData(index=0, records=batch())
    return ProduceRequest(acks=-1, topic_data=[TopicProduceData(topic_id=topic_id, partition_data=[data])])


def test_version_13_goes_by_topic_id(cluster: ClusterCore) -> None:
    request = by_id(cluster, "orders")
    answer = Client(cluster).ask(request, 13, ProduceResponse)
    assert answer.responses[0].topic_id == cluster.state.topics["orders"].id
    assert answer.responses[0].partition_responses == [PartitionProduceResponse(base_offset=0, log_start_offset=0)]
    cluster.state.delete_topic("orders")
    cluster.state.create_topic("orders")
    answer = Client(cluster).ask(request, 13, ProduceResponse)
    assert answer.responses[0].partition_responses[0].error_code == ErrorCode.UNKNOWN_TOPIC_ID
    assert log_end(cluster) == 0


def test_unknown_topics_and_partitions(cluster: ClusterCore) -> None:
    client = Client(cluster)
    assert client.produce("other", batch()).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert client.produce("orders", batch(), partition=9).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert client.produce("__consumer_offsets", batch()).error_code == ErrorCode.INVALID_TOPIC_EXCEPTION


def test_another_broker_names_the_leader(cluster: ClusterCore) -> None:
    cluster.state.nodes[1].host, cluster.state.nodes[1].port = "127.0.0.1", 9093
    cluster.state.move_leader("orders", 0, 1)
    answer = Client(cluster).ask(produce_request("orders", batch()), 12, ProduceResponse)
    refused = answer.responses[0].partition_responses[0]
    assert (refused.error_code, refused.base_offset) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, -1)
    assert (refused.current_leader.leader_id, refused.current_leader.leader_epoch) == (1, 1)
    assert [(node.node_id, node.port) for node in answer.node_endpoints] == [(1, 9093)]
    old = Client(cluster).ask(produce_request("orders", batch()), 9, ProduceResponse)
    assert old.node_endpoints == []
    assert Client(cluster, 1).produce("orders", batch()).error_code == 0


def test_no_answer_without_acks(cluster: ClusterCore) -> None:
    client = Client(cluster)
    assert client.send(produce_request("orders", batch(), acks=0), 9) == []
    assert log_end(cluster) == 1
    assert client.send(produce_request("other", batch(), acks=0), 9) == [Closed(client)]


def test_acks_2_is_refused(cluster: ClusterCore) -> None:
    assert Client(cluster).produce("orders", batch(), acks=2).error_code == ErrorCode.INVALID_REQUIRED_ACKS
    assert log_end(cluster) == 0


def test_zstd_before_version_7_is_refused(cluster: ClusterCore) -> None:
    client = Client(cluster)
    data = batch(codec=Codec.ZSTD)
    assert client.produce("orders", data, version=6).error_code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    assert client.produce("orders", data, version=7).error_code == 0


def test_missing_records_are_invalid(cluster: ClusterCore) -> None:
    assert Client(cluster).produce("orders", None).error_code == ErrorCode.INVALID_RECORD


@pytest.mark.parametrize("kept", [1, 11, 13, 16, 40, 70])
def test_a_batch_that_is_cut_off_behind_a_whole_one_is_dropped(cluster: ClusterCore, kept: int) -> None:
    assert Client(cluster).produce("orders", batch() + batch()[:kept]).error_code == 0
    assert log_end(cluster) == 1
    (stored,) = cluster.state.topics["orders"].partitions[0].log.batches
    assert len(stored.data) == len(batch())


@pytest.mark.parametrize(
    ("behind", "code"),
    [
        (batch(), ErrorCode.INVALID_RECORD),
        (bytes(12), ErrorCode.CORRUPT_MESSAGE),
        (batch()[:16] + b"\x03", ErrorCode.CORRUPT_MESSAGE),
    ],
    ids=["another batch", "no length", "no magic"],
)
def test_nothing_else_may_follow_a_batch(cluster: ClusterCore, behind: bytes, code: ErrorCode) -> None:
    assert Client(cluster).produce("orders", batch() + behind).error_code == code
    assert log_end(cluster) == 0


def test_a_codec_that_does_not_exist_is_an_error_of_the_server(cluster: ClusterCore) -> None:
    data = bytearray(batch())
    data[22] |= 5
    answer = Client(cluster).produce("orders", bytes(data))
    assert (answer.error_code, answer.log_start_offset) == (ErrorCode.UNKNOWN_SERVER_ERROR, 0)


def test_a_transactional_batch_without_a_transactional_id_spoils_the_request(cluster: ClusterCore) -> None:
    data = [PartitionProduceData(index=0, records=batch()), PartitionProduceData(index=1, records=transactional(5))]
    topics = [TopicProduceData(name=name, partition_data=data) for name in ("orders", "unknown")]
    client = Client(cluster)
    answer = client.ask(ProduceRequest(acks=-1, timeout_ms=1000, topic_data=topics), 12, ProduceResponse)
    codes = {each.error_code for topic in answer.responses for each in topic.partition_responses}
    assert codes == {ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED}
    assert client.send(produce_request("orders", transactional(5), acks=0), 12) == [Closed(client)]
    assert log_end(cluster) == 0


def test_too_few_replicas_refuse_acks_all_only(cluster: ClusterCore) -> None:
    cluster.state.create_topic("safe", settings={"min.insync.replicas": "2"})
    cluster.state.stop_node(1)
    client = Client(cluster)
    assert client.produce("safe", batch()).error_code == ErrorCode.NOT_ENOUGH_REPLICAS
    assert client.produce("safe", batch(), acks=1).error_code == 0
    cluster.state.start_node(1)
    assert client.produce("safe", batch()).error_code == 0


def test_acks_all_waits_for_the_replicas(cluster: ClusterCore) -> None:
    partition = cluster.state.topics["orders"].partitions[0]
    partition.replication_held = True
    client = Client(cluster)
    assert client.produce("orders", batch(), acks=1).error_code == 0
    assert client.send(produce_request("orders", batch()), 9) == []
    partition.release_replication()
    (output,) = cluster.poll(0.1)
    assert isinstance(output, Reply)
    assert isinstance(output.message, ProduceResponse)
    assert output.message.responses[0].partition_responses[0].base_offset == 1


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        ("nothing", ErrorCode.REQUEST_TIMED_OUT),
        ("leader moves", ErrorCode.NOT_LEADER_OR_FOLLOWER),
        ("replica dies", ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND),
    ],
)
def test_waiting_for_the_replicas_may_fail(cluster: ClusterCore, happens: str, code: ErrorCode) -> None:
    cluster.state.create_topic("safe", settings={"min.insync.replicas": "2"})
    partition = cluster.state.topics["safe"].partitions[0]
    partition.replication_held = True
    assert Client(cluster).send(produce_request("safe", batch()), 9) == []
    if happens == "leader moves":
        cluster.state.move_leader("safe", 0, 1)
    elif happens == "replica dies":
        cluster.state.stop_node(1)
        partition.release_replication()
    (output,) = cluster.poll(1.0)
    assert isinstance(output, Reply)
    assert isinstance(output.message, ProduceResponse)
    assert output.message.responses[0].partition_responses[0].error_code == code


def test_record_errors_are_told(cluster: ClusterCore) -> None:
    cluster.state.create_topic("compacted", settings={"cleanup.policy": "compact"})
    answer = Client(cluster).produce("compacted", batch([b"0", b"1"], keys=[b"k", None]))
    assert (answer.error_code, [each.batch_index for each in answer.record_errors]) == (ErrorCode.INVALID_RECORD, [1])
    assert answer.error_message


def transactional(producer_id: int, epoch: int = 0, sequence: int = 0) -> bytes:
    return batch(producer_id=producer_id, epoch=epoch, sequence=sequence, transactional=True)


def test_version_12_makes_the_partition_part_of_the_transaction(cluster: ClusterCore) -> None:
    client = Client(cluster, cluster_coordinator(cluster))
    identity = client.init_producer("t")
    leader = Client(cluster)
    answer = leader.produce("orders", transactional(identity.producer_id), transactional_id="t")
    assert answer.error_code == 0
    assert cluster.state.topics["orders"].partitions[0].last_stable_offset == 0


@pytest.mark.parametrize(("version", "code"), [(10, 48), (11, 120)])
def test_older_versions_need_the_partition_to_be_added(cluster: ClusterCore, version: int, code: int) -> None:
    identity = Client(cluster, cluster_coordinator(cluster)).init_producer("t")
    data = transactional(identity.producer_id)
    answer = Client(cluster).produce("orders", data, version=version, transactional_id="t")
    assert answer.error_code == code
    assert log_end(cluster) == 0


@pytest.mark.parametrize("version", [11, 12])
def test_fenced_epoch_is_invalid(cluster: ClusterCore, version: int) -> None:
    client = Client(cluster, cluster_coordinator(cluster))
    identity = client.init_producer("t")
    client.init_producer("t")
    answer = Client(cluster).produce(
        "orders", transactional(identity.producer_id), version=version, transactional_id="t"
    )
    assert answer.error_code == ErrorCode.INVALID_PRODUCER_EPOCH


def test_transaction_that_is_being_ended_is_concurrent() -> None:
    cluster = core(options=Options(marker_delay=1.0))
    cluster.state.create_topic("orders")
    client = Client(cluster)
    producer_id = client.init_producer("t").producer_id
    client.produce("orders", transactional(producer_id), transactional_id="t")
    following = cluster.state.transactions.end("t", Identity(producer_id, 0), commit=True, raises_epoch=True)
    data = transactional(producer_id, following.epoch)
    # The open transaction is of the epoch before, so the coordinator is asked again.
    assert client.produce("orders", data, transactional_id="t").error_code == ErrorCode.CONCURRENT_TRANSACTIONS
    assert client.produce("orders", data, version=11, transactional_id="t").error_code == ErrorCode.NOT_ENOUGH_REPLICAS
    cluster.poll(1.0)
    client.now = 1.0
    assert client.produce("orders", data, transactional_id="t").base_offset == 2


def cluster_coordinator(cluster: ClusterCore) -> int:
    node = cluster.state.coordinator_of("t")
    assert node is not None
    return node.id


def test_refusals_of_the_log_tell_where_it_starts_and_others_do_not(cluster: ClusterCore) -> None:
    client = Client(cluster)
    producer_id = client.init_producer().producer_id
    good = batch(producer_id=producer_id, epoch=0, sequence=0)
    assert client.produce("orders", good).error_code == 0
    gap = client.produce("orders", batch(producer_id=producer_id, epoch=0, sequence=5))
    assert (gap.error_code, gap.log_start_offset) == (ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 0)
    old_format = client.produce("orders", good[:16] + b"\1" + good[17:])
    assert (old_format.error_code, old_format.log_start_offset) == (ErrorCode.INVALID_RECORD, -1)
    corrupt = client.produce("orders", good[:-1] + b"\x7f")
    assert (corrupt.error_code, corrupt.log_start_offset) == (ErrorCode.CORRUPT_MESSAGE, -1)


def test_a_repetition_from_an_earlier_epoch_of_a_transactional_producer_is_fenced(cluster: ClusterCore) -> None:
    client = Client(cluster, cluster_coordinator(cluster))
    first = client.init_producer("t")
    written = batch(producer_id=first.producer_id, epoch=first.producer_epoch, sequence=0, transactional=True)
    leader = Client(cluster)
    assert leader.produce("orders", written, transactional_id="t").error_code == 0
    while client.init_producer("t").error_code:  # it aborts what is open first
        pass
    assert leader.produce("orders", written, transactional_id="t").error_code == ErrorCode.INVALID_PRODUCER_EPOCH
