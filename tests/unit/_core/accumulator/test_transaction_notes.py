"""Notes for the open transaction: taken once, and kept only where there are transactions."""

from __future__ import annotations

from aioproducer._core.accumulator.transaction_notes import TransactionNotes
from aioproducer._types import TopicPartition
from aioproducer.errors import KafkaError


def test_the_first_refusal_is_kept_until_it_is_taken() -> None:
    notes = TransactionNotes(is_transactional=True)
    first, second = KafkaError("first"), KafkaError("second")
    assert notes.note_refusal(first) is first
    assert notes.note_refusal(second) is second
    assert notes.take_refusal() is first
    assert notes.take_refusal() is None


def test_partitions_are_taken_once_and_later_ones_with_the_next_call() -> None:
    notes = TransactionNotes(is_transactional=True)
    before = notes.take_touched()
    notes.note_touched("t", 1)
    notes.note_touched("t", 1)
    notes.note_touched("u", 0)
    assert before == set()
    assert notes.take_touched() == {TopicPartition("t", 1), TopicPartition("u", 0)}
    assert notes.take_touched() == set()


def test_nothing_is_kept_without_transactions() -> None:
    notes = TransactionNotes(is_transactional=False)
    notes.note_refusal(KafkaError("refused"))
    notes.note_touched("t", 0)
    assert notes.take_refusal() is None
    assert notes.take_touched() == set()
