"""Numbers are given once, in order, and never twice to what may have been written."""

from __future__ import annotations

import pytest

from aioproducer._core.accumulator.batch import (
    MAX_SEQUENCE,
    BatchState,
    ProducerBatch,
    sequence_after,
    sequence_distance,
)
from aioproducer._core.produce.sequences import FORGOTTEN_MAX, MAX_PRODUCER_EPOCH, Sequences


class Partition:
    """One partition's batches, moved by hand through the states that the accumulator would move them through."""

    def __init__(self, *, epoch: int = 0, partition: int = 0, sequences: Sequences | None = None) -> None:
        self.partition = partition
        if sequences is None:
            sequences = Sequences(is_enabled=True)
            sequences.set_producer_id(7, epoch)
        self.sequences = sequences

    def batch(self, count: int = 1) -> ProducerBatch:
        batch = ProducerBatch("t", self.partition, 0.0)
        batch.count = count
        batch.state = BatchState.SEALED
        return batch

    def send(self, batch: ProducerBatch) -> ProducerBatch:
        assert self.sequences.can_send(batch)
        self.sequences.assign(batch)
        batch.state = BatchState.IN_FLIGHT
        batch.possibly_written = True
        return batch

    def sent(self, count: int = 1) -> ProducerBatch:
        return self.send(self.batch(count))

    def deliver(self, batch: ProducerBatch) -> None:
        batch.state = BatchState.DONE
        self.sequences.on_delivered(batch)

    def refuse(self, batch: ProducerBatch, *, in_doubt: bool = False) -> bool:
        """The broker answers OUT_OF_ORDER_SEQUENCE_NUMBER; the batch is queued again."""
        batch.state = BatchState.SEALED
        batch.possibly_written = in_doubt
        return self.sequences.on_out_of_order(batch)

    def lose(self, batch: ProducerBatch) -> None:
        """The connection breaks; the batch is queued again."""
        batch.state = BatchState.SEALED

    def fail(self, batch: ProducerBatch, *, possibly_written: bool) -> None:
        batch.state = BatchState.DONE
        batch.possibly_written = possibly_written
        self.sequences.on_failed(batch)

    def started(self) -> Partition:
        """Have the first batch of the epoch acknowledged, so that five may be in flight."""
        self.deliver(self.sent())
        return self


def stamp(batch: ProducerBatch) -> tuple[int, int, int]:
    return batch.producer_id, batch.producer_epoch, batch.base_sequence


@pytest.mark.parametrize(
    ("sequence", "count", "expected"),
    [(0, 1, 1), (5, 10, 15), (MAX_SEQUENCE, 1, 0), (MAX_SEQUENCE - 1, 3, 1), (-1, 1, 0)],
)
def test_after_the_largest_sequence_comes_zero(sequence: int, count: int, expected: int) -> None:
    assert sequence_after(sequence, count) == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(0, 5, 5), (5, 0, -5), (MAX_SEQUENCE, 0, 1), (1, MAX_SEQUENCE, -2), (3, 3, 0)]
)
def test_distance_counts_over_the_wrap(start: int, end: int, expected: int) -> None:
    assert sequence_distance(start, end) == expected


def test_numbers_count_records_and_survive_a_retry() -> None:
    p = Partition()
    first = p.sent(3)
    p.lose(first)
    p.send(first)
    p.deliver(first)
    assert stamp(first) == (7, 0, 0)
    assert stamp(p.sent(2)) == (7, 0, 3)


def test_partitions_count_on_their_own() -> None:
    p = Partition().started()
    q = Partition(partition=1, sequences=p.sequences)
    assert q.sent().base_sequence == 0


def test_numbers_go_on_at_zero_after_the_largest() -> None:
    p = Partition()
    first = p.sent(MAX_SEQUENCE)  # 0 to MAX - 1
    p.deliver(first)
    over = p.sent(3)  # MAX, 0, 1
    assert over.base_sequence == MAX_SEQUENCE
    after = p.sent()
    assert after.base_sequence == 2
    p.deliver(over)
    p.deliver(after)
    assert p.sequences.can_send(p.batch())


def test_without_a_producer_id_nothing_new_is_sent() -> None:
    sequences = Sequences(is_enabled=True)
    assert sequences.needs_producer_id
    assert not sequences.can_send(Partition(sequences=sequences).batch())


def test_without_idempotence_everything_may_go_and_has_no_number() -> None:
    sequences = Sequences(is_enabled=False)
    p = Partition(sequences=sequences)
    batch = p.sent()
    p.fail(batch, possibly_written=True)
    assert not sequences.needs_producer_id
    assert batch.base_sequence == -1
    assert sequences.close_gaps() == []
    assert p.sent().base_sequence == -1


