"""Transactions: where each stands, and what its producer may do next. (Java class TransactionCoordinator)

    EMPTY ──add──► ONGOING ──end──► PREPARE_COMMIT | PREPARE_ABORT ──markers──► COMPLETE_COMMIT | COMPLETE_ABORT
                      ▲                                                                            │
                      └──────────────────────────────────── add ───────────────────────────────────┘

With transaction.version 2 (KIP-890) every end of a transaction raises the producer's epoch; before that only a new
InitProducerId, or a time-out, does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from aioproducer._types import TopicPartition
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.requests import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aioproducer.testing._broker.groups import Groups

COORDINATOR_EPOCH: Final = 0
LAST_EPOCH: Final = 32_766
"""An epoch that is not raised any more: the next producer gets a new producer id."""


class TransactionState(Enum):
    """A transactional id's state (Java class TransactionState)."""

    EMPTY = auto()
    ONGOING = auto()
    PREPARE_COMMIT = auto()
    PREPARE_ABORT = auto()
    COMPLETE_COMMIT = auto()
    COMPLETE_ABORT = auto()


_PREPARED: Final = {False: TransactionState.PREPARE_ABORT, True: TransactionState.PREPARE_COMMIT}
_COMPLETED: Final = {
    TransactionState.PREPARE_ABORT: TransactionState.COMPLETE_ABORT,
    TransactionState.PREPARE_COMMIT: TransactionState.COMPLETE_COMMIT,
}


class Identity(NamedTuple):
    """A producer id and its epoch."""

    producer_id: int
    epoch: int


class End(Enum):
    """What EndTxn does in a state."""

    BEGIN = auto()
    BEGIN_EMPTY = auto()
    DONE = auto()
    BUSY = auto()
    INVALID = auto()


# (state, commit) -> what a request of that kind does; what is missing is invalid.
_END_V1: Final = {
    (TransactionState.ONGOING, True): End.BEGIN,
    (TransactionState.ONGOING, False): End.BEGIN,
    (TransactionState.COMPLETE_COMMIT, True): End.DONE,
    (TransactionState.COMPLETE_ABORT, False): End.DONE,
    (TransactionState.PREPARE_COMMIT, True): End.BUSY,
    (TransactionState.PREPARE_ABORT, False): End.BUSY,
}
# KIP-890: an abort is always allowed, as the client doesn't know whether a partition was added.
_END_V2: Final = {
    (TransactionState.ONGOING, True): End.BEGIN,
    (TransactionState.ONGOING, False): End.BEGIN,
    (TransactionState.EMPTY, False): End.BEGIN_EMPTY,
    (TransactionState.COMPLETE_COMMIT, False): End.BEGIN_EMPTY,
    (TransactionState.COMPLETE_ABORT, False): End.BEGIN_EMPTY,
    (TransactionState.PREPARE_COMMIT, True): End.BUSY,
    (TransactionState.PREPARE_ABORT, False): End.BUSY,
}
# The same request again, after the epoch was raised for it.
_END_V2_AGAIN: Final = {
    (TransactionState.COMPLETE_COMMIT, True): End.DONE,
    (TransactionState.COMPLETE_ABORT, False): End.DONE,
    (TransactionState.PREPARE_COMMIT, True): End.BUSY,
    (TransactionState.PREPARE_ABORT, False): End.BUSY,
}


