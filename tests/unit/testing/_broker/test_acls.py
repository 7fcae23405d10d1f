"""Who may do what, and what each API answers to those who may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from aioproducer._wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
)
from aioproducer._wire.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from aioproducer._wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse
from aioproducer._wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from aioproducer._wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from aioproducer._wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseTopic,
)
from aioproducer._wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.acls import ANY_NAME, CLUSTER_NAME, EVERYONE, Acls, Entry, Operation, Resource
from aioproducer.testing._broker.state import Options
from tests.unit.testing._broker.helpers import Client, batch, core

if TYPE_CHECKING:
    from aioproducer.testing._broker import ClusterCore

ALICE = "User:alice"
TOPIC = Resource.TOPIC


@pytest.fixture
def cluster() -> ClusterCore:
    made = core()
    for name in ("orders", "bills"):
        made.state.create_topic(name)
    return made


@pytest.fixture
def client(cluster: ClusterCore) -> Client:
    made = Client(cluster)
    cluster.connected(made, ALICE)
    return made


def deny(cluster: ClusterCore, operation: Operation, resource: Resource, name: str) -> None:
    cluster.state.acls.deny(Entry(ALICE, operation, resource, name))


# ── the rules ──


def test_everything_is_allowed_until_something_is_denied() -> None:
    acls = Acls()
    assert acls.is_open
    acls.deny(Entry(ALICE, Operation.WRITE, TOPIC, "orders"))
    assert not acls.is_open
    assert not acls.allows(ALICE, Operation.WRITE, TOPIC, "orders")
    assert acls.allows(ALICE, Operation.DESCRIBE, TOPIC, "orders")
    assert acls.allows(ALICE, Operation.WRITE, TOPIC, "bills")
    assert acls.allows("User:bob", Operation.WRITE, TOPIC, "orders")


def test_allowing_takes_a_denial_back_but_not_a_wider_one() -> None:
    acls = Acls()
    entry = Entry(ALICE, Operation.WRITE, TOPIC, "orders")
    acls.deny(entry)
    acls.allow(entry)
    assert acls.allows(ALICE, Operation.WRITE, TOPIC, "orders")
    acls.deny(Entry(EVERYONE, Operation.ALL, TOPIC, ANY_NAME))
    assert not acls.allows(ALICE, Operation.WRITE, TOPIC, "orders")
    acls.clear()
    assert acls.is_open


def test_what_is_allowed_implies_what_is_needed_for_it() -> None:
    acls = Acls(deny_by_default=True)
    acls.allow(Entry(ALICE, Operation.WRITE, TOPIC, "orders"))
    assert acls.allows(ALICE, Operation.DESCRIBE, TOPIC, "orders")
    assert not acls.allows(ALICE, Operation.READ, TOPIC, "orders")
    assert not acls.allows("User:bob", Operation.DESCRIBE, TOPIC, "orders")
    acls.deny(Entry(ALICE, Operation.DESCRIBE, TOPIC, "orders"))
    assert acls.allows(ALICE, Operation.WRITE, TOPIC, "orders")
    assert not acls.allows(ALICE, Operation.DESCRIBE, TOPIC, "orders")


def test_who_may_write_to_some_topic_may_be_idempotent() -> None:
    acls = Acls(deny_by_default=True)
    assert not acls.allows_on_any_topic(ALICE, Operation.WRITE)
    acls.allow(Entry(ALICE, Operation.WRITE, TOPIC, "orders"))
    assert acls.allows_on_any_topic(ALICE, Operation.WRITE)
    acls.deny(Entry(EVERYONE, Operation.WRITE, TOPIC, ANY_NAME))
    assert not acls.allows_on_any_topic(ALICE, Operation.WRITE)


# ── what is answered ──


def described(client: Client, topic: str, *, create: bool = False) -> MetadataResponseTopic:
    request = MetadataRequest(
        topics=[MetadataRequestTopic(name=topic)],
        allow_auto_topic_creation=create,
        include_topic_authorized_operations=True,
    )
    return client.ask(request, 9, MetadataResponse).topics[0]


def test_a_topic_that_may_not_be_described_is_not_told_of(cluster: ClusterCore, client: Client) -> None:
    for name in ("orders", "missing"):
        deny(cluster, Operation.DESCRIBE, TOPIC, name)
        told = described(client, name, create=True)
        assert (told.error_code, told.partitions) == (ErrorCode.TOPIC_AUTHORIZATION_FAILED, [])
    shown = client.ask(MetadataRequest(topics=None), 9, MetadataResponse).topics
    assert [topic.name for topic in shown] == ["bills"]
    assert described(Client(cluster), "orders").error_code == ErrorCode.NONE
    by_id = MetadataRequestTopic(topic_id=cluster.state.topics["orders"].id, name=None)
    (told,) = client.ask(MetadataRequest(topics=[by_id]), 12, MetadataResponse).topics
    assert (told.error_code, told.name) == (ErrorCode.TOPIC_AUTHORIZATION_FAILED, None)


def test_a_topic_that_may_not_be_created_looks_denied_only_when_it_would_be(
    cluster: ClusterCore, client: Client
) -> None:
    deny(cluster, Operation.CREATE, Resource.CLUSTER, CLUSTER_NAME)
    deny(cluster, Operation.CREATE, TOPIC, "new")
    assert described(client, "new", create=True).error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED
    assert described(client, "new").error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert "new" not in cluster.state.topics
    made = client.ask(CreateTopicsRequest(topics=[CreatableTopic(name="new")]), 5, CreateTopicsResponse)
    assert made.topics[0].error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED


def test_operations_that_are_allowed_are_told(cluster: ClusterCore, client: Client) -> None:
    before = described(client, "orders").topic_authorized_operations
    deny(cluster, Operation.WRITE, TOPIC, "orders")
    assert described(client, "orders").topic_authorized_operations == before & ~(1 << Operation.WRITE)


def test_a_batch_for_a_topic_that_may_not_be_written_to(cluster: ClusterCore, client: Client) -> None:
    deny(cluster, Operation.WRITE, TOPIC, "orders")
    assert client.produce("orders", batch()).error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED
    assert client.produce("bills", batch()).error_code == ErrorCode.NONE
    assert Client(cluster).produce("orders", batch()).error_code == ErrorCode.NONE


def test_an_idempotent_producer(cluster: ClusterCore, client: Client) -> None:
    deny(cluster, Operation.IDEMPOTENT_WRITE, Resource.CLUSTER, CLUSTER_NAME)
    assert client.init_producer().error_code == ErrorCode.NONE
    deny(cluster, Operation.WRITE, TOPIC, ANY_NAME)
    assert client.init_producer().error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED


def test_a_transactional_id_that_may_not_be_written_to(cluster: ClusterCore, client: Client) -> None:
    mine = client.init_producer("tx-1")
    deny(cluster, Operation.WRITE, Resource.TRANSACTIONAL_ID, "tx-1")
    denied = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    assert client.init_producer("tx-1").error_code == denied
    transactional = batch(producer_id=mine.producer_id, epoch=0, sequence=0, transactional=True)
    assert client.produce("orders", transactional, transactional_id="tx-1").error_code == denied
    topics = [AddPartitionsToTxnTopic(name="orders", partitions=[0])]
    asked = AddPartitionsToTxnRequest(
        v3_and_below_transactional_id="tx-1",
        v3_and_below_producer_id=mine.producer_id,
        v3_and_below_topics=topics,
    )
    added = client.ask(asked, 3, AddPartitionsToTxnResponse).results_by_topic_v3_and_below
    assert added[0].results_by_partition[0].partition_error_code == denied
    offsets = AddOffsetsToTxnRequest(transactional_id="tx-1", producer_id=mine.producer_id, group_id="g")
    assert client.ask(offsets, 3, AddOffsetsToTxnResponse).error_code == denied
    end = EndTxnRequest(transactional_id="tx-1", producer_id=mine.producer_id)
    assert client.ask(end, 3, EndTxnResponse).error_code == denied
    assert committed(client, mine.producer_id) == denied


def committed(client: Client, producer_id: int) -> int:
    partitions = [TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=1)]
    request = TxnOffsetCommitRequest(
        transactional_id="tx-1",
        group_id="g",
        producer_id=producer_id,
        topics=[TxnOffsetCommitRequestTopic(name="orders", partitions=partitions)],
    )
    return client.ask(request, 5, TxnOffsetCommitResponse).topics[0].partitions[0].error_code


def test_a_group_that_may_not_be_read(cluster: ClusterCore, client: Client) -> None:
    mine = client.init_producer("tx-1")
    deny(cluster, Operation.READ, Resource.GROUP, "g")
    denied = ErrorCode.GROUP_AUTHORIZATION_FAILED
    offsets = AddOffsetsToTxnRequest(transactional_id="tx-1", producer_id=mine.producer_id, group_id="g")
    assert client.ask(offsets, 3, AddOffsetsToTxnResponse).error_code == denied
    assert committed(client, mine.producer_id) == denied


def test_offsets_of_a_topic_that_may_not_be_read(cluster: ClusterCore, client: Client) -> None:
    mine = client.init_producer("tx-1")
    deny(cluster, Operation.READ, TOPIC, "orders")
    assert committed(client, mine.producer_id) == ErrorCode.TOPIC_AUTHORIZATION_FAILED
    wanted = FetchTopic(topic="orders", partitions=[FetchPartition(partition_max_bytes=1000)])
    fetched = client.ask(FetchRequest(topics=[wanted]), 11, FetchResponse)
    assert fetched.responses[0].partitions[0].error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED


@pytest.mark.parametrize(
    ("key_type", "resource", "code"),
    [
        (0, Resource.GROUP, ErrorCode.GROUP_AUTHORIZATION_FAILED),
        (1, Resource.TRANSACTIONAL_ID, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
    ],
)
def test_a_coordinator_that_is_not_told(
    cluster: ClusterCore, client: Client, key_type: int, resource: Resource, code: ErrorCode
) -> None:
    deny(cluster, Operation.DESCRIBE, resource, "mine")
    request = FindCoordinatorRequest(key_type=key_type, coordinator_keys=["mine", "yours"])
    found = client.ask(request, 4, FindCoordinatorResponse).coordinators
    assert [each.error_code for each in found] == [code, ErrorCode.NONE]


def test_of_several_partitions_only_the_denied_is_told_so(cluster: ClusterCore, client: Client) -> None:
    mine = client.init_producer("tx-1")
    deny(cluster, Operation.WRITE, TOPIC, "orders")
    asked = AddPartitionsToTxnRequest(
        v3_and_below_transactional_id="tx-1",
        v3_and_below_producer_id=mine.producer_id,
        v3_and_below_topics=[AddPartitionsToTxnTopic(name=name, partitions=[0]) for name in ("orders", "bills")],
    )
    results = client.ask(asked, 3, AddPartitionsToTxnResponse).results_by_topic_v3_and_below
    codes = [result.results_by_partition[0].partition_error_code for result in results]
    assert codes == [ErrorCode.TOPIC_AUTHORIZATION_FAILED, ErrorCode.OPERATION_NOT_ATTEMPTED]


def test_a_topic_that_may_not_be_deleted_stays(cluster: ClusterCore, client: Client) -> None:
    deny(cluster, Operation.DELETE, TOPIC, "orders")
    (told,) = client.ask(DeleteTopicsRequest(topic_names=["orders"]), 5, DeleteTopicsResponse).responses
    assert told.error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED
    assert "orders" in cluster.state.topics


def test_by_default_all_can_be_denied() -> None:
    cluster = core(options=Options(deny_by_default=True))
    client = Client(cluster)
    assert described(client, "orders", create=True).error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED
    cluster.state.acls.allow(Entry(EVERYONE, Operation.ALL, TOPIC, "orders"))
    assert described(client, "orders", create=True).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert described(client, "orders").error_code == ErrorCode.NONE
