"""The values of the cluster's metadata: brokers, topics, partitions, and the snapshot of them all.

`ClusterMetadata` is a snapshot: immutable, shared freely, replaced as a whole. What did not change is the same object
in the next snapshot, so applying an answer about one topic costs what that topic costs, and "did it change?" is `is`.
`metadata_state` holds the current one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from aioproducer.errors import KafkaError

NO_LEADER: Final = -1
NO_EPOCH: Final = -1


class Broker(NamedTuple):
    """Where one broker listens."""

    node_id: int
    host: str
    port: int
    rack: str | None = None


class PartitionMetadata(NamedTuple):
    """Who leads one partition. `leader` is NO_LEADER (-1) and `leader_epoch` NO_EPOCH (-1) when not known."""

    leader: int = NO_LEADER
    leader_epoch: int = NO_EPOCH


class TopicMetadata(NamedTuple):
    """One topic: its id (None below Metadata v10) and its partitions, by partition number."""

    topic: str
    topic_id: UUID | None
    partitions: tuple[PartitionMetadata, ...]

    @property
    def partition_count(self) -> int:
        """How many partitions the topic has, with a leader or without."""
        return len(self.partitions)


@dataclass(frozen=True, slots=True)
class ClusterMetadata:
    """The cluster as it was last heard of.

    Attributes:
        brokers: by node id. Empty before the first answer.
        topics: those that were asked for and exist.
        errors: for each topic whose last answer was an error, that error; a topic may be in both (known, now failing).
        cluster_id: as the cluster calls itself, or None.
        version: counts the changes.
    """

    brokers: Mapping[int, Broker] = field(default_factory=lambda: MappingProxyType({}))
    topics: Mapping[str, TopicMetadata] = field(default_factory=lambda: MappingProxyType({}))
    errors: Mapping[str, KafkaError] = field(default_factory=lambda: MappingProxyType({}))
    cluster_id: str | None = None
    version: int = 0

    def leader(self, topic: str, partition: int) -> int | None:
        """Return the node id of the partition's leader; None if it has none, or one that is not in the broker list."""
        metadata = self.topics.get(topic)
        if metadata is None or partition >= len(metadata.partitions):
            return None
        leader = metadata.partitions[partition].leader
        return leader if leader in self.brokers else None

    def leader_epoch(self, topic: str, partition: int) -> int:
        """Return the partition's leader epoch, NO_EPOCH if it is not known."""
        metadata = self.topics.get(topic)
        if metadata is None or partition >= len(metadata.partitions):
            return NO_EPOCH
        return metadata.partitions[partition].leader_epoch

    def available(self, topic: str) -> tuple[int, ...]:
        """Return the partitions of the topic that have a leader, ascending."""
        metadata = self.topics.get(topic)
        if metadata is None:
            return ()
        brokers = self.brokers
        return tuple([index for index, partition in enumerate(metadata.partitions) if partition.leader in brokers])


class TopicIds(NamedTuple):
    """The ids of the topics that have one (KIP-516), either way."""

    by_name: dict[str, UUID]
    names: dict[UUID, str]


NO_TOPIC_IDS: Final = TopicIds({}, {})
