"""One connection to one broker: opened, requests written in their order, answers told to the core as they come.

There is a task for its life and none for its traffic: a request is made and written in the poll that decides on it, as
long as the socket takes it, and an answer is told of in the pass of the loop that reads it.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import anyio

from aioproducer._mypyc import mypyc_attr
from aioproducer._wire.frames import decode_response, encode_request
from aioproducer._wire.messages.produce import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from aioproducer._wire.primitives import ZERO_UUID
from aioproducer._wire.schema import Request
from aioproducer.errors import KafkaError, ProtocolError

if TYPE_CHECKING:
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.effects import Connect, ProducePlan, Send
    from aioproducer._net.connection import Connection
    from aioproducer._net.dialer import Dialer, Established
    from aioproducer._runtime.loop import Runtime

_log = logging.getLogger("aioproducer.connection")


@mypyc_attr(allow_interpreted_subclasses=True)  # tests of the loop have one of their own
class BrokerConnection:
    """Runs one connection from its Connect effect to its end, and reports each step to the core, in order, exactly
    once.
    """

    def __init__(self, runtime: Runtime, effect: Connect, dialer: Dialer) -> None:
        self._runtime = runtime
        self._effect = effect
        self._dialer = dialer
        self._scope: anyio.CancelScope | None = None  # made in the task: anyio knows the loop only there
        self._is_closed = False
        self._outbox: deque[Send] = deque()
        self._has_to_wait = False  # for the next pass of the loop, as this one has been long enough
        self._connection: Connection | None = None
        self._can_write = False  # the socket has taken all so far, and no batch is with a worker thread
        self._unanswered: int | None = None  # a request that is complete once the socket has taken it
        # (correlation id, api key, version, when written), in the order of the requests
        self._expected: deque[tuple[int, int, int, float]] = deque()
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
        """Open, serve until it breaks or `close` is called, report the end."""
        node_id = self._effect.node_id
        established = None
        with anyio.CancelScope() as self._scope:
            if self._is_closed:
                self._scope.cancel()
            established = await self._open()
            if established is not None:
                self._runtime.figures.connections_made += 1
                try:
                    await self._serve(established)
                finally:
                    with anyio.CancelScope(shield=True):
                        await established.connection.aclose()
                    self._runtime.figures.connections_closed += 1
                    self._runtime.on_link_closed(self, node_id, self._error)
        if established is not None:
            return
        if self._error is None:  # closed while it was still being opened
            self._error = KafkaError("the connection was closed before it was set up")
        self._runtime.on_link_failed(self, node_id, self._error, (self._effect.host, self._effect.port))

    async def _open(self) -> Established | None:
        host, port, timeout = self._effect.host, self._effect.port, self._effect.timeout
        try:
            return await self._dialer.dial(host, port, timeout, name=self._effect.name)
        except KafkaError as error:
            self._error = error
            return None

    async def _serve(self, established: Established) -> None:
        self._connection = connection = established.connection
        others: BaseExceptionGroup[BaseException] | None = None
        try:
            async with anyio.create_task_group() as self._tasks:
                self._can_write = True
                self._runtime.on_link_open(self, self._effect.node_id, established.versions)
                self._pump()
                await connection.serve(self)
        except BaseExceptionGroup as group:  # not except*, which mypyc does not compile
            errors, others = group.split(KafkaError)
            if errors is not None:
                self._error = self._error or _first(errors)
        finally:
            self._is_closed = True
            self._can_write = False
        if others is not None:
            raise others

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_writable(self) -> None:
        """The socket has taken all."""
        self._can_write = True
        if self._unanswered is not None:
            correlation_id, self._unanswered = self._unanswered, None
            self._runtime.on_link_written(self, self._effect.node_id, correlation_id)
        self._pump()

    def _pump(self) -> None:
        while self._can_write and self._outbox:
            if self._runtime.has_written_long():
                self._has_to_wait = True
                self._runtime.write_later(self)
                return
            effect = self._outbox.popleft()
            if effect.produce is None:
                assert isinstance(effect.message, Request), "a Send effect carries a request or a plan for one"
                self._write(effect, effect.message)
            elif self._runtime.encoder.is_compressing and any(
                map(self._runtime.encoder.wants_thread, effect.produce.batches)
            ):
                self._can_write = False
                self._runtime.call_in_task(partial(self._begin_aside, effect))
            else:
                self._write(effect, self._produce_request(effect.produce))

    def _begin_aside(self, effect: Send) -> None:
        if not self._is_closed:
            self._tasks.start_soon(self._encode_aside, effect)

    async def _encode_aside(self, effect: Send) -> None:
        """Have worker threads compress; what comes later waits, as the order on a connection counts."""
        assert effect.produce is not None, "only batches are compressed"
        for batch in effect.produce.batches:
            await self._runtime.encoder.encode_aside(batch, self._runtime.sender.on_encoded)
        self._can_write = True
        self._write(effect, self._produce_request(effect.produce))
        self._pump()

    def _write(self, effect: Send, message: Request) -> None:
        runtime, connection = self._runtime, self._connection
        assert connection is not None, "nothing is written before the connection is open"
        if effect.expects_response:
            self._expected.append((effect.correlation_id, message.api_key, effect.version, runtime.clock()))
        frame = encode_request(message, effect.version, effect.correlation_id, runtime.client_id)
        figures = runtime.figures
        figures.requests += 1
        figures.bytes_out += len(frame)
        self._can_write = connection.write(frame)
        if effect.expects_response:
            return
        if self._can_write:
            runtime.on_link_written(self, self._effect.node_id, effect.correlation_id)
        else:
            self._unanswered = effect.correlation_id

    def _produce_request(self, plan: ProducePlan) -> ProduceRequest:
        """Make the bytes of its batches. One whose outcome came meanwhile is left out; the broker's answer will lack
        it too.
        """
        topics: dict[str, list[PartitionProduceData]] = {}
        records = 0
        runtime = self._runtime
        encode, on_encoded = runtime.encoder.encode, runtime.sender.on_encoded
        now = runtime.clock()
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
        runtime.figures.windowed.records_per_request.record(records, now)
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
        figures = self._runtime.figures
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
            self._runtime.on_link_read()

    def _on_frame(self, frame: bytes) -> None:
        runtime = self._runtime
        figures = runtime.figures
        figures.responses += 1
        figures.bytes_in += len(frame) + 4
        if not self._expected:
            raise ProtocolError("the broker sent an answer that was not asked for")
        correlation_id, api_key, version, written_at = self._expected.popleft()
        message = decode_response(frame, api_key, version, correlation_id)
        if isinstance(message, ProduceResponse):
            now = runtime.clock()
            figures.windowed.request_latency_ms.record((now - written_at) * 1000, now)
            figures.windowed.throttle_ms.record(message.throttle_time_ms, now)
        runtime.on_link_response(self, self._effect.node_id, correlation_id, message)


def _first(group: BaseExceptionGroup[KafkaError]) -> KafkaError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
