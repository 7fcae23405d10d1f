"""The errors of transactions, with all that is needed to find the cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.transactions.states import TransactionState
from aioproducer.errors import (
    ErrorCode,
    IllegalStateError,
    KafkaError,
    ProducerFencedError,
    TransactionAbortableError,
    TransactionAbortedError,
)

if TYPE_CHECKING:
    from aioproducer._core.transactions.open_transaction import OpenTransaction


def aborted(transaction: OpenTransaction, *, is_open: bool = False) -> TransactionAbortedError:
    """Return what is told to whoever waits for something of a transaction that is aborted, or has yet to be."""
    cause = transaction.cause
    why = "abort() was called" if cause is None else str(cause)
    error = TransactionAbortedError(f"the transaction is aborted, nothing of it takes effect: {why}", abortable=is_open)
    error.__cause__ = cause
    return error


def refusal_of_sends(state: TransactionState, transaction: OpenTransaction | None) -> KafkaError:
    """Return why nothing may be sent in this state, as part of this transaction."""
    if transaction is not None and transaction.outcome is not None:
        return IllegalStateError(f"the transaction is over ({transaction.outcome.name}); begin another one")
    if state is TransactionState.ABORTABLE_ERROR and transaction is not None and transaction.cause is not None:
        if isinstance(transaction.cause, ProducerFencedError):
            return transaction.cause
        error = TransactionAbortableError(
            f"the transaction can only be aborted, as something of it failed: {transaction.cause}"
        )
        error.__cause__ = transaction.cause
        return error
    return IllegalStateError(f"a transactional producer sends only within a transaction: {state.value}")


def taken_over(transactional_id: str, alternative: str = "") -> ProducerFencedError:
    """Return the error of a producer that another one has fenced."""
    return ProducerFencedError(
        f"another producer with transactional_id {transactional_id!r} has taken over{alternative}; this one must stop",
        code=ErrorCode.PRODUCER_FENCED,
    )


def epoch_is_over(transactional_id: str, seconds: float, timeout: float, code: int) -> TransactionAbortableError:
    """Return the error of a transaction whose epoch is refused, when the time that it may be open is up."""
    return TransactionAbortableError(
        f"the epoch of transactional_id {transactional_id!r} is over: the transaction was open for"
        f" {seconds:.1f} s, longer than transaction_timeout_ms={timeout * 1000:.0f},"
        " so that the coordinator has aborted it (or another producer has taken over); its end tells which",
        code=code,
    )


def open_too_long(seconds: float, timeout: float) -> TransactionAbortableError:
    """Return the error of a transaction that the coordinator has aborted, as its time was up."""
    return TransactionAbortableError(
        f"the transaction was open for {seconds:.1f} s, longer than"
        f" transaction_timeout_ms={timeout * 1000:.0f}, so that the coordinator aborted it;"
        " do its work again in a new one, do less in each, or raise transaction_timeout_ms",
        api="EndTxn",
    )
