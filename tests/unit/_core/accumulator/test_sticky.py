"""KIP-480 and KIP-794: where records without a key go."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, cast

import pytest

from aioproducer._core.accumulator.sticky import LoadTable, StickyPartition, draw_uniform, load_table
from aioproducer._types import TopicView

if TYPE_CHECKING:
    from collections.abc import Sequence


class Counting:
    """Draws 0, 1, 2 … so that a full cycle shows the exact frequencies."""

    def __init__(self) -> None:
        self.calls = 0

    def randrange(self, stop: int) -> int:
        self.calls += 1
        return (self.calls - 1) % stop


def counting() -> random.Random:
    return cast("random.Random", Counting())


def frequencies(table: LoadTable, draws: int) -> Counter[int]:
    rng = counting()
    return Counter(table.draw(rng) for _ in range(draws))


@pytest.mark.parametrize(
    ("sizes", "weights"),
    [((5, 0, 3, 0, 1), (1, 6, 3, 6, 5)), ((1, 7, 2), (7, 1, 6)), ((0, 3, 1), (4, 1, 3))],
)
def test_shorter_queues_are_drawn_more_often_by_exact_weights(sizes: Sequence[int], weights: Sequence[int]) -> None:
    table = load_table(len(sizes), range(len(sizes)), sizes)
    assert table is not None
    assert frequencies(table, sum(weights)) == dict(enumerate(weights))


def test_equal_queues_need_no_table() -> None:
    assert load_table(3, (0, 1, 2), (4, 4, 4)) is None


def test_equal_queues_need_a_table_when_a_partition_is_left_out() -> None:
    table = load_table(3, (0, 2), (4, 4))
    assert table is not None
    assert frequencies(table, 2) == {0: 1, 2: 1}


def test_there_is_no_table_without_a_usable_partition_or_for_a_single_one() -> None:
    assert load_table(3, (), ()) is None
    assert load_table(1, (0,), (9,)) is None


def test_partitions_without_a_leader_are_never_drawn_unless_all_are() -> None:
    rng = random.Random(3)
    some = TopicView("t", 4, (1, 3))
    assert {draw_uniform(some, rng) for _ in range(100)} == {1, 3}
    assert {draw_uniform(TopicView("t", 4, ()), rng) for _ in range(100)} == {0, 1, 2, 3}


def test_a_switch_is_due_after_batch_size_bytes_at_a_batch_end_and_after_twice_as_many_in_any_case() -> None:
    sticky = StickyPartition(100)
    sticky.switch(2)
    sticky.produced = 99
    assert not sticky.is_switch_due(has_open_batch=False)
    sticky.produced = 100
    assert sticky.is_switch_due(has_open_batch=False)
    assert not sticky.is_switch_due(has_open_batch=True)
    sticky.produced = 200
    assert sticky.is_switch_due(has_open_batch=True)


def test_a_switch_begins_to_count_anew() -> None:
    sticky = StickyPartition(100)
    sticky.produced = 150
    sticky.switch(1)
    assert (sticky.partition, sticky.produced, sticky.bytes_left()) == (1, 0, 200)


def test_batch_size_zero_switches_after_each_record() -> None:
    sticky = StickyPartition(0)
    sticky.switch(0)
    sticky.produced = 1
    assert sticky.is_switch_due(has_open_batch=False)
