"""What does news of a topic do to the calls that wait for it?

- It is known: they go on and wait for memory, in the order of the calls, whichever topic was known first. Those that
  name a partition which it does not have wait apart, and others may pass them.
- It is refused: they fail at once.
- It is lost: those that wait for memory already go on, with the partitions last known; new calls wait for the topic.
- There was a failure that may pass: they wait on, and are told of it if their deadline comes first.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING

from aioproducer._core.accumulator.wait_queue import Admission
from aioproducer._core.accumulator.waiting import PendingState
from aioproducer._core.cluster.metadata import NO_EPOCH, NO_LEADER

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.topics import TopicState
    from aioproducer._core.accumulator.waiting import PendingAppend
    from aioproducer._core.cluster.metadata import ClusterMetadata, TopicMetadata
    from aioproducer.errors import KafkaError


class TopicNews(Admission):
    """The topics as the cluster tells of them: who their leaders are, and which calls may go on."""

    def __init__(self, config: ProducerConfig, rng: random.Random) -> None:
        super().__init__(config, rng)
        self._metadata: ClusterMetadata | None = None

    # ── called by the sender ─────────────────────────────────────────────────────────────────────────────────────────

    def update_topics(self, metadata: ClusterMetadata, now: float) -> None:
        """Take over a new snapshot: leaders have moved, partitions appeared, topics became known, or were refused.

        Cost: the topics, and the partitions of those that have changed.
        """
        before, self._metadata = self._metadata, metadata
        brokers_changed = before is None or before.brokers is not metadata.brokers
        for state in list(self._topics.values()):
            known = metadata.topics.get(state.name)
            state.error = metadata.errors.get(state.name)
            if known is not None:
                if brokers_changed or known is not state.metadata or not state.is_known:
                    self._learn(state, known, metadata, now)
                if state.absent:  # partitions that are being added take a while to be known everywhere
                    self._wanted_topics.add(state.name)
                continue
            if state.is_known:
                self._lose(state, now)
            if state.error is not None and not state.error.retriable and state.is_awaited:
                self._refuse(state, state.error)

    def take_wanted_topics(self) -> set[str]:
        """Return the topics that somebody has begun to wait for, or for more partitions of, since the last call.

        Those of which `update_topics` brings nothing new are not returned again, unless partitions are missing.
        """
        wanted = self._wanted_topics
        if wanted:
            self._wanted_topics = set()
        return wanted

    def fail_lookups(self, error: KafkaError) -> None:
        """Fail everybody who waits to hear of a topic, as nothing will be heard (authentication, versions)."""
        for state in list(self._topics.values()):
            if state.is_awaited:
                self._refuse(state, error)

    def forget_topic(self, topic: str, now: float) -> None:
        """Drop what is kept for an idle topic; one that has records or waiting calls is only looked up again."""
        state = self._topics.get(topic)
        if state is None:
            return
        if state.is_busy:
            self._lose(state, now)
            return
        self._appendable.pop(topic, None)
        del self._topics[topic]

    def busy_topics(self) -> list[str]:
        """Return the topics that have records or waiting calls."""
        return [name for name, state in self._topics.items() if state.is_busy]

    # ── what it leads to ─────────────────────────────────────────────────────────────────────────────────────────────

    def _state(self, topic: str) -> TopicState:
        state = self._topics.get(topic)
        if state is None:
            state = super()._state(topic)
            metadata = self._metadata
            known = None if metadata is None else metadata.topics.get(topic)
            if metadata is not None and known is not None:  # forgotten here, but not there
                state.learn(known, metadata.brokers)
                self._restore(state)
        return state

    def _learn(self, state: TopicState, known: TopicMetadata, metadata: ClusterMetadata, now: float) -> None:
        state.learn(known, metadata.brokers)
        for queue in state.queues.values():
            self._schedule.set_leader(queue, *state.leader_of(queue.partition), now)
        if not state.is_known:
            self._appendable.pop(state.name, None)
            return
        self._restore(state)
        for lookup in state.lookups:
            lookup.view = state.view
            self._woken.append(lookup)
        state.lookups.clear()
        self._admit_all(state, now)

    def _lose(self, state: TopicState, now: float) -> None:
        state.lose()
        self._appendable.pop(state.name, None)
        for queue in state.queues.values():
            self._schedule.set_leader(queue, NO_LEADER, NO_EPOCH, now)
        # Those that named a partition which did not exist wait for the topic now, like everybody else.
        for pending in state.absent:
            self._give_number(pending)
            state.line[pending] = None
        state.absent.clear()

    def _refuse(self, state: TopicState, error: KafkaError) -> None:
        """Fail those who wait for the topic, or for a partition of it."""
        for lookup in list(state.lookups):
            self._fail_lookup(state, lookup, error)
        for pending in [*state.line, *state.absent]:
            if pending.state is PendingState.FOR_TOPIC:
                self._fail(pending, error)

    def _admit_all(self, state: TopicState, now: float) -> None:
        """The topic is known: whoever waited for it waits for memory now, in the order of the calls."""
        waited = [pending for pending in state.line if pending.state is PendingState.FOR_TOPIC]
        for pending in waited:
            if not state.has_partition(pending.partition):
                del state.line[pending]
                state.absent[pending] = None
            else:
                self._forgive(pending)
                self._admit(state, pending)
        for pending in [pending for pending in state.absent if state.has_partition(pending.partition)]:
            del state.absent[pending]
            self._give_number(pending)  # it joins the line now
            self._forgive(pending)
            self._admit(state, pending)
            if pending.accepted:  # others have passed it anyway, and may wait for the memory that it holds
                self._append_granted(state, pending, now, 0)
        self._sort_memory_line()
        self._update_wanted(state)
        self._grant()
        self._append_accepted(state, now)

    def _sort_memory_line(self) -> None:
        """Restore the order of the calls: this topic became known later than another, and its calls may be older."""
        line = self._memory_line
        if any(first.number > second.number for first, second in pairwise(line)):
            self._memory_line = OrderedDict.fromkeys(sorted(line, key=_number))


def _number(pending: PendingAppend) -> int:
    return pending.number
