"""Errors of calls that wait, and copies of those that others have too."""

from __future__ import annotations

from aioproducer._core.accumulator.errors import copy_of, with_possibly_written
from aioproducer.errors import KafkaConnectionError, KafkaError


def test_a_copy_keeps_the_cause() -> None:
    error = KafkaError("closed")
    error.__cause__ = OSError("reset")
    copied = copy_of(error)
    assert (str(copied), copied.__cause__) == ("closed", error.__cause__)
    assert copied is not error


def test_an_error_that_others_have_too_is_not_changed() -> None:
    lost = KafkaConnectionError("lost the connection to broker 1 (host1:9092): reset by peer")
    doubtful = with_possibly_written(lost, possibly_written=True)
    assert doubtful.possibly_written
    assert not lost.possibly_written
    assert str(doubtful) == str(lost)
    assert with_possibly_written(lost, possibly_written=False) is lost
