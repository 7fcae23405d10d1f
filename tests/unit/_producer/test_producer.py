"""What a Producer does without an event loop."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock, create_autospec

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


def test_a_program_may_derive_from_it() -> None:
    class Ours(Producer[str, bytes]):
        """One with a setting of its own."""

        def __init__(self, name: str, **settings: Any) -> None:
            super().__init__(bootstrap_servers="a:1", **settings)
            self.name = name

    ours = Ours("mine", client_id="c")
    assert (ours.name, ours.config.client_id, repr(ours)) == ("mine", "c", "<Producer c new>")


async def test_async_with_calls_what_a_derived_class_has_made_of_start_and_close() -> None:
    calls: list[object] = []

    class Ours(Producer[bytes, bytes]):
        """One that is told of its life."""

        async def start(self) -> None:
            calls.append("start")

        async def close(self, timeout: float | None = None) -> None:
            calls.append(timeout)

    async with Ours(bootstrap_servers="a:1"):
        pass
    with pytest.raises(KeyError):
        async with Ours(bootstrap_servers="a:1"):
            raise KeyError
    assert calls == ["start", None, "start", 5]


def test_it_can_be_specified_to_a_mock() -> None:
    mock = create_autospec(Producer, instance=True)
    assert inspect.iscoroutinefunction(mock.send)
    assert isinstance(mock.submit_nowait(topic="t", value=b"v"), Mock)
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        mock.submit_nowait("t", b"v", kee=b"k")
    with pytest.raises(AttributeError):
        mock.sent()


def test_every_verb_says_what_it_does() -> None:
    verbs = [member for name, member in vars(Producer).items() if not name.startswith("_")]
    assert all(inspect.getdoc(verb) for verb in verbs)
    assert {"start", "close", "send", "from_config", "config"} <= vars(Producer).keys()
