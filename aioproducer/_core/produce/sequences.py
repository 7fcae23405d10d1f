"""Sequence numbers: which one a batch carries, and whether it may be sent now (idempotence: KIP-98, KIP-360).

The broker keeps, per producer id and partition, the last sequence number, and accepts only the next one. So a batch
keeps its number through all retries, up to five batches of a partition are in flight, and batches that are being
retried go one at a time, lowest first, until they have caught up.

Where this differs from the Java producer, the promise is "no acknowledged record lost, doubled or out of order":

- A batch that may have been written is never given a new number: after a gap that needs a new epoch it fails instead,
  with `possibly_written`. (Java numbers it anew, which writes it twice if it had been written.)
- One batch of a partition is in flight until the first acknowledgement in an epoch, as a leader without state accepts
  any number: 1. batch 0 is lost on its way 2. batch 1 arrives and, there being no state, is accepted 3. batch 0 can
  never be accepted any more.
- Every batch that fails with its fate unknown marks its partition, also on its first flight.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from aioproducer._core.accumulator.batch import (
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    BatchState,
    sequence_after,
    sequence_distance,
)
from aioproducer._logger import get_logger

if TYPE_CHECKING:
    from aioproducer._core.accumulator.batch import ProducerBatch

logger = get_logger("aioproducer.idempotence")

NO_PRODUCER_EPOCH: Final = -1
MAX_PRODUCER_EPOCH: Final = 2**15 - 1
MAX_IN_FLIGHT_PER_PARTITION: Final = 5
"""The broker remembers the last five batches; with more under way it could not recognise a repeated one."""


@dataclass(slots=True)
class _Partition:
    """The numbers of one partition. All of `outstanding` carry this producer id and epoch."""

    producer_id: int
    producer_epoch: int
    next_sequence: int = 0
    last_acked: int = NO_SEQUENCE  # the last sequence number known to be in the log; moves forward only
    has_ack: bool = False  # in this epoch
    outstanding: list[ProducerBatch] = field(
        default_factory=list["ProducerBatch"]
    )  # numbered, without outcome; ascending
    unresolved_after: int | None = None  # the number after the last batch whose fate is unknown
    is_reset_due: bool = False  # there is a gap: go on in a new epoch, once nothing is on the wire


FORGOTTEN_MAX: Final = 10_000
"""Of so many partitions of topics that are not used any more the numbers are kept, 2 MB. They cannot just be dropped: a
partition that is sent to again would begin with 0, which the broker may take for a repetition and throw away."""


_Key: TypeAlias = tuple[str, int]
"""Topic and partition, as a plain tuple: a TopicPartition takes 0.25 µs to make, and it is asked for in each step."""


class Sequences:
    """The producer id, its epoch, and the next number of every partition; the only place where numbers are given out.

    Without idempotence none is given and `can_send` is always true.
    """

    def __init__(self, *, is_enabled: bool, is_transactional: bool = False) -> None:
        self.is_enabled = is_enabled
        self._is_transactional = is_transactional
        self.producer_id = NO_PRODUCER_ID
        self.producer_epoch = NO_PRODUCER_EPOCH
        self.epoch_bumps = 0
        self._partitions: dict[_Key, _Partition] = {}
        self._gaps: dict[_Key, _Partition] = {}
        self._forgotten: set[_Key] = set()

    @property
    def has_gaps(self) -> bool:
        """Whether there is something to `close_gaps`."""
        return bool(self._gaps)

    @property
    def known_partitions(self) -> int:
        """Of how many partitions the numbers are kept."""
        return len(self._partitions)

    @property
    def needs_producer_id(self) -> bool:
        """Whether InitProducerId has to be sent."""
        return self.is_enabled and self.producer_id == NO_PRODUCER_ID

    def set_producer_id(self, producer_id: int, producer_epoch: int) -> None:
        """Go on with what InitProducerId gave."""
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch

    def can_send(self, batch: ProducerBatch) -> bool:
        """Whether the batch, the first of its queue, may be sent now."""
        if not self.is_enabled:
            return True
        partition = self._partitions.get((batch.topic, batch.partition))
        if partition is not None and partition.is_reset_due:
            return False
        if batch.base_sequence != NO_SEQUENCE:
            return partition is not None and partition.outstanding[0] is batch
        if self.producer_id == NO_PRODUCER_ID:
            return False
        return partition is None or self._can_number(partition)

    def _can_number(self, partition: _Partition) -> bool:
        if partition.unresolved_after is not None:
            return False
        if not partition.outstanding:
            return True
        is_current = partition.producer_id == self.producer_id and partition.producer_epoch == self.producer_epoch
        # In a transaction, the broker itself keeps a later batch from being the first (its verification guard).
        has_begun = partition.has_ack or self._is_transactional
        return is_current and has_begun and len(partition.outstanding) < MAX_IN_FLIGHT_PER_PARTITION

    def assign(self, batch: ProducerBatch) -> None:
        """Give a batch that is about to be sent its number; one that has a number keeps it."""
        if not self.is_enabled or batch.base_sequence != NO_SEQUENCE:
            return
        key = (batch.topic, batch.partition)
        partition = self._partitions.get(key)
        if partition is None:
            partition = self._partitions[key] = _Partition(self.producer_id, self.producer_epoch)
        elif (partition.producer_id, partition.producer_epoch) != (self.producer_id, self.producer_epoch):
            assert not partition.outstanding, "a new epoch begins when nothing of the old one is outstanding"
            self._adopt(partition)
        self._number(partition, batch)
        partition.outstanding.append(batch)

    # ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────────

    def on_delivered(self, batch: ProducerBatch) -> None:
        """The batch is in the log. Acknowledgements may come in any order."""
        self._acknowledge(batch)

    def on_late_delivery(self, batch: ProducerBatch) -> None:
        """A batch that has failed (expired) was written after all; this may close the gap it left."""
        self._acknowledge(batch)

    def _acknowledge(self, batch: ProducerBatch) -> None:
        partition = self._state_of(batch)
        if partition is None:
            return
        self._drop(partition, batch)
        last = sequence_after(batch.base_sequence, batch.count - 1)
        if partition.last_acked == NO_SEQUENCE or sequence_distance(partition.last_acked, last) > 0:
            partition.last_acked = last
        partition.has_ack = True

    def on_failed(self, batch: ProducerBatch) -> None:
        """The batch has failed for good. If it had a number, there is now a gap, certain or possible."""
        partition = self._state_of(batch)
        if partition is None:
            return
        self._drop(partition, batch)
        if self._is_transactional:
            return  # its transaction is aborted, and the next one begins in a new epoch
        if batch.possibly_written:
            self._mark_unresolved(partition, sequence_after(batch.base_sequence, batch.count))
        else:
            partition.is_reset_due = True
        self._gaps[(batch.topic, batch.partition)] = partition

    def on_late_refusal(self, batch: ProducerBatch) -> None:
        """A batch that has failed (expired) turns out never to have been written: its gap is certain."""
        partition = self._state_of(batch)
        if partition is not None and partition.unresolved_after is not None:
            self._reset_later(batch, partition)

    def on_out_of_order(self, batch: ProducerBatch) -> bool:
        """The broker misses a batch before this one. Collateral of a retry needs nothing; else there is a real gap.

        Returns:
            Whether an earlier batch has to go first anyway, so that waiting for the backoff is of no use.
        """
        partition = self._state_of(batch)
        if partition is None:
            return False
        if self._is_transactional:
            return partition.outstanding[0] is not batch
        is_next = batch.base_sequence == sequence_after(partition.last_acked, 1)  # -1, nothing acknowledged, gives 0
        proves_gap = partition.unresolved_after == batch.base_sequence
        if proves_gap or (partition.unresolved_after is None and is_next and not self._is_fresh(partition, batch)):
            self._reset_later(batch, partition)
        return partition.outstanding[0] is not batch

    def on_unknown_producer(self, batch: ProducerBatch, log_start_offset: int) -> None:
        """The broker has lost the state of this producer: go on in a new epoch, unless it just has."""
        partition = self._state_of(batch)
        if partition is not None and log_start_offset >= 0 and not self._is_fresh(partition, batch):
            self._reset_later(batch, partition)

    @staticmethod
    def _is_fresh(partition: _Partition, batch: ProducerBatch) -> bool:
        # Number 0 of an epoch in which nothing was acknowledged: another epoch would give the same request again. It is
        # retried as it is, at most until delivery_timeout_ms.
        return batch.base_sequence == 0 and not partition.has_ack and partition.producer_epoch > 0

    def on_split(self, batch: ProducerBatch, children: list[ProducerBatch]) -> None:
        """The children, which have no numbers yet, stand in the place of the batch: theirs are its own, in order."""
        if batch.base_sequence == NO_SEQUENCE:
            return
        sequence = batch.base_sequence
        for child in children:
            child.producer_id = batch.producer_id
            child.producer_epoch = batch.producer_epoch
            child.base_sequence = sequence
            sequence = sequence_after(sequence, child.count)
        partition = self._state_of(batch)
        if partition is None:
            return  # of an epoch that is over
        at = partition.outstanding.index(batch)
        partition.outstanding[at : at + 1] = children

    def on_topic_recreated(self, topic: str, partition_count: int) -> None:
        """The topic was made anew, so its leaders have no state and accept any number: one batch at a time again."""
        for number in range(partition_count):
            partition = self._partitions.get((topic, number))
            if partition is not None:
                partition.has_ack = False

    def on_topic_forgotten(self, topic: str, partition_count: int) -> None:
        """Nothing is sent to the topic for now. Many of those are dropped together, for the price of an epoch.

        In a new epoch every partition begins with 0 anyway, so what is kept of older ones says nothing.
        """
        keys = [(topic, number) for number in range(partition_count)]
        self._forgotten.update([key for key in keys if key in self._partitions])
        if len(self._forgotten) < FORGOTTEN_MAX:
            return
        self._drop_of_older_epochs()
        # The epoch of a transactional producer is the coordinator's to give; its partitions are dropped as it comes.
        if not self._is_transactional and len(self._forgotten) >= FORGOTTEN_MAX:
            self._bump()
            self._drop_of_older_epochs()

    def _drop_of_older_epochs(self) -> None:
        current = (self.producer_id, self.producer_epoch)
        self._partitions = {
            key: partition
            for key, partition in self._partitions.items()
            if (partition.producer_id, partition.producer_epoch) == current
            or partition.outstanding
            or key in self._gaps
        }
        self._forgotten.intersection_update(self._partitions)

    # ── gaps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def close_gaps(self) -> list[ProducerBatch]:
        """Close the gaps that can be closed; return the batches that must fail as they may have been written.

        The caller fails them without telling `on_failed`. Cost: the partitions with a gap.
        """
        doomed: list[ProducerBatch] = []
        for key, partition in list(self._gaps.items()):
            self._resolve(partition)
            if partition.is_reset_due and not any(b.state is BatchState.IN_FLIGHT for b in partition.outstanding):
                doomed += self._reset(key, partition)
            if partition.unresolved_after is None and not partition.is_reset_due:
                del self._gaps[key]
        return doomed

    @staticmethod
    def _resolve(partition: _Partition) -> None:
        if partition.unresolved_after is None or partition.outstanding:
            return
        if partition.next_sequence == sequence_after(partition.last_acked, 1):
            partition.unresolved_after = None  # a later batch was accepted, so the one in doubt had been written
        else:
            partition.is_reset_due = True

    def _reset(self, key: _Key, partition: _Partition) -> list[ProducerBatch]:
        if (partition.producer_id, partition.producer_epoch) == (self.producer_id, self.producer_epoch):
            self._bump()
        if self.producer_id == NO_PRODUCER_ID:
            return []  # until InitProducerId has given a new one
        doomed = [batch for batch in partition.outstanding if batch.possibly_written]
        remaining = [batch for batch in partition.outstanding if not batch.possibly_written]
        logger.info(
            "partition %s-%d goes on in producer epoch %d: %d batches numbered anew, %d failed as they may be written",
            *key,
            self.producer_epoch,
            len(remaining),
            len(doomed),
            extra={
                "event_name": "sequences_reset",
                "topic": key[0],
                "partition": key[1],
                "producer_epoch": self.producer_epoch,
                "renumbered": len(remaining),
                "failed": len(doomed),
            },
        )
        self._adopt(partition)
        for batch in remaining:
            self._number(partition, batch)
        partition.outstanding = remaining
        return doomed

    def _bump(self) -> None:
        self.epoch_bumps += 1
        if self.producer_epoch >= MAX_PRODUCER_EPOCH:
            self.set_producer_id(NO_PRODUCER_ID, NO_PRODUCER_EPOCH)
        else:
            self.producer_epoch += 1

    def _adopt(self, partition: _Partition) -> None:
        partition.producer_id = self.producer_id
        partition.producer_epoch = self.producer_epoch
        partition.next_sequence = 0
        partition.last_acked = NO_SEQUENCE
        partition.has_ack = False
        partition.unresolved_after = None
        partition.is_reset_due = False

    @staticmethod
    def _number(partition: _Partition, batch: ProducerBatch) -> None:
        batch.producer_id = partition.producer_id
        batch.producer_epoch = partition.producer_epoch
        batch.base_sequence = partition.next_sequence
        partition.next_sequence = sequence_after(partition.next_sequence, batch.count)

    def _reset_later(self, batch: ProducerBatch, partition: _Partition) -> None:
        partition.is_reset_due = True
        self._gaps[(batch.topic, batch.partition)] = partition

    @staticmethod
    def _mark_unresolved(partition: _Partition, after: int) -> None:
        if partition.unresolved_after is None or sequence_distance(partition.unresolved_after, after) > 0:
            partition.unresolved_after = after

    @staticmethod
    def _drop(partition: _Partition, batch: ProducerBatch) -> None:
        if batch in partition.outstanding:
            partition.outstanding.remove(batch)

    def _state_of(self, batch: ProducerBatch) -> _Partition | None:
        """Return the state of its partition; None if the batch has no number, or one of an epoch that is over."""
        if batch.base_sequence == NO_SEQUENCE:
            return None
        partition = self._partitions.get((batch.topic, batch.partition))
        if partition is None or partition.producer_id != batch.producer_id:
            return None
        return partition if partition.producer_epoch == batch.producer_epoch else None
