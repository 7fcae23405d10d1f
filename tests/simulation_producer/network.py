"""A cluster in memory: byte streams instead of sockets, the broker's core behind them, one task for all of it.

What passes between a producer and a broker is an event in a heap, due a latency later; bytes of one direction of a
connection never overtake each other. On trio with a MockClock hours pass in no time.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import random
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from aioproducer._wire.frames import FrameBuffer, decode_request, decode_request_body, encode_response
from aioproducer.errors import ProtocolError
from aioproducer.testing._broker import Closed, ClusterCore
from aioproducer.testing._broker.state import Options

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from aioproducer._wire.frames import RequestHeader
    from aioproducer.testing._broker import Output

HOST: Final = "broker"
FIRST_PORT: Final = 9_000

tap: Callable[[float, int, RequestHeader, bytes], None] | None = None
"""Told of each request that arrives, for digests: when, at which node, its header and its body."""


@dataclass
class Weather:
    """How the network is now; the defaults are a network without delays that loses nothing.

    Attributes:
        latency: seconds that bytes take, drawn for each piece.
        connect_time: seconds until a connection is there.
        send_time: seconds for which the socket takes no bytes.
        is_refusing: connections are refused.
        is_losing: the first packets of new connections get lost: connecting never ends.
        is_held: nothing arrives, in either direction, until the hold is over.
        cuts: send each piece as two, so that frames arrive in parts.
    """

    latency: Callable[[], float] = lambda: 0.0
    connect_time: Callable[[], float] = lambda: 0.0
    send_time: Callable[[], float] = lambda: 0.0
    is_refusing: bool = False
    is_losing: bool = False
    is_held: bool = False
    cuts: bool = False


class MemoryStream(ByteStream):
    """The client's end of a connection. Also what stands for the connection in the broker's core."""

    def __init__(self, cluster: MemoryCluster, node_id: int) -> None:
        self.node_id = node_id
        self.is_closed = False
        self.is_ended = False
        self.is_reset = False
        self.frames = FrameBuffer()
        self.due = [0.0, 0.0]  # when the last bytes of each direction arrive
        self._cluster = cluster
        self._inbox: deque[bytes] = deque()
        self._changed = anyio.Event()

    async def send(self, item: bytes) -> None:
        await self._cluster.pause(self._cluster.weather.send_time())
        self._check(anyio.BrokenResourceError)
        half = len(item) // 2 if self._cluster.weather.cuts else 0
        for piece in (item[:half], item[half:]):
            if piece:
                self._cluster.schedule(self, 0, partial(self._cluster.arrived, self, piece))

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        await anyio.lowlevel.checkpoint()
        while True:
            self._check(anyio.BrokenResourceError)
            if self._inbox:
                data = self._inbox.popleft()
                if len(data) > max_bytes:
                    self._inbox.appendleft(data[max_bytes:])
                return data[:max_bytes]
            if self.is_ended:
                raise anyio.EndOfStream
            self._changed = anyio.Event()
            await self._changed.wait()

    async def send_eof(self) -> None:
        raise NotImplementedError("a producer never half-closes")

    async def aclose(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._changed.set()
            self._cluster.forget(self)
        await anyio.lowlevel.checkpoint()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {}

    def put(self, data: bytes) -> None:
        """Bytes have come from the broker."""
        self._inbox.append(data)
        self._changed.set()

    def end(self) -> None:
        """The broker has closed the connection."""
        self.is_ended = True
        self._changed.set()

    def reset(self) -> None:
        """The connection breaks; what has not been read yet is lost."""
        self.is_reset = True
        self._changed.set()

    def _check(self, broken: type[Exception]) -> None:
        if self.is_closed:
            raise anyio.ClosedResourceError
        if self.is_reset:
            raise broken from ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


@dataclass(order=True)
class _Event:
    due: float
    number: int
    stream: MemoryStream | None = field(compare=False)
    action: Callable[[], None] = field(compare=False)


class MemoryCluster:
    """A ClusterCore that is reached through `connect`.

    Attributes:
        core: the cluster, to look into and to break.
        weather: of the network.
        streams: the connections that clients have not closed.
        attempts: how many connections were asked for.
    """

    def __init__(self, brokers: int = 1, *, seed: int = 0, options: Options | None = None) -> None:
        # The records have the real time of day: brokers that lived in 1970 would refuse them.
        options = replace(options or Options(), wall_epoch_ms=time.time_ns() // 1_000_000)
        self.core = ClusterCore(brokers, rng=random.Random(seed), options=options)
        for node in self.core.state.nodes.values():
            node.host, node.port = HOST, FIRST_PORT + node.id
        self.weather = Weather()
        self.streams: dict[MemoryStream, None] = {}
        self.attempts = 0
        self._events: list[_Event] = []
        self._held: list[_Event] = []
        self._numbers = itertools.count()
        self._woken = anyio.Event()

    @property
    def bootstrap_servers(self) -> list[str]:
        """Where to connect to."""
        return [f"{node.host}:{node.port}" for node in self.core.state.nodes.values()]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[MemoryCluster]:
        """Serve until the end of the block."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run)
            try:
                yield self
            finally:
                tasks.cancel_scope.cancel()

    async def connect(self, host: str, port: int) -> ByteStream:
        """The `connect` of a Producer."""
        assert host == HOST
        self.attempts += 1
        await self.pause(self.weather.connect_time())
        if self.weather.is_losing:
            await anyio.sleep_forever()
        node_id = port - FIRST_PORT
        if self.weather.is_refusing or not self.core.state.nodes[node_id].is_alive:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        stream = MemoryStream(self, node_id)
        self.streams[stream] = None
        return stream

    # ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────

    def drop(self, node_id: int | None = None) -> None:
        """Break the connections to a broker, or all."""
        for stream in [each for each in self.streams if node_id in (None, each.node_id)]:
            stream.reset()
            self.core.disconnected(stream)

    def stop_broker(self, node_id: int) -> None:
        """A broker dies."""
        self.core.state.stop_node(node_id)
        self.drop(node_id)
        self.poke()

    def start_broker(self, node_id: int) -> None:
        """It is back."""
        self.core.state.start_node(node_id)
        self.poke()

    def hold(self) -> None:
        """Let no byte arrive until `release`."""
        self.weather.is_held = True

    def release(self) -> None:
        """Let everything arrive that was held, in order."""
        self.weather.is_held = False
        for event in self._held:
            heapq.heappush(self._events, event)
        self._held.clear()
        self.poke()

    def poke(self) -> None:
        """Something about the core was changed by hand."""
        self._woken.set()

    # ── told by the streams ──────────────────────────────────────────────────────────────────────────────────────────

    async def pause(self, seconds: float) -> None:
        """Take so long; a checkpoint at least."""
        if seconds > 0:
            await anyio.sleep(seconds)
        else:
            await anyio.lowlevel.checkpoint()

    def schedule(self, stream: MemoryStream, direction: int, action: Callable[[], None]) -> None:
        """Have something happen at the other end of a connection, after what was scheduled for it before."""
        due = max(stream.due[direction], anyio.current_time() + self.weather.latency())
        stream.due[direction] = due
        heapq.heappush(self._events, _Event(due, next(self._numbers), stream, action))
        self._woken.set()

    def arrived(self, stream: MemoryStream, data: bytes) -> None:
        """Bytes have reached the broker."""
        if stream.is_closed or stream.is_reset or stream.is_ended:
            return
        for frame in stream.frames.feed(data):
            self._emit(self._handle(stream, frame))

    def forget(self, stream: MemoryStream) -> None:
        """The client has closed a connection."""
        self.streams.pop(stream, None)
        self.core.disconnected(stream)

    # ── the brokers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _handle(self, stream: MemoryStream, frame: bytes) -> list[Output]:
        header, body = decode_request(frame)
        now = anyio.current_time()
        if tap is not None:
            tap(now, stream.node_id, header, bytes(body))
        key, version, correlation_id = header.api_key, header.api_version, header.correlation_id
        if not self.core.accepts(key, version):
            return self.core.refuse(stream.node_id, stream, key, version, correlation_id, now)
        try:
            message = decode_request_body(key, version, body)
        except ProtocolError as error:
            raise AssertionError("the producer wrote what no broker can read") from error
        return self.core.handle(stream.node_id, stream, message, version, correlation_id, now)

    def _emit(self, outputs: list[Output]) -> None:
        for output in outputs:
            stream = output.connection
            assert isinstance(stream, MemoryStream)
            if isinstance(output, Closed):
                self.schedule(stream, 1, stream.end)
            else:
                data = encode_response(output.message, output.version, output.correlation_id)
                half = len(data) // 2 if self.weather.cuts else 0
                for piece in (data[:half], data[half:]):
                    if piece:
                        self.schedule(stream, 1, partial(stream.put, piece))

    async def _run(self) -> None:
        while True:
            self._woken = anyio.Event()
            now = anyio.current_time()
            while self._events and self._events[0].due <= now:
                event = heapq.heappop(self._events)
                if self.weather.is_held:
                    self._held.append(event)
                else:
                    event.action()
            self._emit(self.core.poll(now))
            due = [deadline for deadline in (self.core.deadline(),) if deadline is not None]
            due += [event.due for event in self._events[:1]]
            with anyio.CancelScope(deadline=min(due, default=float("inf"))):
                await self._woken.wait()
