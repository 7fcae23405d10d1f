"""The queues of batches, by partition and by broker, and when there is something in them to send.

Every partition has a queue of batches; every broker has the queues that it leads, as far as there is something in them
that does not back off. Whatever depends on time is in one of three orders (open batches by creation, as linger is the
same for all; retries in a heap), so that asking costs what is due, however many partitions exist.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from aioproducer._core.accumulator.batch import BatchState, sequence_distance
from aioproducer._core.cluster.metadata import NO_EPOCH, NO_LEADER

if TYPE_CHECKING:
    from aioproducer._core.accumulator.batch import ProducerBatch

_NEVER: Final = float("inf")


class PartitionQueue:
    """The batches of one partition that are to be sent, oldest first.

    Attributes:
        batches: none is in flight. Those with a sequence come first, in the order of the sequences.
        open_batch: the last of them, while it takes records.
        leader, leader_epoch: as far as known, NO_LEADER and NO_EPOCH otherwise.
        retry_at: when its first batch stops backing off; 0 when it does not back off.
    """

    __slots__ = ("batches", "leader", "leader_epoch", "open_batch", "partition", "retry_at", "topic")

    def __init__(self, topic: str, partition: int, leader: int = NO_LEADER, leader_epoch: int = NO_EPOCH) -> None:
        self.topic = topic
        self.partition = partition
        self.leader = leader
        self.leader_epoch = leader_epoch
        self.batches: deque[ProducerBatch] = deque()
        self.open_batch: ProducerBatch | None = None
        self.retry_at = 0.0

    def insert(self, batch: ProducerBatch) -> None:
        """Put a batch back: in front, or where its sequence belongs among those that have one."""
        batch.is_queued = True
        if not batch.has_sequence:
            self.batches.appendleft(batch)
            return
        place = 0
        for other in self.batches:
            if not other.has_sequence or sequence_distance(batch.base_sequence, other.base_sequence) > 0:
                break
            place += 1
        self.batches.insert(place, batch)

    def remove(self, batch: ProducerBatch) -> None:
        """Take a batch out, wherever it is; the oldest, which expire first, are found first."""
        self.batches.remove(batch)
        batch.is_queued = False


class NodeQueues:
    """The queues that one broker leads and that have something to send.

    Attributes:
        queues: in the order in which they are served; one that was served goes to the end.
        ready: those of them whose first batch should be sent now.
        ready_at: when something was last ready for the broker.
        drained_at: when the broker could last be sent something.
    """

    __slots__ = ("drained_at", "queues", "ready", "ready_at")

    def __init__(self) -> None:
        # An OrderedDict, as the front of a dict with many deletions there is slow to find.
        self.queues: OrderedDict[PartitionQueue, None] = OrderedDict()
        self.ready: set[PartitionQueue] = set()
        self.ready_at = 0.0
        self.drained_at = 0.0


class Schedule:
    """Keeps every queue where it belongs: with its broker, ready or not, or backing off.

    Attributes:
        nodes: by node id; NO_LEADER has the queues without a leader.
        leaderless: the topics that have such queues, and how many.
        backing_off: the queues whose first batch was refused, or lost, and waits to be sent again.
        has_avoided: records were kept from a broker because nothing gets there; whoever looks clears it.
    """

    def __init__(self, linger: float) -> None:
        self.nodes: dict[int, NodeQueues] = {}
        self.leaderless: dict[str, int] = {}
        self.backing_off: set[PartitionQueue] = set()
        self.has_avoided = False
        self._linger = linger
        self._lingering: OrderedDict[ProducerBatch, PartitionQueue] = OrderedDict()  # open, by creation
        self._overdue: dict[ProducerBatch, PartitionQueue] = {}  # open still, though they have lingered
        self._retries: list[tuple[float, int, PartitionQueue]] = []
        self._retries_added = 0

    def open_batches(self) -> list[tuple[ProducerBatch, PartitionQueue]]:
        """Return all open batches."""
        return [*self._overdue.items(), *self._lingering.items()]

    def on_opened(self, queue: PartitionQueue, batch: ProducerBatch, now: float) -> None:
        """A batch was added to its queue; it lingers from now on."""
        self._lingering[batch] = queue
        if len(queue.batches) == 1:
            self.place(queue, now)

    def forget_linger(self, batch: ProducerBatch) -> None:
        """A batch takes no more records, so there is no reason to let it linger; `place` its queue."""
        if self._lingering.pop(batch, None) is None:
            self._overdue.pop(batch, None)

    def place(self, queue: PartitionQueue, now: float) -> None:
        """Find out anew where a queue belongs, as its first batch, its leader or its epoch has changed."""
        if self.backing_off:
            self.backing_off.discard(queue)
        if not queue.batches:
            queue.retry_at = 0.0
            self._leave(queue)
            return
        head = queue.batches[0]
        if head.retry_at > now and not has_newer_leader(queue, head):
            self._back_off(queue, head.retry_at)
            return
        queue.retry_at = 0.0
        node = self._enter(queue)
        if head.state is BatchState.SEALED or head in self._overdue:
            node.ready.add(queue)
        else:
            node.ready.discard(queue)

    def serve_last(self, queue: PartitionQueue) -> None:
        """A queue was served: the others of its broker come first now."""
        node = self.nodes[queue.leader]
        if queue in node.queues:
            node.queues.move_to_end(queue)

    def set_leader(self, queue: PartitionQueue, leader: int, leader_epoch: int, now: float) -> None:
        """The leader or its epoch may have changed; a newer epoch ends the backing off."""
        if (leader, leader_epoch) == (queue.leader, queue.leader_epoch):
            return
        if leader != queue.leader:
            self._leave(queue)
        queue.leader = leader
        queue.leader_epoch = leader_epoch
        self.place(queue, now)

    def is_young(self, batch: ProducerBatch, now: float) -> bool:
        """Whether an open batch has neither half of its records nor half of its linger behind it."""
        return (
            batch.state is BatchState.OPEN
            and batch.size * 2 < batch.limit
            and batch in self._lingering
            and now - batch.created_at < self._linger / 2
        )

    def advance(self, now: float) -> None:
        """Take over what the time has brought: batches that have lingered, retries that are due."""
        lingering = self._lingering
        while lingering:
            batch, queue = next(iter(lingering.items()))
            if batch.created_at + self._linger > now:
                break
            del lingering[batch]
            self._overdue[batch] = queue
            self.place(queue, now)
        while self._retries and self._retries[0][0] <= now:
            retry_at, _, queue = heapq.heappop(self._retries)
            if queue.retry_at == retry_at:
                self.place(queue, now)

    def next_change(self) -> float:
        """Return when `advance` will have something to do; infinity if never."""
        retries = self._retries
        while retries and retries[0][2].retry_at != retries[0][0]:
            heapq.heappop(retries)
        first = next(iter(self._lingering), None)
        linger_at = _NEVER if first is None else first.created_at + self._linger
        return min(linger_at, retries[0][0]) if retries else linger_at

    def _back_off(self, queue: PartitionQueue, retry_at: float) -> None:
        self._leave(queue)
        self.backing_off.add(queue)
        if queue.retry_at != retry_at:
            queue.retry_at = retry_at
            self._retries_added += 1
            heapq.heappush(self._retries, (retry_at, self._retries_added, queue))

    def _enter(self, queue: PartitionQueue) -> NodeQueues:
        node = self.nodes.get(queue.leader)
        if node is None:
            node = self.nodes[queue.leader] = NodeQueues()
        if queue not in node.queues:
            node.queues[queue] = None
            if queue.leader == NO_LEADER:
                self.leaderless[queue.topic] = self.leaderless.get(queue.topic, 0) + 1
        return node

    def _leave(self, queue: PartitionQueue) -> None:
        node = self.nodes.get(queue.leader)
        if node is None or queue not in node.queues:
            return
        del node.queues[queue]
        node.ready.discard(queue)
        if queue.leader == NO_LEADER:
            left = self.leaderless[queue.topic] - 1
            if left:
                self.leaderless[queue.topic] = left
            else:
                del self.leaderless[queue.topic]


def has_newer_leader(queue: PartitionQueue, batch: ProducerBatch) -> bool:
    """Whether a leader was elected since the batch was last sent: its failure tells nothing about the new one."""
    return batch.attempts > 0 and queue.leader_epoch > batch.leader_epoch