@dataclass(slots=True)
class Transaction:
    """What the coordinator keeps of a transactional id.

    Attributes:
        producer_id, epoch: the producer that may use it now; epoch -1 until the first InitProducerId is answered.
        last_epoch: the epoch before, by which a repeated request is recognised; -1 for none.
        previous_producer_id: the producer id before, likewise.
        next_identity: what producer_id and epoch become once the markers are written.
        partitions, groups: those of the open transaction; those without a marker yet while it is being ended.
        started_at: monotonic seconds of the first partition.
        markers_at: monotonic seconds at which the markers are written.
        is_stuck: a marker waits for a leader.
    """

    transactional_id: str
    producer_id: int
    timeout_ms: int
    epoch: int = -1
    last_epoch: int = -1
    previous_producer_id: int = -1
    state: TransactionState = TransactionState.EMPTY
    next_identity: Identity | None = None
    partitions: set[TopicPartition] = field(default_factory=lambda: set[TopicPartition]())
    groups: set[str] = field(default_factory=lambda: set[str]())
    started_at: float = 0.0
    markers_at: float = 0.0
    is_stuck: bool = False

    @property
    def following_id(self) -> int | None:
        """What producer_id becomes once the markers are written."""
        return None if self.next_identity is None else self.next_identity.producer_id

    @property
    def is_ending(self) -> bool:
        return self.state in _COMPLETED

    @property
    def is_begun(self) -> bool:
        return self.is_ending or self.state is TransactionState.ONGOING

    @property
    def deadline(self) -> float | None:
        """When something is due without a request."""
        if self.state is TransactionState.ONGOING:
            return self.started_at + self.timeout_ms / 1000
        return self.markers_at if self.is_ending and not self.is_stuck else None


class Cluster(Protocol):
    """What the coordinator needs of the cluster."""

    @property
    def groups(self) -> Groups: ...
    @property
    def now(self) -> float: ...
    @property
    def marker_delay(self) -> float: ...
    @property
    def max_transaction_timeout_ms(self) -> int: ...
    def new_producer_id(self) -> int: ...
    def end_transaction(
        self, tp: TopicPartition, producer_id: int, epoch: int, coordinator_epoch: int, *, commit: bool
    ) -> bool: ...


