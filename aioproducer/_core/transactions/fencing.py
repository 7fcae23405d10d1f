"""The meaning of a refused epoch: another producer has taken over, or the transaction was open for too long.

A coordinator answers both alike. If our clock says that the time was up, the end of the transaction tells which it was
(docs/transactions.md, "Fenced, or timed out?").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer._core.transactions.errors import epoch_is_over, open_too_long, taken_over
from aioproducer._core.transactions.requests import VERSION_2
from aioproducer.errors import BrokerError, ErrorCode, KafkaError, ProducerFencedError

if TYPE_CHECKING:
    from aioproducer._core.transactions.open_transaction import OpenTransaction
    from aioproducer._wire.messages.describe_transactions import TransactionDescription

_ABORTED: Final = frozenset({"PrepareEpochFence", "PrepareAbort", "CompleteAbort"})
"""How the coordinator calls the states of a transaction that it has aborted by itself, or decided to."""

_EPOCH_IS_OVER: Final = frozenset(
    {ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.INVALID_TXN_STATE, ErrorCode.PRODUCER_FENCED}
)
"""What is answered to a transaction that the coordinator has aborted."""

_EPOCH_REFUSED: Final = frozenset({ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.PRODUCER_FENCED})
"""What is answered to a producer whose epoch is over."""


class Fencing:
    """Tells a producer that is fenced from one whose transaction was open for too long.

    Attributes:
        refusal: what EndTxn said, while it is found out what that means.
    """

    def __init__(self, transactional_id: str, transaction_timeout_ms: int) -> None:
        self.refusal: KafkaError | None = None
        self._id = transactional_id
        self._timeout = transaction_timeout_ms / 1000

    def may_be_time(self, transaction: OpenTransaction, now: float) -> bool:
        """Whether the coordinator may have aborted it as it was open for too long.

        With version 1 a successor's own aborted transaction could look the same, unless ours was surely begun: then it
        was aborted when the successor came, and what the successor aborted has a later epoch.
        """
        is_certain = transaction.is_begun or transaction.version == VERSION_2
        return is_certain and transaction.started_at is not None and now - transaction.started_at >= self._timeout

    def meaning_of(self, error: BrokerError, transaction: OpenTransaction | None, now: float) -> BrokerError:
        """Return what a broker's refusal of our epoch means to whoever sends; any other error as it is.

        The coordinator has the last word, when the transaction is ended: until then it can only be aborted.
        """
        code = error.code
        if transaction is None or code is None or code not in _EPOCH_REFUSED:
            return error
        seen: BrokerError = taken_over(self._id)
        if self.may_be_time(transaction, now):
            seen = epoch_is_over(self._id, _seconds_open(transaction, now), self._timeout, code)
        seen.api, seen.node, seen.topic, seen.partition = error.api, error.node, error.topic, error.partition
        seen.possibly_written = error.possibly_written
        seen.__cause__ = error
        return seen

    def is_own_abort(self, transaction: OpenTransaction, now: float) -> bool:
        """Whether an abort that went through shows that the time was up, which has failed the transaction before.

        The coordinator takes our abort for its own, repeated: nobody else has taken over.
        """
        cause = transaction.cause
        return cause is not None and cause.code in _EPOCH_IS_OVER and self.may_be_time(transaction, now)

    @staticmethod
    def is_aborted_under_next_epoch(transaction: OpenTransaction, described: TransactionDescription) -> bool:
        """Whether the coordinator has aborted the transaction by itself, or is about to.

        If another producer was why, it is getting its epoch now, and ours will be refused.
        """
        ours = (transaction.producer.producer_id, transaction.producer.producer_epoch + 1)
        is_ours = (described.producer_id, described.producer_epoch) == ours
        return is_ours and described.transaction_state in _ABORTED

    def name_timeout(self, transaction: OpenTransaction, refusal: KafkaError, now: float) -> None:
        """Make the cause say what has happened: the time was up. That the epoch is over tells it to nobody."""
        error = open_too_long(_seconds_open(transaction, now), self._timeout)
        error.__cause__ = refusal
        transaction.cause = error

    def fenced(
        self, transaction: OpenTransaction | None, refusal: KafkaError, alternative: str = ""
    ) -> ProducerFencedError:
        """Return the error that ends the producer; a commit whose answer was lost may have taken effect."""
        error = taken_over(self._id, alternative)
        error.possibly_written = transaction is not None and transaction.is_commit_in_doubt
        error.__cause__ = refusal
        return error


def _seconds_open(transaction: OpenTransaction, now: float) -> float:
    assert transaction.started_at is not None, "nothing of it was sent, so its time does not run"
    return now - transaction.started_at
