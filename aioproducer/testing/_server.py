"""Serves a ClusterCore over loopback TCP, or TLS on it: a listener per broker, a task per connection, and a timer."""

from __future__ import annotations

import logging
import math
import ssl
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import anyio

from aioproducer._wire.frames import FrameBuffer, decode_request, decode_request_body, encode_response
from aioproducer._wire.messages import REQUESTS
from aioproducer._wire.schema import Request
from aioproducer.errors import ProtocolError
from aioproducer.testing._broker import Closed
from aioproducer.testing._listener import HOST, Listener, bound_socket
from aioproducer.testing._tls_stream import TlsStream

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Callable

    from anyio.abc import TaskGroup

    from aioproducer.testing._broker import ClusterCore, Output
    from aioproducer.testing._certificates import Certificates

T = TypeVar("T")
_READ_BYTES: Final = 256 * 1024
_SLOW_READS_PER_SECOND: Final = 50
_UNAUTHENTICATED_FRAME_BYTES: Final = 512 * 1024  # sasl.server.max.receive.size
_GONE: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)

logger = logging.getLogger("aioproducer.testing")


class ByteStream(Protocol):
    """Bytes from and to a client."""

    async def receive(self, max_bytes: int = 65536) -> bytes: ...
    async def send(self, item: bytes) -> None: ...
    async def aclose(self) -> None: ...


@dataclass(eq=False, slots=True)
class Connection:
    """A client's connection to one broker. Also what stands for it in the core.

    Attributes:
        is_ending: nothing more is read from it, and it closes once its answers are sent.
        is_deaf: something that came on it was swallowed. What comes later would be answered out of turn, so nothing is.
    """

    node_id: int
    stream: ByteStream
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    outbox: list[bytes] = field(default_factory=lambda: list[bytes]())
    is_sending: bool = False
    is_ending: bool = False
    is_deaf: bool = False


class NetworkEffect(Enum):
    """What a fault does to connections.

    SWALLOW: what clients send is lost. CUT: the connection ends after `amount` more bytes to clients. READ_SLOWLY: the
    broker reads `amount` bytes a second from each connection.
    """

    SWALLOW = auto()
    CUT = auto()
    READ_SLOWLY = auto()


@dataclass(eq=False, slots=True)
class NetworkFault:
    """A fault of the connections to a broker, or to all.

    Attributes:
        node_id: the broker, or None for all.
        amount: bytes left before the cut, or bytes a second.
        is_set: whether it is still there.
        hits: how many reads it has swallowed or slowed, or connections cut.
    """

    effect: NetworkEffect
    node_id: int | None
    amount: int = 0
    is_set: bool = True
    hits: int = 0


class Changes:
    """Lets tasks wait until something is the case that a request, or a verb, may have brought about."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def announce(self) -> None:
        """Something has changed: those who wait look again."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Return once it is so. Cancel-safe."""
        while not is_so():
            if self._event is None:
                self._event = anyio.Event()
            await self._event.wait()


