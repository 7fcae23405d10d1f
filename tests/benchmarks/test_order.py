"""Figures of a run: quantiles, and no figures when a record is missing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.clients.common import LARGEST_WARM_UP, Warming
from benchmarks.load import Load, make_value, topic_names
from benchmarks.order import Figures, Order, Timer, quantile

if TYPE_CHECKING:
    from benchmarks.order import Workload


def order(workload: Workload = "pipelined", **given: object) -> Order:
    return Order("aioproducer", workload, "localhost:1", "t", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (0.999, 100.0), (1.0, 100.0), (0.0, 1.0)])
def test_quantile_is_the_least_value_that_the_share_does_not_exceed(share: float, expected: float) -> None:
    assert quantile([float(value) for value in range(100, 0, -1)], share) == expected


def test_quantile_of_one_value_is_that_value() -> None:
    assert quantile([3.0], 0.999) == 3.0


def test_summary_has_rates_and_quantiles() -> None:
    figures = Figures(count=1000, delivered=1000, seconds=2.0, cpu_seconds=0.5, latencies=[0.001] * 99 + [0.1])
    summary = figures.summary(100)
    assert (summary["records_per_s"], summary["mb_per_s"], summary["cpu_us"]) == (500.0, 0.05, 500.0)
    assert (summary["latency_p99_ms"], summary["latency_p999_ms"]) == (1.0, 100.0)
    assert "lag_p99_ms" not in summary


@pytest.mark.parametrize(("count", "delivered"), [(10, 9), (0, 0)])
def test_a_run_that_lost_a_record_has_no_figures(count: int, delivered: int) -> None:
    with pytest.raises(RuntimeError, match="were delivered"):
        Figures(count=count, delivered=delivered, seconds=1.0).summary(100)


def test_the_profiler_runs_while_the_timer_does() -> None:
    class Log:
        def __init__(self) -> None:
            self.events: list[str] = []

        def start(self) -> None:
            self.events.append("start")

        def stop(self) -> None:
            self.events.append("stop")

    log = Log()
    figures = Figures(profiler=log)
    with Timer(figures):
        assert log.events == ["start"]
        time.process_time()
    assert log.events == ["start", "stop"]
    assert figures.seconds > 0


def test_warming_takes_no_rate_from_the_first_round() -> None:
    warming = Warming(order(seconds=1.0))
    first = warming.count
    warming.took(60.0)  # connecting
    assert (warming.count, warming.is_warm) == (first, False)


def test_warming_grows_until_a_round_is_long_enough_then_fits_the_time() -> None:
    warming = Warming(order(seconds=1.0))
    warming.took(0.1)
    rounds = 0
    while not warming.is_warm:
        warming.took(warming.count / 100_000)
        rounds += 1
    assert rounds < 5
    assert warming.count == pytest.approx(100_000, rel=0.01)


def test_warming_ends_with_a_fast_client_too() -> None:
    warming = Warming(order(seconds=10.0))
    for _ in range(10):
        warming.took(1e-6)
        if warming.is_warm:
            break
    assert warming.is_warm
    assert warming.count > LARGEST_WARM_UP


def test_a_count_that_is_given_is_kept() -> None:
    warming = Warming(order(seconds=0.001, count=777))
    warming.took(1.0)
    warming.took(1.0)
    assert (warming.is_warm, warming.count) == (True, 777)


@pytest.mark.parametrize("size", [1, 10, 1000])
def test_values_have_their_size_and_differ(size: int) -> None:
    import random

    rng = random.Random(1)
    values = [make_value(rng, size) for _ in range(3)]
    assert {len(value) for value in values} == {size}
    assert size == 1 or len(set(values)) == 3


def test_load_gives_as_many_records_as_asked() -> None:
    for keys, distinct in (("none", 1), ("few", 1000), ("different", 2500)):
        pairs = list(Load(order(keys=keys)).take(2500))
        assert len(pairs) == 2500
        assert len({key for _, key in pairs}) == distinct


def test_different_keys_are_36_bytes() -> None:
    assert {len(key or b"") for _, key in Load(order(keys="different")).take(10)} == {36}


def test_topics_end_so_that_the_sink_knows_their_partitions() -> None:
    assert topic_names(order(topics=3)) == ["t", "t.1", "t.2"]
