"""States that take long to get into: sequence numbers about to wrap, epochs about to run out.

And how the tests reach inside the core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioproducer.records import TopicPartition
from aioproducer.testing._broker.transactions import Transaction
from tests.simulation.transactional import ID

if TYPE_CHECKING:
    from aioproducer._core.batch import ProducerBatch
    from aioproducer._core.sender import Sender
    from aioproducer.testing._broker import ClusterCore


def inside(owner: object, *names: str) -> Any:  # Any: a part of the core that is private to it
    """Return a private part of the core, by the attributes that lead to it."""
    part: Any = owner
    for name in names:
        part = getattr(part, name)
    return part


def near_the_wrap(sender: Sender, first_sequence: int) -> None:
    """Have each partition begin with this sequence number, as if all before it had been acknowledged long ago.

    The brokers know nothing of the producer then, as after producer.id.expiration.ms, and take any number.
    """
    sequences = inside(sender, "_sequences")
    partitions: dict[TopicPartition, Any] = inside(sequences, "_partitions")
    assign = sequences.assign
    begun: set[TopicPartition] = set()

    def assign_near_the_wrap(batch: ProducerBatch) -> None:
        tp = TopicPartition(batch.topic, batch.partition)
        is_new = tp not in begun and tp not in partitions
        begun.add(tp)
        if is_new and sequences.is_enabled:
            count, batch.count = batch.count, 0
            assign(batch)  # makes the partition's state; numbers nothing
            batch.count = count
            known = partitions[tp]
            known.outstanding.clear()
            known.next_sequence = first_sequence
            known.last_acked = first_sequence - 1
            batch.base_sequence = -1
        assign(batch)

    sequences.assign = assign_near_the_wrap


def put_at_epoch(cluster: ClusterCore, epoch: int) -> None:
    """Have the coordinator know the transactional id, and many producers that had it: the next one gets this epoch."""
    known = Transaction(ID, cluster.state.new_producer_id(), 60_000, epoch=epoch - 1)
    inside(cluster.state.transactions, "_by_id")[ID] = known
