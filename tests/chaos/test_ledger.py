"""The judge itself: everything that a broken promise looks like is seen."""

from __future__ import annotations

import pytest

from aioproducer import RecordMetadata
from aioproducer.errors import DeliveryTimeoutError
from tests.chaos.ledger import Ledger, number_of, value_of

Found = list[tuple[int, int, int]]


def ledger_of(count: int) -> Ledger:
    """Records that are all acknowledged, in partition 0, each at the offset that is its number."""
    ledger = Ledger()
    for _ in range(count):
        number = ledger.call()
        ledger.acknowledge(number, RecordMetadata("t", 0, number, 0))
    return ledger


@pytest.mark.parametrize(
    ("found", "complaints"),
    [
        ([(0, 0, 0), (0, 1, 1), (0, 2, 2)], {}),
        ([(0, 0, 0), (0, 2, 2)], {"lost": [1]}),
        ([(0, 0, 0), (0, 1, 1), (0, 2, 2), (0, 3, 1)], {"twice": [1]}),
        ([(0, 0, 1), (0, 1, 0), (0, 2, 2)], {"out_of_order": [0], "misplaced": [1, 0]}),
        ([(0, 0, 0), (0, 1, 1), (1, 2, 2)], {"misplaced": [2]}),
        ([(0, 0, 0), (0, 1, 1), (0, 2, 2), (0, 3, 3)], {"unexpected": [3]}),
    ],
)
def test_what_the_log_says_against_the_ledger(found: Found, complaints: dict[str, list[int]]) -> None:
    assert ledger_of(3).judge(found).complaints() == complaints


def test_a_failed_record_may_be_in_the_log_only_if_it_says_so() -> None:
    ledger = Ledger()
    for is_written in (True, False):
        error = DeliveryTimeoutError("too late")
        error.possibly_written = is_written
        ledger.fail(ledger.call(), error)
    assert ledger.judge([(0, 0, 0), (0, 1, 1)]).complaints() == {"unexpected": [1], "failed": [0, 1]}


def test_a_record_without_an_outcome_is_told() -> None:
    ledger = Ledger()
    ledger.call()
    assert ledger.open_count == 1
    assert ledger.judge([]).complaints() == {"unfinished": [0]}


def test_streams_have_no_order_among_each_other() -> None:
    ledger = Ledger()
    for stream in (0, 1, 0, 1):
        ledger.acknowledge(ledger.call(stream), RecordMetadata("t", 0, -1, 0))
    assert ledger.judge([(0, 0, 1), (0, 1, 0), (0, 2, 2), (0, 3, 3)]).complaints() == {}
    assert ledger.judge([(0, 0, 1), (0, 1, 2), (0, 2, 0), (0, 3, 3)]).complaints() == {"out_of_order": [0]}


def test_an_outcome_that_is_told_again_is_noted() -> None:
    ledger = ledger_of(1)
    ledger.acknowledge(0, RecordMetadata("t", 0, 0, 0))
    ledger.fail(0, ValueError())
    assert ledger.told_twice == [0, 0]
    assert ledger.acknowledged == 1


def test_the_longest_wait_is_that_of_one_record() -> None:
    now = [0.0]
    ledger = Ledger(lambda: now[0])
    first, second = ledger.call(), ledger.call()
    now[0] = 2.0
    ledger.acknowledge(first, RecordMetadata("t", 0, 0, 0))
    now[0] = 3.5
    ledger.acknowledge(second, RecordMetadata("t", 0, 1, 0))
    assert ledger.longest_wait == 3.5


def test_all_before_the_first_open_record_have_an_outcome() -> None:
    ledger = ledger_of(2)
    ledger.call()
    ledger.fail(ledger.call(), ValueError())
    assert ledger.first_open == 2
    ledger.acknowledge(2, RecordMetadata("t", 0, 2, 0))
    assert ledger.first_open == 4


def test_a_value_tells_its_number() -> None:
    assert number_of(value_of(17, 100)) == 17
    assert len(value_of(17, 100)) == 100
    assert number_of(b"last before") == -1
    assert number_of(None) == -1
