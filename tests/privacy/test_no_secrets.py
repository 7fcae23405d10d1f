"""No password is in a text about settings, and no key or value in a repr of what holds them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import pytest

from aioproducer import ConfigurationError, Producer, ProducerConfig, ProducerRecord
from aioproducer._config.declared import SETTINGS
from aioproducer._core.accumulator.batch import ProducerBatch
from aioproducer._producer.prepare import PreparedRecord, RecordPreparer
from aioproducer._types import copy_bytes, normalize_headers
from aioproducer.errors import SerializationError
from tests.unit._core.accumulators import accumulator

if TYPE_CHECKING:
    from pathlib import Path

WORD: Final = "SENTINEL"
SECRET: Final = WORD.encode()

SECRET_NAMES: Final = [
    "sasl.jaas.config",
    "sasl.password",
    "sasl.plain.password",
    "sasl.oauthbearer.client.credentials.client.secret",
    "ssl.key.password",
    "ssl.keystore.key",
    "ssl.keystore.password",
    "ssl.truststore.password",
    "pasword",
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_refused_credential_is_named_and_not_shown(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Producer.from_config({"bootstrap.servers": "a:1", name: WORD})
    ours = "sasl_password" if name == "sasl.plain.password" else name.replace(".", "_")
    assert name in str(caught.value) or ours in str(caught.value)
    assert WORD not in str(caught.value) + repr(caught.value) + repr(caught.value.__dict__)


def test_a_credential_in_a_file_is_not_shown_by_its_errors(tmp_path: Path) -> None:
    for name, text in (
        ("a.properties", f"bootstrap.servers=a:1\nsasl.password={WORD}\nlinger.ms=x\n"),
        ("a.toml", f'"bootstrap.servers" = "a:1"\n"sasl.password" = "{WORD}"\n'),
        ("broken.toml", f'"sasl.password" = "{WORD}\n'),
    ):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(ConfigurationError) as caught:
            ProducerConfig.from_file(path)
        assert WORD not in str(caught.value) + repr(caught.value)


def test_a_credential_in_the_environment_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ProducerConfig.from_env("APP_", {"APP_BOOTSTRAP_SERVERS": "a:1", "APP_SASL_PASSWORD": WORD})
    assert WORD not in str(caught.value) + repr(caught.value)


def test_a_password_in_a_server_address_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ProducerConfig(bootstrap_servers=f"user:{WORD}@host:9092")
    assert WORD not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("name", sorted(SETTINGS.keys() - {"client_dns_lookup", "sasl_oauthbearer_extensions"}))
def test_a_setting_of_a_wrong_type_is_told_by_its_type(name: str) -> None:
    wrong: dict[str, Any] = {"bootstrap_servers": "a:1", name: {WORD: WORD}}
    with pytest.raises(ConfigurationError) as caught:
        ProducerConfig(**wrong)
    assert name in str(caught.value)
    assert "dict" in str(caught.value)
    assert WORD not in str(caught.value) + repr(caught.value)


def test_objects_among_the_settings_are_shown_by_their_type(caplog: pytest.LogCaptureFixture) -> None:
    class Vault:
        def serialize(self, topic: str, value: object, headers: object) -> bytes:
            return SECRET

        def __repr__(self) -> str:
            return WORD

    with caplog.at_level(logging.DEBUG):
        producer = Producer[Any, Any](bootstrap_servers="a:1", value_serializer=Vault(), linger_ms=200_000)
    config = producer.config
    assert config.describe()["value_serializer"] == "Vault"
    assert caplog.text, "the raised delivery_timeout_ms is warned of"
    for text in (repr(config), str(config), str(config.describe()), repr(producer), caplog.text):
        assert WORD not in text


def test_what_holds_a_record_does_not_show_it() -> None:
    record = ProducerRecord("t", SECRET, key=SECRET, headers={"h": SECRET})
    prepared = PreparedRecord("t", 0, SECRET, SECRET, (("h", SECRET),), 1)
    known = accumulator({"t": [0]})
    batch = known.appender.try_append("t", 0, SECRET, SECRET, (("h", SECRET),), 1, 0.0)
    pending = known.enqueue("unknown", None, SECRET, SECRET, None, 1, 0.0, 9.0, accepted=True)
    assert isinstance(batch, ProducerBatch)
    for each in (record, prepared, batch, pending):
        assert WORD not in repr(each) + str(each)


@pytest.mark.parametrize("part", ["key", "value"])
def test_a_refused_key_or_value_is_not_shown(part: str) -> None:
    for wrong in (WORD, [WORD], {WORD: WORD}, SECRET.hex):
        with pytest.raises(TypeError) as caught:
            copy_bytes(part, wrong)
        assert WORD not in str(caught.value)


def test_refused_headers_are_not_shown() -> None:
    wrong: Any
    for wrong in (WORD, [WORD], [(b"h", WORD)], {"h": WORD}, [("h", WORD)], [(WORD + "\ud800", b"")], 5):
        with pytest.raises((TypeError, ValueError)) as caught:
            normalize_headers(wrong)
        assert WORD not in str(caught.value)


def test_a_serializer_that_raises_is_told_of_by_the_class_and_keeps_its_words_to_the_cause() -> None:
    def fails(value: object) -> bytes:
        raise ValueError(value)

    with pytest.raises(SerializationError, match="value serializer raised ValueError") as caught:
        RecordPreparer(None, fails, ()).prepare("t", WORD, None, None, None, None)
    assert WORD not in str(caught.value) + repr(caught.value)
    assert WORD in str(caught.value.__cause__)
