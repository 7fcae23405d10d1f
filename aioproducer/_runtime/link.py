"""One connection to one broker: the task that opens it, and the two that write and read."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

import anyio

from aioproducer._net.connection import Connection, Connector, open_connection
from aioproducer._wire.frames import decode_response_header, encode_request
from aioproducer._wire.messages import RESPONSES
from aioproducer._wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from aioproducer._wire.primitives import ZERO_UUID
from aioproducer._wire.schema import Request
from aioproducer.errors import ConnectionTimeoutError, KafkaError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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
        self._expected: deque[tuple[int, int, int]] = (
            deque()
        )  # (correlation id, api key, version), in the order of the requests
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
                    self._expected.append((effect.correlation_id, message.api_key, effect.version))
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
        figures = self._runtime.figures
        topics: dict[str, list[PartitionProduceData]] = {}
        for batch in plan.batches:
            encoded = await self._runtime.encoder.encode(batch, self._runtime.sender.on_encoded)
            if encoded is not None:
                figures.records_sent += batch.count
                if batch.attempts:
                    figures.records_sent_again += batch.count
                topics.setdefault(batch.topic, []).append(PartitionProduceData(index=batch.partition, records=encoded))
        return ProduceRequest(
            transactional_id=plan.transactional_id,
            acks=plan.acks,
            timeout_ms=plan.timeout_ms,
            topic_data=[
                TopicProduceData(name=topic, topic_id=plan.topic_ids.get(topic, ZERO_UUID), partition_data=partitions)
                for topic, partitions in topics.items()
            ],
        )

    async def _read(self, connection: Connection) -> None:
        figures = self._runtime.figures
        while True:
            for frame in await connection.read_frames():
                figures.responses += 1
                figures.bytes_in += len(frame) + 4
                if not self._expected:
                    raise ProtocolError("the broker sent an answer that was not asked for")
                correlation_id, api_key, version = self._expected.popleft()
                answered, body = decode_response_header(frame, api_key, version)
                if answered != correlation_id:
                    raise ProtocolError(f"the broker answered request {answered}; the next is {correlation_id}")
                message = RESPONSES[api_key].decode(body, version)
                self._runtime.on_link_response(self, self._effect.node_id, correlation_id, message)
