"""What follows from an answer, alone: requests that a test makes, and a machine that nobody polls."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from aioproducer._core.cluster.metadata import Broker
from aioproducer._core.produce.sequences import Sequences
from aioproducer._core.requests.coordinators import Coordinator, CoordinatorType
from aioproducer._core.requests.verdicts import Verdict
from aioproducer._core.transactions.feature import TransactionFeature
from aioproducer._core.transactions.fencing import Fencing
from aioproducer._core.transactions.marker_delay import MarkerDelay
from aioproducer._core.transactions.open_transaction import Awaited, OpenTransaction, TransactionOutcome
from aioproducer._core.transactions.requests import VERSION_1, VERSION_2, FindCoordinator, OffsetCommit
from aioproducer._core.transactions.responses import TransactionResponses
from aioproducer._core.transactions.state_machine import TransactionStateMachine
from aioproducer._core.transactions.states import TransactionEvent, TransactionState
from aioproducer._core.transactions.waiters import TransactionWaiters
from aioproducer._core.transactions.wanted import WantedRequests
from aioproducer._types import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition
from aioproducer._wire.messages.end_txn import EndTxnResponse
from aioproducer._wire.messages.find_coordinator import FindCoordinatorResponse
from aioproducer.errors import ErrorCode, KafkaError, ProducerFencedError
from aioproducer.errors._from_code import error_for
from tests.unit._core.transaction_parts import CONFIG, PRODUCER, Owner, accumulator

if TYPE_CHECKING:
    from aioproducer._core.requests.control_request import ControlRequest

S = TransactionState
E = TransactionEvent


class Answers:
    """An open transaction, and what is told of its requests at time 5."""

    def __init__(self, version: int = VERSION_2) -> None:
        self.sequences = Sequences(is_enabled=True, is_transactional=True)
        self.machine = TransactionStateMachine(accumulator())
        delay = MarkerDelay()
        self.requests = WantedRequests(Owner(), self.machine, delay, CONFIG, random.Random(1))
        self.waiters = TransactionWaiters(self.machine, self.requests, 2_000)
        fencing, feature = Fencing("x", 10_000), TransactionFeature()
        self.responses = TransactionResponses(
            self.machine, self.requests, self.waiters, fencing, feature, delay, self.sequences
        )
        self.machine.move(E.IDENTIFIED)
        self.transaction = OpenTransaction(version, PRODUCER, self.requests.adding(PRODUCER))
        self.machine.begin(self.transaction)

    def refuse(self, request: ControlRequest, verdict: Verdict, code: int) -> None:
        """Answer a request with an error."""
        self.responses.on_error(request, verdict, error_for(code), 5.0)

    def is_in(self, state: TransactionState) -> bool:
        """Whether the machine is there; a call, as type checkers take an attribute for unchanged."""
        return self.machine.state is state


def test_an_end_of_version_2_brings_the_next_epoch() -> None:
    it = Answers()
    it.machine.move(E.COMMIT)
    it.machine.move(E.FLUSHED)
    end = it.transaction.end = it.requests.ending(it.transaction, is_commit=True)
    assert it.responses.is_wanted(end)
    it.responses.on_success(end, EndTxnResponse(producer_id=7, producer_epoch=4), 5.0)
    assert (it.sequences.producer_id, it.sequences.producer_epoch) == (7, 4)
    assert it.is_in(S.READY)
    assert it.transaction.outcome is TransactionOutcome.COMMITTED
    assert not it.responses.is_wanted(end)


def test_answers_about_another_transaction_are_not_wanted() -> None:
    it, other = Answers(), Answers()
    assert it.responses.is_wanted(it.transaction.adding)
    assert not it.responses.is_wanted(other.transaction.adding)
    assert not it.responses.is_wanted(it.requests.ending(it.transaction, is_commit=True))


def test_after_a_fatal_error_no_answer_is_wanted() -> None:
    it = Answers()
    it.responses.fail_fatal(KafkaError("fatal"))
    assert not it.responses.is_wanted(it.transaction.adding)


def test_a_lookup_is_repeated_soon_where_the_transaction_before_is_being_ended() -> None:
    it = Answers()
    wanted = Coordinator(CoordinatorType.GROUP, "g", CONFIG, random.Random(1))
    lookup = FindCoordinator(Owner(), wanted)
    it.refuse(lookup, Verdict.RETRY, ErrorCode.CONCURRENT_TRANSACTIONS)
    assert lookup.next_at() <= 5.0 + 0.024
    it.responses.on_success(lookup, FindCoordinatorResponse(node_id=3, host="h", port=9), 5.0)
    assert wanted.broker == Broker(3, "h", 9)


def test_what_can_only_be_aborted_fails_the_calls_that_wait_for_it() -> None:
    it = Answers(VERSION_1)
    ticket = it.waiters.wait(Awaited.OFFSETS, it.transaction, 5.0)
    commit = OffsetCommit(ConsumerGroupMetadata("g"), {TopicPartition("in", 0): OffsetAndMetadata(1)})
    it.transaction.offsets += it.requests.committing_offsets(it.transaction, commit, ticket)
    first = it.transaction.offsets[0][0]
    it.refuse(first, Verdict.ABORT, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    assert it.is_in(S.ABORTABLE_ERROR)
    assert isinstance(ticket.error, KafkaError)
    assert it.transaction.offsets == []


def test_a_refused_epoch_within_the_time_is_the_end_of_the_producer() -> None:
    it = Answers()
    ticket = it.waiters.wait(Awaited.ABORT, it.transaction, 5.0)
    it.refuse(it.transaction.adding, Verdict.FENCED, ErrorCode.PRODUCER_FENCED)
    assert it.is_in(S.FATAL_ERROR)
    assert isinstance(ticket.error, ProducerFencedError)


def test_no_request_of_a_transaction_writes_a_record_whatever_its_code_says() -> None:
    it = Answers()
    error = error_for(ErrorCode.UNKNOWN_SERVER_ERROR)
    assert error.possibly_written
    it.responses.on_error(it.transaction.adding, Verdict.FATAL, error, 5.0)
    assert it.machine.fatal_error is error
    assert not error.possibly_written
    assert error.fatal
