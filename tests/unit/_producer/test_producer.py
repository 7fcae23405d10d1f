"""What a Producer does without an event loop."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, Any, assert_type
from unittest.mock import Mock, create_autospec

import pytest

from aioproducer import ConfigurationError, Producer, ProducerConfig, ProducerProtocol
from aioproducer._config import SETTINGS
from aioproducer._producer.status import ProducerStatus
from aioproducer.serializers import utf8

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


def test_settings_beside_a_config_change_it() -> None:
    config = ProducerConfig(bootstrap_servers="a:1", batch_size=5)
    changed = Producer(config, linger_ms=1, value_serializer=utf8).config
    assert (changed.batch_size, changed.linger_ms, changed.value_serializer) == (5, 1, utf8)
    assert Producer(config).config is config
    assert (config.linger_ms, config.value_serializer) == (5, None)


def test_the_signature_has_every_setting() -> None:
    parameters = inspect.signature(Producer).parameters
    assert list(parameters)[:5] == ["config", "connect", "on_error", "key_serializer", "value_serializer"]
    assert set(SETTINGS) < set(parameters)
    assert all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters.values())
    assert parameters["linger_ms"].default == 5


def test_serializers_given_by_name_are_what_types_are_inferred_from() -> None:
    # The type checkers see to what assert_type says.
    assert_type(Producer(bootstrap_servers="a:1"), Producer[bytes, bytes])
    assert_type(Producer(bootstrap_servers="a:1", value_serializer=utf8), Producer[bytes, str])
    assert_type(Producer(bootstrap_servers="a:1", key_serializer=utf8, value_serializer=utf8), Producer[str, str])


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

        async def start(self, *, wait: bool = True) -> None:
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


def test_a_producer_whose_settings_were_refused_says_nothing_when_the_program_ends() -> None:
    program = """
from aioproducer import Producer
kept = []
try:
    Producer(bootstrap_servers="no address")
except Exception as error:
    kept.append(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
