"""Ten thousand histories, the impatient ones: batches expire, fail and are given up, and the promises hold.

In two files, as the runner gives each to a processor of its own; see test_patient_histories.
"""

from __future__ import annotations

import pytest

from tests.simulation.budget import CHUNKS, assert_promises_kept

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seeds", CHUNKS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_every_promise_is_kept(seeds: range) -> None:
    assert_promises_kept(seeds, lambda scenario: not scenario.is_patient)
