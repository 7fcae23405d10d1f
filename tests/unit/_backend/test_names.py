"""_backend/names.py: who is asked for an address, in which thread, and what of those that cannot be looked up."""

from __future__ import annotations

import socket
import threading
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest

from aioproducer._backend.names import Address, Resolver, connect_first


async def test_an_address_needs_no_thread() -> None:
    before = threading.active_count()
    assert await Resolver().addresses("127.0.0.1", 9092) == [(socket.AF_INET, ("127.0.0.1", 9092))]
    assert threading.active_count() == before


async def test_a_name_is_looked_up_though_the_limiter_of_the_application_is_exhausted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def getaddrinfo(host: str, port: int, **how: Any) -> list[Any]:
        if how.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "a name")
        assert threading.current_thread() is not threading.main_thread()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    release = threading.Event()
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = 2
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(anyio.to_thread.run_sync, partial(release.wait, 20))
        await anyio.wait_all_tasks_blocked()
        try:
            with anyio.fail_after(5):
                assert await Resolver().addresses("kafka", 1) == [(socket.AF_INET, ("127.0.0.1", 1))]
        finally:
            release.set()


@pytest.mark.parametrize("host", ["kafka\u2011broker", "x" * 64 + ".example", "..."])
async def test_what_dns_could_not_have_is_an_unknown_name(host: str) -> None:
    with pytest.raises(OSError):
        await Resolver().addresses(host, 9092)


async def test_families_come_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(host: str, port: int, **how: Any) -> list[Any]:
        if how.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "a name")
        six = [(socket.AF_INET6, 1, 6, "", (f"::{n}", port, 0, 0)) for n in (1, 2)]
        return [*six, *six, (socket.AF_INET, 1, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    found = await Resolver().addresses("kafka", 1)
    assert [address[1][0] for address in found] == ["::1", "10.0.0.1", "::2"]


async def test_the_second_to_connect_is_closed() -> None:
    closed: list[str] = []
    both = anyio.Event()

    async def connect(address: Address) -> str:
        with anyio.CancelScope(shield=True):  # one that is done at the same time as the other
            if address[1] == "second":
                both.set()
            await both.wait()
        name: str = address[1]
        return name

    async def close(name: str) -> None:
        closed.append(name)

    first = await connect_first([(socket.AF_INET, "first"), (socket.AF_INET, "second")], connect, close)
    assert {first, *closed} == {"first", "second"}
