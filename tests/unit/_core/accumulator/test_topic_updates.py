"""What news of a topic does to the calls that wait for it: known, refused, lost, with more partitions."""

from __future__ import annotations

import pytest

from aioproducer._core.accumulator.accumulator import PendingState
from aioproducer.errors import ErrorCode, InvalidTopicError
from aioproducer.errors._from_code import error_for
from tests.unit._core.accumulators import (
    TIMESTAMP,
    accumulator,
    append,
    cluster,
    complete,
    deliver,
    enqueue,
    full,
)


def test_an_unknown_topic_is_wanted_once_and_its_calls_go_on_in_their_order_when_it_is_known() -> None:
    accumulate = accumulator()
    waiting = [enqueue(accumulate, value=b"%d" % i) for i in range(3)]
    assert accumulate.needs_wake
    assert accumulate.take_wanted_topics() == {"t"}
    assert accumulate.take_wanted_topics() == set()
    accumulate.update_topics(cluster({"other": [0]}), 1.0)
    assert accumulate.take_woken() == []
    accumulate.update_topics(cluster({"t": [0]}), 2.0)
    assert accumulate.take_woken() == waiting
    for pending in waiting:
        complete(accumulate, pending)
    assert append(accumulate, value=b"3").values == [b"0", b"1", b"2", b"3"]


def test_memory_goes_to_the_older_call_though_its_topic_became_known_later() -> None:
    accumulate = full()
    for_topic = enqueue(accumulate, topic="new")
    for_memory = enqueue(accumulate)
    accumulate.update_topics(cluster({"t": [0], "u": [0], "new": [0]}), 1.0)
    deliver(accumulate, 2)
    assert accumulate.take_woken() == [for_topic, for_memory]


def test_a_topic_without_a_leader_does_not_hold_up_calls() -> None:
    accumulate = accumulator({"t": [-1, -1]})
    assert append(accumulate).count == 1


def test_a_topic_that_is_refused_fails_its_calls_at_once() -> None:
    accumulate = accumulator()
    pending = enqueue(accumulate)
    refusal = error_for(ErrorCode.INVALID_TOPIC_EXCEPTION, topic="t")
    accumulate.update_topics(cluster({}, errors={"t": refusal}), 1.0)
    assert accumulate.take_woken() == [pending]
    with pytest.raises(InvalidTopicError):
        accumulate.complete_append(pending, 1.0, TIMESTAMP)


def test_wait_for_topic_tells_the_partitions() -> None:
    accumulate = accumulator()
    waiting = accumulate.wait_for_topic("t", 0.0, 60.0)
    assert (waiting.done, accumulate.take_wanted_topics()) == (False, {"t"})
    accumulate.update_topics(cluster({"t": [0, -1]}), 1.0)
    assert accumulate.take_woken() == [waiting]
    assert waiting.view is not None
    assert (waiting.view.partition_count, waiting.view.available) == (2, (0,))
    known = accumulate.wait_for_topic("t", 2.0, 60.0)
    assert known.view == waiting.view
    assert accumulate.take_woken() == []


def test_a_partition_out_of_range_waits_without_holding_up_others() -> None:
    accumulate = accumulator({"t": [0, 0]})
    pending = enqueue(accumulate, partition=2)
    assert accumulate.take_wanted_topics() == {"t"}
    assert append(accumulate, partition=1).count == 1
    accumulate.update_topics(cluster({"t": [0, 0]}), 1.0)
    assert not pending.is_granted
    accumulate.update_topics(cluster({"t": [0, 0, 0]}), 2.0)
    assert accumulate.take_woken() == [pending]
    assert accumulate.complete_append(pending, 2.0, TIMESTAMP).partition == 2


def test_missing_partitions_are_wanted_again_after_each_answer() -> None:
    accumulate = accumulator({"t": [0]})
    enqueue(accumulate, partition=2)
    accumulate.take_wanted_topics()
    same = cluster({"t": [0, 0]})
    for _ in range(3):
        accumulate.update_topics(same, 1.0)
        assert accumulate.take_wanted_topics() == {"t"}


def test_a_partition_out_of_range_of_a_topic_that_becomes_known_goes_on_waiting() -> None:
    accumulate = accumulator()
    absent, present = enqueue(accumulate, partition=5), enqueue(accumulate, partition=0)
    accumulate.update_topics(cluster({"t": [0]}), 1.0)
    assert accumulate.take_woken() == [present]
    assert not absent.is_granted


def test_a_call_whose_partition_comes_to_be_stands_behind_those_that_have_passed_it() -> None:
    accumulate = full()
    absent = enqueue(accumulate, "u", 1)
    before = enqueue(accumulate, "u", 0)
    accumulate.update_topics(cluster({"t": [0], "u": [0, 0]}), 1.0)
    deliver(accumulate, 2)
    assert accumulate.take_woken() == [before, absent]
    assert complete(accumulate, absent) == b"v"


def test_an_accepted_record_whose_partition_comes_to_be_waits_for_nobody() -> None:
    accumulate = full()
    absent = enqueue(accumulate, "u", 1, accepted=False)
    accumulate.cancel(absent)
    deliver(accumulate)
    absent = enqueue(accumulate, "u", 1, accepted=True)
    waiting = enqueue(accumulate, "u", 0)
    assert waiting.state is PendingState.FOR_MEMORY
    accumulate.update_topics(cluster({"t": [0], "u": [0, 0]}), 1.0)
    assert absent.state is PendingState.APPENDED


def test_an_idle_topic_can_be_forgotten_and_a_busy_one_is_looked_up_again() -> None:
    accumulate = accumulator({"t": [0], "u": [0]})
    append(accumulate, "u")
    for name in ("t", "u", "never heard of"):
        accumulate.forget_topic(name, 0.0)
    assert accumulate.appender.try_append("t", 0, None, b"v", None, TIMESTAMP, 0.0) is None
    assert accumulate.appender.try_append("u", 0, None, b"v", None, TIMESTAMP, 0.0) is None
    assert accumulate.busy_topics() == ["u"]
    assert set(accumulate.leaderless_topics) == {"u"}
    accumulate.update_topics(cluster({"u": [0]}), 1.0)
    assert append(accumulate, "u").count == 2
