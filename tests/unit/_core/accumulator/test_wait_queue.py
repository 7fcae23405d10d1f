"""The calls that wait for a topic or for memory: first come, first served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._core.accumulator.accumulator import PendingState
from aioproducer.errors import (
    BufferFullError,
    BufferTimeoutError,
    ErrorCode,
    KafkaConnectionError,
    KafkaError,
    MetadataTimeoutError,
    ProducerClosedError,
    RecordTooLargeError,
)
from aioproducer.errors._from_code import error_for
from tests.unit._core.accumulators import (
    ONE,
    TIMESTAMP,
    accumulator,
    append,
    cluster,
    complete,
    deliver,
    drain,
    enqueue,
    free,
    full,
)

if TYPE_CHECKING:
    from aioproducer._types import TopicView


# ── for memory ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_waiting_call_is_granted_when_memory_is_freed() -> None:
    accumulate = full()
    pending = enqueue(accumulate)
    assert not pending.is_granted
    assert accumulate.take_woken() == []
    deliver(accumulate)
    assert accumulate.take_woken() == [pending]
    assert complete(accumulate, pending) == b"v"
    assert pending.state is PendingState.APPENDED
    assert free(accumulate) == 0


def test_what_was_taken_does_not_change_later() -> None:
    accumulate = full()
    taken = accumulate.take_woken()
    enqueue(accumulate)
    deliver(accumulate)
    assert taken == []


def test_waiting_calls_are_granted_in_their_order() -> None:
    accumulate = full()
    waiting = [enqueue(accumulate, value=b"%d" % i) for i in range(3)]
    deliver(accumulate, 2)
    assert accumulate.take_woken() == waiting[:2]
    deliver(accumulate)
    assert accumulate.take_woken() == waiting[2:]


def test_a_small_record_does_not_pass_a_large_one_that_waits() -> None:
    accumulate = full()
    large = enqueue(accumulate, value=b"v" * 60)
    small = enqueue(accumulate, topic="u")
    deliver(accumulate)
    assert accumulate.take_woken() == []
    deliver(accumulate)
    assert accumulate.take_woken() == [large]
    deliver(accumulate)
    assert accumulate.take_woken() == [small]


def test_a_new_call_queues_behind_those_that_wait_even_if_it_would_fit() -> None:
    accumulate = full()
    enqueue(accumulate, value=b"v" * 60)
    deliver(accumulate)
    assert free(accumulate) == ONE
    assert accumulate.appender.try_append("t", 0, None, b"v", None, TIMESTAMP, 0.0) is None
    assert accumulate.appender.try_append("u", 0, None, b"v", None, TIMESTAMP, 0.0) is None


def test_a_new_call_does_not_pass_one_that_is_granted_but_has_not_appended() -> None:
    accumulate = full()
    granted = enqueue(accumulate, value=b"1")
    deliver(accumulate, 3)
    assert accumulate.appender.try_append("t", 0, None, b"2", None, TIMESTAMP, 0.0) is None
    second = enqueue(accumulate, value=b"2")
    assert second.is_granted
    assert append(accumulate, topic="u").count == 1  # of another topic: no order to keep
    assert complete(accumulate, granted) == b"1"
    assert complete(accumulate, second) == b"2"
    deliver(accumulate, 3)
    assert append(accumulate).count == 1


def test_a_call_granted_behind_one_that_was_not_told_yet_is_told_after_it() -> None:
    # Otherwise it could run first and append the other's record, whose task may be cancelled still.
    accumulate = full()
    first = enqueue(accumulate, value=b"1")
    deliver(accumulate, 3)
    second = enqueue(accumulate, value=b"2")
    assert second.is_granted
    assert second.has_to_park
    assert accumulate.take_woken() == [first, second]


def test_a_call_granted_with_nobody_before_it_needs_not_park() -> None:
    accumulate = accumulator()
    accumulate.update_topics(cluster({"t": [0]}), 0.0)
    pending = enqueue(accumulate)
    assert not pending.has_to_park
    assert accumulate.take_woken() == []


def test_nothing_is_accepted_in_the_room_that_calls_before_it_will_need() -> None:
    # It would stand behind them, and hold the memory that they wait for, until they give up.
    accumulate = accumulator(buffer_memory=3 * ONE, batch_size=0)
    enqueue(accumulate, "new", 0)
    enqueue(accumulate, "new", 0, accepted=True)
    enqueue(accumulate, "other", 0, accepted=True)
    with pytest.raises(BufferFullError, match="for calls that wait for their topic"):
        enqueue(accumulate, "other", 0, accepted=True)


def test_the_room_that_a_call_waits_for_is_free_again_when_it_gives_up() -> None:
    accumulate = accumulator(buffer_memory=ONE, batch_size=0)
    waiting = enqueue(accumulate, "new", 0)
    with pytest.raises(BufferFullError):
        enqueue(accumulate, "new", 0, accepted=True)
    accumulate.cancel(waiting)
    assert enqueue(accumulate, "new", 0, accepted=True).accepted


def test_whoever_completes_first_appends_what_was_granted_before() -> None:
    accumulate = full(linger_ms=1000)
    waiting = [enqueue(accumulate, value=b"%d" % i) for i in range(3)]
    deliver(accumulate, 3)
    assert complete(accumulate, waiting[1]) == b"1"
    assert waiting[0].state is PendingState.APPENDED
    assert waiting[2].state is PendingState.GRANTED
    assert [complete(accumulate, pending) for pending in (waiting[2], waiting[0])] == [b"2", b"0"]
    values = [batch.values[0] for batch in (drain(accumulate)[0] for _ in range(3))]
    assert values == [b"0", b"1", b"2"]


def test_a_cancelled_waiter_leaves_and_the_next_is_served() -> None:
    accumulate = full()
    first = enqueue(accumulate, value=b"v" * 60)
    second = enqueue(accumulate)
    deliver(accumulate)
    accumulate.cancel(first)
    assert accumulate.take_woken() == [second]
    assert first.value is None
    assert complete(accumulate, second) == b"v"


def test_a_cancelled_grant_goes_to_the_next() -> None:
    accumulate = full()
    first, second = enqueue(accumulate), enqueue(accumulate)
    deliver(accumulate)
    assert accumulate.take_woken() == [first]
    accumulate.cancel(first)
    assert accumulate.take_woken() == [second]
    assert complete(accumulate, second) == b"v"


def test_the_last_cancelled_waiter_lets_new_calls_append_at_once_again() -> None:
    accumulate = full()
    pending = enqueue(accumulate, value=b"v" * 60)
    deliver(accumulate)
    accumulate.cancel(pending)
    assert append(accumulate).count == 1


def test_cancelling_what_was_appended_changes_nothing() -> None:
    accumulate = full()
    pending = enqueue(accumulate)
    deliver(accumulate)
    complete(accumulate, pending)
    accumulate.cancel(pending)
    assert pending.state is PendingState.APPENDED
    assert free(accumulate) == 0


def test_a_wait_for_memory_ends_at_its_deadline_with_sizes_in_the_error() -> None:
    accumulate = full()
    pending = enqueue(accumulate, now=1.0, deadline=5.0)
    assert accumulate.deadline() == 5.0
    accumulate.tick(4.999)
    assert accumulate.take_woken() == []
    accumulate.tick(5.0)
    assert accumulate.take_woken() == [pending]
    with pytest.raises(BufferTimeoutError, match=rf"record of {ONE} bytes .*'t'.* within 4.0 s .*buffer_memory=") as e:
        accumulate.complete_append(pending, 5.0, TIMESTAMP)
    assert e.value.elapsed == 4.0
    assert free(accumulate) == 0
    deliver(accumulate)
    assert append(accumulate).count == 1


def test_a_grant_given_in_time_can_be_completed_after_the_deadline() -> None:
    accumulate = full()
    pending = enqueue(accumulate, deadline=5.0)
    deliver(accumulate)
    accumulate.tick(6.0)
    assert complete(accumulate, pending) == b"v"


def test_completing_what_was_not_granted_is_a_bug() -> None:
    accumulate = full()
    pending = enqueue(accumulate)
    with pytest.raises(RuntimeError, match="not granted"):
        accumulate.complete_append(pending, 0.0, TIMESTAMP)


def test_a_waiting_record_without_a_timestamp_gets_the_one_of_its_append() -> None:
    accumulate = full()
    own = enqueue(accumulate)
    none = accumulate.enqueue("t", 0, None, b"v", None, None, 0.0, 60.0, accepted=False)
    deliver(accumulate, 2)
    assert accumulate.complete_append(none, 0.0, TIMESTAMP + 5).timestamps == [TIMESTAMP + 5]
    assert accumulate.complete_append(own, 0.0, TIMESTAMP + 5).timestamps == [TIMESTAMP]


def test_waiting_for_memory_makes_everything_sendable() -> None:
    accumulate = accumulator({"t": [0]}, buffer_memory=3 * ONE, batch_size=500, linger_ms=10_000)
    for _ in range(3):
        append(accumulate)
    assert accumulate.ready_nodes(0.0) == []
    enqueue(accumulate)
    assert accumulate.ready_nodes(0.0) == [0]


def test_a_record_that_is_too_large_is_refused_before_it_waits() -> None:
    accumulate = full()
    with pytest.raises(RecordTooLargeError):
        enqueue(accumulate, value=b"v" * 1000)
    assert accumulate.statistics().waiting_for_memory == 0


def test_a_partitioner_that_raises_hurts_only_its_own_call() -> None:
    def picky(topic: TopicView, key: bytes | None, value: bytes | None) -> int:
        if value == b"1":
            raise LookupError("no idea")
        return 0

    accumulate = full(partitioner=picky)
    waiting = [enqueue(accumulate, partition=None, value=b"%d" % i) for i in range(3)]
    deliver(accumulate, 3)
    assert complete(accumulate, waiting[2]) == b"2"
    assert complete(accumulate, waiting[0]) == b"0"
    with pytest.raises(LookupError, match="no idea"):
        accumulate.complete_append(waiting[1], 0.0, TIMESTAMP)
    assert free(accumulate) == ONE


# ── for a topic ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_call_stands_behind_those_that_wait_for_the_topic() -> None:
    accumulate = accumulator()
    first = enqueue(accumulate, value=b"0")
    accumulate.update_topics(cluster({"t": [0]}), 1.0)
    assert accumulate.appender.try_append("t", None, None, b"1", None, TIMESTAMP, 0.0) is None
    complete(accumulate, first)
    assert append(accumulate, value=b"1").values == [b"0", b"1"]


def test_a_topic_that_stays_unknown_is_told_with_the_last_failure() -> None:
    accumulate = accumulator()
    pending = enqueue(accumulate, deadline=60.0)
    unknown = error_for(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    accumulate.update_topics(cluster({}, errors={"t": unknown}), 1.0)
    assert not pending.is_granted
    assert accumulate.deadline() == 60.0
    accumulate.tick(60.0)
    assert accumulate.take_woken() == [pending]
    with pytest.raises(MetadataTimeoutError, match=r"topic 't' does not exist, .*within 60.0 s .* create it") as e:
        accumulate.complete_append(pending, 60.0, TIMESTAMP)
    assert e.value.__cause__ is unknown
    assert accumulate.deadline() is None


@pytest.mark.parametrize(
    ("error", "told"),
    [(None, ""), (KafkaConnectionError("refused"), "; last failure: refused")],
)
def test_a_topic_that_nobody_could_be_asked_about_is_told_with_the_reason(
    error: KafkaConnectionError | None, told: str
) -> None:
    accumulate = accumulator()
    pending = enqueue(accumulate, deadline=60.0)
    accumulate.update_topics(cluster({}, errors={} if error is None else {"t": error}), 1.0)
    accumulate.tick(60.0)
    with pytest.raises(MetadataTimeoutError) as caught:
        accumulate.complete_append(pending, 60.0, TIMESTAMP)
    text = f"topic 't' was not known within 60.0 s (max_block_ms){told}; check that the brokers can be reached"
    assert str(caught.value) == text


def test_a_partition_that_does_not_appear_is_named_with_the_count_that_is_known() -> None:
    accumulate = accumulator({"t": [0, 0]})
    pending = enqueue(accumulate, partition=9)
    accumulate.tick(60.0)
    with pytest.raises(MetadataTimeoutError, match=r"partition 9 of topic 't' did not appear.* has 2 partitions") as e:
        accumulate.complete_append(pending, 60.0, TIMESTAMP)
    assert e.value.partition == 9


def test_a_cancelled_wait_for_a_topic_leaves_nothing_behind() -> None:
    accumulate = accumulator()
    pending = enqueue(accumulate)
    accumulate.cancel(pending)
    assert accumulate.take_wanted_topics() == set()
    assert accumulate.busy_topics() == []
    assert accumulate.deadline() is None
    accumulate.update_topics(cluster({"t": [0]}), 1.0)
    assert accumulate.take_woken() == []
    assert append(accumulate).count == 1


def test_wait_for_topic_ends_at_its_deadline() -> None:
    accumulate = accumulator()
    waiting = accumulate.wait_for_topic("t", 0.0, 60.0)
    accumulate.tick(60.0)
    assert accumulate.take_woken() == [waiting]
    assert isinstance(waiting.error, MetadataTimeoutError)


def test_an_abandoned_wait_for_a_topic_is_forgotten() -> None:
    accumulate = accumulator()
    accumulate.abandon_topic(accumulate.wait_for_topic("t", 0.0, 60.0))
    accumulate.tick(60.0)
    assert (accumulate.take_woken(), accumulate.busy_topics()) == ([], [])


# ── accepted without waiting ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_accepted_record_is_charged_at_once_and_appended_in_order_when_the_topic_is_known() -> None:
    accumulate = accumulator()
    accepted = enqueue(accumulate, value=b"0", accepted=True)
    assert free(accumulate) == 33554432 - ONE
    waiting = enqueue(accumulate, value=b"1")
    last = enqueue(accumulate, value=b"2", accepted=True)
    accumulate.update_topics(cluster({"t": [0]}), 1.0)
    assert accumulate.take_woken() == [waiting]
    assert accepted.batch is not None
    assert last.batch is None
    complete(accumulate, waiting)
    assert last.batch is accepted.batch
    assert accepted.batch.values == [b"0", b"1", b"2"]
    assert [pending.index for pending in (accepted, waiting, last)] == [0, 1, 2]
    assert free(accumulate) == 33554432 - 3 * ONE


def test_an_accepted_record_does_not_pass_a_grant_that_is_not_completed() -> None:
    accumulate = full()
    granted = enqueue(accumulate, value=b"0")
    deliver(accumulate, 3)
    accepted = enqueue(accumulate, value=b"1", accepted=True)
    assert accepted.batch is None
    accumulate.cancel(granted)
    assert accepted.batch is not None


def test_waiters_and_callbacks_of_an_accepted_record_move_to_its_batch() -> None:
    accumulate = accumulator()
    enqueue(accumulate, value=b"0", accepted=True)
    pending = enqueue(accumulate, value=b"1", accepted=True)
    pending.waiters = [(0, "task")]
    pending.callbacks = [(0, "first"), (0, "second")]
    accumulate.update_topics(cluster({"t": [0]}), 1.0)
    assert pending.batch is not None
    assert pending.batch.waiters == [(1, "task")]
    assert pending.batch.callbacks == [(1, "first"), (1, "second")]


def test_an_accepted_record_whose_topic_stays_unknown_fails_and_frees_its_memory() -> None:
    accumulate = accumulator()
    pending = enqueue(accumulate, accepted=True, deadline=60.0)
    ticket = accumulate.begin_flush(0.0)
    accumulate.tick(60.0)
    assert set(accumulate.take_woken()) == {pending, ticket}
    assert isinstance(pending.error, MetadataTimeoutError)
    assert free(accumulate) == 33554432
    assert accumulate.is_empty


def test_no_room_means_buffer_full_for_what_cannot_wait() -> None:
    accumulate = full()
    with pytest.raises(BufferFullError, match=rf"no room for a record of {ONE} bytes \(topic 't'\): 0 of"):
        enqueue(accumulate, accepted=True)


def test_others_who_wait_for_room_mean_buffer_full_even_if_it_would_fit() -> None:
    accumulate = full()
    enqueue(accumulate, value=b"v" * 60)
    deliver(accumulate)
    with pytest.raises(BufferFullError, match="1 call waits for room"):
        enqueue(accumulate, accepted=True)
    assert free(accumulate) == ONE


def test_an_accepted_record_whose_partitioner_raises_fails_through_its_entry() -> None:
    def broken(topic: TopicView, key: bytes | None, value: bytes | None) -> int:
        raise LookupError("no idea")

    accumulate = accumulator(partitioner=broken)
    pending = enqueue(accumulate, partition=None, accepted=True)
    accumulate.update_topics(cluster({"t": [0]}), 1.0)
    assert accumulate.take_woken() == [pending]
    assert isinstance(pending.error, KafkaError)
    assert isinstance(pending.error.__cause__, LookupError)
    assert free(accumulate) == 33554432
    assert accumulate.is_empty


# ── closed, idle, many ───────────────────────────────────────────────────────────────────────────────────────────────


def test_closing_fails_those_who_wait_and_new_calls_but_keeps_what_was_accepted() -> None:
    accumulate = full()
    accepted = accumulator()
    memory, topic, lookup = (
        enqueue(accumulate),
        enqueue(accumulate, "new"),
        accumulate.wait_for_topic("new", 0.0, 60.0),
    )
    error = ProducerClosedError("closed")
    accumulate.close(error)
    assert set(accumulate.take_woken()) == {memory, topic, lookup}
    for pending in (memory, topic):
        with pytest.raises(ProducerClosedError):
            accumulate.complete_append(pending, 0.0, TIMESTAMP)
    assert accumulate.appender.try_append("t", 0, None, b"v", None, TIMESTAMP, 0.0) is None
    for accept in (True, False):
        with pytest.raises(ProducerClosedError):
            enqueue(accumulate, accepted=accept)
    with pytest.raises(ProducerClosedError):
        accumulate.wait_for_topic("t", 0.0, 60.0)

    pending = enqueue(accepted, accepted=True)
    accepted.close(error)
    assert pending.error is None
    accepted.update_topics(cluster({"t": [0]}), 1.0)
    assert pending.batch is not None
    assert accepted.appender.try_append("t", 0, None, b"v", None, TIMESTAMP, 0.0) is None


def test_a_grant_that_was_not_completed_before_close_is_lost() -> None:
    accumulate = full()
    pending = enqueue(accumulate)
    deliver(accumulate)
    accumulate.close(ProducerClosedError("closed"))
    with pytest.raises(ProducerClosedError):
        accumulate.complete_append(pending, 0.0, TIMESTAMP)
    assert free(accumulate) == ONE


def test_a_hundred_thousand_waits_cost_nothing_until_they_are_due() -> None:
    accumulate = accumulator()
    waiting = [enqueue(accumulate, partition=None, deadline=60.0 + i) for i in range(100_000)]
    for _ in range(2000):  # would take minutes if a poll looked at each
        accumulate.tick(1.0)
        assert accumulate.ready_nodes(1.0) == []
        assert accumulate.deadline() == 60.0
    for pending in waiting:
        accumulate.cancel(pending)
    assert accumulate.deadline() is None


def test_waits_that_ended_early_do_not_pile_up_until_their_deadline() -> None:
    accumulate = accumulator()
    for _ in range(20_000):
        accumulate.cancel(enqueue(accumulate))
    assert len(accumulate._wait_queue._deadlines._heap) < 2000  # pyright: ignore[reportPrivateUsage]
