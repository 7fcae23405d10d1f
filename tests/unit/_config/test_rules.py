"""Settings against each other."""

from __future__ import annotations

from typing import Any

import pytest

from aioproducer._config import ProducerConfig
from aioproducer._config.declared import SETTINGS
from aioproducer._config.rules import NOT_BUILT, RULES
from aioproducer.errors import ConfigurationError


def config(**settings: Any) -> ProducerConfig:
    return ProducerConfig(bootstrap_servers="a:1", **settings)


def problems(**settings: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        config(**settings)
    return caught.value.problems


@pytest.mark.parametrize("settings", [{"acks": 1}, {"acks": "0"}, {"retries": 0}, {"acks": 0, "retries": 0}])
def test_implicit_idempotence_gives_way_with_a_note(settings: dict[str, Any]) -> None:
    made = config(**settings)
    assert not made.enable_idempotence
    assert any("idempotence is off" in note for note in made.notes)
    assert not made.warnings


@pytest.mark.parametrize("settings", [{"acks": 1}, {"retries": 0}])
def test_explicit_idempotence_is_a_contradiction(settings: dict[str, Any]) -> None:
    (problem,) = problems(enable_idempotence=True, **settings)
    assert "enable_idempotence=True does not go with" in problem


@pytest.mark.parametrize("settings", [{}, {"enable_idempotence": True}, {"acks": 1}])
def test_more_than_five_in_flight_never_go_with_idempotence(settings: dict[str, Any]) -> None:
    assert any("above 5" in problem for problem in problems(max_in_flight_requests_per_connection=6, **settings))


def test_without_idempotence_everything_goes() -> None:
    made = config(enable_idempotence=False, acks=1, retries=0, max_in_flight_requests_per_connection=100)
    assert made.max_in_flight_requests_per_connection == 100
    assert not made.notes


def test_acks_all_keeps_idempotence() -> None:
    assert config(acks="all", retries=1, max_in_flight_requests_per_connection=5).enable_idempotence


@pytest.mark.parametrize("settings", [{"acks": 1}, {"retries": 0}, {"enable_idempotence": False}])
def test_a_transactional_id_needs_idempotence(settings: dict[str, Any]) -> None:
    assert any(
        "transactional_id needs idempotence" in problem for problem in problems(transactional_id="t", **settings)
    )


def test_an_explicit_delivery_timeout_covers_linger_and_request() -> None:
    assert config(delivery_timeout_ms=30_005).delivery_timeout_ms == 30_005
    (problem,) = problems(delivery_timeout_ms=30_004)
    assert "linger_ms + request_timeout_ms = 30005" in problem


def test_the_default_delivery_timeout_is_raised_with_a_warning() -> None:
    made = config(linger_ms=1_000, request_timeout_ms=150_000)
    assert made.delivery_timeout_ms == 151_000
    assert len(made.warnings) == 1


def test_the_sum_of_linger_and_request_stops_at_the_largest_int() -> None:
    made = config(linger_ms=2**40)
    assert made.delivery_timeout_ms == 2**31 - 1


def test_a_reconnect_backoff_alone_is_constant() -> None:
    made = config(reconnect_backoff_ms=5_000)
    assert (made.reconnect_backoff_ms, made.reconnect_backoff_max_ms) == (5_000, 5_000)
    assert len(made.notes) == 1
    assert config(reconnect_backoff_max_ms=9_000).reconnect_backoff_ms == 50


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("retry_backoff_ms", "retry_backoff_max_ms"),
        ("reconnect_backoff_ms", "reconnect_backoff_max_ms"),
        ("socket_connection_setup_timeout_ms", "socket_connection_setup_timeout_max_ms"),
    ],
)
def test_a_first_pause_above_the_longest_is_the_longest(low: str, high: str) -> None:
    made = config(**{low: 700, high: 300})
    assert (getattr(made, low), getattr(made, high)) == (300, 300)
    assert len(made.warnings) == 1


def test_buffer_memory_holds_a_batch() -> None:
    assert config(buffer_memory=16_384).buffer_memory == 16_384
    (problem,) = problems(buffer_memory=16_383)
    assert "below batch_size=16384" in problem


@pytest.mark.parametrize(
    "settings",
    [
        {"partitioner": "random", "partitioner_ignore_keys": True},
        {"partitioner": "random", "partitioner_adaptive_partitioning_enable": False},
        {"partitioner_availability_timeout_ms": 10, "partitioner_adaptive_partitioning_enable": False},
        {"compression_zstd_level": 9},
        {"compression_zstd_level": 9, "compression_type": "gzip"},
    ],
)
def test_a_setting_without_effect_is_warned_of(settings: dict[str, Any]) -> None:
    (warning,) = config(**settings).warnings
    assert "has no effect" in warning


def test_a_level_of_the_codec_in_use_is_not_warned_of() -> None:
    assert not config(compression_zstd_level=9, compression_type="zstd").warnings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enable_metrics_push", True),
    ],
)
def test_what_is_not_built_is_refused(name: str, value: object) -> None:
    (problem,) = problems(**{name: value})
    assert problem.startswith(f"{name}: ")
    assert "not built yet" in problem


@pytest.mark.parametrize("name", sorted(NOT_BUILT))
def test_the_one_value_that_works_may_be_given(name: str) -> None:
    assert getattr(config(**{name: NOT_BUILT[name][0]}), name) == SETTINGS[name].default


def test_a_wrong_value_is_told_once_and_not_by_rules_about_it() -> None:
    assert len(problems(acks="x", enable_idempotence=True, retries=0)) == 1


def test_rules_are_about_settings() -> None:
    assert all(names <= SETTINGS.keys() for names, _ in RULES)
