"""The calls that wait for a step of a transaction, and what each is told when its time is up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from aioproducer._core.transactions.errors import aborted
from aioproducer._core.transactions.open_transaction import (
    Awaited,
    OpenTransaction,
    TransactionOutcome,
    TransactionTicket,
)
from aioproducer._core.transactions.states import TransactionState
from aioproducer.errors import CommitOutcomeUnknownError, KafkaError, KafkaTimeoutError

if TYPE_CHECKING:
    from aioproducer._core.transactions.state_machine import TransactionStateMachine


class LastError(Protocol):
    """Who knows what has failed last on the way to a coordinator."""

    @property
    def last_error(self) -> KafkaError | None:
        """The error, None if nothing has failed since the last success."""
        ...


class TransactionWaiters:
    """The tickets of waiting calls, oldest first; those that are done wait to be taken by the shell."""

    def __init__(self, machine: TransactionStateMachine, requests: LastError, max_block_ms: int) -> None:
        self._machine = machine
        self._requests = requests
        self._max_block = max_block_ms / 1000
        self._tickets: list[TransactionTicket] = []
        self._woken: list[TransactionTicket] = []

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits."""
        return not self._tickets

    def deadlines(self) -> list[float]:
        """Return when each wait ends in a timeout; infinity for never."""
        return [self._deadline(ticket) for ticket in self._tickets]

    def wait(self, awaited: Awaited, transaction: OpenTransaction | None, now: float) -> TransactionTicket:
        """Return a ticket for a step of the transaction (None for READY); it may be done already."""
        ticket = TransactionTicket(awaited, transaction, now)
        self._tickets.append(ticket)
        self._check(ticket, now)
        if ticket in self._woken:
            self._woken.remove(ticket)  # its task has not parked
        return ticket

    def forget(self, ticket: TransactionTicket) -> None:
        """Nobody waits for it any more; what was asked for goes on."""
        if ticket in self._tickets and ticket.awaited is not Awaited.OFFSETS:
            self._tickets.remove(ticket)

    def take_woken(self) -> list[TransactionTicket]:
        """Return the tickets that are done since the last call."""
        woken, self._woken = self._woken, []
        return woken

    def finish(self, ticket: TransactionTicket, error: KafkaError | None) -> None:
        """End a wait: in vain (error), or as what it waited for has come."""
        if ticket in self._tickets:
            self._tickets.remove(ticket)
            ticket.done = True
            ticket.error = error
            self._woken.append(ticket)

    def finish_all(self, error: KafkaError) -> None:
        """End all waits: in vain, but for those whose transaction has come to its end, of which nobody was told yet."""
        for ticket in list(self._tickets):
            outcome = None if ticket.transaction is None else ticket.transaction.outcome
            if outcome is None or ticket.awaited is Awaited.OFFSETS:
                self.finish(ticket, error)
            else:
                self._finish_ended(ticket, outcome)

    def refuse_ready(self, error: KafkaError) -> None:
        """End the waits for the next transaction: there will be none."""
        for ticket in list(self._tickets):
            if ticket.awaited is Awaited.READY:
                self.finish(ticket, error)

    def check(self, now: float) -> None:
        """End the waits whose step is done, or whose time is up."""
        for ticket in list(self._tickets):
            self._check(ticket, now)

    def _check(self, ticket: TransactionTicket, now: float) -> None:
        outcome = None if ticket.transaction is None else ticket.transaction.outcome
        if outcome is not None and ticket.awaited is not Awaited.OFFSETS:  # whose last request ends it
            self._finish_ended(ticket, outcome)
        elif ticket.awaited is Awaited.READY and not self._machine.is_passing:
            self.finish(ticket, None)
        elif now >= self._deadline(ticket):
            self.finish(ticket, self._timeout_of(ticket, now))

    def _finish_ended(self, ticket: TransactionTicket, outcome: TransactionOutcome) -> None:
        transaction = ticket.transaction
        is_in_vain = outcome is TransactionOutcome.ABORTED and ticket.awaited is Awaited.COMMIT
        self.finish(ticket, aborted(transaction) if is_in_vain and transaction is not None else None)

    def _deadline(self, ticket: TransactionTicket) -> float:
        if ticket.transaction is None or ticket.awaited is Awaited.OFFSETS:
            return ticket.since + self._max_block
        if self._machine.state is TransactionState.FLUSHING:
            return math.inf  # bounded by delivery_timeout_ms, as every record is
        return max(ticket.since, ticket.transaction.ending_since) + self._max_block

    # ── what a call is told whose time is up ─────────────────────────────────────────────────────────────────────────

    def _timeout_of(self, ticket: TransactionTicket, now: float) -> KafkaError:
        elapsed = now - ticket.since
        within = f"within {elapsed:.1f} s (max_block_ms={self._max_block * 1000:.0f})"
        transaction = ticket.transaction
        match ticket.awaited:
            case Awaited.COMMIT if self._machine.is_commit_in_doubt:
                return self._with_cause(
                    CommitOutcomeUnknownError(
                        f"the commit was not answered {within}: it may or may not have taken effect, and goes on in the"
                        " background; call commit() again to learn the outcome"
                    )
                )
            case Awaited.COMMIT if transaction is not None:
                return aborted(transaction)
            case Awaited.OFFSETS:
                return self._timeout_of_offsets(ticket, within, elapsed)
            case Awaited.READY:
                text = f"no transaction could be begun {within}: {self._machine.state.value}"
            case _:
                text = (
                    f"the abort was not confirmed {within}; it goes on in the background: call abort() again, or begin"
                    " the next transaction, which waits for it"
                )
        return self._with_cause(KafkaTimeoutError(text, elapsed=elapsed))

    def _timeout_of_offsets(self, ticket: TransactionTicket, within: str, elapsed: float) -> KafkaError:
        cause = self._why_no_offsets(ticket)
        error = KafkaTimeoutError(
            f"the offsets were not taken {within}: {cause or 'no answer'}; the transaction can only be aborted",
            elapsed=elapsed,
            abortable=True,
        )
        error.__cause__ = cause
        self._machine.fail(error)
        return error

    def _why_no_offsets(self, ticket: TransactionTicket) -> KafkaError | None:
        transaction = self._machine.current
        for request, waiting in [] if transaction is None else transaction.offsets:
            error = request.retry_timer.last_error
            if error is None and request.coordinator is not None:
                error = request.coordinator.lookups.last_error
            if error is not None or waiting is ticket:
                return error
        return None

    def _with_cause(self, error: KafkaError) -> KafkaError:
        """Say what the coordinator, or the way to it, has failed with last."""
        transaction = self._machine.current
        end = None if transaction is None or transaction.end is None else transaction.end.retry_timer.last_error
        error.__cause__ = end or self._requests.last_error
        return error
