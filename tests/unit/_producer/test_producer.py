"""What a Producer does without an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aioproducer import ConfigurationError, Producer, ProducerConfig, ProducerProtocol
from aioproducer._producer.status import ProducerStatus

if TYPE_CHECKING:
    from pathlib import Path


def test_settings_may_come_from_a_mapping_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "client.properties"
    file.write_text("bootstrap.servers=a:1\nlinger.ms=7\n")
    monkeypatch.setenv("ORDERS_KAFKA_BOOTSTRAP_SERVERS", "a:1")
    monkeypatch.setenv("ORDERS_KAFKA_LINGER_MS", "7")
    for producer in (
        Producer.from_config({"bootstrap.servers": "a:1", "linger.ms": "7"}, batch_size=5),
        Producer.from_file(file, batch_size=5),
        Producer.from_env("ORDERS_KAFKA_", batch_size=5),
    ):
        config = producer.config
        assert (list(config.bootstrap_servers), config.linger_ms, config.batch_size) == ([("a", 1)], 7, 5)


def test_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"linger\.mz"):
        Producer.from_config({"bootstrap.servers": "a:1", "linger.mz": "7"})


def test_a_config_and_settings_exclude_each_other() -> None:
    config: Any = ProducerConfig(bootstrap_servers="a:1")
    with pytest.raises(TypeError, match="not both"):
        Producer(config, linger_ms=1)


@pytest.mark.parametrize("config", ["localhost:9092", ["localhost:9092"], {"bootstrap.servers": "localhost:9092"}])
def test_what_other_clients_take_as_first_argument_is_refused_with_the_way_out(config: Any) -> None:
    with pytest.raises(TypeError, match=r"config is \w+; .*bootstrap_servers=.*from_config"):
        Producer(config)


def test_before_the_start_there_is_nothing_to_tell() -> None:
    producer = Producer(bootstrap_servers="a:1")
    assert (producer.status(), dict(producer.statistics())) == (ProducerStatus(), {})


def test_a_producer_is_what_its_protocol_says() -> None:
    sending: ProducerProtocol = Producer[bytes, bytes](bootstrap_servers="a:1")  # the type checkers see to it
    for name in ("send", "submit", "submit_nowait", "send_all", "flush"):
        assert callable(getattr(sending, name))
