"""The fault proxy, between a client and an echoing server on loopback, on every event loop."""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from anyio.abc import SocketAttribute

from aioproducer.testing import FaultProxy
from aioproducer.testing._interception import Interception

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from anyio.abc import SocketStream

    from aioproducer.testing._interception import Moment

SECONDS = 10
TICK = 0.002  # uvloop tells the time and times its callbacks in whole milliseconds


@asynccontextmanager
async def proxied(handler: Callable[[SocketStream], Awaitable[None]] | None = None) -> AsyncGenerator[FaultProxy]:
    """A proxy before a server that echoes, or does what `handler` does; everything is bounded in time."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port: int = listener.extra(SocketAttribute.local_port)
    with anyio.fail_after(SECONDS):
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, handler or echo)
            async with FaultProxy(("127.0.0.1", port)) as proxy:
                yield proxy
            tasks.cancel_scope.cancel()


async def echo(stream: SocketStream) -> None:
    async with stream:
        try:
            async for data in stream:
                await stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass


async def connect(proxy: FaultProxy) -> SocketStream:
    return await anyio.connect_tcp(proxy.host, proxy.port)


async def receive_exactly(stream: SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.receive(count - len(data))
    return data


async def exchange(stream: SocketStream, data: bytes = b"ping") -> bytes:
    await stream.send(data)
    return await receive_exactly(stream, len(data))


async def test_bytes_pass_both_ways_and_are_counted() -> None:
    async with proxied() as proxy, await connect(proxy) as stream:
        assert await exchange(stream, b"x" * 1000) == b"x" * 1000
        assert proxy.counters.bytes_to_broker == 1000
        assert proxy.counters.bytes_to_client == 1000
        assert (proxy.counters.connections, proxy.counters.open_connections) == (1, 1)


async def test_much_data_passes_whole() -> None:
    data = bytes(range(256)) * 4096 * 4
    async with proxied() as proxy, await connect(proxy) as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(stream.send, data)
        assert await receive_exactly(stream, len(data)) == data


async def test_end_of_one_direction_is_passed_on_and_the_other_goes_on() -> None:
    async def answer_at_the_end(stream: SocketStream) -> None:
        async with stream:
            received = b"".join([data async for data in stream])
            await stream.send(received.upper())

    async with proxied(answer_at_the_end) as proxy, await connect(proxy) as stream:
        await stream.send(b"question")
        await stream.send_eof()
        assert await receive_exactly(stream, 8) == b"QUESTION"


async def test_latency_delays_each_direction() -> None:
    async with proxied() as proxy, await connect(proxy) as stream:
        proxy.set_latency(0.05)
        started = anyio.current_time()
        await exchange(stream)
        assert anyio.current_time() - started >= 0.1 - TICK


async def test_latency_does_not_lessen_throughput() -> None:
    async with proxied() as proxy, await connect(proxy) as stream, anyio.create_task_group() as tasks:
        proxy.set_latency(0.1, "to_broker")
        data = b"x" * 65536 * 40  # 40 chunks one after the other would take four seconds
        started = anyio.current_time()
        tasks.start_soon(stream.send, data)
        await receive_exactly(stream, len(data))
        assert 0.1 - TICK <= anyio.current_time() - started < 2


async def test_bandwidth_is_limited() -> None:
    async with proxied() as proxy, await connect(proxy) as stream:
        proxy.set_bandwidth(10_000, "to_client")
        started = anyio.current_time()
        await exchange(stream, b"x" * 1000)
        await exchange(stream, b"x" * 1000)
        assert anyio.current_time() - started >= 0.1 - TICK


async def test_cut_passes_exactly_the_given_bytes() -> None:
    async with proxied() as proxy, await connect(proxy) as stream:
        assert await exchange(stream) == b"ping"
        proxy.cut_after(3, "to_client", "close")
        await stream.send(b"ping")
        assert await receive_exactly(stream, 3) == b"pin"
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        assert proxy.counters.bytes_to_client == 7


async def test_cut_to_broker_is_counted_over_connections() -> None:
    async with proxied() as proxy:
        proxy.cut_after(6, "to_broker")
        async with await connect(proxy) as first:
            assert await exchange(first) == b"ping"
        async with await connect(proxy) as second:
            await second.send(b"ping")
            with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
                await receive_exactly(second, 4)
        assert proxy.counters.bytes_to_broker == 6


async def test_cut_of_nothing_loses_the_answer_but_not_the_request() -> None:
    requests: list[bytes] = []

    async def remember(stream: SocketStream) -> None:
        async with stream:
            requests.append(await stream.receive())
            await stream.send(b"answer")

    async with proxied(remember) as proxy, await connect(proxy) as stream:
        proxy.cut_after(0, "to_client")
        await stream.send(b"request")
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()
    assert requests == [b"request"]


async def test_cut_happens_once() -> None:
    async with proxied() as proxy:
        proxy.cut_after(0, "to_client")
        async with await connect(proxy) as stream:
            await stream.send(b"ping")
            with pytest.raises(anyio.BrokenResourceError):
                await stream.receive()
        async with await connect(proxy) as stream:
            assert await exchange(stream) == b"ping"


async def test_reset_is_a_reset_without_an_end_before() -> None:
    async with proxied() as proxy, await connect(proxy) as stream:
        await exchange(stream)
        proxy.reset()
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await stream.receive()
        assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_closed_connections_end_cleanly() -> None:
    async with proxied() as proxy, await connect(proxy) as stream:
        await exchange(stream)
        proxy.close_connections()
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()


async def test_half_close_ends_one_direction_only() -> None:
    received: list[bytes] = []
    arrived = anyio.Event()

    async def remember(stream: SocketStream) -> None:
        async with stream:
            received.append(await receive_exactly(stream, 8))
            arrived.set()
            await stream.receive()

    async with proxied(remember) as proxy, await connect(proxy) as stream:
        await stream.send(b"ping")
        while proxy.counters.bytes_to_broker < 4:
            await anyio.lowlevel.checkpoint()
        proxy.half_close("to_client")
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        await stream.send(b"pong")
        await arrived.wait()
        proxy.reset()
    assert received == [b"pingpong"]


async def test_black_hole_accepts_and_passes_nothing_on() -> None:
    async with proxied() as proxy:
        proxy.black_hole()
        async with await connect(proxy) as stream:
            await stream.send(b"ping")
            with anyio.move_on_after(0.05) as waiting:
                await stream.receive()
            assert waiting.cancelled_caught
            assert proxy.counters.bytes_to_broker == 0
            proxy.heal()
            assert await exchange(stream) == b"ping"


async def test_refuse_and_accept_on_the_same_port() -> None:
    async with proxied() as proxy, await connect(proxy) as stream:
        await exchange(stream)
        port = proxy.port
        proxy.refuse()
        with pytest.raises(OSError, match=r".*"):
            await connect(proxy)
        assert await exchange(stream) == b"ping"  # an open connection stays
        proxy.refuse()
        proxy.accept()
        assert proxy.port == port
        async with await connect(proxy) as again:
            assert await exchange(again) == b"ping"


async def test_refuse_then_heal_at_once_leaves_the_proxy_listening() -> None:
    async with proxied() as proxy:
        for _ in range(3):
            proxy.refuse()
            proxy.heal()
        async with await connect(proxy) as stream:
            assert await exchange(stream) == b"ping"


async def test_client_is_reset_when_the_target_is_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: refuses, and nobody else can take the port
        with anyio.fail_after(SECONDS):
            async with FaultProxy(("127.0.0.1", unused.getsockname()[1])) as proxy:
                stream = await connect(proxy)
                async with stream:
                    with pytest.raises(anyio.BrokenResourceError):
                        await stream.receive()
                assert proxy.counters.refused_connections == 1


async def test_verbs_act_from_another_thread() -> None:
    async with proxied() as proxy, await connect(proxy) as stream:
        await exchange(stream)
        await anyio.to_thread.run_sync(proxy.refuse)
        await anyio.to_thread.run_sync(proxy.reset)
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()
        with pytest.raises(OSError, match=r".*"):
            await connect(proxy)


async def test_end_of_the_proxy_ends_its_connections() -> None:
    async with proxied() as proxy:
        stream = await connect(proxy)
        await exchange(stream)
        port = proxy.port
    async with stream:
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()
    with pytest.raises(OSError, match=r".*"):
        await anyio.connect_tcp("127.0.0.1", port)
    assert proxy.counters.open_connections == 0


async def test_refusing_while_a_connection_arrives_does_not_end_the_proxy() -> None:
    async with proxied() as proxy:
        for passes in range(8):  # of the loop, between the arrival and the refusal: one of them is just before accept()
            with socket.create_connection((proxy.host, proxy.port)):
                for _ in range(passes):
                    await anyio.lowlevel.checkpoint()
                proxy.refuse()
                await anyio.wait_all_tasks_blocked()
            proxy.accept()
        async with await connect(proxy) as stream:
            assert await exchange(stream) == b"ping"


# ── interceptions ────────────────────────────────────────────────────────────────────────────────────────────────────

END_TXN, METADATA = 26, 3


def request(api_key: int, correlation_id: int, body: bytes = b"body") -> bytes:
    return struct.pack(">ihhi", 8 + len(body), api_key, 4, correlation_id) + body


def response(correlation_id: int, body: bytes = b"answer") -> bytes:
    return struct.pack(">ii", 4 + len(body), correlation_id) + body


async def answer(stream: SocketStream) -> None:
    """Answer every request, once it is there whole."""
    received = b""
    async with stream:
        try:
            async for data in stream:
                received += data
                while len(received) >= 4 and len(received) >= (size := struct.unpack_from(">i", received)[0] + 4):
                    await stream.send(response(struct.unpack_from(">i", received, 8)[0]))
                    received = received[size:]
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass


class Spy:
    """An act that notes what has passed when it is called."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self.seen: list[tuple[int, int]] = []

    def __call__(self) -> None:
        counters = self._proxy.counters
        self.seen.append((counters.bytes_to_broker, counters.bytes_to_client))


