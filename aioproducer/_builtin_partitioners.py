"""The partitioners that the setting `partitioner` names, and what makes one of its name.

All hashes count all partitions, with a leader or without, so that a key stays where it is when a broker is away.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from aioproducer._hashing import KeyHasher, crc32_partition, fnv1a_partition
from aioproducer.partitioners import PARTITIONERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from aioproducer._types import TopicView
    from aioproducer.partitioners import Partitioner, PartitionerName


def make_partitioner(choice: PartitionerName | Partitioner, rng: Random) -> Partitioner:
    """Return the partitioner of a name, new, or the given one itself.

    Args:
        choice: a name of `PARTITIONERS`, or a partitioner.
        rng: where random gets its numbers from.

    Raises:
        ValueError: there is no partitioner of that name.
    """
    match choice:
        case "round_robin":
            return RoundRobinPartitioner()
        case "random":
            return RandomPartitioner(rng)
        case "consistent":
            return HashPartitioner(crc32_partition)
        case "consistent_random":
            return ConsistentRandomPartitioner()
        case "murmur2":
            return HashPartitioner(KeyHasher().partition)
        case "murmur2_random":
            return HashOrStickyPartitioner(KeyHasher().partition)
        case "fnv1a":
            return HashPartitioner(fnv1a_partition)
        case "fnv1a_random":
            return HashOrStickyPartitioner(fnv1a_partition)
        case _ if isinstance(choice, str):
            raise ValueError(f"there is no partitioner {choice!r}; there are {', '.join(PARTITIONERS)}")
        case _:
            return choice


class RoundRobinPartitioner:
    """Takes the partitions that have a leader in turn, all if none has one, whatever the key (Java: the same name)."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def __call__(self, topic: TopicView, key: bytes | None, value: bytes | None, /) -> int:
        turn = self._next.get(topic.topic, 0)
        self._next[topic.topic] = turn + 1
        available = topic.available
        return available[turn % len(available)] if available else turn % topic.partition_count


class RandomPartitioner:
    """Draws a partition for each record; draws once more when the first has no leader (librdkafka's random)."""

    __slots__ = ("_rng",)

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def __call__(self, topic: TopicView, key: bytes | None, value: bytes | None, /) -> int:
        partition = self._rng.randrange(topic.partition_count)
        if _contains(topic.available, partition):
            return partition
        return self._rng.randrange(topic.partition_count)


class HashPartitioner:
    """Hashes each key, and a missing one as if it were empty: all records without a key go to one partition."""

    __slots__ = ("_partition_of",)

    def __init__(self, partition_of: Callable[[bytes, int], int]) -> None:
        self._partition_of = partition_of

    def __call__(self, topic: TopicView, key: bytes | None, value: bytes | None, /) -> int:
        return self._partition_of(b"" if key is None else key, topic.partition_count)


class HashOrStickyPartitioner:
    """Hashes each key; records without one are left to the sticky partitioner."""

    __slots__ = ("_partition_of",)

    def __init__(self, partition_of: Callable[[bytes, int], int]) -> None:
        self._partition_of = partition_of

    def __call__(self, topic: TopicView, key: bytes | None, value: bytes | None, /) -> int | None:
        return None if key is None else self._partition_of(key, topic.partition_count)


class ConsistentRandomPartitioner:
    """CRC-32 of each key; records with none, or with an empty one, are left to the sticky partitioner."""

    __slots__ = ()

    def __call__(self, topic: TopicView, key: bytes | None, value: bytes | None, /) -> int | None:
        return crc32_partition(key, topic.partition_count) if key else None


def _contains(ascending: tuple[int, ...], number: int) -> bool:
    index = bisect_left(ascending, number)
    return index < len(ascending) and ascending[index] == number
