"""Partitioners: what chooses the partition of a record whose sender names none.

The built-in one is Kafka's: records with a key go by murmur2 of the key, records without one stick to a partition until
a batch is full (KIP-480, KIP-794). Instead of it the setting `partitioner` takes a name of `PARTITIONERS`, or any
callable that fits `Partitioner`; the functions here are what such a callable may hash with.

All hashes count all partitions, with a leader or without, so that a key stays where it is when a broker is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, get_args

from aioproducer._hashing import crc32_partition, fnv1a_partition, murmur2, murmur2_partition

if TYPE_CHECKING:
    from aioproducer._types import TopicView

__all__ = [
    "PARTITIONERS",
    "Partitioner",
    "PartitionerName",
    "crc32_partition",
    "fnv1a_partition",
    "murmur2",
    "murmur2_partition",
]

PartitionerName = Literal[
    "round_robin",
    "random",
    "consistent",
    "consistent_random",
    "murmur2",
    "murmur2_random",
    "fnv1a",
    "fnv1a_random",
]
"""Partitioners that ship: round_robin is Java's RoundRobinPartitioner, the others are librdkafka's of the same name."""

PARTITIONERS: Final[tuple[PartitionerName, ...]] = get_args(PartitionerName)
"""The names that the setting `partitioner` takes."""


for _function in (crc32_partition, fnv1a_partition, murmur2, murmur2_partition):
    _function.__module__ = __name__


class Partitioner(Protocol):
    """Chooses partitions. Called once per record without a partition of its own, in the order of the calls.

    It must be fast, may keep state, and is used by one producer only. What it raises is raised from the call.
    """

    def __call__(self, topic: TopicView, key: bytes | None, value: bytes | None, /) -> int | None:
        """Return a partition from 0 to `topic.partition_count` - 1, or None to let the sticky partitioner decide.

        Args:
            topic: the topic as far as it is known now.
            key: the serialized key, or None. An empty key is a key.
            value: the serialized value, or None for a tombstone.
        """
        ...
