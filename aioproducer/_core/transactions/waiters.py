"""Who waits for a step of a transaction, and what is everybody told when it fails? The base of `Transactions`."""

from __future__ import annotations

import copy
import logging
import math
from typing import TYPE_CHECKING, Final

from aioproducer._core.requests.coordinators import Coordinators, CoordinatorType
from aioproducer._core.transactions.open_transaction import Awaited, OpenTransaction, Outcome, TransactionTicket
from aioproducer._core.transactions.requests import InitProducerId
from aioproducer._core.transactions.states import TRANSITIONS, TransactionEvent, TransactionState, next_state
from aioproducer.errors import (
    CommitOutcomeUnknownError,
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    ProducerFencedError,
    TransactionAbortableError,
    TransactionAbortedError,
)

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.accumulator import Accumulator

logger = logging.getLogger("aioproducer.transactions")

_S = TransactionState
PASSING: Final = frozenset({_S.INITIALIZING, _S.ABORTING, _S.FENCED_OR_TIMED_OUT})
"""States that end by themselves, after which another transaction may begin."""


class TransactionWaits:
    """The state of a transactional producer, the calls that wait for it to change, and the gate for sends.

    Attributes:
        state: where it is.
        fatal_error: why it cannot go on.
        current: the transaction that is open or being ended.
    """

    def __init__(self, config: ProducerConfig, accumulator: Accumulator, rng: random.Random) -> None:
        assert config.transactional_id is not None, "without a transactional id there are no transactions"
        self.state = _S.INITIALIZING
        self.fatal_error: KafkaError | None = None
        self.current: OpenTransaction | None = None
        self._id = config.transactional_id
        self._config = config
        self._accumulator = accumulator
        self._rng = rng
        self._max_block = config.max_block_ms / 1000
        self._coordinators = Coordinators(config, rng)
        self._own = self._coordinators.get(CoordinatorType.TRANSACTION, self._id)
        self._init = InitProducerId(self._own, config, rng)
        self._tickets: list[TransactionTicket] = []
        self._woken: list[TransactionTicket] = []
        self._set_gate()

    @property
    def is_passing(self) -> bool:
        """Whether a transaction can begin later, without any call: wait with `wait_ready`."""
        return self.state in PASSING

    @property
    def last_error(self) -> KafkaError | None:
        """The last failure on the way to the producer id, or of adding partitions, for people."""
        adding = None if self.current is None else self.current.adding.attempts.last_error
        return self._init.attempts.last_error or self._own.lookups.last_error or adding

    def fail(self, error: KafkaError) -> None:
        """Something of the transaction failed: it can only be aborted."""
        transaction = self.current
        if transaction is None or (self.state, TransactionEvent.FAIL) not in TRANSITIONS:
            return
        if isinstance(error, TransactionAbortedError):
            return  # it follows from the failure, or from the abort
        if transaction.cause is None:
            transaction.cause = error
            told = {"event": "transaction_poisoned", "reason": error.name or type(error).__name__}
            logger.info("the transaction can only be aborted: %s", error, extra=told)
        transaction.is_new_epoch_needed = True
        if self.state is not _S.ABORTING:
            transaction.end = None
        self._move(TransactionEvent.FAIL)

    def on_fatal(self, error: KafkaError) -> None:
        """The producer cannot go on."""
        if self.fatal_error is None:
            self.fatal_error = error
            self._move(TransactionEvent.FAIL_FATAL)
        for ticket in list(self._tickets):
            self._settle(ticket, self.fatal_error)

    def take_woken(self) -> list[TransactionTicket]:
        """Return the tickets that are done since the last call."""
        woken, self._woken = self._woken, []
        return woken

    def forget(self, ticket: TransactionTicket) -> None:
        """Nobody waits for it any more; what was asked for goes on."""
        if ticket in self._tickets and ticket.awaited is not Awaited.OFFSETS:
            self._tickets.remove(ticket)

    def _wait(self, awaited: Awaited, transaction: OpenTransaction | None, now: float) -> TransactionTicket:
        ticket = TransactionTicket(awaited, transaction, now)
        self._tickets.append(ticket)
        self._check(ticket, now)
        if ticket in self._woken:
            self._woken.remove(ticket)  # its task has not parked
        return ticket

    def _check_tickets(self, now: float) -> None:
        for ticket in list(self._tickets):
            self._check(ticket, now)

    def _check(self, ticket: TransactionTicket, now: float) -> None:
        transaction = ticket.transaction
        outcome = None if transaction is None else transaction.outcome
        if transaction is not None and outcome is Outcome.ABORTED and ticket.awaited is Awaited.COMMIT:
            self._settle(ticket, self._aborted(transaction))
        elif self._is_over(ticket):
            self._settle(ticket, None)
        elif now >= self._deadline(ticket):
            self._settle(ticket, self._timeout_of(ticket, now))

    def _is_over(self, ticket: TransactionTicket) -> bool:
        match ticket.awaited:
            case Awaited.READY:
                return not self.is_passing
            case Awaited.COMMIT | Awaited.ABORT:
                return ticket.transaction is not None and ticket.transaction.outcome is not None
            case _:
                return False

    def _deadline(self, ticket: TransactionTicket) -> float:
        if ticket.transaction is None or ticket.awaited is Awaited.OFFSETS:
            return ticket.since + self._max_block
        if self.state is _S.FLUSHING:
            return math.inf  # bounded by delivery_timeout_ms, as every record is
        return max(ticket.since, ticket.transaction.ending_since) + self._max_block

    def _timeout_of(self, ticket: TransactionTicket, now: float) -> KafkaError:
        elapsed = now - ticket.since
        within = f"within {elapsed:.1f} s (max_block_ms={self._max_block * 1000:.0f})"
        transaction = ticket.transaction
        match ticket.awaited:
            case Awaited.COMMIT if self._is_commit_in_doubt:
                return self._caused(
                    CommitOutcomeUnknownError(
                        f"the commit was not answered {within}: it may or may not have taken effect, and goes on in the"
                        " background; call commit() again to learn the outcome"
                    )
                )
            case Awaited.COMMIT if transaction is not None:
                return self._aborted(transaction)
            case Awaited.OFFSETS:
                cause = self._why_no_offsets(ticket)
                error = KafkaTimeoutError(
                    f"the offsets were not taken {within}: {cause or 'no answer'}; the transaction can only be aborted",
                    elapsed=elapsed,
                    abortable=True,
                )
                error.__cause__ = cause
                self.fail(error)
                return error
            case Awaited.READY:
                told = f"no transaction could be begun {within}: {self.state.value}"
            case _:
                told = (
                    f"the abort was not confirmed {within}; it goes on in the background: call abort() again, or begin"
                    " the next transaction, which waits for it"
                )
        return self._caused(KafkaTimeoutError(told, elapsed=elapsed))

    @property
    def _is_commit_in_doubt(self) -> bool:
        end = None if self.current is None else self.current.end
        is_refused = self.state is _S.FENCED_OR_TIMED_OUT
        return self.state is _S.COMMITTING or (is_refused and end is not None and end.is_commit and end.was_lost)

    def _why_no_offsets(self, ticket: TransactionTicket) -> KafkaError | None:
        for exchange, waiting in [] if self.current is None else self.current.offsets:
            error = exchange.attempts.last_error
            if error is None and exchange.coordinator is not None:
                error = exchange.coordinator.lookups.last_error
            if error is not None or waiting is ticket:
                return error
        return None

    def _caused(self, error: KafkaError) -> KafkaError:
        """Say what the coordinator, or the way to it, has failed with last."""
        transaction = self.current
        end = None if transaction is None or transaction.end is None else transaction.end.attempts.last_error
        error.__cause__ = end or self.last_error
        return error

    def _settle(self, ticket: TransactionTicket, error: KafkaError | None) -> None:
        if ticket in self._tickets:
            self._tickets.remove(ticket)
            ticket.done = True
            ticket.error = error
            self._woken.append(ticket)

    def _check_alive(self) -> None:
        if self.fatal_error is not None:
            raise copy.copy(self.fatal_error) from self.fatal_error.__cause__

    def _aborted(self, transaction: OpenTransaction) -> TransactionAbortedError:
        cause = transaction.cause
        why = "abort() was called" if cause is None else str(cause)
        error = TransactionAbortedError(f"the transaction is aborted, nothing of it takes effect: {why}")
        error.__cause__ = cause
        return error

    def _refusal_of_sends(self, transaction: OpenTransaction | None) -> KafkaError:
        """Why nothing may be sent now."""
        if self.fatal_error is not None:
            return self.fatal_error
        if transaction is not None and transaction.outcome is not None:
            return IllegalStateError(f"the transaction is over ({transaction.outcome.name}); begin another one")
        if self.state is _S.ABORTABLE_ERROR and transaction is not None and transaction.cause is not None:
            if isinstance(transaction.cause, ProducerFencedError):
                return transaction.cause
            error = TransactionAbortableError(
                f"the transaction can only be aborted, as something of it failed: {transaction.cause}"
            )
            error.__cause__ = transaction.cause
            return error
        return IllegalStateError(f"a transactional producer sends only within a transaction: {self.state.value}")

    def _move(self, event: TransactionEvent) -> None:
        self.state = next_state(self.state, event)
        self._set_gate()

    def _set_gate(self) -> None:
        is_open = self.state is _S.IN_TRANSACTION
        if is_open:
            self._accumulator.unblock()
        else:
            self._accumulator.block(self._refusal_of_sends(self.current))
