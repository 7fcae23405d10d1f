"""The steps that a transaction takes by itself: partitions to add, what an abort drops, what a commit waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.transactions.errors import aborted
from aioproducer._core.transactions.open_transaction import OpenTransaction, TransactionOutcome
from aioproducer._core.transactions.requests import VERSION_1, VERSION_2
from aioproducer._core.transactions.states import TransactionEvent, TransactionState

if TYPE_CHECKING:
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.accumulator.waiting import FlushTicket
    from aioproducer._core.produce.sequences import Sequences
    from aioproducer._core.transactions.marker_delay import MarkerDelay
    from aioproducer._core.transactions.responses import TransactionResponses
    from aioproducer._core.transactions.state_machine import TransactionStateMachine
    from aioproducer._core.transactions.wanted import WantedRequests
    from aioproducer._types import TopicPartition

_S = TransactionState


class TransactionProgress:
    """Brings the open transaction from what was asked for to its end, as far as the accumulator allows."""

    def __init__(
        self,
        machine: TransactionStateMachine,
        requests: WantedRequests,
        responses: TransactionResponses,
        delay: MarkerDelay,
        accumulator: Accumulator,
        sequences: Sequences,
    ) -> None:
        self._machine = machine
        self._requests = requests
        self._responses = responses
        self._delay = delay
        self._accumulator = accumulator
        self._sequences = sequences
        self._dropped: list[ProducerBatch] = []
        self._unadded: set[TopicPartition] = set()
        self._flush: FlushTicket | None = None
        self._timed: TransactionState | None = None  # the state whose time is counted in `ending_since`

    def take_dropped(self) -> list[ProducerBatch]:
        """Return the batches that failed as their transaction did, since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def advance(self, now: float) -> None:
        """Do whatever can be done now.

        Failures first, then what they drop; the end last, when nothing is left that would have to come before it.
        """
        transaction = self._machine.current
        # Both are taken in any case: what nobody asked for would otherwise be counted to the next transaction.
        refused = self._accumulator.take_refusal()
        touched = self._accumulator.take_touched()
        if transaction is None or self._machine.fatal_error is not None:
            return
        if transaction.is_begun:
            self._delay.on_answered(now)
        if refused is not None:
            self._machine.fail(refused)
        if touched:
            self._add_touched(transaction, touched, now)
        if self._machine.state in {_S.ABORTABLE_ERROR, _S.ABORTING}:
            self._drop(transaction)
        if self._machine.state is _S.FLUSHING:
            self._flush_all(transaction, now)
        if self._machine.state is _S.ABORTING and transaction.end is None and self._is_resolved(transaction):
            self._end(transaction)
        self._count_time(transaction, now)

    def _count_time(self, transaction: OpenTransaction, now: float) -> None:
        if self._machine.state is not self._timed:
            self._timed = self._machine.state
            transaction.ending_since = now

    @staticmethod
    def start(transaction: OpenTransaction, now: float) -> None:
        """Note that something of it is to be sent: from now on the coordinator may count its time."""
        if transaction.started_at is None:
            transaction.started_at = now

    def _add_touched(self, transaction: OpenTransaction, touched: set[TopicPartition], now: float) -> None:
        if transaction.version == VERSION_1:
            self._add_partitions(transaction, touched, now)

    def note_unadded(self, tp: TopicPartition) -> None:
        """Data waits for a partition that its leader does not add by itself, and nobody has added."""
        self._unadded.add(tp)

    def take_unadded(self, now: float) -> bool:
        """Have those added of which that was noted; return whether there were any that are not being added yet."""
        unadded, self._unadded = self._unadded, set()
        transaction = self._machine.current
        if transaction is None or not unadded - transaction.adding.wanted - transaction.adding.asked:
            return False
        self._add_partitions(transaction, unadded, now)
        return True

    def _add_partitions(self, transaction: OpenTransaction, partitions: set[TopicPartition], now: float) -> None:
        adding = transaction.adding
        adding.wanted |= partitions - transaction.added - adding.asked
        self.start(transaction, now)

    def _drop(self, transaction: OpenTransaction) -> None:
        """Fail what was not sent, and what need not be seen through; see "Abort" in docs/transactions.md."""
        error = aborted(transaction, is_open=self._machine.state is _S.ABORTABLE_ERROR)
        self._accumulator.fail_waiting(error)
        self._drop_refused(transaction)
        is_everything = transaction.version == VERSION_2 and self._machine.state is _S.ABORTING
        is_queued = transaction.version == VERSION_2

        def is_dropped(batch: ProducerBatch) -> bool:
            return is_everything or (batch.is_queued and (is_queued or not batch.possibly_written))

        self._note_dropped(transaction, self._accumulator.fail_where(error, is_dropped))
        transaction.adding.wanted.clear()
        self._responses.give_up_offsets(transaction, None, error)
        self._accumulator.take_refusal()

    def _drop_refused(self, transaction: OpenTransaction) -> None:
        """Fail the records of partitions that may not be part of the transaction: they hear why themselves."""
        for (topic, partition), error in transaction.adding.refused.items():

            def is_of_it(batch: ProducerBatch, topic: str = topic, partition: int = partition) -> bool:
                return batch.is_queued and (batch.topic, batch.partition) == (topic, partition)

            self._note_dropped(transaction, self._accumulator.fail_where(error, is_of_it))
        transaction.adding.refused = {}

    def _note_dropped(self, transaction: OpenTransaction, batches: list[ProducerBatch]) -> None:
        for batch in batches:
            transaction.is_new_epoch_needed |= batch.has_sequence
            self._sequences.on_failed(batch)
            self._dropped.append(batch)

    def _flush_all(self, transaction: OpenTransaction, now: float) -> None:
        if self._flush is None or self._flush.done:
            self._flush = self._accumulator.begin_flush(now)
        if self._accumulator.is_empty and not self._accumulator.has_waiting_appends and not transaction.offsets:
            self._machine.move(TransactionEvent.FLUSHED)
            self._end(transaction)

    def _is_resolved(self, transaction: OpenTransaction) -> bool:
        """Whether nothing is in flight that must not come after the abort."""
        if not self._accumulator.is_empty:
            return False
        return transaction.version == VERSION_2 or not (transaction.adding.asked or transaction.offsets)

    def _end(self, transaction: OpenTransaction) -> None:
        is_commit = self._machine.state is _S.COMMITTING
        is_begun = transaction.is_begun if transaction.version == VERSION_1 else transaction.started_at is not None
        if is_begun:
            transaction.end = self._requests.ending(transaction, is_commit=is_commit)
        else:
            outcome = TransactionOutcome.COMMITTED if is_commit else TransactionOutcome.ABORTED
            self._responses.finish(transaction, outcome)
