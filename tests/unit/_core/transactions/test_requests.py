"""The messages of a transaction, version by version, and which codes their answers have."""

from __future__ import annotations

import random

import pytest

from aioproducer._config import ProducerConfig
from aioproducer._core.requests.coordinators import Coordinator, CoordinatorType
from aioproducer._core.transactions.requests import (
    VERSION_1,
    VERSION_2,
    AddOffsets,
    AddPartitions,
    CommitOffsets,
    DescribeTransaction,
    EndTransaction,
    Exchange,
    FindCoordinator,
    Identity,
    InitProducerId,
    OffsetCommit,
)
from aioproducer._types import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition
from aioproducer._wire.messages.add_offsets_to_txn import AddOffsetsToTxnResponse
from aioproducer._wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopicResult,
)
from aioproducer._wire.messages.describe_transactions import DescribeTransactionsResponse
from aioproducer._wire.messages.end_txn import EndTxnResponse
from aioproducer._wire.messages.find_coordinator import Coordinator as Found
from aioproducer._wire.messages.find_coordinator import FindCoordinatorResponse
from aioproducer._wire.messages.init_producer_id import InitProducerIdResponse
from aioproducer._wire.messages.txn_offset_commit import (
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from aioproducer.errors import UnsupportedVersionError

CONFIG = ProducerConfig(bootstrap_servers="b:9092", transactional_id="x", transaction_timeout_ms=7_000)
RNG = random.Random(1)
OURS = Identity(7, 3)


def own() -> Coordinator:
    """That of the transactional id."""
    return Coordinator(CoordinatorType.TRANSACTION, "x", CONFIG, RNG)


def commit_offsets(version: int, group: ConsumerGroupMetadata | None = None) -> CommitOffsets:
    """Offsets of three partitions, of two topics."""
    offsets = {
        TopicPartition("b", 1): OffsetAndMetadata(11),
        TopicPartition("a", 2): OffsetAndMetadata(22, leader_epoch=5, metadata="m"),
        TopicPartition("b", 0): OffsetAndMetadata(10),
    }
    coordinator = Coordinator(CoordinatorType.GROUP, "g", CONFIG, RNG)
    commit = OffsetCommit(group or ConsumerGroupMetadata("g"), offsets)
    return CommitOffsets(coordinator, "x", OURS, commit, version, CONFIG, RNG)


# ── FindCoordinator ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("version", "key", "keys"), [(3, "x", []), (4, "", ["x"]), (6, "", ["x"])])
def test_a_lookup_names_one_key_or_a_list_of_one(version: int, key: str, keys: list[str]) -> None:
    message = FindCoordinator(own(), CONFIG, RNG).build(version)
    assert (message.key, message.key_type, message.coordinator_keys) == (key, 1, keys)


def test_both_forms_of_the_answer_to_a_lookup_are_understood() -> None:
    lookup = FindCoordinator(own(), CONFIG, RNG)
    single = FindCoordinatorResponse(node_id=2, host="h", port=9)
    listed = FindCoordinatorResponse(coordinators=[Found(key="x", node_id=3, host="i", port=8, error_code=15)])
    assert (lookup.broker(single).node_id, [told.code for told in lookup.told(single)]) == (2, [0])
    assert (lookup.broker(listed).node_id, [told.code for told in lookup.told(listed)]) == (3, [15])


def test_all_lookups_of_a_coordinator_share_their_attempts() -> None:
    wanted = own()
    assert FindCoordinator(wanted, CONFIG, RNG).attempts is FindCoordinator(wanted, CONFIG, RNG).attempts


# ── InitProducerId ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", [0, 2, 5])
def test_a_new_producer_takes_over_whatever_the_version(version: int) -> None:
    message = InitProducerId(own(), CONFIG, RNG).build(version)
    assert (message.transactional_id, message.transaction_timeout_ms) == ("x", 7_000)
    assert (message.producer_id, message.producer_epoch) == (-1, -1)


def test_its_own_epoch_is_raised_only_where_the_coordinator_can_tell_it_from_another() -> None:
    init = InitProducerId(own(), CONFIG, RNG)
    init.own = OURS
    message = init.build(3)
    assert (message.producer_id, message.producer_epoch) == (7, 3)
    with pytest.raises(UnsupportedVersionError, match=r"InitProducerId 2, 3 is needed.*Kafka 2\.5"):
        init.build(2)


# ── AddPartitionsToTxn ───────────────────────────────────────────────────────────────────────────────────────────────


def adding(*partitions: TopicPartition) -> AddPartitions:
    """What adds these."""
    exchange = AddPartitions(own(), OURS, CONFIG, RNG)
    exchange.wanted.update(partitions)
    return exchange


def added(*codes: int) -> AddPartitionsToTxnResponse:
    """The answer for partitions 0, 1, … of "a"."""
    results = [
        AddPartitionsToTxnPartitionResult(partition_index=index, partition_error_code=code)
        for index, code in enumerate(codes)
    ]
    return AddPartitionsToTxnResponse(
        results_by_topic_v3_and_below=[AddPartitionsToTxnTopicResult(name="a", results_by_partition=results)]
    )


def test_partitions_are_asked_for_by_topic_and_in_order() -> None:
    exchange = adding(TopicPartition("b", 0), TopicPartition("a", 2), TopicPartition("a", 1))
    message = exchange.build(3)
    told = [(topic.name, topic.partitions) for topic in message.v3_and_below_topics]
    assert told == [("a", [1, 2]), ("b", [0])]
    assert (message.v3_and_below_producer_id, message.v3_and_below_producer_epoch) == OURS
    assert exchange.at_most == 3


def test_a_repetition_asks_for_the_same_partitions_though_others_have_come() -> None:
    exchange = adding(TopicPartition("a", 0))
    first = exchange.build(3)
    exchange.wanted.add(TopicPartition("a", 1))
    assert exchange.build(3) == first
    assert exchange.wanted == {TopicPartition("a", 1)}


def test_partitions_that_were_just_not_attempted_are_no_reason() -> None:
    exchange = adding()
    assert [(each.code, each.partition) for each in exchange.told(added(55, 29, 55))] == [(29, 1)]
    assert [each.code for each in exchange.told(added(0, 0))] == [0, 0]


# ── offsets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_group_is_added_by_its_name() -> None:
    exchange = AddOffsets(own(), OURS, "g", CONFIG, RNG)
    message = exchange.build(4)
    assert (message.transactional_id, message.group_id) == ("x", "g")
    assert (message.producer_id, message.producer_epoch) == OURS
    assert [each.code for each in exchange.told(AddOffsetsToTxnResponse(error_code=30))] == [30]


def test_offsets_are_told_by_topic_with_epoch_and_metadata() -> None:
    message = commit_offsets(VERSION_1).build(4)
    told = [
        (topic.name, each.partition_index, each.committed_offset, each.committed_leader_epoch, each.committed_metadata)
        for topic in message.topics
        for each in topic.partitions
    ]
    assert told == [("a", 2, 22, 5, "m"), ("b", 0, 10, -1, ""), ("b", 1, 11, -1, "")]


def test_a_members_generation_is_told_where_the_coordinator_knows_of_it() -> None:
    group = ConsumerGroupMetadata("g", generation_id=4, member_id="m")
    exchange = commit_offsets(VERSION_1, group)
    message = exchange.build(3)
    assert (message.generation_id, message.member_id) == (4, "m")
    with pytest.raises(UnsupportedVersionError, match="group 'g'"):
        exchange.build(2)
    assert commit_offsets(VERSION_1).build(0).generation_id == -1


def test_with_version_2_the_groups_coordinator_has_to_add_the_group_itself() -> None:
    assert commit_offsets(VERSION_1).at_most == 4
    assert commit_offsets(VERSION_2).at_most is None
    with pytest.raises(UnsupportedVersionError, match="TxnOffsetCommit 4, 5 is needed"):
        commit_offsets(VERSION_2).build(4)


def test_each_offset_has_its_own_code() -> None:
    partitions = [TxnOffsetCommitResponsePartition(partition_index=index, error_code=index) for index in range(2)]
    answer = TxnOffsetCommitResponse(topics=[TxnOffsetCommitResponseTopic(name="a", partitions=partitions)])
    told = commit_offsets(VERSION_2).told(answer)
    assert [(each.topic, each.partition, each.code) for each in told] == [("a", 0, 0), ("a", 1, 1)]


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_commit", [True, False])
def test_an_end_is_a_commit_or_an_abort_and_stays_so(is_commit: bool) -> None:
    exchange = EndTransaction(own(), OURS, VERSION_2, CONFIG, RNG, is_commit=is_commit)
    assert exchange.build(5) == exchange.build(5)
    assert exchange.build(5).committed is is_commit
    assert [each.code for each in exchange.told(EndTxnResponse(error_code=51))] == [51]


def test_the_version_of_the_end_is_that_of_the_transaction() -> None:
    assert EndTransaction(own(), OURS, VERSION_1, CONFIG, RNG, is_commit=True).at_most == 4
    second = EndTransaction(own(), OURS, VERSION_2, CONFIG, RNG, is_commit=True)
    assert second.at_most is None
    with pytest.raises(UnsupportedVersionError, match="EndTxn 4, 5 is needed"):
        second.build(4)


def test_a_description_is_asked_for_by_the_id() -> None:
    exchange = DescribeTransaction(own(), CONFIG, RNG)
    assert exchange.build(0).transactional_ids == ["x"]
    assert exchange.told(DescribeTransactionsResponse()) == []


@pytest.mark.parametrize(
    ("exchange", "answer"),
    [
        (InitProducerId(own(), CONFIG, RNG), EndTxnResponse()),
        (EndTransaction(own(), OURS, VERSION_1, CONFIG, RNG, is_commit=True), InitProducerIdResponse()),
    ],
)
def test_an_answer_to_another_request_is_a_bug_of_the_caller(
    exchange: Exchange, answer: EndTxnResponse | InitProducerIdResponse
) -> None:
    with pytest.raises(AssertionError):
        exchange.told(answer)
