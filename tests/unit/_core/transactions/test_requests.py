"""The messages of a transaction, version by version, and which codes their answers have."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from aioproducer._core.requests.coordinators import Coordinator, CoordinatorType
from aioproducer._core.requests.producer_id import ProducerIdRequest
from aioproducer._core.requests.verdicts import TRANSACTION_VERDICTS
from aioproducer._core.transactions.requests import (
    VERSION_1,
    VERSION_2,
    AddOffsets,
    AddPartitions,
    CommitOffsets,
    DescribeTransaction,
    EndTransaction,
    FindCoordinator,
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
from aioproducer._wire.messages.find_coordinator import FindCoordinatorResponse, FoundCoordinator
from aioproducer._wire.messages.init_producer_id import InitProducerIdResponse
from aioproducer._wire.messages.txn_offset_commit import (
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from aioproducer.errors import ErrorCode, KafkaConnectionError, UnsupportedVersionError
from tests.unit._core.transaction_parts import CONFIG, PRODUCER, Owner, coordinator, timer
from tests.unit._core.transaction_parts import adding as nothing_to_add

if TYPE_CHECKING:
    from aioproducer._core.requests.control_request import ControlRequest

RNG = random.Random(1)
OWNER = Owner()


def init() -> ProducerIdRequest:
    """InitProducerId of a transactional id."""
    return ProducerIdRequest(OWNER, CONFIG, RNG, coordinator())


def ending(version: int, *, is_commit: bool = True) -> EndTransaction:
    """EndTxn."""
    return EndTransaction(OWNER, timer(), coordinator(), "x", PRODUCER, version, is_commit=is_commit)


def commit_offsets(version: int, group: ConsumerGroupMetadata | None = None) -> CommitOffsets:
    """Offsets of three partitions, of two topics."""
    offsets = {
        TopicPartition("b", 1): OffsetAndMetadata(11),
        TopicPartition("a", 2): OffsetAndMetadata(22, leader_epoch=5, metadata="m"),
        TopicPartition("b", 0): OffsetAndMetadata(10),
    }
    of_group = Coordinator(CoordinatorType.GROUP, "g", CONFIG, RNG)
    commit = OffsetCommit(group or ConsumerGroupMetadata("g"), offsets)
    return CommitOffsets(OWNER, timer(), of_group, "x", PRODUCER, commit, version)


# ── FindCoordinator ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("version", "key", "keys"), [(3, "x", []), (4, "", ["x"]), (6, "", ["x"])])
def test_a_lookup_names_one_key_or_a_list_of_one(version: int, key: str, keys: list[str]) -> None:
    message = FindCoordinator(OWNER, coordinator()).build(version)
    assert (message.key, message.key_type, message.coordinator_keys) == (key, 1, keys)


def test_both_forms_of_the_answer_to_a_lookup_are_understood() -> None:
    lookup = FindCoordinator(OWNER, coordinator())
    single = FindCoordinatorResponse(node_id=2, host="h", port=9)
    entry = FoundCoordinator(key="x", node_id=3, host="i", port=8, error_code=15)
    listed = FindCoordinatorResponse(coordinators=[entry])
    assert (lookup.broker(single).node_id, [each.code for each in lookup.response_errors(single)]) == (2, [0])
    assert (lookup.broker(listed).node_id, [each.code for each in lookup.response_errors(listed)]) == (3, [15])


@pytest.mark.parametrize("is_listed", [False, True])
@pytest.mark.parametrize(
    ("told", "meant"),
    [
        (ErrorCode.NONE, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (ErrorCode.GROUP_AUTHORIZATION_FAILED, ErrorCode.GROUP_AUTHORIZATION_FAILED),
    ],
)
def test_a_coordinator_with_a_negative_number_is_none(told: ErrorCode, meant: ErrorCode, is_listed: bool) -> None:
    lookup = FindCoordinator(OWNER, coordinator())
    answer = FindCoordinatorResponse(node_id=-1, host="h", port=9, error_code=told)
    if is_listed:
        entry = FoundCoordinator(key="x", node_id=-1, host="h", port=9, error_code=told)
        answer = FindCoordinatorResponse(coordinators=[entry])
    assert [each.code for each in lookup.response_errors(answer)] == [meant]


def test_all_lookups_of_a_coordinator_share_their_retry_timer() -> None:
    wanted = coordinator()
    assert FindCoordinator(OWNER, wanted).retry_timer is FindCoordinator(OWNER, wanted).retry_timer


# ── InitProducerId ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", [0, 2, 5])
def test_a_new_producer_takes_over_whatever_the_version(version: int) -> None:
    message = init().build(version)
    assert (message.transactional_id, message.transaction_timeout_ms) == ("x", 7_000)
    assert (message.producer_id, message.producer_epoch) == (-1, -1)


def test_its_own_epoch_is_raised_only_where_the_coordinator_can_tell_it_from_another() -> None:
    request = init()
    request.own = PRODUCER
    message = request.build(3)
    assert (message.producer_id, message.producer_epoch) == (7, 3)
    with pytest.raises(UnsupportedVersionError, match=r"InitProducerId 2, 3 is needed.*Kafka 2\.5"):
        request.build(2)


# ── AddPartitionsToTxn ───────────────────────────────────────────────────────────────────────────────────────────────


def adding(*partitions: TopicPartition) -> AddPartitions:
    """What adds these."""
    request = nothing_to_add()
    request.wanted.update(partitions)
    return request


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
    request = adding(TopicPartition("b", 0), TopicPartition("a", 2), TopicPartition("a", 1))
    message = request.build(3)
    topics = [(topic.name, topic.partitions) for topic in message.v3_and_below_topics]
    assert topics == [("a", [1, 2]), ("b", [0])]
    assert (message.v3_and_below_producer_id, message.v3_and_below_producer_epoch) == PRODUCER
    assert request.at_most == 3


def test_a_repetition_asks_for_the_same_partitions_though_others_have_come() -> None:
    request = adding(TopicPartition("a", 0))
    first = request.build(3)
    request.wanted.add(TopicPartition("a", 1))
    assert request.build(3) == first
    assert request.wanted == {TopicPartition("a", 1)}


def test_partitions_that_were_just_not_attempted_are_no_reason() -> None:
    request = adding()
    assert [(each.code, each.partition) for each in request.response_errors(added(55, 29, 55))] == [(29, 1)]
    assert [each.code for each in request.response_errors(added(0, 0))] == [0, 0]


# ── offsets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_group_is_added_by_its_name() -> None:
    request = AddOffsets(OWNER, timer(), coordinator(), "x", PRODUCER, "g")
    message = request.build(4)
    assert (message.transactional_id, message.group_id) == ("x", "g")
    assert (message.producer_id, message.producer_epoch) == PRODUCER
    assert [each.code for each in request.response_errors(AddOffsetsToTxnResponse(error_code=30))] == [30]


def test_offsets_are_told_by_topic_with_epoch_and_metadata() -> None:
    message = commit_offsets(VERSION_1).build(4)
    offsets = [
        (topic.name, each.partition_index, each.committed_offset, each.committed_leader_epoch, each.committed_metadata)
        for topic in message.topics
        for each in topic.partitions
    ]
    assert offsets == [("a", 2, 22, 5, "m"), ("b", 0, 10, -1, ""), ("b", 1, 11, -1, "")]


def test_a_members_generation_is_told_where_the_coordinator_knows_of_it() -> None:
    group = ConsumerGroupMetadata("g", generation_id=4, member_id="m")
    request = commit_offsets(VERSION_1, group)
    message = request.build(3)
    assert (message.generation_id, message.member_id) == (4, "m")
    with pytest.raises(UnsupportedVersionError, match="group 'g'"):
        request.build(2)
    assert commit_offsets(VERSION_1).build(0).generation_id == -1


def test_with_version_2_the_groups_coordinator_has_to_add_the_group_itself() -> None:
    assert commit_offsets(VERSION_1).at_most == 4
    assert commit_offsets(VERSION_2).at_most is None
    with pytest.raises(UnsupportedVersionError, match="TxnOffsetCommit 4, 5 is needed"):
        commit_offsets(VERSION_2).build(4)


def test_each_offset_has_its_own_code() -> None:
    partitions = [TxnOffsetCommitResponsePartition(partition_index=index, error_code=index) for index in range(2)]
    answer = TxnOffsetCommitResponse(topics=[TxnOffsetCommitResponseTopic(name="a", partitions=partitions)])
    errors = commit_offsets(VERSION_2).response_errors(answer)
    assert [(each.topic, each.partition, each.code) for each in errors] == [("a", 0, 0), ("a", 1, 1)]


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_commit", [True, False])
def test_an_end_is_a_commit_or_an_abort_and_stays_so(is_commit: bool) -> None:
    request = ending(VERSION_2, is_commit=is_commit)
    assert request.build(5) == request.build(5)
    assert request.build(5).committed is is_commit
    assert [each.code for each in request.response_errors(EndTxnResponse(error_code=51))] == [51]


def test_the_version_of_the_end_is_that_of_the_transaction() -> None:
    assert ending(VERSION_1).at_most == 4
    second = ending(VERSION_2)
    assert second.at_most is None
    with pytest.raises(UnsupportedVersionError, match="EndTxn 4, 5 is needed"):
        second.build(4)


def test_a_description_is_asked_for_by_the_id() -> None:
    request = DescribeTransaction(OWNER, timer(), coordinator(), "x")
    assert request.build(0).transactional_ids == ["x"]
    assert request.response_errors(DescribeTransactionsResponse()) == []


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (init(), EndTxnResponse()),
        (ending(VERSION_1), InitProducerIdResponse()),
    ],
)
def test_an_answer_to_another_request_is_a_bug_of_the_caller(
    asked: ControlRequest, answer: EndTxnResponse | InitProducerIdResponse
) -> None:
    with pytest.raises(AssertionError):
        asked.response_errors(answer)


def test_an_end_whose_answer_was_lost_says_so_and_is_sent_again() -> None:
    request = ending(VERSION_2)
    request.retry_timer.begin()
    request.on_lost(KafkaConnectionError("reset by peer"), 1.0)
    assert request.was_lost
    assert not request.is_due(1.0)
    assert request.is_due(2.0)


def test_every_request_of_a_transaction_has_the_table_of_its_api() -> None:
    requests = [FindCoordinator(OWNER, coordinator()), init(), adding(), ending(VERSION_1), commit_offsets(VERSION_1)]
    assert [request.verdicts for request in requests] == [
        TRANSACTION_VERDICTS[request.request.api_key] for request in requests
    ]
