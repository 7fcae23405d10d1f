"""The declarations against Kafka's own list."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioproducer._config import SETTINGS, ProducerConfig
from aioproducer._config.names import JVM, NO_COUNTERPART, NOT_BUILT
from aioproducer._config.producer_config import shown
from aioproducer._config.sources import HANDLERS

KAFKA_DEFAULTS = Path(__file__).parents[2] / "data" / "producer_config_4.3.1.txt"

OURS = {
    "allow_auto_create_topics",
    "close_timeout_ms",
    "enable_ssl_certificate_verification",
    "sasl_kerberos_domain_name",
    "sasl_kerberos_keytab",
    "sasl_kerberos_principal",
    "sasl_kerberos_ticket_cache",
    "sasl_oauth_token_provider",
    "sasl_oauthbearer_extensions",
    "sasl_password",
    "sasl_scram_token_auth",
    "sasl_username",
    "ssl_certfile",
    "ssl_context",
    "ssl_crlfile",
    "ssl_keyfile",
}

NEWER = {"metadata.cluster.check.enable": "true"}  # of Kafka 4.4, with its default (KIP-1242)

DIFFERENT = {  # Java's default → ours
    "client.id": ("", "None"),
    "compression.lz4.level": ("9", "1"),
    "enable.metrics.push": ("true", "False"),
    "send.buffer.bytes": ("131072", "-1"),
    "receive.buffer.bytes": ("32768", "-1"),
    "key.serializer": ("<required>", "None"),
    "value.serializer": ("<required>", "None"),
    "sasl.login.connect.timeout.ms": ("null", "10000"),
    "sasl.login.read.timeout.ms": ("null", "10000"),
    "sasl.kerberos.service.name": ("null", "kafka"),
    "sasl.mechanism": ("GSSAPI", "None"),
    "ssl.keystore.type": ("JKS", "PEM"),
    "ssl.truststore.type": ("JKS", "PEM"),
}


def kafka_defaults() -> dict[str, str]:
    pairs = (line.split("=", 1) for line in KAFKA_DEFAULTS.read_text("utf-8").splitlines())
    return {name.strip(): default.strip() for name, default in pairs} | NEWER


def test_every_setting_of_kafka_is_declared_or_refused_by_name() -> None:
    declared = {setting.java_name for setting in SETTINGS.values()}
    for name in kafka_defaults().keys() - declared:
        ours = name.replace(".", "_")
        assert ours in JVM or ours in NOT_BUILT or ours in NO_COUNTERPART or ours in HANDLERS, name


def test_every_declaration_is_kafkas_or_known_as_ours() -> None:
    kafka = kafka_defaults()
    for name, setting in SETTINGS.items():
        assert (setting.java_name is None) == (name in OURS)
        assert setting.java_name is None or setting.java_name in kafka, name


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in OURS and name != "bootstrap_servers"])
def test_defaults_are_kafkas_where_no_reason_is_known(name: str) -> None:
    setting = SETTINGS[name]
    assert setting.java_name is not None
    kafka = kafka_defaults()[setting.java_name]
    ours = shown(setting, setting.default)
    if setting.java_name in DIFFERENT:
        assert (kafka, ours) == DIFFERENT[setting.java_name]
    else:
        assert ours.lower() == kafka.lower().replace("null", "none")


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "bootstrap_servers"])
def test_every_default_is_legal(name: str) -> None:
    setting = SETTINGS[name]
    assert setting.kind.native(setting.default) == setting.default


def test_ours_have_their_defaults() -> None:
    config = ProducerConfig(bootstrap_servers="a:1")
    assert config.allow_auto_create_topics is True
    assert config.close_timeout_ms == 5_000


def test_every_declaration_has_a_text_and_a_kind_in_words() -> None:
    for setting in SETTINGS.values():
        assert setting.text.endswith(".")
        assert setting.kind.label
