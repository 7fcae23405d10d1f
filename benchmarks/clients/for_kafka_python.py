"""kafka-python; its outcomes are futures that a thread waits for."""

# It has no types that a strict checker accepts.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaProducer

from benchmarks.clients.common import measure_blocking
from benchmarks.load import HEADERS
from benchmarks.order import IN_FLIGHT, SAMPLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.order import Figures, Order

OUTCOME_SECONDS: Final = 60


class Workloads:
    """What is run with one producer."""

    def __init__(self, producer: Any, order: Order, figures: Figures) -> None:
        self._producer = producer
        self._order = order
        self._figures = figures
        headers = {"headers": list(HEADERS[: order.headers])} if order.headers else {}
        self._send = partial(producer.send, order.topic, **headers)

    def run(self, pairs: Iterator[Any]) -> int:
        """Do the workload once."""
        match self._order.workload:
            case "pipelined":
                return self.pipelined(pairs)
            case "forget":
                return self.forget(pairs)
            case "one":
                return self.one(pairs)
            case _:
                return self.send_all(pairs)

    def pipelined(self, pairs: Iterator[Any]) -> int:
        """Send, and look at every outcome later."""
        send, waiting, delivered = self._send, deque[Any](), 0
        clock, note = time.perf_counter, self._figures.latencies.append
        for index, (value, key) in enumerate(pairs):
            if index % SAMPLE:
                waiting.append(send(value, key=key))
            else:
                start = clock()
                future = send(value, key=key)
                future.add_callback(lambda _, start=start: note(clock() - start))
                waiting.append(future)
            if len(waiting) > IN_FLIGHT:
                waiting.popleft().get(OUTCOME_SECONDS)
                delivered += 1
        for future in waiting:
            future.get(OUTCOME_SECONDS)
            delivered += 1
        return delivered

    def forget(self, pairs: Iterator[Any]) -> int:
        """Send, look at nothing, flush. Whether all arrived, the broker's offsets tell."""
        send, count = self._send, 0
        for value, key in pairs:
            send(value, key=key)
            count += 1
        self._producer.flush()
        return count

    def send_all(self, pairs: Iterator[Any]) -> int:
        """Send all, then wait for all."""
        send, delivered = self._send, 0
        for future in [send(value, key=key) for value, key in pairs]:
            future.get(OUTCOME_SECONDS)
            delivered += 1
        return delivered

    def one(self, pairs: Iterator[Any]) -> int:
        """Wait for each outcome before the next."""
        clock, note, send, count = time.perf_counter, self._figures.latencies.append, self._send, 0
        for value, key in pairs:
            start = clock()
            send(value, key=key).get(OUTCOME_SECONDS)
            note(clock() - start)
            count += 1
        return count


def run(order: Order, figures: Figures) -> None:
    """Do the order. There is no setting for the level: gzip is at 9, lz4 at its fastest, zstd at 3."""
    codec: Any = None if order.codec == "none" else order.codec
    producer = KafkaProducer(
        bootstrap_servers=order.bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=order.linger_ms,
        batch_size=order.batch_size,
        compression_type=codec,
    )
    try:
        measure_blocking(order, figures, Workloads(producer, order, figures).run)
    finally:
        producer.close()
