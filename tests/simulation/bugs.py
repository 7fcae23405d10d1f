"""Bugs to plant into the core, so that the simulation can show that it would have noticed them.

Each is a mistake that somebody could make in a line or two. Some are what the Java producer does; those at the end were
in this core, until the simulation found them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aioproducer._core.accumulator.batch import BatchState, ProducerBatch
from tests.simulation.history import Result, run
from tests.simulation.presets import inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.sender import Sender

# Any, here and below: parts of the core that are private to it, and replaced.


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """A mistake, in words and in deed."""

    name: str
    text: str
    make: Callable[[Sender, Accumulator], None]

    def plant(self, sender: Sender, accumulator: Accumulator) -> None:
        """Make the mistake in this core."""
        self.make(sender, accumulator)


MISFITS: Final = ("TypeError", "AttributeError", "NameError")
"""What comes of a bug that is planted in a place which has changed: nothing is shown by that."""


def first_caught(bug: PlantedBug, histories: int) -> Result | None:
    """Return the first history, counted from seed 0, in which the bug breaks a promise; None if it is in none."""
    return next((result for seed in range(histories) if (result := run(seed, bug=bug)).violation), None)


def _do_nothing(*arguments: Any) -> None:
    """What is put in the place of a step that is left out."""


def _sequence_assigned_twice(sender: Sender, accumulator: Accumulator) -> None:
    sequences = inside(sender, "_sequences")
    number = sequences._number

    def without_advancing(known: Any, batch: ProducerBatch) -> None:
        number(known, batch)
        known.next_sequence = batch.base_sequence

    sequences._number = without_advancing


def _epoch_not_bumped(sender: Sender, accumulator: Accumulator) -> None:
    inside(sender, "_sequences")._bump = _do_nothing


def _sequence_wraps_one_early(sender: Sender, accumulator: Accumulator) -> None:
    sequences = inside(sender, "_sequences")
    number = sequences._number

    def modulo_the_largest(known: Any, batch: ProducerBatch) -> None:
        number(known, batch)
        known.next_sequence = (batch.base_sequence + batch.count) % (2**31 - 1)

    sequences._number = modulo_the_largest


def _requeued_at_the_tail(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(accumulator)

    def put_back(batch: ProducerBatch, now: float) -> None:
        queue = core._queue_of(batch)
        batch.is_queued = True
        place = len(queue.batches) - (queue.open_batch is not None)
        queue.batches.insert(place, batch)
        core._schedule.place(queue, now)

    core._put_back = put_back


def _new_batch_wakes_nobody(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(accumulator, "appender")
    open_batch = core._open_batch

    def quietly(*arguments: Any) -> ProducerBatch:
        before = core.needs_wake
        batch: ProducerBatch = open_batch(*arguments)
        core.needs_wake = before
        return batch

    core._open_batch = quietly


def _woken_call_forgotten(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(accumulator)
    take = core.take_woken
    core.take_woken = lambda: take()[:2]


def _completed_again_by_a_late_answer(sender: Sender, accumulator: Accumulator) -> None:
    produce = inside(sender, "_produce")
    is_open = produce._is_open

    def always(batch: ProducerBatch) -> bool:
        if not is_open(batch):
            produce.completed.append(batch)
        return batch.state is not BatchState.DONE

    produce._is_open = always


def _memory_released_early(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(accumulator)
    give_up = core._give_up

    def at_once(batch: ProducerBatch, now: float) -> None:
        give_up(batch, now)
        batch.holds_memory = False

    core._give_up = at_once


def _memory_never_released(sender: Sender, accumulator: Accumulator) -> None:
    produce = inside(sender, "_produce")
    is_open = produce._is_open

    def without_release(batch: ProducerBatch) -> bool:
        if batch.state is BatchState.DONE:
            return False
        opened: bool = is_open(batch)
        return opened

    produce._is_open = without_release


def _waiting_call_overtaken(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(accumulator, "_wait_queue")
    appender = inside(accumulator, "appender")
    admit = core._admit

    def and_leave_open(state: Any, pending: Any) -> None:
        admit(state, pending)
        appender._appendable[state.name] = state
        appender._open_topics = appender._appendable

    core._admit = and_leave_open


def _cancelled_call_kept(sender: Sender, accumulator: Accumulator) -> None:
    inside(accumulator, "_wait_queue")._leave_queue = _do_nothing


def _cancelled_grant_kept(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(accumulator, "_wait_queue")
    after_leaving = core._after_leaving

    def without_granting(pending: Any) -> None:
        grant = core._grant
        core._grant = _do_nothing
        after_leaving(pending)
        core._grant = grant

    core._after_leaving = without_granting


def _refusal_clears_older_doubt(sender: Sender, accumulator: Accumulator) -> None:
    produce = inside(sender, "_produce")
    begin = produce.begin_request

    def without_doubt(*arguments: Any) -> Any:
        begun = begin(*arguments)
        if begun is not None:
            entries = begun[0].entries
            entries[:] = [entry._replace(was_possibly_written=False) for entry in entries]
        return begun

    produce.begin_request = without_doubt


def _parts_of_a_split_never_expire(sender: Sender, accumulator: Accumulator) -> None:
    inside(accumulator, "_unfinished").watch_part = _do_nothing


def _flush_ends_with_the_split(sender: Sender, accumulator: Accumulator) -> None:
    unfinished = inside(accumulator, "_unfinished")
    add = unfinished.add

    def as_of_now(state: Any, batch: ProducerBatch) -> None:
        batch.flush_epoch = unfinished._flushes.epoch
        add(state, batch)

    unfinished.add = as_of_now


def _lost_request_forgotten(sender: Sender, accumulator: Accumulator) -> None:
    inside(sender, "_produce")._lose = _do_nothing


def _not_muted(sender: Sender, accumulator: Accumulator) -> None:
    inside(sender, "_produce")._is_muting = False


def _deadline_ignores_retries(sender: Sender, accumulator: Accumulator) -> None:
    schedule = inside(accumulator, "_schedule")

    def without_retries() -> float:
        first = next(iter(schedule._lingering), None)
        return float("inf") if first is None else first.created_at + schedule._linger

    schedule.next_change = without_retries


def _deadline_in_the_past(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(sender)
    deadline = core.deadline

    def at_once(now: float) -> float | None:
        due: float | None = deadline(now)
        return due if due is None or sender.is_drained else now

    core.deadline = at_once


def _java_renumbers_what_may_be_written(sender: Sender, accumulator: Accumulator) -> None:
    sequences = inside(sender, "_sequences")
    reset = sequences._reset

    def of_all(tp: Any, known: Any) -> Any:
        doubtful = [batch for batch in known.outstanding if batch.possibly_written]
        for batch in doubtful:
            batch.possibly_written = False
        doomed = reset(tp, known)
        for batch in doubtful:
            batch.possibly_written = True
        return doomed

    sequences._reset = of_all


def _java_ignores_a_first_flight_that_expires(sender: Sender, accumulator: Accumulator) -> None:
    sequences = inside(sender, "_sequences")
    on_failed = sequences.on_failed

    def if_it_was_retried(batch: ProducerBatch) -> None:
        known = sequences._state_of(batch)
        if known is not None and batch.possibly_written and batch.attempts == 0:
            sequences._drop(known, batch)
        else:
            on_failed(batch)

    sequences.on_failed = if_it_was_retried


def _java_sends_five_before_the_first_answer(sender: Sender, accumulator: Accumulator) -> None:
    sequences = inside(sender, "_sequences")
    can_number = sequences._can_number

    def without_answer(known: Any) -> bool:
        had_ack, known.has_ack = known.has_ack, True
        can: bool = can_number(known)
        known.has_ack = had_ack
        return can

    sequences._can_number = without_answer


def _java_wraps_with_plain_arithmetic(sender: Sender, accumulator: Accumulator) -> None:
    """The order of requeued batches by plain comparison, as in Java's RecordAccumulator and TransactionManager."""
    core = inside(accumulator)

    def put_back(batch: ProducerBatch, now: float) -> None:
        queue = core._queue_of(batch)
        batch.is_queued = True
        place = 0
        for other in queue.batches:
            if not other.has_sequence or batch.base_sequence < other.base_sequence:
                break
            place += 1
        queue.batches.insert(place if batch.has_sequence else 0, batch)
        core._schedule.place(queue, now)

    core._put_back = put_back


