"""Batches without an outcome: which have expired, and which flush is done when one has its outcome."""

from __future__ import annotations

from aioproducer._core.accumulator.batch import BatchEvent, ProducerBatch
from aioproducer._core.accumulator.flush import FlushEpochs
from aioproducer._core.accumulator.topics import TopicState
from aioproducer._core.accumulator.unfinished import UnfinishedBatches

STATE = TopicState("t", 100)


def made(*created_at: float) -> tuple[UnfinishedBatches, list[ProducerBatch]]:
    """Return batches of these times of creation among the unfinished, with a timeout of 10 seconds."""
    unfinished = UnfinishedBatches(FlushEpochs(), 10.0)
    batches = [ProducerBatch("t", 0, at) for at in created_at]
    for batch in batches:
        unfinished.add(STATE, batch)
    return unfinished, batches


def done(batch: ProducerBatch) -> None:
    for event in (BatchEvent.SEAL, BatchEvent.DRAIN, BatchEvent.COMPLETE):
        batch.apply(event)


def test_batches_expire_at_their_age_oldest_first() -> None:
    unfinished, batches = made(1.0, 2.0, 3.0)
    assert (unfinished.expired(10.9), unfinished.next_expiry()) == ([], 11.0)
    assert unfinished.expired(12.0) == batches[:2]
    assert list(unfinished) == batches  # until they have their outcomes


def test_a_part_of_a_split_expires_with_its_own_age_and_once() -> None:
    unfinished, (young,) = made(5.0)
    part = ProducerBatch("t", 0, 1.0)
    unfinished.add(STATE, part)
    unfinished.watch_part(part)
    assert (unfinished.next_expiry(), unfinished.oldest_at()) == (11.0, 1.0)
    assert unfinished.expired(11.0) == [part]
    assert unfinished.expired(11.0) == []
    assert unfinished.expired(15.0) == [young, part]  # found by age, as it has no outcome still


def test_a_part_that_has_its_outcome_does_not_expire() -> None:
    unfinished, _ = made()
    part = ProducerBatch("t", 0, 1.0)
    unfinished.add(STATE, part)
    unfinished.watch_part(part)
    done(part)
    unfinished.remove(STATE, part)
    assert unfinished.next_expiry() == float("inf")
    assert unfinished.expired(99.0) == []


def test_the_last_outcome_of_its_epoch_ends_a_flush() -> None:
    flushes = FlushEpochs()
    unfinished = UnfinishedBatches(flushes, 10.0)
    state = TopicState("t", 100)
    batches = [ProducerBatch("t", 0, 0.0, flush_epoch=flushes.epoch) for _ in range(2)]
    for batch in batches:
        unfinished.add(state, batch)
    ticket = flushes.begin()
    assert (len(unfinished), state.unfinished) == (2, 2)
    assert unfinished.remove(state, batches[0]) == []
    assert unfinished.remove(state, batches[1]) == [ticket]
    assert (len(unfinished), state.unfinished, unfinished.oldest_at()) == (0, 0, None)
