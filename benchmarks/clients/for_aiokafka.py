"""aiokafka; it runs on asyncio."""

# It has no types that a strict checker accepts.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from aiokafka import AIOKafkaProducer

from benchmarks.clients.common import in_tasks, measure, one_at_a_time, with_workers
from benchmarks.load import HEADERS
from benchmarks.order import IN_FLIGHT, SAMPLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from benchmarks.order import Figures, Order


class Workloads:
    """What is run with one producer."""

    def __init__(self, producer: Any, order: Order, figures: Figures) -> None:
        self._producer = producer
        self._order = order
        self._figures = figures
        headers = {"headers": list(HEADERS[: order.headers])} if order.headers else {}
        self._send = partial(producer.send_and_wait, order.topic, **headers)
        self._submit = partial(producer.send, order.topic, **headers)

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
                return one_at_a_time(self._send, pairs, figures)
            case "tasks":
                return in_tasks(self._send, pairs, order.tasks, figures)
            case "workers":
                return with_workers(self._send, pairs, order.tasks, figures)

    async def pipelined(self, pairs: Iterator[Any]) -> int:
        """Send, and look at every outcome later."""
        submit, waiting, delivered = self._submit, deque[Any](), 0
        clock, note = time.perf_counter, self._figures.latencies.append
        for index, (value, key) in enumerate(pairs):
            if index % SAMPLE:
                waiting.append(await submit(value, key=key))
            else:
                start = clock()
                future = await submit(value, key=key)
                future.add_done_callback(lambda _, start=start: note(clock() - start))
                waiting.append(future)
            if len(waiting) > IN_FLIGHT:
                await waiting.popleft()
                delivered += 1
        for future in waiting:
            await future
            delivered += 1
        return delivered

    async def forget(self, pairs: Iterator[Any]) -> int:
        """Send, look at nothing, flush. Whether all arrived, the broker's offsets tell."""
        submit, count = self._submit, 0
        for value, key in pairs:
            await submit(value, key=key)
            count += 1
        await self._producer.flush()
        return count

    async def send_all(self, pairs: Iterator[Any]) -> int:
        """Send all, then wait for all."""
        submit = self._submit
        return len(await asyncio.gather(*[await submit(value, key=key) for value, key in pairs]))


async def produce(order: Order, figures: Figures) -> None:
    """Do the order with a producer of its own. There is no setting for the level: gzip and lz4 are at 9, zstd at 3."""
    async with AIOKafkaProducer(
        bootstrap_servers=order.bootstrap,
        linger_ms=order.linger_ms,
        max_batch_size=order.batch_size,
        acks="all",
        enable_idempotence=True,
        compression_type=None if order.codec == "none" else order.codec,
    ) as producer:
        await measure(order, figures, Workloads(producer, order, figures).run)


def run(order: Order, figures: Figures) -> None:
    """Do the order."""
    anyio.run(produce, order, figures)
