"""A TCP proxy that breaks connections on purpose.

    async with FaultProxy(("127.0.0.1", 9092)) as proxy:
        ...                                    # connect to 127.0.0.1:proxy.port
        proxy.cut_after(0, "to_client")        # the next answer is lost after the broker has acted on the request
        proxy.set_latency(0.2)
        proxy.heal()

Sockets are used directly (`anyio.wait_readable`): a stream says goodbye before it closes, so it can neither reset a
connection nor cut one after an exact byte.
"""

from __future__ import annotations

import dataclasses
import errno
import math
import socket
import struct
import threading
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.from_thread import BlockingPortal

from aioproducer._public import public_in
from aioproducer.testing._interception import Conversation

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from anyio.abc import TaskGroup
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from aioproducer.testing._interception import Interception, Moment

Direction = Literal["to_broker", "to_client"]
Ending = Literal["reset", "close"]
DIRECTIONS: Final[tuple[Direction, Direction]] = ("to_broker", "to_client")

_CHUNK_BYTES: Final = 64 * 1024
_QUEUED_CHUNKS: Final = 256  # at most 16 MiB are on their way per direction, then the sender is held back
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Counters:
    """What went through the proxy since it was started."""

    connections: int = 0
    open_connections: int = 0
    refused_connections: int = 0  # the target did not answer, so the client was reset
    bytes_to_broker: int = 0
    bytes_to_client: int = 0


@dataclass(slots=True)
class _Lane:
    """The conditions of one direction, for all connections."""

    latency: float = 0.0
    bytes_per_second: float = math.inf
    is_swallowing: bool = False
    cut_after: int | None = None
    cut_ending: Ending = "reset"


@dataclass(slots=True, eq=False)
class _Link:
    """One client's connection and the one that was opened for it."""

    client: socket.socket
    broker: socket.socket
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ending: Ending = "close"
    shut: set[Direction] = field(default_factory=set[Direction])
    conversation: Conversation = field(default_factory=Conversation)

    def sockets(self, direction: Direction) -> tuple[socket.socket, socket.socket]:
        """The socket that is read from and the one that is written to."""
        return (self.client, self.broker) if direction == "to_broker" else (self.broker, self.client)

    def end(self, ending: Ending) -> None:
        self.ending = ending
        self.scope.cancel()

    def shut_down(self, direction: Direction) -> None:
        """Tell the receiving side that nothing more comes."""
        if direction not in self.shut:
            self.shut.add(direction)
            _shut_down_writing(self.sockets(direction)[1])


