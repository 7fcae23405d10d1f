"""The calls that wait for a topic or for memory, first come, first served.

1. A call that cannot append at once is entered in the queue of its topic. New calls for the topic stand behind it.
2. Once the topic is known (`topic_updates`), the call waits for memory, in one queue for all topics (`memory_queue`).
3. When there is memory, it is taken for the call, and the call is granted. Its task is woken and completes it, which
   appends the record and whatever was granted before it in its topic. So the order is that of the calls, whichever task
   is first to run.

What submit_nowait has accepted goes the same way, but its memory is taken from the start and no task completes it: it
is appended as soon as nobody stands before it. So that those before it are never kept waiting for the very memory that
it holds, it is only accepted if there is memory for them as well, and memory goes to them before later calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer._core.accumulator.errors import copy_of, memory_timeout, topic_timeout
from aioproducer._core.accumulator.memory_queue import MemoryQueue
from aioproducer._core.accumulator.waiting import Deadlines, PendingAppend, PendingState, PendingTopic
from aioproducer.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aioproducer._core.accumulator.append import Appender
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.accumulator.flush import FlushEpochs
    from aioproducer._core.accumulator.topics import Topics, TopicState
    from aioproducer._core.accumulator.waiting import Waiting
    from aioproducer._types import Headers


class WaitQueue:
    """The queues of waiting calls, and the entries whose wait is over.

    Args:
        appender: has the memory and does the appending.
        topics: have the queues of their calls.
        flushes: a flush waits for accepted records, too.
    """

    def __init__(self, appender: Appender, topics: Topics, flushes: FlushEpochs) -> None:
        self._appender = appender
        self._topics = topics
        self._flushes = flushes
        self._memory_queue = MemoryQueue(appender)
        self._wanted_topics: set[str] = set()
        self._deadlines = Deadlines()
        self._woken: list[Waiting] = []

    # ── the calls ────────────────────────────────────────────────────────────────────────────────────────────────────

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
        """Enter a record that `Appender.try_append` did not take in the queue of its topic.

        Args:
            topic, partition, key, value, headers: the record.
            timestamp_ms: its timestamp; may be None unless `accepted`, as `complete_append` gives one too.
            now: monotonic seconds.
            deadline: when it stops waiting; the error then comes from `complete_append` (or through the Delivery).
            accepted: take it over now, without a task that waits for it (submit_nowait).

        Returns:
            The entry. Unless it `has_to_park`, complete it without parking; otherwise `take_woken` returns it in time.
            An accepted one is returned by `take_woken` only if it fails; otherwise its `batch` is set one day.

        Raises:
            RecordTooLargeError: it can never fit.
            BufferFullError: accepted, and there is no memory, or others wait for it.
            KafkaError: the producer's own reason why nothing is accepted any more.
        """
        pending = self.new(
            topic, partition, key, value, headers, timestamp_ms, now=now, deadline=deadline, accepted=accepted
        )
        self._enter(pending, now)
        return pending

    def check_room(self, pending: PendingAppend) -> None:
        """Raise BufferFullError for an accepted record of `new`, as far as that is known before it is entered."""
        self._memory_queue.check_room(pending)

    def enter_accepted(self, pending: PendingAppend) -> None:
        """Enter an accepted record of `new`; what `enqueue` would have raised is its outcome now."""
        refusal = self._appender.closed_error or self._appender.blocked_error
        try:
            if refusal is not None:
                raise copy_of(refusal)
            self._enter(pending, max(pending.enqueued_at, self._appender.latest))
        except KafkaError as error:
            pending.fail(error)
            self._woken.append(pending)
            self._appender.needs_wake = True

    def new(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int | None,
        *,
        now: float,
        deadline: float,
        accepted: bool,
    ) -> PendingAppend:
        """The first half of `enqueue`, which changes nothing here and raises as it does, but for BufferFullError."""
        refusal = self._appender.closed_error or self._appender.blocked_error
        if refusal is not None:
            raise copy_of(refusal)
        return PendingAppend(
            topic,
            partition,
            key,
            value,
            headers,
            timestamp_ms,
            enqueued_at=now,
            deadline=deadline,
            charge=self._appender.charge(topic, partition, key, value, headers),
            accepted=accepted,
        )

    def _enter(self, pending: PendingAppend, now: float) -> None:
        self._memory_queue.give_number(pending)
        self._appender.latest = now
        if pending.accepted:
            self._accept(pending)
        state = self._appender.topic(pending.topic)
        if state.has_partition(pending.partition):
            self._wait_for_turn(state, pending, now)
        else:
            (state.awaiting_partition if state.is_known else state.call_queue)[pending] = None
            self._wanted_topics.add(pending.topic)
            self._memory_queue.reserve(pending)
        if not pending.is_granted:
            self._deadlines.add(pending)
        self._appender.needs_wake = True

    def complete_append(self, pending: PendingAppend, now: float, timestamp_ms: int) -> ProducerBatch:
        """Append a granted record, after those granted before it in its topic; `pending.index` is its place.

        Args:
            pending: an entry that `is_granted`.
            now: monotonic seconds.
            timestamp_ms: for records that have no timestamp of their own.

        Raises:
            KafkaError: why it may not be appended: the topic was refused or not known in time, there was no memory in
                time, the producer was closed.
            Exception: what the partitioner raised.
        """
        if pending.state is PendingState.GRANTED:
            state = self._topics.states[pending.topic]
            while True:
                first = next(iter(state.call_queue))
                self._append_granted(state, first, now, timestamp_ms)
                if first is pending:
                    break
            self._append_accepted(state, now)
        if pending.error is not None:
            raise pending.error
        if pending.batch is None:
            raise RuntimeError(f"{pending!r} is completed, but was not granted")
        return pending.batch

    def cancel(self, pending: PendingAppend) -> None:
        """Its task gave up: it leaves the queue, and what was taken for it goes to the next.

        Does nothing once the record is appended or has failed.
        """
        if pending.state not in _IN_QUEUE:
            return
        was_granted = pending.state is PendingState.GRANTED
        self._leave_queue(pending)
        pending.cancel()
        if was_granted:
            self._appender.give_back(pending.charge)
        self._after_leaving(pending)

    def wait_for_topic(self, topic: str, now: float, deadline: float) -> PendingTopic:
        """Ask for a topic; the entry is `done` at once if it is known.

        Raises:
            KafkaError: the producer's own reason why nothing is accepted any more.
        """
        if self._appender.closed_error is not None:
            raise copy_of(self._appender.closed_error)
        pending = PendingTopic(topic, enqueued_at=now, deadline=deadline)
        state = self._appender.topic(topic)
        if state.is_known and state.view is not None:
            pending.resolve(state.view)
            return pending
        state.lookups[pending] = None
        self._wanted_topics.add(topic)
        self._deadlines.add(pending)
        self._appender.needs_wake = True
        return pending

    def abandon_topic(self, pending: PendingTopic) -> None:
        """The task that waited for a topic gave up."""
        state = self._topics.get(pending.topic)
        if state is not None and state.lookups.pop(pending, False) is None:
            pending.fail(KafkaError("nobody waits for the topic any more"))
            self._update_wanted(state)

    def take_woken(self) -> list[Waiting]:
        """Return the entries whose wait has ended since the last call, in the order of the grants."""
        woken = self._woken
        if not woken:
            return []  # not the list itself, which will have those who come later
        self._woken = []
        return woken

    # ── what happens to all of them ──────────────────────────────────────────────────────────────────────────────────

    @property
    def waiting_for_memory(self) -> int:
        """How many calls wait for memory."""
        return len(self._memory_queue)

    @property
    def has_waiting_appends(self) -> bool:
        """Whether calls wait, or have been granted their turn and not taken it yet. Cost: the topics."""
        return any(state.call_queue or state.awaiting_partition for state in self._topics.states.values())

    @property
    def has_news(self) -> bool:
        """Whether somebody's wait is over, or a topic is wanted."""
        return bool(self._woken or self._wanted_topics)

    def next_deadline(self) -> float | None:
        """Return the soonest deadline of a wait that goes on; None if nobody waits."""
        return self._deadlines.next()

    def look_at_next_deadline(self) -> float | None:
        """As `next_deadline`, and changes nothing, so that other threads may ask. Cost: the waits."""
        return self._deadlines.look_at_next()

    def fail_overdue(self, now: float) -> None:
        """Fail the waits whose deadline has come."""
        while (waiting := self._deadlines.pop_due(now)) is not None:
            elapsed = now - waiting.enqueued_at
            if isinstance(waiting, PendingTopic):
                state = self._topics.states[waiting.topic]
                self._fail_lookup(state, waiting, topic_timeout(state, None, elapsed))
            elif waiting.state is PendingState.FOR_TOPIC:
                state = self._topics.states[waiting.topic]
                self._fail(waiting, topic_timeout(state, waiting.partition, elapsed))
            else:
                free, total = self._appender.free_bytes, self._appender.buffer_memory
                others = len(self._memory_queue)
                self._fail(waiting, memory_timeout(waiting, free, total, waiting=others, elapsed=elapsed))

    def fail_appends(self, error: KafkaError) -> None:
        """Fail the calls and the accepted records that wait to be appended; not those that only look a topic up."""
        for state in list(self._topics.states.values()):
            for pending in [*state.call_queue, *state.awaiting_partition]:
                if pending.state in _IN_QUEUE:
                    self._fail(pending, error)

    def fail_calls(self, error: KafkaError) -> None:
        """Fail everybody whose task waits; what was accepted goes on."""
        for state in list(self._topics.states.values()):
            self._fail_lookups(state, error)
            for pending in [*state.call_queue, *state.awaiting_partition]:
                if not pending.accepted and pending.state in _IN_QUEUE:
                    self._fail(pending, error)

    def fail_all(self, error: KafkaError) -> None:
        """Fail everybody who waits, and the accepted records."""
        for state in list(self._topics.states.values()):
            self._fail_lookups(state, error)
            for pending in [*state.call_queue, *state.awaiting_partition]:
                if pending.state in _IN_QUEUE:
                    self._fail(pending, error)

    def wake_flushes(self, tickets: Iterable[Waiting]) -> None:
        """Have `take_woken` return flushes that are done."""
        self._woken.extend(tickets)

    def on_memory_freed(self) -> None:
        """Give memory that was given back to those who wait for it."""
        if self._appender.is_memory_awaited:
            self._grant()
            self._appender.needs_wake = True

    # ── what news of a topic does to its calls ───────────────────────────────────────────────────────────────────────

    def want_topic(self, state: TopicState) -> None:
        """Have the topic looked up (again)."""
        self._wanted_topics.add(state.name)

    def take_wanted_topics(self) -> set[str]:
        """Return the topics that somebody has begun to wait for, or for more partitions of, since the last call."""
        wanted = self._wanted_topics
        if wanted:
            self._wanted_topics = set()
        return wanted

    def on_topic_known(self, state: TopicState, now: float) -> None:
        """Whoever waited for the topic waits for memory now, in the order of the calls."""
        if state.view is not None:
            for lookup in state.lookups:
                lookup.resolve(state.view)
                self._woken.append(lookup)
        state.lookups.clear()
        for pending in [pending for pending in state.call_queue if pending.state is PendingState.FOR_TOPIC]:
            if not state.has_partition(pending.partition):
                # It waits apart: a partition that may never come to be does not hold up the calls behind it.
                del state.call_queue[pending]
                state.awaiting_partition[pending] = None
            else:
                self._memory_queue.end_reservation(pending)
                self._admit(state, pending)
        for pending in [pending for pending in state.awaiting_partition if state.has_partition(pending.partition)]:
            del state.awaiting_partition[pending]
            self._memory_queue.give_number(pending)  # it joins the queue now, behind those who passed it
            self._memory_queue.end_reservation(pending)
            self._admit(state, pending)
            if pending.accepted:  # others have passed it anyway, and may wait for the memory that it holds
                self._append_granted(state, pending, now, 0)
        self._memory_queue.sort()
        self._update_wanted(state)
        self._grant()
        self._append_accepted(state, now)

    def on_topic_lost(self, state: TopicState) -> None:
        """Those who named a partition that did not exist wait for the topic now, like everybody else."""
        for pending in state.awaiting_partition:
            self._memory_queue.give_number(pending)
            state.call_queue[pending] = None
        state.awaiting_partition.clear()

    def on_topic_refused(self, state: TopicState, error: KafkaError) -> None:
        """Fail those who wait for the topic, or for a partition of it."""
        self._fail_lookups(state, error)
        for pending in [*state.call_queue, *state.awaiting_partition]:
            if pending.state is PendingState.FOR_TOPIC:
                self._fail(pending, error)

    # ── one call ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _accept(self, pending: PendingAppend) -> None:
        self._memory_queue.take_for_accepted(pending)
        assert pending.timestamp_ms is not None, "the core has no wall clock"
        pending.flush_epoch = self._flushes.epoch
        self._flushes.enter(pending.flush_epoch)

    def _wait_for_turn(self, state: TopicState, pending: PendingAppend, now: float) -> None:
        """Enter a call whose topic is known; it may be granted at once."""
        self._admit(state, pending)
        self._grant()
        if self._woken and self._woken[-1] is pending:
            if next(iter(state.call_queue)) is pending:
                self._woken.pop()  # its task has not parked
            else:
                pending.is_behind = True
        self._append_accepted(state, now)

    def _admit(self, state: TopicState, pending: PendingAppend) -> None:
        state.call_queue[pending] = None
        self._appender.close_topic(state.name)
        if pending.accepted:
            pending.grant()
        else:
            self._memory_queue.add(pending)

    def _grant(self) -> None:
        self._woken.extend(self._memory_queue.grant())

    def _append_granted(self, state: TopicState, pending: PendingAppend, now: float, timestamp_ms: int) -> None:
        """Append the first of a queue."""
        assert pending.state is PendingState.GRANTED, "grants of one topic are given in the order of its queue"
        del state.call_queue[pending]
        self._appender.give_back(pending.charge)  # append takes it again
        if pending.timestamp_ms is not None:
            timestamp_ms = pending.timestamp_ms
        try:
            batch = self._appender.append(
                state,
                pending.partition,
                pending.key,
                pending.value,
                pending.headers,
                timestamp_ms,
                now,
                pending.charge,
            )
        except BaseException as error:  # of the user's partitioner; `complete_append` raises it, or the Delivery has it
            self._on_partitioner_error(pending, error)
            return
        if pending.accepted:
            self._move_epoch(batch, pending.flush_epoch)
            self._woken.extend(self._flushes.leave(pending.flush_epoch))
        pending.append_to(batch, batch.count - 1)

    def _append_accepted(self, state: TopicState, now: float) -> None:
        """Append what was accepted, up to the first call that a task has to complete; without any, open the topic."""
        while state.call_queue:
            first = next(iter(state.call_queue))
            if not first.accepted or first.state is not PendingState.GRANTED:
                return
            self._append_granted(state, first, now, 0)
        self._appender.open_topic(state)

    def _move_epoch(self, batch: ProducerBatch, epoch: int) -> None:
        """A flush that waits for an accepted record waits for the batch that it went into."""
        if epoch < batch.flush_epoch:
            self._flushes.enter(epoch)
            self._woken.extend(self._flushes.leave(batch.flush_epoch))
            batch.flush_epoch = epoch

    def _on_partitioner_error(self, pending: PendingAppend, error: BaseException) -> None:
        if pending.accepted:
            failure = KafkaError(
                f"the partitioner raised {type(error).__name__} (topic {pending.topic!r}); see __cause__"
            )
            failure.__cause__ = error
            self._end_accepted(pending)
            pending.fail(self._appender.notes.note_refusal(failure))
            self._woken.append(pending)
        else:
            pending.fail(error)
        self._grant()

    def _fail(self, pending: PendingAppend, error: KafkaError) -> None:
        """End a wait with an error; the memory that was taken goes to the next."""
        if pending.state is PendingState.GRANTED or pending.accepted:
            self._appender.give_back(pending.charge)
        is_parked = not pending.is_granted
        self._leave_queue(pending)
        pending.fail(self._appender.notes.note_refusal(error))
        if pending.accepted:
            self._end_accepted(pending)
        if is_parked or pending.accepted:  # a task that was granted is awake already
            self._woken.append(pending)
        self._after_leaving(pending)

    def _end_accepted(self, pending: PendingAppend) -> None:
        self._woken.extend(self._flushes.leave(pending.flush_epoch))

    def _fail_lookups(self, state: TopicState, error: KafkaError) -> None:
        for lookup in list(state.lookups):
            self._fail_lookup(state, lookup, error)

    def _fail_lookup(self, state: TopicState, lookup: PendingTopic, error: KafkaError) -> None:
        del state.lookups[lookup]
        lookup.fail(error)
        self._woken.append(lookup)
        self._update_wanted(state)

    def _update_wanted(self, state: TopicState) -> None:
        if not state.is_awaited:
            self._wanted_topics.discard(state.name)

    def _leave_queue(self, pending: PendingAppend) -> None:
        state = self._topics.states[pending.topic]
        if pending.state is PendingState.FOR_TOPIC:
            self._memory_queue.end_reservation(pending)
        self._memory_queue.discard(pending)
        if state.call_queue.pop(pending, False) is False:
            state.awaiting_partition.pop(pending, None)

    def _after_leaving(self, pending: PendingAppend) -> None:
        state = self._topics.states[pending.topic]
        self._update_wanted(state)
        self._grant()
        self._append_accepted(state, self._appender.latest)


_IN_QUEUE: Final = frozenset({PendingState.FOR_TOPIC, PendingState.FOR_MEMORY, PendingState.GRANTED})
