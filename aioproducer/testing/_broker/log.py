"""The log of one partition: its batches, and which of them may be read. (Java class UnifiedLog)"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple


class StoredBatch(NamedTuple):
    """One RecordBatch in the log: its bytes, with base offset and leader epoch set, and what is asked often."""

    base_offset: int
    last_offset: int
    data: bytes
    max_timestamp: int
    producer_id: int
    is_transactional: bool
    is_control: bool


class AbortedTransaction(NamedTuple):
    """A transaction that was aborted, for readers that are to skip it."""

    producer_id: int
    first_offset: int
    last_offset: int


class PartitionLog:
    """The batches of a partition in offset order.

    Attributes:
        start_offset: the first offset that is still there.
        end_offset: the offset that the next record gets.
        size_bytes: bytes of all batches.
        aborted: transactions that were aborted, in the order of their markers.
    """

    def __init__(self) -> None:
        self.start_offset: int = 0
        self.end_offset: int = 0
        self.size_bytes: int = 0
        self.aborted: list[AbortedTransaction] = []
        self._batches: list[StoredBatch] = []
        self._base_offsets: list[int] = []

    @property
    def batches(self) -> list[StoredBatch]:
        """All batches, oldest first; do not change."""
        return self._batches

    def append(self, batch: StoredBatch) -> None:
        """Append a batch; its base offset is `end_offset`."""
        assert batch.base_offset == self.end_offset
        self._batches.append(batch)
        self._base_offsets.append(batch.base_offset)
        self.end_offset = batch.last_offset + 1
        self.size_bytes += len(batch.data)

    def read(self, offset: int, max_bytes: int, before: int, *, at_least_one: bool = True) -> list[bytes]:
        """Whole batches from `offset` on: at most `max_bytes`, but the first if need be, and none reaches `before`."""
        index = max(0, bisect_right(self._base_offsets, offset) - 1)
        found: list[bytes] = []
        size = 0
        for batch in self._batches[index : index + 4096]:
            if batch.last_offset < offset:
                continue
            if batch.last_offset >= before or ((found or not at_least_one) and size + len(batch.data) > max_bytes):
                break
            found.append(batch.data)
            size += len(batch.data)
        return found

    def first_at(self, timestamp_ms: int) -> StoredBatch | None:
        """The first batch with a record of that time or later."""
        return next((batch for batch in self._batches if batch.max_timestamp >= timestamp_ms), None)

    def aborted_between(self, offset: int, before: int) -> list[AbortedTransaction]:
        """The aborted transactions that a reader of [offset, before) must know of."""
        return [each for each in self.aborted if each.last_offset >= offset and each.first_offset < before]

    def truncate(self, offset: int) -> None:
        """Lose everything from `offset` on, in whole batches."""
        while self._batches and self._batches[-1].last_offset >= offset:
            self.size_bytes -= len(self._batches.pop().data)
            self._base_offsets.pop()
        self.end_offset = self._batches[-1].last_offset + 1 if self._batches else min(self.end_offset, offset)
        self.start_offset = min(self.start_offset, self.end_offset)
        self.aborted = [each for each in self.aborted if each.last_offset < self.end_offset]

    def retain(self, size_bytes: int) -> None:
        """Delete the oldest batches until no more than `size_bytes` are left; the last batch always stays."""
        surplus = self.size_bytes - size_bytes
        count = 0
        while surplus > 0 and count < len(self._batches) - 1:
            surplus -= len(self._batches[count].data)
            count += 1
        if count:
            self.size_bytes -= sum(len(batch.data) for batch in self._batches[:count])
            del self._batches[:count], self._base_offsets[:count]
            self.start_offset = self._base_offsets[0]
