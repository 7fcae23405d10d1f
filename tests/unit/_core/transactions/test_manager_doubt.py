"""A commit whose answer was lost is in doubt until it is known what came of it, whatever is answered meanwhile."""

from __future__ import annotations

import pytest

from aioproducer._core.transactions.states import TransactionState
from aioproducer._wire.messages.end_txn import EndTxnRequest
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest
from aioproducer.errors import (
    BrokerError,
    CommitOutcomeUnknownError,
    ErrorCode,
    ProducerClosedError,
    ProducerFencedError,
    TransactionAbortedError,
)
from tests.unit._core.transactional import TransactionalShell

S = TransactionState
BOTH = pytest.mark.parametrize("level", [0, 2])
REFUSALS = pytest.mark.parametrize(
    "code",
    [ErrorCode.INVALID_TXN_STATE, ErrorCode.UNKNOWN_PRODUCER_ID, ErrorCode.TRANSACTION_ABORTABLE],
    ids=lambda code: code.name,
)


class Story:
    """A commit whose answer was lost; its repetition is refused in a way that is followed by an abort."""

    def __init__(self, level: int, code: int, *, is_lost: bool = True) -> None:
        self.shell = TransactionalShell(level).start()
        self.transaction = self.shell.begin_with_a_record()
        self.ticket = self.shell.commit(self.transaction)
        if is_lost:
            self.shell.break_connection(2)
            self.shell.wait_until(lambda: self.shell.has_request(FindCoordinatorRequest), within=2)
            self.shell.find()
            self.shell.wait_until(lambda: self.shell.has_request(EndTxnRequest), within=2)
        assert self.shell.end(error=code).committed
        self.shell.poll()
        self.shell.wait_until(lambda: self.shell.has_request(EndTxnRequest), within=2)

    def end(self, error: int = 0) -> None:
        """Answer the abort."""
        assert not self.shell.end(error=error).committed
        self.shell.poll()


@BOTH
@REFUSALS
def test_an_abort_that_goes_through_shows_that_it_was_not_committed(level: int, code: int) -> None:
    it = Story(level, code)
    assert not it.ticket.done
    it.end()
    assert isinstance(it.ticket.error, TransactionAbortedError)
    assert not it.ticket.error.possibly_written


@BOTH
@REFUSALS
@pytest.mark.parametrize("again", [-1, 48, 49, 59, 120])
def test_an_abort_that_is_refused_leaves_it_open(level: int, code: int, again: int) -> None:
    it = Story(level, code)
    it.end(error=again)
    assert it.shell.is_in(S.FATAL_ERROR)
    assert isinstance(it.ticket.error, BrokerError)
    assert it.ticket.error.possibly_written


@BOTH
@pytest.mark.parametrize("again", [48, 49, 59, 120])
def test_without_a_lost_answer_nothing_is_in_doubt(level: int, again: int) -> None:
    it = Story(level, ErrorCode.UNKNOWN_PRODUCER_ID, is_lost=False)
    it.end(error=again)
    assert it.ticket.error is not None
    assert not it.ticket.error.possibly_written


@BOTH
@REFUSALS
def test_fenced_after_it_the_commit_may_have_taken_effect(level: int, code: int) -> None:
    it = Story(level, code)
    it.end(error=ErrorCode.PRODUCER_FENCED)
    assert isinstance(it.ticket.error, ProducerFencedError)
    assert it.ticket.error.possibly_written


@BOTH
def test_a_call_whose_time_is_up_before_the_abort_is_answered_does_not_know(level: int) -> None:
    it = Story(level, ErrorCode.UNKNOWN_PRODUCER_ID)
    it.shell.poll(after=61.0)
    assert isinstance(it.ticket.error, CommitOutcomeUnknownError)


@BOTH
def test_a_producer_that_ends_before_the_abort_is_answered_does_not_know(level: int) -> None:
    it = Story(level, ErrorCode.UNKNOWN_PRODUCER_ID)
    it.shell.transactions.on_fatal(ProducerClosedError("closed"))
    assert isinstance(it.ticket.error, ProducerClosedError)
    assert it.ticket.error.possibly_written
