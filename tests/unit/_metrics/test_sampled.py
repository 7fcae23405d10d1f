"""_runtime/windows.py: which values a reading is about, at given times."""

from __future__ import annotations

import math

from aioproducer._metrics.sampled import SampledMetrics, SampledStat
from aioproducer.metrics import WINDOWED


def test_without_a_value_there_is_no_number() -> None:
    average, maximum = SampledStat(2, 30.0).read(0.0)
    assert math.isnan(average)
    assert math.isnan(maximum)


def test_all_values_within_one_sample_count() -> None:
    windows = SampledStat(2, 30.0)
    for value, now in [(5.0, 100.0), (1.0, 110.0), (3.0, 129.9)]:
        windows.record(value, now)
    assert windows.read(130.0) == (3.0, 5.0)


def test_the_average_is_over_values_and_not_over_samples() -> None:
    windows = SampledStat(2, 30.0)
    for value, now in [(1.0, 0.0), (1.0, 1.0), (1.0, 2.0), (9.0, 30.0)]:
        windows.record(value, now)
    assert windows.read(31.0) == (3.0, 9.0)


def test_a_sample_too_many_drives_out_the_oldest() -> None:
    windows = SampledStat(2, 30.0)
    for value, now in [(9.0, 0.0), (1.0, 30.0)]:
        windows.record(value, now)
    assert windows.read(59.0) == (5.0, 9.0)
    windows.record(3.0, 60.0)
    assert windows.read(60.0) == (2.0, 3.0)


def test_a_sample_is_left_out_once_its_newest_value_is_too_old() -> None:
    windows = SampledStat(2, 30.0)
    windows.record(9.0, 0.0)
    windows.record(7.0, 20.0)
    windows.record(1.0, 45.0)
    assert windows.read(79.9) == (17.0 / 3, 9.0)
    assert windows.read(80.0) == (1.0, 1.0)
    assert math.isnan(windows.read(105.0).average)


def test_after_a_pause_values_count_again() -> None:
    windows = SampledStat(2, 30.0)
    windows.record(9.0, 0.0)
    windows.record(2.0, 1_000.0)
    assert windows.read(1_000.0) == (2.0, 2.0)


def test_the_maximum_of_negative_values_is_one_of_them() -> None:
    windows = SampledStat(1, 1.0)
    windows.record(-2.0, 0.0)
    windows.record(-1.0, 0.5)
    assert windows.read(0.5) == (-1.5, -1.0)


def test_windows_of_no_length_keep_nothing() -> None:
    windows = SampledStat(2, 0.0)
    windows.record(1.0, 5.0)
    assert math.isnan(windows.read(5.0).maximum)


def test_the_figures_are_those_that_are_declared() -> None:
    assert SampledMetrics().read(0.0).keys() == WINDOWED.keys()


def test_each_figure_is_under_its_name() -> None:
    figures = SampledMetrics()
    for windows, low in [
        (figures.request_latency_ms, 10),
        (figures.throttle_ms, 20),
        (figures.queue_time_ms, 30),
        (figures.batch_size, 40),
        (figures.compression_rate, 50),
        (figures.records_per_request, 60),
    ]:
        windows.record(low, 0.0)
        windows.record(low + 2, 0.0)
    assert figures.read(1.0) == {
        "request-latency-avg": 11,
        "request-latency-max": 12,
        "produce-throttle-time-avg": 21,
        "produce-throttle-time-max": 22,
        "record-queue-time-avg": 31,
        "record-queue-time-max": 32,
        "batch-size-avg": 41,
        "batch-size-max": 42,
        "compression-rate-avg": 51,
        "records-per-request-avg": 61,
    }
