"""Coordinators are found, and answer for producers, transactions and groups in every version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from aioproducer._wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from aioproducer._wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer._wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from aioproducer._wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)
from aioproducer._wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.faults import Effect, Fault
from tests.unit.testing._broker.helpers import Client, batch, core

if TYPE_CHECKING:
    from aioproducer.testing._broker import ClusterCore

TRANSACTION = 1


@pytest.fixture
def cluster() -> ClusterCore:
    made = core(3)
    made.state.create_topic("orders", 2)
    return made


@pytest.fixture
def client(cluster: ClusterCore) -> Client:
    """A client of the broker that coordinates both "t" and "g"."""
    node = cluster.state.coordinator_of("t")
    group = cluster.state.coordinator_of("g")
    assert node is not None
    assert group is not None
    for other in cluster.state.nodes:
        if other != node.id:
            cluster.state.stop_node(other)
    return Client(cluster, node.id)


# ── FindCoordinator ──


@pytest.mark.parametrize("version", range(7))
def test_coordinator_is_found(cluster: ClusterCore, version: int) -> None:
    expected = cluster.state.coordinator_of("t")
    assert expected is not None
    if version < 4:
        request = FindCoordinatorRequest(key="t", key_type=TRANSACTION if version else 0)
        answer = Client(cluster).ask(request, version, FindCoordinatorResponse)
        assert (answer.error_code, answer.node_id) == (0, expected.id)
    else:
        request = FindCoordinatorRequest(coordinator_keys=["t"], key_type=TRANSACTION)
        (found,) = Client(cluster).ask(request, version, FindCoordinatorResponse).coordinators
        assert (found.error_code, found.key, found.node_id) == (0, "t", expected.id)


def test_coordinator_moves_when_its_broker_stops(cluster: ClusterCore) -> None:
    first = cluster.state.coordinator_of("t")
    assert first is not None
    cluster.state.stop_node(first.id)
    second = cluster.state.coordinator_of("t")
    assert second is not None
    assert second.id != first.id
    cluster.state.start_node(first.id)
    assert cluster.state.coordinator_of("t") == first


def test_unknown_kind_of_coordinator(cluster: ClusterCore) -> None:
    answer = Client(cluster).ask(FindCoordinatorRequest(key="t", key_type=7), 3, FindCoordinatorResponse)
    assert answer.error_code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("version", [3, 4])
def test_lookup_fails_when_a_fault_says_so(cluster: ClusterCore, version: int) -> None:
    cluster.faults.add(Fault(Effect.FAIL, ErrorCode.COORDINATOR_NOT_AVAILABLE, api=10, remaining=1))
    request = FindCoordinatorRequest(key="t") if version < 4 else FindCoordinatorRequest(coordinator_keys=["t"])
    answer = Client(cluster).ask(request, version, FindCoordinatorResponse)
    codes = [answer.error_code, *(each.error_code for each in answer.coordinators)]
    assert ErrorCode.COORDINATOR_NOT_AVAILABLE in codes


# ── InitProducerId ──


def test_every_producer_has_an_id_of_its_own(cluster: ClusterCore) -> None:
    ids = [
        Client(cluster, node).init_producer(version=version).producer_id for node in range(3) for version in range(6)
    ]
    assert len(set(ids)) == 18


def test_only_the_coordinator_answers_for_a_transactional_id(cluster: ClusterCore) -> None:
    coordinator = cluster.state.coordinator_of("t")
    codes = {node: Client(cluster, node).init_producer("t").error_code for node in range(3)}
    assert coordinator is not None
    assert codes == {node: 0 if node == coordinator.id else ErrorCode.NOT_COORDINATOR for node in range(3)}


@pytest.mark.parametrize(("version", "code"), [(3, 47), (4, 90), (5, 90)])
def test_fenced_producer_is_told_in_the_words_of_its_version(client: Client, version: int, code: int) -> None:
    identity = client.init_producer("t")
    client.init_producer("t")
    client.init_producer("t")
    request = InitProducerIdRequest(
        transactional_id="t", transaction_timeout_ms=1000, producer_id=identity.producer_id, producer_epoch=0
    )
    answer = client.ask(request, version, InitProducerIdResponse)
    assert (answer.error_code, answer.producer_id, answer.producer_epoch) == (code, -1, -1)


# ── transactions ──


def add_partitions(client: Client, producer_id: int, version: int, epoch: int = 0, topic: str = "orders") -> list[int]:
    topics = [
        AddPartitionsToTxnTopic(name=topic, partitions=[0]),
        AddPartitionsToTxnTopic(name="orders", partitions=[1]),
    ]
    if version < 4:
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id="t",
            v3_and_below_producer_id=producer_id,
            v3_and_below_producer_epoch=epoch,
            v3_and_below_topics=topics,
        )
        told = client.ask(request, version, AddPartitionsToTxnResponse).results_by_topic_v3_and_below
    else:
        transaction = AddPartitionsToTxnTransaction(
            transactional_id="t", producer_id=producer_id, producer_epoch=epoch, topics=topics
        )
        request = AddPartitionsToTxnRequest(transactions=[transaction])
        (result,) = client.ask(request, version, AddPartitionsToTxnResponse).results_by_transaction
        told = result.topic_results
    return [each.partition_error_code for topic_result in told for each in topic_result.results_by_partition]


def end(client: Client, producer_id: int, version: int, *, commit: bool = True, epoch: int = 0) -> EndTxnResponse:
    request = EndTxnRequest(transactional_id="t", producer_id=producer_id, producer_epoch=epoch, committed=commit)
    return client.ask(request, version, EndTxnResponse)


@pytest.mark.parametrize("version", range(6))
def test_partitions_are_added_all_or_none(client: Client, version: int) -> None:
    producer_id = client.init_producer("t").producer_id
    refused = [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.OPERATION_NOT_ATTEMPTED]
    assert add_partitions(client, producer_id, version, topic="other") == refused
    assert end(client, producer_id, 4).error_code == ErrorCode.INVALID_TXN_STATE
    assert add_partitions(client, producer_id, version) == [0, 0]
    assert end(client, producer_id, 4).error_code == 0


@pytest.mark.parametrize(("version", "code"), [(1, 47), (2, 90), (3, 90)])
def test_old_epoch_is_told_in_the_words_of_its_version(client: Client, version: int, code: int) -> None:
    producer_id = client.init_producer("t").producer_id
    client.init_producer("t")
    assert add_partitions(client, producer_id, version) == [code, code]
    assert end(client, producer_id, version).error_code == code


@pytest.mark.parametrize("version", range(6))
def test_end_gives_the_next_identity_from_version_5_on(client: Client, version: int) -> None:
    producer_id = client.init_producer("t").producer_id
    add_partitions(client, producer_id, 3)
    answer = end(client, producer_id, version)
    assert answer.error_code == 0
    assert (answer.producer_id, answer.producer_epoch) == ((producer_id, 1) if version >= 5 else (-1, -1))


@pytest.mark.parametrize("commit", [True, False])
def test_records_of_a_transaction_are_decided(cluster: ClusterCore, client: Client, commit: bool) -> None:
    cluster.state.move_leader("orders", 0, client.node_id)
    partition = cluster.state.topics["orders"].partitions[0]
    producer_id = client.init_producer("t").producer_id
    data = batch(producer_id=producer_id, epoch=0, sequence=0, transactional=True)
    assert client.produce("orders", data, version=12, transactional_id="t").error_code == 0
    assert end(client, producer_id, 5, commit=commit).error_code == 0
    assert partition.last_stable_offset == 2
    assert len(partition.log.aborted) == (0 if commit else 1)


# ── offsets ──


def commit_in_transaction(client: Client, producer_id: int, version: int, generation_id: int = -1) -> int:
    offset = TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=42, committed_metadata="m")
    request = TxnOffsetCommitRequest(
        transactional_id="t",
        group_id="g",
        producer_id=producer_id,
        producer_epoch=0,
        topics=[TxnOffsetCommitRequestTopic(name="orders", partitions=[offset])],
        generation_id=generation_id,
    )
    return client.ask(request, version, TxnOffsetCommitResponse).topics[0].partitions[0].error_code


def committed(client: Client, version: int, *, stable: bool = False) -> tuple[int, int]:
    """(error code, offset) of partition 0 of "orders"."""
    if version < 8:
        asked = [OffsetFetchRequestTopic(name="orders", partition_indexes=[0])]
        request = OffsetFetchRequest(group_id="g", topics=asked, require_stable=stable)
        old = client.ask(request, version, OffsetFetchResponse).topics[0].partitions[0]
        return old.error_code, old.committed_offset
    topics = [OffsetFetchRequestTopics(name="orders", partition_indexes=[0])]
    group = OffsetFetchRequestGroup(group_id="g", topics=topics)
    request = OffsetFetchRequest(groups=[group], require_stable=stable)
    new = client.ask(request, version, OffsetFetchResponse).groups[0].topics[0].partitions[0]
    return new.error_code, new.committed_offset


@pytest.mark.parametrize("version", range(6))
def test_offsets_are_committed_with_the_transaction(client: Client, version: int) -> None:
    producer_id = client.init_producer("t").producer_id
    if version < 5:
        code = ErrorCode.TRANSACTION_ABORTABLE if version == 4 else ErrorCode.INVALID_TXN_STATE
        assert commit_in_transaction(client, producer_id, version) == code
        request = AddOffsetsToTxnRequest(transactional_id="t", producer_id=producer_id, producer_epoch=0, group_id="g")
        assert client.ask(request, min(version, 4), AddOffsetsToTxnResponse).error_code == 0
    assert commit_in_transaction(client, producer_id, version) == 0
    assert committed(client, 9) == (0, -1)
    assert committed(client, 9, stable=True) == (ErrorCode.UNSTABLE_OFFSET_COMMIT, -1)
    assert end(client, producer_id, 4).error_code == 0
    assert committed(client, 9, stable=True) == (0, 42)


def test_members_are_not_known(client: Client) -> None:
    producer_id = client.init_producer("t").producer_id
    assert commit_in_transaction(client, producer_id, 5, generation_id=3) == ErrorCode.ILLEGAL_GENERATION
    assert commit_in_transaction(client, producer_id, 5) == 0  # now there is such a group
    assert commit_in_transaction(client, producer_id, 5, generation_id=3) == ErrorCode.UNKNOWN_MEMBER_ID


def test_offsets_are_refused_one_by_one(client: Client) -> None:
    wanted = [("orders", 0, None), ("orders", 0, "m" * 4_097), ("orders", 7, None), ("nowhere", 0, None)]
    request = OffsetCommitRequest(
        group_id="g",
        topics=[
            OffsetCommitRequestTopic(
                name=topic,
                partitions=[
                    OffsetCommitRequestPartition(partition_index=index, committed_offset=7, committed_metadata=text)
                ],
            )
            for topic, index, text in wanted
        ],
    )
    answer = client.ask(request, 9, OffsetCommitResponse)
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    codes = [topic.partitions[0].error_code for topic in answer.topics]
    assert codes == [0, ErrorCode.OFFSET_METADATA_TOO_LARGE, unknown, unknown]


@pytest.mark.parametrize(("version", "code"), [(8, ErrorCode.ILLEGAL_GENERATION), (9, ErrorCode.GROUP_ID_NOT_FOUND)])
def test_a_member_of_a_group_that_nobody_knows_is_refused(client: Client, version: int, code: ErrorCode) -> None:
    offset = OffsetCommitRequestPartition(partition_index=0, committed_offset=7, committed_metadata=None)
    topics = [OffsetCommitRequestTopic(name="orders", partitions=[offset])]
    request = OffsetCommitRequest(group_id="g", topics=topics, generation_id_or_member_epoch=3, member_id="m")
    assert client.ask(request, version, OffsetCommitResponse).topics[0].partitions[0].error_code == code


@pytest.mark.parametrize(("producer_id", "epoch"), [(5, -1), (-1, 5)])
def test_a_producer_id_comes_with_an_epoch_or_not_at_all(client: Client, producer_id: int, epoch: int) -> None:
    request = InitProducerIdRequest(
        transactional_id="t", transaction_timeout_ms=10_000, producer_id=producer_id, producer_epoch=epoch
    )
    assert client.ask(request, 5, InitProducerIdResponse).error_code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("version", range(2, 10))
def test_offsets_are_committed_at_once(client: Client, version: int) -> None:
    offset = OffsetCommitRequestPartition(partition_index=0, committed_offset=7, committed_metadata=None)
    topics = [OffsetCommitRequestTopic(name="orders", partitions=[offset])]
    request = OffsetCommitRequest(group_id="g", topics=topics)
    answer = client.ask(request, version, OffsetCommitResponse)
    assert answer.topics[0].partitions[0].error_code == 0
    assert [committed(client, each) for each in range(1, 10)] == [(0, 7)] * 9
    member = OffsetCommitRequest(group_id="g", topics=topics, generation_id_or_member_epoch=3, member_id="m")
    refused = client.ask(member, version, OffsetCommitResponse)
    assert refused.topics[0].partitions[0].error_code == ErrorCode.UNKNOWN_MEMBER_ID


def test_all_offsets_of_a_group(client: Client) -> None:
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id="g", topics=None)])
    assert client.ask(request, 9, OffsetFetchResponse).groups[0].topics == []


def test_groups_are_asked_of_their_coordinator(cluster: ClusterCore) -> None:
    coordinator = cluster.state.coordinator_of("g")
    assert coordinator is not None
    other = Client(cluster, (coordinator.id + 1) % 3)
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id="g", topics=None)])
    assert other.ask(request, 9, OffsetFetchResponse).groups[0].error_code == ErrorCode.NOT_COORDINATOR
    old = OffsetFetchRequest(group_id="g", topics=[OffsetFetchRequestTopic(name="orders", partition_indexes=[0])])
    assert other.ask(old, 5, OffsetFetchResponse).error_code == ErrorCode.NOT_COORDINATOR
