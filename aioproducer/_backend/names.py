"""Names and addresses: look-ups in threads of our own, and connecting to the first address that answers (RFC 8305).

The loop's own look-up runs in its default executor, trio's under its default limiter, and an application may have
filled either: 40 threads that block on a producer whose connections were lost kept it from reconnecting for 48 s.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import chain, zip_longest
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

STAGGER: Final = 0.25
"""Seconds until the next address is tried, while the one before has not answered (RFC 8305)."""

LOOKUPS_AT_ONCE: Final = 8

Address = tuple[socket.AddressFamily, Any]
"""An address family and the sockaddr that belongs to it."""

T = TypeVar("T")
S = TypeVar("S")


class Resolver:
    """Looks names up. Made in the event loop, as its limiter belongs to that."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(LOOKUPS_AT_ONCE)

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Return the addresses of a name, families in turn, beginning with the one that the system prefers.

        An address is not looked up: it needs no thread. Cancelled, the thread is left to itself.

        Raises:
            OSError: there is no such name, or none that DNS could have.
        """
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = look_up(flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)
        except (OSError, UnicodeError):
            found = await self._in_thread(host, look_up)
        by_family: dict[socket.AddressFamily, list[Address]] = {}
        for family, _, _, _, address in found:
            by_family.setdefault(family, []).append((family, address))
        in_turn = chain.from_iterable(zip_longest(*by_family.values()))
        return list(dict.fromkeys(address for address in in_turn if address is not None))

    async def canonical_name(self, address: Address) -> str:
        """Return the name of an address, or the address itself if it has none.

        Raises:
            OSError: the look-up failed.
        """
        name, _ = await self._in_thread(address[1][0], partial(socket.getnameinfo, address[1], socket.NI_NUMERICSERV))
        return name

    async def _in_thread(self, host: str, look_up: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(look_up, limiter=self._limiter, abandon_on_cancel=True)
        except UnicodeError as error:  # a label of more than 63 bytes, or a character that IDNA does not have
            raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is no name that DNS could have ({error})") from error


async def connect_first(
    addresses: list[Address], connect: Callable[[Address], Awaitable[S]], close: Callable[[S], Awaitable[object]]
) -> S:
    """Connect to the address that is there first; each next one is tried when those before fail or are slow.

    Args:
        addresses: in the order to try.
        connect: opens one; raises OSError when it cannot.
        close: closes one that came second.

    Raises:
        OSError: none is there; its cause has the failure of each.
    """
    connected: list[S] = []
    failures: list[OSError] = []

    async def attempt(address: Address, has_failed: anyio.Event) -> None:
        try:
            connected.append(await connect(address))
        except OSError as error:
            failures.append(error)
            has_failed.set()
        else:
            tasks.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            for address in addresses:
                has_failed = anyio.Event()
                tasks.start_soon(attempt, address, has_failed)
                with anyio.move_on_after(STAGGER):
                    await has_failed.wait()
    except BaseException:
        for each in connected:
            await close(each)
        raise
    for late in connected[1:]:
        await close(late)
    if connected:
        return connected[0]
    raise OSError("all addresses failed") from ExceptionGroup("for each address", failures)
