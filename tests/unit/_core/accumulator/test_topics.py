"""What is kept for each topic."""

from __future__ import annotations

import pytest

from aioproducer._core.accumulator.topics import TopicState
from tests.unit._core.accumulators import cluster, topic

BROKERS = cluster({}).brokers


def known(*leaders: int) -> TopicState:
    state = TopicState("t", 1000)
    state.learn(topic("t", leaders), BROKERS)
    return state


def test_the_view_has_all_partitions_and_those_with_a_leader() -> None:
    view = known(0, -1, 9, 2).view  # 9 is no broker
    assert view is not None
    assert (view.partition_count, view.available) == (4, (0, 3))


def test_a_queue_has_the_leader_that_is_known_when_it_is_made() -> None:
    state = known(2, 9)
    assert [state.queue(partition).leader for partition in (0, 1, 7)] == [2, -1, -1]
    assert state.queue(0) is state.queue(0)


def test_a_lost_topic_keeps_its_view_but_has_no_partitions_to_append_to() -> None:
    state = known(0)
    state.lose()
    assert state.view is not None
    assert not state.has_partition(0)
    assert state.leader_of(0) == (-1, -1)


def test_a_topic_without_partitions_is_not_known() -> None:
    assert not known().is_known


@pytest.mark.parametrize(("observed", "expected"), [(0.5, 0.995), (0.998, 0.998), (1.02, 1.05), (1.5, 1.5), (1.0, 1.0)])
def test_the_ratio_worsens_at_once_and_improves_by_steps(observed: float, expected: float) -> None:
    state = TopicState("t", 1000)
    state.observe_ratio(observed)
    assert state.ratio == pytest.approx(expected)


def test_an_unused_topic_is_idle() -> None:
    state = known(0)
    assert (state.is_busy, state.is_awaited) == (False, False)
    state.unfinished = 1
    assert (state.is_busy, state.is_awaited) == (True, False)