def test_one_batch_is_in_flight_until_the_first_acknowledgement() -> None:
    p = Partition()
    first = p.sent()
    assert not p.sequences.can_send(p.batch())
    p.deliver(first)
    p.sent()
    p.sent()


def test_at_most_five_batches_of_a_partition_are_in_flight() -> None:
    p = Partition().started()
    batches = [p.sent() for _ in range(5)]
    assert not p.sequences.can_send(p.batch())
    p.deliver(batches[2])
    assert p.sequences.can_send(p.batch())


def test_retried_batches_go_one_at_a_time_lowest_first() -> None:
    p = Partition().started()
    first, second = p.sent(), p.sent()
    p.lose(first)
    p.refuse(second)
    assert not p.sequences.can_send(second)
    p.send(first)
    assert not p.sequences.can_send(second)
    p.deliver(first)
    p.send(second)


def test_collateral_of_a_retry_neither_bumps_nor_waits() -> None:
    p = Partition().started()
    first, second = p.sent(), p.sent()
    p.lose(first)
    assert p.refuse(second)
    assert p.sequences.close_gaps() == []
    assert stamp(second) == (7, 0, 2)


def test_acknowledgements_may_come_in_any_order() -> None:
    p = Partition().started()
    first, second = p.sent(), p.sent()
    p.deliver(second)
    p.deliver(first)
    assert p.sequences.close_gaps() == []
    assert p.sent().base_sequence == 3
    assert p.sequences.epoch_bumps == 0


def test_out_of_order_on_the_expected_batch_bumps_the_epoch_and_numbers_it_anew() -> None:
    p = Partition().started()
    batch = p.sent()
    assert not p.refuse(batch)
    assert not p.sequences.can_send(batch)  # the gap is not closed yet
    assert p.sequences.close_gaps() == []
    assert stamp(batch) == (7, 1, 0)
    p.send(batch)
    p.deliver(batch)
    assert stamp(p.sent()) == (7, 1, 1)


def test_the_bump_waits_until_nothing_of_the_partition_is_on_the_wire() -> None:
    p = Partition().started()
    first, second = p.sent(), p.sent(2)
    p.refuse(first)
    p.sequences.close_gaps()
    assert stamp(second) == (7, 0, 2)
    p.refuse(second)
    p.sequences.close_gaps()
    assert [stamp(b) for b in (first, second)] == [(7, 1, 0), (7, 1, 1)]


def test_a_batch_that_may_be_written_is_never_numbered_anew() -> None:
    p = Partition().started()
    first, second, third = p.sent(), p.sent(), p.sent()
    p.fail(first, possibly_written=False)
    p.lose(second)  # its answer was lost
    p.refuse(third)
    assert p.sequences.close_gaps() == [second]
    assert stamp(second) == (7, 0, 2)
    assert stamp(third) == (7, 1, 0)


def test_a_batch_refused_after_a_lost_answer_still_may_be_written() -> None:
    p = Partition().started()
    batch = p.sent()
    p.lose(batch)
    p.send(batch)
    p.refuse(batch, in_doubt=True)
    assert p.sequences.close_gaps() == [batch]


def test_a_final_refusal_lets_later_batches_go_on_in_a_new_epoch() -> None:
    p = Partition().started()
    first, second = p.sent(), p.sent()
    p.fail(first, possibly_written=False)
    p.refuse(second)
    p.sequences.close_gaps()
    p.send(second)
    assert stamp(second) == (7, 1, 0)


def test_other_partitions_keep_their_epoch_until_they_are_done() -> None:
    p = Partition().started()
    q = Partition(partition=1, sequences=p.sequences).started()
    retried = q.sent()
    q.lose(retried)
    p.fail(p.sent(), possibly_written=False)
    p.sequences.close_gaps()
    assert not q.sequences.can_send(q.batch())
    q.send(retried)
    q.deliver(retried)
    assert stamp(retried) == (7, 0, 1)
    assert stamp(q.sent()) == (7, 1, 0)
    assert stamp(p.sent()) == (7, 1, 0)


def test_a_partition_that_is_behind_joins_the_present_epoch_without_another_bump() -> None:
    p = Partition().started()
    q = Partition(partition=1, sequences=p.sequences).started()
    p.fail(p.sent(), possibly_written=False)
    q.fail(q.sent(), possibly_written=False)
    p.sequences.close_gaps()
    assert (p.sequences.epoch_bumps, p.sequences.producer_epoch) == (1, 1)


def test_an_expired_batch_blocks_new_ones_while_later_ones_are_outstanding() -> None:
    p = Partition().started()
    first, second = p.sent(), p.sent()
    p.fail(first, possibly_written=True)
    p.sequences.close_gaps()
    assert not p.sequences.can_send(p.batch())
    assert second.base_sequence == 2