def _completed_out_of_turn(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(accumulator)
    enqueue = core.enqueue

    def at_once(*arguments: Any, **named: Any) -> Any:
        pending = enqueue(*arguments, **named)
        if pending.is_behind:
            pending.is_behind = False
            core._wait_queue._woken.remove(pending)
        return pending

    core.enqueue = at_once


def _due_too_late(sender: Sender, accumulator: Accumulator) -> None:
    core = inside(accumulator)
    tick = core.tick

    def without_advancing(now: float) -> None:
        advance = core._schedule.advance
        core._schedule.advance = _do_nothing
        tick(now)
        core._schedule.advance = advance

    core.tick = without_advancing


def _room_of_others(sender: Sender, accumulator: Accumulator) -> None:
    queue = inside(accumulator, "_wait_queue", "_memory_queue")
    take = queue.take_for_accepted

    def regardless(pending: Any) -> None:
        reserved, queue.reserved_for_waiters = queue.reserved_for_waiters, 0
        try:
            take(pending)
        finally:
            queue.reserved_for_waiters = reserved

    queue.take_for_accepted = regardless


def _place_of_the_call(sender: Sender, accumulator: Accumulator) -> None:
    queue = inside(accumulator, "_wait_queue", "_memory_queue")
    give_number = queue.give_number

    def only_once(pending: Any) -> None:
        if not pending.number:
            give_number(pending)

    queue.give_number = only_once


def _sent_while_renewing(sender: Sender, accumulator: Accumulator) -> None:
    nodes = inside(sender, "_nodes")
    can_send = nodes.can_send

    def regardless(node: Any, now: float) -> Any:
        renew_at, node.renew_at = node.renew_at, float("inf") if node.renewing_since is not None else node.renew_at
        try:
            return can_send(node, now)
        finally:
            node.renew_at = renew_at

    nodes.can_send = regardless


def _session_outlived(sender: Sender, accumulator: Accumulator) -> None:
    nodes = inside(sender, "_nodes")
    begin_session = nodes._begin_session

    def as_if_it_lasted(node: Any, authenticated_at: float, lifetime: float | None) -> None:
        begin_session(node, authenticated_at, None if lifetime is None else 2 * lifetime)

    nodes._begin_session = as_if_it_lasted


BUGS: Final = (
    PlantedBug("sequence assigned twice", "two batches get the same sequence number", _sequence_assigned_twice),
    PlantedBug("epoch not bumped", "after a gap the partition begins at 0 again in the same epoch", _epoch_not_bumped),
    PlantedBug("wrap off by one", "2**31 - 1 is skipped when sequences wrap", _sequence_wraps_one_early),
    PlantedBug("requeue at the tail", "a batch to be sent again goes behind later ones", _requeued_at_the_tail),
    PlantedBug("lost wake-up", "a new batch does not set needs_wake", _new_batch_wakes_nobody),
    PlantedBug("woken call forgotten", "take_woken returns two entries and drops the rest", _woken_call_forgotten),
    PlantedBug(
        "double completion", "a late answer completes an expired batch again", _completed_again_by_a_late_answer
    ),
    PlantedBug("memory released early", "a batch that expires in flight frees its memory", _memory_released_early),
    PlantedBug("memory never released", "a late answer does not free the memory", _memory_never_released),
    PlantedBug("waiter overtaken", "new calls append while others wait", _waiting_call_overtaken),
    PlantedBug("cancelled waiter kept", "a cancelled call stays in its queue", _cancelled_call_kept),
    PlantedBug("cancelled grant kept", "the memory of a cancelled call wakes nobody", _cancelled_grant_kept),
    PlantedBug(
        "older doubt cleared", "a refusal says not written of an earlier attempt too", _refusal_clears_older_doubt
    ),
    PlantedBug("parts never expire", "the parts of a split do not expire", _parts_of_a_split_never_expire),
    PlantedBug("flush ends with the split", "flush does not wait for the parts of a split", _flush_ends_with_the_split),
    PlantedBug("lost request forgotten", "batches of a lost connection are not sent again", _lost_request_forgotten),
    PlantedBug("not muted", "without idempotence a partition has two requests under way", _not_muted),
    PlantedBug("retry not timed", "deadline() leaves the retries out", _deadline_ignores_retries),
    PlantedBug("busy loop", "deadline() asks for another poll at once", _deadline_in_the_past),
    PlantedBug(
        "re-sequenced in doubt",
        "a batch that may have been written gets a new number (Java does that)",
        _java_renumbers_what_may_be_written,
    ),
    PlantedBug(
        "first flight ignored",
        "a batch that expires on its first flight leaves no mark (Java does that)",
        _java_ignores_a_first_flight_that_expires,
    ),
    PlantedBug(
        "five before the first answer",
        "a leader without state is sent several batches at once (Java does that)",
        _java_sends_five_before_the_first_answer,
    ),
    PlantedBug(
        "plain arithmetic",
        "sequences are compared without regard to the wrap (Java does that)",
        _java_wraps_with_plain_arithmetic,
    ),
    PlantedBug(
        "completed out of turn", "a call appends before one that does not know yet it may", _completed_out_of_turn
    ),
    PlantedBug("due too late", "what is due is noticed after the metadata step of a poll", _due_too_late),
    PlantedBug("room of others", "records are accepted into the room of calls before them", _room_of_others),
    PlantedBug("place of the call", "who joins a queue late is granted before those ahead", _place_of_the_call),
    PlantedBug("sent while renewing", "a request goes out in the middle of an authentication", _sent_while_renewing),
    PlantedBug("session outlived", "sessions are taken to last twice as long as they do", _session_outlived),
)
"""In the order of the table in docs/promises.md."""
