"""The steps of a transaction between calls and answers, alone: real records, a machine, and nothing that is sent."""

from __future__ import annotations

import random

from aioproducer._core.produce.sequences import Sequences
from aioproducer._core.transactions.feature import TransactionFeature
from aioproducer._core.transactions.fencing import Fencing
from aioproducer._core.transactions.marker_delay import MarkerDelay
from aioproducer._core.transactions.open_transaction import OpenTransaction, TransactionOutcome
from aioproducer._core.transactions.progress import TransactionProgress
from aioproducer._core.transactions.requests import VERSION_1, VERSION_2
from aioproducer._core.transactions.responses import TransactionResponses
from aioproducer._core.transactions.state_machine import TransactionStateMachine
from aioproducer._core.transactions.states import TransactionEvent, TransactionState
from aioproducer._core.transactions.waiters import TransactionWaiters
from aioproducer._core.transactions.wanted import WantedRequests
from aioproducer._types import TopicPartition
from aioproducer.errors import KafkaError
from tests.unit._core.transaction_parts import CONFIG, PRODUCER, Owner, accumulator

S = TransactionState
E = TransactionEvent


class Steps:
    """An open transaction whose steps a test takes."""

    def __init__(self, version: int) -> None:
        records = accumulator()
        sequences = Sequences(is_enabled=True, is_transactional=True)
        delay = MarkerDelay()
        self.machine = TransactionStateMachine(records)
        requests = WantedRequests(Owner(), self.machine, delay, CONFIG, random.Random(1))
        waiters = TransactionWaiters(self.machine, requests, 2_000)
        fencing, feature = Fencing("x", 10_000), TransactionFeature()
        self.responses = TransactionResponses(self.machine, requests, waiters, fencing, feature, delay, sequences)
        self.progress = TransactionProgress(self.machine, requests, self.responses, delay, records, sequences)
        self.machine.move(E.IDENTIFIED)
        self.transaction = OpenTransaction(version, PRODUCER, requests.adding(PRODUCER))
        self.machine.begin(self.transaction)

    def is_in(self, state: TransactionState) -> bool:
        """Whether the machine is there; a call, as type checkers take an attribute for unchanged."""
        return self.machine.state is state


def test_a_commit_of_nothing_is_done_without_a_request() -> None:
    it = Steps(VERSION_2)
    it.machine.move(E.COMMIT)
    it.progress.advance(5.0)
    assert it.is_in(S.READY)
    assert it.transaction.outcome is TransactionOutcome.COMMITTED


def test_what_was_begun_is_ended_with_a_request_and_its_time_counts_from_then() -> None:
    it = Steps(VERSION_2)
    it.progress.start(it.transaction, 4.0)
    it.progress.start(it.transaction, 4.5)
    assert it.transaction.started_at == 4.0
    it.machine.move(E.COMMIT)
    it.progress.advance(5.0)
    assert it.is_in(S.COMMITTING)
    assert it.transaction.end is not None
    assert it.transaction.end.is_commit
    assert it.transaction.ending_since == 5.0
    it.progress.advance(6.0)
    assert it.transaction.ending_since == 5.0


def test_with_version_1_an_abort_waits_for_partitions_that_are_being_added() -> None:
    it = Steps(VERSION_1)
    it.transaction.is_begun = True
    it.transaction.adding.asked = {TopicPartition("t", 0)}
    it.machine.move(E.ABORT)
    it.progress.advance(5.0)
    assert it.transaction.end is None
    it.transaction.adding.asked = set()
    it.progress.advance(6.0)
    assert it.transaction.end is not None


def test_a_failed_transaction_drops_what_was_to_be_added() -> None:
    it = Steps(VERSION_1)
    it.transaction.adding.wanted = {TopicPartition("t", 0)}
    it.machine.fail(KafkaError("no"))
    it.progress.advance(5.0)
    assert it.is_in(S.ABORTABLE_ERROR)
    assert it.transaction.adding.wanted == set()
    assert it.progress.take_dropped() == []


def test_with_version_1_a_failure_asks_for_a_new_epoch() -> None:
    it = Steps(VERSION_1)
    it.transaction.is_begun = it.transaction.is_new_epoch_needed = True
    it.machine.move(E.ABORT)
    it.responses.finish(it.transaction, TransactionOutcome.ABORTED)
    assert it.is_in(S.INITIALIZING)


def test_after_a_fatal_error_no_step_is_taken() -> None:
    it = Steps(VERSION_2)
    it.machine.fail_fatal(KafkaError("fatal"))
    it.progress.advance(5.0)
    assert it.is_in(S.FATAL_ERROR)
    assert it.transaction.end is None
