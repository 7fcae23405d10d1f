"""One connection to one broker: opened, requests written in their order, answers handed to the core as they come.

There is a task for its life and none for its traffic: a request is made and written in the poll that decides on it, as
long as the socket takes it, and an answer is handed over in the pass of the loop that reads it.
"""

from __future__ import annotations

import math
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import anyio

from aioproducer._core.cluster.node import LAST_CORRELATION_IDS, MAX_CORRELATION_ID, InFlight
from aioproducer._core.effects import Send
from aioproducer._logger import get_logger
from aioproducer._wire.frames import decode_response, encode_request
from aioproducer._wire.messages.produce import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from aioproducer._wire.primitives import ZERO_UUID
from aioproducer._wire.schema import Request, Response
from aioproducer.errors import KafkaConnectionError, KafkaError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.effects import Connect, ProducePlan
    from aioproducer._metrics.counters import Counters
    from aioproducer._net.connection import Connection
    from aioproducer._net.dialer import Dialer, Established
    from aioproducer._net.setup import Ask, Session
    from aioproducer._runtime.encoding import Encoder
    from aioproducer._wire.negotiation import BrokerVersions
    from aioproducer._wire.schema import Message

_log = get_logger("aioproducer.connection")


class PausedWriter(Protocol):
    """What has more to write and has to pause."""

    def go_on(self) -> None:
        """Write on."""
        ...


_CANCELLED: Final = "its task was cancelled by other code"


class ConnectionHost(Protocol):
    """What a connection needs of whoever has it: time to write in, a task to work in, and an ear for what happens.

    Each connection reports `on_open` and then `on_closed`, or `on_failed`, in this order and exactly once.
    """

    @property
    def encoder(self) -> Encoder:
        """Makes the bytes of batches."""
        ...

    @property
    def figures(self) -> Counters:
        """What is counted."""
        ...

    @property
    def can_lose_tasks(self) -> bool:
        """Whether the producer goes on though a task of it is cancelled: only asyncio lets other code do that."""
        ...

    def has_written_long(self) -> bool:
        """Whether the requests written in this pass have taken so long that others should have their turn."""
        ...

    def write_later(self, writer: PausedWriter) -> None:
        """Call `go_on` in the next pass."""
        ...

    def call_in_task(self, function: Callable[[], object]) -> None:
        """Call `function` soon, in a task; it may start others."""
        ...

    def on_encoded(self, batch: ProducerBatch, records_size: int, encoded_size: int) -> None:
        """The bytes of the batch were made: so many bytes of records became so many."""
        ...

    def on_open(self, connection: BrokerConnection, established: Established) -> None:
        """The connection can be used."""
        ...

    def on_reauthenticated(self, connection: BrokerConnection, session: Session) -> None:
        """The broker has accepted who we are once more; requests can be sent again."""
        ...

    def on_failed(self, connection: BrokerConnection, error: KafkaError) -> None:
        """It could not be opened, or was closed before it was."""
        ...

    def on_closed(self, connection: BrokerConnection, error: KafkaError | None) -> None:
        """It was open and is closed; nothing more comes from it."""
        ...

    def on_written(self, connection: BrokerConnection, request: InFlight) -> None:
        """All bytes of a request that expects no answer are with the socket."""
        ...

    def on_response(self, connection: BrokerConnection, request: InFlight, message: Message) -> None:
        """The answer to a request; `on_read` follows."""
        ...

    def on_read(self) -> None:
        """All answers that came at once have been handed over: act on them."""
        ...


_FIRST_CORRELATION_ID: Final = 1
"""Of the first request after those that set a connection up."""


