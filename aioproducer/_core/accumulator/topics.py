"""What the accumulator keeps for each topic: its partitions as far as known, their queues, and who waits for it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from aioproducer._core.accumulator.queues import PartitionQueue
from aioproducer._core.accumulator.sticky import StickyPartition
from aioproducer._core.cluster.metadata import NO_EPOCH, NO_LEADER
from aioproducer._types import TopicView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.accumulator.waiting import PendingAppend, PendingTopic
    from aioproducer._core.cluster.metadata import Broker, TopicMetadata
    from aioproducer.errors import KafkaError

RATIO_WORSE_STEP: Final = 0.05
RATIO_BETTER_STEP: Final = 0.005
RATIO_MARGIN: Final = 1.05
"""By how much a batch is expected to compress worse than estimated, as a batch that is too large has to be split."""


class TopicState:
    """One topic.

    Attributes:
        view: what partitioners see; None while the topic has never been known. The last one stays when it is lost.
        partition_count: of the view; 0 without one.
        is_known: the cluster knows the topic now.
        metadata, brokers: what `view` was made from.
        error: the last answer about it, if that was an error.
        queues: by partition; made when a partition gets its first record.
        unfinished: how many of its batches have no outcome.
        line: the calls that wait, in their order; a new call may not pass them.
        absent: calls that name a partition which a known topic does not have (yet); others may pass them.
        lookups: calls that only want to know the topic.
        sticky: where records without a key go.
        ratio: expected encoded bytes for each byte of records (Java class CompressionRatioEstimator).
        sticky_batch: the open batch of the sticky partition, when records without a key may be appended to it without
            further ado, up to a size below `sticky_limit`; None otherwise.
        sticky_seen: its estimated size up to which `sticky.produced` has been counted.
    """

    __slots__ = (
        "absent",
        "brokers",
        "error",
        "is_known",
        "line",
        "lookups",
        "metadata",
        "name",
        "partition_count",
        "queues",
        "ratio",
        "sticky",
        "sticky_batch",
        "sticky_limit",
        "sticky_seen",
        "unfinished",
        "view",
    )

    def __init__(self, name: str, batch_size: int) -> None:
        self.name = name
        self.view: TopicView | None = None
        self.partition_count = 0
        self.is_known = False
        self.metadata: TopicMetadata | None = None
        self.brokers: Mapping[int, Broker] = {}
        self.error: KafkaError | None = None
        self.queues: dict[int, PartitionQueue] = {}
        self.unfinished = 0
        self.line: OrderedDict[PendingAppend, None] = OrderedDict()
        self.absent: OrderedDict[PendingAppend, None] = OrderedDict()
        self.lookups: dict[PendingTopic, None] = {}
        self.sticky = StickyPartition(batch_size)
        self.ratio = 1.0
        self.sticky_batch: ProducerBatch | None = None
        self.sticky_limit = 0
        self.sticky_seen = 0

    @property
    def is_busy(self) -> bool:
        """Whether it has records or calls that wait."""
        return bool(self.unfinished or self.line or self.absent or self.lookups)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the cluster to tell about it."""
        return bool(self.absent or self.lookups or (self.line and not self.is_known))

    def has_partition(self, partition: int | None) -> bool:
        """Whether a record for this partition (None: for any) can be appended, as far as the cluster is concerned."""
        view = self.view
        return self.is_known and view is not None and (partition is None or partition < view.partition_count)

    def queue(self, partition: int) -> PartitionQueue:
        """Return the queue of a partition."""
        queue = self.queues.get(partition)
        if queue is None:
            queue = self.queues[partition] = PartitionQueue(self.name, partition, *self.leader_of(partition))
        return queue

    def learn(self, metadata: TopicMetadata, brokers: Mapping[int, Broker]) -> None:
        """Take over what the cluster says; whoever calls moves the queues to their leaders."""
        self.metadata = metadata
        self.brokers = brokers
        self.is_known = bool(metadata.partitions)
        if not self.is_known:
            return
        partitions = metadata.partitions
        available = tuple([index for index, partition in enumerate(partitions) if partition.leader in brokers])
        self.view = TopicView(self.name, len(partitions), available)
        self.partition_count = len(partitions)
        chosen = self.sticky.partition
        if chosen is not None and available and self.leader_of(chosen)[0] == NO_LEADER:
            # Java sticks until batch_size bytes have piled up: a slow producer would wait for a dead leader for long.
            self.disarm()
            self.sticky.switch(None)

    def lose(self) -> None:
        """The cluster does not know the topic any more; whoever calls takes the leaders from the queues."""
        self.is_known = False

    def leader_of(self, partition: int) -> tuple[int, int]:
        """Return node id and epoch of a partition's leader; a leader that is not among the brokers is none."""
        if not self.is_known or self.metadata is None or partition >= len(self.metadata.partitions):
            return NO_LEADER, NO_EPOCH
        known = self.metadata.partitions[partition]
        return (known.leader if known.leader in self.brokers else NO_LEADER), known.leader_epoch

    def observe_ratio(self, ratio: float) -> None:
        """Take account of how well a batch was compressed: worse counts at once, better little by little."""
        if ratio > self.ratio:
            self.ratio = max(self.ratio + RATIO_WORSE_STEP, ratio)
        elif ratio < self.ratio:
            self.ratio = max(self.ratio - RATIO_BETTER_STEP, ratio)

    def disarm(self) -> None:
        """Have the next record without a key take the long way, and count what went the short way."""
        batch = self.sticky_batch
        if batch is not None:
            self.sticky_batch = None
            self.sticky.produced += batch.estimated_size - self.sticky_seen
