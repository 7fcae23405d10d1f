"""A name with several addresses."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from aioproducer import Producer
from aioproducer.testing import EmbeddedCluster


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The loops that look names up through Python; uvloop does it in C, where the test cannot give an answer."""
    name: str = request.param
    return name


async def test_every_address_of_a_name_is_tried_in_one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    own = socket.getaddrinfo

    def two_addresses(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("kafka.invalid", b"kafka.invalid"):
            return own(host, port, *args, **kwargs)
        # Nobody listens at the first one.
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("127.0.0.99", "127.0.0.1")]

    async with EmbeddedCluster() as cluster:
        port = cluster.bootstrap_servers[0].rpartition(":")[2]
        monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
        async with Producer(
            bootstrap_servers=f"kafka.invalid:{port}",
            max_block_ms=3_000,
            reconnect_backoff_ms=60_000,
            reconnect_backoff_max_ms=60_000,  # a second attempt would come too late
        ) as producer:
            assert (await producer.send("t", b"v")).offset == 0
