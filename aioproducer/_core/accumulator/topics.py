"""The topics that are sent to: their partitions as far as known, the queues of those, and the calls that wait."""

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
    from aioproducer._core.cluster.metadata import Broker, ClusterMetadata, TopicMetadata
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
        stalled: the brokers to which nothing gets at present, whatever metadata says of them.
        error: the last answer about it, if that was an error.
        queues: by partition; made when a partition gets its first record.
        unfinished: how many of its batches have no outcome.
        call_queue: the calls that wait for their turn, in their order; a new call may not pass them.
        awaiting_partition: calls that name a partition which a known topic does not have (yet); others may pass them.
        lookups: calls that only want to know the topic.
        sticky: where records without a key go.
        ratio: expected encoded bytes for each byte of records (Java class CompressionRatioEstimator).
        sticky_batch: the open batch of the sticky partition, when records without a key may be appended to it without
            further ado, up to a size below `sticky_limit`; None otherwise.
        sticky_seen: its estimated size up to which `sticky.produced` has been counted.
    """

    __slots__ = (
        "_moving_view",
        "awaiting_partition",
        "brokers",
        "call_queue",
        "error",
        "is_known",
        "lookups",
        "metadata",
        "name",
        "partition_count",
        "queues",
        "ratio",
        "stalled",
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
        self.stalled: frozenset[int] = frozenset()
        self._moving_view: TopicView | None = None
        self.error: KafkaError | None = None
        self.queues: dict[int, PartitionQueue] = {}
        self.unfinished = 0
        self.call_queue: OrderedDict[PendingAppend, None] = OrderedDict()
        self.awaiting_partition: OrderedDict[PendingAppend, None] = OrderedDict()
        self.lookups: dict[PendingTopic, None] = {}
        self.sticky = StickyPartition(batch_size)
        self.ratio = 1.0
        self.sticky_batch: ProducerBatch | None = None
        self.sticky_limit = 0
        self.sticky_seen = 0

    @property
    def is_busy(self) -> bool:
        """Whether it has records or calls that wait."""
        return bool(self.unfinished or self.call_queue or self.awaiting_partition or self.lookups)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the cluster to tell about it."""
        return bool(self.awaiting_partition or self.lookups or (self.call_queue and not self.is_known))

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
        self._moving_view = None
        self._leave_stalled()

    def avoid(self, stalled: frozenset[int]) -> None:
        """Keep records that may go anywhere from the partitions that these brokers lead, as long as others are left."""
        self.stalled = stalled
        self._moving_view = None
        self._leave_stalled()

    def moving_view(self) -> TopicView:
        """Return `view` with only those partitions available whose leaders can be reached; `view` itself if none can.

        Cost: the partitions, once after each change, and only while a broker is stalled.
        """
        view = self.view
        assert view is not None, "nothing is appended to a topic that was never known"
        if not self.stalled:
            return view
        if self._moving_view is None:
            moving = tuple([each for each in view.available if self.leader_of(each)[0] not in self.stalled])
            is_same = not moving or len(moving) == len(view.available)
            self._moving_view = view if is_same else TopicView(view.topic, view.partition_count, moving)
        return self._moving_view

    def leave(self, partition: int) -> None:
        """Let records without a key go elsewhere from now on, if they go to this partition."""
        if self.sticky.partition == partition and self.partition_count > 1:
            self.forget_sticky_batch()
            self.sticky.switch(None)

    def _leave_stalled(self) -> None:
        # Java sticks until batch_size bytes have piled up: a slow producer would wait for a dead leader for long.
        chosen = self.sticky.partition
        if chosen is None or self.view is None or not self.view.available:
            return
        leader = self.leader_of(chosen)[0]
        if leader == NO_LEADER or (leader in self.stalled and self.moving_view() is not self.view):
            self.leave(chosen)

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

    def forget_sticky_batch(self) -> None:
        """Have the next record without a key go the general way, and count what went the fast way."""
        batch = self.sticky_batch
        if batch is not None:
            self.sticky_batch = None
            self.sticky.produced += batch.estimated_size - self.sticky_seen


class Topics:
    """The topics by name, and the snapshot of the cluster that they are as new as.

    Attributes:
        states: by name; `add` and `remove` change it.
        metadata: the snapshot that was taken over last.
        stalled: the brokers to which nothing gets at present.
    """

    def __init__(self, batch_size: int) -> None:
        self.states: dict[str, TopicState] = {}
        self.stalled: frozenset[int] = frozenset()
        self.metadata: ClusterMetadata | None = None
        self._batch_size = batch_size

    def get(self, name: str) -> TopicState | None:
        """Return the state of a topic; None if nobody has asked for it."""
        return self.states.get(name)

    def add(self, name: str) -> TopicState:
        """Return a new state; it is known already if the topic was removed here, but is in the snapshot."""
        state = self.states[name] = TopicState(name, self._batch_size)
        state.avoid(self.stalled)
        metadata = self.metadata
        if metadata is not None and name in metadata.topics:
            state.learn(metadata.topics[name], metadata.brokers)
        return state

    def remove(self, name: str) -> None:
        """Forget a topic that has neither records nor waiting calls."""
        del self.states[name]
