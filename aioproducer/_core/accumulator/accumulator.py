"""What is accepted and not delivered yet: what of it can be sent, and what becomes of it.

The `Accumulator` keeps records from the call that appends them to their outcome (Java classes RecordAccumulator and
BufferPool). It is put together from objects that each have a state of their own: `append` has the memory and puts
records into batches, `wait_queue` has the calls that wait, `topic_updates` says which of them may go on, `unfinished`
has the batches without an outcome, `queues` has those that are to be sent. Here is what the sender asks for: ready,
drain, requeue, split, expire, complete. All of it costs what is due, not what exists.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._core.accumulator.append import Appender
from aioproducer._core.accumulator.batch import BatchEvent, BatchState, ProducerBatch
from aioproducer._core.accumulator.flush import FlushEpochs
from aioproducer._core.accumulator.queues import Schedule
from aioproducer._core.accumulator.splitting import split_batch, split_factor
from aioproducer._core.accumulator.topic_updates import TopicUpdates
from aioproducer._core.accumulator.topics import Topics
from aioproducer._core.accumulator.unfinished import UnfinishedBatches
from aioproducer._core.accumulator.wait_queue import WaitQueue
from aioproducer._core.accumulator.waiting import FlushTicket, PendingAppend, PendingState, PendingTopic, Waiting
from aioproducer._core.cluster.metadata import NO_LEADER

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, KeysView

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.queues import NodeQueues, PartitionQueue
    from aioproducer._core.cluster.metadata import ClusterMetadata
    from aioproducer._types import Headers, TopicPartition
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


class Accumulator:
    """Records from acceptance to outcome.

    Attributes:
        appender: appends records at once; the shell binds its methods, as each record passes them.
        late_outcomes: outcomes that came for a batch which had failed already.
        split_batches: how many batches were split.
    """

    def __init__(self, config: ProducerConfig, rng: random.Random) -> None:
        self.late_outcomes = 0
        self.split_batches = 0
        self._batch_size = config.batch_size
        self._is_compressing = config.compression_type != "none"
        self._max_block = config.max_block_ms / 1000
        self._topics = Topics(config.batch_size)
        self._schedule = Schedule(config.linger_ms / 1000)
        self._flushes = FlushEpochs()
        self._unfinished = UnfinishedBatches(self._flushes, config.delivery_timeout_ms / 1000)
        self.appender = Appender(config, rng, self._topics, self._schedule, self._flushes, self._unfinished)
        self._wait_queue = WaitQueue(self.appender, self._topics, self._flushes)
        self._topic_updates = TopicUpdates(self._topics, self.appender, self._schedule, self._wait_queue)
        self._late_calls: list[Callable[[], object]] = []

    # ── one after the other ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_busy(self) -> bool:
        """Whether something is going on here or in the sender, and whoever asks was called from the middle of it."""
        return self.appender.is_busy

    def serve_late_calls(self) -> None:
        """Do what calls have asked for that came while it was busy; called when it is, before anything else is done."""
        while self._late_calls:
            late_calls, self._late_calls = self._late_calls, []
            for call in late_calls:
                call()
        self.appender.end_late_calls()

    def call_later(self, call: Callable[[], object]) -> None:
        """It is busy: have this done before the next thing is begun."""
        self._late_calls.append(call)
        self.appender.begin_late_calls()

    def accept_later(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int,
        now: float,
        deadline: float,
    ) -> PendingAppend:
        """It is busy: accept a record (submit_nowait) that is entered afterwards; raises as `WaitQueue.enqueue`."""
        pending = self._wait_queue.new(
            topic, partition, key, value, headers, timestamp_ms, now=now, deadline=deadline, accepted=True
        )
        self._wait_queue.check_room(pending)
        self.call_later(partial(self._wait_queue.enter_accepted, pending))
        return pending

    # ── calls that wait: see WaitQueue ───────────────────────────────────────────────────────────────────────────────

    def enqueue(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int | None,
        now: float,
        deadline: float,
        *,
        accepted: bool,
    ) -> PendingAppend:
        """As `WaitQueue.enqueue`."""
        return self._wait_queue.enqueue(
            topic, partition, key, value, headers, timestamp_ms, now, deadline, accepted=accepted
        )

    def complete_append(self, pending: PendingAppend, now: float, timestamp_ms: int) -> ProducerBatch:
        """As `WaitQueue.complete_append`."""
        return self._wait_queue.complete_append(pending, now, timestamp_ms)

    def cancel(self, pending: PendingAppend) -> None:
        """As `WaitQueue.cancel`."""
        self._wait_queue.cancel(pending)

    def wait_for_topic(self, topic: str, now: float, deadline: float) -> PendingTopic:
        """As `WaitQueue.wait_for_topic`."""
        return self._wait_queue.wait_for_topic(topic, now, deadline)

    def abandon_topic(self, pending: PendingTopic) -> None:
        """The task that waited for a topic gave up."""
        self._wait_queue.abandon_topic(pending)

    def take_woken(self) -> list[Waiting]:
        """As `WaitQueue.take_woken`."""
        return self._wait_queue.take_woken()

    @property
    def needs_wake(self) -> bool:
        """A batch was made or sealed, or somebody began to wait, since the shell has cleared this."""
        return self.appender.needs_wake

    @needs_wake.setter
    def needs_wake(self, needs_wake: bool) -> None:
        self.appender.needs_wake = needs_wake

    @property
    def closed_error(self) -> KafkaError | None:
        """Why nothing is accepted any more."""
        return self.appender.closed_error

    @property
    def blocked_error(self) -> KafkaError | None:
        """Why nothing new is accepted at the moment: no transaction is open."""
        return self.appender.blocked_error

    # ── topics: see TopicUpdates ─────────────────────────────────────────────────────────────────────────────────────

    def update_topics(self, metadata: ClusterMetadata, now: float, changed: Collection[str] | None = None) -> None:
        """As `TopicUpdates.update`."""
        self._topic_updates.update(metadata, now, changed)

    def avoid_brokers(self, stalled: frozenset[int]) -> None:
        """As `TopicUpdates.avoid`."""
        self._topic_updates.avoid(stalled)

    @property
    def has_avoided(self) -> bool:
        """Whether records were kept from one of those since the sender has cleared this."""
        return self._schedule.has_avoided

    @has_avoided.setter
    def has_avoided(self, has_avoided: bool) -> None:
        self._schedule.has_avoided = has_avoided

    def forget_topic(self, topic: str, now: float) -> None:
        """As `TopicUpdates.forget`."""
        self._topic_updates.forget(topic, now)

    def take_wanted_topics(self) -> set[str]:
        """Return the topics that somebody has begun to wait for, or for more partitions of, since the last call.

        Those of which `update_topics` brings nothing new are not returned again, unless partitions are missing.
        """
        return self._wait_queue.take_wanted_topics()

    def busy_topics(self, of: Collection[str] | None = None) -> list[str]:
        """Return the topics that have records or waiting calls; of these, or (None) of all."""
        if of is None:
            return [name for name, state in self._topics.states.items() if state.is_busy]
        return [name for name in of if (state := self._topics.get(name)) is not None and state.is_busy]

    @property
    def leaderless_topics(self) -> KeysView[str]:
        """The topics with records for partitions without a leader; metadata should be refreshed."""
        return self._schedule.leaderless.keys()

    # ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────────

    def block(self, error: KafkaError) -> None:
        """Let no call begin to append, as no transaction is open; those that wait go on."""
        self.appender.block(error)

    def unblock(self) -> None:
        """Let calls append again: a transaction is open."""
        self.appender.unblock()

    @property
    def has_waiting_appends(self) -> bool:
        """Whether calls wait, or have been granted their turn and not taken it yet. Cost: the topics."""
        return self._wait_queue.has_waiting_appends

    def fail_waiting(self, error: KafkaError) -> None:
        """Fail the calls and the accepted records that wait to be appended; not those that only look a topic up."""
        self._wait_queue.fail_appends(error)

    def take_refusal(self) -> KafkaError | None:
        """Return why a record was refused since the last call (the first reason), None if none was."""
        return self.appender.notes.take_refusal()

    def take_touched(self) -> set[TopicPartition]:
        """Return the partitions for which a batch was begun since the last call."""
        return self.appender.notes.take_touched()

    # ── flush and close ──────────────────────────────────────────────────────────────────────────────────────────────

    def begin_flush(self, now: float) -> FlushTicket:
        """Send everything at once; the ticket is `done` when all that was accepted before this call has its outcome."""
        ticket = self._flushes.begin()
        if not ticket.done:
            # What comes later goes into batches of its own, so that the flush has an end.
            for _, queue in self._schedule.open_batches():
                self.appender.seal(queue, now)
            self.appender.needs_wake = True
        return ticket

    def end_flush(self, ticket: FlushTicket) -> None:
        """Nobody waits for this flush any more; also after it is done."""
        self._flushes.end(ticket)

    def close(self, error: KafkaError) -> None:
        """Accept nothing more: calls, waiting ones too, get `error`. What was accepted is sent without lingering."""
        self.appender.close(error)
        self._wait_queue.fail_calls(error)
        self.appender.needs_wake = True

    def fail_all(self, error: KafkaError) -> list[ProducerBatch]:
        """Fail everything: waiting calls, accepted records, batches queued and in flight; return those batches.

        Batches in flight keep their memory until `release`. Appending goes on being possible unless `close` was called.
        """
        self._wait_queue.fail_all(error)
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
        return self._flushes.is_empty and not self._late_calls

    # ── what can be sent ─────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> None:
        """Take over what the time has brought and fail the waits whose deadline has come; called first in each poll."""
        self.appender.latest = now
        self._schedule.advance(now)  # a retry that is due may turn out to have no leader: `leaderless_topics`
        self._wait_queue.fail_overdue(now)

    def ready_nodes(self, now: float) -> list[int]:
        """Return the brokers for which something should be sent now.

        Something is ready when a batch is full, has lingered, is due for a retry, or when there is no reason to linger:
        calls wait for memory or for flush, or the producer closes.
        """
        self.appender.latest = now
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
        if self.appender.needs_wake or self.appender.is_memory_awaited or self._wait_queue.has_news:
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
        soonest = min(self._schedule.next_change(), self._unfinished.next_expiry())
        wait = self._wait_queue.next_deadline()
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
        if retry_at > now:
            self._topics.states[batch.topic].leave(batch.partition)

    def split(self, batch: ProducerBatch) -> list[ProducerBatch]:
        """Cut a batch in flight, of several records, into smaller ones, which have to be queued by `requeue_parts`.

        In between the caller gives them what the batch had of attempts: sequence numbers, and whether it was written.
        """
        state = self._topics.states[batch.topic]
        state.ratio = max(1.0, batch.ratio)
        factor = split_factor(batch.ratio, is_compressing=self._is_compressing)
        parts = split_batch(batch, self._batch_size, factor)
        for part in parts:
            self._unfinished.add(state, part)
            self._unfinished.watch_part(part)
        self._remove(batch)
        self.split_batches += 1
        return parts

    def requeue_parts(self, parts: list[ProducerBatch], now: float) -> None:
        """Put the parts of a split where the whole would go. It is no attempt: they may be sent at once."""
        for part in reversed(parts):  # each goes before the one that follows it
            self._put_back(part, now)
        self.appender.needs_wake = True

    def complete(self, batch: ProducerBatch, base_offset: int, log_append_time_ms: int = -1) -> None:
        """Deliver a batch: its records are dropped and their memory is free again.

        The outcome of a batch that has failed already changes nothing, and is counted in `late_outcomes`.

        Raises:
            RuntimeError: it was delivered before, or split.
        """
        if self._may_end(batch):
            batch.complete(base_offset, log_append_time_ms)
            self._end(batch)

    def fail(self, batch: ProducerBatch, error: KafkaError, record_errors: dict[int, KafkaError] | None = None) -> None:
        """Fail a batch, as `complete` delivers it.

        For a batch that `expire` or `fail_all` returned while it was in flight, the memory is kept until `release`.

        Raises:
            RuntimeError: it was delivered before, or split.
        """
        if self._may_end(batch):
            batch.fail(error, record_errors)
            self._end(batch)

    def release(self, batch: ProducerBatch) -> None:
        """Free the memory of a batch that is done and not on the wire any more; more than once does no harm."""
        self.appender.give_back(batch.charged)
        batch.charged = 0
        batch.holds_memory = False
        self._wait_queue.on_memory_freed()

    def expire(self, now: float) -> list[ProducerBatch]:
        """Return the batches that are delivery_timeout_ms old, oldest first, in flight or taken from their queues.

        The caller completes each at once, with an error.
        """
        expired = self._unfinished.expired(now)
        for batch in expired:
            self._give_up(batch, now)
        return expired

    def on_encoded(self, batch: ProducerBatch, records_size: int, encoded_size: int) -> None:
        """Learn from how well a batch was compressed; both sizes without the header of the batch."""
        if not self._is_compressing or records_size <= 0:
            return
        batch.ratio = encoded_size / records_size
        state = self._topics.get(batch.topic)
        if state is not None:
            state.observe_ratio(batch.ratio)

    # ── what is held ─────────────────────────────────────────────────────────────────────────────────────────────────

    def statistics(self) -> AccumulatorStatistics:
        """Return what is held now."""
        return AccumulatorStatistics(
            buffer_total_bytes=self.appender.buffer_memory,
            buffer_available_bytes=abs(self.appender.free_bytes),
            batches=len(self._unfinished),
            waiting_for_topic=sum(
                len(state.lookups) + len(state.awaiting_partition) + (0 if state.is_known else len(state.call_queue))
                for state in list(self._topics.states.values())
            ),
            waiting_for_memory=self._wait_queue.waiting_for_memory,
            closed_batches=self.appender.closed_batches,
            split_batches=self.split_batches,
            late_outcomes=self.late_outcomes,
        )

    def has_free_memory(self, size_bytes: int) -> bool:
        """Whether a call that needs so many bytes would not have to wait for memory now."""
        return self.appender.free_bytes >= size_bytes and not self.appender.is_memory_awaited

    @property
    def oldest_at(self) -> float | None:
        """Since when the oldest that has no outcome is here, batch or waiting call; None when there is none."""
        oldest = self._unfinished.oldest_at()
        wait = self._wait_queue.look_at_next_deadline()
        if wait is None:
            return oldest
        called_at = wait - self._max_block
        return called_at if oldest is None else min(oldest, called_at)

    # ── helpers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _is_hurried(self) -> bool:
        """Whether there is no reason to linger: calls wait for memory or for flush, or the producer closes."""
        appender = self.appender
        return appender.is_memory_awaited or self._flushes.is_flushing or appender.closed_error is not None

    def _queue_of(self, batch: ProducerBatch) -> PartitionQueue:
        return self._topics.states[batch.topic].queue(batch.partition)

    def _take(self, queue: PartitionQueue, node_id: int, now: float) -> ProducerBatch:
        batch = queue.batches.popleft()
        if batch.state is BatchState.OPEN:
            self.appender.stop_appending(queue)
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
            self.appender.seal(queue, now)
        queue.remove(batch)
        self._schedule.place(queue, now)

    def _give_up(self, batch: ProducerBatch, now: float) -> None:
        """Nothing is sent of it any more; what is on the wire keeps its memory."""
        if batch.is_queued:
            self._dequeue(batch, now)
        elif batch.state is BatchState.IN_FLIGHT:
            batch.holds_memory = True

    def _may_end(self, batch: ProducerBatch) -> bool:
        """Whether a batch may be given its outcome; if so, it is in no queue any more."""
        if batch.state is BatchState.DONE:
            if batch.error is None:
                raise RuntimeError(f"{batch!r} has its outcome already")
            self.late_outcomes += 1
            return False
        if batch.is_queued:
            self._dequeue(batch, self.appender.latest)
        return True

    def _end(self, batch: ProducerBatch) -> None:
        """A batch has its outcome."""
        self._remove(batch)
        if not batch.holds_memory:
            self.release(batch)

    def _remove(self, batch: ProducerBatch) -> None:
        done = self._unfinished.remove(self._topics.states[batch.topic], batch)
        if done:
            self._wait_queue.wake_flushes(done)

    def _fail_batches(self, batches: list[ProducerBatch], error: KafkaError) -> list[ProducerBatch]:
        for batch in batches:
            self._give_up(batch, self.appender.latest)
            self.fail(batch, error)
        return batches


def _chosen(
    node: NodeQueues,
    now: float,
    max_size: int,
    can_send: Callable[[ProducerBatch], bool],
    may_stay: Callable[[ProducerBatch, float], bool] | None,
) -> list[PartitionQueue]:
    # In the order of node.queues, where who was served goes to the end: partitions take turns, and one with large
    # batches cannot keep the others from being sent.
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
