"""Counters begin at nothing, and each number that statistics() tells has one."""

from __future__ import annotations

from aioproducer._metrics.counters import Counters
from aioproducer._metrics.sampled import SampledMetrics


def test_they_begin_at_nothing() -> None:
    counters = vars(Counters())
    assert {name: value for name, value in counters.items() if value != 0} == {"windowed": counters["windowed"]}


def test_samples_are_their_own_unless_given() -> None:
    given = SampledMetrics(5, 1.0)
    assert Counters(given).windowed is given
    assert Counters().windowed is not Counters().windowed
