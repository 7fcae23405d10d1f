"""Where records that may go anywhere go while a broker cannot be reached, or a partition's batch is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit._core.accumulators import accumulator, append, cluster, drain

if TYPE_CHECKING:
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._types import TopicView


def chosen(accumulate: Accumulator, count: int = 60, now: float = 1.0) -> set[int]:
    return {append(accumulate, partition=None, now=now).partition for _ in range(count)}


def test_the_present_choice_is_left_at_once_when_its_leader_stalls() -> None:
    accumulate = accumulator({"t": [0, 1, 0, 1]})
    first = append(accumulate, partition=None, now=0.0).partition
    leader = (0, 1, 0, 1)[first]
    accumulate.avoid_brokers(frozenset({leader}))
    later = append(accumulate, partition=None, now=0.0).partition
    assert (0, 1, 0, 1)[later] != leader


def test_none_is_drawn_that_a_stalled_broker_leads_and_all_are_again_after_it() -> None:
    accumulate = accumulator({"t": [0, 1, 0, 1]}, batch_size=0)
    accumulate.avoid_brokers(frozenset({1}))
    assert chosen(accumulate) == {0, 2}
    accumulate.avoid_brokers(frozenset())
    assert chosen(accumulate) == {0, 1, 2, 3}


def test_all_are_drawn_when_nothing_moves() -> None:
    accumulate = accumulator({"t": [0, 1]}, batch_size=0)
    accumulate.avoid_brokers(frozenset({0, 1}))
    assert chosen(accumulate) == {0, 1}


def test_one_that_sticks_stays_where_it_is_when_there_is_no_better() -> None:
    accumulate = accumulator({"t": [0, 1]})
    first = append(accumulate, partition=None, now=0.0)
    accumulate.avoid_brokers(frozenset({0, 1}))
    assert append(accumulate, partition=None, now=0.0) is first


def test_keys_and_numbers_go_where_they_must() -> None:
    accumulate = accumulator({"t": [0, 1]})
    accumulate.avoid_brokers(frozenset({1}))
    assert append(accumulate, partition=1).partition == 1
    assert {append(accumulate, partition=None, key=bytes([i])).partition for i in range(40)} == {0, 1}


def test_a_leader_that_is_elected_elsewhere_is_used() -> None:
    accumulate = accumulator({"t": [0, 1]}, batch_size=0)
    accumulate.avoid_brokers(frozenset({1}))
    assert chosen(accumulate) == {0}
    accumulate.update_topics(cluster({"t": [0, 2]}), 1.0)
    assert chosen(accumulate) == {0, 1}


def test_a_topic_that_is_new_knows_of_it() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=0)
    accumulate.avoid_brokers(frozenset({1}))
    accumulate.wait_for_topic("u", 0.0, 1000.0)
    accumulate.update_topics(cluster({"t": [0], "u": [0, 1]}), 0.0)
    assert {append(accumulate, topic="u", partition=None).partition for _ in range(40)} == {0}


def test_a_partitioner_sees_what_moves() -> None:
    seen: list[tuple[int, ...]] = []

    def partitioner(view: TopicView, key: bytes | None, value: bytes | None) -> int:
        seen.append(view.available)
        return 0

    accumulate = accumulator({"t": [0, 1, 0]}, partitioner=partitioner)
    for stalled in (frozenset[int](), frozenset({0}), frozenset({0, 1})):
        accumulate.avoid_brokers(stalled)
        append(accumulate, partition=None)
    assert seen == [(0, 1, 2), (1,), (0, 1, 2)]


def test_a_partition_whose_batch_is_refused_is_left_until_it_is_sent_again() -> None:
    accumulate = accumulator({"t": [0, 0, 0]}, batch_size=0)
    batch = append(accumulate, partition=1, now=0.0)
    accumulate.ready_nodes(1.0)
    assert drain(accumulate, 0, 1.0) == [batch]
    accumulate.requeue(batch, 1.0, retry_at=2.0)
    assert chosen(accumulate, now=1.5) == {0, 2}
    accumulate.tick(2.0)
    assert chosen(accumulate, now=2.0) == {0, 1, 2}


def test_the_present_choice_is_left_when_its_batch_is_refused() -> None:
    accumulate = accumulator({"t": [0, 0]})
    batch = append(accumulate, partition=None, now=0.0)
    accumulate.ready_nodes(1.0)
    assert drain(accumulate, 0, 1.0) == [batch]
    assert append(accumulate, partition=None, now=1.0).partition == batch.partition
    accumulate.requeue(batch, 1.0, retry_at=2.0)
    assert append(accumulate, partition=None, now=1.0).partition != batch.partition


@pytest.mark.parametrize("stalled", [frozenset[int](), frozenset({1})])
def test_that_a_broker_was_avoided_is_noted(stalled: frozenset[int]) -> None:
    accumulate = accumulator({"t": [0, 1]}, batch_size=0)
    accumulate.avoid_brokers(stalled)
    chosen(accumulate)
    assert accumulate.has_avoided is bool(stalled)