class Transactions:
    """All transactional ids of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._by_id: dict[str, Transaction] = {}

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def get(self, transactional_id: str) -> Transaction | None:
        """What is kept of a transactional id, or None."""
        return self._by_id.get(transactional_id)

    def init_producer(self, transactional_id: str, timeout_ms: int, expected: Identity | None) -> Identity:
        """Give the id to a producer, fencing the one before (handleInitProducerId).

        Args:
            expected: the identity of the producer that asks for its own epoch to be raised (KIP-360), or None for a
                new one.

        Raises:
            Refused: CONCURRENT_TRANSACTIONS while the transaction of the one before is being ended, and others.
        """
        if not transactional_id:
            raise Refused(ErrorCode.INVALID_REQUEST, "an empty transactional id")
        if not 0 < timeout_ms <= self._cluster.max_transaction_timeout_ms:
            raise Refused(ErrorCode.INVALID_TRANSACTION_TIMEOUT, f"{timeout_ms} ms")
        txn = self._by_id.get(transactional_id)
        if txn is None:
            txn = self._by_id[transactional_id] = Transaction(
                transactional_id, self._cluster.new_producer_id(), timeout_ms
            )
        if expected is not None and not _is_known(txn, expected):
            raise _fenced(txn, expected.epoch)
        if txn.is_ending:
            raise Refused(ErrorCode.CONCURRENT_TRANSACTIONS)
        if txn.state is TransactionState.ONGOING:
            self._fence_and_abort(txn)
            raise Refused(ErrorCode.CONCURRENT_TRANSACTIONS)
        self._raise_epoch(txn, expected)
        txn.timeout_ms = timeout_ms
        txn.state = TransactionState.EMPTY
        return Identity(txn.producer_id, txn.epoch)

    def add(
        self,
        transactional_id: str,
        identity: Identity,
        partitions: Iterable[TopicPartition] = (),
        groups: Iterable[str] = (),
    ) -> None:
        """Make partitions and groups part of the transaction; the first begins it (AddPartitionsToTxn; Produce ≥ 12).

        Raises:
            Refused: INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, INVALID_REQUEST.
        """
        ending = self._by_id.get(transactional_id)
        if ending is not None and ending.is_ending:
            # First of all: the producer may know a producer id already that is its own only when the markers are there.
            raise Refused(ErrorCode.CONCURRENT_TRANSACTIONS)
        txn = self._checked(transactional_id, identity)
        if txn.state is not TransactionState.ONGOING:
            txn.state = TransactionState.ONGOING
            txn.started_at = self._cluster.now
        txn.partitions.update(partitions)
        txn.groups.update(groups)

    def verify(self, transactional_id: str, identity: Identity, tp: TopicPartition) -> None:
        """Refuse a partition that is not part of an open transaction of that producer (AddPartitionsToTxn, verifying).

        Raises:
            Refused: TRANSACTION_ABORTABLE, and those of `add`.
        """
        txn = self._checked(transactional_id, identity)
        if txn.is_ending:
            raise Refused(ErrorCode.CONCURRENT_TRANSACTIONS)
        if tp not in txn.partitions:
            raise Refused(
                ErrorCode.TRANSACTION_ABORTABLE, f"{tp.topic}-{tp.partition} was not added to the transaction"
            )

    def verify_group(
        self, transactional_id: str, identity: Identity, group: str, *, is_abortable: bool = False
    ) -> None:
        """Refuse a group that is not part of an open transaction of that producer (TxnOffsetCommit below 5).

        Args:
            is_abortable: the client knows TRANSACTION_ABORTABLE (KIP-890).

        Raises:
            Refused: TRANSACTION_ABORTABLE or INVALID_TXN_STATE, and those of `add`.
        """
        txn = self._checked(transactional_id, identity)
        if txn.is_ending:
            raise Refused(ErrorCode.CONCURRENT_TRANSACTIONS)
        if group not in txn.groups:
            code = ErrorCode.TRANSACTION_ABORTABLE if is_abortable else ErrorCode.INVALID_TXN_STATE
            raise Refused(code, f"group {group} was not added to the transaction")

    def end(self, transactional_id: str, identity: Identity, *, commit: bool, raises_epoch: bool) -> Identity:
        """Decide the transaction; the markers follow.

        Args:
            raises_epoch: the producer speaks transaction.version 2 (EndTxn ≥ 5).

        Returns:
            The identity for the next transaction.

        Raises:
            Refused: INVALID_TXN_STATE when there is nothing to commit or the other way was decided, and those of `add`.
        """
        txn = self._by_id.get(transactional_id)
        if (
            txn is not None
            and txn.is_ending
            and identity.producer_id != txn.producer_id
            and identity == txn.next_identity
        ):
            raise Refused(ErrorCode.CONCURRENT_TRANSACTIONS)  # it is the producer's own once the markers are there
        is_again = raises_epoch and txn is not None and _was_raised_from(txn, identity)
        if txn is None or not is_again:
            txn = self._checked(transactional_id, identity)
        table = _END_V2_AGAIN if is_again else _END_V2 if raises_epoch else _END_V1
        step = table.get((txn.state, commit), End.INVALID)
        if step is End.INVALID:
            raise Refused(ErrorCode.INVALID_TXN_STATE, f"{'commit' if commit else 'abort'} in {txn.state.name}")
        if step is End.BUSY:
            raise Refused(ErrorCode.CONCURRENT_TRANSACTIONS)
        if step is End.DONE:
            return Identity(txn.producer_id, txn.epoch)
        return self._prepare(txn, commit=commit, raises_epoch=raises_epoch)

    def advance(self) -> None:
        """Do what is due: abort what has timed out, write markers."""
        for txn in self._by_id.values():
            deadline = txn.deadline
            if deadline is None or deadline > self._cluster.now:
                continue
            if txn.state is TransactionState.ONGOING:
                self._fence_and_abort(txn)
            else:
                self._write_markers(txn)

    def deadline(self) -> float | None:
        """Monotonic seconds at which `advance` has something to do."""
        deadlines = [txn.deadline for txn in self._by_id.values()]
        return min((each for each in deadlines if each is not None), default=None)

    def resume(self) -> None:
        """Partitions have leaders again: markers that wait for one can be written."""
        for txn in self._by_id.values():
            txn.is_stuck = False
        self.advance()

    def expire(self, transactional_id: str) -> None:
        """Forget an id, as after transactional.id.expiration.ms."""
        self._by_id.pop(transactional_id, None)

    def _checked(self, transactional_id: str, identity: Identity) -> Transaction:
        if not transactional_id:
            raise Refused(ErrorCode.INVALID_REQUEST, "an empty transactional id")
        txn = self._by_id.get(transactional_id)
        if txn is None or txn.producer_id != identity.producer_id:
            text = f"producer id {identity.producer_id} does not belong to transactional id {transactional_id}"
            raise Refused(ErrorCode.INVALID_PRODUCER_ID_MAPPING, text)
        if txn.epoch != identity.epoch:
            raise _fenced(txn, identity.epoch)
        return txn

    def _raise_epoch(self, txn: Transaction, expected: Identity | None) -> None:
        if expected is not None and txn.epoch != -1 and expected.epoch != txn.epoch:
            if expected.epoch != txn.last_epoch:
                raise _fenced(txn, expected.epoch)
            return  # the answer to the same request was lost: the epoch was raised then
        if txn.epoch >= LAST_EPOCH:
            txn.previous_producer_id, txn.producer_id = txn.producer_id, self._cluster.new_producer_id()
            txn.last_epoch, txn.epoch = txn.epoch if expected is not None else -1, 0
        else:
            txn.last_epoch, txn.epoch = txn.epoch if expected is not None else -1, txn.epoch + 1

    def _prepare(self, txn: Transaction, *, commit: bool, raises_epoch: bool) -> Identity:
        txn.state = _PREPARED[commit]
        txn.markers_at = self._cluster.now + self._cluster.marker_delay
        if raises_epoch:
            # The markers carry the raised epoch, so that a batch that comes after them is refused.
            txn.last_epoch, txn.epoch = txn.epoch, txn.epoch + 1
        identity = Identity(txn.producer_id, txn.epoch)
        if raises_epoch and txn.epoch > LAST_EPOCH:
            identity = Identity(self._cluster.new_producer_id(), 0)
        txn.next_identity = identity
        if txn.markers_at <= self._cluster.now:
            self._write_markers(txn)
        return identity

    def _fence_and_abort(self, txn: Transaction) -> None:
        txn.epoch += 1
        txn.last_epoch = -1
        self._prepare(txn, commit=False, raises_epoch=False)

    def _write_markers(self, txn: Transaction) -> None:
        commit = txn.state is TransactionState.PREPARE_COMMIT
        for tp in sorted(txn.partitions):
            if self._cluster.end_transaction(tp, txn.producer_id, txn.epoch, COORDINATOR_EPOCH, commit=commit):
                txn.partitions.discard(tp)
        if txn.partitions:
            txn.is_stuck = True
            return
        for group in sorted(txn.groups):
            self._cluster.groups.end(group, txn.producer_id, commit=commit)
        txn.groups.clear()
        txn.state = _COMPLETED[txn.state]
        assert txn.next_identity is not None
        if txn.next_identity.producer_id != txn.producer_id:
            txn.previous_producer_id = txn.producer_id
        txn.producer_id, txn.epoch = txn.next_identity


def _is_known(txn: Transaction, expected: Identity) -> bool:
    if txn.epoch == -1 or txn.producer_id == expected.producer_id:
        return True
    return txn.previous_producer_id == expected.producer_id and expected.epoch >= LAST_EPOCH


def _was_raised_from(txn: Transaction, identity: Identity) -> bool:
    if txn.producer_id == identity.producer_id:
        return txn.last_epoch == identity.epoch >= 0 and txn.epoch == identity.epoch + 1
    return txn.previous_producer_id == identity.producer_id and txn.last_epoch == identity.epoch


def _fenced(txn: Transaction, epoch: int) -> Refused:
    return Refused(
        ErrorCode.PRODUCER_FENCED, f"{txn.transactional_id} is at epoch {txn.epoch}, the request has {epoch}"
    )
