"""The state of the cluster's metadata: the current snapshot, when it is refreshed, and how an answer is merged into it.

KIP-580 backoff, KIP-320 leader epochs, KIP-951 leader hints. It neither picks the broker to ask nor knows about
connections: `metadata_updater` does.

An answer is a delta: it costs what it tells about and one copy of the tables, whatever else is known, and
`take_changed` says to whom it may matter. What is kept at all is gone through at a full refresh only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._core import floors
from aioproducer._core.cluster.metadata import (
    NO_EPOCH,
    NO_LEADER,
    Broker,
    ClusterMetadata,
    PartitionMetadata,
    TopicIds,
    TopicMetadata,
)
from aioproducer._core.requests.backoff import RetryTimer
from aioproducer._core.requests.verdicts import METADATA_VERDICTS, Verdict
from aioproducer._logger import get_logger
from aioproducer.errors import ProtocolError
from aioproducer.errors._codes import ErrorCode, name_of
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

logger = get_logger("aioproducer.metadata")

_RELIABLE_EPOCHS_SINCE: Final = 9  # Metadata v7 and v8 have leader epochs that a broker may take back (KIP-320)
_TOPIC_IDS_SINCE: Final = 10
_ANSWERS_AGAINST_A_LEADER: Final = 3
"""So many answers in a row with older epochs than those known, after the leader known has denied that it is one, are no
brokers that lag behind: the topic was made anew, and its epochs begin again."""
_MAX_PARTITIONS: Final = 2**20
"""Of a topic. Some answers leave partitions out, so that the highest number is believed, up to here."""


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
        self._ids = TopicIds({}, {})
        self._changed: dict[str, None] = {}  # in order, as each run is to be like the other
        self._max_age = floors.metadata_age(config.metadata_max_age_ms)
        self._max_idle = config.metadata_max_idle_ms / 1000
        self._is_checking_cluster = config.metadata_cluster_check_enable
        self._last_used: dict[str, float] = {}  # topic → when it was last wanted or sent to
        self._need_full = True
        self._need_topics: set[str] = set()
        self._request_version = 0
        self._equivalent_answers = 0
        self._needed_since: float | None = None
        self._denied: dict[str, int] = {}  # topics whose known leader denies it → answers with older epochs since
        self._made_anew: set[str] = set()

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
        """Return the ids of the topics as they are now.

        Topics are added to what was returned before, and nothing else in it is changed: a request that was decided on
        with an id is written with that one, though the topic was made anew meanwhile. Batches that were to be refused
        together would else be taken by the new topic without those before them.
        """
        return self._ids

    def take_changed(self) -> dict[str, None]:
        """Return the topics about which anything was said, or that were dropped, since the last call."""
        changed, self._changed = self._changed, {}
        return changed

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

    def doubt(self, topic: str) -> None:
        """The leader that is known of a partition of the topic denies to be it: ask for the topic after the backoff."""
        self._denied.setdefault(topic, 0)
        self.request_update(topic)

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
            self._changed.update(dict.fromkeys(unknown))

    # ── applying an answer ───────────────────────────────────────────────────────────────────────────────────────────

    def apply(
        self, response: MetadataResponse, version: int, need: MetadataNeed, busy: Collection[str], now: float
    ) -> ClusterMetadata:
        """Take over an answer and return the new snapshot; one without brokers counts as a failure.

        Args:
            response: the answer.
            version: the version it was encoded in, which says whether epochs and topic ids can be relied on.
            need: what was asked.
            busy: topics that have records or waiting calls, of those asked for at least; they are kept however long
                they were idle.
            now: monotonic seconds.

        Raises:
            ProtocolError: the partitions of a topic have numbers that cannot be, or it is the answer of another
                cluster. Nothing is taken over, and the request counts as failed.
        """
        if not _brokers_in(response):
            self.fail(None, now)
            return self.cluster
        refusal = self._other_cluster(response) or _misnumbered(response)
        if refusal is not None:
            self.fail(refusal, now)
            raise refusal
        before = self.cluster
        if need.is_full:
            self._retire_idle(busy, now)
        self._forget_needs(need)
        told = dict.fromkeys(need.topics)
        topics, errors = self._merged_topics(response, version, need, busy, told)
        if need.is_full:
            told.update(dict.fromkeys([name for name in before.topics if name not in topics]))
            self._ids = TopicIds({}, {})
        self._changed.update(told)
        self._note_ids(topics, topics if need.is_full else told)
        brokers = _brokers_of(response, before.brokers)
        if before.cluster_id is not None and response.cluster_id not in (None, before.cluster_id):
            logger.warning(
                "the cluster's id changed from %s to %s; do the bootstrap servers belong to one cluster?",
                before.cluster_id,
                response.cluster_id,
                extra={"event_name": "cluster_changed", "cluster_id": response.cluster_id, "before": before.cluster_id},
            )
        self.cluster = ClusterMetadata(
            brokers, topics, errors, response.cluster_id or before.cluster_id, before.version + 1
        )
        self._note_progress(before, told, now)
        return self.cluster

    def take_made_anew(self) -> set[str]:
        """Return the topics that turned out to be others than before, though no id says so, and forget them."""
        taken, self._made_anew = self._made_anew, set()
        return taken

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
        self._changed[topic] = None
        return True

    def _other_cluster(self, response: MetadataResponse) -> ProtocolError | None:
        known, told = self.cluster.cluster_id, response.cluster_id
        if not self._is_checking_cluster or known is None or told in (None, known):
            return None
        return ProtocolError(
            f"it is a broker of cluster {told}, and this producer sends to cluster {known}; check where the address"
            " leads to, or set metadata_cluster_check_enable=False if a running producer may go over to another cluster"
        )

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
        self,
        response: MetadataResponse,
        version: int,
        need: MetadataNeed,
        busy: Collection[str],
        told: dict[str, None],
    ) -> tuple[dict[str, TopicMetadata], dict[str, KafkaError]]:
        kept = self._last_used
        topics, errors = dict(self.cluster.topics), dict(self.cluster.errors)
        if need.is_full:
            topics = {name: topic for name, topic in topics.items() if name in kept}
            errors = {name: error for name, error in errors.items() if name in kept}
        left_out = {name for name in need.topics if name in busy}
        for answer in response.topics:
            name = answer.name
            if name is None or name not in kept:
                continue
            told[name] = None
            left_out.discard(name)
            errors.pop(name, None)
            if answer.error_code:
                errors[name] = error_for(answer.error_code, api="Metadata", topic=name)
                self._on_topic_error(name, answer.error_code, version, topics, busy)
            else:
                topics[name] = self._merged_topic(name, answer, version)
        self._need_topics |= left_out  # the next answer may have it: an answer is no refusal by what it does not say
        return topics, errors

    def _note_ids(self, topics: Mapping[str, TopicMetadata], names: Iterable[str]) -> None:
        for name in names:
            topic, known = topics.get(name), self._ids.by_name.get(name)
            topic_id = None if topic is None else topic.topic_id
            if topic_id == known:
                continue
            if known is not None:
                by_name, by_id = dict(self._ids.by_name), dict(self._ids.names)
                del by_name[name]
                by_id.pop(known, None)
                self._ids = TopicIds(by_name, by_id)
            if topic_id is not None:
                self._ids.by_name[name] = topic_id
                self._ids.names[topic_id] = name

    def _on_topic_error(
        self, topic: str, code: int, version: int, topics: dict[str, TopicMetadata], busy: Collection[str]
    ) -> None:
        verdict = METADATA_VERDICTS.get(code, Verdict.IGNORE)
        if code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION and version < _TOPIC_IDS_SINCE and topic in topics:
            self._denied[topic] = _ANSWERS_AGAINST_A_LEADER - 1  # the next one may be about another topic of that name
        if verdict is Verdict.REFRESH and topic in busy:
            self._need_topics.add(topic)
        if verdict is Verdict.FAIL:
            topics.pop(topic, None)
        fields = {"event_name": "topic_refused", "topic": topic, "reason": name_of(code)}
        logger.debug("metadata of topic %s: %s", topic, name_of(code), extra=fields)

    def _merged_topic(self, name: str, answer: MetadataResponseTopic, version: int) -> TopicMetadata:
        before = self.cluster.topics.get(name)
        topic_id = answer.topic_id if version >= _TOPIC_IDS_SINCE and answer.topic_id.int else None
        recreated = before is not None and None not in (before.topic_id, topic_id) and before.topic_id != topic_id
        if recreated:
            old_id = before.topic_id if before else None
            fields = {"event_name": "topic_recreated", "topic": name, "topic_id": topic_id, "before": old_id}
            logger.info("topic %s was made anew (id %s, before %s)", name, topic_id, old_id, extra=fields)
        old = () if before is None or recreated else before.partitions
        # Without epochs to rely on, an answer may be older than what is known; nothing can tell, so it is believed.
        trusted = version >= _RELIABLE_EPOCHS_SINCE
        if name in self._denied and self._has_begun_again(name, answer, old, trusted):
            old = ()
        count = max([partition.partition_index for partition in answer.partitions], default=-1) + 1
        # One that is left out has no leader, and is there all the same: keys are distributed over all of them.
        partitions = [PartitionMetadata(NO_LEADER, each.leader_epoch) for each in old[:count]]
        partitions += [_UNKNOWN_PARTITION] * (count - len(partitions))
        for partition in answer.partitions:
            index = partition.partition_index
            if METADATA_VERDICTS.get(partition.error_code) is Verdict.REFRESH:
                self._need_topics.add(name)
            known = old[index] if index < len(old) else _UNKNOWN_PARTITION
            partitions[index] = _merged_partition(known, partition, trusted)
        merged = tuple(partitions)
        if topic_id is None and before is not None:
            topic_id = before.topic_id if version < _TOPIC_IDS_SINCE else None
        if before is not None and before.topic_id == topic_id and before.partitions == merged:
            return before
        return TopicMetadata(name, topic_id, merged)

    def _has_begun_again(
        self, name: str, answer: MetadataResponseTopic, old: tuple[PartitionMetadata, ...], trusted: bool
    ) -> bool:
        """Whether the epochs that are known must be those of a topic that is gone.

        1. A topic is deleted and made again. 2. Its epochs begin again; without ids of topics, an answer seems to be
        older than what is known (KIP-320). 3. What is known is a leader who denies it: no answer would ever be newer.
        Should all of these answers be old after all, then the true leader's epoch is higher than theirs, and is taken.
        """
        count = len(old)
        is_older = trusted and any(
            partition.partition_index < count
            and NO_EPOCH != partition.leader_epoch < old[partition.partition_index].leader_epoch
            for partition in answer.partitions
        )
        self._denied[name] += 1
        if is_older and self._denied[name] < _ANSWERS_AGAINST_A_LEADER:
            return False
        del self._denied[name]
        if is_older:
            self._made_anew.add(name)
            fields = {"event_name": "topic_recreated", "topic": name, "topic_id": None, "before": None}
            logger.info("topic %s was made anew: its leader epochs begin again", name, extra=fields)
        return is_older

    def _note_progress(self, before: ClusterMetadata, told: Mapping[str, None], now: float) -> None:
        after = self.cluster
        changed = after.brokers is not before.brokers or any(
            before.topics.get(name) is not after.topics.get(name) or (name in before.errors) != (name in after.errors)
            for name in told
        )
        self._equivalent_answers = 0 if changed else self._equivalent_answers + 1
        self.retry_timer.succeed()
        self.last_success = now
        self._needed_since = None
        new = any(
            topic not in after.topics and topic not in after.errors and topic not in told for topic in self._need_topics
        )
        if new:
            self.retry_timer.skip_pause(now)
        else:
            self.retry_timer.pause(max(self._equivalent_answers, 1), now)


_UNKNOWN_PARTITION: Final = PartitionMetadata()


def _misnumbered(response: MetadataResponse) -> ProtocolError | None:
    for topic in response.topics:
        numbers = [partition.partition_index for partition in topic.partitions]
        if numbers and (min(numbers) < 0 or max(numbers) >= _MAX_PARTITIONS or len(set(numbers)) != len(numbers)):
            return ProtocolError(
                f"a partition of topic {topic.name!r} has a number that cannot be: {min(numbers)} to {max(numbers)}"
                f" for {len(numbers)} of them"
            )
    return None


def _merged_partition(old: PartitionMetadata, new: MetadataResponsePartition, trusted: bool) -> PartitionMetadata:
    epoch = new.leader_epoch if trusted else NO_EPOCH
    if epoch != NO_EPOCH and epoch < old.leader_epoch:
        return old  # a broker that lags behind answers with the leader of yesterday (KIP-320)
    if old.leader == new.leader_id and old.leader_epoch == epoch:
        return old
    return PartitionMetadata(new.leader_id, epoch)


def _brokers_of(response: MetadataResponse, before: Mapping[int, Broker]) -> Mapping[int, Broker]:
    brokers = _brokers_in(response)
    return before if brokers == before else brokers


def _brokers_in(response: MetadataResponse) -> dict[int, Broker]:
    # No broker has a number below zero; those are the bootstrap servers' here (`nodes`).
    return {b.node_id: Broker(b.node_id, b.host, b.port, b.rack) for b in response.brokers if b.node_id >= 0}


def _with(brokers: Mapping[int, Broker], more: Iterable[Broker]) -> Mapping[int, Broker]:
    added = {each.node_id: each for each in more if each.node_id >= 0 and brokers.get(each.node_id) != each}
    return {**brokers, **added} if added else brokers
