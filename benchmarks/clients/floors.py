"""What cannot be done for less: tasks that wait for one shared future, and one request after the other on a socket."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import TYPE_CHECKING, Final

import anyio

from aioproducer._records.compression import Codec, compressor
from aioproducer._records.encode import encode_records, seal_batch
from aioproducer._wire.frames import encode_request
from aioproducer._wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from benchmarks.clients.common import in_tasks, measure, one_at_a_time, with_workers

if TYPE_CHECKING:
    from benchmarks.order import Figures, Order

PRODUCE_VERSION: Final = 12
"""The last one that names topics, so that nothing has to be asked first; with topic ids it is a few bytes more."""


class BareTasks:
    """send is: wait for a future that all who wait at the same time share. Nothing is sent."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] | None = None

    async def send(self, value: bytes, key: bytes | None = None) -> None:
        """Wait for what others wait for too; it comes after the time to linger."""
        future = self._future
        if future is None:
            future = self._future = self._loop.create_future()
            self._loop.call_later(self._seconds, self._settle, future)
        await future

    def _settle(self, future: asyncio.Future[None]) -> None:
        self._future = None
        future.set_result(None)


class Exchange(asyncio.Protocol):
    """One request is written, its answer is read; nothing is looked at but the answer's length."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._received = b""
        self._answer: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._frames: dict[bytes, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Wake the one that waits when the answer is complete."""
        self._received += data
        if len(self._received) >= 4 and len(self._received) >= 4 + int(struct.unpack_from(">i", self._received)[0]):
            self._received = b""
            if self._answer is not None:
                self._answer.set_result(None)

    async def send(self, value: bytes, key: bytes | None = None) -> None:
        """Exchange a request with one record in it."""
        frame = self._frames.get(value)
        if frame is None:
            frame = self._frames[value] = one_record(self._order.topic, value)
        self._answer = self._loop.create_future()
        self._transport.write(frame)
        await self._answer


def one_record(topic: str, value: bytes) -> bytes:
    """Return a Produce request with one record for partition 0, not idempotent: it may be sent again and again."""
    now_ms = int(time.time() * 1000)
    batch = seal_batch(
        encode_records([now_ms], None, [value], None),
        count=1,
        base_timestamp=now_ms,
        max_timestamp=now_ms,
        codec=Codec.NONE,
        compressor=compressor(Codec.NONE, None),
    )
    data = TopicProduceData(name=topic, partition_data=[PartitionProduceData(index=0, records=batch)])
    message = ProduceRequest(acks=-1, timeout_ms=30_000, topic_data=[data])
    return encode_request(message, PRODUCE_VERSION, 1, "aioproducer")


async def wait(order: Order, figures: Figures) -> None:
    """Do a workload of tasks."""
    send = BareTasks(order.linger_ms / 1000).send
    form = in_tasks if order.workload == "tasks" else with_workers
    await measure(order, figures, lambda pairs: form(send, pairs, order.tasks, figures))


async def exchange(order: Order, figures: Figures) -> None:
    """Do one request after the other."""
    host, _, port = order.bootstrap.rpartition(":")
    transport, protocol = await asyncio.get_running_loop().create_connection(lambda: Exchange(order), host, int(port))
    try:
        await measure(order, figures, lambda pairs: one_at_a_time(protocol.send, pairs, figures))
    finally:
        transport.close()


def run(order: Order, figures: Figures) -> None:
    """Do the order."""
    anyio.run(wait if order.client == "bare-tasks" else exchange, order, figures)
