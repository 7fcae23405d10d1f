"""Names that are not ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioproducer._config import SETTINGS
from aioproducer._config.names import ALIASES, CONSUMER, JVM, NO_COUNTERPART, NOT_BUILT, explain_unknown


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("linger_mss", "did you mean linger_ms?"),
        ("bootstrap_server", "did you mean bootstrap_servers?"),
        ("max_batchsize", "did you mean batch_size?"),
        ("max_batch_size", "is aiokafka's name; here it is batch_size"),
        ("queue_buffering_max_ms", "is librdkafka's name; here it is linger_ms"),
        ("group_id", "a setting of consumers"),
        ("auto_offset_reset", "a setting of consumers"),
        ("ssl_provider", "Java virtual machine"),
        ("ssl_curves_list", "make an ssl.SSLContext"),
        ("sasl_plain_password", "is aiokafka's name; here it is sasl_password"),
        ("sasl_kerberos_kinit_cmd", "no command is run"),
        ("sasl_kerberos_name", "sasl_kerberos_domain_name"),
        ("saslmechanism", "did you mean sasl_mechanism?"),
        ("sasl_mechansim", "did you mean sasl_mechanism?"),
        ("queue_buffering_max_msgs", "buffer_memory bounds"),
        ("bootstrap-server", "did you mean bootstrap_servers?"),
        ("schema_registry_url", "schema registry"),
        ("default_topic_config", "hold for all topics"),
        ("config_providers", "not built"),
        ("metric_reporters", "not built"),
        ("statistics_interval_ms", "ask producer.statistics()"),
        ("error_cb", "give on_error= to the producer"),
        ("socks5_proxy", "connect= of the producer"),
        ("zzz", "docs/settings.md lists all"),
    ],
)
def test_a_name_is_explained(name: str, words: str) -> None:
    sentence = explain_unknown(name)
    assert sentence.startswith(name)
    assert words in sentence


def test_the_name_is_shown_as_it_was_given() -> None:
    assert explain_unknown("group_id", "group.id").startswith("group.id is")


def test_no_explanation_hides_a_setting_or_another_explanation() -> None:
    names = [*ALIASES, *NO_COUNTERPART, *CONSUMER, *JVM, *NOT_BUILT, *SETTINGS]
    assert len(names) == len(set(names))


def test_every_alias_leads_to_a_setting() -> None:
    assert {alias.name for alias in ALIASES.values()} <= SETTINGS.keys()


DATA = Path(__file__).parent.parent.parent / "data"
THEIRS = {
    "Java": [line.partition(" = ")[0] for line in (DATA / "producer_config_4.3.1.txt").read_text().splitlines()],
    "librdkafka": (DATA / "librdkafka_config_2.16.txt").read_text().split(),
    "aiokafka": (DATA / "aiokafka_config_0.14.0.txt").read_text().split(),
    "kafka-python": (DATA / "kafka_python_config_3.0.12.txt").read_text().split(),
}


@pytest.mark.parametrize("client", THEIRS)
def test_every_setting_of_another_client_is_taken_or_explained(client: str) -> None:
    assert len(THEIRS[client]) > 20
    for given in THEIRS[client]:
        name = given.replace(".", "_")
        if name not in SETTINGS and name not in ALIASES and name != "compression_level":
            assert "is not a setting" not in explain_unknown(name, given)
