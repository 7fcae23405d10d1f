"""Ten thousand histories, the patient ones: with time enough, and faults that pass, nothing may fail or stand still.

In two files, as the runner gives each to a processor of its own; see test_impatient_histories.
"""

from __future__ import annotations

import pytest

from tests.simulation.budget import CHUNKS, assert_promises_kept
from tests.simulation.history import run

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seeds", CHUNKS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_every_promise_is_kept(seeds: range) -> None:
    assert_promises_kept(seeds, lambda scenario: scenario.is_patient)


def test_a_history_is_the_same_each_time() -> None:
    first, second = (run(12, is_traced=True) for _ in range(2))
    assert first == second
    assert len(first.lines) > 100


def test_histories_are_about_a_thousand_events_long_and_most_records_get_through() -> None:
    results = [run(seed) for seed in range(100)]
    assert 700 < sum(result.events for result in results) / len(results) < 2000
    records = sum(result.records for result in results)
    assert records > 50 * len(results)
    assert sum(result.acknowledged for result in results) > records / 2
