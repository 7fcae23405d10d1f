"""aioproducer, on asyncio, uvloop or trio."""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

import anyio

from aioproducer import Delivery, Producer, ProducerRecord
from benchmarks.clients.common import in_tasks, measure, one_at_a_time, with_workers
from benchmarks.load import HEADERS, topic_names
from benchmarks.order import IN_FLIGHT, SAMPLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from benchmarks.order import Figures, Order


def settings(order: Order) -> dict[str, Any]:
    """Return what the order says, as settings; acks=all and idempotence are the defaults."""
    given: dict[str, Any] = {
        "bootstrap_servers": order.bootstrap,
        "linger_ms": order.linger_ms,
        "batch_size": order.batch_size,
        "compression_type": order.codec,
    }
    if order.level:
        given[f"compression_{order.codec}_level"] = order.level
    if order.buffer_memory:
        given["buffer_memory"] = order.buffer_memory
    if order.ca:
        given |= {"security_protocol": "SSL", "ssl_truststore_location": order.ca}
    return given


class Workloads:
    """What is run with one producer."""

    def __init__(self, producer: Producer[bytes, bytes], order: Order, figures: Figures) -> None:
        self._producer = producer
        self._order = order
        self._figures = figures
        self._headers: dict[str, Any] = {"headers": list(HEADERS[: order.headers])} if order.headers else {}
        self._send = partial(producer.send, order.topic, **self._headers)
        self._submit = partial(producer.submit, order.topic, **self._headers)

    def run(self, pairs: Iterator[tuple[bytes, bytes | None]]) -> Awaitable[int]:
        """Do the workload once."""
        order, figures = self._order, self._figures
        match order.workload:
            case "pipelined":
                return self.pipelined(pairs)
            case "forget":
                return self.forget_in_turns(pairs) if order.topics > 1 else self.forget(pairs)
            case "send_all":
                return self.send_all(pairs)
            case "one":
                return one_at_a_time(self._send, pairs, figures)
            case "tasks":
                return in_tasks(self._send, pairs, order.tasks, figures)
            case "workers":
                return with_workers(self._send, pairs, order.tasks, figures)

    async def pipelined(self, pairs: Iterator[tuple[bytes, bytes | None]]) -> int:
        """Submit, and look at every outcome later."""
        submit, waiting, delivered = self._submit, deque[Delivery](), 0
        clock, note = time.perf_counter, self._figures.latencies.append
        for index, (value, key) in enumerate(pairs):
            if index % SAMPLE:
                waiting.append(await submit(value, key=key))
            else:
                start = clock()
                delivery = await submit(value, key=key)
                delivery.add_done_callback(lambda _, start=start: note(clock() - start))  # type: ignore[misc]
                waiting.append(delivery)
            if len(waiting) > IN_FLIGHT:
                await waiting.popleft()
                delivered += 1
        for delivery in waiting:
            await delivery
            delivered += 1
        return delivered

    async def forget(self, pairs: Iterator[tuple[bytes, bytes | None]]) -> int:
        """Submit, look at nothing; flush raises if a record failed."""
        submit, count = self._submit, 0
        for value, key in pairs:
            await submit(value, key=key)
            count += 1
        await self._producer.flush()
        return count

    async def forget_in_turns(self, pairs: Iterator[tuple[bytes, bytes | None]]) -> int:
        """The same for many topics, one after the other."""
        submit: Callable[..., Awaitable[Any]] = self._producer.submit
        count = 0
        for topic, (value, key) in zip(cycle(topic_names(self._order)), pairs, strict=False):
            await submit(topic, value, key=key, **self._headers)
            count += 1
        await self._producer.flush()
        return count

    async def send_all(self, pairs: Iterator[tuple[bytes, bytes | None]]) -> int:
        """One call; it raises if a record failed."""
        topic, headers = self._order.topic, self._headers
        return len(
            await self._producer.send_all(ProducerRecord(topic, value, key=key, **headers) for value, key in pairs)
        )


async def produce(order: Order, figures: Figures) -> None:
    """Do the order with a producer of its own."""
    async with Producer[bytes, bytes](**settings(order)) as producer:
        for topic in topic_names(order):
            await producer.partitions_for(topic)
        await measure(order, figures, Workloads(producer, order, figures).run)


def run(order: Order, figures: Figures) -> None:
    """Do the order on the loop that the client's name tells."""
    match order.client.partition("-")[2]:
        case "trio":
            anyio.run(produce, order, figures, backend="trio")
        case loop:
            anyio.run(produce, order, figures, backend_options={"use_uvloop": loop == "uvloop"})
