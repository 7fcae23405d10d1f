"""The offsets that groups have committed. (Java class OffsetMetadataManager; there are no members here)"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aioproducer._types import TopicPartition


class CommittedOffset(NamedTuple):
    """One committed offset."""

    offset: int
    leader_epoch: int
    metadata: str | None


class Groups:
    """Offsets per group; those of open transactions are kept aside until the transaction ends."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._committed: dict[str, dict[TopicPartition, CommittedOffset]] = {}
        self._pending: dict[tuple[str, int], dict[TopicPartition, CommittedOffset]] = {}

    def exists(self, group: str) -> bool:
        """Whether somebody has committed to it, or tried to."""
        return group in self._known

    def touch(self, group: str) -> None:
        """Somebody commits to the group, which makes it."""
        self._known.add(group)

    def commit(self, group: str, tp: TopicPartition, offset: CommittedOffset) -> None:
        """Commit at once."""
        self._committed.setdefault(group, {})[tp] = offset

    def commit_later(self, group: str, producer_id: int, tp: TopicPartition, offset: CommittedOffset) -> None:
        """Commit when the producer's transaction does."""
        self._pending.setdefault((group, producer_id), {})[tp] = offset

    def end(self, group: str, producer_id: int, *, commit: bool) -> None:
        """The producer's transaction has ended."""
        offsets = self._pending.pop((group, producer_id), {})
        if commit:
            self._committed.setdefault(group, {}).update(offsets)

    def offsets(self, group: str) -> dict[TopicPartition, CommittedOffset]:
        """What the group has committed."""
        return self._committed.get(group, {})

    def is_pending(self, group: str, tp: TopicPartition) -> bool:
        """An open transaction may change the offset."""
        return any(tp in offsets for (name, _), offsets in self._pending.items() if name == group)