class BrokerConnection:
    """Runs one connection from its Connect effect to its end.

    Attributes:
        node_id, address: of its Connect effect.
    """

    def __init__(
        self, host: ConnectionHost, effect: Connect, dialer: Dialer, client_id: str, clock: Callable[[], float]
    ) -> None:
        self.node_id = effect.node_id
        self.address = effect.host, effect.port
        self._host = host
        self._effect = effect
        self._dialer = dialer
        self._client_id = client_id
        self._clock = clock
        self._scope: anyio.CancelScope | None = None  # made in the task: anyio knows the loop only there
        self._is_closed = False
        self._outbox: deque[Send] = deque()
        self._has_to_wait = False  # for the next pass of the loop, as this one has been long enough
        self._connection: Connection | None = None
        self._can_write = False  # the socket has taken all so far, and no batch is with a worker thread
        self._written_last: InFlight | None = None  # expects no answer: complete once the socket has taken it
        self._expected: deque[InFlight] = deque()  # written and not answered, in the order of the requests
        self._versions: BrokerVersions | None = None
        self._asked: InFlight | None = None  # a request of ours, to authenticate again
        self._asked_last = 0
        self._answer: Message | None = None
        self._error: KafkaError | None = None

    def send(self, effect: Send) -> None:
        """Write a request, or queue it; requests are written in the order of these calls."""
        self._outbox.append(effect)
        if not self._has_to_wait:
            self._pump()

    def go_on(self) -> None:
        """Write what has had to wait for this pass of the loop."""
        self._has_to_wait = False
        self._pump()

    def close(self, error: KafkaError | None = None) -> None:
        """Close the socket; what was not answered by then is not going to be. `error`: why, if something is wrong."""
        self._error = self._error or error
        self._is_closed = True
        self._outbox.clear()
        if self._scope is not None:
            self._scope.cancel()

    async def run(self) -> None:
        """Open, serve until it breaks or `close` is called, report the end.

        A task of ours that other code cancels is a connection that is lost, as long as the producer goes on.
        """
        established = None
        try:
            with anyio.CancelScope() as self._scope:
                if self._is_closed:
                    self._scope.cancel()
                established = await self._open()
                if established is not None:
                    self._host.figures.connections_made += 1
                    try:
                        await self._serve(established)
                    finally:
                        await self._close(established)
        except anyio.get_cancelled_exc_class():  # not our scope's, which goes no further than the scope
            if not self._host.can_lose_tasks:
                raise
            self._error = self._error or KafkaConnectionError(_CANCELLED)
        if established is not None:
            return
        if self._error is None:  # closed while it was still being opened
            self._error = KafkaError("the connection was closed before it was set up")
        self._host.on_failed(self, self._error)

    async def _close(self, established: Established) -> None:
        with anyio.CancelScope(shield=True):
            await established.connection.aclose()
        self._host.figures.connections_closed += 1
        is_ours = self._scope is not None and self._scope.cancel_called
        if self._error is None and not is_ours and self._host.can_lose_tasks:
            self._error = KafkaConnectionError(_CANCELLED)
        self._host.on_closed(self, self._error)

    async def _open(self) -> Established | None:
        host, port, timeout = self._effect.host, self._effect.port, self._effect.timeout
        try:
            return await self._dialer.dial(host, port, timeout, name=self._effect.name)
        except KafkaError as error:
            self._error = error
            return None

    async def _serve(self, established: Established) -> None:
        self._connection = connection = established.connection
        self._versions = established.versions
        others: BaseExceptionGroup[BaseException] | None = None
        try:
            async with anyio.create_task_group() as self._tasks:
                self._can_write = True
                self._host.on_open(self, established)
                self._pump()
                await connection.serve(self)
        except BaseExceptionGroup as group:  # not except*, which mypyc does not compile
            errors, others = group.split(KafkaError)
            if errors is not None:
                self._error = self._error or self._explained(_first(errors))
        finally:
            self._is_closed = True
            self._can_write = False
        if others is not None:
            raise others

    def _explained(self, error: KafkaError) -> KafkaError:
        """A broker that asks for SASL closes the connection on whatever else comes first, without a word."""
        is_first = bool(self._expected) and self._expected[0].correlation_id == _FIRST_CORRELATION_ID
        steps = self._dialer.steps
        if not is_first or steps.authenticate is not None or not isinstance(error, KafkaConnectionError):
            return error
        wanted = "SASL_PLAINTEXT" if steps.secure is None else "SASL_SSL"
        return KafkaConnectionError(
            f"{error}, and has answered nothing but ApiVersions: if it asks for SASL, set security_protocol={wanted}",
            address=self.address,
        )

    # ── authentication again ─────────────────────────────────────────────────────────────────────────────────────────

    def reauthenticate(self) -> None:
        """Authenticate again, after what was sent until now (KIP-368); refused, the connection is closed."""
        self._host.call_in_task(self._begin_reauthentication)

    def _begin_reauthentication(self) -> None:
        if not self._is_closed:
            self._tasks.start_soon(self._reauthenticate)

    async def _reauthenticate(self) -> None:
        assert self._versions is not None, "the connection is open"
        (host, port), name = self.address, self._effect.name
        try:
            session = await self._dialer.authenticate_again(host, port, self._versions, self._ask, name=name)
        except KafkaError as error:
            self.close(error)
            return
        self._host.on_reauthenticated(self, session)

    async def _ask(self, ask: Ask) -> Response:
        message, version = ask
        # Of the eight numbers that no other request of this connection gets.
        self._asked_last = self._asked_last % LAST_CORRELATION_IDS + 1
        request = InFlight(
            message.api_key, version, MAX_CORRELATION_ID + self._asked_last, None, self._clock(), math.inf
        )
        self._asked = request
        self._has_answer = anyio.Event()
        self.send(Send(self.node_id, request, message, None))
        await self._has_answer.wait()
        answer, self._answer = self._answer, None
        assert isinstance(answer, Response), "decoded as the answer to that request"
        return answer

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_writable(self) -> None:
        """The socket has taken all."""
        self._can_write = True
        if self._written_last is not None:
            request, self._written_last = self._written_last, None
            self._host.on_written(self, request)
        self._pump()

    def _pump(self) -> None:
        while self._can_write and self._outbox:
            if self._host.has_written_long():
                self._has_to_wait = True
                self._host.write_later(self)
                return
            effect = self._outbox.popleft()
            if effect.produce is None:
                assert isinstance(effect.message, Request), "a Send effect carries a request or a plan for one"
                self._write(effect.request, effect.message)
            elif self._host.encoder.is_compressing and any(
                map(self._host.encoder.wants_thread, effect.produce.batches)
            ):
                self._can_write = False
                self._host.call_in_task(partial(self._begin_aside, effect))
            else:
                self._write(effect.request, self._produce_request(effect.produce))

    def _begin_aside(self, effect: Send) -> None:
        if not self._is_closed:
            self._tasks.start_soon(self._encode_aside, effect)

    async def _encode_aside(self, effect: Send) -> None:
        """Have worker threads compress; what comes later waits, as the order on a connection counts."""
        assert effect.produce is not None, "only batches are compressed"
        for batch in effect.produce.batches:
            await self._host.encoder.encode_aside(batch, self._host.on_encoded)
        self._can_write = True
        self._write(effect.request, self._produce_request(effect.produce))
        self._pump()

    def _write(self, request: InFlight, message: Request) -> None:
        connection = self._connection
        assert connection is not None, "nothing is written before the connection is open"
        if request.expects_response:
            request.written_at = self._clock()
            self._expected.append(request)
        frame = encode_request(message, request.version, request.correlation_id, self._client_id)
        figures = self._host.figures
        figures.requests += 1
        figures.bytes_out += len(frame)
        self._can_write = connection.write(frame)
        if request.expects_response:
            return
        if self._can_write:
            self._host.on_written(self, request)
        else:
            self._written_last = request

    def _produce_request(self, plan: ProducePlan) -> ProduceRequest:
        """Make the bytes of its batches. One whose outcome came meanwhile is left out; the broker's answer will lack
        it too.
        """
        topics: dict[str, list[PartitionProduceData]] = {}
        records = 0
        encode, on_encoded = self._host.encoder.encode, self._host.on_encoded
        now = self._clock()
        for batch in plan.batches:
            encoded = encode(batch, on_encoded)
            if encoded is not None:
                records += batch.count
                self._count(batch, len(encoded), now)
                data = PartitionProduceData(index=batch.partition, records=encoded)
                if batch.topic in topics:
                    topics[batch.topic].append(data)
                else:
                    topics[batch.topic] = [data]
        self._host.figures.windowed.records_per_request.record(records, now)
        return ProduceRequest(
            transactional_id=plan.transactional_id,
            acks=plan.acks,
            timeout_ms=plan.timeout_ms,
            topic_data=[
                TopicProduceData(name=topic, topic_id=plan.topic_ids.get(topic, ZERO_UUID), partition_data=partitions)
                for topic, partitions in topics.items()
            ],
        )

    def _count(self, batch: ProducerBatch, size: int, now: float) -> None:
        figures = self._host.figures
        windowed = figures.windowed
        figures.records_sent += batch.count
        windowed.batch_size.record(size, now)
        if batch.attempts:
            figures.records_sent_again += batch.count
        else:
            windowed.queue_time_ms.record((now - batch.created_at) * 1000, now)
            windowed.compression_rate.record(batch.ratio, now)

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_frames(self, frames: list[bytes]) -> None:
        """Answers came.

        Raises:
            ProtocolError: one that cannot be right; the connection is of no more use.
        """
        try:
            for frame in frames:
                self._on_frame(frame)
        finally:
            self._host.on_read()

    def _on_frame(self, frame: bytes) -> None:
        figures = self._host.figures
        figures.responses += 1
        figures.bytes_in += len(frame) + 4
        if not self._expected:
            raise ProtocolError("the broker sent an answer that was not asked for")
        request = self._expected.popleft()
        message = decode_response(frame, request.api_key, request.version, request.correlation_id)
        if request is self._asked:
            self._asked, self._answer = None, message
            self._has_answer.set()
            return
        if isinstance(message, ProduceResponse):
            now = self._clock()
            figures.windowed.request_latency_ms.record((now - request.written_at) * 1000, now)
            figures.windowed.throttle_ms.record(message.throttle_time_ms, now)
        self._host.on_response(self, request, message)


def _first(group: BaseExceptionGroup[KafkaError]) -> KafkaError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
