"""The partition of records without a key: one that sticks until about batch_size bytes have gone to it.

KIP-480 (sticky) and KIP-794 (uniform, and adaptive to load); Java class BuiltInPartitioner. Bytes are counted, not
records or time, so that over time every partition gets the same bytes, however fast its broker is.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from aioproducer._types import TopicView


class StickyPartition:
    """The present choice for one topic.

    Attributes:
        partition: where records without a key go now; None until the first, and when the choice has lost its leader.
        produced: estimated bytes that have gone there since it was chosen; those of other records do not count.
    """

    __slots__ = ("_batch_size", "partition", "produced")

    def __init__(self, batch_size: int) -> None:
        self.partition: int | None = None
        self.produced = 0
        self._batch_size = max(batch_size, 1)

    def is_switch_due(self, *, has_open_batch: bool) -> bool:
        """Whether the next record is to go elsewhere.

        Not before batch_size bytes, and then only at the end of a batch, so that no fraction of one is left behind to
        linger; but at twice batch_size in any case.
        """
        if has_open_batch:
            return self.produced >= 2 * self._batch_size
        return self.produced >= self._batch_size

    def bytes_left(self) -> int:
        """Return the bytes after which a switch is due whatever is open."""
        return 2 * self._batch_size - self.produced

    def switch(self, partition: int | None) -> None:
        """Stick to another partition (or, as it happens, to the same one again)."""
        self.partition = partition
        self.produced = 0


class LoadTable:
    """Draws partitions in proportion to how short their queues are (KIP-794, adaptive partitioning).

    With queues of 0, 3 and 1 batches the weights are 4, 1 and 3.
    """

    __slots__ = ("_cumulative", "_partitions")

    def __init__(self, partitions: Sequence[int], queue_sizes: Sequence[int]) -> None:
        longest = max(queue_sizes)
        self._partitions = partitions
        self._cumulative = list(accumulate(longest + 1 - size for size in queue_sizes))

    def draw(self, rng: random.Random) -> int:
        """Return a partition."""
        return self._partitions[bisect_right(self._cumulative, rng.randrange(self._cumulative[-1]))]


def load_table(partition_count: int, partitions: Sequence[int], queue_sizes: Sequence[int]) -> LoadTable | None:
    """Return a table for the usable partitions, or None when a uniform draw does as well.

    Args:
        partition_count: of the topic, the unusable ones included.
        partitions: those that have a leader, which takes requests.
        queue_sizes: the batches that wait in the queue of each of `partitions`.
    """
    if not partitions or partition_count < 2:
        return None
    if len(partitions) == partition_count and min(queue_sizes) == max(queue_sizes):
        return None
    return LoadTable(partitions, queue_sizes)


def draw_uniform(view: TopicView, rng: random.Random) -> int:
    """Return any partition that has a leader; any at all when none has."""
    if view.available:
        return view.available[rng.randrange(len(view.available))]
    return rng.randrange(view.partition_count)
