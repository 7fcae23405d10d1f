"""The WaitQueue on its own: what it does to its calls when their topic is known, lost or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.accumulator.wait_queue import WaitQueue
from aioproducer._core.accumulator.waiting import PendingState
from aioproducer.errors import KafkaError
from tests.unit._core.accumulators import TIMESTAMP, Parts, cluster, parts

if TYPE_CHECKING:
    from aioproducer._core.accumulator.waiting import PendingAppend


def made() -> tuple[Parts, WaitQueue]:
    of = parts()
    return of, WaitQueue(of.appender, of.topics, of.flushes)


def enqueue(queue: WaitQueue, partition: int | None = None, *, accepted: bool = False) -> PendingAppend:
    return queue.enqueue("t", partition, None, b"v", None, TIMESTAMP, 0.0, 60.0, accepted=accepted)


def learn(of: Parts, partitions: int) -> None:
    snapshot = cluster({"t": [0] * partitions})
    of.appender.topic("t").learn(snapshot.topics["t"], snapshot.brokers)


def test_a_known_topic_grants_its_calls_and_sets_those_apart_that_name_no_partition_of_it() -> None:
    of, queue = made()
    first, absent, last = enqueue(queue), enqueue(queue, 3), enqueue(queue)
    assert (queue.has_news, queue.take_wanted_topics()) == (True, {"t"})
    learn(of, 1)
    state = of.topics.states["t"]
    queue.on_topic_known(state, 1.0)
    assert queue.take_woken() == [first, last]
    assert list(state.awaiting_partition) == [absent]
    assert queue.complete_append(last, 1.0, TIMESTAMP).values == [b"v", b"v"]
    assert first.state is PendingState.APPENDED
    assert of.appender.is_open("t")


def test_a_lost_topic_has_those_who_named_a_partition_wait_behind_the_others() -> None:
    of, queue = made()
    learn(of, 1)
    absent = enqueue(queue, 3)
    state = of.topics.states["t"]
    state.lose()
    queue.on_topic_lost(state)
    assert (list(state.call_queue), list(state.awaiting_partition)) == ([absent], [])


def test_a_refused_topic_fails_its_calls_and_gives_their_memory_back() -> None:
    of, queue = made()
    before = of.appender.free_bytes
    call, accepted, lookup = enqueue(queue), enqueue(queue, accepted=True), queue.wait_for_topic("t", 0.0, 60.0)
    error = KafkaError("no")
    queue.on_topic_refused(of.topics.states["t"], error)
    assert [entry.error for entry in (call, accepted, lookup)] == [error] * 3
    assert queue.take_woken() == [lookup, call, accepted]
    assert of.appender.free_bytes == before
    assert (queue.take_wanted_topics(), queue.has_waiting_appends, queue.next_deadline()) == (set(), False, None)


def test_closing_spares_what_was_accepted_and_failing_all_does_not() -> None:
    _, queue = made()
    call, accepted = enqueue(queue), enqueue(queue, accepted=True)
    error = KafkaError("closed")
    queue.fail_calls(error)
    assert (call.error, accepted.error) == (error, None)
    queue.fail_all(error)
    assert accepted.error is error


def test_transactions_fail_appends_and_spare_those_who_look_a_topic_up() -> None:
    _, queue = made()
    call, lookup = enqueue(queue), queue.wait_for_topic("t", 0.0, 60.0)
    queue.fail_appends(KafkaError("aborted"))
    assert (call.state, lookup.done) == (PendingState.FAILED, False)
