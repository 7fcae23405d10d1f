"""The partition of a record that names none: what the settings say, with what waits in the queues now.

A partitioner of the user's is asked first; else the key's hash decides, and for a record without one the sticky
partition (`sticky`). What may go anywhere goes where something moves: not to a broker that cannot be reached from here,
whatever metadata says, and not to a partition whose batch was refused and waits to be sent again, unless all are so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioproducer._builtin_partitioners import make_partitioner
from aioproducer._core.accumulator.sticky import LoadTable, draw_uniform, load_table
from aioproducer._hashing import KeyHasher
from aioproducer._types import TopicView

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.queues import PartitionQueue, Schedule
    from aioproducer._core.accumulator.topics import TopicState


class PartitionChooser:
    """Chooses for all topics.

    Attributes:
        hasher: knows the hashes of the keys of late.
        is_hashing: the hash of its key is all that decides for a record which has one.
        is_sticky: records without a key go to the sticky partition, without a partitioner being asked.
    """

    def __init__(self, config: ProducerConfig, rng: random.Random, schedule: Schedule) -> None:
        # Any: the user's function may return anything, and the compiled form would refuse it before the check does.
        self._partitioner: Callable[[TopicView, bytes | None, bytes | None], Any] | None = (
            None if config.partitioner is None else make_partitioner(config.partitioner, rng)
        )
        self._rng = rng
        self._schedule = schedule
        self._is_by_key = not config.partitioner_ignore_keys
        self._is_adaptive = config.partitioner_adaptive_partitioning_enable
        self._availability_timeout = config.partitioner_availability_timeout_ms / 1000
        self.hasher = KeyHasher()
        self.is_sticky = self._partitioner is None
        self.is_hashing = self.is_sticky and self._is_by_key

    def partition(self, state: TopicState, key: bytes | None, value: bytes | None) -> int | None:
        """Return the partition of a record that names none; None leaves it to the sticky partition."""
        view = state.view if not state.stalled else state.moving_view()
        assert view is not None, "nothing is appended to a topic that was never known"
        if self._partitioner is not None:
            partition = self._partitioner(view, key, value)
            if partition is not None and type(partition) is not int:
                raise TypeError(
                    f"the partitioner returned {type(partition).__name__} for topic {state.name!r};"
                    " it must return an int, or None"
                )
            if partition is not None and not 0 <= partition < view.partition_count:
                raise ValueError(
                    f"the partitioner returned partition {partition} for topic {state.name!r},"
                    f" which has {view.partition_count}; it must return a number from 0 to"
                    f" {view.partition_count - 1}, or None"
                )
            return partition
        if key is not None and self._is_by_key:
            return self.hasher.partition(key, view.partition_count)
        return None

    def sticky_queue(self, state: TopicState) -> PartitionQueue:
        """Return where a record without a key goes now; a switch that was put off until a batch's end is made here."""
        state.forget_sticky_batch()
        sticky = state.sticky
        partition = sticky.partition
        if partition is not None:
            queue = state.queue(partition)
            if not sticky.is_switch_due(has_open_batch=queue.open_batch is not None):
                return queue
        partition = self.draw(state)
        sticky.switch(partition)
        return state.queue(partition)

    def draw(self, state: TopicState) -> int:
        """Return the next sticky partition: the fewer batches wait in its queue, the likelier it is."""
        view = self._moving(state)
        table = self._load_table(state, view) if self._is_adaptive else None
        return draw_uniform(view, self._rng) if table is None else table.draw(self._rng)

    def _moving(self, state: TopicState) -> TopicView:
        """Return the topic with what moves as available; note whether a broker was left out: it is tried again."""
        view = state.moving_view()
        if view is not state.view:
            self._schedule.has_avoided = True
        backing_off = self._schedule.backing_off
        if not backing_off:
            return view
        moving = tuple([each for each in view.available if state.queues.get(each) not in backing_off])
        return TopicView(view.topic, view.partition_count, moving) if moving else view

    def _load_table(self, state: TopicState, view: TopicView) -> LoadTable | None:
        # Made when it is needed, about once for batch_size bytes, at the cost of the topic's partitions.
        queues = state.queues
        if len(queues) < view.partition_count:
            return None
        usable = [partition for partition in view.available if self._takes_requests(queues.get(partition))]
        sizes = [len(queues[partition].batches) if partition in queues else 0 for partition in usable]
        return load_table(view.partition_count, usable, sizes)

    def _takes_requests(self, queue: PartitionQueue | None) -> bool:
        """Whether the leader has not kept data waiting for longer than partitioner_availability_timeout_ms."""
        if self._availability_timeout <= 0 or queue is None:
            return True
        node = self._schedule.nodes.get(queue.leader)
        return node is None or node.ready_at - node.drained_at <= self._availability_timeout
