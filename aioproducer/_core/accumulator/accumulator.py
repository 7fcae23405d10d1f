"""What is accepted and not delivered yet, what of it can be sent, and what bounds its memory?

The `Accumulator` keeps records from the call that appends them to their outcome (Java classes RecordAccumulator and
BufferPool). Its lower parts: `appending` puts records into batches, `admission` has the calls that wait, `topic_news`
says which of them may go on. Here is what the sender asks for: ready, drain, requeue, split, expire, complete. All of
it costs what is due, not what exists.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._core.accumulator.batch import BatchEvent, BatchState, ProducerBatch
from aioproducer._core.accumulator.splitting import split_batch, split_factor
from aioproducer._core.accumulator.topic_updates import TopicNews
from aioproducer._core.accumulator.waiting import FlushTicket, PendingAppend, PendingState, PendingTopic, Waiting
from aioproducer._core.cluster.metadata import NO_LEADER

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, KeysView

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.queues import NodeQueues, PartitionQueue
    from aioproducer.errors import KafkaError

BATCHES_AT_ONCE: Final = 512
"""In one request: to make it takes the event loop 3 ms then, however small they are; a mebibyte may hold 6,000."""

_NEVER: Final = float("inf")

__all__ = [
    "Accumulator",
    "AccumulatorStatistics",
    "FlushTicket",
    "PendingAppend",
    "PendingState",
    "PendingTopic",
    "Waiting",
]


class AccumulatorStatistics(NamedTuple):
    """What the accumulator holds, and has seen.

    Attributes:
        buffer_total_bytes, buffer_available_bytes: buffer_memory, and what of it is free.
        batches: those without an outcome, in flight or not.
        waiting_for_topic, waiting_for_memory: calls (and accepted records) that wait.
        closed_batches, split_batches: so far.
        late_outcomes: outcomes that came for a batch which had failed already (expired, say).
    """

    buffer_total_bytes: int
    buffer_available_bytes: int
    batches: int
    waiting_for_topic: int
    waiting_for_memory: int
    closed_batches: int
    split_batches: int
    late_outcomes: int


class Accumulator(TopicNews):
    """Records from acceptance to outcome.

    Attributes:
        late_outcomes: outcomes that came for a batch which had failed already.
        split_batches: how many batches were split.
    """

    def __init__(self, config: ProducerConfig, rng: random.Random) -> None:
        super().__init__(config, rng)
        self.late_outcomes = 0
        self.split_batches = 0
        self._delivery_timeout = config.delivery_timeout_ms / 1000
        self._max_block = config.max_block_ms / 1000
        # Parts of a split are as old as what they were cut from, so they do not fit at the end of `_unfinished`.
        self._split_expiry: list[tuple[float, int, ProducerBatch]] = []

    # ── flush and close ──────────────────────────────────────────────────────────────────────────────────────────────

    def begin_flush(self, now: float) -> FlushTicket:
        """Send everything at once; the ticket is `done` when all that was accepted before this call has its outcome."""
        ticket = self._flushes.begin()
        if not ticket.done:
            # What comes later goes into batches of its own, so that the flush has an end.
            for batch, queue in self._schedule.open_batches():
                self._seal(self._topics[batch.topic], queue, batch, now)
            self.needs_wake = True
        return ticket

    def end_flush(self, ticket: FlushTicket) -> None:
        """Nobody waits for this flush any more; also after it is done."""
        self._flushes.end(ticket)

    def close(self, error: KafkaError) -> None:
        """Accept nothing more: calls, waiting ones too, get `error`. What was accepted is sent without lingering."""
        self.closed_error = error
        self._appendable.clear()
        self._fail_all_waiting(error, accepted=False)
        self.needs_wake = True

    def fail_all(self, error: KafkaError) -> list[ProducerBatch]:
        """Fail everything: waiting calls, accepted records, batches queued and in flight; return those batches.

        Batches in flight keep their memory until `release`. Appending goes on being possible unless `close` was called.
        """
        self._fail_all_waiting(error, accepted=True)
        return self._fail_batches(list(self._unfinished), error)

    def fail_queued(self, error: KafkaError) -> list[ProducerBatch]:
        """Fail the batches that are not in flight; return them."""
        return self.fail_where(error, lambda batch: batch.is_queued)

    def fail_where(self, error: KafkaError, condition: Callable[[ProducerBatch], bool]) -> list[ProducerBatch]:
        """Fail the batches that the condition holds for; return them. Cost: the batches without an outcome."""
        return self._fail_batches([batch for batch in self._unfinished if condition(batch)], error)

    @property
    def is_empty(self) -> bool:
        """Whether nothing that was accepted is without an outcome."""
        return self._flushes.is_empty

    # ── what can be sent ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def leaderless_topics(self) -> KeysView[str]:
        """The topics with records for partitions without a leader; metadata should be refreshed."""
        return self._schedule.leaderless.keys()

    def ready_nodes(self, now: float) -> list[int]:
        """Return the brokers for which something should be sent now.

        Something is ready when a batch is full, has lingered, is due for a retry, or when there is no reason to linger:
        calls wait for memory or for flush, or the producer closes.
        """
        self._latest = now
        self._schedule.advance(now)
        is_hurried = self._is_hurried
        ready: list[int] = []
        for node_id, node in self._schedule.nodes.items():
            if node_id != NO_LEADER and (node.ready or (is_hurried and node.queues)):
                node.ready_at = now
                ready.append(node_id)
        return ready

    def is_ready(self, node_id: int) -> bool:
        """Whether there is something for the broker that should be sent now, as far as `ready_nodes` has seen."""
        node = self._schedule.nodes.get(node_id)
        return node is not None and (bool(node.ready) or (bool(node.queues) and self._is_hurried))

    @property
    def has_news(self) -> bool:
        """Whether something is ready for a broker, or somebody's wait is over: a poll has something to do."""
        if self._woken or self._memory_line or self._wanted_topics or self.needs_wake:
            return True
        for node in self._schedule.nodes.values():
            if node.ready:
                return True
        return self._is_hurried

    def drain(
        self, node_id: int, now: float, max_size: int, can_send: Callable[[ProducerBatch], bool]
    ) -> list[ProducerBatch]:
        """Take what one request to a broker can carry: the first batch of each of its partitions.

        A batch that lingers still goes along if it is half full or half of its linger is over; a younger one stays, as
        a batch of one record costs as much as a full one. Those taken are in flight. Partitions are served in turn.
        The first batch is taken whatever its size.

        Args:
            node_id: a broker that can be sent a request now.
            now: monotonic seconds.
            max_size: of the batches of the request, in encoded bytes. There are at most BATCHES_AT_ONCE, too.
            can_send: asked for the first batch of each partition; where it says no, the partition is passed over.
        """
        node = self._schedule.nodes.get(node_id)
        if node is None:
            return []
        self._schedule.advance(now)
        node.drained_at = now
        may_stay = None if self._is_hurried else self._schedule.is_young
        chosen = _chosen(node, now, max_size, can_send, may_stay) or _chosen(node, now, max_size, can_send, None)
        return [self._take(queue, node_id, now) for queue in chosen]

    def deadline(self) -> float | None:
        """Return when there will be something to do if nothing happens: linger, retry, expiry, the end of a wait.

        May lie in the past while the sender has not asked yet. None: never.
        """
        soonest = self._schedule.next_change()
        for batch in self._unfinished:  # the oldest alone
            soonest = min(soonest, batch.created_at + self._delivery_timeout)
            break
        parts = self._split_expiry
        while parts and parts[0][2].is_done:
            heapq.heappop(parts)
        if parts:
            soonest = min(soonest, parts[0][0])
        wait = self._deadlines.next()
        if wait is not None:
            soonest = min(soonest, wait)
        return None if soonest == _NEVER else soonest

    # ── what became of a batch ───────────────────────────────────────────────────────────────────────────────────────

    def requeue(self, batch: ProducerBatch, now: float, retry_at: float) -> None:
        """Put a batch in flight back to be sent again: in front of its queue, or where its sequence belongs.

        Args:
            batch: what was not accepted.
            now: monotonic seconds.
            retry_at: not before; a leader that was elected since it was sent makes it due at once (KIP-951).
        """
        batch.apply(BatchEvent.REQUEUE)
        batch.attempts += 1
        batch.retry_at = retry_at
        self._put_back(batch, now)

    def split(self, batch: ProducerBatch, now: float) -> list[ProducerBatch]:
        """Cut a batch in flight, of several records, into smaller ones, which take its place in the queue.

        They have its sequences, one after the other, if it has any. It is no attempt: they may be sent at once.
        """
        state = self._state(batch.topic)
        state.ratio = max(1.0, batch.ratio)
        factor = split_factor(batch.ratio, is_compressing=self._is_compressing)
        parts = split_batch(batch, self._batch_size, factor)
        for part in parts:
            self._enter(state, part)
            self._split_expiry_add(part)
        for part in reversed(parts):
            self._put_back(part, now)
        self._leave(batch)
        self.split_batches += 1
        self.needs_wake = True
        return parts

    def complete(
        self,
        batch: ProducerBatch,
        *,
        base_offset: int = -1,
        log_append_time_ms: int = -1,
        error: KafkaError | None = None,
        record_errors: dict[int, KafkaError] | None = None,
    ) -> None:
        """Give a batch its outcome, once; its records are dropped and their memory is free again.

        For a batch that `expire` or `fail_all` returned while it was in flight, the memory is kept until `release`. A
        second outcome of a batch that has failed changes nothing, and is counted in `late_outcomes`.

        Raises:
            RuntimeError: it was delivered before, or split.
        """
        if batch.state is BatchState.DONE:
            if batch.error is None:
                raise RuntimeError(f"{batch!r} has its outcome already")
            self.late_outcomes += 1
            return
        if batch.is_queued:
            self._dequeue(batch, self._latest)
        batch.apply(BatchEvent.COMPLETE)
        batch.base_offset = base_offset
        batch.log_append_time_ms = log_append_time_ms
        if error is None and record_errors is None and log_append_time_ms < 0:
            batch.plain_base_offset = base_offset
        batch.error = error
        batch.record_errors = record_errors
        batch.drop_payload()
        self._leave(batch)
        if not batch.holds_memory:
            self.release(batch)

    def release(self, batch: ProducerBatch) -> None:
        """Free the memory of a batch that is done and not on the wire any more; more than once does no harm."""
        self._free += batch.charged
        batch.charged = 0
        batch.holds_memory = False
        if self._memory_line:
            self._grant()
            self.needs_wake = True

    def expire(self, now: float) -> list[ProducerBatch]:
        """Return the batches that are delivery_timeout_ms old, oldest first, in flight or taken from their queues.

        The caller completes each at once, with an error.
        """
        oldest = now - self._delivery_timeout
        first = next(iter(self._unfinished), None)
        if not self._split_expiry and (first is None or first.created_at > oldest):
            return []
        expired: dict[ProducerBatch, None] = {}  # a part may be found in both places
        for batch in self._unfinished:
            if batch.created_at > oldest:
                break
            expired[batch] = None
        parts = self._split_expiry
        while parts and (parts[0][2].is_done or parts[0][2].created_at <= oldest):
            part = heapq.heappop(parts)[2]
            if not part.is_done:
                expired[part] = None
        for batch in expired:
            self._give_up(batch, now)
        return list(expired)

    def statistics(self) -> AccumulatorStatistics:
        """Return what is held now."""
        return AccumulatorStatistics(
            buffer_total_bytes=self._buffer_memory,
            buffer_available_bytes=self._free,
            batches=len(self._unfinished),
            waiting_for_topic=sum(
                len(state.lookups) + len(state.absent) + (0 if state.is_known else len(state.line))
                for state in self._topics.values()
            ),
            waiting_for_memory=len(self._memory_line),
            closed_batches=self.closed_batches,
            split_batches=self.split_batches,
            late_outcomes=self.late_outcomes,
        )

    def has_room(self, size_bytes: int) -> bool:
        """Whether a call that needs so many bytes would not have to wait for memory now."""
        return self._free >= size_bytes and not self._memory_line

    @property
    def oldest_at(self) -> float | None:
        """Since when the oldest that has no outcome is here, batch or waiting call; None when there is none."""
        times = [batch.created_at for batch in itertools.islice(self._unfinished, 1)]
        if self._split_expiry:  # may be done already; then it is a moment too old
            times.append(self._split_expiry[0][0] - self._delivery_timeout)
        wait = self._deadlines.next()
        if wait is not None:
            times.append(wait - self._max_block)
        return min(times, default=None)

    # ── helpers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _is_hurried(self) -> bool:
        return bool(self._memory_line) or self._flushes.is_flushing or self.closed_error is not None

    def _queue_of(self, batch: ProducerBatch) -> PartitionQueue:
        return self._state(batch.topic).queue(batch.partition)

    def _take(self, queue: PartitionQueue, node_id: int, now: float) -> ProducerBatch:
        batch = queue.batches.popleft()
        if batch.state is BatchState.OPEN:
            self._shut(self._topics[batch.topic], queue, batch)
        batch.is_queued = False
        batch.apply(BatchEvent.DRAIN)
        batch.last_node = node_id
        batch.leader_epoch = queue.leader_epoch
        self._schedule.place(queue, now)
        if queue.batches:
            self._schedule.serve_last(queue)
        return batch

    def _put_back(self, batch: ProducerBatch, now: float) -> None:
        queue = self._queue_of(batch)
        queue.insert(batch)
        self._schedule.place(queue, now)

    def _dequeue(self, batch: ProducerBatch, now: float) -> None:
        queue = self._queue_of(batch)
        if batch.state is BatchState.OPEN:
            self._seal(self._topics[batch.topic], queue, batch, now)
        queue.remove(batch)
        self._schedule.place(queue, now)

    def _give_up(self, batch: ProducerBatch, now: float) -> None:
        """Nothing is sent of it any more; what is on the wire keeps its memory."""
        if batch.is_queued:
            self._dequeue(batch, now)
        elif batch.state is BatchState.IN_FLIGHT:
            batch.holds_memory = True

    def _leave(self, batch: ProducerBatch) -> None:
        """A batch has its outcome."""
        del self._unfinished[batch]
        self._topics[batch.topic].unfinished -= 1
        self._woken.extend(self._flushes.leave(batch.flush_epoch))

    def _split_expiry_add(self, part: ProducerBatch) -> None:
        heapq.heappush(self._split_expiry, (part.created_at + self._delivery_timeout, id(part), part))

    def _fail_batches(self, batches: list[ProducerBatch], error: KafkaError) -> list[ProducerBatch]:
        for batch in batches:
            self._give_up(batch, self._latest)
            self.complete(batch, error=error)
        return batches


def _chosen(
    node: NodeQueues,
    now: float,
    max_size: int,
    can_send: Callable[[ProducerBatch], bool],
    may_stay: Callable[[ProducerBatch, float], bool] | None,
) -> list[PartitionQueue]:
    chosen: list[PartitionQueue] = []
    total = 0
    for queue in node.queues:
        head = queue.batches[0]
        if not can_send(head) or (may_stay is not None and may_stay(head, now)):
            continue
        total += head.estimated_size
        if chosen and (total > max_size or len(chosen) == BATCHES_AT_ONCE):
            break
        chosen.append(queue)
    return chosen
