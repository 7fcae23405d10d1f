"""The benchmark of a broker that swallows: what its figures are made of, and a moment of the load."""

from __future__ import annotations

import pytest

from benchmarks.black_hole import AFTER, RATE, Outcomes, Told, figures_of, paced, table

HOLE_AT = 100.0


def outcomes(*spans: tuple[float, float, int, int]) -> Outcomes:
    """Acknowledgements: (from, to, how many a second, of which partition)."""
    made = Outcomes()
    for start, end, per_second, partition in spans:
        for index in range(int((end - start) * per_second)):
            made.times.append(HOLE_AT + start + (index + 0.5) / per_second)
            made.partitions.append(partition)
    return made


def test_all_is_well_when_the_rest_takes_over_at_once() -> None:
    found = figures_of(outcomes((-2, 0, 40, 0), (-2, 0, 80, 1), (0, AFTER, 120, 1)), HOLE_AT, [0])
    assert found.before_per_s == pytest.approx(120)
    assert found.percent == pytest.approx([100.0] * int(AFTER))
    assert found.least == pytest.approx(150)
    assert found.back_after == 0.25


def test_it_is_back_when_there_is_as_much_as_before_and_the_worst_second_counts() -> None:
    found = figures_of(outcomes((-2, 0, 40, 0), (-2, 0, 80, 1), (2, 6, 120, 1), (7, AFTER, 120, 1)), HOLE_AT, [0])
    assert found.percent[:3] == pytest.approx([0, 0, 100])
    assert found.back_after == 2.25
    assert found.least == 0


def test_who_never_comes_back_says_so() -> None:
    found = figures_of(outcomes((-2, 0, 40, 0), (0, AFTER, 20, 0)), HOLE_AT, [0])
    assert found.back_after is None
    text = table("steady", {"aiokafka": [found]})
    assert "never" in text
    assert text.splitlines()[1].startswith("steady")


def test_the_load_is_as_much_as_the_time_allows_and_ends_when_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("benchmarks.black_hole.time.monotonic", lambda: now[0])
    told = Told.__new__(Told)
    told.is_over = False
    due = paced(told)
    assert next(due) == 0
    now[0] += 0.01
    assert next(due) == pytest.approx(RATE * 0.01, abs=1)
    now[0] += 5.0  # what it could not do for long is not made up for
    assert next(due) == pytest.approx(RATE * 0.1, abs=1)
    told.is_over = True
    assert list(due) == []
