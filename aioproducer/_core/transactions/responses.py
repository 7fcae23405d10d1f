"""What follows from the answers to the requests of a transaction? The middle part of `Transactions`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from aioproducer._core.requests.coordinators import CoordinatorType
from aioproducer._core.requests.verdicts import Verdict, transaction_verdict
from aioproducer._core.transactions.marker_delay import MarkerDelay
from aioproducer._core.transactions.open_transaction import OpenTransaction, Outcome, TransactionTicket
from aioproducer._core.transactions.requests import (
    VERSION_1,
    VERSION_2,
    AddOffsets,
    AddPartitions,
    CommitOffsets,
    DescribeTransaction,
    EndTransaction,
    Exchange,
    FindCoordinator,
    Identity,
    InitProducerId,
    Told,
)
from aioproducer._core.transactions.states import TransactionEvent
from aioproducer._core.transactions.waiters import TransactionWaits
from aioproducer._types import TopicPartition
from aioproducer._wire.messages.describe_transactions import DescribeTransactionsResponse
from aioproducer._wire.messages.end_txn import EndTxnResponse
from aioproducer._wire.messages.init_producer_id import InitProducerIdResponse
from aioproducer.errors import (
    BrokerError,
    ErrorCode,
    KafkaError,
    ProducerFencedError,
    ProtocolError,
    TransactionAbortableError,
)
from aioproducer.errors._from_code import error_for

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.produce.sequences import Sequences
    from aioproducer._wire.schema import Message

logger = logging.getLogger("aioproducer.transactions")

_ABORTED: Final = frozenset({"PrepareEpochFence", "PrepareAbort", "CompleteAbort"})
"""How the coordinator calls the states of a transaction that it has aborted by itself, or decided to."""

_EPOCH_IS_OVER: Final = frozenset(
    {ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.INVALID_TXN_STATE, ErrorCode.PRODUCER_FENCED}
)
"""What is answered to a transaction that the coordinator has aborted."""

_EPOCH_REFUSED: Final = frozenset({ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.PRODUCER_FENCED})
"""What is answered to a producer whose epoch is over."""

_SEVERITY: Final = (
    Verdict.DELIVERED,
    Verdict.RETRY,
    Verdict.COORDINATOR,
    Verdict.ABORT,
    Verdict.FENCED,
    Verdict.FATAL,
)


class TransactionAnswers(TransactionWaits):
    """Takes answers, and ends transactions."""

    def __init__(
        self, config: ProducerConfig, accumulator: Accumulator, sequences: Sequences, rng: random.Random
    ) -> None:
        super().__init__(config, accumulator, rng)
        self._sequences = sequences
        self._timeout = config.transaction_timeout_ms / 1000
        self._level = 0  # of the feature, as of the newest agreement of the cluster that was seen
        self._level_epoch = -1
        self._version = VERSION_1
        self.pause = MarkerDelay()
        self._describe = DescribeTransaction(self._own, config, rng)
        self._refusal: KafkaError | None = None  # what EndTxn said, while it is found out what that means

    def on_lost(self, exchange: Exchange, error: KafkaError, now: float) -> None:
        """The answer to a request was lost; it may have taken effect."""
        if isinstance(exchange, EndTransaction):
            exchange.was_lost = True
        exchange.attempts.fail(error, now)

    def on_unsupported(self, exchange: Exchange, error: KafkaError) -> None:
        """The request cannot be made in a version that the broker speaks."""
        if isinstance(exchange, DescribeTransaction):
            self._fenced(
                self._refusal or error, " (or the transaction was open for longer than transaction_timeout_ms)"
            )
        else:
            self.on_fatal(error)

    def on_response(self, exchange: Exchange, answer: Message, node_id: int, now: float) -> None:
        """The answer to a request came."""
        if self._is_stale(exchange):
            return
        told = exchange.told(answer)
        if not told:
            self.on_lost(exchange, ProtocolError(f"an empty answer to {exchange.request.__name__}"), now)
            return
        verdict, worst = max(
            ((transaction_verdict(exchange.request.api_key, each.code), each) for each in told),
            key=lambda found: _SEVERITY.index(found[0]),
        )
        if verdict is Verdict.DELIVERED:
            exchange.attempts.succeed()
            if exchange.coordinator is not None:
                exchange.coordinator.serves()
            self._on_done(exchange, answer, now)
            return
        self._on_error(exchange, verdict, self._error(exchange, worst, node_id), now)

    def _on_error(self, exchange: Exchange, verdict: Verdict, error: BrokerError, now: float) -> None:
        match verdict:
            case Verdict.RETRY:
                is_concurrent = error.code == ErrorCode.CONCURRENT_TRANSACTIONS
                exchange.attempts.fail(error, now, is_soon=is_concurrent)
                if is_concurrent and isinstance(exchange, AddPartitions):
                    self.pause.on_refused()
            case Verdict.COORDINATOR:
                exchange.attempts.fail(error, now)
                if exchange.coordinator is not None:
                    exchange.coordinator.lose(error, now)
            case Verdict.ABORT:
                self._on_abortable(exchange, error, now)
            case Verdict.FENCED:
                self._on_epoch_refused(exchange, error, now)
            case _:
                self._on_refused(exchange, error)

    def _is_stale(self, exchange: Exchange) -> bool:
        """Whether nobody needs the answer: with version 2 an abort waits for none, and then it tells of the abort.

        Nor does a producer that cannot go on: what was under way when it was closed at once is answered all the same.
        """
        if self.fatal_error is not None:
            return True
        transaction = self.current
        match exchange:
            case EndTransaction():
                return transaction is None or transaction.end is not exchange
            case AddPartitions():
                return transaction is None or transaction.adding is not exchange
            case AddOffsets() | CommitOffsets():
                return transaction is None or all(step[0] is not exchange for step in transaction.offsets)
            case _:
                return False

    def _on_done(self, exchange: Exchange, answer: Message, now: float) -> None:
        match exchange:
            case FindCoordinator():
                exchange.wanted.found(exchange.broker(answer))
            case InitProducerId():
                assert isinstance(answer, InitProducerIdResponse)
                self._identified(Identity(answer.producer_id, answer.producer_epoch))
            case DescribeTransaction():
                assert isinstance(answer, DescribeTransactionsResponse)
                self._on_described(answer, now)
            case EndTransaction():
                assert isinstance(answer, EndTxnResponse)
                self._on_ended(exchange, answer, now)
            case _:
                self._on_part_done(exchange, exchange.told(answer))

    def _on_part_done(self, exchange: Exchange, told: list[Told]) -> None:
        """Partitions, a group or offsets became part of the transaction."""
        transaction = self.current
        if transaction is None:
            return
        transaction.is_begun = True
        if isinstance(exchange, AddPartitions):
            done = {TopicPartition(each.topic or "", each.partition or 0) for each in told}
            transaction.added |= exchange.asked & done
            exchange.wanted |= exchange.asked - done
            exchange.asked = set()
            return
        for step in list(transaction.offsets):
            if step[0] is exchange:
                transaction.offsets.remove(step)
                if step[1] is not None:
                    self._settle(step[1], None)

    def _on_ended(self, exchange: EndTransaction, answer: EndTxnResponse, now: float) -> None:
        transaction = self.current
        assert transaction is not None, "the answer to an EndTxn of no transaction is stale"
        if transaction.version == VERSION_2:
            self._sequences.set_producer_id(answer.producer_id, answer.producer_epoch)
        cause = transaction.cause
        if cause is not None and cause.code in _EPOCH_IS_OVER and self._may_be_time(transaction, now):
            # The coordinator takes our abort for its own, repeated: nobody else has taken over.
            self._name_timeout(transaction, cause, now)
        self.pause.on_ended(now)
        self._finish(transaction, Outcome.COMMITTED if exchange.is_commit else Outcome.ABORTED)

    def _on_abortable(self, exchange: Exchange, error: KafkaError, now: float) -> None:
        # A lookup goes on if something else needs it; the rest is over.
        exchange.attempts.fail(error, now)
        if isinstance(exchange, EndTransaction) and not exchange.is_commit:
            if not self._is_before_begun(error):
                self._on_refused(exchange, error)  # an abort that is refused cannot be repeated for ever
            return
        if isinstance(exchange, AddPartitions):
            exchange.asked = set()
        if self.current is not None and not _is_own_lookup(exchange):
            self._give_up_offsets(self.current, exchange, error)
        self.fail(error)

    def _is_before_begun(self, error: KafkaError) -> bool:
        """Whether an abort is refused only as the coordinator has not heard of this transaction (version 2).

        1. A commit is answered, and the markers are not written yet. 2. The next transaction begins, and its first
        batch is told to wait. 3. It is aborted, and the coordinator, which still commits the one before, finds that
        the wrong thing to do.
        """
        transaction = self.current
        is_unheard = transaction is not None and transaction.version == VERSION_2 and not transaction.is_begun
        return is_unheard and error.code == ErrorCode.INVALID_TXN_STATE

    def _on_refused(self, exchange: Exchange, error: KafkaError) -> None:
        if isinstance(exchange, DescribeTransaction):
            self._fenced(self._refusal or error)
            return
        error.fatal = True
        error.abortable = False
        self.on_fatal(error)

    def _on_epoch_refused(self, exchange: Exchange, error: BrokerError, now: float) -> None:
        transaction = self.current
        exchange.attempts.reset()
        if isinstance(exchange, DescribeTransaction) or transaction is None or not self._may_be_time(transaction, now):
            self._fenced(error)
        elif isinstance(exchange, EndTransaction):
            self._refusal = error
            self._move(TransactionEvent.EPOCH_REFUSED)
        else:
            if isinstance(exchange, AddPartitions):
                exchange.asked = set()
            seen = self.meaning_of(error, now)
            self._give_up_offsets(transaction, exchange, seen)
            self.fail(seen)

    def meaning_of(self, error: BrokerError, now: float) -> BrokerError:
        """Return what a broker's refusal of our epoch means to whoever sends; any other error as it is.

        The coordinator has the last word, when the transaction is ended: until then it can only be aborted.
        """
        transaction, code = self.current, error.code
        if transaction is None or code is None or code not in _EPOCH_REFUSED:
            return error
        seen: BrokerError
        if self._may_be_time(transaction, now):
            assert transaction.started_at is not None, "its time runs"
            seen = TransactionAbortableError(
                f"the epoch of transactional_id {self._id!r} is over: the transaction was open for"
                f" {now - transaction.started_at:.1f} s, longer than transaction_timeout_ms={self._timeout * 1000:.0f},"
                " so that the coordinator has aborted it (or another producer has taken over); its end tells which",
                code=code,
            )
        else:
            seen = self._taken_over()
        seen.api, seen.node, seen.topic, seen.partition = error.api, error.node, error.topic, error.partition
        seen.possibly_written = error.possibly_written
        seen.__cause__ = error
        return seen

    def _may_be_time(self, transaction: OpenTransaction, now: float) -> bool:
        """Whether the coordinator may have aborted it as it was open for too long.

        With version 1 a successor's own aborted transaction could look the same, unless ours was surely begun: then it
        was aborted when the successor came, and what the successor aborted has a later epoch.
        """
        is_certain = transaction.is_begun or transaction.version == VERSION_2
        return is_certain and transaction.started_at is not None and now - transaction.started_at >= self._timeout

    def _on_described(self, answer: DescribeTransactionsResponse, now: float) -> None:
        transaction, refusal = self.current, self._refusal
        assert transaction is not None and refusal is not None, "asked only about a transaction whose end was refused"
        (told,) = answer.transaction_states[:1]
        ours, epoch = transaction.identity
        if (told.producer_id, told.producer_epoch) != (ours, epoch + 1) or told.transaction_state not in _ABORTED:
            self._fenced(refusal)
            return
        # Aborted, or about to be. If another producer was why, it is getting its epoch now, and ours will be refused.
        self._refusal = None
        self._end_timed_out(transaction, Identity(told.producer_id, told.producer_epoch), refusal, now)

    def _end_timed_out(self, transaction: OpenTransaction, identity: Identity, refusal: KafkaError, now: float) -> None:
        self._name_timeout(transaction, transaction.cause or refusal, now)
        transaction.outcome = Outcome.ABORTED
        self.current = None
        self._init.own = identity
        self._move(TransactionEvent.TIMED_OUT)

    def _name_timeout(self, transaction: OpenTransaction, refusal: KafkaError, now: float) -> None:
        """Make the cause say what has happened: the time was up. That the epoch is over tells it to nobody."""
        assert transaction.started_at is not None, "nothing of it was sent, so its time did not run"
        error = TransactionAbortableError(
            f"the transaction was open for {now - transaction.started_at:.1f} s, longer than"
            f" transaction_timeout_ms={self._timeout * 1000:.0f}, so that the coordinator aborted it;"
            " do its work again in a new one, do less in each, or raise transaction_timeout_ms",
            api="EndTxn",
        )
        error.__cause__ = refusal
        transaction.cause = error

    def _fenced(self, refusal: KafkaError, alternative: str = "") -> None:
        error = self._taken_over(alternative)
        end = None if self.current is None else self.current.end
        error.possibly_written = end is not None and end.is_commit and end.was_lost
        error.__cause__ = refusal
        self.on_fatal(error)

    def _taken_over(self, alternative: str = "") -> ProducerFencedError:
        return ProducerFencedError(
            f"another producer with transactional_id {self._id!r} has taken over{alternative}; this one must stop",
            code=ErrorCode.PRODUCER_FENCED,
        )

    def _identified(self, identity: Identity) -> None:
        self._sequences.set_producer_id(*identity)
        self._init.own = None
        self._version = self._version_now()
        told = {"event": "producer_id", "producer_id": identity[0], "producer_epoch": identity[1]}
        logger.debug("producer id %d, epoch %d, transactions version %d", *identity, self._version, extra=told)
        self._move(TransactionEvent.IDENTIFIED)

    def _version_now(self) -> int:
        return VERSION_2 if self._level >= VERSION_2 else VERSION_1

    def _finish(self, transaction: OpenTransaction, outcome: Outcome) -> None:
        transaction.outcome = outcome
        self.current = None
        version = self._version_now()
        is_stale = transaction.version == VERSION_1 and (
            version == VERSION_2 or (transaction.is_new_epoch_needed and transaction.is_begun)
        )
        self._version = version
        if is_stale:
            self._init.own = transaction.identity
            self._move(TransactionEvent.ENDED_STALE)
        else:
            self._move(TransactionEvent.ENDED)

    def _give_up_offsets(self, transaction: OpenTransaction, failed: Exchange | None, error: KafkaError) -> None:
        """Fail the calls of send_offsets; a request whose answer is still to come is seen through (version 1)."""
        remaining: list[tuple[Exchange, TransactionTicket | None]] = []
        for exchange, ticket in transaction.offsets:
            if ticket is not None:
                self._settle(ticket, error)
            if transaction.version == VERSION_1 and exchange is not failed and is_unresolved(exchange):
                remaining.append((exchange, None))
        transaction.offsets = remaining

    def _error(self, exchange: Exchange, told: Told, node_id: int) -> BrokerError:
        api = exchange.request.__name__.removesuffix("Request")
        error = error_for(told.code, told.message, api=api, node=node_id, topic=told.topic, partition=told.partition)
        error.possibly_written = False
        return error


def _is_own_lookup(exchange: Exchange) -> bool:
    return isinstance(exchange, FindCoordinator) and exchange.wanted.key_type is CoordinatorType.TRANSACTION


def is_unresolved(exchange: Exchange) -> bool:
    """Whether it was sent and may have taken effect."""
    return exchange.attempts.in_progress or exchange.attempts.count > 0