@pytest.mark.parametrize(("moment", "expected"), [("request", (16, 14)), ("forwarded", (32, 14)), ("answer", (48, 14))])
async def test_interception_acts_exactly_at_its_moment(moment: Moment, expected: tuple[int, int]) -> None:
    async with proxied(answer) as proxy, await connect(proxy) as stream:
        spy = Spy(proxy)
        interception = Interception(END_TXN, moment, spy)
        proxy.intercept(interception)
        await stream.send(request(METADATA, 1))
        await receive_exactly(stream, 14)
        await stream.send(request(END_TXN, 2) + request(METADATA, 3))
        assert await receive_exactly(stream, 28) == response(2) + response(3)
        interception.wait(0)
        ((to_broker, to_client),) = spy.seen
        if moment == "request":
            assert (to_broker, to_client) == (16, 14)
        elif moment == "forwarded":  # it may be answered meanwhile
            assert to_broker == 32
        else:  # what was sent behind it goes its way meanwhile
            assert to_broker >= 32
            assert to_client == 14


async def test_interception_acts_once_on_one_of_several_proxies_after_those_it_skips() -> None:
    async with proxied(answer) as first, proxied(answer) as second:
        calls: list[int] = []
        interception = Interception(END_TXN, "request", lambda: calls.append(1), skip=2)
        for proxy in (first, second):
            proxy.intercept(interception)
        for number, proxy in enumerate([first, second, first, second, first]):
            assert interception.is_over == (number > 2)
            async with await connect(proxy) as stream:
                await stream.send(request(END_TXN, number))
                await receive_exactly(stream, 14)
        assert calls == [1]


