"""What can be sent and when, and what becomes of a batch."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from aioproducer._core.accumulator.accumulator import BATCHES_AT_ONCE
from aioproducer._core.accumulator.batch import BatchState, ProducerBatch
from aioproducer._records.record_headers import NO_HEADERS
from aioproducer.errors import DeliveryTimeoutError, KafkaError, ProducerClosedError
from tests.unit._core.accumulators import (
    TIMESTAMP,
    accumulator,
    append,
    charge_of,
    cluster,
    drain,
    enqueue,
    free,
    split,
)

if TYPE_CHECKING:
    from aioproducer._core.accumulator.accumulator import Accumulator

TOTAL = 33554432


def numbered(batch: ProducerBatch, sequence: int) -> ProducerBatch:
    """Give a batch a sequence, as the sender does after drain."""
    batch.producer_id, batch.producer_epoch, batch.base_sequence = 7, 0, sequence
    return batch


def one_each(of: Accumulator, count: int, partition: int = 0) -> list[ProducerBatch]:
    """Append records that get a batch each (batch_size=0)."""
    return [append(of, partition=partition, value=b"%d" % i) for i in range(count)]


# ── ready ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_open_batch_lingers_from_its_creation_on() -> None:
    accumulate = accumulator({"t": [0]}, linger_ms=10)
    append(accumulate, now=1.0)
    append(accumulate, now=1.009)
    assert accumulate.ready_nodes(1.009) == []
    assert accumulate.deadline() == pytest.approx(1.010)
    assert accumulate.ready_nodes(1.0101) == [0]
    assert accumulate.ready_nodes(1.0101) == [0]


def test_the_next_check_is_at_the_smallest_remaining_linger_of_all_brokers() -> None:
    accumulate = accumulator({"t": [0, 1, 2]}, linger_ms=10)
    for partition, now in ((0, 1.0), (1, 1.004), (2, 1.008)):
        append(accumulate, partition=partition, now=now)
    assert accumulate.ready_nodes(1.0101) == [0]
    assert accumulate.deadline() == pytest.approx(1.014)


def test_a_full_batch_makes_its_broker_ready_at_once() -> None:
    accumulate = accumulator({"t": [0, 1]}, linger_ms=1000, batch_size=200)
    append(accumulate, partition=1, value=b"v" * 100)
    assert accumulate.ready_nodes(0.0) == []
    append(accumulate, partition=1, value=b"v" * 100)  # does not fit, and closes the first
    assert accumulate.ready_nodes(0.0) == [1]


def test_without_linger_a_record_can_be_sent_at_once() -> None:
    accumulate = accumulator({"t": [0]}, linger_ms=0)
    append(accumulate, now=5.0)
    assert accumulate.ready_nodes(5.0) == [0]


def test_an_open_batch_that_has_lingered_takes_records_until_it_is_drained() -> None:
    accumulate = accumulator({"t": [0]}, linger_ms=10)
    batch = append(accumulate, now=0.0)
    accumulate.ready_nodes(1.0)
    assert append(accumulate, partition=None, now=1.0) is batch
    assert drain(accumulate, now=1.0) == [batch]
    assert append(accumulate, partition=None, now=1.0) is not batch


def test_a_partition_without_a_leader_is_told_and_waits() -> None:
    accumulate = accumulator({"t": [-1], "u": [0]}, linger_ms=0)
    batch = append(accumulate)
    assert accumulate.ready_nodes(0.0) == []
    assert set(accumulate.leaderless_topics) == {"t"}
    accumulate.update_topics(cluster({"t": [1], "u": [0]}), 1.0)
    assert set(accumulate.leaderless_topics) == set()
    assert accumulate.ready_nodes(1.0) == [1]
    assert drain(accumulate, 1) == [batch]


def test_a_leader_that_is_no_known_broker_is_none() -> None:
    accumulate = accumulator({"t": [2]}, linger_ms=0)
    append(accumulate)
    accumulate.update_topics(cluster({"t": [2]}, brokers=(0, 1)), 1.0)
    assert set(accumulate.leaderless_topics) == {"t"}


def test_queues_follow_their_leader() -> None:
    accumulate = accumulator({"t": [0]}, linger_ms=0)
    batch = append(accumulate)
    accumulate.update_topics(cluster({"t": [2]}, epochs=[1]), 1.0)
    assert accumulate.ready_nodes(1.0) == [2]
    assert drain(accumulate, 0) == []
    assert drain(accumulate, 2) == [batch]


def test_an_idle_accumulator_has_no_deadline() -> None:
    accumulate = accumulator({"t": [0] * 500}, linger_ms=5)
    batches = [append(accumulate, partition=p) for p in range(500)]
    assert set(drain(accumulate)) == set(batches)
    for batch in batches:
        accumulate.complete(batch, base_offset=0)
    assert accumulate.deadline() is None
    assert accumulate.ready_nodes(10.0) == []
    assert accumulate.is_empty


# ── drain ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_drain_takes_the_first_batch_of_each_partition_and_one_that_lingers_if_it_is_half_full_or_half_over() -> None:
    accumulate = accumulator({"t": [0, 0, 0, 0, 1]}, linger_ms=1000, batch_size=200)
    old = append(accumulate, partition=3, now=0.0)
    first = append(accumulate, value=b"v" * 500, now=0.4)
    append(accumulate, now=0.4)
    half_full = append(accumulate, partition=1, value=b"v" * 100, now=0.4)
    young = append(accumulate, partition=2, now=0.4)
    elsewhere = append(accumulate, partition=4, now=0.4)
    assert drain(accumulate, now=0.5) == [old, first, half_full]
    assert (young.state, elsewhere.state) == (BatchState.OPEN, BatchState.OPEN)
    assert first.last_node == 0


def test_drain_takes_what_is_young_when_there_is_nothing_else_or_something_waits_for_it() -> None:
    accumulate = accumulator({"t": [0, 0]}, linger_ms=1000, batch_size=200)
    young = append(accumulate)
    assert drain(accumulate) == [young]
    full = append(accumulate, value=b"v" * 500)
    young = append(accumulate, partition=1)
    accumulate.begin_flush(0.0)
    assert drain(accumulate) == [full, young]


def test_what_is_drained_is_in_flight_and_takes_no_more_records() -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate, partition=None)
    closed = accumulate.appender.closed_batches
    drain(accumulate)
    assert accumulate.appender.closed_batches == closed + 1
    assert (batch.state, batch.is_queued) == (BatchState.IN_FLIGHT, False)
    assert append(accumulate, partition=None) is not batch


def test_max_size_bounds_a_request_but_never_to_nothing() -> None:
    accumulate = accumulator({"t": [0, 0, 0]}, batch_size=0)
    batches = [append(accumulate, partition=p, value=b"v" * 1000) for p in range(3)]
    assert drain(accumulate, max_size=10) == batches[:1]
    assert drain(accumulate, max_size=3000) == batches[1:]


def test_a_request_has_a_bounded_number_of_batches_however_small_they_are() -> None:
    count = 2 * BATCHES_AT_ONCE + 1
    accumulate = accumulator({"t": [0] * count}, batch_size=0)
    batches = [append(accumulate, partition=partition) for partition in range(count)]
    assert drain(accumulate) == batches[:BATCHES_AT_ONCE]
    assert drain(accumulate) == batches[BATCHES_AT_ONCE:-1]
    assert drain(accumulate) == batches[-1:]


def test_a_small_request_size_serves_all_partitions_in_turn() -> None:
    accumulate = accumulator({"t": [0, 0, 0]}, batch_size=0)
    for partition in range(3):
        one_each(accumulate, 4, partition)
    order = [batch.partition for _ in range(12) for batch in drain(accumulate, max_size=10)]
    assert order == [0, 1, 2] * 4


def test_a_partition_that_may_not_be_sent_is_passed_over_without_starving_others() -> None:
    accumulate = accumulator({"t": [0, 0, 0]}, batch_size=0)
    for partition in range(3):
        one_each(accumulate, 3, partition)
    taken = [
        batch.partition for _ in range(6) for batch in accumulate.drain(0, 0.0, 10, lambda batch: batch.partition != 0)
    ]
    assert taken == [1, 2] * 3
    assert accumulate.drain(0, 0.0, 10, lambda batch: batch.partition != 0) == []
    assert accumulate.ready_nodes(0.0) == [0]
    assert len(drain(accumulate)) == 1


def test_a_broker_that_leads_nothing_has_nothing_to_drain() -> None:
    accumulate = accumulator({"t": [0]})
    append(accumulate)
    assert drain(accumulate, 1) == []
    assert drain(accumulate, 99) == []


def test_a_broker_stays_ready_as_long_as_something_can_be_sent() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=0)
    one_each(accumulate, 2)
    drain(accumulate)
    assert accumulate.ready_nodes(0.0) == [0]
    drain(accumulate)
    assert accumulate.ready_nodes(0.0) == []


def test_the_batch_behind_the_drained_one_lingers_for_itself() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=200, linger_ms=100)
    append(accumulate, value=b"v" * 500)
    append(accumulate, now=0.05)
    drain(accumulate, now=0.05)
    assert accumulate.ready_nodes(0.149) == []
    assert accumulate.ready_nodes(0.151) == [0]


def test_draining_one_of_ten_thousand_partitions_does_not_look_at_the_others() -> None:
    accumulate = accumulator({"t": [0] + [1] * 9_999}, batch_size=0)
    for partition in range(1, 10_000):
        append(accumulate, partition=partition)
    for _ in range(3000):  # would take many seconds if a poll looked at each partition
        append(accumulate)
        assert 0 in accumulate.ready_nodes(0.0)
        (batch,) = drain(accumulate)
        accumulate.complete(batch, base_offset=0)


# ── requeue ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_requeued_batch_is_first_again_and_waits_for_its_backoff() -> None:
    accumulate = accumulator({"t": [0, 0]}, batch_size=0)
    first, second = one_each(accumulate, 2)
    drain(accumulate)
    accumulate.requeue(first, 1.0, 1.1)
    assert (first.state, first.attempts, first.retry_at) == (BatchState.SEALED, 1, 1.1)
    assert accumulate.ready_nodes(1.05) == []
    assert drain(accumulate, now=1.05) == []
    assert accumulate.deadline() == 1.1
    assert accumulate.ready_nodes(1.1) == [0]
    assert drain(accumulate, now=1.1) == [first]
    assert drain(accumulate, now=1.1) == [second]


def test_a_partition_that_backs_off_does_not_hold_up_its_broker() -> None:
    accumulate = accumulator({"t": [0, 0]}, batch_size=0)
    batch = append(accumulate)
    drain(accumulate)
    accumulate.requeue(batch, 1.0, 2.0)
    other = append(accumulate, partition=1, now=1.0)
    assert accumulate.ready_nodes(1.0) == [0]
    assert drain(accumulate, now=1.0) == [other]


def test_hurry_does_not_end_a_backoff() -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate)
    drain(accumulate)
    accumulate.requeue(batch, 1.0, 2.0)
    accumulate.begin_flush(1.0)
    assert accumulate.ready_nodes(1.5) == []
    assert accumulate.ready_nodes(2.0) == [0]


def test_a_newer_leader_ends_a_backoff_once() -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate)
    drain(accumulate)
    accumulate.requeue(batch, 1.0, 2.0)
    accumulate.update_topics(cluster({"t": [1]}, epochs=[5]), 1.1)
    assert accumulate.ready_nodes(1.1) == [1]
    drain(accumulate, 1, 1.1)
    accumulate.requeue(batch, 1.2, 3.0)
    assert accumulate.ready_nodes(1.2) == []
    assert accumulate.ready_nodes(3.0) == [1]


def test_a_newer_leader_known_before_the_failure_is_tried_at_once() -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate)
    drain(accumulate)
    accumulate.update_topics(cluster({"t": [1]}, epochs=[5]), 1.0)
    accumulate.requeue(batch, 1.1, 2.0)
    assert accumulate.ready_nodes(1.1) == [1]


def test_a_leader_without_a_newer_epoch_does_not_end_a_backoff() -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate)
    drain(accumulate)
    accumulate.requeue(batch, 1.0, 2.0)
    accumulate.update_topics(cluster({"t": [1]}, epochs=[0]), 1.1)
    assert accumulate.ready_nodes(1.1) == []
    assert accumulate.ready_nodes(2.0) == [1]


@pytest.mark.parametrize("start", [0, 2**31 - 2])
def test_batches_with_sequences_are_put_back_in_the_order_of_the_sequences(start: int) -> None:
    accumulate = accumulator({"t": [0]}, batch_size=0)
    batches = one_each(accumulate, 5)
    for offset, batch in enumerate(batches[:4]):
        drain(accumulate)
        numbered(batch, (start + offset) % 2**31)
    for batch in (batches[2], batches[0], batches[3], batches[1]):
        accumulate.requeue(batch, 1.0, 1.0)
    assert [drain(accumulate, now=1.0) for _ in range(5)] == [[batch] for batch in batches]


def test_a_requeued_batch_keeps_its_memory_and_its_age() -> None:
    accumulate = accumulator({"t": [0]}, delivery_timeout_ms=1000, linger_ms=0)
    batch = append(accumulate, now=0.5)
    drain(accumulate, now=0.5)
    accumulate.requeue(batch, 1.0, 1.0)
    assert free(accumulate) == TOTAL - charge_of(1)
    assert accumulate.expire(1.5) == [batch]


def test_a_batch_that_is_not_in_flight_cannot_be_requeued() -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate)
    with pytest.raises(RuntimeError, match="REQUEUE"):
        accumulate.requeue(batch, 1.0, 1.0)


# ── complete ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_delivered_batch_has_its_offset_and_frees_its_memory_and_payload() -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate)
    drain(accumulate)
    batch.encoded = b"bytes"
    accumulate.complete(batch, base_offset=42, log_append_time_ms=7)
    assert (batch.state, batch.base_offset, batch.log_append_time_ms) == (BatchState.DONE, 42, 7)
    assert [batch.error, batch.encoded] == [None, None]
    assert (batch.values, batch.timestamps) == ([], [TIMESTAMP])
    assert free(accumulate) == TOTAL


def test_records_can_have_errors_of_their_own() -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate)
    drain(accumulate)
    others, own = KafkaError("others"), KafkaError("own")
    accumulate.fail(batch, others, record_errors={0: own})
    assert (batch.error, batch.record_errors) == (others, {0: own})


@pytest.mark.parametrize(
    ("base_offset", "log_append_time_ms", "expected"), [(42, -1, 42), (0, -1, 0), (-1, -1, -1), (42, 7, -1)]
)
def test_the_plain_offset_is_that_of_records_of_which_there_is_nothing_else_to_say(
    base_offset: int, log_append_time_ms: int, expected: int
) -> None:
    accumulate = accumulator({"t": [0]}, batch_size=0)
    append(accumulate)
    [batch] = drain(accumulate)
    assert batch.plain_base_offset == -1
    accumulate.complete(batch, base_offset, log_append_time_ms)
    assert batch.plain_base_offset == expected


@pytest.mark.parametrize("possibly_written", [False, True])
def test_the_error_says_what_the_batch_says_of_being_written(possibly_written: bool) -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate)
    drain(accumulate)
    batch.possibly_written = possibly_written
    shared = KafkaError("closed", possibly_written=not possibly_written)
    accumulate.fail_all(shared)
    assert batch.error is not None
    assert (str(batch.error), batch.error.possibly_written) == ("closed", possibly_written)
    assert shared.possibly_written is not possibly_written
    assert batch.plain_base_offset == -1


def test_a_second_outcome_of_a_delivered_batch_is_a_bug() -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate)
    drain(accumulate)
    accumulate.complete(batch, base_offset=1)
    with pytest.raises(RuntimeError, match="has its outcome already"):
        accumulate.complete(batch, base_offset=2)
    with pytest.raises(RuntimeError, match="has its outcome already"):
        accumulate.fail(batch, KafkaError("late"))
    assert batch.base_offset == 1


def test_an_outcome_that_comes_after_a_failure_is_counted_and_changes_nothing() -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate)
    drain(accumulate)
    error = KafkaError("expired")
    accumulate.fail(batch, error)
    accumulate.complete(batch, base_offset=2)
    assert (batch.error, batch.base_offset, accumulate.late_outcomes) == (error, -1, 1)
    assert free(accumulate) == TOTAL


def test_a_queued_batch_can_be_given_its_outcome() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=0)
    first, second = one_each(accumulate, 2)
    accumulate.fail(first, KafkaError("no"))
    assert drain(accumulate) == [second]


# ── expire ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_expires_at_exactly_its_age_limit_counted_from_its_creation() -> None:
    accumulate = accumulator({"t": [0]}, delivery_timeout_ms=1000, linger_ms=500)
    batch = append(accumulate, now=1.0)
    append(accumulate, now=1.4)
    accumulate.ready_nodes(1.6)
    assert accumulate.deadline() == 2.0
    assert accumulate.expire(1.999) == []
    assert accumulate.expire(2.0) == [batch]
    assert drain(accumulate, now=2.0) == []


def fail(of: Accumulator, batches: list[ProducerBatch]) -> None:
    for batch in batches:
        of.fail(batch, DeliveryTimeoutError("late"))


def test_queued_and_in_flight_batches_expire_oldest_first() -> None:
    accumulate = accumulator({"t": [0, 1]}, delivery_timeout_ms=1000, batch_size=0)
    in_flight, queued = append(accumulate, now=0.0), append(accumulate, partition=1, now=0.1)
    young = append(accumulate, partition=1, now=0.9)
    drain(accumulate, now=0.1)
    assert accumulate.expire(1.2) == [in_flight, queued]
    fail(accumulate, [in_flight, queued])
    assert accumulate.expire(1.2) == []
    assert drain(accumulate, 1, now=1.2) == [young]


def test_expired_in_flight_batches_keep_their_memory_until_the_wire_is_done_with_them() -> None:
    accumulate = accumulator({"t": [0]}, delivery_timeout_ms=1000, linger_ms=0)
    append(accumulate)
    drain(accumulate)
    (batch,) = accumulate.expire(1.0)
    fail(accumulate, [batch])
    assert free(accumulate) == TOTAL - charge_of(1)
    accumulate.release(batch)
    accumulate.release(batch)
    assert free(accumulate) == TOTAL


def test_expired_queued_batches_free_their_memory_at_once() -> None:
    accumulate = accumulator({"t": [0]}, delivery_timeout_ms=1000, linger_ms=0)
    append(accumulate)
    fail(accumulate, accumulate.expire(1.0))
    assert free(accumulate) == TOTAL


def test_a_batch_that_may_not_be_sent_or_backs_off_expires_too() -> None:
    accumulate = accumulator({"t": [0, -1]}, delivery_timeout_ms=1000, linger_ms=0)
    retried = append(accumulate)
    drain(accumulate)
    accumulate.requeue(retried, 0.5, 100.0)
    leaderless = append(accumulate, partition=1, now=0.0)
    fail(accumulate, expired := accumulate.expire(1.0))
    assert expired == [retried, leaderless]
    assert accumulate.deadline() is None
    assert set(accumulate.leaderless_topics) == set()


def test_the_largest_delivery_timeout_never_expires_early() -> None:
    accumulate = accumulator({"t": [0]}, delivery_timeout_ms=2**31 - 1, linger_ms=0)
    append(accumulate, now=1e6)
    assert accumulate.expire(1e6 + 2e6) == []


# ── split ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_split_keeps_order_age_sequences_and_memory() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=10_000, delivery_timeout_ms=1000, linger_ms=0)
    batch = append(accumulate, value=b"0" * 1000, key=b"k", headers=(("h", b"x"),))
    for i in range(1, 8):
        append(accumulate, value=b"%d" % i * 1000)
    later = append(accumulate, value=b"9" * 5000)
    before = free(accumulate)
    drain(accumulate)
    numbered(batch, 2**31 - 3)
    values, keys, headers = batch.values, batch.keys, batch.headers
    parts = split(accumulate, batch, 0.5)
    assert len(parts) > 1
    assert [value for part in parts for value in part.values] == values
    assert [key for part in parts for key in part.keys or [None] * part.count] == keys
    assert [h for part in parts for h in part.headers or [NO_HEADERS] * part.count] == headers
    firsts = [sum(part.count for part in parts[:i]) for i in range(len(parts))]
    assert batch.split_into == list(zip(firsts, parts, strict=True))
    assert [part.base_sequence for part in parts] == [(2**31 - 3 + first) % 2**31 for first in firsts]
    assert {(part.attempts, part.created_at, part.producer_id) for part in parts} == {(0, batch.created_at, 7)}
    assert (batch.state, batch.charged, free(accumulate)) == (BatchState.DONE, 0, before)
    assert [drain(accumulate) for _ in range(len(parts) + 1)] == [[part] for part in (*parts, later)]
    for done in (*parts, later):
        accumulate.complete(done, base_offset=0)
    assert free(accumulate) == TOTAL
    assert accumulate.is_empty


def test_parts_of_a_split_expire_with_the_age_of_what_was_split() -> None:
    accumulate = accumulator({"t": [0]}, delivery_timeout_ms=1000, linger_ms=0)
    batch = append(accumulate, now=0.0)
    append(accumulate, now=0.0)
    drain(accumulate)
    young = append(accumulate, now=0.9)
    parts = split(accumulate, batch, 0.9)
    accumulate.ready_nodes(0.9)
    assert accumulate.deadline() == 1.0
    assert set(accumulate.expire(1.0)) == set(parts)
    fail(accumulate, parts)
    assert accumulate.expire(1.0) == []
    assert drain(accumulate, now=1.0) == [young]


def test_flush_waits_for_the_parts_of_a_split() -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate)
    append(accumulate)
    drain(accumulate)
    ticket = accumulate.begin_flush(0.0)
    parts = split(accumulate, batch, 0.0)
    assert not ticket.done
    for part in parts:
        drain(accumulate)
        accumulate.complete(part, base_offset=0)
    assert ticket.done


def test_a_split_makes_the_estimate_pessimistic() -> None:
    accumulate = accumulator({"t": [0]}, compression_type="zstd")
    batch = append(accumulate)
    append(accumulate)
    drain(accumulate)
    accumulate.on_encoded(batch, 1000, 300)
    split(accumulate, batch, 0.0)
    drain(accumulate)
    assert append(accumulate).size_factor == pytest.approx(1.05)


# ── flush ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_flush_of_nothing_is_done_at_once() -> None:
    assert accumulator({"t": [0]}).begin_flush(0.0).done


def test_flush_makes_everything_sendable_and_is_done_with_the_last_outcome() -> None:
    accumulate = accumulator({"t": [0, 1]}, linger_ms=10_000)
    first, second = append(accumulate), append(accumulate, partition=1)
    ticket = accumulate.begin_flush(0.0)
    assert accumulate.ready_nodes(0.0) == [0, 1]
    drain(accumulate, 0)
    drain(accumulate, 1)
    accumulate.complete(first, base_offset=0)
    assert (ticket.done, accumulate.take_woken()) == (False, [])
    accumulate.fail(second, KafkaError("failures end it too"))
    assert (ticket.done, accumulate.take_woken()) == (True, [ticket])


def test_flush_does_not_wait_for_what_is_accepted_after_it() -> None:
    accumulate = accumulator({"t": [0]}, linger_ms=10_000)
    before = append(accumulate)
    ticket = accumulate.begin_flush(0.0)
    after = append(accumulate)
    assert after is not before
    drain(accumulate)
    accumulate.complete(before, base_offset=0)
    assert ticket.done


def test_two_flushes_each_wait_for_their_own() -> None:
    accumulate = accumulator({"t": [0]}, linger_ms=10_000)
    first = append(accumulate)
    early = accumulate.begin_flush(0.0)
    second = append(accumulate)
    late = accumulate.begin_flush(0.0)
    drain(accumulate)
    drain(accumulate)
    accumulate.complete(second, base_offset=1)
    assert (early.done, late.done) == (False, False)
    accumulate.complete(first, base_offset=0)
    assert accumulate.take_woken() == [early, late]


def test_flush_waits_for_retries() -> None:
    accumulate = accumulator({"t": [0]})
    batch = append(accumulate)
    ticket = accumulate.begin_flush(0.0)
    drain(accumulate)
    accumulate.requeue(batch, 0.0, 0.0)
    assert not ticket.done
    drain(accumulate)
    accumulate.complete(batch, base_offset=0)
    assert ticket.done


def test_flush_waits_for_accepted_records_whose_topic_is_not_known() -> None:
    accumulate = accumulator(linger_ms=10_000)
    pending = enqueue(accumulate, accepted=True)
    ticket = accumulate.begin_flush(0.0)
    assert not ticket.done
    accumulate.update_topics(cluster({"t": [0]}), 1.0)
    assert not ticket.done
    assert accumulate.ready_nodes(1.0) == [0]
    (batch,) = drain(accumulate)
    assert batch is pending.batch
    accumulate.complete(batch, base_offset=0)
    assert ticket.done


def test_flush_waits_for_the_batch_that_an_accepted_record_came_into_late() -> None:
    accumulate = accumulator({"t": [0]}, linger_ms=10_000)
    accepted = enqueue(accumulate, partition=1, accepted=True)
    ticket = accumulate.begin_flush(0.0)
    accumulate.update_topics(cluster({"t": [0, 0]}), 1.0)
    batch = append(accumulate, partition=1, now=1.0)
    assert accepted.batch is batch
    drain(accumulate)
    accumulate.complete(batch, base_offset=0)
    assert ticket.done


def test_an_ended_flush_no_longer_hurries() -> None:
    accumulate = accumulator({"t": [0]}, linger_ms=10_000)
    append(accumulate)
    ticket = accumulate.begin_flush(0.0)
    drain(accumulate)
    append(accumulate)
    accumulate.end_flush(ticket)
    assert accumulate.ready_nodes(0.0) == []
    accumulate.end_flush(ticket)


# ── close, abort ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_close_makes_everything_sendable() -> None:
    accumulate = accumulator({"t": [0]}, linger_ms=10_000)
    append(accumulate)
    accumulate.close(ProducerClosedError("closed"))
    assert accumulate.ready_nodes(0.0) == [0]


def test_fail_all_fails_queued_in_flight_and_waiting_and_ends_flushes() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=0, buffer_memory=3 * charge_of(1))
    in_flight, queued = one_each(accumulate, 2)
    drain(accumulate)
    held = enqueue(accumulate, "new", accepted=True)
    waiting = enqueue(accumulate)
    ticket = accumulate.begin_flush(0.0)
    error = ProducerClosedError("closed")
    assert accumulate.fail_all(error) == [in_flight, queued]
    assert all(entry.error is error for entry in (in_flight, queued, held, waiting))
    assert set(accumulate.take_woken()) == {held, waiting, ticket}
    assert accumulate.is_empty
    assert accumulate.deadline() is None
    assert free(accumulate) == 2 * charge_of(1)
    accumulate.release(in_flight)
    assert free(accumulate) == 3 * charge_of(1)


def test_failing_what_is_queued_spares_what_is_in_flight() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=0)
    in_flight, queued = one_each(accumulate, 2)
    drain(accumulate)
    assert accumulate.fail_queued(KafkaError("no")) == [queued]
    assert in_flight.state is BatchState.IN_FLIGHT
    assert free(accumulate) == TOTAL - charge_of(1)


def test_statistics_count_what_is_held() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=0, buffer_memory=charge_of(1))
    append(accumulate)
    enqueue(accumulate)
    enqueue(accumulate, "new")
    found = accumulate.statistics()
    assert (found.buffer_total_bytes, found.buffer_available_bytes) == (charge_of(1), 0)
    assert (found.batches, found.waiting_for_topic, found.waiting_for_memory) == (1, 1, 1)
    assert (found.closed_batches, found.split_batches, found.late_outcomes) == (1, 0, 0)


@pytest.mark.parametrize("share_of_bad", [0.01, 0.3, 0.7, 0.99])
def test_few_batches_turn_out_too_large_when_some_records_compress_badly(share_of_bad: float) -> None:
    rng = random.Random(5)
    batch_size = 10_000
    accumulate = accumulator({"t": [0]}, batch_size=batch_size, compression_type="zstd", linger_ms=10_000)
    bad: dict[bytes, bool] = {}
    batches = split = 0
    for number in range(40_000):
        value = b"%06d" % number + b"v" * 94
        bad[value] = rng.random() < share_of_bad
        append(accumulate, partition=None, value=value)
        for batch in drain(accumulate) if accumulate.ready_nodes(0.0) else []:
            encoded = 61 + sum(int(109 * (0.9 if bad.pop(v or b"") else 0.3)) for v in batch.values)
            accumulate.on_encoded(batch, batch.size - 61, encoded - 61)
            batches += 1
            split += encoded > batch_size
            accumulate.complete(batch, base_offset=0)
    assert batches > 100
    assert split < batches / 10
