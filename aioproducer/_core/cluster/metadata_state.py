"""The state of the cluster's metadata: the current snapshot, when it is refreshed, and how an answer is merged into it.

KIP-580 backoff, KIP-320 leader epochs, KIP-951 leader hints. It neither picks the broker to ask nor knows about
connections: `metadata_updater` does.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._core.cluster.metadata import (
    NO_EPOCH,
    NO_TOPIC_IDS,
    Broker,
    ClusterMetadata,
    PartitionMetadata,
    TopicIds,
    TopicMetadata,
)
from aioproducer._core.requests.backoff import RetryTimer
from aioproducer._core.requests.verdicts import METADATA_VERDICTS, Verdict
from aioproducer.errors import ProtocolError
from aioproducer.errors._codes import name_of
from aioproducer.errors._from_code import error_for

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Iterable, Mapping

    from aioproducer._config import ProducerConfig
    from aioproducer._wire.messages.metadata import (
        MetadataResponse,
        MetadataResponsePartition,
        MetadataResponseTopic,
    )
    from aioproducer.errors import KafkaError

logger = logging.getLogger("aioproducer.metadata")

_RELIABLE_EPOCHS_SINCE: Final = 9  # Metadata v7 and v8 have leader epochs that a broker may take back (KIP-320)
_TOPIC_IDS_SINCE: Final = 10


class MetadataNeed(NamedTuple):
    """What one Metadata request asks for: the topics, and whether they are all that are kept (a full refresh)."""

    topics: tuple[str, ...]
    is_full: bool
    request_version: int


class MetadataState:
    """The snapshot and its refreshing. Ask `is_due`; when it is, `begin_request`, then `apply` the answer or `fail`.

    Attributes:
        cluster: the current snapshot.
        retry_timer: when the next request may be sent.
        last_success: when an answer was last taken over, None before the first.
    """

    def __init__(self, config: ProducerConfig, rng: random.Random) -> None:
        self.cluster = ClusterMetadata()
        self.retry_timer = RetryTimer(config, rng)
        self.last_success: float | None = None
        self._ids = NO_TOPIC_IDS
        self._ids_of: Mapping[str, TopicMetadata] | None = None
        self._max_age = config.metadata_max_age_ms / 1000
        self._max_idle = config.metadata_max_idle_ms / 1000
        self._last_used: dict[str, float] = {}  # topic → when it was last wanted or sent to
        self._need_full = True
        self._need_topics: set[str] = set()
        self._request_version = 0
        self._equivalent_answers = 0
        self._needed_since: float | None = None

    # ── when ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def want(self, topics: Iterable[str], now: float) -> None:
        """Note that the topics are needed; those never asked for are asked for at once, past any backoff."""
        for topic in topics:
            if topic not in self._last_used:
                self._need_topics.add(topic)
                self.retry_timer.skip_pause(now)
                self._equivalent_answers = 0
            self._last_used[topic] = now

    def topic_ids(self) -> TopicIds:
        """Return the ids of the topics as they are now; made once for each snapshot that brings new topics."""
        topics = self.cluster.topics
        if self._ids_of is not topics:
            by_name = {name: topic.topic_id for name, topic in topics.items() if topic.topic_id is not None}
            self._ids = TopicIds(by_name, {topic_id: name for name, topic_id in by_name.items()})
            self._ids_of = topics
        return self._ids

    def touch(self, topic: str, now: float) -> None:
        """Note that the topic is in use, so that it is not dropped as idle."""
        self._last_used[topic] = now

    def request_update(self, topic: str | None = None) -> None:
        """Ask for a refresh after the backoff: of one topic, or of everything that is kept (None)."""
        if topic is None:
            self._request_version += 1
            self._need_full = True
        else:
            self._need_topics.add(topic)

    def is_due(self, now: float) -> bool:
        """Whether a request should be made now; False while one is in flight."""
        if now < self.next_at():
            return False
        if self.last_success is not None and now >= self.last_success + self._max_age:
            self._need_full = True
            self._equivalent_answers = 0
        if self._needed_since is None:
            self._needed_since = now
        return True

    def next_at(self) -> float:
        """Return when the next refresh is due, infinity while one is in flight; may lie in the past."""
        if self._need_full or self._need_topics or self.last_success is None:
            return self.retry_timer.next_at()
        return max(self.last_success + self._max_age, self.retry_timer.next_at())

    def needed_since(self) -> float | None:
        """Return since when a refresh has been due without a successful answer; None if none is (KIP-1102)."""
        return self._needed_since

    def restart(self, now: float) -> None:
        """Begin anew from the bootstrap servers: everything is needed, after the backoff."""
        self.request_update()
        self._needed_since = now

    def begin_request(self) -> MetadataNeed:
        """Return what to ask for; `apply` or `fail` must follow."""
        self.retry_timer.begin()
        if self._need_full or self.last_success is None:
            return MetadataNeed(tuple(self._last_used), True, self._request_version)
        return MetadataNeed(tuple(sorted(self._need_topics)), False, self._request_version)

    def fail(self, error: KafkaError | None, now: float) -> None:
        """The request was not answered, or not usefully; the need stays, with exponential backoff."""
        self.retry_timer.fail(error, now)

    def explain(self, topics: Iterable[str], error: KafkaError) -> None:
        """Nobody can be asked at the moment: make the error that of those topics which were never known."""
        unknown = {topic: error for topic in topics if topic not in self.cluster.topics}
        if unknown:
            errors = {**self.cluster.errors, **unknown}
            self.cluster = replace(self.cluster, errors=errors, version=self.cluster.version + 1)

    # ── applying an answer ───────────────────────────────────────────────────────────────────────────────────────────

    def apply(
        self, response: MetadataResponse, version: int, need: MetadataNeed, busy: Collection[str], now: float
    ) -> ClusterMetadata:
        """Take over an answer and return the new snapshot; one without brokers counts as a failure.

        Args:
            response: the answer.
            version: the version it was encoded in, which says whether epochs and topic ids can be relied on.
            need: what was asked.
            busy: topics that have records or waiting calls; they are kept however long they were idle.
            now: monotonic seconds.

        Raises:
            ProtocolError: the partitions of a topic are not numbered from 0 without gaps. Nothing is taken over, and
                the request counts as failed.
        """
        if not response.brokers:
            self.fail(None, now)
            return self.cluster
        misnumbered = _misnumbered(response)
        if misnumbered is not None:
            self.fail(misnumbered, now)
            raise misnumbered
        before = self.cluster
        self._retire_idle(busy, now)
        self._forget_needs(need)
        topics, errors = self._merged_topics(response, version, busy)
        brokers = _brokers_of(response, before.brokers)
        if before.cluster_id is not None and response.cluster_id not in (None, before.cluster_id):
            logger.warning(
                "the cluster's id changed from %s to %s; do the bootstrap servers belong to one cluster?",
                before.cluster_id,
                response.cluster_id,
                extra={"event": "cluster_changed", "cluster_id": response.cluster_id, "before": before.cluster_id},
            )
        self.cluster = ClusterMetadata(
            brokers, topics, errors, response.cluster_id or before.cluster_id, before.version + 1
        )
        self._note_progress(before, now)
        return self.cluster

    def apply_hint(
        self, topic: str, partition: int, leader: int, leader_epoch: int, endpoints: Iterable[Broker]
    ) -> bool:
        """Take over the new leader that a Produce answer named (KIP-951); False if it is not newer, or not usable."""
        before = self.cluster.topics.get(topic)
        if before is None or partition >= len(before.partitions) or leader < 0:
            return False
        if leader_epoch <= before.partitions[partition].leader_epoch:
            return False
        brokers = _with(self.cluster.brokers, endpoints)
        if leader not in brokers:
            return False
        partitions = list(before.partitions)
        partitions[partition] = PartitionMetadata(leader, leader_epoch)
        topics = dict(self.cluster.topics)
        topics[topic] = before._replace(partitions=tuple(partitions))
        self.cluster = replace(self.cluster, brokers=brokers, topics=topics, version=self.cluster.version + 1)
        return True

    def _retire_idle(self, busy: Collection[str], now: float) -> None:
        oldest = now - self._max_idle
        if any(used < oldest for used in self._last_used.values()):
            keep = set(busy)
            self._last_used = {t: used for t, used in self._last_used.items() if used >= oldest or t in keep}

    def _forget_needs(self, need: MetadataNeed) -> None:
        # What was asked for while the request was in flight is still needed; a full request answers all that it named.
        self._need_topics.difference_update(need.topics)
        self._need_topics.intersection_update(self._last_used)
        if need.is_full and need.request_version == self._request_version:
            self._need_full = False

    def _merged_topics(
        self, response: MetadataResponse, version: int, busy: Collection[str]
    ) -> tuple[Mapping[str, TopicMetadata], Mapping[str, KafkaError]]:
        kept = self._last_used
        topics = {name: topic for name, topic in self.cluster.topics.items() if name in kept}
        errors = {name: error for name, error in self.cluster.errors.items() if name in kept}
        for answer in response.topics:
            name = answer.name
            if name is None or name not in kept:
                continue
            errors.pop(name, None)
            if answer.error_code:
                errors[name] = error_for(answer.error_code, api="Metadata", topic=name)
                self._on_topic_error(name, answer.error_code, topics, busy)
            else:
                topics[name] = self._merged_topic(name, answer, version)
        return topics, errors

    def _on_topic_error(self, topic: str, code: int, topics: dict[str, TopicMetadata], busy: Collection[str]) -> None:
        verdict = METADATA_VERDICTS.get(code, Verdict.IGNORE)
        if verdict is Verdict.REFRESH and topic in busy:
            self._need_topics.add(topic)
        if verdict is Verdict.FAIL:
            topics.pop(topic, None)
        fields = {"event": "topic_refused", "topic": topic, "reason": name_of(code)}
        logger.debug("metadata of topic %s: %s", topic, name_of(code), extra=fields)

    def _merged_topic(self, name: str, answer: MetadataResponseTopic, version: int) -> TopicMetadata:
        before = self.cluster.topics.get(name)
        topic_id = answer.topic_id if version >= _TOPIC_IDS_SINCE and answer.topic_id.int else None
        recreated = before is not None and None not in (before.topic_id, topic_id) and before.topic_id != topic_id
        if recreated:
            old_id = before.topic_id if before else None
            fields = {"event": "topic_recreated", "topic": name, "topic_id": topic_id, "before": old_id}
            logger.info("topic %s was made anew (id %s, before %s)", name, topic_id, old_id, extra=fields)
        old = () if before is None or recreated else before.partitions
        # Without epochs to rely on, an answer may be older than what is known; nothing can tell, so it is believed.
        trusted = version >= _RELIABLE_EPOCHS_SINCE
        partitions = [old[i] if i < len(old) else _UNKNOWN_PARTITION for i in range(len(answer.partitions))]
        for partition in answer.partitions:
            if METADATA_VERDICTS.get(partition.error_code) is Verdict.REFRESH:
                self._need_topics.add(name)
            partitions[partition.partition_index] = _merged_partition(
                partitions[partition.partition_index], partition, trusted
            )
        merged = tuple(partitions)
        if topic_id is None and before is not None:
            topic_id = before.topic_id if version < _TOPIC_IDS_SINCE else None
        if before is not None and before.topic_id == topic_id and before.partitions == merged:
            return before
        return TopicMetadata(name, topic_id, merged)

    def _note_progress(self, before: ClusterMetadata, now: float) -> None:
        after = self.cluster
        changed = after.brokers is not before.brokers or after.errors.keys() != before.errors.keys()
        changed = changed or after.topics.keys() != before.topics.keys()
        changed = changed or any(before.topics.get(name) is not topic for name, topic in after.topics.items())
        self._equivalent_answers = 0 if changed else self._equivalent_answers + 1
        self.retry_timer.succeed()
        self.last_success = now
        self._needed_since = None
        new = any(topic not in after.topics and topic not in after.errors for topic in self._need_topics)
        if new:
            self.retry_timer.skip_pause(now)
        else:
            self.retry_timer.pause(max(self._equivalent_answers, 1), now)


_UNKNOWN_PARTITION: Final = PartitionMetadata()


def _misnumbered(response: MetadataResponse) -> ProtocolError | None:
    for topic in response.topics:
        if {p.partition_index for p in topic.partitions} != set(range(len(topic.partitions))):
            return ProtocolError(f"the partitions of topic {topic.name!r} are not numbered from 0 without gaps")
    return None


def _merged_partition(old: PartitionMetadata, new: MetadataResponsePartition, trusted: bool) -> PartitionMetadata:
    epoch = new.leader_epoch if trusted else NO_EPOCH
    if epoch != NO_EPOCH and epoch < old.leader_epoch:
        return old  # a broker that lags behind answers with the leader of yesterday (KIP-320)
    if old.leader == new.leader_id and old.leader_epoch == epoch:
        return old
    return PartitionMetadata(new.leader_id, epoch)


def _brokers_of(response: MetadataResponse, before: Mapping[int, Broker]) -> Mapping[int, Broker]:
    brokers = {b.node_id: Broker(b.node_id, b.host, b.port, b.rack) for b in response.brokers}
    return before if brokers == before else brokers


def _with(brokers: Mapping[int, Broker], more: Iterable[Broker]) -> Mapping[int, Broker]:
    added = {broker.node_id: broker for broker in more if brokers.get(broker.node_id) != broker}
    return {**brokers, **added} if added else brokers
