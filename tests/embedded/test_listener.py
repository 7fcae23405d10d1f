"""The listener of the embedded cluster: no client is lost when its accept is cancelled, no port when it closes."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import sniffio
from anyio.lowlevel import checkpoint

from aioproducer.testing._listener import HOST, Listener, bound_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.abc import SocketStream


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A listener that the test closes."""
    listener = Listener()
    yield listener
    assert listener._socket.fileno() < 0, "the test closes it"  # pyright: ignore[reportPrivateUsage]


async def test_bytes_pass_both_ways(listener: Listener) -> None:
    with socket.create_connection((HOST, listener.port), timeout=5) as client:
        async with await listener.accept() as stream:
            client.sendall(b"ping")
            assert await stream.receive() == b"ping"
            await stream.send(b"pong")
            assert await anyio.to_thread.run_sync(client.recv, 4) == b"pong"
    listener.close()


async def test_closing_ends_the_accept(listener: Listener) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_accept_closed, listener)
        await anyio.wait_all_tasks_blocked()
        listener.close()
    with pytest.raises(anyio.ClosedResourceError):
        await listener.accept()
    listener.close()


async def _accept_closed(listener: Listener) -> None:
    with pytest.raises(anyio.ClosedResourceError):
        await listener.accept()


async def test_a_client_that_is_gone_again_is_no_error(listener: Listener) -> None:
    gone = socket.create_connection((HOST, listener.port), timeout=5)
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
    gone.close()
    with socket.create_connection((HOST, listener.port), timeout=5) as client:
        async with await listener.accept() as stream:
            assert stream.extra(anyio.abc.SocketAttribute.remote_port) == client.getsockname()[1]
    listener.close()


async def test_an_accept_that_is_cancelled_as_a_client_comes_loses_nobody(listener: Listener) -> None:
    errors: list[dict[str, Any]] = []
    accepted: list[SocketStream] = []
    scope = anyio.CancelScope()

    async def accept() -> None:
        with scope:
            accepted.append(await listener.accept())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(accept)
        await anyio.wait_all_tasks_blocked()
        with socket.create_connection((HOST, listener.port), timeout=5) as client:
            if sniffio.current_async_library() == "asyncio":
                # In one pass of the loop: this, and then what it calls as the listener is readable.
                loop = asyncio.get_running_loop()
                loop.set_exception_handler(lambda _, context: errors.append(context))
                loop.call_soon(scope.cancel)
            else:
                scope.cancel()
            for _ in range(10):
                await checkpoint()
            if not accepted:
                accepted.append(await listener.accept())
            async with accepted[0] as stream:
                await stream.send(b"x")
                assert await anyio.to_thread.run_sync(client.recv, 1) == b"x"
    assert errors == []
    listener.close()


def test_a_port_that_is_kept_refuses_connections() -> None:
    with bound_socket(0) as kept:
        port = kept.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port))
