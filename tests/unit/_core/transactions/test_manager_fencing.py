"""What does whoever sends hear of fencing first? That another producer has taken over, or that the time may be up."""

from __future__ import annotations

import pytest

from aioproducer._core.transactions.states import TransactionState
from aioproducer.errors import BrokerError, ProducerFencedError, TransactionAbortableError, TransactionAbortedError
from tests.unit._core.transactional import TransactionalShell

S = TransactionState
BOTH = pytest.mark.parametrize("level", [0, 2])
CODES = pytest.mark.parametrize("code", [47, 90])


def refused(level: int, code: int, *, after: float) -> tuple[TransactionalShell, BrokerError]:
    """A transaction whose second batch was refused for its epoch, and the error of that batch."""
    it = TransactionalShell(level, transaction_timeout_ms=1_000).start()
    it.begin_with_a_record()
    it.now += after
    batch = it.send()
    it.refuse(code)
    it.poll()
    assert isinstance(batch.error, BrokerError)
    return it, batch.error


@BOTH
@CODES
def test_the_record_whose_epoch_is_refused_has_the_error_of_a_fenced_producer(level: int, code: int) -> None:
    it, error = refused(level, code, after=0.5)
    assert isinstance(error, ProducerFencedError)
    assert error.fatal
    assert not error.possibly_written
    assert "another producer with transactional_id" in str(error)
    assert (error.api, error.node, error.topic, error.partition) == ("Produce", 1, "t", 0)
    assert isinstance(error.__cause__, BrokerError)
    assert error.__cause__.code == code
    assert it.is_in(S.ABORTABLE_ERROR)


@BOTH
@CODES
def test_until_the_coordinator_says_so_too_every_send_is_refused_with_the_same_error(level: int, code: int) -> None:
    it, _ = refused(level, code, after=0.5)
    with pytest.raises(ProducerFencedError, match="has taken over"):
        it.accumulator.enqueue("t", 0, None, b"v", (), 1, it.now, it.now + 1, accepted=False)
    transaction = it.transactions.current
    assert transaction is not None
    ticket = it.commit(transaction)
    assert it.end(error=90).committed is False
    it.poll()
    assert isinstance(ticket.error, ProducerFencedError)
    assert it.is_in(S.FATAL_ERROR)


@BOTH
@CODES
def test_after_the_transactions_time_it_is_an_abort_and_the_coordinator_tells_why(level: int, code: int) -> None:
    it, error = refused(level, code, after=1.5)
    assert type(error) is TransactionAbortableError
    assert not error.fatal
    assert error.abortable
    assert "longer than transaction_timeout_ms=1000" in str(error)
    assert "its end tells which" in str(error)
    transaction = it.transactions.current
    assert transaction is not None
    ticket = it.commit(transaction)
    it.end(error=90)
    it.poll()
    it.describe("CompleteAbort", (7, 1))
    it.poll()
    assert isinstance(ticket.error, TransactionAbortedError)
    it.init(identity=(7, 2))
    it.poll()
    assert it.is_in(S.READY)


def test_offsets_that_are_refused_for_the_epoch_after_the_time_have_the_same_error() -> None:
    it = TransactionalShell(0, transaction_timeout_ms=1_000).start()
    transaction = it.begin_with_a_record()
    it.now += 1.5
    ticket = it.send_offsets(transaction)
    it.add_offsets(error=47)
    it.poll()
    assert type(ticket.error) is TransactionAbortableError
    assert "longer than transaction_timeout_ms=1000" in str(ticket.error)
