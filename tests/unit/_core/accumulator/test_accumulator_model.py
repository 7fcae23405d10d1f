"""Random histories: nothing is lost, order is kept, memory comes back. A failing seed is printed by its test's name."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from aioproducer._core.accumulator.accumulator import PendingAppend, PendingState
from aioproducer._core.accumulator.batch import BatchState, ProducerBatch
from aioproducer.errors import BufferFullError, KafkaError, KafkaTimeoutError
from tests.unit._core.accumulators import TIMESTAMP, accumulator, cluster, split

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY = 6_000
IN_LINE = (PendingState.FOR_TOPIC, PendingState.FOR_MEMORY, PendingState.GRANTED)
NODES = (0, 1, 2)
LEADERS = {"t": [0, 1, 2, 0], "u": [1, -1]}


class History:
    """Drives an accumulator at random, as shell and sender would, and remembers what must come of it."""

    def __init__(self, seed: int, *, idempotent: bool) -> None:
        self.rng = random.Random(seed)
        self.idempotent = idempotent
        self.now = 0.0
        self.calls = 0
        self.accumulator = accumulator(
            None,
            seed,
            buffer_memory=MEMORY,
            batch_size=self.rng.choice([0, 300, 800]),
            linger_ms=self.rng.choice([0, 5, 50]),
            delivery_timeout_ms=2_000,
            compression_type=self.rng.choice(["none", "zstd"]),
        )
        self.leaders = {topic: list(leaders) for topic, leaders in LEADERS.items()}
        self.epoch = 0
        self.by_sequence: dict[tuple[str, int], dict[int, bytes]] = defaultdict(dict)
        self.delivered: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        self.failed: set[bytes] = set()
        self.accepted: set[bytes] = set()
        self.granted: list[PendingAppend] = []
        self.waiting: dict[PendingAppend, bytes] = {}
        self.in_flight: list[tuple[ProducerBatch, list[bytes]]] = []
        self.wire: list[ProducerBatch] = []
        self.sequences: dict[tuple[str, int], int] = defaultdict(int)

    # ── the shell ────────────────────────────────────────────────────────────────────────────────────────────────────

    def call(self) -> None:
        topic = self.rng.choice(list(LEADERS))
        partition = self.rng.choice([None, None, 0, 1])
        value = b"%06d" % self.calls + b"v" * self.rng.choice([0, 10, 60, 300])
        self.calls += 1
        batch = self.accumulator.appender.try_append(topic, partition, None, value, None, TIMESTAMP, self.now)
        if batch is not None:
            assert not [p for p in self.waiting if p.topic == topic and p.state in IN_LINE], "passed a call that waits"
            assert batch.values[-1] == value
            self.accepted.add(value)
            return
        accepted = self.rng.random() < 0.3
        try:
            pending = self.accumulator.enqueue(
                topic, partition, None, value, None, TIMESTAMP, self.now, self.now + 1.0, accepted=accepted
            )
        except BufferFullError:
            return
        if accepted:
            self.accepted.add(value)
            if pending.batch is None:
                self.waiting[pending] = value
        else:
            self.waiting[pending] = value
            if not pending.has_to_park:
                self.granted.append(pending)

    def take_woken(self) -> None:
        for entry in self.accumulator.take_woken():
            assert isinstance(entry, PendingAppend), "nothing else waits here"
            if entry.accepted:
                assert isinstance(entry.error, KafkaTimeoutError)
                self.failed.add(self.waiting.pop(entry))
            else:
                self.granted.append(entry)
        for pending in [p for p in self.waiting if p.accepted and p.batch is not None]:
            del self.waiting[pending]

    def complete(self) -> None:
        """Resume a task that was woken: the first mostly, as on asyncio; any, as on trio."""
        if not self.granted:
            return
        index = 0 if self.rng.random() < 0.7 else self.rng.randrange(len(self.granted))
        pending = self.granted.pop(index)
        value = self.waiting.pop(pending)
        try:
            batch = self.accumulator.complete_append(pending, self.now, TIMESTAMP)
        except KafkaTimeoutError:
            return
        self.accepted.add(value)
        if batch.state is BatchState.OPEN:
            assert batch.values[pending.index] == value

    def cancel(self) -> None:
        candidates = [p for p in self.waiting if not p.accepted and p.batch is None]
        if candidates:
            pending = self.rng.choice(candidates)
            self.accumulator.cancel(pending)
            del self.waiting[pending]
            if pending in self.granted:
                self.granted.remove(pending)

    # ── the sender ───────────────────────────────────────────────────────────────────────────────────────────────────

    def poll(self) -> None:
        self.accumulator.tick(self.now)
        for batch in self.accumulator.expire(self.now):
            self.forget(batch)
            values = self.values_of(batch)
            self.accumulator.fail(batch, KafkaError("expired"))
            self.failed.update(values)
            if batch.holds_memory:
                self.wire.append(batch)
        for node in self.accumulator.ready_nodes(self.now):
            if self.rng.random() < 0.7:
                for batch in self.accumulator.drain(node, self.now, self.rng.choice([100, 1000, 10**6]), self.can_send):
                    self.number(batch)
                    self.in_flight.append((batch, self.values_of(batch)))

    def values_of(self, batch: ProducerBatch) -> list[bytes]:
        return [value for value in batch.values if value is not None]

    def can_send(self, batch: ProducerBatch) -> bool:
        """One batch of a partition at a time: then order holds even when a batch without sequence is retried."""
        same = [b for b, _ in self.in_flight if (b.topic, b.partition) == (batch.topic, batch.partition)]
        return len(same) < (3 if self.idempotent else 1)

    def number(self, batch: ProducerBatch) -> None:
        if self.idempotent and not batch.has_sequence:
            key = (batch.topic, batch.partition)
            batch.base_sequence = self.sequences[key]
            self.sequences[key] += batch.count

    def forget(self, batch: ProducerBatch) -> None:
        self.in_flight = [entry for entry in self.in_flight if entry[0] is not batch]

    def answer(self) -> None:
        if not self.in_flight:
            return
        batch, values = self.in_flight.pop(self.rng.randrange(len(self.in_flight)))
        choice = self.rng.random()
        if choice < 0.25:
            self.accumulator.requeue(batch, self.now, self.now + self.rng.choice([0.0, 0.1]))
        elif choice < 0.35 and batch.count > 1:
            split(self.accumulator, batch, self.now)
        else:
            self.accumulator.on_encoded(batch, batch.size, self.rng.randrange(1, batch.size))
            self.accumulator.complete(batch, base_offset=0)
            key = (batch.topic, batch.partition)
            self.delivered[key].extend(values)
            if self.idempotent:
                self.positions(key, batch, values)

    def positions(self, key: tuple[str, int], batch: ProducerBatch, values: list[bytes]) -> None:
        for offset, value in enumerate(values):
            self.by_sequence[key][batch.base_sequence + offset] = value

    def release(self) -> None:
        if self.wire:
            self.accumulator.release(self.wire.pop())

    def move_leaders(self) -> None:
        for leaders in self.leaders.values():
            leaders[self.rng.randrange(len(leaders))] = self.rng.choice([-1, *NODES])
        self.epoch += self.rng.choice([0, 1])
        self.show()

    def show(self) -> None:
        self.accumulator.update_topics(cluster(self.leaders, epochs=[self.epoch] * 4), self.now)

    def wait(self) -> None:
        self.now += self.rng.choice([0.001, 0.01, 0.1, 0.7])

    def run(self, steps: int) -> None:
        actions: list[Callable[[], None]] = [
            *[self.call] * 8,
            *[self.poll] * 3,
            *[self.answer] * 4,
            *[self.complete] * 3,
            self.cancel,
            self.release,
            self.wait,
            self.move_leaders,
        ]
        for _ in range(steps):
            self.rng.choice(actions)()
            self.take_woken()
            held = sum(b.charged for b in self.everything())
            assert 0 <= self.accumulator.statistics().buffer_available_bytes <= MEMORY - held
        self.finish()

    def everything(self) -> list[ProducerBatch]:
        return [*self.accumulator._unfinished, *self.wire]  # pyright: ignore[reportPrivateUsage]

    def finish(self) -> None:
        self.leaders = {"t": [0, 1, 2, 0], "u": [1, 2]}
        self.show()
        self.take_woken()
        for _ in range(100_000):
            if self.accumulator.is_empty and not self.waiting and not self.granted:
                break
            self.poll()
            self.answer()
            self.complete()
            self.release()
            self.take_woken()
            self.now += 0.001
        while self.wire:
            self.release()
        assert self.accumulator.is_empty
        assert not self.waiting


@pytest.mark.parametrize("idempotent", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_lost_order_is_kept_and_memory_comes_back(seed: int, idempotent: bool) -> None:
    history = History(seed, idempotent=idempotent)
    history.run(600)
    delivered = [value for values in history.delivered.values() for value in values]
    assert len(delivered) == len(set(delivered))
    assert set(delivered) | history.failed == history.accepted
    assert not set(delivered) & history.failed
    for key, values in history.delivered.items():
        numbers = list(dict(sorted(history.by_sequence[key].items())).values()) if idempotent else values
        assert numbers == sorted(numbers), key
    assert history.accumulator.statistics().buffer_available_bytes == MEMORY
    assert history.accumulator.deadline() is None
    assert history.accumulator.busy_topics() == []
