"""What an open transaction has to know of the records that were sent in it: the partitions, and a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._types import TopicPartition

if TYPE_CHECKING:
    from aioproducer.errors import KafkaError


class TransactionNotes:
    """Notes kept until the transaction takes them; none for a producer without transactions."""

    def __init__(self, *, is_transactional: bool) -> None:
        self._is_transactional = is_transactional
        self._touched: set[TopicPartition] = set()
        self._refusal: KafkaError | None = None

    def note_refusal(self, error: KafkaError) -> KafkaError:
        """Note that a record was refused; return the error."""
        if self._is_transactional and self._refusal is None:
            self._refusal = error
        return error

    def note_touched(self, topic: str, partition: int) -> None:
        """Note that a batch was begun for a partition."""
        if self._is_transactional:
            self._touched.add(TopicPartition(topic, partition))

    def take_refusal(self) -> KafkaError | None:
        """Return why a record was refused since the last call (the first reason), None if none was."""
        refusal, self._refusal = self._refusal, None
        return refusal

    def take_touched(self) -> set[TopicPartition]:
        """Return the partitions for which a batch was begun since the last call."""
        touched = self._touched
        if not touched:
            return set()  # not the set itself, which will have those that come later
        self._touched = set()
        return touched
