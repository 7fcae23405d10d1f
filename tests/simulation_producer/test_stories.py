"""Some hundred histories of the whole producer, each from a seed; a seed that failed once stays in the list."""

from __future__ import annotations

import pytest

from tests.simulation_producer.story import run
from tests.simulation_producer.transactional_story import TransactionalStory


@pytest.mark.parametrize("seed", range(300))
def test_history(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run(seed, monkeypatch)
    assert not report.problems, "\n".join(report.problems)


@pytest.mark.parametrize("seed", range(120))
def test_history_with_transactions(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run(seed, monkeypatch, make=TransactionalStory)
    assert not report.problems, "\n".join(report.problems)