class Server:
    """Serves a cluster; everything it starts lives in the task group that it is given.

    Attributes:
        certificates: of TLS; None for none. Set before it serves.
        changes: announced after every request and verb.
        network_faults: those that are set.
    """

    def __init__(self, core: ClusterCore) -> None:
        self.core: Final = core
        self.certificates: Certificates | None = None
        self.changes: Final = Changes()
        self.network_faults: list[NetworkFault] = []
        self._tasks: TaskGroup | None = None
        self._connections: set[Connection] = set()
        self._listeners: dict[int, Listener] = {}
        self._kept_ports: dict[int, socket.socket] = {}  # of stopped brokers: nobody else may be given them
        self._timer_wake = anyio.Event()
        self._timer_deadline = math.inf

    @asynccontextmanager
    async def serve(self, tasks: TaskGroup, ports: dict[int, int]) -> AsyncGenerator[None]:
        """Listen for every broker, on the ports given or on free ones, until the end of the block."""
        self._tasks = tasks
        try:
            for node_id in self.core.state.nodes:
                await self.listen(node_id, ports.get(node_id, 0))
            tasks.start_soon(self._run_timer)
            yield
        finally:
            listeners, self._listeners = self._listeners, {}
            for listener in listeners.values():
                listener.close()
            for node_id in list(self._kept_ports):
                self._kept_ports.pop(node_id).close()
            self._tasks = None

    async def listen(self, node_id: int, port: int = 0) -> None:
        """Open a broker's port.

        Raises:
            OSError: the port is taken.
        """
        assert self._tasks is not None
        kept = self._kept_ports.pop(node_id, None)
        if kept is not None:
            kept.close()
        listener = Listener(port)
        node = self.core.state.nodes[node_id]
        node.host, node.port = HOST, listener.port
        self._listeners[node_id] = listener
        self._tasks.start_soon(self._accept, node_id, listener, self._tasks)

    async def close_node(self, node_id: int) -> None:
        """Close a broker's port and its connections."""
        self._listeners.pop(node_id).close()
        await anyio.lowlevel.checkpoint()
        self._keep_port(node_id)
        self.drop(node_id)

    def _keep_port(self, node_id: int) -> None:
        """Have the port of a stopped broker refuse connections, and not be another cluster's meanwhile.

        1. A broker is stopped. 2. A cluster of another process gets its port. 3. The producer, which tries to connect
        again, reaches that one, and its records are acknowledged there.
        """
        try:
            self._kept_ports[node_id] = bound_socket(self.core.state.nodes[node_id].port)
        except OSError:
            pass  # somebody was faster

    def drop(self, node_id: int | None) -> int:
        """Close all connections to a broker, or to all; returns how many there were."""
        chosen = [each for each in self._connections if node_id in (None, each.node_id)]
        for connection in chosen:
            # 1. Data arrives and wakes the connection's task. 2. The connection is dropped. 3. The task runs: it must
            # not carry out what has arrived, as cancellation strikes only where it waits next.
            connection.is_ending = True
            connection.scope.cancel()
        return len(chosen)

    def act(self, action: Callable[[], T]) -> T:
        """Do something to the cluster, then send what has become due by it; returns what the action returns."""
        result = action()
        self._poke()
        return result

    def _poke(self) -> None:
        if self._tasks is not None:
            self._deliver(self.core.poll(anyio.current_time()), None)
            self._set_timer()
        self.changes.announce()

    async def _accept(self, node_id: int, listener: Listener, tasks: TaskGroup) -> None:
        try:
            while True:
                stream = await listener.accept()
                tasks.start_soon(self._serve, Connection(node_id, stream))
        except _GONE:
            if self._listeners.get(node_id) is listener:
                raise  # nobody has closed it
            logger.debug("broker %d listens no more", node_id, extra={"event_name": "broker_stopped", "node": node_id})

    async def _serve(self, connection: Connection) -> None:
        if connection.node_id not in self._listeners:
            # 1. The connection is accepted. 2. The broker is stopped and its connections closed. 3. Its task begins.
            await connection.stream.aclose()
            return
        self._connections.add(connection)
        try:
            with connection.scope:
                try:
                    if self.certificates is not None:
                        await self._encrypt(connection, self.certificates)
                    await self._read(connection)
                finally:
                    await connection.stream.aclose()
        except ssl.SSLError as error:
            told = {"event_name": "connection_refused", "node": connection.node_id}
            logger.debug("broker %d refuses a client's TLS: %s", connection.node_id, error, extra=told)
        except _GONE:
            pass  # the client is gone, or we are
        except ProtocolError as error:
            told = {"event_name": "connection_refused", "node": connection.node_id}
            logger.warning("broker %d closes a connection: %s", connection.node_id, error, extra=told)
        finally:
            self._connections.discard(connection)
            self.core.disconnected(connection)

    async def _encrypt(self, connection: Connection, certificates: Certificates) -> None:
        stream = await TlsStream.accept(connection.stream, certificates.context)
        connection.stream = stream
        principal = stream.principal
        if principal is not None:
            self.core.connected(connection, principal)

    async def _read(self, connection: Connection) -> None:
        buffer = FrameBuffer()
        while True:
            data = await connection.stream.receive(self._read_size(connection))
            if self.network_faults:
                await self._hold_up(connection, len(data))
            if connection.is_ending:
                return
            if connection.is_deaf or (self.network_faults and self._swallows(connection)):
                continue
            for frame in buffer.feed(data):
                self._deliver(self._handle(connection, frame), connection)
                if connection.is_ending:
                    break
            self.changes.announce()
            self._set_timer()
            await self._flush(connection)
            if connection.is_ending:
                return

    def _handle(self, connection: Connection, frame: bytes) -> list[Output]:
        if len(frame) > _UNAUTHENTICATED_FRAME_BYTES and not self.core.is_authenticated(connection):
            raise ProtocolError(f"a client that is not authenticated sends {len(frame):,} bytes at once")
        header, body = decode_request(frame)
        now = anyio.current_time()
        key, version = header.api_key, header.api_version
        if not self.core.accepts(key, version):
            return self.core.refuse(connection.node_id, connection, key, version, header.correlation_id, now)
        message = _decode(key, version, body)
        return self.core.handle(connection.node_id, connection, message, version, header.correlation_id, now)

    def _deliver(self, outputs: list[Output], current: Connection | None) -> None:
        """Put answers into the outboxes; those of other connections than the current are sent by tasks of their own."""
        for output in outputs:
            connection = output.connection
            assert isinstance(connection, Connection)
            if isinstance(output, Closed):
                connection.is_ending = True
            else:
                connection.outbox.append(encode_response(output.message, output.version, output.correlation_id))
            if connection is not current and self._tasks is not None:
                self._tasks.start_soon(self._flush_other, connection)

    async def _flush_other(self, connection: Connection) -> None:
        try:
            await self._flush(connection)
        except _GONE:
            connection.is_ending = True
        if connection.is_ending:
            connection.scope.cancel()

    async def _flush(self, connection: Connection) -> None:
        # Whoever is sending already sends what is added meanwhile: two tasks must not write to a stream at once.
        if connection.is_sending:
            return
        connection.is_sending = True
        try:
            while connection.outbox:
                data = b"".join(connection.outbox)
                connection.outbox.clear()
                if self.network_faults:
                    data = self._cut(connection, data)
                if data:
                    await connection.stream.send(data)
        finally:
            connection.is_sending = False

    def _network_fault(self, effect: NetworkEffect, connection: Connection) -> NetworkFault | None:
        for fault in self.network_faults:
            if fault.effect is effect and fault.node_id in (None, connection.node_id):
                return fault
        return None

    def _strike(self, fault: NetworkFault) -> None:
        fault.hits += 1
        self.changes.announce()

    def _swallows(self, connection: Connection) -> bool:
        fault = self._network_fault(NetworkEffect.SWALLOW, connection)
        if fault is None:
            return False
        connection.is_deaf = True
        self._strike(fault)
        return True

    def _read_size(self, connection: Connection) -> int:
        fault = self._network_fault(NetworkEffect.READ_SLOWLY, connection) if self.network_faults else None
        return _READ_BYTES if fault is None else max(1, min(_READ_BYTES, fault.amount // _SLOW_READS_PER_SECOND))

    async def _hold_up(self, connection: Connection, size: int) -> None:
        """Let the time pass that a slow broker takes for these bytes."""
        fault = self._network_fault(NetworkEffect.READ_SLOWLY, connection)
        if fault is not None:
            self._strike(fault)
            with anyio.move_on_after(size / fault.amount):
                await self.changes.wait_until(lambda: not fault.is_set)

    def _cut(self, connection: Connection, data: bytes) -> bytes:
        """What of the data still goes out before a fault cuts the connection."""
        fault = self._network_fault(NetworkEffect.CUT, connection)
        if fault is None:
            return data
        if len(data) < fault.amount:
            fault.amount -= len(data)
            return data
        self.remove(fault)
        connection.outbox.clear()
        connection.is_ending = True
        self._strike(fault)
        return data[: fault.amount]

    def remove(self, fault: NetworkFault) -> None:
        """Take a fault away; one that is gone already is no error."""
        fault.is_set = False
        if fault in self.network_faults:
            self.network_faults.remove(fault)

    def _set_timer(self) -> None:
        deadline = self.core.deadline()
        if deadline is not None and deadline < self._timer_deadline:
            self._timer_wake.set()

    async def _run_timer(self) -> None:
        while True:
            self._timer_wake = anyio.Event()
            deadline = self.core.deadline()
            self._timer_deadline = math.inf if deadline is None else deadline
            with anyio.CancelScope(deadline=self._timer_deadline):
                await self._timer_wake.wait()
            outputs = self.core.poll(anyio.current_time())
            if outputs:
                self._deliver(outputs, None)
                self.changes.announce()


def _decode(api_key: int, version: int, body: memoryview) -> Request:
    """The request. What follows it is ignored, as by Kafka's parser: librdkafka sends more bytes with Metadata 13."""
    try:
        return decode_request_body(api_key, version, body)
    except ProtocolError as error:
        compiled = REQUESTS[api_key].decoders.get(version)
        if compiled is None:
            raise
        decode, from_bytes = compiled
        try:
            message, _ = decode(bytes(body) if from_bytes else body, 0, len(body))
        except (ProtocolError, IndexError, struct.error, UnicodeDecodeError):
            raise error from None
        assert isinstance(message, Request)
        return message
