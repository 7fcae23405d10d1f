"""When a request that is repeated until it is answered may be sent again, and how pauses grow."""

from __future__ import annotations

import math
import random

from aioproducer._core.requests.backoff import SOON, RetryTimer, exponential_backoff
from aioproducer.errors import KafkaError
from tests.unit._core.harness import config


def timer() -> RetryTimer:
    """One with pauses of 100 ms to a second."""
    return RetryTimer(config(retry_backoff_ms=100, retry_backoff_max_ms=1_000), random.Random(1))


def test_one_is_under_way_at_a_time() -> None:
    it = timer()
    assert it.is_due(0.0)
    it.begin()
    assert not it.is_due(1e9)
    assert it.next_at() == math.inf
    it.succeed()
    assert it.is_due(0.0)


def test_pauses_grow_up_to_the_maximum_until_a_success() -> None:
    it = timer()
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
    it = timer()
    it.fail(KafkaError("busy"), 10.0, is_soon=True)
    assert 0 < it.next_at() - 10.0 <= SOON * 1.2


def test_a_failure_without_a_reason_keeps_the_last_one() -> None:
    it = timer()
    it.fail(KafkaError("first"), 1.0)
    it.fail(None, 2.0)
    assert str(it.last_error) == "first"


def test_another_request_begins_without_a_pause() -> None:
    it = timer()
    it.fail(KafkaError("no"), 1.0)
    it.reset()
    assert it.is_due(1.0)
    assert it.count == 0


def test_what_is_new_is_asked_for_past_any_pause_and_failures_still_count() -> None:
    it = timer()
    it.fail(KafkaError("no"), 1.0)
    it.skip_pause(1.0)
    assert it.is_due(1.0)
    assert it.count == 1


def test_a_pause_without_a_failure_is_as_long_as_after_so_many() -> None:
    it = timer()
    it.pause(3, 10.0)
    assert 0.32 <= it.next_at() - 10.0 <= 0.48
    assert it.count == 0
    assert it.last_error is None


def test_backoff_doubles_within_20_percent_and_is_capped_after_the_jitter() -> None:
    rng = random.Random(1)
    for attempts, middle in [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8)]:
        drawn = [exponential_backoff(attempts, 0.1, 1.0, rng) for _ in range(200)]
        assert min(drawn) >= middle * 0.8
        assert max(drawn) <= min(middle * 1.2, 1.0)
        assert max(drawn) - min(drawn) > middle * 0.15
    assert max(exponential_backoff(5, 0.1, 1.0, rng) for _ in range(100)) == 1.0


def test_backoff_survives_any_number_of_attempts() -> None:
    assert exponential_backoff(10**6, 0.1, 1.0, random.Random(1)) == 1.0


def test_backoff_without_room_to_grow_is_constant() -> None:
    assert {exponential_backoff(n, 0.5, 0.5, random.Random(n)) for n in range(20)} == {0.5}
    assert exponential_backoff(3, 0.5, 0.1, random.Random(1)) == 0.5
