"""_runtime/dns_lookup.py: what takes the place of the bootstrap servers, by a resolver that the test makes."""

from __future__ import annotations

import logging
import socket

import anyio
import pytest

from aioproducer._backend.names import Address, Resolver
from aioproducer._config import ProducerConfig
from aioproducer._runtime.dns_lookup import with_canonical_servers
from aioproducer.errors import BootstrapError

NAMES = {"kafka": ["10.0.0.1", "10.0.0.2"], "other": ["10.0.0.2", "10.0.0.3"]}
CANONICAL = {"10.0.0.1": "broker-1.example", "10.0.0.2": "broker-2.example"}


class FakeResolver(Resolver):
    """Knows the names above."""

    async def addresses(self, host: str, port: int) -> list[Address]:
        await anyio.lowlevel.checkpoint()
        if host == "silent":
            await anyio.sleep_forever()
        if host not in NAMES:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, (address, port)) for address in NAMES[host]]

    async def canonical_name(self, address: Address) -> str:
        await anyio.lowlevel.checkpoint()
        ip: str = address[1][0]
        return CANONICAL.get(ip, ip)


async def resolve(config: ProducerConfig) -> ProducerConfig:
    return await with_canonical_servers(config, FakeResolver())


def config(*servers: str, max_block_ms: int = 5_000) -> ProducerConfig:
    return ProducerConfig(bootstrap_servers=servers, max_block_ms=max_block_ms, linger_ms=7)


async def test_a_name_becomes_the_names_of_all_its_addresses_each_once() -> None:
    given = config("kafka:9092", "other:9092")
    resolved = await resolve(given)
    assert resolved.bootstrap_servers == (
        ("broker-1.example", 9092),
        ("broker-2.example", 9092),
        ("10.0.0.3", 9092),  # it has no name
    )
    assert resolved.linger_ms == 7
    assert given.bootstrap_servers == (("kafka", 9092), ("other", 9092))


async def test_each_keeps_its_port() -> None:
    resolved = await resolve(config("kafka:1", "kafka:2"))
    assert [port for _, port in resolved.bootstrap_servers] == [1, 1, 2, 2]


@pytest.mark.parametrize("bad", ["nowhere:9092", "...:9092"])
async def test_a_name_that_cannot_be_resolved_is_left_out_and_logged(
    bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        resolved = await resolve(config(bad, "kafka:9092"))
    assert [host for host, _ in resolved.bootstrap_servers] == ["broker-1.example", "broker-2.example"]
    (line,) = caplog.records
    assert (vars(line)["event_name"], vars(line)["address"]) == ("name_unresolved", bad)


async def test_without_any_name_there_is_an_error_that_tells_of_each() -> None:
    with pytest.raises(BootstrapError, match=r"nowhere:9092: .*not known; elsewhere:1: ") as caught:
        await resolve(config("nowhere:9092", "elsewhere:1"))
    assert set(caught.value.failures) == {("nowhere", 9092), ("elsewhere", 1)}


async def test_a_silent_resolver_is_waited_for_no_longer_than_max_block_ms() -> None:
    with anyio.fail_after(2), pytest.raises(BootstrapError, match="silent:9092: no answer yet"):
        await resolve(config("silent:9092", max_block_ms=20))
