"""What of a value may be in a message."""

from __future__ import annotations

import pytest

from aioproducer import ConfigurationError, ProducerConfig
from aioproducer._config.showing import shown_text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("gzip2", "'gzip2'"),
        ("", "''"),
        ('"all"', "a text of 5 characters in quotes, which belong to the value there (take them off)"),
        ("5 # ms", "a text of 6 characters with # in it (a comment has to stand in a line of its own)"),
        ("a:1 b=c", "a text of 7 characters with blanks and = in it (each setting stands in a line of its own)"),
        ("<your-broker>", "a text of 13 characters with a placeholder in it that nothing was put in for"),
        ("p\uff1ax", "a text of 3 characters"),
        ("x" * 61, "a text of 61 characters"),
    ],
)
def test_only_short_and_plain_texts_are_shown(value: str, shown: str) -> None:
    assert shown_text(value) == shown


def test_a_file_in_one_line_is_not_quoted() -> None:
    line = "a:1 security.protocol=SASL_SSL sasl.mechanism=PLAIN sasl.password=hidden"
    with pytest.raises(ConfigurationError, match="each setting stands in a line") as caught:
        ProducerConfig.from_config({"bootstrap.servers": line})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("name", ["sasl.password\uff1ahidden", "sasl.password hidden", "hidden" * 20])
def test_a_name_that_may_be_the_rest_of_a_value_is_not_quoted(name: str) -> None:
    with pytest.raises(ConfigurationError, match="characters that no setting has") as caught:
        ProducerConfig.from_config({"bootstrap.servers": "a:1", name: ""})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("server", ["<your-broker>:9092", "${HOST}:9092", "{{ broker }}:9092"])
def test_a_placeholder_is_no_broker(server: str) -> None:
    with pytest.raises(ConfigurationError, match="placeholder"):
        ProducerConfig(bootstrap_servers=server)
