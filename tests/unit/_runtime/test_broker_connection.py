"""_runtime/broker_connection.py: one connection, over a stream in memory that answers what the test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.abc import ByteStream

from aioproducer._config import ProducerConfig
from aioproducer._core.cluster.node import InFlight
from aioproducer._core.effects import Connect, Send
from aioproducer._metrics.counters import Counters
from aioproducer._net.dialer import Dialer, Established
from aioproducer._runtime.broker_connection import BrokerConnection, PausedWriter
from aioproducer._runtime.encoding import Encoder
from aioproducer._wire.frames import FrameBuffer, decode_request, encode_response
from aioproducer._wire.messages.api_versions import ApiVersion, ApiVersionsResponse
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataResponse
from aioproducer._wire.messages.produce import ProduceRequest, ProduceResponse
from aioproducer.errors import KafkaConnectionError, KafkaError, ProtocolError

if TYPE_CHECKING:
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._net.setup import Session
    from aioproducer._wire.schema import Message, Request

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


class Host:
    """Notes what the connection reports; see ConnectionHost."""

    def __init__(self) -> None:
        self.encoder = Encoder(ProducerConfig(bootstrap_servers="broker:9092"))
        self.figures = Counters()
        self.can_lose_tasks = True
        self.now: float | None = None  # None: the time of the loop
        self.told: list[tuple[object, ...]] = []
        self.reads = 0  # how often the answers that came at once were all handed over
        self.news = anyio.Event()
        self.writes_until_pause = 1000
        self.to_write: list[PausedWriter] = []

    def clock(self) -> float:
        return anyio.current_time() if self.now is None else self.now

    def on_reauthenticated(self, connection: BrokerConnection, session: Session) -> None:
        self._note("reauthenticated", session)

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

    def write_later(self, writer: PausedWriter) -> None:
        self.to_write.append(writer)

    def call_in_task(self, function: Callable[[], object]) -> None:
        function()

    def on_encoded(self, batch: ProducerBatch, records_size: int, encoded_size: int) -> None:
        raise AssertionError("there are no batches here")

    def on_open(self, connection: BrokerConnection, established: Established) -> None:
        self._note("open", connection.node_id, established.versions.usable(METADATA))

    def on_failed(self, connection: BrokerConnection, error: KafkaError) -> None:
        self._note("failed", connection.node_id, type(error), connection.address)

    def on_closed(self, connection: BrokerConnection, error: KafkaError | None) -> None:
        self._note("closed", connection.node_id, type(error))

    def on_written(self, connection: BrokerConnection, request: InFlight) -> None:
        self._note("written", request.correlation_id)

    def on_read(self) -> None:
        self.reads += 1

    def on_response(self, connection: BrokerConnection, request: InFlight, message: Message) -> None:
        self._note("response", request.correlation_id, type(message))


def make(peer: Peer | Exception, timeout: float = 5.0, answer_timeout: float = 30.0) -> tuple[Host, BrokerConnection]:
    async def connect(host: str, port: int) -> ByteStream:
        if isinstance(peer, Exception):
            raise peer
        return peer

    host = Host()
    effect = Connect(node_id=7, host="broker", port=9092, timeout=timeout)
    dialer = Dialer(connect, "me", anyio.current_time, answer_timeout)
    return host, BrokerConnection(host, effect, dialer, "me", host.clock)


def request(correlation_id: int, message: Request | None = None, *, expects_response: bool = True) -> Send:
    message = message or MetadataRequest(topics=[])
    in_flight = InFlight(message.api_key, 9, correlation_id, None, 0.0, 30.0, expects_response)
    return Send(7, in_flight, message, None)


def response(correlation_id: int) -> bytes:
    return encode_response(MetadataResponse(), 9, correlation_id)


OPEN = ("open", 7, 9)


async def test_requests_are_written_in_order_and_answers_are_reported_in_order() -> None:
    peer = Peer()
    host, connection = make(peer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        for number in (1, 2, 3):  # queued while it is still being opened
            connection.send(request(number))
        await peer.asked(1, 2, 3)
        assert host.told == [OPEN]
        peer.answer(response(1) + response(2)[:6])
        peer.answer(response(2)[6:] + response(3))
        await host.wait_for(4)
        connection.close()
    answers = [("response", number, MetadataResponse) for number in (1, 2, 3)]
    assert host.told == [OPEN, *answers, ("closed", 7, type(None))]
    assert host.reads == 2
    assert peer.requests == [(API_VERSIONS, 0), (METADATA, 1), (METADATA, 2), (METADATA, 3)]
    assert peer.is_closed


async def test_what_takes_long_to_write_goes_on_in_the_next_poll_in_its_order() -> None:
    peer = Peer()
    host, connection = make(peer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        await host.wait_for(1)
        host.writes_until_pause = 2
        for number in (1, 2, 3, 4):
            connection.send(request(number))
        await peer.asked(1, 2)
        assert host.to_write == [connection]  # once, however many wait
        assert peer.requests[1:] == [(METADATA, 1), (METADATA, 2)]
        host.writes_until_pause = 1000
        connection.send(request(5))
        connection.go_on()
        await peer.asked(5)
        connection.close()
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
    host, connection = make(peer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        connection.send(request(1))
        await peer.asked(1)
        peer.answer(answer)
    assert host.told[-1] == ("closed", 7, error)
    assert [what[0] for what in host.told].count("closed") == 1
    assert peer.is_closed


async def test_the_latency_and_the_throttling_of_answers_to_produce_are_measured() -> None:
    peer = Peer()
    host, connection = make(peer)
    host.now = 100.0
    produce = request(1, ProduceRequest(topic_data=[]))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        connection.send(produce)
        connection.send(request(2))
        await peer.asked(1, 2)
        host.now = 100.25
        peer.answer(encode_response(ProduceResponse(throttle_time_ms=7), 9, 1))
        await host.wait_for(2)
        host.now = 105.0
        peer.answer(response(2))  # metadata: not a part of the figures
        await host.wait_for(3)
        connection.close()
    assert host.figures.windowed.request_latency_ms.read(105.0) == (250.0, 250.0)
    assert host.figures.windowed.throttle_ms.read(105.0) == (7.0, 7.0)


async def test_a_request_without_an_answer_is_not_waited_for() -> None:
    peer = Peer()
    host, connection = make(peer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        connection.send(request(1, expects_response=False))
        connection.send(request(2))
        await peer.asked(1, 2)
        peer.answer(response(2))
        await host.wait_for(3)
        connection.close()
    assert host.told == [OPEN, ("written", 1), ("response", 2, MetadataResponse), ("closed", 7, type(None))]


async def test_a_connection_that_cannot_be_made_is_reported_once() -> None:
    host, connection = make(ConnectionRefusedError(111, "refused"))
    await connection.run()
    assert host.told == [("failed", 7, KafkaConnectionError, ("broker", 9092))]


async def test_a_connection_closed_while_it_is_opened_is_reported_with_the_reason_of_the_close() -> None:
    peer = Peer()
    host, connection = make(peer)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        connection.close(ProtocolError("why"))
    assert host.told == [("failed", 7, ProtocolError, ("broker", 9092))]


async def test_a_peer_that_never_answers_the_handshake_fails_in_time() -> None:
    class Silent(Peer):
        async def send(self, item: bytes) -> None:
            await anyio.lowlevel.checkpoint()

    peer = Silent()
    host, connection = make(peer, timeout=0.05)
    with anyio.fail_after(2):
        await connection.run()
    assert [what[0] for what in host.told] == ["failed"]
    assert peer.is_closed


async def test_a_peer_that_connects_and_stays_silent_is_given_up_after_the_request_timeout() -> None:
    class Silent(Peer):
        async def send(self, item: bytes) -> None:
            await anyio.lowlevel.checkpoint()

    peer = Silent()
    host, connection = make(peer, timeout=30, answer_timeout=0.05)
    with anyio.fail_after(2):
        await connection.run()
    assert [what[0] for what in host.told] == ["failed"]
    assert peer.is_closed
