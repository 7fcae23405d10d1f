"""What the tests of the accumulator share: one with a known cluster, and ways to say the usual in one line."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from aioproducer._config import ProducerConfig
from aioproducer._core.accumulator.accumulator import Accumulator
from aioproducer._core.accumulator.append import Appender
from aioproducer._core.accumulator.batch import sequence_after
from aioproducer._core.accumulator.flush import FlushEpochs
from aioproducer._core.accumulator.queues import Schedule
from aioproducer._core.accumulator.topics import Topics
from aioproducer._core.accumulator.unfinished import UnfinishedBatches
from aioproducer._core.cluster.metadata import Broker, ClusterMetadata, PartitionMetadata, TopicMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from aioproducer._config import ProducerSettings
    from aioproducer._core.accumulator.accumulator import PendingAppend
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._types import Headers
    from aioproducer.errors import KafkaError

UNLIMITED = 2**30
OVERHEAD = 96
TIMESTAMP = 1_700_000_000_000


def config(**settings: Unpack[ProducerSettings]) -> ProducerConfig:
    """Return settings; request_timeout_ms is short, so that delivery_timeout_ms can be."""
    settings.setdefault("bootstrap_servers", "localhost:9092")
    settings.setdefault("request_timeout_ms", 1)
    return ProducerConfig(**settings)


def topic(name: str, leaders: Sequence[int], epochs: Sequence[int] | None = None) -> TopicMetadata:
    """Return a topic whose partitions have these leaders."""
    known = [PartitionMetadata(leader, epochs[i] if epochs else 0) for i, leader in enumerate(leaders)]
    return TopicMetadata(name, UUID(int=1), tuple(known))


def cluster(
    topics: Mapping[str, Sequence[int]],
    *,
    errors: Mapping[str, KafkaError] | None = None,
    epochs: Sequence[int] | None = None,
    brokers: Sequence[int] = (0, 1, 2),
) -> ClusterMetadata:
    """Return a snapshot: for each topic, the leader of each partition, -1 for none."""
    return ClusterMetadata(
        {node: Broker(node, "localhost", 9092 + node) for node in brokers},
        {name: topic(name, leaders, epochs) for name, leaders in topics.items()},
        errors or {},
    )


def accumulator(
    topics: Mapping[str, Sequence[int]] | None = None, seed: int = 1, **settings: Unpack[ProducerSettings]
) -> Accumulator:
    """Return an accumulator that knows these topics."""
    made = Accumulator(config(**settings), random.Random(seed))
    for name in topics or {}:
        made.wait_for_topic(name, 0.0, 1000.0)
    if topics:
        made.update_topics(cluster(topics), 0.0)
    made.take_woken()
    made.take_wanted_topics()
    return made


@dataclass(slots=True)
class Parts:
    """What an Appender shares with the rest of the accumulator, and the Appender."""

    topics: Topics
    schedule: Schedule
    flushes: FlushEpochs
    unfinished: UnfinishedBatches
    appender: Appender


def parts(**settings: Unpack[ProducerSettings]) -> Parts:
    """Return an Appender on its own, which knows no topic."""
    made = config(**settings)
    topics, schedule, flushes = Topics(made.batch_size), Schedule(made.linger_ms / 1000), FlushEpochs()
    unfinished = UnfinishedBatches(flushes, made.delivery_timeout_ms / 1000)
    appender = Appender(made, random.Random(1), topics, schedule, flushes, unfinished)
    return Parts(topics, schedule, flushes, unfinished, appender)


def append(
    to: Accumulator,
    topic: str = "t",
    partition: int | None = 0,
    value: bytes | None = b"v",
    *,
    key: bytes | None = None,
    headers: Headers | None = None,
    now: float = 0.0,
) -> ProducerBatch:
    """Append a record that needs not wait."""
    batch = to.appender.try_append(topic, partition, key, value, headers, TIMESTAMP, now)
    assert batch is not None
    return batch


def enqueue(
    to: Accumulator,
    topic: str = "t",
    partition: int | None = 0,
    value: bytes | None = b"v",
    *,
    now: float = 0.0,
    deadline: float = 60.0,
    accepted: bool = False,
) -> PendingAppend:
    """Enter a record that has to wait."""
    return to.enqueue(topic, partition, None, value, None, TIMESTAMP, now, deadline, accepted=accepted)


def drain(of: Accumulator, node: int = 0, now: float = 0.0, max_size: int = UNLIMITED) -> list[ProducerBatch]:
    """Drain a broker that can be sent anything."""
    return of.drain(node, now, max_size, lambda batch: True)


def free(of: Accumulator) -> int:
    """Return the free bytes of buffer_memory."""
    return of.statistics().buffer_available_bytes


def charge_of(value_bytes: int) -> int:
    """Return what a record with a value of less than 64 bytes, and no key, is charged."""
    assert value_bytes < 64
    return 61 + 21 + 1 + 1 + 1 + value_bytes + OVERHEAD


ONE = charge_of(1)
"""What a record with a value of one byte is charged."""


def full(**settings: Unpack[ProducerSettings]) -> Accumulator:
    """Return an accumulator whose memory three records have filled, each in a batch of its own, of partition 0."""
    settings["buffer_memory"] = 3 * ONE
    settings["batch_size"] = 0
    accumulate = accumulator({"t": [0], "u": [0]}, **settings)
    for _ in range(3):
        append(accumulate)
    return accumulate


def deliver(of: Accumulator, count: int = 1) -> None:
    """Have batches delivered, which frees their memory."""
    for _ in range(count):
        (batch,) = drain(of, max_size=1)
        of.complete(batch, base_offset=0)


def complete(of: Accumulator, pending: PendingAppend) -> bytes | None:
    """Complete a grant; return the value found where it says that the record is."""
    return of.complete_append(pending, 0.0, TIMESTAMP).values[pending.index]


def split(of: Accumulator, batch: ProducerBatch, now: float = 0.0) -> list[ProducerBatch]:
    """Split a batch in flight as Produce does: the parts get its numbers before they are queued."""
    parts = of.split(batch)
    sequence = batch.base_sequence
    for part in parts:
        if batch.has_sequence:
            part.producer_id, part.base_sequence = batch.producer_id, sequence
            sequence = sequence_after(sequence, part.count)
    of.requeue_parts(parts, now)
    return parts
