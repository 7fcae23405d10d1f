"""confluent-kafka's AIOProducer; it runs on asyncio and a pool of threads."""

# It has no types that a strict checker accepts.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import anyio
from confluent_kafka.aio import AIOProducer

from benchmarks.clients.common import in_tasks, measure, one_at_a_time, with_workers
from benchmarks.clients.for_confluent import settings
from benchmarks.order import IN_FLIGHT, SAMPLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from benchmarks.order import Figures, Order


class Workloads:
    """What is run with one producer. It takes no headers: its batches refuse them."""

    def __init__(self, producer: Any, order: Order, figures: Figures) -> None:
        self._producer = producer
        self._order = order
        self._figures = figures

    def run(self, pairs: Iterator[Any]) -> Awaitable[int]:
        """Do the workload once."""
        order, figures = self._order, self._figures
        match order.workload:
            case "pipelined":
                return self.pipelined(pairs)
            case "forget":
                return self.forget(pairs)
            case "send_all":
                return self.send_all(pairs)
            case "one":
                return one_at_a_time(self.send, pairs, figures)
            case "tasks":
                return in_tasks(self.send, pairs, order.tasks, figures)
            case "workers":
                return with_workers(self.send, pairs, order.tasks, figures)

    async def send(self, value: bytes, key: bytes | None = None) -> Any:
        """Produce, and wait for the outcome."""
        return await (await self._producer.produce(self._order.topic, value=value, key=key))

    async def pipelined(self, pairs: Iterator[Any]) -> int:
        """Produce, and look at every outcome later."""
        produce, topic, waiting, delivered = self._producer.produce, self._order.topic, deque[Any](), 0
        clock, note = time.perf_counter, self._figures.latencies.append
        for index, (value, key) in enumerate(pairs):
            if index % SAMPLE:
                waiting.append(await produce(topic, value=value, key=key))
            else:
                start = clock()
                future = await produce(topic, value=value, key=key)
                future.add_done_callback(lambda _, start=start: note(clock() - start))
                waiting.append(future)
            if len(waiting) > IN_FLIGHT:
                await waiting.popleft()
                delivered += 1
        await self._producer.flush()
        for future in waiting:
            await future
            delivered += 1
        return delivered

    async def forget(self, pairs: Iterator[Any]) -> int:
        """Produce, look at nothing, flush. Whether all arrived, the broker's offsets tell."""
        produce, topic, count = self._producer.produce, self._order.topic, 0
        for value, key in pairs:
            await produce(topic, value=value, key=key)
            count += 1
        await self._producer.flush()
        return count

    async def send_all(self, pairs: Iterator[Any]) -> int:
        """Produce all, then wait for all."""
        produce, topic = self._producer.produce, self._order.topic
        futures = [await produce(topic, value=value, key=key) for value, key in pairs]
        await self._producer.flush()
        return len(await asyncio.gather(*futures))


async def produce(order: Order, figures: Figures) -> None:
    """Do the order with a producer of its own.

    Its own batches come before librdkafka's. 1,000 records is its default; one at a time they would wait for the
    timeout.
    """
    if order.headers:
        raise RuntimeError("it takes no headers in a batch")
    producer = AIOProducer(
        settings(order),
        batch_size=1 if order.workload == "one" else 1000,
        buffer_timeout=max(order.linger_ms, 1) / 1000,
    )
    try:
        await measure(order, figures, Workloads(producer, order, figures).run)
    finally:
        await producer.close()


def run(order: Order, figures: Figures) -> None:
    """Do the order."""
    anyio.run(produce, order, figures)
