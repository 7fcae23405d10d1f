"""Every transaction of a history, what its calls were told, and whether a reader of committed data sees the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from aioproducer import OffsetAndMetadata, ProducerClosedError, TopicPartition
from aioproducer.errors import CommitOutcomeUnknownError, KafkaError, KafkaTimeoutError, TransactionAbortedError
from aioproducer.testing._assertions import records_of
from aioproducer.testing._broker.transactions import TransactionState

if TYPE_CHECKING:
    from aioproducer import Producer, Transaction
    from aioproducer.testing._broker.state import ClusterState
    from tests.simulation_producer.ledger import Entry, Ledger


class Told(Enum):
    """What the calls that end a transaction have told of it."""

    NOTHING = auto()
    COMMITTED = auto()
    ABORTED = auto()


@dataclass(eq=False)
class Work:
    """One transaction.

    Attributes:
        number: of the transaction.
        since: the records from that entry of the ledger on belong to it, until the next transaction.
        has_offsets: offsets were given to it.
        told: how it ended.
        commits: so often commit was called.
        is_refused: the first commit ended for good, and was told to have had no effect.
    """

    number: int
    transaction: Transaction
    since: int
    has_offsets: bool = False
    told: Told = Told.NOTHING
    commits: int = 0
    is_refused: bool = False

    @property
    def group(self) -> str:
        """The group that only this transaction commits offsets for."""
        return f"group-{self.number}"

    def __str__(self) -> str:
        return f"transaction {self.number} ({self.told.name})"


class Works:
    """Makes the calls of transactions and keeps what they were told.

    Args:
        topic: one that exists, for whose partition 0 the offsets are.
    """

    def __init__(self, transactional_id: str, ledger: Ledger, topic: str) -> None:
        self.all: list[Work] = []
        self.committing = 0
        self._id = transactional_id
        self._tp = TopicPartition(topic, 0)
        self._ledger = ledger

    async def begin(self, producer: Producer[Any, Any]) -> Work:
        """Producer.begin_transaction."""
        return self.note(await producer.begin_transaction())

    def note(self, transaction: Transaction) -> Work:
        """Keep a transaction that has just begun."""
        work = Work(len(self.all), transaction, len(self._ledger.entries))
        self.all.append(work)
        return work

    async def send_offsets(self, work: Work) -> None:
        """Transaction.send_offsets, for a group of its own."""
        work.has_offsets = True
        await work.transaction.send_offsets({self._tp: OffsetAndMetadata(7)}, work.group)

    async def commit(self, work: Work) -> None:
        """Transaction.commit."""
        work.commits += 1
        self.committing += 1
        try:
            await work.transaction.commit()
        except TransactionAbortedError:
            self._tell(work, Told.ABORTED)
            raise
        except KafkaError as error:
            is_final = error.fatal or isinstance(error, ProducerClosedError)
            # A later call is refused as one to a closed producer; of the commit itself only the first is told.
            work.is_refused = is_final and work.commits == 1 and not error.possibly_written
            raise
        finally:
            self.committing -= 1
        self._tell(work, Told.COMMITTED)

    async def abort(self, work: Work) -> None:
        """Transaction.abort."""
        await work.transaction.abort()
        self._tell(work, Told.ABORTED)

    async def end(self, work: Work, *, is_commit: bool) -> None:
        """Commit or abort, as often as it takes.

        Raises:
            KafkaError: the producer cannot go on.
        """
        while work.told is Told.NOTHING:
            try:
                await (self.commit(work) if is_commit else self.abort(work))
            except (CommitOutcomeUnknownError, KafkaTimeoutError, TransactionAbortedError):
                continue
            except KafkaError as error:
                if error.fatal or not is_commit:
                    raise
                is_commit = False

    def _tell(self, work: Work, told: Told) -> None:
        assert work.told in (Told.NOTHING, told), f"{work} was told to be {told.name}"
        work.told = told

    # ── the verdict ──────────────────────────────────────────────────────────────────────────────────────────────────

    def problems(self, state: ClusterState, *, is_settled: bool = True) -> list[str]:
        """What is wrong, now that the producer is closed.

        Args:
            is_settled: all was well in the end, so that nothing may be left open.
        """
        topics = {entry.topic for entry in self._ledger.entries}
        seen = Counter(record.value for topic in topics for record in records_of(state, topic, "read_committed"))
        found = [problem for work in self.all for problem in self._problems(work, state, seen)]
        return found + self._left_open(state) if is_settled else found

    def _problems(self, work: Work, state: ClusterState, seen: Counter[bytes | None]) -> list[str]:
        entries = self._entries(work)
        visible = [str(entry) for entry in entries if seen[entry.value]]
        hidden = [str(entry) for entry in entries if not seen[entry.value]]
        if work.has_offsets:
            is_committed = self._tp in state.groups.offsets(work.group)
            (visible if is_committed else hidden).append("its offsets")
        if work.told is Told.COMMITTED and hidden:
            return [f"{work}: hidden are {hidden}"]
        if work.told is Told.ABORTED and visible:
            return [f"{work}: visible are {visible}"]
        if work.is_refused and visible:
            return [f"{work}: its commit was told to have had no effect; visible are {visible}"]
        if visible and hidden:
            return [f"{work}: visible are {visible}, hidden are {hidden}"]
        return []

    def _entries(self, work: Work) -> list[Entry]:
        """The records that were accepted while it was open."""
        following = self.all[work.number + 1 :][:1]
        until = following[0].since if following else None
        return [entry for entry in self._ledger.entries[work.since : until] if entry.deliveries]

    def _left_open(self, state: ClusterState) -> list[str]:
        found = [
            f"{partition.topic}-{partition.index} can be read to {partition.last_stable_offset} only"
            for partition in state.partitions()
            if partition.last_stable_offset < partition.high_watermark
        ]
        known = state.transactions.get(self._id)
        if known is not None and (known.is_ending or known.state is TransactionState.ONGOING):
            found.append(f"the coordinator has it {known.state.name}")
        found += [
            f"offsets of transaction {work.number} are neither committed nor dropped"
            for work in self.all
            if state.groups.is_pending(work.group, self._tp)
        ]
        return found
