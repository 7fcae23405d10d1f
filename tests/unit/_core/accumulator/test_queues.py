"""Schedule: which broker's queues are where."""

from __future__ import annotations

import pytest

from aioproducer._core.accumulator.batch import BatchEvent, ProducerBatch
from aioproducer._core.accumulator.queues import PartitionQueue, Schedule, has_newer_leader


def queue_with(*created: float, partition: int = 0, leader: int = 1) -> PartitionQueue:
    """Return a queue with batches of these ages; all but the last are sealed."""
    queue = PartitionQueue("t", partition, leader, 3)
    for at in created:
        batch = ProducerBatch("t", partition, at)
        batch.is_queued = True
        queue.batches.append(batch)
    for batch in list(queue.batches)[:-1]:
        batch.apply(BatchEvent.SEAL)
    return queue


def numbered(sequence: int) -> ProducerBatch:
    batch = ProducerBatch("t", 0, 0.0)
    batch.base_sequence = sequence
    return batch


def test_a_batch_without_a_sequence_goes_back_to_the_front() -> None:
    queue = queue_with(1.0, 2.0)
    batch = ProducerBatch("t", 0, 0.0)
    queue.insert(batch)
    assert queue.batches[0] is batch
    assert batch.is_queued


@pytest.mark.parametrize(
    ("there", "new", "place"),
    [
        ([5, 7], 6, 1),
        ([5, 7], 1, 0),
        ([5, 7], 9, 2),
        ([], 3, 0),
        ([2**31 - 1, 2], 0, 1),
        ([1, 2], 2**31 - 1, 0),
        ([5, -1, -1], 9, 1),
    ],
)
def test_a_sequenced_batch_goes_back_among_the_sequenced(there: list[int], new: int, place: int) -> None:
    queue = PartitionQueue("t", 0)
    queue.batches.extend(numbered(sequence) for sequence in there)
    batch = numbered(new)
    queue.insert(batch)
    assert queue.batches.index(batch) == place


def test_a_queue_without_batches_belongs_to_nobody() -> None:
    schedule = Schedule(0.005)
    queue = queue_with(0.0)
    schedule.place(queue, 0.0)
    assert list(schedule.nodes[1].queues) == [queue]
    queue.batches.clear()
    schedule.place(queue, 0.0)
    assert not schedule.nodes[1].queues


def test_a_queue_that_backs_off_belongs_to_nobody_until_it_is_due() -> None:
    schedule = Schedule(0.005)
    queue = queue_with(0.0, 0.0)
    queue.batches[0].retry_at = 2.0
    schedule.place(queue, 1.0)
    schedule.place(queue, 1.1)
    assert not schedule.nodes
    assert schedule.next_change() == 2.0
    schedule.advance(2.0)
    assert schedule.nodes[1].ready == {queue}
    assert schedule.next_change() == float("inf")


def test_a_backoff_that_was_put_off_is_not_taken_for_due() -> None:
    schedule = Schedule(0.005)
    queue = queue_with(0.0, 0.0)
    for retry_at in (2.0, 3.0):
        queue.batches[0].retry_at = retry_at
        schedule.place(queue, 1.0)
    schedule.advance(2.5)
    assert not schedule.nodes
    assert schedule.next_change() == 3.0


def test_a_newer_leader_counts_only_after_an_attempt() -> None:
    queue = queue_with(0.0)
    batch = queue.batches[0]
    batch.leader_epoch = 2
    assert not has_newer_leader(queue, batch)
    batch.attempts = 1
    assert has_newer_leader(queue, batch)
    batch.leader_epoch = 3
    assert not has_newer_leader(queue, batch)


def test_topics_without_leaders_are_counted_by_their_queues() -> None:
    schedule = Schedule(0.005)
    queues = [queue_with(0.0, partition=p, leader=-1) for p in range(2)]
    for queue in queues:
        schedule.place(queue, 0.0)
        schedule.place(queue, 0.0)
    assert schedule.leaderless == {"t": 2}
    schedule.set_leader(queues[0], 1, 4, 0.0)
    assert schedule.leaderless == {"t": 1}
    queues[1].batches.clear()
    schedule.place(queues[1], 0.0)
    assert schedule.leaderless == {}


def test_a_queue_that_was_served_goes_behind_the_others() -> None:
    schedule = Schedule(0.005)
    queues = [queue_with(0.0, partition=p) for p in range(3)]
    for queue in queues:
        schedule.place(queue, 0.0)
    schedule.serve_last(queues[0])
    assert list(schedule.nodes[1].queues) == [queues[1], queues[2], queues[0]]


def test_an_open_batch_makes_its_queue_ready_when_it_has_lingered() -> None:
    schedule = Schedule(0.005)
    queue = queue_with(1.0)
    schedule.on_opened(queue, queue.batches[0], 1.0)
    assert not schedule.nodes[1].ready
    schedule.advance(1.006)
    assert schedule.nodes[1].ready == {queue}
    assert schedule.open_batches() == [(queue.batches[0], queue)]


def test_a_sealed_batch_lingers_no_more() -> None:
    schedule = Schedule(0.005)
    queue = queue_with(1.0)
    batch = queue.batches[0]
    schedule.on_opened(queue, batch, 1.0)
    batch.apply(BatchEvent.SEAL)
    schedule.forget_linger(batch)
    schedule.place(queue, 1.0)
    assert schedule.nodes[1].ready == {queue}
    assert (schedule.open_batches(), schedule.next_change()) == ([], float("inf"))
