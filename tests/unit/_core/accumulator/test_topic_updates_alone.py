"""TopicUpdates on its own: leaders move, topics open and close, idle ones are forgotten."""

from __future__ import annotations

from aioproducer._core.accumulator.topic_updates import TopicUpdates
from aioproducer._core.accumulator.wait_queue import WaitQueue
from tests.unit._core.accumulators import TIMESTAMP, Parts, cluster, parts


def made() -> tuple[Parts, TopicUpdates]:
    of = parts()
    queue = WaitQueue(of.appender, of.topics, of.flushes)
    of.appender.topic("t")
    return of, TopicUpdates(of.topics, of.appender, of.schedule, queue)


def append(to: Parts) -> None:
    assert to.appender.try_append("t", 0, None, b"v", None, TIMESTAMP, 0.0) is not None


def test_a_known_topic_is_open_and_a_lost_one_is_not() -> None:
    of, updates = made()
    updates.update(cluster({"t": [0]}), 0.0)
    assert of.appender.is_open("t")
    updates.update(cluster({}), 1.0)
    assert not of.appender.is_open("t")


def test_queues_follow_their_leader() -> None:
    of, updates = made()
    updates.update(cluster({"t": [0]}), 0.0)
    append(of)
    updates.update(cluster({"t": [2]}), 1.0)
    assert [node for node, queues in of.schedule.nodes.items() if queues.queues] == [2]
    updates.update(cluster({}), 2.0)
    assert of.schedule.leaderless == {"t": 1}


def test_an_idle_topic_is_forgotten_and_known_at_once_when_it_is_asked_for_again() -> None:
    of, updates = made()
    updates.update(cluster({"t": [0]}), 0.0)
    updates.forget("t", 1.0)
    updates.forget("t", 1.0)
    assert of.topics.get("t") is None
    assert not of.appender.is_open("t")
    assert of.appender.topic("t").is_known
    assert of.appender.is_open("t")


def test_a_busy_topic_is_kept_and_looked_up_again() -> None:
    of, updates = made()
    updates.update(cluster({"t": [0]}), 0.0)
    append(of)
    updates.forget("t", 1.0)
    state = of.topics.get("t")
    assert state is not None
    assert not state.is_known
