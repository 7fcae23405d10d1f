"""What a transactional producer sends and when, what its calls are told, and what ends its transactions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from aioproducer._core.transactions.requests import OffsetCommit
from aioproducer._core.transactions.states import TransactionState
from aioproducer._types import ConsumerGroupMetadata
from aioproducer._wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from aioproducer._wire.messages.add_partitions_to_txn import AddPartitionsToTxnRequest
from aioproducer._wire.messages.describe_transactions import DescribeTransactionsRequest
from aioproducer._wire.messages.end_txn import EndTxnRequest
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer._wire.messages.txn_offset_commit import TxnOffsetCommitRequest
from aioproducer.errors import (
    CommitOutcomeUnknownError,
    IllegalStateError,
    KafkaTimeoutError,
    ProducerClosedError,
    ProducerFencedError,
    RecordTooLargeError,
    TransactionAbortableError,
    TransactionAbortedError,
    UnsupportedVersionError,
)
from tests.unit._core.transactional import TransactionalShell, broker_versions

if TYPE_CHECKING:
    from collections.abc import Callable

S = TransactionState
BOTH = pytest.mark.parametrize("level", [0, 2])


def shell(level: int = 2, **settings: object) -> TransactionalShell:
    """A started one."""
    made = TransactionalShell(level, **settings)  # type: ignore[arg-type]
    made.start()
    return made


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_version_1_adds_partitions_and_groups_and_stays_below_the_new_versions() -> None:
    it = shell(0)
    transaction = it.begin()
    it.send(0)
    assert it.batches() == []  # before its partition is part of the transaction, no data flows
    assert it.version_of(AddPartitionsToTxnRequest) == 3
    assert it.add_partitions() == [("t", [0])]
    it.poll()
    (send,) = [send for send in it.sent[1] if send.produce is not None]
    assert send.request.version == 11
    assert send.produce is not None
    assert send.produce.transactional_id == "x"
    it.acknowledge()
    ticket = it.send_offsets(transaction)
    assert it.add_offsets().group_id == "g"
    it.poll()
    it.find()
    it.poll()
    assert it.version_of(TxnOffsetCommitRequest) == 4
    it.commit_offsets()
    it.poll()
    assert ticket.done
    assert ticket.error is None
    ended = it.commit(transaction)
    assert it.version_of(EndTxnRequest) == 4
    request = it.end()
    assert (request.committed, request.producer_id, request.producer_epoch) == (True, 7, 0)
    it.poll()
    assert ended.done
    assert ended.error is None
    assert it.is_in(S.READY)
    assert it.sender.status(it.now).producer_epoch == 0


def test_version_2_adds_nothing_itself_and_goes_on_in_the_epoch_that_end_txn_gives() -> None:
    it = shell(2)
    transaction = it.begin()
    it.send(0)
    assert not it.has_request(AddPartitionsToTxnRequest)
    (send,) = [send for send in it.sent[1] if send.produce is not None]
    assert send.request.version == 13
    it.acknowledge()
    it.send_offsets(transaction)
    assert not it.has_request(AddOffsetsToTxnRequest)
    it.find()
    it.poll()
    assert it.version_of(TxnOffsetCommitRequest) == 5
    it.commit_offsets()
    it.commit(transaction)
    assert it.version_of(EndTxnRequest) == 5
    it.end(identity=(9, 3))
    it.poll()
    it.begin()
    batch = it.send(0)
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (9, 3, 0)


def test_partitions_are_added_together_and_later_ones_in_another_request() -> None:
    it = shell(0, linger_ms=5)
    transaction = it.begin()
    it.append(1)
    it.append(0)
    it.poll()  # while they linger
    assert it.add_partitions() == [("t", [0, 1])]
    it.poll(after=0.005)
    assert len(it.batches()) == 1
    it.acknowledge()
    it.poll()
    it.append(0)
    it.poll()
    assert not it.has_request(AddPartitionsToTxnRequest)
    assert transaction.added == {("t", 0), ("t", 1)}


def test_data_flows_to_the_partitions_that_are_added_while_others_wait() -> None:
    it = shell(0)
    it.begin_with_a_record()
    it.send(1)
    it.send(0)
    assert it.has_request(AddPartitionsToTxnRequest)  # not answered, on the coordinator's own connection
    ((batch,),) = it.batches()
    assert batch.partition == 0


@BOTH
def test_a_commit_waits_for_every_batch_and_hurries_it(level: int) -> None:
    it = shell(level, linger_ms=10_000)
    transaction = it.begin()
    it.append(0)
    it.poll()
    if level == 0:
        it.add_partitions()
        it.poll()
    assert it.batches() == []
    ticket = it.commit(transaction)
    assert len(it.batches()) == 1
    assert it.is_in(S.FLUSHING)
    assert not it.has_request(EndTxnRequest)
    it.acknowledge()
    it.poll()
    assert it.is_in(S.COMMITTING)
    assert not ticket.done
    it.end()
    it.poll()
    assert ticket.done


@BOTH
@pytest.mark.parametrize("is_commit", [True, False])
def test_a_transaction_with_nothing_in_it_ends_without_a_request(level: int, is_commit: bool) -> None:
    it = shell(level)
    transaction = it.begin()
    ticket = it.commit(transaction) if is_commit else it.abort(transaction)
    assert ticket.done
    assert ticket.error is None
    assert it.is_in(S.READY)
    assert not it.has_request(EndTxnRequest)


@BOTH
def test_an_abort_of_what_was_never_sent_needs_no_request(level: int) -> None:
    it = shell(level, linger_ms=10_000)
    transaction = it.begin()
    it.append()
    assert it.abort(transaction).done
    assert it.is_in(S.READY)


def test_empty_offsets_are_no_part_of_a_transaction() -> None:
    it = shell()
    transaction = it.begin()
    ticket = it.transactions.send_offsets(transaction, OffsetCommit(ConsumerGroupMetadata("g"), {}), it.now)
    assert ticket.done
    it.commit(transaction)
    assert it.is_in(S.READY)


def test_the_groups_member_is_told_to_its_coordinator() -> None:
    it = shell()
    transaction = it.begin()
    it.send_offsets(transaction, ConsumerGroupMetadata("g", 5, "member", "instance"))
    it.find()
    it.poll()
    request = it.commit_offsets()
    assert (request.group_id, request.generation_id, request.member_id) == ("g", 5, "member")
    assert request.group_instance_id == "instance"
    (topic,) = request.topics
    assert [(p.partition_index, p.committed_offset, p.committed_leader_epoch) for p in topic.partitions] == [
        (0, 42, -1)
    ]


def test_a_group_coordinator_too_old_for_members_is_fatal() -> None:
    it = TransactionalShell(0)
    it.versions = broker_versions(0, txn_offset_commit=2)
    it.start()
    transaction = it.begin()
    ticket = it.send_offsets(transaction, ConsumerGroupMetadata("g", 5, "member"))
    it.add_offsets()
    it.poll()
    it.find()
    it.poll()
    assert it.is_in(S.FATAL_ERROR)
    assert isinstance(ticket.error, UnsupportedVersionError)


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_upgrade_within_a_transaction_counts_for_the_next_one_after_a_new_epoch() -> None:
    it = shell(0)
    transaction = it.begin_with_a_record()
    it.transactions.on_versions(broker_versions(2, epoch=2))
    it.send(1)
    assert it.has_request(AddPartitionsToTxnRequest)
    it.add_partitions()
    it.poll()
    it.acknowledge()
    it.commit(transaction)
    assert it.version_of(EndTxnRequest) == 4
    it.end()
    it.poll()
    assert it.is_in(S.INITIALIZING)
    request = it.init(identity=(7, 1))
    assert (request.producer_id, request.producer_epoch) == (7, 0)
    it.poll()
    assert it.begin().version == 2


def test_a_downgrade_counts_for_the_next_transaction() -> None:
    it = shell(2)
    transaction = it.begin_with_a_record()
    it.transactions.on_versions(broker_versions(0, epoch=2))
    it.commit(transaction)
    assert it.version_of(EndTxnRequest) == 5
    it.end()
    it.poll()
    assert it.begin().version == 1


def test_what_an_older_agreement_says_is_not_believed() -> None:
    it = shell(2)
    it.transactions.on_versions(broker_versions(0, epoch=0))
    it.commit(it.begin())
    assert it.begin().version == 2


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@BOTH
def test_a_failed_record_makes_the_commit_abort_and_say_why(level: int) -> None:
    it = shell(level)
    transaction = it.begin_with_a_record()
    it.send()
    ticket = it.commit(transaction)
    it.refuse(29)  # TOPIC_AUTHORIZATION_FAILED
    it.poll()
    assert it.is_in(S.ABORTING)
    assert it.end().committed is False
    it.poll()
    assert isinstance(ticket.error, TransactionAbortedError)
    assert ticket.error.__cause__ is not None
    assert "TOPIC_AUTHORIZATION_FAILED" in str(ticket.error)


def test_a_failure_is_seen_before_a_commit_that_was_called_in_the_same_moment() -> None:
    it = shell()
    transaction = it.begin_with_a_record()
    it.send()
    it.refuse(29)
    ticket = it.commit(transaction)  # before any poll
    assert it.end().committed is False
    it.poll()
    assert isinstance(ticket.error, TransactionAbortedError)


def test_after_a_failure_nothing_may_be_sent_and_what_was_queued_is_dropped() -> None:
    it = shell(linger_ms=10_000, max_request_size=1_000)
    it.begin()
    lingers = it.append(1)
    it.poll()
    with pytest.raises(RecordTooLargeError):
        it.accumulator.appender.try_append("t", 0, None, b"v" * 2_000, (), 1, it.now)
    it.poll()
    assert it.is_in(S.ABORTABLE_ERROR)
    assert isinstance(lingers.error, TransactionAbortedError)
    assert it.accumulator.appender.try_append("t", 0, None, b"v", (), 1, it.now) is None
    with pytest.raises(TransactionAbortableError, match="max_request_size"):
        it.accumulator.enqueue("t", 0, None, b"v", (), 1, it.now, it.now + 1, accepted=False)


def test_a_record_that_is_too_large_fails_the_transaction() -> None:
    it = shell(max_request_size=1_000)
    it.begin()
    with pytest.raises(RecordTooLargeError):
        it.accumulator.appender.try_append("t", 0, None, b"v" * 2_000, (), 1, it.now)
    it.poll()
    assert it.is_in(S.ABORTABLE_ERROR)


def test_a_record_that_was_refused_outside_of_a_transaction_does_not_fail_the_next_one() -> None:
    it = shell(max_request_size=1_000)
    assert it.accumulator.appender.try_append("t", 0, None, b"v" * 2_000, (), 1, it.now) is None
    with pytest.raises(IllegalStateError):
        it.accumulator.enqueue("t", 0, None, b"v" * 2_000, (), 1, it.now, it.now + 1, accepted=False)
    it.begin()
    it.poll()
    assert it.is_in(S.IN_TRANSACTION)


def test_a_call_that_waits_for_its_topic_in_vain_fails_the_transaction() -> None:
    it = shell(max_block_ms=1_000)
    it.begin()
    it.accumulator.enqueue("unknown", None, None, b"v", (), 1, it.now, it.now + 1, accepted=False)
    it.poll()
    assert it.is_in(S.IN_TRANSACTION)
    it.poll(after=1.0)
    assert it.is_in(S.ABORTABLE_ERROR)


def test_a_call_that_is_cancelled_while_it_waits_fails_nothing() -> None:
    it = shell()
    transaction = it.begin()
    pending = it.accumulator.enqueue("unknown", None, None, b"v", (), 1, it.now, it.now + 1, accepted=False)
    it.accumulator.cancel(pending)
    assert it.commit(transaction).error is None


def test_a_commit_waits_for_calls_that_wait_for_their_topic() -> None:
    it = shell()
    transaction = it.begin()
    pending = it.accumulator.enqueue("unknown", None, None, b"v", (), 1, it.now, it.now + 1, accepted=False)
    ticket = it.commit(transaction)
    assert it.is_in(S.FLUSHING)
    it.accumulator.cancel(pending)
    it.poll()
    assert ticket.done


@BOTH
def test_an_expired_batch_fails_the_transaction(level: int) -> None:
    it = shell(level, delivery_timeout_ms=1_000, request_timeout_ms=900)
    transaction = it.begin_with_a_record()
    it.send()
    ticket = it.commit(transaction)
    it.poll(after=1.1)
    assert it.is_in(S.ABORTING)
    it.poll()
    assert it.end().committed is False
    it.poll()
    assert isinstance(ticket.error, TransactionAbortedError)


# ── abort ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_with_version_2_an_abort_does_not_wait_for_data_in_flight() -> None:
    it = shell(2)
    transaction = it.begin()
    batch = it.send()
    it.abort(transaction)
    assert isinstance(batch.error, TransactionAbortedError)
    assert batch.error.possibly_written  # though no reader of committed data sees it
    assert it.end().committed is False
    it.poll()
    assert it.is_in(S.READY)
    it.acknowledge()  # late, and of no consequence
    it.poll()
    assert isinstance(batch.error, TransactionAbortedError)
    assert it.accumulator.statistics().buffer_available_bytes == it.config.buffer_memory


def test_with_version_1_an_abort_sees_through_what_may_have_been_written() -> None:
    it = shell(0)
    transaction = it.begin_with_a_record()
    batch = it.send()
    it.break_connection()
    it.abort(transaction)
    assert not it.has_request(EndTxnRequest)
    it.wait_until(lambda: it.batches(), within=5)  # sent again
    assert it.batches() == [[batch]]
    it.acknowledge()
    it.poll()
    assert batch.error is None
    assert it.end().committed is False
    it.poll()
    assert it.is_in(S.READY)  # nothing has failed: the epoch is as good as before


def test_with_version_1_an_abort_drops_a_batch_that_was_refused_and_goes_on_in_a_new_epoch() -> None:
    it = shell(0)
    transaction = it.begin_with_a_record()
    batch = it.send()
    it.refuse(19)  # NOT_ENOUGH_REPLICAS: it would be sent again
    it.abort(transaction)
    assert isinstance(batch.error, TransactionAbortedError)
    it.end()
    it.poll()
    request = it.init(identity=(7, 1))
    assert (request.producer_id, request.producer_epoch) == (7, 0)
    it.poll()
    it.begin_with_a_record()
    assert it.completed[-1].producer_epoch == 1
    assert it.completed[-1].base_sequence == 0


def test_with_version_1_a_partition_that_may_have_been_added_is_asked_for_until_that_is_known() -> None:
    it = shell(0)
    transaction = it.begin()
    it.send()
    it.break_connection(2)
    it.abort(transaction)
    assert not it.has_request(EndTxnRequest)
    it.wait_until(lambda: it.has_request(FindCoordinatorRequest), within=5)
    it.find()
    it.wait_until(lambda: it.has_request(AddPartitionsToTxnRequest), within=5)
    it.add_partitions()
    it.poll()
    assert it.end().committed is False


def test_with_version_1_partitions_that_were_not_asked_for_yet_are_forgotten() -> None:
    it = shell(0)
    transaction = it.begin()
    it.append(0)
    it.abort(transaction)  # in the same moment
    assert not it.has_request(AddPartitionsToTxnRequest)
    assert it.is_in(S.READY)


@pytest.mark.parametrize("code", [0, 47, 48, 90, 120])
@pytest.mark.parametrize("is_next_begun", [False, True])
def test_a_late_answer_about_an_aborted_transaction_changes_nothing(code: int, is_next_begun: bool) -> None:
    it = shell(2)
    transaction, ticket = it.begin_with_offsets_under_way(coordinator=1)
    aborted = it.abort(transaction)
    assert isinstance(ticket.error, TransactionAbortedError)
    if is_next_begun:
        it.end()
        it.poll()
        following = it.begin()
        it.commit_offsets(code)  # it tells of an epoch that is over
        assert it.commit(following).error is None
    else:
        it.commit_offsets(code)
        it.poll()
        assert it.is_in(S.ABORTING)
        it.end()
        it.poll()
    assert aborted.done
    assert aborted.error is None
    assert it.is_in(S.READY)


# ── coordinators ─────────────────────────────────────────────────────────────────────────────────────────────────────


@BOTH
def test_a_coordinator_whose_connection_is_lost_is_looked_up_again(level: int) -> None:
    it = shell(level)
    transaction = it.begin_with_a_record()
    it.commit(transaction)
    it.break_connection(2)
    it.wait_until(lambda: it.has_request(FindCoordinatorRequest), within=2)
    it.find(node_id=1)
    it.wait_until(lambda: it.has_request(EndTxnRequest), within=2)
    assert it.request(EndTxnRequest).node_id == 1
    it.end()
    it.poll()
    assert it.is_in(S.READY)


def test_a_coordinator_that_metadata_does_not_know_yet_is_connected_to() -> None:
    it = shell()
    transaction = it.begin_with_a_record()
    it.commit(transaction)
    it.end(error=16)
    it.wait_until(lambda: it.has_request(FindCoordinatorRequest), within=2)
    it.find(node_id=5)
    it.wait_until(lambda: it.has_request(EndTxnRequest), within=2)
    assert it.request(EndTxnRequest).node_id == 5


def test_data_flows_while_the_coordinator_is_away() -> None:
    it = shell(2)
    it.begin_with_a_record()
    it.answers_connects = False
    it.break_connection(2)
    for _ in range(20):
        it.send(0)
        it.acknowledge()
        it.poll()
    assert all(batch.error is None for batch in it.completed)


def test_concurrent_transactions_is_asked_again_soon() -> None:
    it = shell(0)
    it.begin()
    it.send()
    started = it.now
    it.add_partitions(error=51)
    it.wait_until(lambda: it.has_request(AddPartitionsToTxnRequest), within=1)
    assert it.now - started < 0.03


def test_produce_that_is_told_of_concurrent_transactions_is_sent_again_soon() -> None:
    it = shell(2)
    it.begin()
    it.send()
    started = it.now
    it.refuse(51)
    it.wait_until(lambda: it.batches(), within=1)
    assert it.now - started < 0.03


# ── fencing and timeouts ─────────────────────────────────────────────────────────────────────────────────────────────


@BOTH
@pytest.mark.parametrize("code", [47, 90])
def test_a_producer_that_was_fenced_in_time_is_fatal_at_once(level: int, code: int) -> None:
    it = shell(level)
    transaction = it.begin_with_a_record()
    ticket = it.commit(transaction)
    it.end(error=code)
    it.poll()
    assert it.is_in(S.FATAL_ERROR)
    assert isinstance(ticket.error, ProducerFencedError)
    assert not ticket.error.possibly_written
    for call in (it.transactions.commit, it.transactions.abort):
        with pytest.raises(ProducerFencedError):
            call(transaction, it.now)
    with pytest.raises(ProducerFencedError):
        it.begin()
    with pytest.raises(ProducerFencedError):
        it.accumulator.enqueue("t", 0, None, b"v", (), 1, it.now, it.now + 1, accepted=False)


def test_fenced_after_a_lost_answer_the_commit_may_have_taken_effect() -> None:
    it = shell()
    ticket = it.commit(it.begin_with_a_record())
    it.break_connection(2)
    it.wait_until(lambda: it.has_request(FindCoordinatorRequest), within=2)
    it.find()
    it.wait_until(lambda: it.has_request(EndTxnRequest), within=2)
    it.end(error=90)
    it.poll()
    assert isinstance(ticket.error, ProducerFencedError)
    assert ticket.error.possibly_written


@BOTH
@pytest.mark.parametrize("code", [-1, 49, 53])
@pytest.mark.parametrize("was_lost", [False, True])
def test_a_commit_that_is_refused_may_have_taken_effect_if_one_before_was_lost_or_the_broker_broke(
    level: int, code: int, was_lost: bool
) -> None:
    it = shell(level)
    ticket = it.commit(it.begin_with_a_record())
    if was_lost:
        it.break_connection(2)
        it.wait_until(lambda: it.has_request(FindCoordinatorRequest), within=2)
        it.find()
        it.wait_until(lambda: it.has_request(EndTxnRequest), within=2)
    it.end(error=code)
    it.poll()
    assert ticket.error is not None
    assert ticket.error.possibly_written is (was_lost or code == -1)


@BOTH
def test_a_producer_that_ends_while_its_commit_is_not_answered_says_that_it_may_have_taken_effect(level: int) -> None:
    it = shell(level)
    ticket = it.commit(it.begin_with_a_record())
    assert it.has_request(EndTxnRequest)
    closed = ProducerClosedError("closed")
    it.transactions.on_fatal(closed)
    assert isinstance(ticket.error, ProducerClosedError)
    assert ticket.error.possibly_written
    assert not closed.possibly_written  # others have it, too


@BOTH
def test_a_producer_that_ends_before_its_commit_is_sent_knows_that_it_is_not_written(level: int) -> None:
    it = shell(level)
    transaction = it.begin_with_a_record()
    it.send()  # not answered, so that the commit waits for it
    ticket = it.commit(transaction)
    assert not it.has_request(EndTxnRequest)
    it.transactions.on_fatal(ProducerClosedError("closed"))
    assert ticket.error is not None
    assert not ticket.error.possibly_written


@BOTH
@pytest.mark.parametrize("state", ["CompleteAbort", "PrepareAbort"])
def test_a_transaction_that_timed_out_is_aborted_and_the_epoch_after_it_asked_for(level: int, state: str) -> None:
    it = shell(level, transaction_timeout_ms=1_000)
    transaction = it.begin_with_a_record()
    it.now += 1.5
    ticket = it.commit(transaction)
    it.end(error=90)
    it.poll()
    assert it.is_in(S.FENCED_OR_TIMED_OUT)
    it.describe(state, (7, 1))
    it.poll()
    assert isinstance(ticket.error, TransactionAbortedError)
    assert "transaction_timeout_ms=1000" in str(ticket.error)
    request = it.init(identity=(7, 2))
    assert (request.producer_id, request.producer_epoch) == (7, 1)
    it.poll()
    assert it.is_in(S.READY)


@BOTH
@pytest.mark.parametrize(
    ("state", "identity", "error"),
    [
        ("Empty", (7, 1), 0),
        ("Ongoing", (7, 1), 0),
        ("CompleteAbort", (7, 2), 0),
        ("CompleteAbort", (8, 1), 0),
        ("CompleteCommit", (7, 1), 0),
        ("", (-1, -1), 105),
        ("", (-1, -1), 53),
    ],
)
def test_whatever_else_the_coordinator_describes_is_a_producer_that_took_over(
    level: int, state: str, identity: tuple[int, int], error: int
) -> None:
    it = shell(level, transaction_timeout_ms=1_000)
    ticket = it.abort(_expired(it))
    it.end(error=90)
    it.poll()
    it.describe(state, identity, error)
    it.poll()
    assert it.is_in(S.FATAL_ERROR)
    assert isinstance(ticket.error, ProducerFencedError)


def _expired(it: TransactionalShell):  # type: ignore[no-untyped-def]
    transaction = it.begin_with_a_record()
    it.now += 1.5
    return transaction


def test_a_broker_that_cannot_describe_leaves_it_open() -> None:
    it = TransactionalShell(0, transaction_timeout_ms=1_000)
    it.versions = broker_versions(0, describe_transactions=-1)
    it.start()
    ticket = it.abort(_expired(it))
    it.end(error=90)
    it.poll()
    it.poll()
    assert isinstance(ticket.error, ProducerFencedError)
    assert "or the transaction was open for longer" in str(ticket.error)


def test_version_2_whose_abort_is_taken_for_the_coordinators_own_names_the_timeout() -> None:
    it = shell(2, transaction_timeout_ms=1_000)
    ticket = it.commit(_expired(it))
    it.end(error=48)  # INVALID_TXN_STATE
    it.poll()
    assert it.end().committed is False
    it.poll()
    assert "longer than transaction_timeout_ms=1000" in str(ticket.error)
    assert it.is_in(S.READY)


def test_a_successor_that_comes_before_the_new_epoch_is_not_fenced() -> None:
    it = shell(0, transaction_timeout_ms=1_000)
    it.abort(_expired(it))
    it.end(error=90)
    it.poll()
    it.describe("CompleteAbort", (7, 1))
    it.poll()
    it.init(error=90)
    it.poll()
    assert it.is_in(S.FATAL_ERROR)
    assert isinstance(it.sender.fatal_error, ProducerFencedError)


# ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_commit_without_an_answer_is_unknown_and_goes_on() -> None:
    it = shell(max_block_ms=5_000)
    transaction = it.begin_with_a_record()
    ticket = it.commit(transaction)
    it.poll(after=4.9)
    assert not ticket.done
    it.poll(after=0.2)
    assert isinstance(ticket.error, CommitOutcomeUnknownError)
    assert it.is_in(S.COMMITTING)
    with pytest.raises(IllegalStateError):
        it.transactions.abort(transaction, it.now)
    again = it.commit(transaction)
    assert not again.done
    it.end()
    it.poll()
    assert again.done
    assert again.error is None
    assert it.transactions.take_woken() == [ticket, again]


def test_a_commit_has_max_block_after_its_records_are_through() -> None:
    it = shell(max_block_ms=5_000)
    transaction = it.begin()
    it.send()
    ticket = it.commit(transaction)
    it.poll(after=8.0)
    assert not ticket.done
    it.acknowledge()
    it.poll()
    it.poll(after=4.9)
    assert not ticket.done
    it.poll(after=0.2)
    assert isinstance(ticket.error, CommitOutcomeUnknownError)


def test_an_abort_without_an_answer_ends_in_time_and_goes_on() -> None:
    it = shell(max_block_ms=5_000)
    transaction = it.begin_with_a_record()
    ticket = it.abort(transaction)
    it.poll(after=5.1)
    assert isinstance(ticket.error, KafkaTimeoutError)
    waiting = it.transactions.wait_ready(it.now)
    assert it.transactions.is_passing
    it.end()
    it.poll()
    assert waiting.done
    assert waiting.error is None
    assert it.begin() is not transaction


def test_waiting_for_the_next_transaction_ends_in_time() -> None:
    it = shell(max_block_ms=5_000)
    it.abort(it.begin_with_a_record())
    ticket = it.transactions.wait_ready(it.now)
    it.poll(after=5.1)
    assert isinstance(ticket.error, KafkaTimeoutError)


@BOTH
def test_offsets_that_are_not_taken_in_time_fail_the_transaction_and_say_why(level: int) -> None:
    it = shell(level, max_block_ms=5_000)
    _, ticket = it.begin_with_offsets_under_way()
    it.commit_offsets(error=3)
    it.poll(after=5.1)
    assert isinstance(ticket.error, KafkaTimeoutError)
    assert "UNKNOWN_TOPIC_OR_PARTITION" in str(ticket.error)
    assert it.is_in(S.ABORTABLE_ERROR)


def test_a_commit_waits_for_offsets_that_nobody_waits_for_any_more() -> None:
    it = shell()
    transaction, ticket = it.begin_with_offsets_under_way()
    it.transactions.forget(ticket)
    it.commit(transaction)
    assert it.is_in(S.FLUSHING)
    it.commit_offsets()
    it.poll()
    assert it.is_in(S.COMMITTING)


def test_a_wait_that_was_given_up_is_told_nothing() -> None:
    it = shell()
    ticket = it.commit(it.begin_with_a_record())
    it.transactions.forget(ticket)
    it.end()
    it.poll()
    assert it.transactions.take_woken() == []


# ── the end of the producer ──────────────────────────────────────────────────────────────────────────────────────────


def test_closing_aborts_an_open_transaction_and_waits_for_that() -> None:
    it = shell(max_block_ms=5_000)
    it.begin_with_a_record()
    it.sender.begin_close(it.now)
    it.poll()
    assert not it.sender.is_drained
    assert it.end().committed is False
    it.poll()
    assert it.sender.is_drained


def test_closing_does_not_wait_longer_than_max_block() -> None:
    it = shell(max_block_ms=5_000)
    it.begin_with_a_record()
    it.sender.begin_close(it.now)
    it.poll()
    it.poll(after=5.1)
    assert it.sender.is_drained


def test_closing_lets_a_commit_finish() -> None:
    it = shell()
    transaction = it.begin()
    it.send()
    ticket = it.commit(transaction)
    it.sender.begin_close(it.now)
    it.acknowledge()
    it.poll()
    assert it.end().committed is True
    it.poll()
    assert ticket.done
    assert ticket.error is None
    assert it.sender.is_drained


def test_a_forced_end_tells_everybody_who_waits() -> None:
    it = shell()
    ticket = it.commit(it.begin_with_a_record())
    it.sender.abort(ProducerClosedError("closed"), it.now)
    it.poll()
    assert isinstance(ticket.error, ProducerClosedError)
    assert it.sender.is_drained


def test_a_batch_that_was_never_sent_is_dropped_as_not_written() -> None:
    it = shell()
    transaction = it.begin()
    batch = it.append()
    it.abort(transaction)
    assert isinstance(batch.error, TransactionAbortedError)
    assert not batch.error.possibly_written


@BOTH
@pytest.mark.parametrize("step", ["init", "end", "describe"])
def test_an_answer_that_comes_after_a_forced_end_changes_nothing(level: int, step: str) -> None:
    it = TransactionalShell(level, transaction_timeout_ms=1_000)
    answer: Callable[[], object] = it.init
    if step == "init":
        it.poll()
        it.wait_until(lambda: it.has_request(FindCoordinatorRequest), within=1)
        it.find()
        it.poll()
    else:
        it.start()
        it.abort(it.begin_with_a_record())
        answer = it.end
    if step == "describe":
        it.now += 1.5
        it.end(90)
        it.poll()
        answer = partial(it.describe, "CompleteAbort", (7, 1))
    it.sender.abort(ProducerClosedError("closed"), it.now)
    it.poll()
    answer()
    it.poll()
    assert it.is_in(S.FATAL_ERROR)
    assert isinstance(it.transactions.fatal_error, ProducerClosedError)


def test_initialising_goes_on_until_it_is_answered() -> None:
    it = TransactionalShell(2)
    it.poll()
    it.wait_until(lambda: it.has_request(FindCoordinatorRequest), within=1)
    it.find(error=15)
    it.wait_until(lambda: it.has_request(FindCoordinatorRequest), within=1)
    request = it.find()
    assert (request.key_type, request.coordinator_keys) == (1, ["x"])
    it.poll()
    it.init(error=51)
    it.wait_until(lambda: it.has_request(InitProducerIdRequest), within=1)
    assert not it.sender.is_started
    asked = it.init()
    assert (asked.transactional_id, asked.transaction_timeout_ms) == ("x", 60_000)
    assert (asked.producer_id, asked.producer_epoch) == (-1, -1)
    it.poll()
    assert it.sender.is_started
    assert not it.has_request(DescribeTransactionsRequest)


# ── the pause while markers are written ──────────────────────────────────────────────────────────────────────────────


def follow(it: TransactionalShell, took: float) -> None:
    """Commit one transaction and begin the next at once, whose first answer comes `took` seconds later; commit that."""
    transaction = it.begin()
    it.send(0)
    if it.level == 0:
        it.poll(after=took)
        it.add_partitions()
        it.poll()
    else:
        it.poll(after=took)
    it.acknowledge()
    it.poll()
    it.commit(transaction)
    it.end()
    it.poll()


def test_data_waits_a_moment_when_the_transaction_before_was_held_by_its_broker() -> None:
    it = shell(2)
    for took in (0.002, 0.002, 0.03):
        follow(it, took)
    it.begin()
    it.append(0)
    it.poll()
    assert it.batches() == []
    due = it.sender.deadline(it.now)
    assert due is not None
    assert 0 < due - it.now < 0.0011
    it.poll(after=due - it.now)
    assert len(it.batches()) == 1
    it.append(1)
    it.poll()
    assert len(it.batches()) == 2  # what has begun waits no more


def test_adding_partitions_waits_a_moment_when_it_was_refused_before() -> None:
    it = shell(0)
    follow(it, 0.002)
    transaction = it.begin()
    it.send(0)
    it.add_partitions(51)  # CONCURRENT_TRANSACTIONS
    it.poll()
    it.poll(after=0.03)
    it.add_partitions()
    it.poll()
    it.acknowledge()
    it.poll()
    it.commit(transaction)
    it.end()
    it.poll()
    it.begin()
    it.append(0)
    it.poll()
    assert not it.has_request(AddPartitionsToTxnRequest)
    due = it.sender.deadline(it.now)
    assert due is not None
    assert 0 < due - it.now < 0.0011
    it.poll(after=due - it.now)
    assert it.has_request(AddPartitionsToTxnRequest)
