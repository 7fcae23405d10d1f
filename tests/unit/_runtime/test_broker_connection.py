"""_runtime/broker_connection.py: one connection, over a stream in memory that answers what the test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from aioproducer import _backend
from aioproducer._core.effects import Connect, Send
from aioproducer._metrics.counters import Counters
from aioproducer._net.dialer import Dialer
from aioproducer._runtime.broker_connection import BrokerConnection
from aioproducer._runtime.loop import Runtime
from aioproducer._wire.frames import FrameBuffer, decode_request, encode_response
from aioproducer._wire.messages.api_versions import ApiVersion, ApiVersionsResponse
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataResponse
from aioproducer._wire.messages.produce import ProduceRequest, ProduceResponse
from aioproducer.errors import KafkaConnectionError, KafkaError, ProtocolError

METADATA, API_VERSIONS = 3, 18
HANDSHAKE = encode_response(
    ApiVersionsResponse(
        api_keys=[
            ApiVersion(api_key=0, min_version=3, max_version=9),
            ApiVersion(api_key=METADATA, min_version=0, max_version=9),
            ApiVersion(api_key=API_VERSIONS, min_version=0, max_version=4),
        ]
    ),
    4,
    0,
)


class Peer(ByteStream):
    """The broker's end: keeps the requests, and sends what the test puts into it."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, int]] = []  # (api key, correlation id)
        self.is_closed = False
        self._frames = FrameBuffer()
        self._put, self._got = anyio.create_memory_object_stream[bytes | None](100)

    def answer(self, data: bytes | None) -> None:
        """Send bytes, or (None) the end of the stream."""
        self._put.send_nowait(data)

    async def asked(self, *correlation_ids: int) -> None:
        """Return when these requests have come."""
        with anyio.fail_after(2):
            while not set(correlation_ids) <= {number for _, number in self.requests}:  # noqa: ASYNC110
                await anyio.sleep(0.001)

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        for frame in self._frames.feed(item):
            header, _ = decode_request(frame)
            self.requests.append((header.api_key, header.correlation_id))
            if header.api_key == API_VERSIONS:
                self.answer(HANDSHAKE)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = await self._got.receive()
        if data is None:
            raise anyio.EndOfStream
        return data

    async def send_eof(self) -> None:
        raise AssertionError("a producer never closes one half")

    async def aclose(self) -> None:
        self.is_closed = True
        self._put.close()
        self._got.close()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {}


class FakeRuntime(Runtime):
    """Notes what the link reports."""

    def __init__(self) -> None:
        self.client_id = "me"
        self.backend = _backend.current()
        self.clock = self.backend.clock
        self.figures = Counters()
        self.told: list[tuple[object, ...]] = []
        self.reads = 0  # how often the answers that came at once were all told of
        self.news = anyio.Event()
        self.writes_until_pause = 1000
        self.to_write: list[BrokerConnection] = []

    def _note(self, *what: object) -> None:
        self.told.append(what)
        self.news.set()
        self.news = anyio.Event()

    async def wait_for(self, count: int) -> None:
        with anyio.fail_after(2):
            while len(self.told) < count:
                await self.news.wait()

    def has_written_long(self) -> bool:
        self.writes_until_pause -= 1
        return self.writes_until_pause < 0

    def write_later(self, link: BrokerConnection) -> None:
        self.to_write.append(link)

    def call_in_task(self, function: Callable[[], object]) -> None:
        function()

    def on_link_open(self, link: BrokerConnection, node_id: int, versions: Any) -> None:
        self._note("open", node_id, versions.usable(METADATA))

    def on_link_failed(self, link: BrokerConnection, node_id: int, error: KafkaError, address: tuple[str, int]) -> None:
        self._note("failed", node_id, type(error), address)

    def on_link_closed(self, link: BrokerConnection, node_id: int, error: KafkaError | None) -> None:
        self._note("closed", node_id, type(error))

    def on_link_written(self, link: BrokerConnection, node_id: int, correlation_id: int) -> None:
        self._note("written", correlation_id)

    def on_link_read(self) -> None:
        self.reads += 1

    def on_link_response(self, link: BrokerConnection, node_id: int, correlation_id: int, message: object) -> None:
        self._note("response", correlation_id, type(message))


def make(
    peer: Peer | Exception, timeout: float = 5.0, answer_timeout: float = 30.0
) -> tuple[FakeRuntime, BrokerConnection]:
    async def connect(host: str, port: int) -> ByteStream:
        if isinstance(peer, Exception):
            raise peer
        return peer

    runtime = FakeRuntime()
    effect = Connect(node_id=7, host="broker", port=9092, timeout=timeout)
    return runtime, BrokerConnection(runtime, effect, Dialer(connect, "me", runtime.clock, answer_timeout))


def request(correlation_id: int, *, expects_response: bool = True) -> Send:
    return Send(
        node_id=7,
        correlation_id=correlation_id,
        version=9,
        message=MetadataRequest(topics=[]),
        produce=None,
        expects_response=expects_response,
    )


