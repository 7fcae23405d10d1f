"""How the pause between two transactions is learned."""

from __future__ import annotations

import pytest

from aioproducer._core.transactions.marker_delay import FIRST, HELD, LONGEST, MarkerDelay

QUICK = 0.002
SLOW = QUICK + HELD + 0.001


class Clock:
    """Transactions that follow each other at once, one a second."""

    def __init__(self) -> None:
        self.pause = MarkerDelay()
        self.now = 0.0

    def transaction(self, took: float, *, late: float = 0.0) -> float:
        """End one, begin the next as soon as it may, have its first answer after `took` seconds; return the pause."""
        self.now += 1.0
        self.pause.on_ended(self.now)
        self.pause.on_begun(max(self.now + late, self.pause.until))
        self.pause.on_answered(max(self.now + late, self.pause.until) + took)
        return self.pause.seconds


def test_nothing_is_waited_for_while_answers_are_quick() -> None:
    clock = Clock()
    assert clock.pause.until < 0
    assert {clock.transaction(QUICK) for _ in range(20)} == {0.0}
    assert clock.pause.until == clock.now


def test_first_of_all_transactions_waits_for_none() -> None:
    pause = MarkerDelay()
    pause.on_begun(5.0)
    pause.on_answered(9.0)
    assert pause.seconds == 0.0


def test_held_answers_double_it_and_quick_ones_let_it_shrink() -> None:
    clock = Clock()
    clock.transaction(QUICK)
    assert clock.transaction(SLOW) == FIRST
    assert clock.transaction(SLOW) == 2 * FIRST
    assert 0.9 * 2 * FIRST < clock.transaction(QUICK) < 2 * FIRST
    for _ in range(200):
        clock.transaction(QUICK)
    assert clock.pause.seconds < FIRST / 10


def paced(markers: float, clock: Clock, times: int) -> int:
    """Transactions on a cluster whose markers take so long; return how many of them were held."""
    held = 0
    for _ in range(times):
        is_held = clock.pause.seconds < markers
        held += is_held
        clock.transaction(SLOW if is_held else QUICK)
    return held


@pytest.mark.parametrize("markers", [0.0004, 0.001, 0.003, 0.006])
def test_what_was_found_is_left_slowly(markers: float) -> None:
    clock = Clock()
    clock.transaction(QUICK)
    paced(markers, clock, 200)
    assert paced(markers, clock, 1000) <= 6
    assert markers * 0.99 < clock.pause.seconds <= 1.25 * markers


def test_it_follows_markers_that_take_longer_or_less() -> None:
    clock = Clock()
    clock.transaction(QUICK)
    paced(0.001, clock, 300)
    assert paced(0.005, clock, 300) <= 12
    assert 0.0049 < clock.pause.seconds < 0.00626
    paced(0.001, clock, 2500)
    assert clock.pause.seconds < 0.00126


def test_longest_that_does_not_help_is_given_up() -> None:
    clock = Clock()
    clock.transaction(QUICK)
    pauses = [clock.transaction(SLOW) for _ in range(5)]
    assert max(pauses) <= LONGEST
    assert 0.0 in pauses


def test_what_is_begun_much_later_teaches_nothing() -> None:
    clock = Clock()
    clock.transaction(QUICK)
    clock.transaction(SLOW)
    assert clock.transaction(QUICK, late=0.5) == FIRST
    assert clock.transaction(SLOW, late=0.5) == FIRST


def test_only_the_first_answer_counts() -> None:
    clock = Clock()
    clock.transaction(QUICK)
    clock.pause.on_answered(clock.now + 5)
    assert clock.pause.seconds == 0.0


def test_way_that_has_become_longer_is_no_reason_for_ever() -> None:
    clock = Clock()
    clock.transaction(QUICK)
    for _ in range(500):
        clock.transaction(0.1)
    assert clock.pause.seconds < FIRST / 10


def test_what_was_forgotten_is_searched_anew() -> None:
    clock = Clock()
    clock.transaction(QUICK)
    paced(0.001, clock, 300)
    paced(0.0, clock, 5000)  # markers that are written at once
    assert clock.pause.seconds < FIRST / 8
    assert clock.transaction(SLOW) == FIRST


@pytest.mark.parametrize("times", [1, 2])
def test_refusal_lengthens_it_once_in_a_transaction(times: int) -> None:
    pause = MarkerDelay()
    pause.on_ended(1.0)
    pause.on_begun(1.0)
    for _ in range(times):
        pause.on_refused()
    assert pause.seconds == FIRST
