"""The state machine of a transactional producer: where it is, its open transaction, and whether records may be sent."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Final

from aioproducer._core.transactions.errors import refusal_of_sends
from aioproducer._core.transactions.states import TRANSITIONS, TransactionEvent, TransactionState, next_state
from aioproducer._logger import get_logger
from aioproducer.errors import KafkaError, TransactionAbortedError

if TYPE_CHECKING:
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.transactions.open_transaction import OpenTransaction, TransactionOutcome

logger = get_logger("aioproducer.transactions")

_S = TransactionState
_REFUSED: Final = frozenset({_S.ABORTING, _S.FENCED_OR_TIMED_OUT})
"""Where a commit leads to that was refused."""
_PASSING: Final = frozenset({_S.INITIALIZING, _S.ABORTING, _S.FENCED_OR_TIMED_OUT})


class TransactionStateMachine:
    """Moves by the table `TRANSITIONS` alone, and lets calls send records in one state alone.

    Attributes:
        state: where the producer is.
        current: the transaction that is open or being ended.
        fatal_error: why it cannot go on.
    """

    def __init__(self, accumulator: Accumulator) -> None:
        self.state = _S.INITIALIZING
        self.current: OpenTransaction | None = None
        self.fatal_error: KafkaError | None = None
        self._accumulator = accumulator
        self._block_or_unblock()

    @property
    def is_passing(self) -> bool:
        """Whether the state ends by itself, after which another transaction may begin."""
        return self.state in _PASSING

    @property
    def is_commit_in_doubt(self) -> bool:
        """Whether a commit was sent that may or may not have taken effect."""
        if self.state is _S.COMMITTING:
            return True
        transaction = self.current
        return self.state in _REFUSED and transaction is not None and transaction.is_commit_in_doubt

    def move(self, event: TransactionEvent) -> None:
        """Go where the event leads.

        Raises:
            AssertionError: it cannot happen in this state.
        """
        self.state = next_state(self.state, event)
        self._block_or_unblock()

    def begin(self, transaction: OpenTransaction) -> None:
        """Open a transaction."""
        self.current = transaction
        self.move(TransactionEvent.BEGIN)

    def end(self, transaction: OpenTransaction, outcome: TransactionOutcome, event: TransactionEvent) -> None:
        """Give the current transaction its outcome; the event says where the producer goes from there."""
        transaction.outcome = outcome
        self.current = None
        self.move(event)

    def fail(self, error: KafkaError) -> None:
        """Something of the transaction failed: it can only be aborted. The first failure is the cause."""
        transaction = self.current
        if transaction is None or (self.state, TransactionEvent.FAIL) not in TRANSITIONS:
            return
        if isinstance(error, TransactionAbortedError):
            return  # it follows from the failure, or from the abort
        if transaction.cause is None:
            transaction.cause = error
            fields = {"event_name": "transaction_poisoned", "reason": error.name or type(error).__name__}
            logger.info("the transaction can only be aborted: %s", error, extra=fields)
        transaction.is_new_epoch_needed = True
        if self.state is not _S.ABORTING:
            transaction.forget_end()
        self.move(TransactionEvent.FAIL)

    def fail_fatal(self, error: KafkaError) -> None:
        """The producer cannot go on; the first error of this kind stays."""
        if self.fatal_error is None:
            self.fatal_error = error
            self.move(TransactionEvent.FAIL_FATAL)

    def check_alive(self) -> None:
        """Refuse a call after a fatal error.

        Raises:
            KafkaError: a copy of it.
        """
        if self.fatal_error is not None:
            raise copy.copy(self.fatal_error) from self.fatal_error.__cause__

    def refusal_of_sends(self, transaction: OpenTransaction | None) -> KafkaError:
        """Return why nothing may be sent now, as part of this transaction."""
        return self.fatal_error or refusal_of_sends(self.state, transaction)

    def _block_or_unblock(self) -> None:
        if self.state is _S.IN_TRANSACTION:
            self._accumulator.unblock()
        else:
            self._accumulator.block(self.refusal_of_sends(self.current))
