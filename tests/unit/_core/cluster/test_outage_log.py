"""The lines about a broker that is away: the first, one every 30 seconds, and that it is back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from aioproducer._core.cluster.outage_log import STABLE, SUMMARY_INTERVAL, OutageLog, logger
from aioproducer.errors import AuthenticationError, KafkaConnectionError

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "broker 1 (host1:9092)"
LOST = KafkaConnectionError("cannot connect to broker 1 (host1:9092): refused")


class Kept(logging.Handler):
    """Keeps the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """The lines that a log at level INFO gets."""
    kept = Kept()
    logger.logger.addHandler(kept)
    with caplog.at_level(logging.INFO, logger.name):
        yield kept.lines
    logger.logger.removeHandler(kept)


def fail_for(outage: OutageLog, start: float, seconds: int) -> None:
    """Fail once a second."""
    for second in range(seconds):
        outage.failed(1, ADDRESS, LOST, start + second)


def events(told: list[logging.LogRecord]) -> list[str]:
    return [field(line, "event_name") for line in told]


def field(line: logging.LogRecord, name: str) -> Any:
    return getattr(line, name)


def test_the_first_failure_is_a_warning_and_the_next_ones_are_silent(told: list[logging.LogRecord]) -> None:
    fail_for(OutageLog(), 0.0, 29)
    assert events(told) == ["broker_away"]
    assert told[0].levelname == "WARNING"
    assert "refused" in told[0].getMessage()


def test_an_hour_makes_a_line_every_thirty_seconds_with_the_count(told: list[logging.LogRecord]) -> None:
    fail_for(OutageLog(), 0.0, 3600)
    assert events(told) == ["broker_away"] + ["broker_still_away"] * (3600 // int(SUMMARY_INTERVAL) - 1)
    assert (field(told[1], "failures"), field(told[1], "seconds")) == (31, 30.0)
    assert "30 s and 31 failures" in told[1].getMessage()


def test_the_return_is_told_once_with_how_long_it_was_away(told: list[logging.LogRecord]) -> None:
    outage = OutageLog()
    fail_for(outage, 0.0, 3)
    outage.connected(1, ADDRESS, 3.0)
    outage.connected(1, ADDRESS, 4.0)
    assert events(told) == ["broker_away", "broker_back"]
    assert told[1].levelname == "INFO"
    assert (field(told[1], "seconds"), field(told[1], "failures")) == (3.0, 3)


def test_a_first_connection_is_no_news(told: list[logging.LogRecord]) -> None:
    OutageLog().connected(1, ADDRESS, 0.0)
    assert told == []


def test_a_new_outage_after_a_stable_connection_is_a_warning_again(told: list[logging.LogRecord]) -> None:
    outage = OutageLog()
    outage.failed(1, ADDRESS, LOST, 0.0)
    outage.connected(1, ADDRESS, 1.0)
    outage.failed(1, ADDRESS, LOST, 1.0 + STABLE)
    assert events(told) == ["broker_away", "broker_back", "broker_away"]
    assert field(told[2], "failures") == 1


def test_a_broker_that_comes_and_goes_is_told_at_the_same_rate(told: list[logging.LogRecord]) -> None:
    outage = OutageLog()
    for second in range(60):
        outage.failed(1, ADDRESS, LOST, float(second))
        outage.connected(1, ADDRESS, second + 0.5)
    assert events(told) == ["broker_away", "broker_back", "broker_still_away", "broker_back"]


def test_every_line_has_its_fields_and_a_constant_template(told: list[logging.LogRecord]) -> None:
    outage = OutageLog()
    fail_for(outage, 0.0, 40)
    outage.connected(1, ADDRESS, 40.0)
    for line in told:
        assert (field(line, "node"), field(line, "address")) == (1, ADDRESS)
        assert "host1" not in str(line.msg)


REFUSED = AuthenticationError("login with broker 1 (host1:9092) failed: wrong password")


def test_a_refusal_is_an_error_once_and_then_every_half_a_minute(told: list[logging.LogRecord]) -> None:
    outage = OutageLog()
    for second in range(61):
        outage.refused(1, ADDRESS, REFUSED, float(second))
    assert events(told) == ["authentication_failed"] * 3
    assert {line.levelname for line in told} == {"ERROR"}
    assert "wrong password" in told[0].getMessage()
    outage.connected(1, ADDRESS, 70.0)
    assert events(told)[3:] == ["broker_back"]
    outage.refused(1, ADDRESS, REFUSED, 80.0)
    assert events(told)[4:] == ["authentication_failed"]


def test_a_broker_that_is_away_and_then_refuses_is_an_error_at_once(told: list[logging.LogRecord]) -> None:
    outage = OutageLog()
    fail_for(outage, 0.0, 2)
    outage.refused(1, ADDRESS, REFUSED, 2.0)
    outage.failed(1, ADDRESS, LOST, 3.0)
    outage.refused(1, ADDRESS, REFUSED, 4.0)
    assert events(told) == ["broker_away", "authentication_failed"]


def test_one_that_refuses_now_and_then_is_as_quiet(told: list[logging.LogRecord]) -> None:
    outage = OutageLog()
    for second in range(0, 25, 2):
        outage.refused(1, ADDRESS, REFUSED, float(second))
        outage.connected(1, ADDRESS, second + 1.0)
    assert events(told).count("authentication_failed") == 1


def test_an_idle_connection_that_the_broker_closes_is_no_failure(told: list[logging.LogRecord]) -> None:
    outage = OutageLog()
    outage.connected(1, ADDRESS, 0.0)
    assert not outage.is_stable(STABLE / 2)
    assert outage.is_stable(STABLE)
    outage.closed_idle(1, ADDRESS, LOST, STABLE)
    outage.connected(1, ADDRESS, STABLE + 1)
    assert events(told) == []
    outage.closed_idle(1, ADDRESS, LOST, 3 * STABLE)
    outage.failed(1, ADDRESS, LOST, 3 * STABLE + 1)
    assert events(told) == ["broker_away"], "but that it cannot be connected to is one"
