"""A run counts only when the broker has what was sent; rounds alternate; a client that fails is told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import runner
from benchmarks.cases import Case
from benchmarks.report import ratios, spread, table
from benchmarks.runner import Result, RunError

if TYPE_CHECKING:
    from benchmarks.order import Order

FIGURES = {"records_per_s": 100.0, "mb_per_s": 1.0, "cpu_us": 5.0, "peak_mb": 30.0, "sent": 10.0}


class Broker:
    """Has what `arrived` says after each run."""

    bootstrap = "localhost:1"

    def __init__(self, arrived: int) -> None:
        self._arrived = arrived
        self._count = 0
        self.topics: list[str] = []

    def make_topic(self, name: str, partitions: int) -> None:
        self.topics.append(name)

    def drop_topic(self, name: str) -> None:
        self.topics.remove(name)

    def count(self, name: str, partitions: int) -> int:
        self._count += self._arrived
        return self._count - self._arrived


def compare(
    monkeypatch: pytest.MonkeyPatch, broker: Broker, clients: list[str], rounds: int
) -> tuple[Result, list[str]]:
    seen: list[str] = []

    def run(order: Order) -> dict[str, float]:
        seen.append(order.client)
        return dict(FIGURES)

    monkeypatch.setattr(runner, "run", run)
    return runner.compare(Case("c", "text"), "kafka", broker, clients, rounds, 1.0), seen


def test_every_other_round_goes_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    result, seen = compare(monkeypatch, Broker(10), ["aioproducer", "aiokafka"], 2)
    assert seen == ["aioproducer", "aiokafka", "aiokafka", "aioproducer"]
    assert list(result.rounds) == ["aioproducer", "aiokafka"]
    assert [len(runs) for runs in result.rounds.values()] == [2, 2]


@pytest.mark.parametrize("arrived", [9, 11])
def test_records_that_are_missing_or_twice_there_fail_the_run(monkeypatch: pytest.MonkeyPatch, arrived: int) -> None:
    broker = Broker(arrived)
    result, seen = compare(monkeypatch, broker, ["aioproducer"], 3)
    assert result.rounds == {}
    assert result.failures == {"aioproducer": f"sent 10 records, the broker has {arrived}"}
    assert seen == ["aioproducer"], "it is not tried again"
    assert broker.topics == []


def test_a_client_without_the_workload_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    _, seen = compare(monkeypatch, Broker(10), ["aioproducer", "bare-tasks", "bare-socket"], 1)
    assert seen == ["aioproducer"]


def test_last_words_of_a_process_are_told() -> None:
    order = Case("c", "text").order("aioproducer", "not an address", 0.1)
    with pytest.raises(RunError, match=r"bootstrap_servers|address"):
        runner.run(order)


def test_ratios_are_within_a_round() -> None:
    assert ratios([{"x": 2.0}, {"x": 6.0}], [{"x": 1.0}, {"x": 2.0}], "x") == [2.0, 3.0]
    assert spread([2.0, 3.0, 7.0]) == "3.00 [2.00-7.00]"


def test_table_has_a_line_for_each_client_and_each_failure() -> None:
    slow = {**FIGURES, "records_per_s": 50.0, "cpu_us": 10.0}
    result = Result("c", "kafka", "text", {"aioproducer": [FIGURES], "aiokafka": [slow]}, {"kafka-python": "no"})
    lines = list(table(result))
    assert "c: text · kafka" in lines[0]
    assert lines[3].startswith("aiokafka")
    assert lines[3].endswith("2.00 [2.00-2.00] · 0.50 [0.50-0.50]")
    assert lines[4] == f"{'kafka-python':20}failed: no"
