"""What the errors of transactions say."""

from __future__ import annotations

from aioproducer._core.transactions.errors import aborted, epoch_is_over, open_too_long, refusal_of_sends, taken_over
from aioproducer._core.transactions.open_transaction import TransactionOutcome
from aioproducer._core.transactions.states import TransactionState
from aioproducer.errors import IllegalStateError, KafkaError
from tests.unit._core.transaction_parts import begun


def test_an_aborted_transaction_says_why() -> None:
    transaction = begun()
    assert "abort() was called" in str(aborted(transaction))
    transaction.cause = KafkaError("the record was too large")
    assert "the record was too large" in str(aborted(transaction))
    assert aborted(transaction).__cause__ is transaction.cause


def test_a_refused_send_says_what_state_it_met() -> None:
    refusal = refusal_of_sends(TransactionState.READY, None)
    assert isinstance(refusal, IllegalStateError)
    assert "begin one with" in str(refusal)
    transaction = begun()
    transaction.outcome = TransactionOutcome.COMMITTED
    assert "is over (COMMITTED)" in str(refusal_of_sends(TransactionState.READY, transaction))


def test_who_is_fenced_must_stop_and_who_was_too_slow_knows_how_slow() -> None:
    assert "transactional_id 'x' has taken over; this one must stop" in str(taken_over("x"))
    assert "open for 7.0 s, longer than transaction_timeout_ms=5000" in str(epoch_is_over("x", 7.0, 5.0, 47))
    assert "raise transaction_timeout_ms" in str(open_too_long(7.0, 5.0))