@public_in("aioproducer.testing")
class FaultProxy:
    """Passes connections on to a target, under conditions that change at run time.

    Every verb acts at once, on open and new connections alike, and may be called from any thread; it does not wait for
    the network. Directions are "to_broker" and "to_client"; None means both.

    Args:
        target: host and port that connections are passed on to.
        port: where to listen on 127.0.0.1; 0 takes a free one.
    """

    def __init__(self, target: tuple[str, int], *, port: int = 0) -> None:
        self.host: Final = "127.0.0.1"
        self.target: Final = target
        self.counters: Final = Counters()
        self._wanted_port = port
        self._port = 0
        self._lanes: dict[Direction, _Lane] = {direction: _Lane() for direction in DIRECTIONS}
        self._links: set[_Link] = set()
        self._interceptions: list[Interception] = []
        self._listener: socket.socket | None = None
        self._thread = 0
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup
        self._portal: BlockingPortal
        self._address: tuple[socket.AddressFamily, tuple[str | int, ...]]

    @property
    def port(self) -> int:
        """The port that clients connect to; the same for the proxy's whole life."""
        return self._port

    @property
    def address(self) -> str:
        """host:port, as bootstrap_servers has it."""
        return f"{self.host}:{self._port}"

    async def __aenter__(self) -> Self:
        host, port = self.target
        family, _, _, _, sockaddr = (await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
        self._address = (family, sockaddr)
        self._thread = threading.get_ident()
        async with AsyncExitStack() as stack:
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            self._portal = await stack.enter_async_context(BlockingPortal())
            self._listen()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._tasks.cancel_scope.cancel()
        return await self._stack.__aexit__(kind, error, trace)

    def set_latency(self, seconds: float, direction: Direction | None = None) -> None:
        """Delay every byte; what is under way at the same time is delayed together, so throughput stays."""
        self._set(direction, latency=seconds)

    def set_bandwidth(self, bytes_per_second: float | None, direction: Direction | None = None) -> None:
        """Let through so many bytes a second per connection; None is without limit."""
        self._set(direction, bytes_per_second=math.inf if bytes_per_second is None else bytes_per_second)

    def black_hole(self, direction: Direction | None = None) -> None:
        """Accept connections and bytes, and pass nothing on."""
        self._set(direction, is_swallowing=True)

    def cut_after(self, byte_count: int, direction: Direction, ending: Ending = "reset") -> None:
        """End the connection that brings the byte after the next `byte_count` of this direction, once.

        Exactly `byte_count` bytes, counted over all connections, are passed on before. With "reset" a receiver may lose
        some of those it has not read yet; with "close" it gets all of them and then the end.
        """
        self._set(direction, cut_after=byte_count, cut_ending=ending)

    def intercept(self, interception: Interception) -> None:
        """Have it act when its moment comes, on whichever connection; `heal` ends it too."""
        self._call(lambda: self._interceptions.append(interception))

    def reset(self) -> None:
        """Reset (RST) all open connections."""
        self._call(lambda: self._end_all("reset"))

    def close_connections(self) -> None:
        """Close (FIN) all open connections."""
        self._call(lambda: self._end_all("close"))

    def half_close(self, direction: Direction) -> None:
        """Tell the receivers of this direction that nothing more comes; the other direction goes on."""
        self._call(lambda: self._shut_down_all(direction))

    def refuse(self) -> None:
        """Refuse new connections; open ones stay (see `reset`)."""
        self._call(self._stop_listening)

    def accept(self) -> None:
        """Accept connections again, after `refuse`."""
        self._call(self._listen)

    def heal(self) -> None:
        """End all faults: pass on everything, at once, and accept connections."""
        self._call(self._heal)

    def _call(self, verb: Callable[[], object]) -> None:
        if threading.get_ident() == self._thread:
            verb()
        else:
            self._portal.call(verb)

    def _set(self, direction: Direction | None, **conditions: Any) -> None:
        def replace() -> None:
            for one in (direction,) if direction else DIRECTIONS:
                self._lanes[one] = dataclasses.replace(self._lanes[one], **conditions)

        self._call(replace)

    def _heal(self) -> None:
        for direction in DIRECTIONS:
            self._lanes[direction] = _Lane()
        self._interceptions.clear()
        self._listen()

    def _shut_down_all(self, direction: Direction) -> None:
        for link in self._links:
            link.shut_down(direction)

    def _end_all(self, ending: Ending) -> None:
        for link in self._links:
            link.end(ending)

    def _listen(self) -> None:
        if self._listener is not None:
            return
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind((self.host, self._port or self._wanted_port))
            listener.listen(128)
        except BaseException:
            listener.close()
            raise
        self._port = listener.getsockname()[1]
        self._listener = listener
        self._tasks.start_soon(self._accept_all, listener)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            anyio.notify_closing(self._listener)
            self._listener.close()  # here, not in the task: who asked may listen on the port again at once
            self._listener = None

    async def _accept_all(self, listener: socket.socket) -> None:
        with listener:
            while listener is self._listener:
                try:
                    await anyio.wait_readable(listener)
                    client, _ = listener.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue
                except anyio.ClosedResourceError:
                    return
                except OSError:
                    if listener is self._listener:
                        raise
                    return  # `refuse` closed it between the arrival of a connection and here
                self._tasks.start_soon(self._serve, client)

    async def _serve(self, client: socket.socket) -> None:
        self.counters.connections += 1
        self.counters.open_connections += 1
        broker = socket.socket(self._address[0], socket.SOCK_STREAM)
        link = _Link(client, broker)
        self._links.add(link)
        try:
            for one in (client, broker):
                one.setblocking(False)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with link.scope:
                await self._carry(link)
        finally:
            self._links.discard(link)
            self.counters.open_connections -= 1
            for one in (client, broker):
                _close(one, link.ending)

    async def _carry(self, link: _Link) -> None:
        try:
            await _connect(link.broker, self._address[1])
        except OSError:
            self.counters.refused_connections += 1
            link.end("reset")
            return
        async with anyio.create_task_group() as tasks:
            for direction in DIRECTIONS:
                send, receive = anyio.create_memory_object_stream[tuple[float, bytes]](_QUEUED_CHUNKS)
                tasks.start_soon(self._read, link, direction, send)
                tasks.start_soon(self._write, link, direction, receive)

    async def _read(
        self, link: _Link, direction: Direction, queue: MemoryObjectSendStream[tuple[float, bytes]]
    ) -> None:
        source, _ = link.sockets(direction)
        with queue:
            while True:
                try:
                    data = await _receive(source)
                except OSError:
                    link.end("reset")
                    return
                if not data:
                    return
                await queue.send((anyio.current_time() + self._lanes[direction].latency, data))

    async def _write(
        self, link: _Link, direction: Direction, queue: MemoryObjectReceiveStream[tuple[float, bytes]]
    ) -> None:
        with queue:
            async for due, data in queue:
                await anyio.sleep_until(due)
                try:
                    await self._watch(link, direction, data)
                except OSError:
                    link.end("reset")
                    return
        link.shut_down(direction)

    async def _watch(self, link: _Link, direction: Direction, data: bytes) -> None:
        """Pass bytes on, and stop for interceptions where a request or an answer begins or ends."""
        moments = list(link.conversation.feed(direction == "to_client", data))
        if not self._interceptions:
            await self._pass_on(link, direction, data)
            return
        for piece, begun, ended in moments:
            if begun is not None:
                await self._reached(begun, "answer" if direction == "to_client" else "request")
            await self._pass_on(link, direction, piece)
            if ended is not None and direction == "to_broker":
                await self._reached(ended, "forwarded")

    async def _reached(self, api_key: int, moment: Moment) -> None:
        for interception in self._interceptions:
            if interception.claim(api_key, moment):
                await anyio.to_thread.run_sync(interception.run)
                await anyio.lowlevel.checkpoint()  # the act may have reset this connection: then nothing passes
                return  # the list may have changed

    async def _pass_on(self, link: _Link, direction: Direction, data: bytes) -> None:
        lane = self._lanes[direction]
        if lane.is_swallowing or direction in link.shut:
            return
        is_cut = lane.cut_after is not None and len(data) > lane.cut_after
        if lane.cut_after is not None:
            allowed = data[: lane.cut_after]
            lane.cut_after = None if is_cut else lane.cut_after - len(data)
            data = allowed
        if data:
            await _send(link.sockets(direction)[1], data)
            self._count(direction, len(data))
            await anyio.sleep(len(data) / lane.bytes_per_second)
        if is_cut:
            link.end(lane.cut_ending)

    def _count(self, direction: Direction, byte_count: int) -> None:
        if direction == "to_broker":
            self.counters.bytes_to_broker += byte_count
        else:
            self.counters.bytes_to_client += byte_count


async def _connect(sock: socket.socket, address: tuple[str | int, ...]) -> None:
    status = sock.connect_ex(address)
    if status == errno.EINPROGRESS:
        await anyio.wait_writable(sock)
        status = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if status:
        raise OSError(status, "connection refused by the target")


async def _receive(sock: socket.socket) -> bytes:
    while True:
        await anyio.wait_readable(sock)
        try:
            return sock.recv(_CHUNK_BYTES)
        except BlockingIOError:
            continue


async def _send(sock: socket.socket, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            await anyio.wait_writable(sock)


def _shut_down_writing(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other side was faster


def _close(sock: socket.socket, ending: Ending) -> None:
    if ending == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()
