"""confluent-kafka's Producer: librdkafka, outcomes by callback.

Without an event loop it polls once for 100 records, which is its fastest form. Where tasks wait, a thread polls and
each outcome is handed to the loop: what one writes by hand around this client.
"""

# It has no types that a strict checker accepts.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
from confluent_kafka import Producer

from benchmarks.clients.common import in_tasks, measure, measure_blocking, with_workers
from benchmarks.load import HEADERS
from benchmarks.order import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.order import Figures, Order


def settings(order: Order) -> dict[str, Any]:
    """Return what the order says, in librdkafka's names."""
    given: dict[str, Any] = {
        "bootstrap.servers": order.bootstrap,
        "linger.ms": order.linger_ms,
        "batch.size": order.batch_size,
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": order.codec,
    }
    if order.level:
        given["compression.level"] = order.level
    if order.ca:
        given |= {"security.protocol": "SSL", "ssl.ca.location": order.ca}
    return given


class Blocking:
    """Workloads of one thread."""

    def __init__(self, producer: Any, order: Order, figures: Figures) -> None:
        self._producer = producer
        self._order = order
        self._figures = figures
        self._headers: dict[str, Any] = {"headers": list(HEADERS[: order.headers])} if order.headers else {}
        self._delivered = 0

    def run(self, pairs: Iterator[Any]) -> int:
        """Do the workload once."""
        match self._order.workload:
            case "one":
                return self.one(pairs)
            case "forget":
                return self.forget(pairs)
            case _:
                return self.pipelined(pairs)

    def on_delivery(self, error: Any, _: Any) -> None:
        """Look at an outcome."""
        if error is None:
            self._delivered += 1

    def _timed(self) -> Callable[[Any, Any], None]:
        clock, note, start = time.perf_counter, self._figures.latencies.append, time.perf_counter()

        def on_delivery(error: Any, _: Any) -> None:
            note(clock() - start)
            if error is None:
                self._delivered += 1

        return on_delivery

    def pipelined(self, pairs: Iterator[Any]) -> int:
        """Produce; the callbacks look at every outcome."""
        self._delivered = 0
        produce, poll, topic, headers = self._producer.produce, self._producer.poll, self._order.topic, self._headers
        on_delivery = self.on_delivery
        for index, (value, key) in enumerate(pairs):
            callback = on_delivery if index % SAMPLE else self._timed()
            while True:
                try:
                    produce(topic, value, key, on_delivery=callback, **headers)
                    break
                except BufferError:
                    poll(0.01)
            if index % 100 == 0:
                poll(0)
        self._producer.flush()
        return self._delivered

    def forget(self, pairs: Iterator[Any]) -> int:
        """Produce without a callback, then flush. Whether all arrived, the broker's offsets tell."""
        produce, poll, topic, headers = self._producer.produce, self._producer.poll, self._order.topic, self._headers
        count = 0
        for value, key in pairs:
            while True:
                try:
                    produce(topic, value, key, **headers)
                    break
                except BufferError:
                    poll(0.01)
            count += 1
        return count - int(self._producer.flush())

    def one(self, pairs: Iterator[Any]) -> int:
        """Poll until the outcome is there, then go on."""
        clock, note, poll = time.perf_counter, self._figures.latencies.append, self._producer.poll
        self._delivered = 0
        for sent, (value, key) in enumerate(pairs, 1):
            start = clock()
            self._producer.produce(self._order.topic, value, key, on_delivery=self.on_delivery)
            while self._delivered < sent:
                poll(1)
            note(clock() - start)
        return self._delivered


async def produce_from_tasks(order: Order, figures: Figures) -> None:
    """Do a workload of tasks: a thread polls."""
    loop = asyncio.get_running_loop()
    producer: Any = Producer(settings(order))
    headers: dict[str, Any] = {"headers": list(HEADERS[: order.headers])} if order.headers else {}
    topic, call_soon, is_over = order.topic, loop.call_soon_threadsafe, threading.Event()

    def settle(future: asyncio.Future[Any], error: Any, message: Any) -> None:
        if not future.done():
            if error is None:
                future.set_result(message)
            else:
                future.set_exception(RuntimeError(str(error)))

    async def send(value: bytes, key: bytes | None = None) -> Any:
        future: asyncio.Future[Any] = loop.create_future()
        producer.produce(
            topic, value, key, on_delivery=lambda error, message: call_soon(settle, future, error, message), **headers
        )
        return await future

    def poll() -> None:
        while not is_over.is_set():
            producer.poll(0.05)

    thread = threading.Thread(target=poll)
    thread.start()
    form = in_tasks if order.workload == "tasks" else with_workers
    try:
        await measure(order, figures, lambda pairs: form(send, pairs, order.tasks, figures))
    finally:
        is_over.set()
        thread.join()


def run(order: Order, figures: Figures) -> None:
    """Do the order."""
    if order.workload in ("tasks", "workers"):
        anyio.run(produce_from_tasks, order, figures)
    else:
        measure_blocking(order, figures, Blocking(Producer(settings(order)), order, figures).run)
