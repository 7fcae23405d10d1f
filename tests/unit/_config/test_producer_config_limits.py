"""Single settings at their limits, through the whole configuration."""

from __future__ import annotations

from typing import Any

import pytest

from aioproducer._config import ProducerConfig
from aioproducer.errors import ConfigurationError


def config(**settings: Any) -> ProducerConfig:
    return ProducerConfig(bootstrap_servers="a:1", **settings)


def test_a_transactional_id_implies_what_it_needs() -> None:
    made = config(transactional_id="t")
    assert (made.acks, made.retries, made.enable_idempotence) == (-1, 2**31 - 1, True)
    assert made.max_in_flight_requests_per_connection == 5
    assert not made.warnings


@pytest.mark.parametrize("name", ["send_buffer_bytes", "receive_buffer_bytes"])
def test_socket_buffers_are_a_size_or_the_systems(name: str) -> None:
    for size in (-1, 0, 65_536):
        assert getattr(config(**{name: size}), name) == size
    with pytest.raises(ConfigurationError, match=name) as caught:
        config(**{name: -2})
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("compression_type", "zstd", ("ZSTD", "brotli", "")),
        ("metadata_recovery_strategy", "REBOOTSTRAP", ("always", "")),
        ("security_protocol", "plaintext", ("TLS", "")),
        ("client_dns_lookup", "use_all_dns_ips", ("default",)),
        ("metrics_recording_level", "INFO", ("LOUD",)),
    ],
)
def test_enumerations_take_their_words_only(name: str, good: str, bad: tuple[str, ...]) -> None:
    assert getattr(config(**{name: good}), name).lower() == good.lower()
    for word in bad:
        with pytest.raises(ConfigurationError, match=name):
            config(**{name: word})


def test_the_default_recovery_is_rebootstrap() -> None:
    assert config().metadata_recovery_strategy == "rebootstrap"
