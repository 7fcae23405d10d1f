"""_runtime/undelivered.py: failures that nobody watches are counted exactly and logged seldom."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator

import pytest

from aioproducer._runtime.undelivered import LOG_INTERVAL, Undelivered
from aioproducer.errors import ErrorCode, KafkaError, MetadataTimeoutError
from aioproducer.errors._from_code import error_for

TOO_LARGE = error_for(ErrorCode.MESSAGE_TOO_LARGE, topic="orders")


@pytest.fixture(autouse=True)
def error_lines(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.ERROR, "aioproducer"):
        yield


def undelivered() -> Undelivered:
    assert not inspect.signature(Undelivered).parameters
    return Undelivered()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_nothing_failed_nothing_to_tell() -> None:
    assert undelivered().take() is None


def test_take_tells_the_counts_per_topic_and_the_first_cause_once() -> None:
    counts = undelivered()
    counts.add("orders", 3, TOO_LARGE, 0.0, possibly_written=False)
    counts.add("payments", 1, KafkaError("later"), 0.0, possibly_written=False)
    counts.add("orders", 2, KafkaError("later"), 0.0, possibly_written=False)
    error = counts.take()
    assert error is not None
    assert error.counts == {"orders": 5, "payments": 1}
    assert error.first is TOO_LARGE
    assert counts.take() is None
    counts.add("orders", 1, KafkaError("after"), 1.0, possibly_written=False)
    later = counts.take()
    assert later is not None
    assert later.counts == {"orders": 1}
    assert str(later.first) == "after"
    assert counts.total == 7


@pytest.mark.parametrize("flags", [(True, False), (False, True)])
def test_one_record_that_may_be_written_is_enough_to_say_so_once(flags: tuple[bool, bool]) -> None:
    counts = undelivered()
    told: list[KafkaError] = []
    counts.on_error = told.append
    for flag in flags:
        counts.add("orders", 1, TOO_LARGE, 0.0, possibly_written=flag)
    assert tuple(error.possibly_written for error in told) == flags
    error = counts.take()
    assert error is not None
    assert error.possibly_written
    counts.add("orders", 1, TOO_LARGE, 0.0, possibly_written=False)
    later = counts.take()
    assert later is not None
    assert not later.possibly_written


def test_the_first_failure_of_a_kind_is_logged_and_the_next_within_the_interval_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counts = undelivered()
    for second in range(5):
        counts.add("orders", 10, TOO_LARGE, float(second), possibly_written=False)
    assert len(lines(caplog)) == 1
    assert "10 records" in lines(caplog)[0]
    counts.add("orders", 1, TOO_LARGE, LOG_INTERVAL, possibly_written=False)
    assert len(lines(caplog)) == 2
    assert "41 records" in lines(caplog)[1]


def test_each_topic_and_reason_has_lines_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    counts = undelivered()
    counts.add("orders", 1, TOO_LARGE, 0.0, possibly_written=False)
    counts.add("payments", 1, TOO_LARGE, 0.0, possibly_written=False)
    counts.add("orders", 1, MetadataTimeoutError("unknown"), 0.0, possibly_written=False)
    assert len(lines(caplog)) == 3
    assert ["MESSAGE_TOO_LARGE" in line for line in lines(caplog)] == [True, True, False]
    assert "MetadataTimeoutError" in lines(caplog)[2]


def test_what_was_held_back_is_logged_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    counts = undelivered()
    counts.add("orders", 1, TOO_LARGE, 0.0, possibly_written=False)
    counts.add("orders", 41, TOO_LARGE, 1.0, possibly_written=False)
    counts.write_rest(2.0)
    counts.write_rest(2.0)
    assert len(lines(caplog)) == 2
    assert "41 records" in lines(caplog)[1]
