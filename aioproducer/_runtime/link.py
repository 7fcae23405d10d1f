"""One connection to one broker: the task that opens it, and the two that write and read."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

import anyio

from aioproducer._net.connection import Connection, Connector, open_connection
from aioproducer._wire.frames import decode_response_header, encode_request
from aioproducer._wire.messages import RESPONSES
from aioproducer._wire.messages.produce import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from aioproducer._wire.primitives import ZERO_UUID
from aioproducer._wire.schema import Request
from aioproducer.errors import ConnectionTimeoutError, KafkaError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aioproducer._core.batch import ProducerBatch
    from aioproducer._core.effects import Connect, Send
    from aioproducer._runtime.loop import Runtime

_log = logging.getLogger("aioproducer.connection")


class Link:
    """Runs one connection from its Connect effect to its end, and reports each step to the core, in order, exactly
    once.
    """

    def __init__(self, runtime: Runtime, effect: Connect, connect: Connector) -> None:
        self._runtime = runtime
        self._effect = effect
        self._connect = connect
        self._scope = anyio.CancelScope()
        self._outbox: deque[Send] = deque()
        self._wake_up = runtime.backend.new_wake_up()
        # (correlation id, api key, version, when written), in the order of the requests
        self._expected: deque[tuple[int, int, int, float]] = deque()
        self._error: KafkaError | None = None

    def send(self, effect: Send) -> None:
        """Queue a request; requests are written in the order of these calls."""
        self._outbox.append(effect)
        self._wake_up.set()

    def close(self, error: KafkaError | None = None) -> None:
        """Close the socket; what was not answered by then is not going to be. `error`: why, if something is wrong."""
        self._error = self._error or error
        self._scope.cancel()

    async def run(self) -> None:
        """Open, serve until it breaks or `close` is called, report the end."""
        node_id = self._effect.node_id
        connection = None
        with self._scope:
            connection = await self._open()
            if connection is not None:
                self._runtime.figures.connections_made += 1
                try:
                    await self._serve(connection)
                finally:
                    with anyio.CancelScope(shield=True):
                        await connection.aclose()
                    self._runtime.figures.connections_closed += 1
                    self._runtime.on_link_closed(self, node_id, self._error)
        if connection is not None:
            return
        if self._error is None:  # closed while it was still being opened
            self._error = KafkaError("the connection was closed before it was set up")
        self._runtime.on_link_failed(self, node_id, self._error, (self._effect.host, self._effect.port))

    async def _open(self) -> Connection | None:
        runtime, host, port = self._runtime, self._effect.host, self._effect.port
        started = runtime.clock()
        try:
            with anyio.fail_after(self._effect.timeout):
                # ApiVersions is a request like any other: a broker that connects and stays silent is given up as soon.
                connection = await open_connection(
                    self._connect, host, port, runtime.client_id, answer_timeout=runtime.request_timeout
                )
        except TimeoutError:
            elapsed = runtime.clock() - started
            self._error = ConnectionTimeoutError(
                f"{host}:{port} was not ready within {elapsed:.1f} s (TCP connect and ApiVersions);"
                " check the address, firewalls, and that the port speaks plain Kafka",
                elapsed=elapsed,
            )
            return None
        except KafkaError as error:
            self._error = error
            return None
        return connection

    async def _serve(self, connection: Connection) -> None:
        self._runtime.on_link_open(self, self._effect.node_id, connection.versions)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._until_broken, tasks.cancel_scope, self._write, connection)
            tasks.start_soon(self._until_broken, tasks.cancel_scope, self._read, connection)

    async def _until_broken(
        self, scope: anyio.CancelScope, step: Callable[[Connection], Awaitable[None]], connection: Connection
    ) -> None:
        """Run the writing or the reading half; when one breaks, the other ends too."""
        try:
            await step(connection)
        except KafkaError as error:
            self._error = self._error or error
            scope.cancel()

    async def _write(self, connection: Connection) -> None:
        figures = self._runtime.figures
        while True:
            while self._outbox:
                effect = self._outbox.popleft()
                message = effect.message if effect.produce is None else await self._produce_request(effect)
                assert isinstance(message, Request), "a Send effect carries a request or a plan for one"
                if effect.expects_response:
                    now = self._runtime.clock()
                    self._expected.append((effect.correlation_id, message.api_key, effect.version, now))
                frame = encode_request(message, effect.version, effect.correlation_id, self._runtime.client_id)
                figures.requests += 1  # before, as the answer may be read while this task is on its way back
                figures.bytes_out += len(frame)
                await connection.write(frame)
                self._runtime.on_link_written(self, self._effect.node_id, effect.correlation_id)
            await self._wake_up.wait_until(None)

    async def _produce_request(self, effect: Send) -> ProduceRequest:
        """Make the bytes of its batches. One whose outcome came meanwhile is left out; the broker's answer will lack
        it too.
        """
        plan = effect.produce
        assert plan is not None
        topics: dict[str, list[PartitionProduceData]] = {}
        records = 0
        for batch in plan.batches:
            encoded = await self._runtime.encoder.encode(batch, self._on_encoded)
            if encoded is not None:
                records += batch.count
                self._count(batch, len(encoded))
                topics.setdefault(batch.topic, []).append(PartitionProduceData(index=batch.partition, records=encoded))
        self._runtime.figures.windowed.records_per_request.record(records, self._runtime.clock())
        return ProduceRequest(
            transactional_id=plan.transactional_id,
            acks=plan.acks,
            timeout_ms=plan.timeout_ms,
            topic_data=[
                TopicProduceData(name=topic, topic_id=plan.topic_ids.get(topic, ZERO_UUID), partition_data=partitions)
                for topic, partitions in topics.items()
            ],
        )

    def _on_encoded(self, batch: ProducerBatch, records_size: int, encoded_size: int) -> None:
        self._runtime.sender.on_encoded(batch, records_size, encoded_size)
        self._runtime.figures.windowed.compression_rate.record(encoded_size / records_size, self._runtime.clock())

    def _count(self, batch: ProducerBatch, size: int) -> None:
        figures, now = self._runtime.figures, self._runtime.clock()
        figures.records_sent += batch.count
        figures.windowed.batch_size.record(size, now)
        if batch.attempts:
            figures.records_sent_again += batch.count
        else:
            figures.windowed.queue_time_ms.record((now - batch.created_at) * 1000, now)

    async def _read(self, connection: Connection) -> None:
        figures = self._runtime.figures
        while True:
            for frame in await connection.read_frames():
                figures.responses += 1
                figures.bytes_in += len(frame) + 4
                if not self._expected:
                    raise ProtocolError("the broker sent an answer that was not asked for")
                correlation_id, api_key, version, written_at = self._expected.popleft()
                answered, body = decode_response_header(frame, api_key, version)
                if answered != correlation_id:
                    raise ProtocolError(f"the broker answered request {answered}; the next is {correlation_id}")
                message = RESPONSES[api_key].decode(body, version)
                if isinstance(message, ProduceResponse):
                    now = self._runtime.clock()
                    figures.windowed.request_latency_ms.record((now - written_at) * 1000, now)
                    figures.windowed.throttle_ms.record(message.throttle_time_ms, now)
                self._runtime.on_link_response(self, self._effect.node_id, correlation_id, message)
