"""Some hundred histories of the whole producer, each from a seed; a seed that failed once stays in the list."""

from __future__ import annotations

import pytest

from tests.simulation_producer.story import run


@pytest.mark.parametrize("seed", range(300))
def test_history(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run(seed, monkeypatch)
    assert not report.problems, "\n".join(report.problems)
