"""What may a transactional producer do next, and what does it have to send? (KIP-98, KIP-360, KIP-588, KIP-890)

Told of calls, failures and answers; asked which requests are due. The states and what leads from one to another are in
`TRANSITIONS`; docs/transactions.md explains them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from aioproducer._core.requests.coordinators import Coordinator, CoordinatorType
from aioproducer._core.transactions.open_transaction import Awaited, OpenTransaction, Outcome, TransactionTicket
from aioproducer._core.transactions.requests import (
    VERSION_1,
    VERSION_2,
    AddOffsets,
    AddPartitions,
    CommitOffsets,
    EndTransaction,
    Exchange,
    FindCoordinator,
    Identity,
    OffsetCommit,
)
from aioproducer._core.transactions.responses import TransactionAnswers
from aioproducer._core.transactions.states import TRANSITIONS as TRANSITIONS
from aioproducer._core.transactions.states import TransactionEvent, TransactionState
from aioproducer.errors import IllegalStateError, KafkaError

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.accumulator.waiting import FlushTicket
    from aioproducer._core.produce.sequences import Sequences
    from aioproducer._types import TopicPartition
    from aioproducer._wire.negotiation import BrokerVersions

_FEATURE: Final = "transaction.version"
_PRODUCE_V1_AT_MOST: Final = 11

_S = TransactionState
_OPEN: Final = frozenset({_S.IN_TRANSACTION, _S.ABORTABLE_ERROR})
_ENDING: Final = frozenset({_S.FLUSHING, _S.COMMITTING, _S.ABORTING, _S.FENCED_OR_TIMED_OUT})


class Transactions(TransactionAnswers):
    """The transactional id of a producer and its open transaction."""

    def __init__(
        self, config: ProducerConfig, accumulator: Accumulator, sequences: Sequences, rng: random.Random
    ) -> None:
        super().__init__(config, accumulator, sequences, rng)
        self._lookups: dict[Coordinator, FindCoordinator] = {}
        self._dropped: list[ProducerBatch] = []
        self._flush: FlushTicket | None = None
        self._timed: TransactionState | None = None  # the state whose time is counted in `ending_since`

    # ── called by the shell ───────────────────────────────────────────────────────────────────────────────────────────

    def wait_ready(self, now: float) -> TransactionTicket:
        """Wait until a transaction can begin, at most max_block_ms."""
        return self._wait(Awaited.READY, None, now)

    def begin(self, now: float) -> OpenTransaction:
        """Begin a transaction.

        Raises:
            IllegalStateError: one is open, or being ended.
            KafkaError: the producer cannot go on.
        """
        self._check_alive()
        if self.state is not _S.READY:
            raise IllegalStateError(f"cannot begin a transaction, only one can be open: {self.state.value}")
        self._accumulator.take_refusal()
        self._accumulator.take_touched()
        identity = Identity(self._sequences.producer_id, self._sequences.producer_epoch)
        adding = AddPartitions(self._own, identity, self._config, self._rng)
        self.current = OpenTransaction(self._version, identity, adding)
        self._move(TransactionEvent.BEGIN)
        return self.current

    def commit(self, transaction: OpenTransaction, now: float) -> TransactionTicket:
        """Commit, or go on waiting for a commit; the ticket has the outcome.

        Raises:
            IllegalStateError: abort was called.
            KafkaError: the producer cannot go on.
        """
        if transaction.outcome is None:
            self._check_alive()
            if self.state in _OPEN:
                transaction.is_commit_asked = True
                self._move(TransactionEvent.COMMIT)
            elif not transaction.is_commit_asked:
                raise IllegalStateError(f"cannot commit the transaction: {self.state.value}")
        return self._wait(Awaited.COMMIT, transaction, now)

    def abort(self, transaction: OpenTransaction, now: float) -> TransactionTicket:
        """Abort, or go on waiting for an abort.

        Raises:
            IllegalStateError: it is committed, or its commit was sent.
            KafkaError: the producer cannot go on.
        """
        if transaction.outcome is Outcome.COMMITTED:
            raise IllegalStateError("cannot abort the transaction: it is committed")
        if transaction.outcome is None:
            self._check_alive()
            if self.state is _S.COMMITTING:
                raise IllegalStateError(f"cannot abort the transaction: {self.state.value}")
            if self.state in _OPEN or self.state is _S.FLUSHING:
                transaction.is_commit_asked = False
                self._move(TransactionEvent.ABORT)
        return self._wait(Awaited.ABORT, transaction, now)

    def send_offsets(self, transaction: OpenTransaction, commit: OffsetCommit, now: float) -> TransactionTicket:
        """Commit offsets with the transaction; the ticket is done when the group's coordinator has them.

        Raises:
            IllegalStateError: the transaction is not open.
            TransactionAbortableError: it can only be aborted.
            KafkaError: the producer cannot go on.
        """
        self._check_alive()
        if transaction is not self.current or self.state is not _S.IN_TRANSACTION:
            raise self._refusal_of_sends(transaction)
        ticket = self._wait(Awaited.OFFSETS, transaction, now)
        if commit.offsets:
            self._add_offsets(transaction, commit, ticket)
            self._start(transaction, now)
        else:
            self._settle(ticket, None)
        return ticket

    # ── called by the sender ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_commit_sent(self) -> bool:
        """Whether the open transaction cannot be aborted any more."""
        return self.state is _S.COMMITTING

    @property
    def is_ready(self) -> bool:
        """Whether the producer id is there."""
        return self.state is not _S.INITIALIZING

    def can_send(self, batch: ProducerBatch) -> bool:
        """Whether data may flow to the batch's partition: with version 1 once it is part of the transaction."""
        transaction = self.current
        if transaction is None:
            return False
        return transaction.version == VERSION_2 or (batch.topic, batch.partition) in transaction.added

    def on_data(self, now: float) -> None:
        """Batches of the transaction are handed to the shell: with version 2 that begins it."""
        if self.current is not None:
            if self.current.started_at is None:
                self.pause.on_begun(now)
            self._start(self.current, now)

    def held_until(self) -> float:
        """Return when data may flow, as far as the transaction before is concerned."""
        return -math.inf if self.current is None or self.current.started_at is not None else self.pause.until

    @property
    def produce_at_most(self) -> int | None:
        """The highest version of Produce: from 12 on it adds partitions to the transaction."""
        return None if self.current is None or self.current.version == VERSION_2 else _PRODUCE_V1_AT_MOST

    def on_versions(self, versions: BrokerVersions) -> None:
        """A broker told what the cluster has agreed on."""
        if versions.finalized_features_epoch >= self._level_epoch:
            self._level_epoch = versions.finalized_features_epoch
            self._level = versions.finalized_features.get(_FEATURE, 0)

    def on_node_lost(self, node_id: int, error: KafkaError, now: float) -> None:
        """A connection was lost or could not be made: whoever was coordinator there may not be any more."""
        self._coordinators.on_node_lost(node_id, error, now)

    def on_batches(self, batches: list[ProducerBatch]) -> None:
        """These have their outcome: a failed one fails the transaction, a delivered one has begun it for sure."""
        for batch in batches:
            if batch.error is not None:
                self.fail(batch.error)
            elif self.current is not None:
                self.current.is_begun = True

    def begin_close(self, error: KafkaError, now: float) -> None:
        """The producer closes: an open transaction is aborted, one that is being ended is waited for."""
        for ticket in list(self._tickets):
            if ticket.awaited is Awaited.READY:
                self._settle(ticket, error)
        if self.current is not None and self.state in _OPEN:
            self.abort(self.current, now)

    def is_settled(self, now: float) -> bool:
        """Whether a closing producer has nothing to wait for, or has waited for max_block_ms."""
        transaction = self.current
        if self.state not in _ENDING or transaction is None:
            return not self._tickets
        return not self._tickets and self.state is not _S.FLUSHING and now >= transaction.ending_since + self._max_block

    def take_dropped(self) -> list[ProducerBatch]:
        """Return the batches that failed as their transaction did, since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def advance(self, now: float) -> None:
        """Decide whatever can be decided now."""
        transaction = self.current
        refused = self._accumulator.take_refusal()
        touched = self._accumulator.take_touched()
        if transaction is not None and self.fatal_error is None:
            if transaction.is_begun:
                self.pause.on_answered(now)
            if refused is not None:
                self.fail(refused)
            if touched:
                self._touch(transaction, touched, now)
            if self.state in {_S.ABORTABLE_ERROR, _S.ABORTING}:
                self._drop(transaction)
            if self.state is _S.FLUSHING:
                self._flush_all(transaction, now)
            if self.state is _S.ABORTING and transaction.end is None and self._is_resolved(transaction):
                self._end(transaction)
            self._count_time(transaction, now)
        self._check_tickets(now)

    def due(self, now: float) -> list[Exchange]:
        """Return the requests to be sent now; one whose coordinator is not known gives way to the lookup."""
        due: list[Exchange] = []
        for wanted in self._wanted():
            exchange = wanted
            if wanted.coordinator is not None and wanted.coordinator.broker is None:
                exchange = self._lookup(wanted.coordinator)
            if exchange.attempts.is_due(now) and exchange not in due and now >= self._not_before(exchange):
                if isinstance(exchange, AddPartitions):
                    self.pause.on_begun(now)
                due.append(exchange)
        return due

    def times(self) -> list[float]:
        """Return when requests are due, and when waits end.

        All of them, not the soonest: a request that is due, and waits for a broker, must not hide the end of a wait.
        """
        times = [self._deadline(ticket) for ticket in self._tickets]
        for wanted in self._wanted():
            is_known = wanted.coordinator is None or wanted.coordinator.broker is not None
            attempts = wanted.attempts if is_known or wanted.coordinator is None else wanted.coordinator.lookups
            times.append(max(attempts.next_at(), self._not_before(wanted)))
        return times

    def _not_before(self, exchange: Exchange) -> float:
        is_first = isinstance(exchange, AddPartitions) and self.current is not None and not self.current.is_begun
        return self.pause.until if is_first else -math.inf

    # ── what is to be done ────────────────────────────────────────────────────────────────────────────────────────────

    def _count_time(self, transaction: OpenTransaction, now: float) -> None:
        if self.state is not self._timed:
            self._timed = self.state
            transaction.ending_since = now

    def _touch(self, transaction: OpenTransaction, touched: set[TopicPartition], now: float) -> None:
        if transaction.version == VERSION_1:
            adding = transaction.adding
            adding.wanted |= touched - transaction.added - adding.asked
            self._start(transaction, now)

    @staticmethod
    def _start(transaction: OpenTransaction, now: float) -> None:
        if transaction.started_at is None:
            transaction.started_at = now

    def _add_offsets(self, transaction: OpenTransaction, commit: OffsetCommit, ticket: TransactionTicket) -> None:
        group = self._coordinators.get(CoordinatorType.GROUP, commit.group.group_id)
        if transaction.version == VERSION_1:
            add = AddOffsets(self._own, transaction.identity, commit.group.group_id, self._config, self._rng)
            transaction.offsets.append((add, None))
        step = CommitOffsets(
            group, self._id, transaction.identity, commit, transaction.version, self._config, self._rng
        )
        transaction.offsets.append((step, ticket))

    def _drop(self, transaction: OpenTransaction) -> None:
        """Fail what was not sent, and what need not be seen through; see "Abort" in docs/transactions.md."""
        error = self._aborted(transaction)
        self._accumulator.fail_waiting(error)
        is_everything = transaction.version == VERSION_2 and self.state is _S.ABORTING
        is_queued = transaction.version == VERSION_2

        def is_dropped(batch: ProducerBatch) -> bool:
            return is_everything or (batch.is_queued and (is_queued or not batch.possibly_written))

        for batch in self._accumulator.fail_where(error, is_dropped):
            transaction.is_new_epoch_needed |= batch.has_sequence
            self._sequences.on_failed(batch)
            self._dropped.append(batch)
        transaction.adding.wanted.clear()
        self._give_up_offsets(transaction, None, error)
        self._accumulator.take_refusal()

    def _flush_all(self, transaction: OpenTransaction, now: float) -> None:
        if self._flush is None or self._flush.done:
            self._flush = self._accumulator.begin_flush(now)
        if self._accumulator.is_empty and not self._accumulator.has_waiting_appends and not transaction.offsets:
            self._move(TransactionEvent.FLUSHED)
            self._end(transaction)

    def _is_resolved(self, transaction: OpenTransaction) -> bool:
        """Whether nothing is under way that must not come after the abort."""
        if not self._accumulator.is_empty:
            return False
        return transaction.version == VERSION_2 or not (transaction.adding.asked or transaction.offsets)

    def _end(self, transaction: OpenTransaction) -> None:
        is_commit = self.state is _S.COMMITTING
        is_begun = transaction.is_begun if transaction.version == VERSION_1 else transaction.started_at is not None
        if is_begun:
            transaction.end = EndTransaction(
                self._own, transaction.identity, transaction.version, self._config, self._rng, is_commit=is_commit
            )
        else:
            self._finish(transaction, Outcome.COMMITTED if is_commit else Outcome.ABORTED)

    def _wanted(self) -> list[Exchange]:
        """Return the requests that the state asks for, due or not."""
        transaction = self.current
        match self.state:
            case _S.INITIALIZING:
                return [self._init]
            case _S.FENCED_OR_TIMED_OUT:
                return [self._describe]
            case _S.IN_TRANSACTION | _S.FLUSHING | _S.ABORTABLE_ERROR | _S.ABORTING | _S.COMMITTING:
                return [] if transaction is None else _wanted_of(transaction)
            case _S.READY | _S.FATAL_ERROR:
                return []

    def _lookup(self, coordinator: Coordinator) -> FindCoordinator:
        found = self._lookups.get(coordinator)
        if found is None:
            found = self._lookups[coordinator] = FindCoordinator(coordinator, self._config, self._rng)
        return found


def _wanted_of(transaction: OpenTransaction) -> list[Exchange]:
    if transaction.end is not None:
        return [transaction.end]
    wanted: list[Exchange] = []
    if transaction.adding.asked or transaction.adding.wanted:
        wanted.append(transaction.adding)
    if transaction.offsets:
        wanted.append(transaction.offsets[0][0])
    return wanted
