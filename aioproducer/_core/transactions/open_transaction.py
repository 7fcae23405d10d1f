"""The data of one transaction, and the tickets of the calls that wait for its steps."""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aioproducer._core.requests.producer_id import ProducerIdAndEpoch
    from aioproducer._core.transactions.requests import AddOffsets, AddPartitions, CommitOffsets, EndTransaction
    from aioproducer._types import TopicPartition
    from aioproducer.errors import KafkaError


class TransactionOutcome(Enum):
    """How a transaction ended."""

    COMMITTED = auto()
    ABORTED = auto()


class Awaited(Enum):
    """What a ticket waits for."""

    READY = auto()
    COMMIT = auto()
    ABORT = auto()
    OFFSETS = auto()


class OpenTransaction:
    """One transaction, from begin to its outcome.

    Attributes:
        version: VERSION_1 or VERSION_2, the same for all of it.
        producer: the producer id and epoch of all that it sends.
        outcome: None while it is open or being ended.
        cause: the first failure.
        is_commit_asked: the call that ends it is commit().
        is_abort_asked: abort() was called for it.
        started_at: when something of it was first to be sent; None while nothing was.
        is_begun: the coordinator knows of it for sure.
        is_new_epoch_needed: something failed, or may still be in flight (version 1).
        added: the partitions that are part of it (version 1).
        adding: how they become so (version 1).
        offsets: steps of send_offsets that are not done, and the ticket of the call at the last of its steps.
        end: EndTxn, once it is due.
        was_commit_lost: a commit was sent whose answer was lost, and was refused when it was repeated: what came of the
            first is not known before an abort goes through.
        ending_since: when all else was done.
    """

    __slots__ = (
        "added",
        "adding",
        "cause",
        "end",
        "ending_since",
        "is_abort_asked",
        "is_begun",
        "is_commit_asked",
        "is_new_epoch_needed",
        "offsets",
        "outcome",
        "producer",
        "started_at",
        "version",
        "was_commit_lost",
    )

    def __init__(self, version: int, producer: ProducerIdAndEpoch, adding: AddPartitions) -> None:
        self.version = version
        self.producer = producer
        self.outcome: TransactionOutcome | None = None
        self.cause: KafkaError | None = None
        self.is_commit_asked = False
        self.is_abort_asked = False
        self.started_at: float | None = None
        self.is_begun = False
        self.is_new_epoch_needed = False
        self.added: set[TopicPartition] = set()
        self.adding = adding
        self.offsets: list[tuple[AddOffsets | CommitOffsets, TransactionTicket | None]] = []
        self.end: EndTransaction | None = None
        self.was_commit_lost = False
        self.ending_since = math.inf

    @property
    def is_commit_in_doubt(self) -> bool:
        """Whether a commit has gone out and nobody has said for sure what came of it."""
        return self.was_commit_lost or (self.end is not None and self.end.is_commit_in_doubt)

    def forget_end(self) -> None:
        """The end that was asked for is refused; another one follows."""
        self.was_commit_lost |= self.end is not None and self.end.is_commit and self.end.was_lost
        self.end = None


class TransactionTicket:
    """A call that waits for a step of a transaction; the step goes on whether it waits or not.

    Attributes:
        awaited: what for.
        transaction: of which transaction; None for READY.
        since: when the wait began.
        done: it is over.
        error: why it was in vain; None if it was not.
        waiter: the shell's.
    """

    __slots__ = ("awaited", "done", "error", "since", "transaction", "waiter")

    def __init__(self, awaited: Awaited, transaction: OpenTransaction | None, since: float) -> None:
        self.awaited = awaited
        self.transaction = transaction
        self.since = since
        self.done = False
        self.error: KafkaError | None = None
        self.waiter: Any = None  # Any: the shell's own, as in ProducerBatch
