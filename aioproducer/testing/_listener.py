"""Listener: a listening socket on loopback that can be closed, and whose accept can be cancelled, at any moment.

anyio's own listener waits in asyncio's sock_accept, which cannot be cancelled safely (CPython 3.11): 1. A client
connects, and the loop queues the call that accepts it. 2. The task is cancelled, and with it the future. 3. The call
accepts the connection, cannot tell the future, and loses it: "Exception in callback BaseSelectorEventLoop._sock_accept
… InvalidStateError" on stderr, and a client that is connected to nobody. Here the loop says only that somebody waits.
"""

from __future__ import annotations

import socket
from typing import Final

import anyio
from anyio.abc import SocketStream

HOST: Final = "127.0.0.1"
_BACKLOG: Final = 1024


class Listener:
    """Accepts connections to a port of this host, one task at a time.

    Attributes:
        port: the port given, or one that was free.
    """

    def __init__(self, port: int = 0) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        self._socket = bound_socket(port)
        try:
            self._socket.listen(_BACKLOG)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise
        self.port: Final[int] = self._socket.getsockname()[1]

    async def accept(self) -> SocketStream:
        """Return the next connection. Cancel-safe: whoever is not accepted stays in the backlog.

        Raises:
            ClosedResourceError: `close` was called.
        """
        while self._socket.fileno() >= 0:
            await anyio.wait_readable(self._socket)
            try:
                connected, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue  # gone again
            try:
                connected.setblocking(False)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with anyio.CancelScope(shield=True):  # it is accepted: a moment later it would be lost
                    return await SocketStream.from_socket(connected)
            except (OSError, ValueError):  # reset meanwhile: it has no peer
                connected.close()
            except BaseException:
                connected.close()
                raise
        raise anyio.ClosedResourceError

    def close(self) -> None:
        """Listen no more; the task that accepts is told."""
        if self._socket.fileno() >= 0:
            anyio.notify_closing(self._socket)
            self._socket.close()


def bound_socket(port: int) -> socket.socket:
    """Return a socket that has the port and does not listen; refuses connections as long as it is open.

    Raises:
        OSError: the port is taken.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except BaseException:
        bound.close()
        raise
    return bound
