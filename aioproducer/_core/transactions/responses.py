"""What follows from the answers to the requests of a transaction: for its state, its calls, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.requests.coordinators import CoordinatorType
from aioproducer._core.requests.producer_id import ProducerIdAndEpoch, ProducerIdRequest
from aioproducer._core.requests.verdicts import Verdict
from aioproducer._core.transactions.open_transaction import OpenTransaction, TransactionOutcome, TransactionTicket
from aioproducer._core.transactions.requests import (
    VERSION_1,
    VERSION_2,
    AddOffsets,
    AddPartitions,
    CommitOffsets,
    DescribeTransaction,
    EndTransaction,
    FindCoordinator,
)
from aioproducer._core.transactions.states import TransactionEvent
from aioproducer._logger import get_logger
from aioproducer._types import TopicPartition
from aioproducer._wire.messages.describe_transactions import DescribeTransactionsResponse
from aioproducer._wire.messages.end_txn import EndTxnResponse
from aioproducer.errors import BrokerError, ErrorCode, KafkaError

if TYPE_CHECKING:
    from aioproducer._core.produce.sequences import Sequences
    from aioproducer._core.requests.control_request import ControlRequest
    from aioproducer._core.transactions.feature import TransactionFeature
    from aioproducer._core.transactions.fencing import Fencing
    from aioproducer._core.transactions.marker_delay import MarkerDelay
    from aioproducer._core.transactions.state_machine import TransactionStateMachine
    from aioproducer._core.transactions.waiters import TransactionWaiters
    from aioproducer._core.transactions.wanted import WantedRequests
    from aioproducer._wire.schema import Message
    from aioproducer.errors import UnsupportedVersionError

logger = get_logger("aioproducer.transactions")


class TransactionResponses:
    """Takes answers, and gives transactions their outcome."""

    def __init__(
        self,
        machine: TransactionStateMachine,
        requests: WantedRequests,
        waiters: TransactionWaiters,
        fencing: Fencing,
        feature: TransactionFeature,
        delay: MarkerDelay,
        sequences: Sequences,
    ) -> None:
        self._machine = machine
        self._requests = requests
        self._waiters = waiters
        self._fencing = fencing
        self._feature = feature
        self._delay = delay
        self._sequences = sequences

    # ── told ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def is_wanted(self, request: ControlRequest) -> bool:
        """Whether somebody needs the answer: with version 2 an abort waits for none, and then it tells of the abort.

        A producer that cannot go on needs none: what was in flight when it was closed at once is answered all the same.
        """
        if self._machine.fatal_error is not None:
            return False
        transaction = self._machine.current
        match request:
            case EndTransaction():
                return transaction is not None and transaction.end is request
            case AddPartitions():
                return transaction is not None and transaction.adding is request
            case AddOffsets() | CommitOffsets():
                return transaction is not None and any(step[0] is request for step in transaction.offsets)
            case _:
                return True

    def on_success(self, request: ControlRequest, message: Message, now: float) -> None:
        """The request has what it asked for."""
        match request:
            case FindCoordinator():
                request.wanted.found(request.broker(message))
            case ProducerIdRequest():
                self._on_producer_id(request.granted(message))
            case DescribeTransaction():
                assert isinstance(message, DescribeTransactionsResponse)
                self._on_described(message, now)
            case EndTransaction():
                assert isinstance(message, EndTxnResponse)
                self._on_ended(request, message, now)
            case AddPartitions():
                self._on_partitions_added(request, message)
            case _:
                self._on_offsets_step_done(request)

    def on_error(self, request: ControlRequest, verdict: Verdict, error: BrokerError, now: float) -> None:
        """A broker answered with an error."""
        if isinstance(request, EndTransaction):
            transaction = self._machine.current
            was_lost = transaction is not None and transaction.was_commit_lost
            error.possibly_written = was_lost or request.may_be_committed(error)
        else:
            error.possibly_written = False
        # A coordinator that still ends the transaction before is done with that in milliseconds.
        is_concurrent = error.code == ErrorCode.CONCURRENT_TRANSACTIONS
        if request.retry(verdict, error, now, is_soon=is_concurrent):
            if is_concurrent and isinstance(request, AddPartitions):
                self._delay.on_refused()
            return
        match verdict:
            case Verdict.ABORT:
                self._on_abortable(request, error, now)
            case Verdict.FENCED:
                self._on_epoch_refused(request, error, now)
            case _:
                self._on_fatal(request, error)

    def on_unsupported(self, request: ControlRequest, error: UnsupportedVersionError) -> None:
        """The request cannot be made in a version that the broker speaks."""
        if isinstance(request, DescribeTransaction):
            self._fence(
                self._fencing.refusal or error, " (or the transaction was open for longer than transaction_timeout_ms)"
            )
        else:
            self.fail_fatal(error)

    def fail_fatal(self, error: KafkaError) -> None:
        """The producer cannot go on; whoever waits is told why."""
        self._machine.fail_fatal(error)
        self._waiters.finish_all(self._machine.fatal_error or error)

    # ── success ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_producer_id(self, granted: ProducerIdAndEpoch) -> None:
        self._sequences.set_producer_id(*granted)
        self._requests.raise_epoch(None)
        version = self._feature.adopt()
        fields = {"event_name": "producer_id", "producer_id": granted[0], "producer_epoch": granted[1]}
        logger.debug("producer id %d, epoch %d, transactions version %d", *granted, version, extra=fields)
        self._machine.move(TransactionEvent.IDENTIFIED)

    def _on_partitions_added(self, request: AddPartitions, message: Message) -> None:
        transaction = self._machine.current
        assert transaction is not None, "it is wanted by a transaction"
        transaction.is_begun = True
        done = {TopicPartition(each.topic or "", each.partition or 0) for each in request.response_errors(message)}
        transaction.added |= request.asked & done
        request.wanted |= request.asked - done
        request.asked = set()

    def _on_offsets_step_done(self, request: ControlRequest) -> None:
        transaction = self._machine.current
        assert transaction is not None, "it is wanted by a transaction"
        transaction.is_begun = True
        for step in list(transaction.offsets):
            if step[0] is request:
                transaction.offsets.remove(step)
                if step[1] is not None:
                    self._waiters.finish(step[1], None)

    def _on_ended(self, request: EndTransaction, message: EndTxnResponse, now: float) -> None:
        transaction = self._machine.current
        assert transaction is not None, "it is wanted by a transaction"
        if transaction.version == VERSION_2:
            self._sequences.set_producer_id(message.producer_id, message.producer_epoch)
        if transaction.cause is not None and self._fencing.is_own_abort(transaction, now):
            self._fencing.name_timeout(transaction, transaction.cause, now)
        self._delay.on_ended(now)
        self.finish(transaction, TransactionOutcome.COMMITTED if request.is_commit else TransactionOutcome.ABORTED)

    def _on_described(self, message: DescribeTransactionsResponse, now: float) -> None:
        transaction, refusal = self._machine.current, self._fencing.refusal
        assert transaction is not None and refusal is not None, "asked only about a transaction whose end was refused"
        (described,) = message.transaction_states[:1]
        if not self._fencing.is_aborted_under_next_epoch(transaction, described):
            self._fence(refusal)
            return
        self._fencing.refusal = None
        self._fencing.name_timeout(transaction, transaction.cause or refusal, now)
        self._requests.raise_epoch(ProducerIdAndEpoch(described.producer_id, described.producer_epoch))
        self._machine.end(transaction, TransactionOutcome.ABORTED, TransactionEvent.TIMED_OUT)

    def finish(self, transaction: OpenTransaction, outcome: TransactionOutcome) -> None:
        """Give the transaction its outcome; with version 1 what may still come late is fenced by a new epoch."""
        version = self._feature.adopt()
        is_stale = transaction.version == VERSION_1 and (
            version == VERSION_2 or (transaction.is_new_epoch_needed and transaction.is_begun)
        )
        if is_stale:
            self._requests.raise_epoch(transaction.producer)
        event = TransactionEvent.ENDED_STALE if is_stale else TransactionEvent.ENDED
        self._machine.end(transaction, outcome, event)

    # ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_abortable(self, request: ControlRequest, error: KafkaError, now: float) -> None:
        # A lookup goes on if something else needs it; the rest is over.
        request.retry_timer.fail(error, now)
        if isinstance(request, EndTransaction) and not request.is_commit:
            if not self._is_before_begun(error):
                self._on_fatal(request, error)  # an abort that is refused cannot be repeated for ever
            return
        if isinstance(request, AddPartitions):
            request.asked = set()
        if self._machine.current is not None and not _is_own_lookup(request):
            self.give_up_offsets(self._machine.current, request, error)
        self._machine.fail(error)

    def _is_before_begun(self, error: KafkaError) -> bool:
        """Whether an abort is refused only as the coordinator has not heard of this transaction (version 2).

        1. A commit is answered, and the markers are not written yet. 2. The next transaction begins, and its first
        batch is told to wait. 3. It is aborted, and the coordinator, which still commits the one before, finds that
        the wrong thing to do.
        """
        transaction = self._machine.current
        is_unheard = transaction is not None and transaction.version == VERSION_2 and not transaction.is_begun
        return is_unheard and error.code == ErrorCode.INVALID_TXN_STATE

    def _on_epoch_refused(self, request: ControlRequest, error: BrokerError, now: float) -> None:
        transaction = self._machine.current
        request.retry_timer.reset()
        is_described = isinstance(request, DescribeTransaction)
        if is_described or transaction is None or not self._fencing.may_be_time(transaction, now):
            self._fence(error)
        elif isinstance(request, EndTransaction):
            self._fencing.refusal = error
            self._machine.move(TransactionEvent.EPOCH_REFUSED)
        else:
            if isinstance(request, AddPartitions):
                request.asked = set()
            seen = self._fencing.meaning_of(error, transaction, now)
            self.give_up_offsets(transaction, request, seen)
            self._machine.fail(seen)

    def _on_fatal(self, request: ControlRequest, error: KafkaError) -> None:
        if isinstance(request, DescribeTransaction):
            self._fence(self._fencing.refusal or error)
            return
        error.fatal = True
        error.abortable = False
        self.fail_fatal(error)

    def _fence(self, refusal: KafkaError, alternative: str = "") -> None:
        self.fail_fatal(self._fencing.fenced(self._machine.current, refusal, alternative))

    def give_up_offsets(self, transaction: OpenTransaction, failed: ControlRequest | None, error: KafkaError) -> None:
        """Fail the calls of send_offsets; a request whose answer is still to come is seen through (version 1)."""
        remaining: list[tuple[AddOffsets | CommitOffsets, TransactionTicket | None]] = []
        for request, ticket in transaction.offsets:
            if ticket is not None:
                self._waiters.finish(ticket, error)
            if transaction.version == VERSION_1 and request is not failed and _is_unresolved(request):
                remaining.append((request, None))
        transaction.offsets = remaining


def _is_own_lookup(request: ControlRequest) -> bool:
    return isinstance(request, FindCoordinator) and request.wanted.key_type is CoordinatorType.TRANSACTION


def _is_unresolved(request: ControlRequest) -> bool:
    """Whether it was sent and may have taken effect."""
    return request.retry_timer.in_progress or request.retry_timer.count > 0
