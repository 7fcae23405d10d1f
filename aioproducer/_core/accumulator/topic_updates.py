"""What news of the topics does: to the leaders of their queues, and to the calls that wait.

- A topic is known: its calls go on and wait for memory, in the order of the calls, whichever topic was known first.
  Those that name a partition which it does not have wait apart, and others may pass them.
- It is refused: they fail at once.
- It is lost: those that wait for memory already go on, with the partitions last known; new calls wait for the topic.
- There was a failure that may pass: they wait on, and are told of it if their deadline comes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.cluster.metadata import NO_EPOCH, NO_LEADER

if TYPE_CHECKING:
    from collections.abc import Collection

    from aioproducer._core.accumulator.append import Appender
    from aioproducer._core.accumulator.queues import Schedule
    from aioproducer._core.accumulator.topics import Topics, TopicState
    from aioproducer._core.accumulator.wait_queue import WaitQueue
    from aioproducer._core.cluster.metadata import ClusterMetadata, TopicMetadata


class TopicUpdates:
    """Takes over what the cluster says of the topics.

    Args:
        topics: what it is said of.
        appender: is told to which topics anybody may append.
        schedule: has the queues by leader.
        wait_queue: has the calls that wait.
    """

    def __init__(self, topics: Topics, appender: Appender, schedule: Schedule, wait_queue: WaitQueue) -> None:
        self._topics = topics
        self._appender = appender
        self._schedule = schedule
        self._wait_queue = wait_queue

    def update(self, metadata: ClusterMetadata, now: float, changed: Collection[str] | None = None) -> None:
        """Take over a new snapshot: leaders have moved, partitions appeared, topics became known, or were refused.

        Cost: the topics that changed with their partitions; all that are sent to, when the brokers are others.

        Args:
            metadata: the snapshot.
            now: monotonic seconds.
            changed: the topics about which it may say something else than the one before; None: all.
        """
        before, self._topics.metadata = self._topics.metadata, metadata
        brokers_changed = before is None or before.brokers is not metadata.brokers
        states = self._topics.states
        names = list(states) if changed is None or brokers_changed else changed
        for state in [states[name] for name in names if name in states]:
            known = metadata.topics.get(state.name)
            state.error = metadata.errors.get(state.name)
            if known is not None:
                if brokers_changed or known is not state.metadata or not state.is_known:
                    self._learn(state, known, metadata, now)
                if state.awaiting_partition:  # partitions that are being added take a while to be known everywhere
                    self._wait_queue.want_topic(state)
                continue
            if state.is_known:
                self._lose(state, now)
            if state.error is not None and not state.error.retriable and state.is_awaited:
                self._wait_queue.on_topic_refused(state, state.error)

    def avoid(self, stalled: frozenset[int]) -> None:
        """Nothing gets to these brokers, whatever the cluster says. Cost: the topics."""
        self._topics.stalled = stalled
        for state in self._topics.states.values():
            state.avoid(stalled)

    def forget(self, topic: str, now: float) -> None:
        """Drop what is kept for an idle topic; one that has records or waiting calls is only looked up again."""
        state = self._topics.get(topic)
        if state is None:
            return
        if state.is_busy:
            self._lose(state, now)
            return
        self._appender.close_topic(topic)
        self._topics.remove(topic)

    def _learn(self, state: TopicState, known: TopicMetadata, metadata: ClusterMetadata, now: float) -> None:
        state.learn(known, metadata.brokers)
        for queue in state.queues.values():
            self._schedule.set_leader(queue, *state.leader_of(queue.partition), now)
        if not state.is_known:
            self._appender.close_topic(state.name)
            return
        self._appender.open_topic(state)
        self._wait_queue.on_topic_known(state, now)

    def _lose(self, state: TopicState, now: float) -> None:
        state.lose()
        self._appender.close_topic(state.name)
        for queue in state.queues.values():
            self._schedule.set_leader(queue, NO_LEADER, NO_EPOCH, now)
        self._wait_queue.on_topic_lost(state)
