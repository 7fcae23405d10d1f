"""The requests that the state of a transactional producer asks for, and when each is due."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aioproducer._core.requests.backoff import RetryTimer
from aioproducer._core.requests.coordinators import Coordinator, Coordinators, CoordinatorType
from aioproducer._core.requests.producer_id import ProducerIdAndEpoch, ProducerIdRequest
from aioproducer._core.transactions.requests import (
    VERSION_1,
    AddOffsets,
    AddPartitions,
    CommitOffsets,
    DescribeTransaction,
    EndTransaction,
    FindCoordinator,
    OffsetCommit,
)
from aioproducer._core.transactions.states import TransactionState

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.requests.control_request import ControlRequest, RequestOwner
    from aioproducer._core.transactions.marker_delay import MarkerDelay
    from aioproducer._core.transactions.open_transaction import OpenTransaction, TransactionTicket
    from aioproducer._core.transactions.state_machine import TransactionStateMachine
    from aioproducer.errors import KafkaError

_S = TransactionState


class WantedRequests:
    """Makes the requests of a transactional id, and says which are to be sent now.

    Those that live longer than a transaction are its own: InitProducerId, DescribeTransactions and the look-ups. The
    others are in the transaction (`OpenTransaction`), and what is not wanted any more is forgotten with it.
    """

    def __init__(
        self,
        owner: RequestOwner,
        machine: TransactionStateMachine,
        delay: MarkerDelay,
        config: ProducerConfig,
        rng: random.Random,
    ) -> None:
        assert config.transactional_id is not None, "without a transactional id there are no transactions"
        self._owner = owner
        self._machine = machine
        self._delay = delay
        self._config = config
        self._rng = rng
        self._id = config.transactional_id
        self._coordinators = Coordinators(config, rng)
        self._coordinator = self._coordinators.get(CoordinatorType.TRANSACTION, self._id)
        self._producer_id = ProducerIdRequest(owner, config, rng, self._coordinator)
        self._describe = DescribeTransaction(owner, self._timer(), self._coordinator, self._id)
        self._lookups: dict[Coordinator, FindCoordinator] = {}

    def _timer(self) -> RetryTimer:
        return RetryTimer(self._config, self._rng)

    @property
    def last_error(self) -> KafkaError | None:
        """The last failure on the way to the producer id, or of adding partitions, for people."""
        transaction = self._machine.current
        adding = None if transaction is None else transaction.adding.retry_timer.last_error
        return self._producer_id.retry_timer.last_error or self._coordinator.lookups.last_error or adding

    def raise_epoch(self, producer: ProducerIdAndEpoch | None) -> None:
        """Have the next InitProducerId raise this epoch (KIP-360); None has it take over from whoever there is."""
        self._producer_id.own = producer

    def on_node_lost(self, node_id: int, error: KafkaError, now: float) -> None:
        """A connection was lost or could not be made: whoever was coordinator there may not be any more."""
        self._coordinators.on_node_lost(node_id, error, now)

    # ── made ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def adding(self, producer: ProducerIdAndEpoch) -> AddPartitions:
        """Return what adds partitions to a transaction that begins."""
        return AddPartitions(self._owner, self._timer(), self._coordinator, self._id, producer)

    def ending(self, transaction: OpenTransaction, *, is_commit: bool) -> EndTransaction:
        """Return what ends a transaction."""
        return EndTransaction(
            self._owner,
            self._timer(),
            self._coordinator,
            self._id,
            transaction.producer,
            transaction.version,
            is_commit=is_commit,
        )

    def committing_offsets(
        self, transaction: OpenTransaction, commit: OffsetCommit, ticket: TransactionTicket
    ) -> list[tuple[AddOffsets | CommitOffsets, TransactionTicket | None]]:
        """Return the steps that commit offsets with a transaction, in their order; the last has the call's ticket."""
        steps: list[tuple[AddOffsets | CommitOffsets, TransactionTicket | None]] = []
        producer, group_id = transaction.producer, commit.group.group_id
        if transaction.version == VERSION_1:
            add = AddOffsets(self._owner, self._timer(), self._coordinator, self._id, producer, group_id)
            steps.append((add, None))
        group = self._coordinators.get(CoordinatorType.GROUP, group_id)
        step = CommitOffsets(self._owner, self._timer(), group, self._id, producer, commit, transaction.version)
        return [*steps, (step, ticket)]

    # ── asked, at each poll ──────────────────────────────────────────────────────────────────────────────────────────

    def due(self, now: float) -> list[ControlRequest]:
        """Return the requests to be sent now; one whose coordinator is not known gives way to the lookup."""
        due: list[ControlRequest] = []
        for wanted in self._wanted():
            request = wanted
            if wanted.coordinator is not None and wanted.coordinator.broker is None:
                request = self._lookup(wanted.coordinator)
            if request.is_due(now) and request not in due and now >= self._not_before(request):
                if isinstance(request, AddPartitions):
                    self._delay.on_begun(now)
                due.append(request)
        return due

    def times(self) -> list[float]:
        """Return when each of them is due; infinity for never."""
        times: list[float] = []
        for wanted in self._wanted():
            is_known = wanted.coordinator is None or wanted.coordinator.broker is not None
            timer = wanted.retry_timer if is_known or wanted.coordinator is None else wanted.coordinator.lookups
            times.append(max(timer.next_at(), self._not_before(wanted)))
        return times

    def _not_before(self, request: ControlRequest) -> float:
        transaction = self._machine.current
        is_first = isinstance(request, AddPartitions) and transaction is not None and not transaction.is_begun
        return self._delay.until if is_first else -math.inf

    def _wanted(self) -> list[ControlRequest]:
        """Return the requests that the state asks for, due or not."""
        transaction = self._machine.current
        match self._machine.state:
            case _S.INITIALIZING:
                return [self._producer_id]
            case _S.FENCED_OR_TIMED_OUT:
                return [self._describe]
            case _S.IN_TRANSACTION | _S.FLUSHING | _S.ABORTABLE_ERROR | _S.ABORTING | _S.COMMITTING:
                return [] if transaction is None else _wanted_by(transaction)
            case _S.READY | _S.FATAL_ERROR:
                return []

    def _lookup(self, coordinator: Coordinator) -> FindCoordinator:
        lookup = self._lookups.get(coordinator)
        if lookup is None:
            lookup = self._lookups[coordinator] = FindCoordinator(self._owner, coordinator)
        return lookup


def _wanted_by(transaction: OpenTransaction) -> list[ControlRequest]:
    # The end waits for all others (`progress`), so that there is nothing beside it. Partitions before offsets: records
    # wait for them, and the coordinator takes both in any order.
    if transaction.end is not None:
        return [transaction.end]
    wanted: list[ControlRequest] = []
    if transaction.adding.asked or transaction.adding.wanted:
        wanted.append(transaction.adding)
    if transaction.offsets:
        wanted.append(transaction.offsets[0][0])
    return wanted
