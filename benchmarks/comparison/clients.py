"""The same workloads, as the users of each client would write them."""

# The other clients have no types that a strict checker accepts.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

import anyio

from benchmarks.comparison.workload import IN_FLIGHT, TASKS, TOPIC, Figures, Order, Timer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def _keys(order: Order, count: int) -> list[bytes | None]:
    if not order.key_count:
        return [None] * count
    return [b"key-%d" % (index % order.key_count) for index in range(count)]


async def _watch_lag(figures: Figures) -> None:
    """Note how late a task wakes: what other tasks of the program would feel."""
    while True:
        due = time.perf_counter() + 0.002
        await anyio.sleep(0.002)
        figures.lags.append(max(0.0, time.perf_counter() - due))


async def _timed(order: Order, figures: Figures, run: Callable[[int], Awaitable[int]]) -> None:
    await run(max(order.count // 10, 1))
    figures.latencies.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch_lag, figures)
        await anyio.sleep(0.05)
        figures.lags.clear()
        with Timer(figures):
            figures.delivered = await run(order.count)
        tasks.cancel_scope.cancel()


async def _one_at_a_time(send: Callable[..., Awaitable[Any]], value: bytes, count: int, figures: Figures) -> int:
    clock = time.perf_counter
    for _ in range(count):
        start = clock()
        await send(TOPIC, value)
        figures.latencies.append(clock() - start)
    return count


async def _in_tasks(send: Callable[..., Awaitable[Any]], value: bytes, keys: list[bytes | None]) -> int:
    """Have each task send its share, one record after the other."""
    delivered = 0

    async def sender(mine: list[bytes | None]) -> None:
        nonlocal delivered
        for key in mine:
            await send(TOPIC, value, key=key)
            delivered += 1

    async with anyio.create_task_group() as tasks:
        for index in range(TASKS):
            tasks.start_soon(sender, keys[index::TASKS])
    return delivered


# ── aioproducer ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _aioproducer(order: Order, figures: Figures) -> None:
    from aioproducer import Delivery, Producer

    value = b"x" * order.value_bytes

    async def pipelined(count: int) -> int:
        delivered = 0
        waiting: deque[Delivery] = deque()
        for key in _keys(order, count):
            waiting.append(await producer.submit(TOPIC, value, key=key))
            if len(waiting) > IN_FLIGHT:
                await waiting.popleft()
                delivered += 1
        for delivery in waiting:
            await delivery
            delivered += 1
        return delivered

    runs: dict[str, Callable[[int], Awaitable[int]]] = {
        "pipelined": pipelined,
        "tasks": lambda count: _in_tasks(producer.send, value, _keys(order, count)),
        "latency": lambda count: _one_at_a_time(producer.send, value, count, figures),
    }
    async with Producer(
        bootstrap_servers=order.bootstrap, linger_ms=order.effective_linger_ms, batch_size=order.batch_size
    ) as producer:
        await _timed(order, figures, runs[order.workload])


def aioproducer_asyncio(order: Order, figures: Figures) -> None:
    """aioproducer on asyncio."""
    anyio.run(_aioproducer, order, figures)


def aioproducer_uvloop(order: Order, figures: Figures) -> None:
    """aioproducer on uvloop."""
    anyio.run(_aioproducer, order, figures, backend_options={"use_uvloop": True})


def aioproducer_trio(order: Order, figures: Figures) -> None:
    """aioproducer on trio."""
    anyio.run(_aioproducer, order, figures, backend="trio")


# ── aiokafka ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _aiokafka(order: Order, figures: Figures) -> None:
    from aiokafka import AIOKafkaProducer

    value = b"x" * order.value_bytes

    async def pipelined(count: int) -> int:
        delivered = 0
        waiting: deque[Any] = deque()
        for key in _keys(order, count):
            waiting.append(await producer.send(TOPIC, value, key=key))
            if len(waiting) > IN_FLIGHT:
                await waiting.popleft()
                delivered += 1
        for future in waiting:
            await future
            delivered += 1
        return delivered

    runs: dict[str, Callable[[int], Awaitable[int]]] = {
        "pipelined": pipelined,
        "tasks": lambda count: _in_tasks(producer.send_and_wait, value, _keys(order, count)),
        "latency": lambda count: _one_at_a_time(producer.send_and_wait, value, count, figures),
    }
    async with AIOKafkaProducer(
        bootstrap_servers=order.bootstrap,
        linger_ms=order.effective_linger_ms,
        max_batch_size=order.batch_size,
        acks="all",
        enable_idempotence=True,
    ) as producer:
        await _timed(order, figures, runs[order.workload])


def aiokafka_asyncio(order: Order, figures: Figures) -> None:
    """aiokafka; it runs on asyncio."""
    anyio.run(_aiokafka, order, figures)


# ── confluent-kafka ──────────────────────────────────────────────────────────────────────────────────────────────────


def _librdkafka_settings(order: Order) -> dict[str, Any]:
    return {
        "bootstrap.servers": order.bootstrap,
        "linger.ms": order.effective_linger_ms,
        "batch.size": order.batch_size,
        "acks": "all",
        "enable.idempotence": True,
    }


class _Counter:
    """Counts outcomes, as the delivery callback of a program would look at each."""

    def __init__(self) -> None:
        self.delivered = 0

    def on_delivery(self, error: Any, message: Any) -> None:
        """Told by poll."""
        if error is None:
            self.delivered += 1


def _callbacks_pipelined(producer: Any, order: Order, count: int, counter: _Counter) -> None:
    produce, poll, value = producer.produce, producer.poll, b"x" * order.value_bytes
    for index, key in enumerate(_keys(order, count)):
        while True:
            try:
                produce(TOPIC, value, key, on_delivery=counter.on_delivery)
                break
            except BufferError:
                poll(0.01)
        if index % 100 == 0:
            poll(0)
    producer.flush()


def _callbacks_one_at_a_time(producer: Any, order: Order, count: int, counter: _Counter, figures: Figures) -> None:
    clock, value = time.perf_counter, b"x" * order.value_bytes
    for _ in range(count):
        start = clock()
        before = counter.delivered
        producer.produce(TOPIC, value, on_delivery=counter.on_delivery)
        while counter.delivered == before:
            producer.poll(1)
        figures.latencies.append(clock() - start)


def confluent_callbacks(order: Order, figures: Figures) -> None:
    """confluent-kafka's Producer, outcomes by callback. It polls once for 100 records: its fastest form."""
    from confluent_kafka import Producer

    producer = Producer(_librdkafka_settings(order))

    def run(count: int) -> int:
        counter = _Counter()
        if order.workload == "pipelined":
            _callbacks_pipelined(producer, order, count, counter)
        else:
            _callbacks_one_at_a_time(producer, order, count, counter, figures)
        return counter.delivered

    run(max(order.count // 10, 1))
    figures.latencies.clear()
    with Timer(figures):
        figures.delivered = run(order.count)


async def _confluent_aio(order: Order, figures: Figures) -> None:
    from confluent_kafka.aio import AIOProducer

    value = b"x" * order.value_bytes

    async def pipelined(count: int) -> int:
        delivered = 0
        waiting: deque[Any] = deque()
        for key in _keys(order, count):
            waiting.append(await producer.produce(TOPIC, value=value, key=key))
            if len(waiting) > IN_FLIGHT:
                await waiting.popleft()
                delivered += 1
        await producer.flush()
        for future in waiting:
            await future
            delivered += 1
        return delivered

    async def send(topic: str, value: bytes, key: bytes | None = None) -> Any:
        return await (await producer.produce(topic, value=value, key=key))

    runs: dict[str, Callable[[int], Awaitable[int]]] = {
        "pipelined": pipelined,
        "tasks": lambda count: _in_tasks(send, value, _keys(order, count)),
        "latency": lambda count: _one_at_a_time(send, value, count, figures),
    }
    # Its own batches come before librdkafka's. 1,000 is its default; one at a time they would wait for the timeout.
    producer = AIOProducer(
        _librdkafka_settings(order),
        batch_size=1 if order.workload == "latency" else 1000,
        buffer_timeout=max(order.effective_linger_ms, 1) / 1000,
    )
    try:
        await _timed(order, figures, runs[order.workload])
    finally:
        await producer.close()


def confluent_aio(order: Order, figures: Figures) -> None:
    """confluent-kafka's AIOProducer; it runs on asyncio and a pool of threads."""
    anyio.run(_confluent_aio, order, figures)
