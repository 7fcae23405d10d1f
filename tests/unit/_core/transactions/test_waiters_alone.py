"""The waiting calls, alone: a machine that a test moves, and nobody who sends requests."""

from __future__ import annotations

import math

from aioproducer._core.transactions.open_transaction import Awaited, TransactionOutcome, TransactionTicket
from aioproducer._core.transactions.requests import VERSION_2, EndTransaction
from aioproducer._core.transactions.state_machine import TransactionStateMachine
from aioproducer._core.transactions.states import TransactionEvent, TransactionState
from aioproducer._core.transactions.waiters import TransactionWaiters
from aioproducer.errors import CommitOutcomeUnknownError, KafkaError, KafkaTimeoutError, TransactionAbortedError
from tests.unit._core.transaction_parts import PRODUCER, Owner, accumulator, begun, coordinator, timer

E = TransactionEvent
WHY = KafkaError("nobody coordinates")


class Failing:
    """Requests that have failed."""

    last_error = WHY


class Waits:
    """An open transaction, and calls that wait for it at most two seconds, from time 10 on."""

    def __init__(self) -> None:
        self.machine = TransactionStateMachine(accumulator())
        self.machine.move(E.IDENTIFIED)
        self.transaction = begun()
        self.machine.begin(self.transaction)
        self.waiters = TransactionWaiters(self.machine, Failing(), 2_000)

    def wait(self, awaited: Awaited) -> TransactionTicket:
        """Wait for it from now on."""
        return self.waiters.wait(awaited, None if awaited is Awaited.READY else self.transaction, 10.0)

    def end(self, outcome: TransactionOutcome) -> None:
        """Let the transaction have ended so."""
        self.machine.move(E.ABORT)
        self.machine.end(self.transaction, outcome, E.ENDED)


def test_what_is_there_already_is_waited_for_by_nobody() -> None:
    it = Waits()
    ticket = it.wait(Awaited.READY)
    assert (ticket.done, ticket.error) == (True, None)
    assert it.waiters.is_empty
    assert it.waiters.take_woken() == []


def test_an_outcome_ends_the_waits_for_it_in_their_order() -> None:
    it = Waits()
    first, forgotten, second = (it.wait(Awaited.ABORT) for _ in range(3))
    commit = it.wait(Awaited.COMMIT)
    it.waiters.forget(forgotten)
    it.end(TransactionOutcome.ABORTED)
    it.waiters.check(11.0)
    assert it.waiters.take_woken() == [first, second, commit]
    assert [first.error, second.error] == [None, None]
    assert isinstance(commit.error, TransactionAbortedError)
    assert it.waiters.is_empty
    assert it.waiters.take_woken() == []


def test_who_closes_ends_no_wait_in_vain_for_what_has_come() -> None:
    it = Waits()
    abort, commit, offsets = it.wait(Awaited.ABORT), it.wait(Awaited.COMMIT), it.wait(Awaited.OFFSETS)
    it.end(TransactionOutcome.ABORTED)
    it.waiters.finish_all(WHY)
    assert (abort.error, offsets.error) == (None, WHY)
    assert isinstance(commit.error, TransactionAbortedError)


def test_who_closes_ends_every_wait_for_what_has_not() -> None:
    it = Waits()
    tickets = [it.wait(awaited) for awaited in (Awaited.ABORT, Awaited.COMMIT, Awaited.OFFSETS)]
    it.waiters.finish_all(WHY)
    assert [ticket.error for ticket in tickets] == [WHY, WHY, WHY]
    assert it.waiters.take_woken() == tickets


def test_offsets_cannot_be_forgotten_as_their_time_fails_the_transaction() -> None:
    it = Waits()
    ticket = it.wait(Awaited.OFFSETS)
    it.waiters.forget(ticket)
    assert it.waiters.deadlines() == [12.0]
    it.waiters.check(12.0)
    assert isinstance(ticket.error, KafkaTimeoutError)
    assert it.machine.state is TransactionState.ABORTABLE_ERROR


def test_a_wait_for_an_end_counts_from_when_all_else_was_done() -> None:
    it = Waits()
    it.wait(Awaited.COMMIT)
    it.machine.move(E.COMMIT)
    assert it.waiters.deadlines() == [math.inf]
    it.machine.move(E.FLUSHED)
    it.transaction.ending_since = 30.0
    assert it.waiters.deadlines() == [32.0]


def test_a_commit_without_an_answer_may_have_taken_effect_and_says_what_failed_last() -> None:
    it = Waits()
    ticket = it.wait(Awaited.COMMIT)
    it.machine.move(E.COMMIT)
    it.machine.move(E.FLUSHED)
    it.transaction.ending_since = 10.0
    it.waiters.check(12.5)
    assert isinstance(ticket.error, CommitOutcomeUnknownError)
    assert "within 2.5 s (max_block_ms=2000)" in str(ticket.error)
    assert ticket.error.__cause__ is WHY


def test_the_end_s_own_failure_comes_before_any_other() -> None:
    it = Waits()
    ticket = it.wait(Awaited.ABORT)
    it.machine.move(E.ABORT)
    it.transaction.ending_since = 10.0
    end = EndTransaction(Owner(), timer(), coordinator(), "x", PRODUCER, VERSION_2, is_commit=False)
    own = KafkaError("not now")
    end.retry_timer.fail(own, 11.0)
    it.transaction.end = end
    it.waiters.check(12.0)
    assert isinstance(ticket.error, KafkaTimeoutError)
    assert ticket.error.__cause__ is own


def test_a_fatal_error_ends_all_and_closing_only_those_that_want_to_begin() -> None:
    it = Waits()
    it.machine.move(E.ABORT)
    ready, abort = it.wait(Awaited.READY), it.wait(Awaited.ABORT)
    it.waiters.refuse_ready(WHY)
    assert (ready.error, abort.done) == (WHY, False)
    it.waiters.finish_all(WHY)
    assert abort.error is WHY
    it.waiters.finish(abort, None)  # once over, a wait stays as it ended
    assert abort.error is WHY
