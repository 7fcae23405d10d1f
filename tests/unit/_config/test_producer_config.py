"""Configurations as a whole."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from aioproducer._config import SETTINGS, ProducerConfig, Setting
from aioproducer._config.kinds import Text
from aioproducer._config.producer_config import shown
from aioproducer.errors import ConfigurationError
from aioproducer.serializers import utf8


def test_every_setting_is_an_attribute_with_its_default() -> None:
    config = ProducerConfig(bootstrap_servers="a:1")
    assert config.bootstrap_servers == (("a", 1),)
    for name, setting in SETTINGS.items():
        assert setting.required or getattr(config, name) == setting.default
    public = {field.name for field in fields(config) if not field.name.startswith("_")}
    assert public == {*SETTINGS, "warnings", "notes"}


def test_values_given_are_kept() -> None:
    config = ProducerConfig(
        bootstrap_servers=["a:1", "b:2"], acks="all", client_id="", compression_type=None, key_serializer=utf8
    )
    assert (config.acks, config.client_id, config.compression_type, config.key_serializer) == (-1, "", "none", utf8)


def test_all_problems_are_told_in_one_error() -> None:
    settings: dict[str, Any] = {
        "linger_mss": 1,
        "group_id": "g",
        "batch_size": "3",
        "retries": -1,
        "security_protocol": "TLS",
        "buffer_memory": 1,
        "delivery_timeout_ms": 1,
    }
    with pytest.raises(ConfigurationError) as caught:
        ProducerConfig(**settings)
    problems = caught.value.problems
    about = [problem.split()[0].strip(":") for problem in problems]
    assert about == [
        "linger_mss",
        "group_id",
        "bootstrap_servers",
        "batch_size",
        "retries",
        "security_protocol",
        "delivery_timeout_ms=1",
    ]


def test_text_is_not_read_as_numbers_from_python() -> None:
    linger: Any = "5"
    with pytest.raises(ConfigurationError, match="linger_ms is a str; it must be an int"):
        ProducerConfig(bootstrap_servers="a:1", linger_ms=linger)


def test_refused_passwords_are_not_repeated() -> None:
    secrets: dict[str, Any] = {"sasl_plain_password": "SECRET", "ssl_key_password": "SECRET", "passwort": "SECRET"}
    with pytest.raises(ConfigurationError) as caught:
        ProducerConfig(bootstrap_servers="a:1", **secrets)
    assert "SECRET" not in str(caught.value)
    assert len(caught.value.problems) == 3


def test_from_config_reads_texts_and_takes_python_values() -> None:
    config = ProducerConfig.from_config(
        {
            "bootstrap.servers": "a:1,b:2",
            "linger.ms": " 100 ",
            "acks": "1",
            "enable.idempotence": "False",
            "batch_size": 5,
            "value.serializer": "org.apache.kafka.common.serialization.StringSerializer",
        },
        partitioner="round_robin",
    )
    assert config.bootstrap_servers == (("a", 1), ("b", 2))
    assert (config.linger_ms, config.acks, config.enable_idempotence, config.batch_size) == (100, 1, False, 5)
    assert (config.value_serializer, config.partitioner) == (utf8, "round_robin")


def test_arguments_win_over_the_mapping() -> None:
    assert ProducerConfig.from_config({"bootstrap.servers": "a:1", "linger.ms": "7"}, linger_ms=9).linger_ms == 9


def test_from_config_tells_all_problems_too() -> None:
    misspelt: dict[str, Any] = {"lingerms": 1}
    with pytest.raises(ConfigurationError) as caught:
        ProducerConfig.from_config({"linger.ms": "x", "auto.offset.reset": "latest"}, **misspelt)
    assert len(caught.value.problems) == 4


def test_from_file_and_from_env_give_the_same(tmp_path: Path) -> None:
    properties, toml = tmp_path / "p.properties", tmp_path / "p.toml"
    properties.write_text("bootstrap.servers=a:1\nlinger.ms=7\n")
    toml.write_text('bootstrap.servers = "a:1"\nlinger.ms = 7\n')
    expected = ProducerConfig(bootstrap_servers="a:1", linger_ms=7)
    assert ProducerConfig.from_file(properties) == expected
    assert ProducerConfig.from_file(toml) == expected
    assert ProducerConfig.from_env("K_", {"K_BOOTSTRAP_SERVERS": "a:1", "K_LINGER_MS": "7"}) == expected
    assert ProducerConfig.from_env("K_", {"K_BOOTSTRAP_SERVERS": "a:1"}, linger_ms=7) == expected


def test_a_configuration_cannot_be_changed_and_can_be_compared_and_pickled() -> None:
    config = ProducerConfig(bootstrap_servers="a:1", value_serializer=utf8)
    with pytest.raises(AttributeError):
        config.linger_ms = 3  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(config) == hash(ProducerConfig(bootstrap_servers="a:1", value_serializer=utf8))
    assert config != ProducerConfig(bootstrap_servers="a:2", value_serializer=utf8)


def test_describe_tells_every_setting_in_force_as_text() -> None:
    described = ProducerConfig(bootstrap_servers=["a:1", "[::1]:2"], acks=1, value_serializer=utf8).describe()
    assert described.keys() == SETTINGS.keys()
    assert described["bootstrap_servers"] == "a:1,[::1]:2"
    assert (described["acks"], described["enable_idempotence"]) == ("1", "False")
    assert (described["value_serializer"], described["interceptors"]) == ("utf8", "[]")
    assert ProducerConfig(bootstrap_servers="a:1").describe()["acks"] == "all"


def test_secrets_are_hidden() -> None:
    secret = Setting("password", Text(), None, required=False, text="A secret.", java_name=None, secret=True)
    assert shown(secret, "hunter2") == "[hidden]"


def test_the_repr_tells_what_is_not_the_default() -> None:
    assert repr(ProducerConfig(bootstrap_servers="a:1", linger_ms=9, acks="all")) == (
        "ProducerConfig(bootstrap_servers=a:1, linger_ms=9)"
    )


def test_replace_keeps_what_was_given_and_lets_the_rest_follow_anew() -> None:
    config = ProducerConfig(bootstrap_servers="a:1", acks=1, linger_ms=60_000, request_timeout_ms=90_000)
    assert (config.delivery_timeout_ms, config.enable_idempotence) == (150_000, False)
    changed = config.replace(acks="all", linger_ms=0)
    assert (changed.bootstrap_servers, changed.request_timeout_ms) == ((("a", 1),), 90_000)
    assert (changed.delivery_timeout_ms, changed.enable_idempotence, changed.notes) == (120_000, True, ())
    assert (config.acks, config.linger_ms) == (1, 60_000)
    unset: Any = {"linger_ms": None, "request_timeout_ms": None}
    assert changed.replace(**unset) == ProducerConfig(bootstrap_servers="a:1")


def test_replace_takes_texts_and_secrets_over_as_they_were_read() -> None:
    config = ProducerConfig.from_config(
        {
            "bootstrap.servers": "a:1,b:2",
            "linger.ms": "7",
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "u",
            "sasl.password": "made-up",
            "compression.level": "3",
        }
    )
    assert config.replace() == config
    assert config.replace().notes == config.notes != ()
    changed = config.replace(linger_ms=8)
    assert (changed.sasl_password, changed.linger_ms) == (config.sasl_password, 8)
    assert changed.bootstrap_servers == (("a", 1), ("b", 2))


def test_replace_refuses_as_the_constructor_does() -> None:
    config = ProducerConfig(bootstrap_servers="a:1", acks=1)
    wrong: Any = {"lingr_ms": 1, "enable_idempotence": True, "batch_size": -1}
    with pytest.raises(ConfigurationError) as caught:
        config.replace(**wrong)
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "lingr_ms",
        "batch_size",
        "enable_idempotence=True",
    ]
