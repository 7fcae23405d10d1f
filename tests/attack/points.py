"""Where foreign code is called by a producer, and everything that it may raise there.

A `Strike` is armed once the producer works; it raises at the next call of its point, once, and then all is well again.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
from anyio.abc import ByteStream

from aioproducer import ProducerInterceptor

if TYPE_CHECKING:
    from aioproducer import ProducerRecord, RecordMetadata


class Own(BaseException):
    """What no library knows; as pytest's own for a failed test is."""


def _exception_group() -> BaseException:
    return ExceptionGroup("several", [OSError("one"), ValueError("two")])


ERRORS: Final[dict[str, Callable[[], BaseException]]] = {
    "OSError": lambda: OSError(5, "Input/output error"),
    "ConnectionResetError": lambda: ConnectionResetError(104, "Connection reset by peer"),
    "TimeoutError": TimeoutError,
    "ValueError": lambda: ValueError("a value"),
    "UnicodeError": lambda: UnicodeError("label empty or too long"),
    "RuntimeError": lambda: RuntimeError("the proxy says no"),
    "SSLError": lambda: ssl.SSLError(1, "[SSL] unexpected message"),
    "EndOfStream": anyio.EndOfStream,
    "BrokenResourceError": anyio.BrokenResourceError,
    "ClosedResourceError": anyio.ClosedResourceError,
    "BusyResourceError": lambda: anyio.BusyResourceError("reading from"),
    "ExceptionGroup": _exception_group,
    "AssertionError": lambda: AssertionError("of the stream"),
    "CancelledError": asyncio.CancelledError,
    "Own": Own,
    "GeneratorExit": GeneratorExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": lambda: SystemExit(3),
}
"""By name: makes one."""

ENDING: Final = ("KeyboardInterrupt", "SystemExit")
"""What ends a program, and not only what raised it."""

NETWORK_POINTS: Final = ("connect", "connected", "send", "receive", "aclose", "extra")
"""Where the stream of a connection, or what opens it, is called."""

USER_POINTS: Final = (
    "on_delivery",
    "done_callback",
    "on_error",
    "on_send",
    "on_acknowledgement",
    "interceptor.close",
    "value_serializer",
    "key_serializer",
    "partitioner",
    "log_handler",
)
"""Where the code of an application is called."""


@dataclass
class Strike:
    """One error at one point.

    Attributes:
        point: where.
        error: its name in ERRORS.
        is_armed: the next call raises.
        struck: how often it has.
    """

    point: str
    error: str
    is_armed: bool = False
    struck: int = 0

    def at(self, point: str) -> None:
        """Raise if this is the point and it is armed."""
        if self.is_armed and point == self.point:
            self.is_armed = False
            self.struck += 1
            raise ERRORS[self.error]()


@dataclass
class Network:
    """The `connect` of a producer; keeps its streams, to break them."""

    strike: Strike
    streams: list[HostileStream] = field(default_factory=lambda: list[HostileStream]())

    async def connect(self, host: str, port: int) -> ByteStream:
        """Connect, and raise if it is the time for that."""
        self.strike.at("connect")
        stream = HostileStream(self, await anyio.connect_tcp(host, port))
        try:
            self.strike.at("connected")
        except BaseException:
            await anyio.aclose_forcefully(stream.inner)
            raise
        self.streams.append(stream)
        return stream

    async def cut(self) -> None:
        """Break every connection."""
        for stream in list(self.streams):
            await anyio.aclose_forcefully(stream.inner)


class HostileStream(ByteStream):
    """A stream that raises what it was told to."""

    def __init__(self, network: Network, inner: ByteStream) -> None:
        self.inner = inner
        self._network = network

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = await self.inner.receive(max_bytes)
        self._network.strike.at("receive")
        return data

    async def send(self, item: bytes) -> None:
        self._network.strike.at("send")
        await self.inner.send(item)

    async def send_eof(self) -> None:
        await self.inner.send_eof()

    async def aclose(self) -> None:
        if self in self._network.streams:
            self._network.streams.remove(self)
        await self.inner.aclose()
        self._network.strike.at("aclose")

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        self._network.strike.at("extra")
        return cast("Any", self.inner).extra_attributes  # type: ignore[no-any-return]  # a Mapping of anything


class Interceptor(ProducerInterceptor[Any, Any]):
    """An interceptor that raises what it was told to."""

    def __init__(self, strike: Strike) -> None:
        self._strike = strike

    def on_send(self, record: ProducerRecord[Any, Any]) -> ProducerRecord[Any, Any]:
        self._strike.at("on_send")
        return record

    def on_acknowledgement(self, metadata: RecordMetadata, error: BaseException | None, headers: Any) -> None:
        del metadata, error, headers
        self._strike.at("on_acknowledgement")

    def close(self) -> None:
        self._strike.at("interceptor.close")


class Handler(logging.Handler):
    """A handler of logs that raises what it was told to, and notes what is critical."""

    def __init__(self, strike: Strike) -> None:
        super().__init__(logging.DEBUG)
        self.critical: list[str] = []
        self._strike = strike

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.CRITICAL:
            self.critical.append(record.getMessage())
        self._strike.at("log_handler")
