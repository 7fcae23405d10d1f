"""The transactions of a producer: what it may do next, and what it has to send (KIP-98, KIP-360, KIP-588, KIP-890).

`TransactionManager` is what the rest of the producer talks to. Each part of it is an object of its own:

- `state_machine`: where it is, by the table in `states`, and its open transaction (`open_transaction`)
- `wanted`: the requests that this asks for (`requests`: what they say), and when each is due
- `responses`: what follows from an answer; `fencing`: what it means that an epoch is refused
- `progress`: the steps that a transaction takes without an answer
- `waiters`: the calls that wait for such a step
- `feature`, `marker_delay`: in which way transactions are run, and how long the next one better waits

docs/transactions.md explains the states and the rules.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from aioproducer._core.accumulator.errors import with_possibly_written
from aioproducer._core.requests.producer_id import ProducerIdAndEpoch
from aioproducer._core.transactions.feature import TransactionFeature
from aioproducer._core.transactions.fencing import Fencing
from aioproducer._core.transactions.marker_delay import MarkerDelay
from aioproducer._core.transactions.open_transaction import (
    Awaited,
    OpenTransaction,
    TransactionOutcome,
    TransactionTicket,
)
from aioproducer._core.transactions.progress import TransactionProgress
from aioproducer._core.transactions.requests import VERSION_2, OffsetCommit
from aioproducer._core.transactions.responses import TransactionResponses
from aioproducer._core.transactions.state_machine import TransactionStateMachine
from aioproducer._core.transactions.states import TransactionEvent, TransactionState
from aioproducer._core.transactions.waiters import TransactionWaiters
from aioproducer._core.transactions.wanted import WantedRequests
from aioproducer._types import TopicPartition
from aioproducer._wire.messages.produce import ADDS_PARTITIONS_SINCE
from aioproducer.errors import IllegalStateError, KafkaError

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.produce.sequences import Sequences
    from aioproducer._core.requests.control_request import ControlRequest
    from aioproducer._core.requests.verdicts import Verdict
    from aioproducer._wire.negotiation import BrokerVersions
    from aioproducer._wire.schema import Message
    from aioproducer.errors import BrokerError, UnsupportedVersionError

_S = TransactionState
_OPEN: Final = frozenset({_S.IN_TRANSACTION, _S.ABORTABLE_ERROR})
_ENDING: Final = frozenset({_S.FLUSHING, _S.COMMITTING, _S.ABORTING, _S.FENCED_OR_TIMED_OUT})


class TransactionManager:
    """The transactional id of a producer and its open transaction."""

    def __init__(
        self, config: ProducerConfig, accumulator: Accumulator, sequences: Sequences, rng: random.Random
    ) -> None:
        assert config.transactional_id is not None, "without a transactional id there are no transactions"
        self._accumulator = accumulator
        self._sequences = sequences
        self._max_block = config.max_block_ms / 1000
        self._feature = TransactionFeature()
        self._delay = MarkerDelay()
        self._machine = TransactionStateMachine(accumulator)
        self._fencing = Fencing(config.transactional_id, config.transaction_timeout_ms)
        self._requests = WantedRequests(self, self._machine, self._delay, config, rng)
        self._waiters = TransactionWaiters(self._machine, self._requests, config.max_block_ms)
        self._responses = TransactionResponses(
            self._machine, self._requests, self._waiters, self._fencing, self._feature, self._delay, sequences
        )
        self._progress = TransactionProgress(
            self._machine, self._requests, self._responses, self._delay, accumulator, sequences
        )

    @property
    def state(self) -> TransactionState:
        """Where the producer is."""
        return self._machine.state

    @property
    def current(self) -> OpenTransaction | None:
        """The transaction that is open or being ended."""
        return self._machine.current

    @property
    def fatal_error(self) -> KafkaError | None:
        """Why the producer cannot go on."""
        return self._machine.fatal_error

    @property
    def last_error(self) -> KafkaError | None:
        """The last failure on the way to the producer id, or of adding partitions, for people."""
        return self._requests.last_error

    @property
    def is_passing(self) -> bool:
        """Whether a transaction can begin later, without any call: wait with `wait_ready`."""
        return self._machine.is_passing

    @property
    def is_commit_sent(self) -> bool:
        """Whether the open transaction cannot be aborted any more."""
        return self.state is _S.COMMITTING

    @property
    def is_ready(self) -> bool:
        """Whether the producer id is there."""
        return self.state is not _S.INITIALIZING

    # ── called by the shell ───────────────────────────────────────────────────────────────────────────────────────────

    def wait_ready(self, now: float) -> TransactionTicket:
        """Wait until a transaction can begin, at most max_block_ms."""
        return self._waiters.wait(Awaited.READY, None, now)

    def begin(self, now: float) -> OpenTransaction:
        """Begin a transaction.

        Raises:
            IllegalStateError: one is open, or being ended.
            KafkaError: the producer cannot go on.
        """
        self._machine.check_alive()
        if self.state is not _S.READY:
            raise IllegalStateError(f"cannot begin a transaction, only one can be open: {self.state.value}")
        self._accumulator.take_refusal()
        self._accumulator.take_touched()
        producer = ProducerIdAndEpoch(self._sequences.producer_id, self._sequences.producer_epoch)
        transaction = OpenTransaction(self._feature.version, producer, self._requests.adding(producer))
        self._machine.begin(transaction)
        return transaction

    def commit(self, transaction: OpenTransaction, now: float) -> TransactionTicket:
        """Commit, or go on waiting for a commit; the ticket has the outcome.

        Raises:
            IllegalStateError: abort was called.
            KafkaError: the producer cannot go on.
        """
        if transaction.outcome is None:
            self._machine.check_alive()
            if self.state in _OPEN:
                transaction.is_commit_asked = True
                self._machine.move(TransactionEvent.COMMIT)
            elif not transaction.is_commit_asked:
                raise IllegalStateError(f"cannot commit the transaction: {self.state.value}")
        return self._waiters.wait(Awaited.COMMIT, transaction, now)

    def abort(self, transaction: OpenTransaction, now: float) -> TransactionTicket:
        """Abort, or go on waiting for an abort.

        Raises:
            IllegalStateError: it is committed, or its commit was sent.
            KafkaError: the producer cannot go on.
        """
        ticket = self._abort(transaction, now)
        transaction.is_abort_asked = True
        return ticket

    def _abort(self, transaction: OpenTransaction, now: float) -> TransactionTicket:
        if transaction.outcome is TransactionOutcome.COMMITTED:
            raise IllegalStateError("cannot abort the transaction: it is committed")
        if transaction.outcome is None:
            self._machine.check_alive()
            if self.state is _S.COMMITTING:
                raise IllegalStateError(f"cannot abort the transaction: {self.state.value}")
            if self.state in _OPEN or self.state is _S.FLUSHING:
                transaction.is_commit_asked = False
                self._machine.move(TransactionEvent.ABORT)
        return self._waiters.wait(Awaited.ABORT, transaction, now)

    def send_offsets(self, transaction: OpenTransaction, commit: OffsetCommit, now: float) -> TransactionTicket:
        """Commit offsets with the transaction; the ticket is done when the group's coordinator has them.

        Raises:
            IllegalStateError: the transaction is not open.
            TransactionAbortableError: it can only be aborted.
            KafkaError: the producer cannot go on.
        """
        self._machine.check_alive()
        if transaction is not self.current or self.state is not _S.IN_TRANSACTION:
            raise self._machine.refusal_of_sends(transaction)
        ticket = self._waiters.wait(Awaited.OFFSETS, transaction, now)
        if commit.offsets:
            transaction.offsets += self._requests.committing_offsets(transaction, commit, ticket)
            self._progress.start(transaction, now)
        else:
            self._waiters.finish(ticket, None)
        return ticket

    def take_woken(self) -> list[TransactionTicket]:
        """Return the tickets that are done since the last call."""
        return self._waiters.take_woken()

    def forget(self, ticket: TransactionTicket) -> None:
        """Nobody waits for it any more; what was asked for goes on."""
        self._waiters.forget(ticket)

    # ── called by the sender and its parts ────────────────────────────────────────────────────────────────────────────

    def can_send(self, batch: ProducerBatch, *, is_added_by_it: bool) -> bool:
        """Whether data may flow to the batch's partition.

        Args:
            batch: the first of its partition.
            is_added_by_it: the version of Produce that its leader speaks makes the partition part of a transaction of
                version 2. All others are added before (`take_unadded`).
        """
        transaction = self.current
        if transaction is None:
            return False
        if transaction.version == VERSION_2 and is_added_by_it:
            return True
        tp = TopicPartition(batch.topic, batch.partition)
        if tp in transaction.added:
            return True
        if transaction.version == VERSION_2:
            self._progress.note_unadded(tp)
        return False

    def take_unadded(self, now: float) -> bool:
        """Ask for what `can_send` found missing; return whether there was anything."""
        return self._progress.take_unadded(now)

    def on_data(self, now: float) -> None:
        """Batches of the transaction are handed to the shell: with version 2 that begins it."""
        if self.current is not None:
            if self.current.started_at is None:
                self._delay.on_begun(now)
            self._progress.start(self.current, now)

    def held_until(self) -> float:
        """Return when data may flow, as far as the transaction before is concerned."""
        return -math.inf if self.current is None or self.current.started_at is not None else self._delay.until

    @property
    def produce_at_most(self) -> int | None:
        """The highest version of Produce: from `ADDS_PARTITIONS_SINCE` on it adds partitions to the transaction."""
        return None if self.current is None or self.current.version == VERSION_2 else ADDS_PARTITIONS_SINCE - 1

    def meaning_of(self, error: BrokerError, now: float) -> BrokerError:
        """Return what a broker's refusal of our epoch means to whoever sends; any other error as it is."""
        return self._fencing.meaning_of(error, self.current, now)

    def on_versions(self, versions: BrokerVersions) -> None:
        """A broker told what the cluster has agreed on."""
        self._feature.on_versions(versions)

    def on_node_lost(self, node_id: int, error: KafkaError, now: float) -> None:
        """A connection was lost or could not be made: whoever was coordinator there may not be any more."""
        self._requests.on_node_lost(node_id, error, now)

    def on_batches(self, batches: list[ProducerBatch]) -> None:
        """These have their outcome: a failed one fails the transaction, a delivered one has begun it for sure."""
        for batch in batches:
            if batch.error is not None:
                self._machine.fail(batch.error)
            elif self.current is not None:
                self.current.is_begun = True

    def on_fatal(self, error: KafkaError) -> None:
        """The producer cannot go on; a commit that nobody has answered may have taken effect."""
        if self.current is not None and self.current.is_commit_in_doubt:
            error = with_possibly_written(error, possibly_written=True)
        self._responses.fail_fatal(error)

    def begin_close(self, error: KafkaError, now: float) -> None:
        """The producer closes: an open transaction is aborted, one that is being ended is waited for."""
        self._waiters.refuse_ready(error)
        if self.current is not None and self.state in _OPEN:
            self._abort(self.current, now)

    def is_settled(self, now: float) -> bool:
        """Whether a closing producer has nothing to wait for, or has waited for max_block_ms."""
        if not self._waiters.is_empty:
            return False
        if self.state not in _ENDING or self.current is None:
            return True
        return self.state is not _S.FLUSHING and now >= self.current.ending_since + self._max_block

    def advance(self, now: float) -> None:
        """Decide whatever can be decided now."""
        self._progress.advance(now)
        # Last: what has come to its end now is no timeout.
        self._waiters.check(now)

    def take_dropped(self) -> list[ProducerBatch]:
        """Return the batches that failed as their transaction did, since the last call."""
        return self._progress.take_dropped()

    def due(self, now: float) -> list[ControlRequest]:
        """Return the requests to be sent now."""
        return self._requests.due(now)

    def times(self) -> list[float]:
        """Return when requests are due, and when waits end.

        All of them, not the soonest: a request that is due, and waits for a broker, must not hide the end of a wait.
        """
        return [*self._waiters.deadlines(), *self._requests.times()]

    # ── the owner of its requests (control_request.RequestOwner) ──────────────────────────────────────────────────────

    def is_wanted(self, request: ControlRequest) -> bool:
        """Whether the request is to be sent, or its answer of any use."""
        return self._responses.is_wanted(request)

    def on_success(self, request: ControlRequest, message: Message, now: float) -> None:
        """The request has what it asked for."""
        self._responses.on_success(request, message, now)

    def on_error(self, request: ControlRequest, verdict: Verdict, error: BrokerError, now: float) -> None:
        """A broker answered with an error."""
        self._responses.on_error(request, verdict, error, now)

    def on_unsupported(self, request: ControlRequest, error: UnsupportedVersionError) -> None:
        """The request cannot be made in a version that the broker speaks."""
        self._responses.on_unsupported(request, error)
