"""Targets: what counts is the median, either way round; what was not measured is not judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.runner import Result
from benchmarks.saved import FOLDER, Measurement, load
from benchmarks.special import Special
from benchmarks.targets import Check, checks

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def figures(cpu_us: float = 5.0, rate: float = 100.0, lag: float = 1.0) -> dict[str, float]:
    return {"cpu_us": cpu_us, "records_per_s": rate, "lag_p99_ms": lag, "lag_max_ms": lag, "latency_p50_ms": 1.0}


def measurement(*results: Result, special: Special | None = None) -> Measurement:
    return Measurement({"date": "2026-01-02T03:04:05+00:00"}, [], list(results), special)


def found(measured: Measurement, part: str) -> Check:
    (check,) = (check for check in checks(measured) if part in check.name)
    return check


def test_the_median_counts() -> None:
    assert Check("", (1.0, 1.2, 9.0), 1.3).is_met
    assert not Check("", (1.0, 1.4, 1.5), 1.3).is_met


def test_at_least_is_the_other_way_round() -> None:
    assert Check("", (1.1,), 1.0, is_at_most=False).is_met
    assert not Check("", (0.9,), 1.0, is_at_most=False).is_met


def test_a_line_tells_target_spread_and_verdict() -> None:
    line = Check("name", (1.0, 2.0, 3.0), 1.5, unit="ms").line()
    assert line.startswith("name")
    assert "at most 1.5 ms" in line
    assert "2.00 [1.00-3.00] ms" in line
    assert line.endswith("NOT MET")


def test_nothing_measured_is_nothing_judged() -> None:
    assert checks(measurement()) == []


def test_bare_tasks_are_compared_by_cpu_within_a_round() -> None:
    rounds = {"aioproducer": [figures(9.0), figures(30.0)], "bare-tasks": [figures(5.0), figures(20.0)]}
    check = found(measurement(Result("tasks-1000", "kafka", "", rounds)), "bare tasks")
    assert check.values == (1.8, 1.5)


def test_keys_are_compared_with_the_base() -> None:
    keyed = Result("keys-different", "kafka", "", {"aioproducer": [figures(rate=60.0)]})
    plain = Result("pipelined", "kafka", "", {"aioproducer": [figures(rate=100.0)]})
    check = found(measurement(keyed, plain), "keys-different: records")
    assert (check.measured, check.is_met) == (0.6, False)


def test_lag_is_judged_for_our_loops_only() -> None:
    rounds = {"aioproducer-trio": [figures(lag=11.0)], "aiokafka": [figures(lag=99.0)]}
    check = found(measurement(Result("zstd-100kb", "kafka", "", rounds)), "loop lag")
    assert "trio" in check.name
    assert not check.is_met


def test_the_lag_of_bare_tasks_stands_beside_ours() -> None:
    rounds = {"aioproducer": [figures(lag=11.0)], "bare-tasks": [figures(lag=9.0)]}
    check = found(measurement(Result("tasks-1000", "kafka", "", rounds)), "loop lag")
    assert check.line().endswith("NOT MET; bare tasks: 9.00")


def test_what_bare_tasks_take_at_each_size_stands_beside_ours_and_is_not_judged() -> None:
    flat = {
        "1,000 waiting tasks": [figures(5.0)],
        "10,000 waiting tasks": [figures(7.0, lag=40.0)],
        "1,000 bare tasks": [figures(2.0)],
        "10,000 bare tasks": [figures(4.0, lag=50.0)],
    }
    lines = [check.line() for check in checks(measurement(special=Special({}, [], flat, {}, {})))]
    assert [line.rpartition("; ")[2] for line in lines] == [
        "bare tasks: 2.00",
        "bare tasks: 1.00",
        "bare tasks: 50.00",
    ]


def test_what_is_special_is_judged() -> None:
    special = Special(
        memory_mb={"10 B": [50.0]},
        idle_percent=[0.1],
        flat={"6 partitions": [figures(4.0)], "1,000 topics x 10 partitions": [figures(6.0)]},
        import_ms={"anyio": [40.0], "aioproducer.Producer": [90.0]},
        first_ack_ms={},
    )
    verdicts = {check.name: check.is_met for check in checks(measurement(special=special)) if "lag" not in check.name}
    assert verdicts == {
        "memory beyond an idle producer, 10 B": True,
        "idle, 10,000 partitions known: of a core": True,
        "1,000 topics x 10 partitions: CPU / that of 6 partitions": False,
        "import of Producer beyond anyio": False,
    }


def test_a_file_gives_back_what_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.saved.FOLDER", tmp_path)
    special = Special({"10 B": [1.0]}, [0.5], {}, {}, {})
    measured = measurement(Result("c", "sink", "text", {"aioproducer": [figures()]}), special=special)
    path = measured.save()
    assert path.name == "2026-01-02T0304.json"
    assert load(path) == measured


def test_results_that_are_kept_can_be_read() -> None:
    paths = sorted(FOLDER.glob("2*.json"))
    assert paths
    assert [path.name for path in paths if not load(path).results] == []
