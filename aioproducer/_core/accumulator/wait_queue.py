"""Who may append, and when? The calls that wait for a topic or for memory, first come, first served.

1. A call that cannot append at once is entered in the line of its topic. New calls for the topic stand behind it.
2. Once the topic is known (`topic_news`), the call waits for memory, in one queue for all topics. While that is not
   empty, nobody else gets memory, even if it would fit: a large record is not starved by small ones.
3. When there is room, it is reserved and the call is granted. Its task is woken and redeems the grant, which appends
   the record and whatever was granted before it in its topic. So the order is that of the calls, whichever task is
   first to run.

What submit_nowait has accepted goes the same way, but its memory is reserved from the start and nobody redeems it: it
is appended as soon as nobody stands before it. So that those before it are never kept waiting for the very memory that
it holds, it is only accepted if there is room for them as well, and memory goes to them before later calls.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from aioproducer._core.accumulator.append import Appender
from aioproducer._core.accumulator.errors import buffer_full, memory_timeout, topic_timeout
from aioproducer._core.accumulator.waiting import Deadlines, PendingAppend, PendingState, PendingTopic
from aioproducer.errors import KafkaError

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.accumulator.topics import TopicState
    from aioproducer._core.accumulator.waiting import Waiting
    from aioproducer._types import Headers, TopicPartition

_NO_TOPICS: Final[dict[str, TopicState]] = {}
"""Stands in for the topics that may be appended to while none may; never changed."""


class Admission(Appender):
    """The lines of waiting calls."""

    def __init__(self, config: ProducerConfig, rng: random.Random) -> None:
        super().__init__(config, rng)
        self._wanted_topics: set[str] = set()
        self._memory_line: OrderedDict[PendingAppend, None] = OrderedDict()  # in the order of the calls
        self._entered = 0
        self._owed = 0  # the bytes that calls which wait for their topic will need
        self._deadlines = Deadlines()
        self._woken: list[Waiting] = []

    # ── called by the shell ──────────────────────────────────────────────────────────────────────────────────────────

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
        """Enter a record that `try_append` did not take in the line of its topic.

        Args:
            topic, partition, key, value, headers: the record.
            timestamp_ms: its timestamp; may be None unless `accepted`, as `redeem` gives one too.
            now: monotonic seconds.
            deadline: when it stops waiting; the error then comes from `redeem` (or through the Delivery).
            accepted: take it over now, without a task that waits for it (submit_nowait).

        Returns:
            The entry. Unless it `has_to_park`, redeem it without parking; otherwise `take_woken` returns it in time.
            An accepted one is returned by `take_woken` only if it fails; otherwise its `batch` is set one day.

        Raises:
            RecordTooLargeError: it can never fit.
            BufferFullError: accepted, and there is no room, or others wait for it.
            KafkaError: the producer's own reason why nothing is accepted any more.
        """
        if self.closed_error is not None:
            raise _again(self.closed_error)
        if self.gate_error is not None:
            raise _again(self.gate_error)
        pending = PendingAppend(
            topic,
            partition,
            key,
            value,
            headers,
            timestamp_ms,
            enqueued_at=now,
            deadline=deadline,
            charge=self._charge(topic, partition, key, value, headers),
            accepted=accepted,
        )
        self._give_number(pending)
        self._latest = now
        if accepted:
            self._accept(pending)
        state = self._state(topic)
        if state.has_partition(partition):
            self._admit(state, pending)
            self._grant()
            if self._woken and self._woken[-1] is pending:
                if next(iter(state.line)) is pending:
                    self._woken.pop()  # its task has not parked
                else:
                    pending.is_behind = True
            self._append_accepted(state, now)
        else:
            (state.absent if state.is_known else state.line)[pending] = None
            self._wanted_topics.add(topic)
            if not accepted:
                self._owed += pending.charge
        if not pending.is_granted:
            self._deadlines.add(pending)
        self.needs_wake = True
        return pending

    def redeem(self, pending: PendingAppend, now: float, timestamp_ms: int) -> ProducerBatch:
        """Append a granted record, after those granted before it in its topic; `pending.index` is its place.

        Args:
            pending: an entry that `is_granted`.
            now: monotonic seconds.
            timestamp_ms: for records that have no timestamp of their own.

        Raises:
            KafkaError: why it may not be appended: the topic was refused or not known in time, there was no room in
                time, the producer was closed.
            Exception: what the partitioner raised.
        """
        if pending.state is PendingState.GRANTED:
            state = self._topics[pending.topic]
            while True:
                first = next(iter(state.line))
                self._append_granted(state, first, now, timestamp_ms)
                if first is pending:
                    break
            self._append_accepted(state, now)
        if pending.error is not None:
            raise pending.error
        if pending.batch is None:
            raise RuntimeError(f"{pending!r} is redeemed, but was not granted")
        return pending.batch

    def cancel(self, pending: PendingAppend) -> None:
        """Its task gave up: it leaves the line, and what was reserved for it goes to the next.

        Does nothing once the record is appended or has failed.
        """
        if pending.state not in _IN_LINE:
            return
        was_granted = pending.state is PendingState.GRANTED
        self._leave_line(pending)
        pending.settle(PendingState.CANCELLED)
        if was_granted:
            self._free += pending.charge
        self._after_leaving(pending)

    def wait_for_topic(self, topic: str, now: float, deadline: float) -> PendingTopic:
        """Ask for a topic; the entry is `done` at once if it is known.

        Raises:
            KafkaError: the producer's own reason why nothing is accepted any more.
        """
        if self.closed_error is not None:
            raise _again(self.closed_error)
        pending = PendingTopic(topic, enqueued_at=now, deadline=deadline)
        state = self._state(topic)
        if state.is_known:
            pending.view = state.view
            return pending
        state.lookups[pending] = None
        self._wanted_topics.add(topic)
        self._deadlines.add(pending)
        self.needs_wake = True
        return pending

    def abandon_topic(self, pending: PendingTopic) -> None:
        """The task that waited for a topic gave up."""
        state = self._topics.get(pending.topic)
        if state is not None and state.lookups.pop(pending, False) is None:
            pending.error = KafkaError("nobody waits for the topic any more")
            self._update_wanted(state)

    def take_woken(self) -> list[Waiting]:
        """Return the entries whose wait has ended since the last call, in the order of the grants."""
        woken = self._woken
        if not woken:
            return []  # not the list itself, which will have those who come later
        self._woken = []
        return woken

    # ── called by the sender ─────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> None:
        """Take over what the time has brought and fail the waits whose deadline has come; called first in each poll."""
        self._latest = now
        self._schedule.advance(now)  # a retry that is due may turn out to have no leader: `leaderless_topics`
        while (waiting := self._deadlines.pop_due(now)) is not None:
            if isinstance(waiting, PendingTopic):
                state = self._topics[waiting.topic]
                self._fail_lookup(state, waiting, topic_timeout(state, None, now - waiting.enqueued_at))
            elif waiting.state is PendingState.FOR_TOPIC:
                state = self._topics[waiting.topic]
                self._fail(waiting, topic_timeout(state, waiting.partition, now - waiting.enqueued_at))
            else:
                self._fail(
                    waiting,
                    memory_timeout(
                        waiting,
                        self._free,
                        self._buffer_memory,
                        waiting=len(self._memory_line),
                        elapsed=now - waiting.enqueued_at,
                    ),
                )

    # ── for transactions ─────────────────────────────────────────────────────────────────────────────────────────────

    def set_gate(self, error: KafkaError | None) -> None:
        """Let no call begin to append, as no transaction is open (error), or let them; those that wait go on."""
        self.gate_error = error
        is_open = error is None and self.closed_error is None and not self._memory_line
        self._open_topics = self._appendable if is_open else _NO_TOPICS

    @property
    def has_waiting_appends(self) -> bool:
        """Whether calls wait, or have been granted their turn and not taken it yet. Cost: the topics."""
        return any(state.line or state.absent for state in self._topics.values())

    def fail_waiting(self, error: KafkaError) -> None:
        """Fail the calls and the accepted records that wait to be appended; not those that only look a topic up."""
        for state in list(self._topics.values()):
            for pending in [*state.line, *state.absent]:
                if pending.state in _IN_LINE:
                    self._fail(pending, error)

    def take_refusal(self) -> KafkaError | None:
        """Return why a record was refused since the last call (the first reason), None if none was."""
        refusal, self._refusal = self._refusal, None
        return refusal

    def take_touched(self) -> set[TopicPartition]:
        """Return the partitions for which a batch was begun since the last call."""
        touched = self._touched
        if not touched:
            return set()  # not the set itself, as above
        self._touched = set()
        return touched

    # ── the lines ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _accept(self, pending: PendingAppend) -> None:
        if self._memory_line or pending.charge + self._owed > self._free:
            raise buffer_full(pending, self._free, self._buffer_memory, owed=self._owed, waiting=len(self._memory_line))
        assert pending.timestamp_ms is not None, "the core has no wall clock"
        self._free -= pending.charge
        pending.flush_epoch = self._flushes.epoch
        self._flushes.enter(pending.flush_epoch)

    def _give_number(self, pending: PendingAppend) -> None:
        self._entered += 1
        pending.number = self._entered

    def _forgive(self, pending: PendingAppend) -> None:
        """It does not wait for its topic any more, so that its memory is not kept free for it."""
        if pending.state is PendingState.FOR_TOPIC and not pending.accepted:
            self._owed -= pending.charge

    def _admit(self, state: TopicState, pending: PendingAppend) -> None:
        state.line[pending] = None
        self._appendable.pop(state.name, None)
        if pending.accepted:
            pending.state = PendingState.GRANTED
        else:
            pending.state = PendingState.FOR_MEMORY
            self._memory_line[pending] = None
            self._open_topics = _NO_TOPICS

    def _grant(self) -> None:
        """Reserve memory for those who wait for it, in their order, as far as it goes."""
        line = self._memory_line
        while line:
            first = next(iter(line))
            if first.charge > self._free:
                return
            del line[first]
            self._free -= first.charge
            first.state = PendingState.GRANTED
            self._woken.append(first)
        if self.closed_error is None and self.gate_error is None:
            self._open_topics = self._appendable

    def _append_granted(self, state: TopicState, pending: PendingAppend, now: float, timestamp_ms: int) -> None:
        """Append the first of a line."""
        assert pending.state is PendingState.GRANTED, "grants of one topic are given in the order of its line"
        del state.line[pending]
        self._free += pending.charge  # _append takes it again
        if pending.timestamp_ms is not None:
            timestamp_ms = pending.timestamp_ms
        try:
            batch = self._append(
                state,
                pending.partition,
                pending.key,
                pending.value,
                pending.headers,
                timestamp_ms,
                now,
                pending.charge,
            )
        except Exception as error:  # of the user's partitioner; `redeem` raises it, or the Delivery has it
            self._on_partitioner_error(pending, error)
            return
        if pending.accepted:
            self._move_epoch(batch, pending.flush_epoch)
            self._woken.extend(self._flushes.leave(pending.flush_epoch))
        pending.move_to(batch, batch.count - 1)

    def _append_accepted(self, state: TopicState, now: float) -> None:
        """Append what was accepted, up to the first call that redeems its grant; open the topic if none is left."""
        while state.line:
            first = next(iter(state.line))
            if not first.accepted or first.state is not PendingState.GRANTED:
                return
            self._append_granted(state, first, now, 0)
        self._restore(state)

    def _restore(self, state: TopicState) -> None:
        """Let anybody append to the topic again, if it is known and nobody stands in line."""
        if state.is_known and not state.line and self.closed_error is None:
            self._appendable[state.name] = state

    def _move_epoch(self, batch: ProducerBatch, epoch: int) -> None:
        """A flush that waits for an accepted record waits for the batch that it went into."""
        if epoch < batch.flush_epoch:
            self._flushes.enter(epoch)
            self._woken.extend(self._flushes.leave(batch.flush_epoch))
            batch.flush_epoch = epoch

    def _on_partitioner_error(self, pending: PendingAppend, error: Exception) -> None:
        if pending.accepted:
            failure = KafkaError(
                f"the partitioner raised {type(error).__name__} (topic {pending.topic!r}); see __cause__"
            )
            failure.__cause__ = error
            self._end_accepted(pending)
            pending.error = self.note_refusal(failure)
            self._woken.append(pending)
        else:
            pending.error = error
        pending.settle(PendingState.FAILED)
        self._grant()

    def _fail(self, pending: PendingAppend, error: KafkaError) -> None:
        """End a wait with an error; the memory that was reserved goes to the next."""
        if pending.state is PendingState.GRANTED or pending.accepted:
            self._free += pending.charge
        is_parked = not pending.is_granted
        self._leave_line(pending)
        pending.settle(PendingState.FAILED)
        pending.error = self.note_refusal(error)
        if pending.accepted:
            self._end_accepted(pending)
        if is_parked or pending.accepted:  # a task that was granted is awake already
            self._woken.append(pending)
        self._after_leaving(pending)

    def _end_accepted(self, pending: PendingAppend) -> None:
        self._woken.extend(self._flushes.leave(pending.flush_epoch))

    def _fail_lookup(self, state: TopicState, lookup: PendingTopic, error: KafkaError) -> None:
        del state.lookups[lookup]
        lookup.error = error
        self._woken.append(lookup)
        self._update_wanted(state)

    def _update_wanted(self, state: TopicState) -> None:
        if not state.is_awaited:
            self._wanted_topics.discard(state.name)

    def _leave_line(self, pending: PendingAppend) -> None:
        state = self._topics[pending.topic]
        self._forgive(pending)
        self._memory_line.pop(pending, None)
        if state.line.pop(pending, False) is False:
            state.absent.pop(pending, None)

    def _after_leaving(self, pending: PendingAppend) -> None:
        state = self._topics[pending.topic]
        self._update_wanted(state)
        self._grant()
        self._append_accepted(state, self._latest)

    def _fail_all_waiting(self, error: KafkaError, *, accepted: bool) -> None:
        """Fail everybody who waits; of the accepted records, only if told so."""
        for state in list(self._topics.values()):
            for lookup in list(state.lookups):
                self._fail_lookup(state, lookup, error)
            for pending in [*state.line, *state.absent]:
                if (accepted or not pending.accepted) and pending.state in _IN_LINE:
                    self._fail(pending, error)


_IN_LINE: Final = frozenset({PendingState.FOR_TOPIC, PendingState.FOR_MEMORY, PendingState.GRANTED})


def _again(error: KafkaError) -> KafkaError:
    """Return a copy to raise: each raise adds to an error's traceback, and many calls may come."""
    again = copy.copy(error)
    again.__cause__ = error.__cause__  # and not `raise … from`, which the compiled form does not know
    return again