def test_a_later_success_proves_that_the_expired_batch_was_written() -> None:
    p = Partition().started()
    first, second = p.sent(), p.sent()
    p.fail(first, possibly_written=True)
    p.deliver(second)
    assert p.sequences.close_gaps() == []
    assert stamp(p.sent()) == (7, 0, 3)


def test_a_later_out_of_order_proves_that_the_expired_batch_is_missing() -> None:
    p = Partition().started()
    first, second = p.sent(), p.sent()
    p.fail(first, possibly_written=True)
    p.sequences.close_gaps()
    p.refuse(second)
    p.sequences.close_gaps()
    assert stamp(second) == (7, 1, 0)


def test_when_all_sent_batches_expire_the_next_begins_a_new_epoch() -> None:
    p = Partition().started()
    first, second = p.sent(), p.sent()
    p.fail(first, possibly_written=True)
    p.fail(second, possibly_written=True)
    p.sequences.close_gaps()
    assert stamp(p.sent()) == (7, 1, 0)


def test_a_batch_that_expires_on_its_first_flight_is_marked_too() -> None:
    p = Partition()
    p.fail(p.sent(), possibly_written=True)
    p.sequences.close_gaps()
    assert stamp(p.sent()) == (7, 1, 0)


def test_a_batch_that_was_never_sent_leaves_no_mark() -> None:
    p = Partition().started()
    unsent = p.batch()
    p.fail(unsent, possibly_written=False)
    assert p.sequences.close_gaps() == []
    assert stamp(p.sent()) == (7, 0, 1)


def test_a_late_acknowledgement_of_an_expired_batch_closes_the_gap() -> None:
    p = Partition().started()
    first, second = p.sent(), p.sent()
    p.fail(first, possibly_written=True)
    p.sequences.on_late_delivery(first)
    p.sequences.close_gaps()
    p.fail(second, possibly_written=True)
    p.sequences.on_late_delivery(second)
    p.sequences.close_gaps()
    assert stamp(p.sent()) == (7, 0, 3)


def test_a_late_acknowledgement_of_an_epoch_that_is_over_changes_nothing() -> None:
    p = Partition().started()
    late = p.sent()
    p.fail(late, possibly_written=True)
    p.sequences.close_gaps()
    fresh = p.sent()
    p.sequences.on_late_delivery(late)
    assert not p.sequences.can_send(p.batch())  # still nothing acknowledged in this epoch
    p.deliver(fresh)
    assert p.sent().base_sequence == 1


def test_a_late_refusal_of_an_expired_batch_begins_a_new_epoch_at_once() -> None:
    p = Partition().started()
    first, second = p.sent(), p.sent()
    p.fail(first, possibly_written=True)
    p.lose(second)
    second.possibly_written = False
    p.sequences.close_gaps()
    assert stamp(second) == (7, 0, 2)
    p.sequences.on_late_refusal(first)
    p.sequences.close_gaps()
    assert stamp(second) == (7, 1, 0)


def test_after_the_last_epoch_a_new_producer_id_is_needed() -> None:
    p = Partition(epoch=MAX_PRODUCER_EPOCH).started()
    q = Partition(partition=1, sequences=p.sequences).started()
    retried = q.sent()
    q.lose(retried)
    batch = p.sent()
    p.refuse(batch)
    p.sequences.close_gaps()
    assert p.sequences.needs_producer_id
    assert not p.sequences.can_send(batch)
    q.send(retried)  # what has a number of the old producer id goes on
    q.deliver(retried)
    assert not p.sequences.can_send(q.batch())
    p.sequences.set_producer_id(8, 0)
    p.sequences.close_gaps()
    assert stamp(batch) == (8, 0, 0)
    assert stamp(q.sent()) == (8, 0, 0)
    p.send(batch)


def test_unknown_producer_id_bumps_unless_the_log_start_is_unknown() -> None:
    p = Partition().started()
    batch = p.sent()
    p.lose(batch)
    batch.possibly_written = False
    p.sequences.on_unknown_producer(batch, -1)
    p.sequences.close_gaps()
    assert stamp(batch) == (7, 0, 1)
    p.sequences.on_unknown_producer(batch, 100)
    p.sequences.close_gaps()
    assert stamp(batch) == (7, 1, 0)


def test_a_batch_just_numbered_anew_is_not_numbered_anew_again() -> None:
    p = Partition().started()
    batch = p.sent()
    p.refuse(batch)
    p.sequences.close_gaps()
    for _ in range(3):
        p.send(batch)
        p.refuse(batch)
        p.sequences.on_unknown_producer(batch, 100)
        p.sequences.close_gaps()
    assert p.sequences.epoch_bumps == 1


