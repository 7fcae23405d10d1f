"""Batches are found by offset and time, lost and deleted in whole batches."""

from __future__ import annotations

from aioproducer.testing._broker.log import AbortedTransaction, PartitionLog, StoredBatch


def log(*counts: int) -> PartitionLog:
    """A log of batches of 10 bytes with that many records; the timestamp is the base offset."""
    made = PartitionLog()
    for count in counts:
        base = made.end_offset
        made.append(StoredBatch(base, base + count - 1, b"%010d" % base, base, -1, False, False))
    return made


def test_offsets_follow_each_other() -> None:
    made = log(2, 3)
    assert (made.start_offset, made.end_offset, made.size_bytes) == (0, 5, 20)


def test_read_begins_with_the_batch_that_holds_the_offset() -> None:
    made = log(2, 3, 1)
    assert made.read(3, 100, before=6) == [b"0000000002", b"0000000005"]
    assert made.read(6, 100, before=6) == []


def test_read_gives_one_batch_even_if_it_is_too_large() -> None:
    assert log(1, 1).read(0, 1, before=2) == [b"0000000000"]
    assert log(1, 1, 1).read(0, 20, before=3) == [b"0000000000", b"0000000001"]


def test_read_ends_before_a_batch_that_is_not_decided() -> None:
    assert log(1, 2).read(0, 100, before=2) == [b"0000000000"]


def test_first_at_a_time() -> None:
    found = log(2, 3).first_at(1)
    assert found is not None
    assert found.base_offset == 2
    assert log(2).first_at(9) is None


def test_truncation_loses_whole_batches() -> None:
    made = log(2, 3, 1)
    made.aborted.append(AbortedTransaction(1, 0, 5))
    made.truncate(3)
    assert (made.end_offset, made.size_bytes, made.aborted) == (2, 10, [])
    made.truncate(0)
    assert made.end_offset == 0


def test_retention_deletes_the_oldest_and_keeps_the_last() -> None:
    made = log(2, 3, 1)
    made.retain(20)
    assert (made.start_offset, made.size_bytes) == (2, 20)
    made.retain(0)
    assert (made.start_offset, made.end_offset, made.size_bytes) == (5, 6, 10)


def test_aborted_transactions_of_a_range() -> None:
    made = log(9)
    made.aborted += [AbortedTransaction(1, 0, 2), AbortedTransaction(2, 4, 6)]
    assert made.aborted_between(3, before=5) == [AbortedTransaction(2, 4, 6)]
    assert made.aborted_between(3, before=4) == []
