"""Names that are not ours."""

from __future__ import annotations

import pytest

from aioproducer.config import SETTINGS
from aioproducer.config.names import ALIASES, CONSUMER, JVM, NO_COUNTERPART, NOT_BUILT, explain_unknown


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
        ("ssl_context", "TLS and SASL are not built yet"),
        ("sasl_plain_password", "TLS and SASL are not built yet"),
        ("config_providers", "not built"),
        ("metric_reporters", "not built"),
        ("statistics_interval_ms", "ask producer.statistics()"),
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
