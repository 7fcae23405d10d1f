"""Records that flow from many tasks, in all ways of sending, until they are told to stop."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio

from aioproducer import Delivery, Producer, ProducerRecord, RecordMetadata
from aioproducer.errors import KafkaError, SendAllError
from tests.chaos.ledger import CALLS, value_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from anyio.abc import TaskGroup

WINDOW: Final = 300  # so many records of a task may have no outcome: an outage stops it, and does not fill the memory


class Book(Protocol):
    """Where the load is written down: `Ledger` keeps all, others forget."""

    def __len__(self) -> int: ...
    def call(self, stream: int = CALLS) -> int: ...
    def acknowledge(self, number: int, metadata: RecordMetadata) -> None: ...
    def fail(self, number: int, error: BaseException) -> None: ...
    def close(self, number: int, delivery: Delivery) -> None: ...


@dataclass
class Load:
    """Tasks that send to one topic; each in its own way, with its own key, without one, or to its own partition.

    Attributes:
        burst: the most records that a task sends without a pause.
        pause: the longest pause between two bursts, in seconds.
        size: the largest value, in bytes.
        limit: calls after which the tasks end by themselves.
    """

    producer: Producer[bytes, bytes]
    topic: str
    partitions: int
    ledger: Book
    seed: int = 0
    tasks: int = 8
    burst: int = 10
    pause: float = 0.05
    size: int = 200
    limit: float = float("inf")
    _is_stopping: bool = False
    _bulk_streams: int = field(default=0)

    def start(self, group: TaskGroup) -> None:
        """Start the tasks; they end after `stop`, when each of their records has its outcome."""
        ways = (self._one_by_one, self._pipelined, self._fired, self._in_bulk)
        for task in range(self.tasks):
            group.start_soon(ways[task % len(ways)], task, Random(f"{self.seed}-{task}"))

    def stop(self) -> None:
        """Let the tasks come to their end."""
        self._is_stopping = True

    async def probe(self) -> None:
        """Send one record to each partition and wait for the acknowledgements: the producer works, everywhere."""
        deliveries: list[tuple[int, Delivery]] = []
        for partition in range(self.partitions):
            number = self.ledger.call()
            deliveries.append(
                (number, await self.producer.submit(self.topic, value_of(number, 10), partition=partition))
            )
        for number, delivery in deliveries:
            await self._outcome(number, delivery)

    # ── the ways of sending ──────────────────────────────────────────────────────────────────────────────────────────

    async def _one_by_one(self, task: int, rng: Random) -> None:
        async for number in self._numbers(rng):
            try:
                metadata = await self.producer.send(self.topic, self._value(number, rng), **self._where(task))
            except KafkaError as error:
                self.ledger.fail(number, error)
            else:
                self.ledger.acknowledge(number, metadata)

    async def _pipelined(self, task: int, rng: Random) -> None:
        under_way: deque[tuple[int, Delivery]] = deque()
        async for number in self._numbers(rng):
            try:
                delivery = await self.producer.submit(self.topic, self._value(number, rng), **self._where(task))
            except KafkaError as error:
                self.ledger.fail(number, error)
                continue
            under_way.append((number, delivery))
            while under_way and (len(under_way) > WINDOW or under_way[0][1].done()):
                await self._outcome(*under_way.popleft())
        while under_way:
            await self._outcome(*under_way.popleft())

    async def _fired(self, task: int, rng: Random) -> None:
        open_numbers: set[int] = set()
        async for number in self._numbers(rng):

            def note(delivery: Delivery, number: int = number) -> None:
                open_numbers.discard(number)
                self.ledger.close(number, delivery)

            try:
                self.producer.submit_nowait(self.topic, self._value(number, rng), on_delivery=note, **self._where(task))
            except KafkaError as error:
                self.ledger.fail(number, error)
                continue
            open_numbers.add(number)
            while len(open_numbers) > WINDOW:  # noqa: ASYNC110 - bounds what is open, no more
                await anyio.sleep(0.02)
        while open_numbers:  # noqa: ASYNC110
            await anyio.sleep(0.005)

    async def _in_bulk(self, task: int, rng: Random) -> None:
        stream = self._bulk_streams = self._bulk_streams + 1
        while not self._is_over():
            numbers: list[int] = []

            def records(numbers: list[int] = numbers) -> Iterator[ProducerRecord[bytes, bytes]]:
                for _ in range(rng.randint(1, 4 * self.burst)):
                    if self._is_over():
                        return
                    numbers.append(self.ledger.call(stream))
                    yield ProducerRecord(self.topic, self._value(numbers[-1], rng), **self._where(task))

            try:
                for number, metadata in zip(numbers, await self.producer.send_all(records()), strict=True):
                    self.ledger.acknowledge(number, metadata)
            except SendAllError as error:
                self._note_failures(numbers, error)
            await anyio.sleep(rng.random() * self.pause)

    def _note_failures(self, numbers: list[int], error: SendAllError) -> None:
        for index, (number, metadata) in enumerate(zip(numbers, error.results, strict=False)):
            if metadata is None:
                self.ledger.fail(number, error.failures[index])
            else:
                self.ledger.acknowledge(number, metadata)

    # ── what they share ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _numbers(self, rng: Random) -> AsyncGenerator[int]:
        """Numbers for calls, in bursts; a number is drawn when its call is made."""
        while not self._is_over():
            for _ in range(rng.randint(1, self.burst)):
                if self._is_over():
                    return
                yield self.ledger.call()
            await anyio.sleep(rng.random() * self.pause)

    def _is_over(self) -> bool:
        return self._is_stopping or len(self.ledger) >= self.limit

    async def _outcome(self, number: int, delivery: Delivery) -> None:
        try:
            self.ledger.acknowledge(number, await delivery)
        except KafkaError as error:
            self.ledger.fail(number, error)

    def _value(self, number: int, rng: Random) -> bytes:
        return value_of(number, int(rng.random() * self.size))

    def _where(self, task: int) -> dict[str, Any]:
        if task % 3 == 0:
            return {"key": b"task-%d" % task}
        return {"partition": task % self.partitions} if task % 3 == 1 else {}
