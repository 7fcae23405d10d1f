"""What a partition remembers of each producer. (Java class ProducerStateManager)"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.requests import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aioproducer._records.decode import BatchHeader

REMEMBERED_BATCHES: Final = 5
MAX_SEQUENCE: Final = 2**31 - 1
NO_EPOCH: Final = -1
NO_SEQUENCE: Final = -1


@dataclass(frozen=True, slots=True)
class RememberedBatch:
    """One of the last batches of a producer: enough to answer a repetition as if it were the first time."""

    base_sequence: int
    last_sequence: int
    base_offset: int
    last_offset: int
    timestamp_ms: int


@dataclass(slots=True)
class ProducerEntry:
    """What is known of one producer id in one partition.

    Attributes:
        epoch: the highest epoch seen.
        batches: the last five batches of that epoch, oldest first.
        transaction_start: offset of the first record of its open transaction, or None.
        seen_ms: when its last batch was appended, milliseconds since 1970.
    """

    producer_id: int
    epoch: int = NO_EPOCH
    batches: deque[RememberedBatch] = field(default_factory=lambda: deque[RememberedBatch](maxlen=REMEMBERED_BATCHES))
    transaction_start: int | None = None
    seen_ms: int = 0

    @property
    def last_sequence(self) -> int:
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE


class _Unverified(NamedTuple):
    """A transactional producer whose first batch is not in the log yet (Java class VerificationStateEntry).

    Without it a second batch could be taken although the first was refused by the verification.
    """

    epoch: int
    lowest_sequence: int
    raises_epoch: bool


def last_sequence_of(base_sequence: int, count: int) -> int:
    """The sequence of the last of `count` records; after 2³¹−1 comes 0."""
    return (base_sequence + count - 1) & MAX_SEQUENCE


class Producers:
    """The producers of one partition."""

    def __init__(self) -> None:
        self._entries: dict[int, ProducerEntry] = {}
        self._unverified: dict[int, _Unverified] = {}

    def entry(self, producer_id: int) -> ProducerEntry | None:
        """What is known of a producer id, or None."""
        return self._entries.get(producer_id)

    def find_duplicate(self, header: BatchHeader) -> RememberedBatch | None:
        """The batch that this one repeats, if it is one of the last five: same epoch, same first and last sequence."""
        entry = self._entries.get(header.producer_id)
        if entry is None or entry.epoch != header.producer_epoch:
            return None
        last_sequence = last_sequence_of(header.base_sequence, header.count)
        for batch in reversed(entry.batches):
            if batch.base_sequence == header.base_sequence and batch.last_sequence == last_sequence:
                return batch
        return None

    def check(self, header: BatchHeader) -> None:
        """Refuse a batch that is out of order or of an old epoch; an unknown producer may begin with any sequence.

        Raises:
            Refused: INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER (also for a repetition that is older than five
                batches: no broker of today answers DUPLICATE_SEQUENCE_NUMBER) or INVALID_TXN_STATE.
        """
        sequence = header.base_sequence
        entry = self._entries.get(header.producer_id)
        self._check_verification(header, entry)
        if entry is None:
            return
        if header.producer_epoch < entry.epoch:
            text = f"Producer {header.producer_id} is at epoch {entry.epoch}, the batch has {header.producer_epoch}"
            raise Refused(ErrorCode.INVALID_PRODUCER_EPOCH, text)
        if entry.transaction_start is not None and not header.is_transactional:
            text = f"Expected transactional write from producer {header.producer_id}"
            raise Refused(ErrorCode.INVALID_TXN_STATE, text)
        if header.producer_epoch > entry.epoch:
            if sequence != 0:
                raise _out_of_order(header, "a new epoch begins with sequence 0")
            return
        last = entry.last_sequence
        if sequence != (0 if last == MAX_SEQUENCE else last + 1):
            raise _out_of_order(header, f"the last sequence is {last}")

    def appended(self, header: BatchHeader, base_offset: int, timestamp_ms: int, wall_ms: int) -> None:
        """Remember a batch that is in the log now, appended at wall_ms."""
        entry = self._entry_for(header.producer_id, header.producer_epoch)
        entry.seen_ms = wall_ms
        last_offset = base_offset + header.last_offset_delta
        last_sequence = last_sequence_of(header.base_sequence, header.count)
        entry.batches.append(
            RememberedBatch(header.base_sequence, last_sequence, base_offset, last_offset, timestamp_ms)
        )
        if header.is_transactional:
            self._unverified.pop(header.producer_id, None)
            if entry.transaction_start is None:
                entry.transaction_start = base_offset

    def ended(self, producer_id: int, epoch: int) -> int | None:
        """A marker ended the producer's transaction: returns the offset at which it began, None if it was empty."""
        entry = self._entry_for(producer_id, epoch)
        start, entry.transaction_start = entry.transaction_start, None
        self._unverified.pop(producer_id, None)
        return start

    def first_open_offset(self) -> int | None:
        """Offset at which the oldest open transaction begins, or None when none is open."""
        starts = [entry.transaction_start for entry in self._entries.values() if entry.transaction_start is not None]
        return min(starts, default=None)

    def has_open_transaction(self, producer_id: int, epoch: int) -> bool:
        entry = self._entries.get(producer_id)
        return entry is not None and entry.epoch == epoch and entry.transaction_start is not None

    def to_be_verified(self, header: BatchHeader, *, raises_epoch: bool) -> None:
        """A first batch of a transaction has arrived; whether it is part of one is not known yet.

        Args:
            raises_epoch: the producer speaks transaction.version 2, where every transaction begins with sequence 0.
        """
        seen = self._unverified.get(header.producer_id)
        lowest = header.base_sequence
        if seen is not None and seen.epoch == header.producer_epoch:
            lowest = min(lowest, seen.lowest_sequence)
        self._unverified[header.producer_id] = _Unverified(header.producer_epoch, lowest, raises_epoch)

    def expire(self, producer_id: int, before_ms: int) -> None:
        """Forget the producer if its last batch was appended before that time (producer.id.expiration.ms).

        Kafka looks every ten minutes and goes by the batch's timestamp; here it is the time of the append, at once, so
        that records with timestamps of long ago do not lose their producer.
        """
        entry = self._entries.get(producer_id)
        if entry is not None and entry.seen_ms <= before_ms:
            self.forget([producer_id])

    def forget(self, producer_ids: Iterable[int] | None = None) -> None:
        """Lose the state of these producers, or all, as retention does. Those with an open transaction stay."""
        chosen = list(self._entries) if producer_ids is None else list(producer_ids)
        for producer_id in chosen:
            entry = self._entries.get(producer_id)
            if entry is not None and entry.transaction_start is None:
                del self._entries[producer_id]

    def _check_verification(self, header: BatchHeader, entry: ProducerEntry | None) -> None:
        seen = self._unverified.get(header.producer_id)
        if seen is None or seen.epoch != header.producer_epoch:
            return
        if seen.raises_epoch and header.base_sequence != 0 and (entry is None or not entry.batches):
            raise _out_of_order(header, "a transaction of a producer without state begins with sequence 0")
        if header.base_sequence > seen.lowest_sequence:
            raise _out_of_order(header, f"sequence {seen.lowest_sequence} came first and is not written yet")

    def _entry_for(self, producer_id: int, epoch: int) -> ProducerEntry:
        entry = self._entries.get(producer_id)
        if entry is None:
            entry = self._entries[producer_id] = ProducerEntry(producer_id)
        if entry.epoch != epoch:
            entry.epoch = epoch
            entry.batches.clear()
        return entry


def _out_of_order(header: BatchHeader, why: str) -> Refused:
    who = f"producer {header.producer_id}, epoch {header.producer_epoch}"
    text = f"Out of order sequence {header.base_sequence} of {who}: {why}"
    return Refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, text)