def test_split_batches_share_the_numbers_of_the_whole() -> None:
    p = Partition().started()
    whole, later = p.sent(5), p.sent()
    whole.state = BatchState.DONE
    children = [p.batch(3), p.batch(2)]
    p.sequences.on_split(whole, children)
    p.refuse(later)
    assert [stamp(c) for c in children] == [(7, 0, 1), (7, 0, 4)]
    assert not p.sequences.can_send(children[1])
    p.send(children[0])
    p.deliver(children[0])
    p.send(children[1])
    p.deliver(children[1])
    p.send(later)
    assert later.base_sequence == 6


def test_split_numbers_go_over_the_wrap() -> None:
    p = Partition()
    p.deliver(p.sent(MAX_SEQUENCE))
    whole = p.sent(4)
    children = [p.batch(2), p.batch(2)]
    p.sequences.on_split(whole, children)
    assert [c.base_sequence for c in children] == [MAX_SEQUENCE, 1]


def test_a_topic_made_anew_gets_one_batch_at_a_time_until_its_first_acknowledgement() -> None:
    p = Partition().started()
    first = p.sent()
    p.sequences.on_topic_recreated("t", 1)
    assert not p.sequences.can_send(p.batch())
    p.deliver(first)
    assert p.sequences.can_send(p.batch())


# ── topics that are not used any more ────────────────────────────────────────────────────────────────────────────────


def deliver_to(sequences: Sequences, topic: str, partition: int = 0) -> ProducerBatch:
    batch = ProducerBatch(topic, partition, 0.0)
    batch.count = 1
    assert sequences.can_send(batch)
    sequences.assign(batch)
    batch.state = BatchState.DONE
    sequences.on_delivered(batch)
    return batch


def fresh(*, is_transactional: bool = False) -> Sequences:
    sequences = Sequences(is_enabled=True, is_transactional=is_transactional)
    sequences.set_producer_id(7, 0)
    return sequences


def forget_many(sequences: Sequences, count: int = FORGOTTEN_MAX) -> None:
    for partition in range(count):
        deliver_to(sequences, "gone", partition)
    sequences.on_topic_forgotten("gone", count)


def test_a_topic_that_is_used_again_goes_on_with_its_numbers() -> None:
    sequences = fresh()
    deliver_to(sequences, "t")
    sequences.on_topic_forgotten("t", 1)
    assert stamp(deliver_to(sequences, "t")) == (7, 0, 1)


def test_many_forgotten_partitions_are_dropped_and_all_go_on_in_a_new_epoch() -> None:
    sequences = fresh()
    deliver_to(sequences, "t")
    forget_many(sequences, FORGOTTEN_MAX - 1)
    assert (sequences.producer_epoch, sequences.known_partitions) == (0, FORGOTTEN_MAX)
    sequences.on_topic_forgotten("t", 1)
    assert (sequences.producer_epoch, sequences.known_partitions) == (1, 0)
    assert stamp(deliver_to(sequences, "t")) == (7, 1, 0)
    assert stamp(deliver_to(sequences, "gone")) == (7, 1, 0), "not a number that the broker knows of the old epoch"


def test_topics_that_come_and_go_take_bounded_memory_and_few_epochs() -> None:
    sequences = fresh()
    for number in range(3 * FORGOTTEN_MAX):
        deliver_to(sequences, f"t{number}")
        sequences.on_topic_forgotten(f"t{number}", 1)
    assert sequences.known_partitions <= FORGOTTEN_MAX
    assert sequences.producer_epoch == 3


def test_a_partition_with_batches_on_the_wire_or_a_gap_is_not_dropped() -> None:
    sequences = fresh()
    on_wire = Partition(sequences=sequences)
    batch = on_wire.sent()
    doubtful = Partition(partition=1, sequences=sequences)
    doubtful.fail(doubtful.sent(), possibly_written=True)
    forget_many(sequences)
    assert sequences.known_partitions == 2
    assert not sequences.can_send(doubtful.batch())
    assert not sequences.can_send(on_wire.batch()), "nothing of a new epoch before what is under way is known"
    on_wire.deliver(batch)
    assert stamp(on_wire.sent()) == (7, 1, 0)


def test_a_late_answer_about_a_dropped_partition_changes_nothing() -> None:
    sequences = fresh()
    old = deliver_to(sequences, "t")
    forget_many(sequences)
    sequences.on_late_delivery(old)
    sequences.on_late_refusal(old)
    assert not sequences.has_gaps
    assert stamp(deliver_to(sequences, "t")) == (7, 1, 0)


def test_a_transactional_producer_drops_what_is_of_older_epochs_only() -> None:
    sequences = fresh(is_transactional=True)
    forget_many(sequences)
    assert (sequences.producer_epoch, sequences.known_partitions) == (0, FORGOTTEN_MAX)
    sequences.set_producer_id(7, 1)
    deliver_to(sequences, "t")
    sequences.on_topic_forgotten("t", 1)
    assert (sequences.producer_epoch, sequences.known_partitions) == (1, 1)