async def test_interception_finds_a_frame_that_comes_byte_by_byte() -> None:
    async with proxied(answer) as proxy, await connect(proxy) as stream:
        spy = Spy(proxy)
        proxy.intercept(Interception(END_TXN, "request", spy))
        for byte in request(METADATA, 1) + request(END_TXN, 2):
            await stream.send(bytes([byte]))
            await anyio.lowlevel.checkpoint()
        await receive_exactly(stream, 28)
        ((to_broker, _),) = spy.seen
        assert 16 <= to_broker < 32


async def test_answer_belongs_to_its_request_when_others_have_none() -> None:
    async def answer_the_second(stream: SocketStream) -> None:
        async with stream:
            await receive_exactly(stream, 32)
            await stream.send(response(2))
            await stream.receive()

    async with proxied(answer_the_second) as proxy, await connect(proxy) as stream:
        wrong = Interception(0, "answer", lambda: None)
        right = Interception(END_TXN, "answer", lambda: None)
        proxy.intercept(wrong)
        proxy.intercept(right)
        await stream.send(request(0, 1) + request(END_TXN, 2))
        await receive_exactly(stream, 14)
        assert (wrong.is_over, right.is_over) == (False, True)
        await stream.send(b"end")


async def test_connection_that_is_reset_by_the_act_passes_nothing_on() -> None:
    async with proxied(answer) as proxy, await connect(proxy) as stream:
        proxy.intercept(Interception(END_TXN, "request", proxy.reset))
        await stream.send(request(END_TXN, 1))
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()
        assert proxy.counters.bytes_to_broker == 0


async def test_error_of_the_act_is_told_by_wait_and_the_connection_goes_on() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    async with proxied(answer) as proxy, await connect(proxy) as stream:
        interception = Interception(END_TXN, "request", fail)
        with pytest.raises(TimeoutError, match="no request 26 came to the moment 'request'"):
            interception.wait(0)
        proxy.intercept(interception)
        await stream.send(request(END_TXN, 1))
        await receive_exactly(stream, 14)
        with pytest.raises(ZeroDivisionError):
            interception.wait(0)


async def test_heal_ends_interceptions() -> None:
    async with proxied(answer) as proxy, await connect(proxy) as stream:
        interception = Interception(END_TXN, "request", lambda: None)
        proxy.intercept(interception)
        proxy.heal()
        await stream.send(request(END_TXN, 1))
        await receive_exactly(stream, 14)
        assert not interception.is_over
