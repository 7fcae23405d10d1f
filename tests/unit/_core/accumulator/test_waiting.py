"""Entries of those who wait, and their deadlines."""

from __future__ import annotations

import pytest

from aioproducer._core.accumulator.batch import ProducerBatch
from aioproducer._core.accumulator.waiting import Deadlines, PendingAppend, PendingState, PendingTopic
from aioproducer.errors import KafkaError


def pending(deadline: float = 60.0) -> PendingAppend:
    return PendingAppend(
        "t", None, b"k", b"v", (("h", b"x"),), 1, enqueued_at=0.0, deadline=deadline, charge=10, accepted=False
    )


@pytest.mark.parametrize("state", PendingState)
def test_there_is_nothing_left_to_wait_for_but_topic_and_memory(state: PendingState) -> None:
    entry = pending()
    entry.state = state
    assert entry.is_granted == (state not in (PendingState.FOR_TOPIC, PendingState.FOR_MEMORY))


def test_an_entry_whose_wait_is_over_lets_go_of_the_record() -> None:
    entry = pending()
    entry.cancel()
    assert [entry.key, entry.value, entry.headers] == [None] * 3


def test_followers_join_those_whom_the_batch_has_already() -> None:
    entry, batch = pending(), ProducerBatch("t", 0, 0.0)
    batch.waiters, batch.callbacks = [(0, "a")], [(1, "b")]
    entry.waiters, entry.callbacks = [(0, "c")], [(0, "d")]
    entry.append_to(batch, 4)
    assert (entry.batch, entry.index, entry.state) == (batch, 4, PendingState.APPENDED)
    assert (batch.waiters, batch.callbacks) == ([(0, "a"), (4, "c")], [(1, "b"), (4, "d")])


def test_the_soonest_deadline_comes_first_and_ended_waits_are_skipped() -> None:
    deadlines = Deadlines()
    ended = pending(1.0)
    entries: list[PendingAppend | PendingTopic] = [
        pending(3.0),
        ended,
        PendingTopic("t", enqueued_at=0.0, deadline=2.0),
        pending(2.5),
    ]
    for entry in entries:
        deadlines.add(entry)
    assert deadlines.next() == 1.0
    ended.fail(KafkaError("no"))
    assert deadlines.next() == 2.0
    assert deadlines.pop_due(1.9) is None
    assert [deadlines.pop_due(2.5) for _ in range(3)] == [entries[2], entries[3], None]
    assert deadlines.next() == 3.0


def test_a_topic_that_was_found_or_refused_is_done() -> None:
    found = PendingTopic("t", enqueued_at=0.0, deadline=1.0)
    assert not found.done
    found.fail(KafkaError("no"))
    assert found.done