def response(correlation_id: int) -> bytes:
    return encode_response(MetadataResponse(), 9, correlation_id)


OPEN = ("open", 7, 9)


async def test_requests_are_written_in_order_and_answers_are_reported_in_order() -> None:
    peer = Peer()
    runtime, link = make(peer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        for number in (1, 2, 3):  # queued while it is still being opened
            link.send(request(number))
        await peer.asked(1, 2, 3)
        assert runtime.told == [OPEN]
        peer.answer(response(1) + response(2)[:6])
        peer.answer(response(2)[6:] + response(3))
        await runtime.wait_for(4)
        link.close()
    answers = [("response", number, MetadataResponse) for number in (1, 2, 3)]
    assert runtime.told == [OPEN, *answers, ("closed", 7, type(None))]
    assert runtime.reads == 2
    assert peer.requests == [(API_VERSIONS, 0), (METADATA, 1), (METADATA, 2), (METADATA, 3)]
    assert peer.is_closed


async def test_what_takes_long_to_write_goes_on_in_the_next_poll_in_its_order() -> None:
    peer = Peer()
    runtime, link = make(peer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        await runtime.wait_for(1)
        runtime.writes_until_pause = 2
        for number in (1, 2, 3, 4):
            link.send(request(number))
        await peer.asked(1, 2)
        assert runtime.to_write == [link]  # once, however many wait
        assert peer.requests[1:] == [(METADATA, 1), (METADATA, 2)]
        runtime.writes_until_pause = 1000
        link.send(request(5))
        link.go_on()
        await peer.asked(5)
        link.close()
    assert [number for _, number in peer.requests[1:]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (response(9), ProtocolError),  # of another request
        (response(1) + response(2), ProtocolError),  # nobody asked for the second
        (response(1)[:-1] + b"\x05", ProtocolError),
        (b"\xff\xff\xff\xff", ProtocolError),
        (None, KafkaConnectionError),
    ],
)
async def test_an_answer_that_is_wrong_or_none_closes_the_connection(
    answer: bytes | None, error: type[KafkaError]
) -> None:
    peer = Peer()
    runtime, link = make(peer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        link.send(request(1))
        await peer.asked(1)
        peer.answer(answer)
    assert runtime.told[-1] == ("closed", 7, error)
    assert [what[0] for what in runtime.told].count("closed") == 1
    assert peer.is_closed


async def test_the_latency_and_the_throttling_of_answers_to_produce_are_measured() -> None:
    peer = Peer()
    runtime, link = make(peer)
    now = 100.0
    runtime.clock = lambda: now
    produce = Send(7, 1, 9, ProduceRequest(topic_data=[]), None, expects_response=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        link.send(produce)
        link.send(request(2))
        await peer.asked(1, 2)
        now = 100.25
        peer.answer(encode_response(ProduceResponse(throttle_time_ms=7), 9, 1))
        await runtime.wait_for(2)
        now = 105.0
        peer.answer(response(2))  # metadata: not a part of the figures
        await runtime.wait_for(3)
        link.close()
    assert runtime.figures.windowed.request_latency_ms.read(now) == (250.0, 250.0)
    assert runtime.figures.windowed.throttle_ms.read(now) == (7.0, 7.0)


async def test_a_request_without_an_answer_is_not_waited_for() -> None:
    peer = Peer()
    runtime, link = make(peer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        link.send(request(1, expects_response=False))
        link.send(request(2))
        await peer.asked(1, 2)
        peer.answer(response(2))
        await runtime.wait_for(3)
        link.close()
    assert runtime.told == [OPEN, ("written", 1), ("response", 2, MetadataResponse), ("closed", 7, type(None))]


async def test_a_connection_that_cannot_be_made_is_reported_once() -> None:
    runtime, link = make(ConnectionRefusedError(111, "refused"))
    await link.run()
    assert runtime.told == [("failed", 7, KafkaConnectionError, ("broker", 9092))]


async def test_a_connection_closed_while_it_is_opened_is_reported_with_the_reason_of_the_close() -> None:
    peer = Peer()
    runtime, link = make(peer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        link.close(ProtocolError("why"))
    assert runtime.told == [("failed", 7, ProtocolError, ("broker", 9092))]


async def test_a_peer_that_never_answers_the_handshake_fails_in_time() -> None:
    class Silent(Peer):
        async def send(self, item: bytes) -> None:
            await anyio.lowlevel.checkpoint()

    peer = Silent()
    runtime, link = make(peer, timeout=0.05)
    with anyio.fail_after(2):
        await link.run()
    assert [what[0] for what in runtime.told] == ["failed"]
    assert peer.is_closed


async def test_a_peer_that_connects_and_stays_silent_is_given_up_after_the_request_timeout() -> None:
    class Silent(Peer):
        async def send(self, item: bytes) -> None:
            await anyio.lowlevel.checkpoint()

    peer = Silent()
    runtime, link = make(peer, timeout=30, answer_timeout=0.05)
    with anyio.fail_after(2):
        await link.run()
    assert [what[0] for what in runtime.told] == ["failed"]
    assert peer.is_closed
