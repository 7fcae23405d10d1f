"""The calls of a program that uses the producer: submit, submit_nowait, cancelling, flush, partitions_for.

It does what the shell does for them (enqueue, park, complete, cancel), and judges on the way: who was overtaken, whose
flush came too early, who had two outcomes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.accumulator.accumulator import FlushTicket, PendingAppend, PendingState, PendingTopic
from aioproducer._core.accumulator.batch import BatchState
from aioproducer._runtime.outcome import follow_split, outcome_error
from aioproducer.errors import BufferFullError, KafkaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from aioproducer._core.accumulator.accumulator import Accumulator, Waiting
    from aioproducer._core.accumulator.batch import ProducerBatch
    from tests.simulation.clock import Clock
    from tests.simulation.scenario import Scenario
    from tests.simulation.trace import Trace


class Violation(AssertionError):
    """A promise was broken."""


class Call:
    """One submit or submit_nowait, and what came of its record.

    Attributes:
        number: of the calls, in their order; the record's value begins with it.
        named_partition: the one that the call names, or None.
        called_at, accepted_at, done_at: None until then.
        pending: its entry, if it had to wait.
        home: the batch that it was appended to, if it had not to wait.
        is_cancelled: its task has given up before its turn; the record was never accepted.
        is_grown: it names a partition that the topic did not have at the beginning; others may pass it.
        refusal: what the call raised.
        batch, index: where the record is, when its outcome is told.
        error: the outcome; None when delivered.
        partition, offset: where it was delivered to; an offset of -1 is none.
    """

    __slots__ = (
        "accepted_at",
        "batch",
        "called_at",
        "done_at",
        "error",
        "home",
        "index",
        "is_cancelled",
        "is_grown",
        "is_nowait",
        "is_woken",
        "named_partition",
        "number",
        "offset",
        "partition",
        "pending",
        "possibly_written",
        "refusal",
        "topic",
        "was_sent",
    )

    def __init__(self, number: int, topic: str, partition: int | None, called_at: float) -> None:
        self.number = number
        self.topic = topic
        self.named_partition = partition
        self.called_at = called_at
        self.accepted_at: float | None = None
        self.done_at: float | None = None
        self.pending: PendingAppend | None = None
        self.home: ProducerBatch | None = None
        self.is_nowait = False
        self.is_cancelled = False
        self.is_grown = False
        self.is_woken = False
        self.refusal: Exception | None = None
        self.batch: ProducerBatch | None = None
        self.index = 0
        self.error: KafkaError | None = None
        self.possibly_written = False
        self.was_sent = False
        self.partition = -1
        self.offset = -1

    def has_final_outcome(self) -> bool:
        """Whether its Delivery is done; callbacks may still be to come."""
        pending = self.pending
        home, index = (self.home, self.index) if pending is None else (pending.batch, pending.index)
        if home is None:
            return pending is not None and pending.error is not None
        return follow_split(home, index)[0].is_done

    def __repr__(self) -> str:
        return f"record {self.number} ({self.topic}-{self.named_partition})"


class Flush:
    """One flush() and what it has to wait for."""

    def __init__(self, ticket: FlushTicket, waits_for: list[Call], begun_at: float) -> None:
        self.ticket = ticket
        self.waits_for = waits_for
        self.begun_at = begun_at
        self.is_over = False


class Calls:
    """All calls of one history.

    Attributes:
        calls: in their order.
        open: accepted, without an outcome.
        waiting: parked (or woken and not run yet), by topic, in their order.
        batches: every batch that holds memory, as far as known.
        on_call: is told of each call before it is made.
    """

    def __init__(
        self,
        scenario: Scenario,
        clock: Clock,
        accumulator: Accumulator,
        wake: Callable[[], None],
        rng: Random,
        trace: Trace,
        first_number: int = 0,
    ) -> None:
        self.calls: list[Call] = []
        self.on_call: Callable[[Call], None] | None = None
        self.open: dict[Call, None] = {}
        self.waiting: dict[str, dict[Call, None]] = {}
        self.accepted_waiting: dict[PendingAppend, Call] = {}
        self.flushes: list[Flush] = []
        self.lookups: list[PendingTopic] = []
        self.batches: dict[ProducerBatch, None] = {}
        self._scenario = scenario
        self._clock = clock
        self._accumulator = accumulator
        self._wake = wake
        self._rng = rng
        self._trace = trace
        self._first_number = first_number
        self._parked: dict[PendingAppend, Call] = {}
        self._max_block = scenario.config.max_block_ms / 1000

    # ── submit and submit_nowait ─────────────────────────────────────────────────────────────────────────────────────

    def submit(self) -> Call:
        """Make one call."""
        return self._submit(*self._draw())

    def _submit(self, call: Call, key: bytes | None, value: bytes) -> Call:
        now = self._clock.now
        timestamp = int(now * 1000)
        arguments = (call.topic, call.named_partition, key, value, None)
        self._trace("submit", call, "nowait" if call.is_nowait else "")
        if self.on_call is not None:
            self.on_call(call)
        try:
            batch = self._accumulator.appender.try_append(*arguments, timestamp, now)
            if batch is not None:
                self._check_not_overtaking(call)
                self._accept(call, batch, batch.count - 1)
                if self._accumulator.needs_wake:
                    self._wake()
                return call
            pending = self._accumulator.enqueue(
                *arguments,
                timestamp if call.is_nowait else None,
                now,
                now + self._max_block,
                accepted=call.is_nowait,
            )
        except (KafkaError, ValueError) as error:
            self._refuse(call, error)
            return call
        call.pending = pending
        self._after_enqueue(call, pending)
        self._wake()
        return call

    def probe(self) -> list[Call]:
        """Make a call for each partition, when all is well again; none of them may fail."""
        known = [(topic, index) for topic, count in self._scenario.topics.items() for index in range(max(1, count))]
        return [self._submit(*self._call(topic, index)) for topic, index in known]

    def _draw(self) -> tuple[Call, bytes | None, bytes]:
        rng = self._rng
        topics = list(self._scenario.topics)
        topic = topics[int(rng.random() * len(topics))]
        known = max(1, self._scenario.topics[topic])
        partition: int | None = None
        key: bytes | None = None
        drawn = rng.random()
        if drawn < 0.4:
            partition = int(rng.random() * known)
        elif drawn < 0.55:
            key = b"k%d" % int(rng.random() * 10)
        elif drawn < 0.57 and not self._scenario.is_patient:
            partition = known
        call, _, value = self._call(topic, partition)
        call.is_nowait = rng.random() < 0.4
        return call, key, value

    def _call(self, topic: str, partition: int | None) -> tuple[Call, None, bytes]:
        call = Call(self._first_number + len(self.calls), topic, partition, self._clock.now)
        surely = 1 if "recreate_topic" in self._scenario.faults else max(1, self._scenario.topics[topic])
        call.is_grown = partition is not None and partition >= surely
        self.calls.append(call)
        low, high = self._scenario.values
        value = b"%d" % call.number
        return call, None, value.ljust(low + int(self._rng.random() * (high - low)), b".")

    def _after_enqueue(self, call: Call, pending: PendingAppend) -> None:
        if call.is_nowait:
            self._note_accepted(call)
            if pending.batch is None:
                pending.callbacks = [(0, call)]
                self.accepted_waiting[pending] = call
            else:
                self._follow(call, pending.batch, pending.index)
            return
        pending.callbacks = [(0, call)]
        self.waiting.setdefault(call.topic, {})[call] = None
        if not pending.has_to_park:  # the shell yields once, without parking
            call.is_woken = True
            self._clock.after(0.0, self._resume, call)
            return
        self._parked[pending] = call

    def _accept(self, call: Call, batch: ProducerBatch, index: int) -> None:
        self._note_accepted(call)
        call.home, call.index = batch, index
        self._follow(call, batch, index)

    def _note_accepted(self, call: Call) -> None:
        call.accepted_at = self._clock.now
        self.open[call] = None

    def _follow(self, call: Call, batch: ProducerBatch, index: int) -> None:
        self.batches[batch] = None
        if batch.callbacks is None:
            batch.callbacks = [(index, call)]
        else:
            batch.callbacks.append((index, call))

    def _refuse(self, call: Call, error: Exception) -> None:
        self._trace("refused", call, error)
        call.refusal = error
        call.done_at = self._clock.now
        if self._clock.now > call.called_at + self._max_block + self._slack:
            raise Violation(f"{call} was refused {self._clock.now - call.called_at:.3f} s after the call: {error}")
        if isinstance(error, BufferFullError) != call.is_nowait and not isinstance(error, KafkaError):
            raise Violation(f"{call} was refused with {error!r}")

    @property
    def _slack(self) -> float:
        return 2 * self._scenario.poll_lateness + 0.01

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def wake(self, woken: list[Waiting]) -> None:
        """Have the tasks run whose wait is over."""
        # The shell tells the outcomes of accepted records first, as it does with batches.
        for entry in sorted(woken, key=lambda each: not (isinstance(each, PendingAppend) and each.accepted)):
            match entry:
                case FlushTicket():
                    self._end_flush(entry)
                case PendingTopic():
                    self._end_lookup(entry)
                case PendingAppend():
                    self._wake_append(entry)

    def _wake_append(self, pending: PendingAppend) -> None:
        if pending.accepted:
            accepted = self.accepted_waiting.pop(pending)
            if pending.error is None:
                raise Violation(f"{accepted}: an accepted record was woken, though nobody waits for it")
            self._finish(accepted, pending.error, None, 0)
            return
        call = self._parked.pop(pending, None)
        if call is None:
            return  # it was cancelled in between
        if call.is_woken:
            raise Violation(f"{call} was woken twice")
        call.is_woken = True
        self._trace("woken", call)
        delay = self._rng.random() * 0.001 if self._scenario.is_trio else 0.0
        self._clock.after(delay, self._resume, call)

    def _resume(self, call: Call) -> None:
        pending = call.pending
        assert pending is not None
        if call.is_cancelled:
            self._accumulator.cancel(pending)
            self._gave_up(call)
            return
        try:
            batch = self._accumulator.complete_append(pending, self._clock.now, int(self._clock.now * 1000))
        except (KafkaError, ValueError) as error:
            del self.waiting[call.topic][call]
            self._refuse(call, error)
        else:
            self.batches[batch] = None
            self._check_not_overtaking(call)
            self._note_completed(call)
            del self.waiting[call.topic][call]
        self._wake()

    def _note_completed(self, call: Call) -> None:
        """Completing an append appends what was granted before it too, whose own tasks run later."""
        for other in self.waiting[call.topic]:
            pending = other.pending
            assert pending is not None
            if other.accepted_at is None and pending.batch is not None:
                self.batches[pending.batch] = None
                self._note_accepted(other)

    def _check_not_overtaking(self, call: Call) -> None:
        for other in self.waiting.get(call.topic, ()):
            if other.number >= call.number:
                return
            pending = other.pending
            assert pending is not None
            if not (pending.is_granted or other.is_grown or call.is_grown or other.is_cancelled):
                raise Violation(f"{call} has overtaken {other}, which waits still")

    def cancel_one(self) -> None:
        """Cancel the task of a call that waits, if there is one that can be."""
        waiting = [call for calls in self.waiting.values() for call in calls if not call.is_cancelled]
        waiting = [call for call in waiting if not (call.is_woken and self._scenario.is_trio)]
        if not waiting:
            return
        call = self._rng.choice(waiting)
        call.is_cancelled = True
        self._trace("cancel", call)
        if call.is_woken:
            return  # asyncio raises CancelledError when its turn comes
        assert call.pending is not None
        del self._parked[call.pending]
        self._accumulator.cancel(call.pending)
        self._gave_up(call)

    def _gave_up(self, call: Call) -> None:
        assert call.pending is not None
        del self.waiting[call.topic][call]
        call.done_at = self._clock.now
        if call.pending.state not in (PendingState.CANCELLED, PendingState.FAILED):
            raise Violation(f"{call} was cancelled, and is {call.pending.state.name}")
        self._wake()

    # ── flush, partitions_for ────────────────────────────────────────────────────────────────────────────────────────

    def flush(self) -> None:
        """Begin a flush."""
        self._trace("flush")
        flush = Flush(self._accumulator.begin_flush(self._clock.now), list(self.open), self._clock.now)
        if flush.ticket.done:
            self._check_flushed(flush)
        else:
            self.flushes.append(flush)
        self._wake()

    def cancel_flush(self) -> None:
        """Cancel the task of a flush."""
        if self.flushes:
            flush = self.flushes.pop(int(self._rng.random() * len(self.flushes)))
            self._accumulator.end_flush(flush.ticket)

    def _end_flush(self, ticket: FlushTicket) -> None:
        flush = next((each for each in self.flushes if each.ticket is ticket), None)
        if flush is None:
            return  # given up
        self.flushes.remove(flush)
        self._accumulator.end_flush(ticket)
        self._check_flushed(flush)

    def _check_flushed(self, flush: Flush) -> None:
        for call in flush.waits_for:
            if call.done_at is None and not call.has_final_outcome():
                raise Violation(f"a flush ended before {call}, which was accepted before it began, had its outcome")
        self._trace("flushed", f"{len(flush.waits_for)} records")

    def look_up(self) -> None:
        """Ask for a topic's partitions."""
        topic = self._rng.choice(list(self._scenario.topics))
        try:
            lookup = self._accumulator.wait_for_topic(topic, self._clock.now, self._clock.now + self._max_block)
        except KafkaError:
            return
        if not lookup.done:
            self.lookups.append(lookup)
        self._wake()

    def abandon_lookup(self) -> None:
        """Cancel the task of a look-up."""
        if self.lookups:
            self._accumulator.abandon_topic(self.lookups.pop())
            self._wake()

    def _end_lookup(self, lookup: PendingTopic) -> None:
        if lookup in self.lookups:
            self.lookups.remove(lookup)
            if not lookup.done:
                raise Violation("a look-up was woken with neither an answer nor an error")

    # ── outcomes ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def complete(self, batch: ProducerBatch) -> None:
        """Take over the outcome of a batch."""
        if batch.state is not BatchState.DONE or batch.split_into is not None:
            raise Violation(f"{batch} was told to be complete")
        self.batches[batch] = None
        callbacks, batch.callbacks = batch.callbacks, None
        if callbacks is None or sorted(index for index, _ in callbacks) != list(range(batch.count)):
            raise Violation(f"{batch} was completed, with these records: {callbacks}")
        for index, call in callbacks:
            self._finish(call, outcome_error(batch, index), batch, index)

    def _finish(self, call: Call, error: KafkaError | None, batch: ProducerBatch | None, index: int) -> None:
        if call.done_at is not None:
            raise Violation(f"{call} has got a second outcome")
        if call not in self.open:
            raise Violation(f"{call} has an outcome, and was not accepted")
        del self.open[call]
        call.done_at = self._clock.now
        call.error = error
        call.batch = batch
        call.index = index
        if batch is not None:
            call.partition = batch.partition
            call.was_sent = batch.last_node is not None
            call.offset = batch.base_offset + index if batch.base_offset >= 0 else -1
        if error is not None:
            call.possibly_written = error.possibly_written
        assert call.accepted_at is not None
        limit = call.accepted_at + self._scenario.config.delivery_timeout_ms / 1000 + self._slack
        if batch is None or (call.pending is not None and call.is_nowait):
            # One whose partition came to be joins the line behind later calls, and waits for those before it.
            limit += self._max_block * (2 if call.is_grown else 1)
        if self._clock.now > limit:
            late = self._clock.now - call.accepted_at
            raise Violation(f"the outcome of {call} came {late:.3f} s after it was accepted: {error or 'delivered'}")

    def reserved(self) -> int:
        """Return the memory of records that are accepted or granted, and in no batch yet."""
        total = 0
        for pending, call in list(self.accepted_waiting.items()):
            if pending.batch is not None:
                del self.accepted_waiting[pending]
                self.batches[pending.batch] = None
                continue
            assert call.pending is pending
            if pending.error is None:
                total += pending.charge
        for calls in self.waiting.values():
            total += sum(c.pending.charge for c in calls if c.pending and c.pending.state is PendingState.GRANTED)
        return total
