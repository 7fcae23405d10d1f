"""What it means that an epoch is refused, by our clock and by what the coordinator says of the transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._core.transactions.fencing import Fencing
from aioproducer._core.transactions.requests import VERSION_1, VERSION_2, EndTransaction
from aioproducer._wire.messages.describe_transactions import TransactionDescription
from aioproducer.errors import KafkaError, ProducerFencedError, TransactionAbortableError
from aioproducer.errors._from_code import error_for
from tests.unit._core.transaction_parts import PRODUCER, Owner, begun, coordinator, timer

if TYPE_CHECKING:
    from aioproducer._core.transactions.open_transaction import OpenTransaction

INVALID_PRODUCER_EPOCH = 47


def fencing() -> Fencing:
    """With ten seconds for each transaction."""
    return Fencing("x", 10_000)


def opened(version: int = VERSION_2, *, is_begun: bool = False) -> OpenTransaction:
    """One that was opened at time 100."""
    transaction = begun(version)
    transaction.started_at = 100.0
    transaction.is_begun = is_begun
    return transaction


@pytest.mark.parametrize(
    ("version", "is_begun", "now", "is_time"),
    [
        (VERSION_2, False, 109.9, False),
        (VERSION_2, False, 110.0, True),
        (VERSION_1, False, 110.0, False),
        (VERSION_1, True, 110.0, True),
    ],
)
def test_the_time_may_be_up_by_our_clock_if_it_was_surely_begun(
    version: int, is_begun: bool, now: float, is_time: bool
) -> None:
    assert fencing().may_be_time(opened(version, is_begun=is_begun), now) is is_time


def test_the_time_of_one_that_sent_nothing_does_not_run() -> None:
    assert not fencing().may_be_time(begun(), 1e9)


def test_a_refused_epoch_in_time_means_that_another_has_taken_over() -> None:
    refused = error_for(INVALID_PRODUCER_EPOCH, api="Produce", node=3, topic="t", partition=1)
    seen = fencing().meaning_of(refused, opened(), 105.0)
    assert isinstance(seen, ProducerFencedError)
    assert (seen.api, seen.node, seen.topic, seen.partition) == ("Produce", 3, "t", 1)
    assert seen.__cause__ is refused


def test_a_refused_epoch_when_the_time_is_up_can_be_either() -> None:
    seen = fencing().meaning_of(error_for(INVALID_PRODUCER_EPOCH), opened(), 111.0)
    assert isinstance(seen, TransactionAbortableError)
    assert "open for 11.0 s, longer than transaction_timeout_ms=10000" in str(seen)


def test_any_other_error_means_what_it_says() -> None:
    other = error_for(3)
    assert fencing().meaning_of(other, opened(), 200.0) is other
    refused = error_for(INVALID_PRODUCER_EPOCH)
    assert fencing().meaning_of(refused, None, 200.0) is refused


@pytest.mark.parametrize(
    ("epoch", "state", "is_aborted"),
    [(4, "CompleteAbort", True), (4, "PrepareAbort", True), (4, "Ongoing", False), (5, "CompleteAbort", False)],
)
def test_a_coordinator_that_aborted_by_itself_raised_the_epoch_by_one(epoch: int, state: str, is_aborted: bool) -> None:
    described = TransactionDescription(
        producer_id=PRODUCER.producer_id, producer_epoch=epoch, transaction_state=state, transactional_id="x"
    )
    assert fencing().is_aborted_under_next_epoch(opened(), described) is is_aborted


def test_an_abort_that_goes_through_shows_that_the_time_was_up() -> None:
    transaction = opened()
    assert not fencing().is_own_abort(transaction, 111.0)
    transaction.cause = error_for(INVALID_PRODUCER_EPOCH)
    assert not fencing().is_own_abort(transaction, 105.0)
    assert fencing().is_own_abort(transaction, 111.0)


def test_the_timeout_becomes_the_cause() -> None:
    transaction, refusal = opened(), KafkaError("refused")
    fencing().name_timeout(transaction, refusal, 112.0)
    assert "open for 12.0 s" in str(transaction.cause)
    assert transaction.cause is not None
    assert transaction.cause.__cause__ is refusal


@pytest.mark.parametrize(("is_commit", "was_lost"), [(True, True), (True, False), (False, True)])
def test_who_is_fenced_after_a_lost_commit_may_have_committed(is_commit: bool, was_lost: bool) -> None:
    transaction = opened()
    transaction.end = EndTransaction(Owner(), timer(), coordinator(), "x", PRODUCER, VERSION_2, is_commit=is_commit)
    transaction.end.was_lost = was_lost
    error = fencing().fenced(transaction, KafkaError("refused"), " (or not)")
    assert error.possibly_written is (is_commit and was_lost)
    assert "'x' has taken over (or not)" in str(error)
