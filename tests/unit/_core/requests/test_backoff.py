"""When a request that is repeated until it is answered may be sent again."""

from __future__ import annotations

import math
import random

from aioproducer._core.requests.backoff import SOON, RetryTimer
from aioproducer.errors import KafkaError
from tests.unit._core.harness import config


def attempts() -> RetryTimer:
    """RetryTimer with pauses of 100 ms to a second."""
    return RetryTimer(config(retry_backoff_ms=100, retry_backoff_max_ms=1_000), random.Random(1))


def test_one_is_under_way_at_a_time() -> None:
    it = attempts()
    assert it.is_due(0.0)
    it.begin()
    assert not it.is_due(1e9)
    assert it.next_at() == math.inf
    it.succeed()
    assert it.is_due(0.0)


def test_pauses_grow_up_to_the_maximum_until_a_success() -> None:
    it = attempts()
    pauses: list[float] = []
    for _ in range(8):
        it.begin()
        it.fail(KafkaError("no"), 10.0)
        pauses.append(it.next_at() - 10.0)
        assert not it.is_due(10.0)
    assert 0.08 <= pauses[0] <= 0.12
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1.0
    assert str(it.last_error) == "no"
    it.succeed()
    assert it.last_error is None
    it.fail(None, 10.0)
    assert it.next_at() - 10.0 <= 0.12


def test_what_helps_in_a_moment_is_tried_again_soon() -> None:
    it = attempts()
    it.fail(KafkaError("busy"), 10.0, is_soon=True)
    assert 0 < it.next_at() - 10.0 <= SOON * 1.2


def test_a_failure_without_a_reason_keeps_the_last_one() -> None:
    it = attempts()
    it.fail(KafkaError("first"), 1.0)
    it.fail(None, 2.0)
    assert str(it.last_error) == "first"


def test_another_request_begins_without_a_pause() -> None:
    it = attempts()
    it.fail(KafkaError("no"), 1.0)
    it.reset()
    assert it.is_due(1.0)
    assert it.count == 0
