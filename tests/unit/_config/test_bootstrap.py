"""Addresses of bootstrap servers."""

from __future__ import annotations

from typing import Any

import pytest

from aioproducer._config import parse_bootstrap_servers
from aioproducer.errors import ConfigurationError

BAD = [
    "localhost",
    "localhost:",
    ":9092",
    "localhost:http",
    "a:0",
    "a:65536",
    "a:123456",
    "::1:9092",
    "a\tb:1",
    "a:1:2",
    "a:-1",
    "a:１",
]


@pytest.mark.parametrize(
    ("servers", "addresses"),
    [
        ("localhost:9092", (("localhost", 9092),)),
        (" a:1 , b:2 ", (("a", 1), ("b", 2))),
        (["a:1", "b:65535"], (("a", 1), ("b", 65535))),
        (("a:1", "b:2", "a:1"), (("a", 1), ("b", 2))),
        ("[::1]:9092", (("::1", 9092),)),
        ("[fe80::1%eth0]:9092", (("fe80::1%eth0", 9092),)),
        ("PLAINTEXT://kafka-1.example.com:9092", (("kafka-1.example.com", 9092),)),
        ("SASL_SSL://[2001:db8::2]:9093,10.0.0.1:9092", (("2001:db8::2", 9093), ("10.0.0.1", 9092))),
    ],
)
def test_addresses_are_taken_apart_in_order_without_duplicates(servers: Any, addresses: Any) -> None:
    assert parse_bootstrap_servers(servers) == addresses


@pytest.mark.parametrize("servers", ["", "  ", [], ()])
def test_no_address_is_refused(servers: Any) -> None:
    with pytest.raises(ConfigurationError, match="bootstrap_servers is empty"):
        parse_bootstrap_servers(servers)


@pytest.mark.parametrize("server", BAD)
def test_an_address_without_host_or_proper_port_is_refused(server: str) -> None:
    with pytest.raises(ConfigurationError, match="bootstrap_servers has"):
        parse_bootstrap_servers(server)


@pytest.mark.parametrize("servers", ["a:1,,b:2", "a:1,", ["a:1", " "]])
def test_an_empty_element_is_refused(servers: Any) -> None:
    with pytest.raises(ConfigurationError, match="empty element"):
        parse_bootstrap_servers(servers)


def test_all_bad_addresses_are_told() -> None:
    servers: Any = ["ok:1", "bad", 7]
    with pytest.raises(ConfigurationError) as caught:
        parse_bootstrap_servers(servers)
    assert len(caught.value.problems) == 2


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_bootstrap_servers("user:SECRET@host:9092")
    assert "SECRET" not in str(caught.value)
