"""When tokens are refreshed: Kafka's rule (ExpiringCredentialRefreshingLoginTest)."""

from __future__ import annotations

import random

import pytest

from aioproducer.errors import ConfigurationError
from aioproducer.security._refresh import RefreshSettings, is_kept, is_sendable, refresh_at_ms
from aioproducer.security._token import Token

MINUTE = 60_000
NOW = 1_700_000_000_000
PLAIN = RefreshSettings(window_factor=0.5, window_jitter=0.0, min_period_seconds=60, buffer_seconds=300)


def planned(
    life_ms: int, settings: RefreshSettings = PLAIN, issued_ago_ms: int | None = None, chance: float = 0
) -> int:
    """Milliseconds from now until a token with so much life left is refreshed."""
    issued_at_ms = None if issued_ago_ms is None else NOW - issued_ago_ms
    token = Token("t", expires_at_ms=NOW + life_ms, issued_at_ms=issued_at_ms)
    at = refresh_at_ms(token, settings, now_ms=NOW, chance=chance)
    assert at is not None
    return at - NOW


def test_a_part_of_the_life_passes_first() -> None:
    assert planned(100 * MINUTE) == 50 * MINUTE


def test_the_life_begins_when_the_token_was_issued() -> None:
    assert planned(80 * MINUTE, issued_ago_ms=20 * MINUTE) == 30 * MINUTE


def test_jitter_comes_on_top() -> None:
    settings = RefreshSettings(window_factor=0.5, window_jitter=0.2)
    assert planned(100 * MINUTE, settings, chance=0.5) == 60 * MINUTE


def test_it_is_not_later_than_the_buffer() -> None:
    assert planned(100 * MINUTE, RefreshSettings(window_factor=1.0, window_jitter=0.0)) == 95 * MINUTE


def test_it_is_not_sooner_than_the_least_period() -> None:
    assert planned(10 * MINUTE, issued_ago_ms=100 * MINUTE) == 1 * MINUTE


def test_limits_that_do_not_fit_into_the_life_do_not_count() -> None:
    assert planned(6 * MINUTE) == 5 * MINUTE - 4 * MINUTE  # both just fit: by the buffer
    assert planned(6 * MINUTE - 1) == 3 * MINUTE - 1
    assert planned(4000) == 2000


def test_a_token_without_end_is_not_refreshed() -> None:
    assert refresh_at_ms(Token("t"), PLAIN, now_ms=NOW, chance=0) is None


def test_it_is_always_between_now_and_the_end() -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(2000):
        settings = RefreshSettings(rng.uniform(0.5, 1), rng.uniform(0, 0.25), rng.randint(0, 900), rng.randint(0, 3600))
        life_ms = int(10 ** rng.uniform(3.4, 9))
        issued_ago_ms = rng.choice([None, rng.randint(0, 10**8)])
        found = planned(life_ms, settings, issued_ago_ms, rng.random())
        # Factor and jitter may come to more than the whole life, as in Java: at most a quarter of it.
        assert 0 <= found <= life_ms * 1.25, f"seed {seed}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window_factor": 0.4}, "window_factor is 0.4"),
        ({"window_factor": 1.1}, "between 0.5 and 1.0"),
        ({"window_jitter": -0.1}, "window_jitter"),
        ({"window_jitter": 0.3}, "between 0.0 and 0.25"),
        ({"min_period_seconds": 901}, "between 0 and 900"),
        ({"buffer_seconds": 3601}, "between 0 and 3600"),
        ({"buffer_seconds": float("nan")}, "buffer_seconds"),
    ],
)
def test_the_ranges_are_those_of_kafka(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        RefreshSettings(**settings)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("life_ms", "left_ms", "kept"),
    [(60_000, 10_001, True), (60_000, 10_000, False), (1_000_000, 50_001, True), (1_000_000, 50_000, False)],
)
def test_a_token_is_kept_until_shortly_before_its_end(life_ms: int, left_ms: int, kept: bool) -> None:
    token = Token("t", expires_at_ms=NOW + life_ms)
    assert is_kept(token, arrived_at_ms=NOW, now_ms=NOW + life_ms - left_ms) is kept


def test_a_token_without_known_end_is_sent_but_not_kept() -> None:
    assert not is_kept(Token("t"), arrived_at_ms=NOW, now_ms=NOW)
    assert is_sendable(Token("t"), now_ms=NOW)


def test_a_token_with_less_than_two_seconds_left_is_not_sent() -> None:
    assert is_sendable(Token("t", expires_at_ms=NOW + 2000), now_ms=NOW)
    assert not is_sendable(Token("t", expires_at_ms=NOW + 1999), now_ms=NOW)
