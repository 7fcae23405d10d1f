"""Sequences are accepted and refused as by a broker of 4.3."""

from __future__ import annotations

import pytest

from aioproducer._records.decode import BatchHeader, read_header
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.producers import MAX_SEQUENCE, Producers, last_sequence_of
from aioproducer.testing._broker.requests import Refused
from tests.unit.testing._broker.helpers import batch


def header(sequence: int, *, epoch: int = 0, count: int = 1, transactional: bool = False) -> BatchHeader:
    values = [b""] * count
    return read_header(batch(values, producer_id=7, epoch=epoch, sequence=sequence, transactional=transactional))


def append(producers: Producers, sequence: int, *, count: int = 1, epoch: int = 0, transactional: bool = False) -> None:
    given = header(sequence, epoch=epoch, count=count, transactional=transactional)
    producers.check(given)
    producers.appended(given, base_offset=100 + sequence, timestamp_ms=5, wall_ms=1_000)


def refusal(producers: Producers, given: BatchHeader) -> ErrorCode:
    with pytest.raises(Refused) as raised:
        producers.check(given)
    return raised.value.code


def test_unknown_producer_may_begin_with_any_sequence() -> None:
    producers = Producers()
    append(producers, 42)
    append(producers, 43)


def test_sequence_follows_the_last_one() -> None:
    producers = Producers()
    append(producers, 0, count=3)
    append(producers, 3)
    assert refusal(producers, header(5)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert refusal(producers, header(3)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_sequence_zero_follows_the_largest() -> None:
    producers = Producers()
    append(producers, MAX_SEQUENCE)
    append(producers, 0)


def test_last_sequence_wraps() -> None:
    assert last_sequence_of(MAX_SEQUENCE - 1, 3) == 0
    assert last_sequence_of(0, 1) == 0


def test_new_epoch_begins_with_zero() -> None:
    producers = Producers()
    append(producers, 0)
    assert refusal(producers, header(1, epoch=1)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    append(producers, 0, epoch=1)
    assert refusal(producers, header(1)) is ErrorCode.INVALID_PRODUCER_EPOCH


def test_last_five_batches_are_recognised() -> None:
    producers = Producers()
    for sequence in range(6):
        append(producers, sequence)
    assert producers.find_duplicate(header(0)) is None
    found = producers.find_duplicate(header(1))
    assert found is not None
    assert found.base_offset == 101
    assert producers.find_duplicate(header(1, count=2)) is None
    assert producers.find_duplicate(header(1, epoch=1)) is None
    # Brokers of today don't tell an old repetition from a gap.
    assert refusal(producers, header(0)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_forgotten_producer_may_begin_with_any_sequence() -> None:
    producers = Producers()
    append(producers, 0)
    producers.forget()
    append(producers, 9)


def test_producer_that_was_quiet_for_long_enough_is_forgotten() -> None:
    producers = Producers()
    append(producers, 0)
    producers.expire(7, before_ms=999)
    assert producers.entry(7) is not None
    producers.expire(7, before_ms=1_000)
    assert producers.entry(7) is None
    producers.expire(7, before_ms=1_000)  # nobody of that id


def test_producer_with_an_open_transaction_is_not_forgotten() -> None:
    producers = Producers()
    append(producers, 0, transactional=True)
    producers.forget()
    assert producers.entry(7) is not None


def test_open_transaction_begins_at_its_first_batch_and_ends_with_a_marker() -> None:
    producers = Producers()
    assert producers.first_open_offset() is None
    append(producers, 0, transactional=True)
    append(producers, 1, transactional=True)
    assert producers.has_open_transaction(7, 0)
    assert producers.first_open_offset() == 100
    assert producers.ended(7, 0) == 100
    assert not producers.has_open_transaction(7, 0)
    assert producers.ended(7, 0) is None


def test_marker_of_a_raised_epoch_refuses_late_batches() -> None:
    producers = Producers()
    append(producers, 0, transactional=True)
    producers.ended(7, 1)
    assert refusal(producers, header(1, transactional=True)) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert refusal(producers, header(1, epoch=1)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    append(producers, 0, epoch=1, transactional=True)


def test_open_transaction_refuses_writes_outside_of_it() -> None:
    producers = Producers()
    append(producers, 0, transactional=True)
    assert refusal(producers, header(1)) is ErrorCode.INVALID_TXN_STATE


def test_transaction_begins_with_the_lowest_sequence_that_came() -> None:
    producers = Producers()
    producers.to_be_verified(header(0, transactional=True), raises_epoch=False)
    producers.to_be_verified(header(1, transactional=True), raises_epoch=False)
    assert refusal(producers, header(1, transactional=True)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    append(producers, 0, transactional=True)
    append(producers, 1, transactional=True)


def test_raised_epoch_without_state_begins_with_zero() -> None:
    producers = Producers()
    producers.to_be_verified(header(3, transactional=True), raises_epoch=True)
    assert refusal(producers, header(3, transactional=True)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
