"""Where a transactional producer is, alone: without requests, without anybody who waits."""

from __future__ import annotations

import pytest

from aioproducer._core.transactions.open_transaction import TransactionOutcome
from aioproducer._core.transactions.state_machine import TransactionStateMachine
from aioproducer._core.transactions.states import TransactionEvent, TransactionState
from aioproducer.errors import (
    IllegalStateError,
    KafkaError,
    ProducerFencedError,
    TransactionAbortableError,
    TransactionAbortedError,
)
from tests.unit._core.transaction_parts import accumulator, begun

S = TransactionState
E = TransactionEvent


def ready() -> TransactionStateMachine:
    """One whose producer id is there."""
    machine = TransactionStateMachine(accumulator())
    machine.move(E.IDENTIFIED)
    return machine


def test_sends_are_let_through_within_a_transaction_alone() -> None:
    records = accumulator()
    machine = TransactionStateMachine(records)
    assert isinstance(records.blocked_error, IllegalStateError)
    machine.move(E.IDENTIFIED)
    assert isinstance(records.blocked_error, IllegalStateError)
    machine.begin(begun())
    assert records.blocked_error is None
    machine.move(E.COMMIT)
    assert "commit() was called" in str(records.blocked_error)


def test_what_cannot_happen_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="BEGIN cannot happen in state INITIALIZING"):
        TransactionStateMachine(accumulator()).begin(begun())


def test_what_follows_from_the_end_of_a_transaction_does_not_fail_the_next() -> None:
    machine, transaction = ready(), begun()
    machine.fail(KafkaError("there is none that could fail"))
    machine.begin(transaction)
    machine.fail(TransactionAbortedError("of the one before"))
    assert (machine.state, transaction.cause) == (S.IN_TRANSACTION, None)


def test_the_first_failure_is_the_cause() -> None:
    machine, transaction = ready(), begun()
    machine.begin(transaction)
    first = KafkaError("first")
    machine.fail(first)
    machine.fail(KafkaError("second"))
    assert (machine.state, transaction.cause) == (S.ABORTABLE_ERROR, first)
    assert transaction.is_new_epoch_needed
    refusal = machine.refusal_of_sends(transaction)
    assert isinstance(refusal, TransactionAbortableError)
    assert refusal.__cause__ is first


def test_a_fenced_transaction_refuses_sends_with_that() -> None:
    machine, transaction = ready(), begun()
    machine.begin(transaction)
    fenced = ProducerFencedError("another")
    machine.fail(fenced)
    assert machine.refusal_of_sends(transaction) is fenced


def test_the_end_gives_the_outcome_and_another_may_begin() -> None:
    machine, transaction = ready(), begun()
    machine.begin(transaction)
    machine.move(E.ABORT)
    assert machine.is_passing
    machine.end(transaction, TransactionOutcome.ABORTED, E.ENDED)
    assert (machine.state, machine.current, transaction.outcome) == (S.READY, None, TransactionOutcome.ABORTED)
    assert "is over (ABORTED)" in str(machine.refusal_of_sends(transaction))


def test_after_a_fatal_error_every_call_gets_a_copy_of_it() -> None:
    machine = ready()
    machine.check_alive()
    error, cause = KafkaError("fatal"), KafkaError("why")
    error.__cause__ = cause
    machine.fail_fatal(error)
    machine.fail_fatal(KafkaError("later"))
    assert (machine.state, machine.fatal_error) == (S.FATAL_ERROR, error)
    with pytest.raises(KafkaError, match="fatal") as caught:
        machine.check_alive()
    assert caught.value is not error
    assert caught.value.__cause__ is cause
    assert machine.refusal_of_sends(None) is error


def test_a_commit_is_in_doubt_once_it_is_sent() -> None:
    machine = ready()
    machine.begin(begun())
    machine.move(E.COMMIT)
    assert not machine.is_commit_in_doubt
    machine.move(E.FLUSHED)
    assert machine.is_commit_in_doubt
