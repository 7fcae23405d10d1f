"""How is the cluster's metadata asked for, and who has to know of what came back?"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from aioproducer.errors import ErrorCode, ProtocolError

if TYPE_CHECKING:
    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.cluster.dispatch import Dispatcher
    from aioproducer._core.cluster.metadata import ClusterMetadata, MetadataNeed, MetadataState
    from aioproducer._core.cluster.node import Node
    from aioproducer._core.produce.sequences import Sequences
    from aioproducer._wire.messages.metadata import MetadataResponse

logger = logging.getLogger("aioproducer.sender")

_THROTTLE_SINCE: Final = 6  # since then a broker answers first and expects the client to wait (KIP-219)


class SentMetadata(NamedTuple):
    """A Metadata request under way, and what it was asked for."""

    version: int
    need: MetadataNeed


class MetadataUpdater:
    """Asks for metadata when it is due; starts over from the bootstrap servers when nobody answers (KIP-899, 1102)."""

    def __init__(
        self,
        config: ProducerConfig,
        accumulator: Accumulator,
        metadata: MetadataState,
        sequences: Sequences,
        dispatcher: Dispatcher,
    ) -> None:
        self._accumulator = accumulator
        self._metadata = metadata
        self._sequences = sequences
        self._dispatcher = dispatcher
        self._nodes = dispatcher.nodes
        self._allow_auto_create_topics = config.allow_auto_create_topics
        self._is_rebootstrapping = config.metadata_recovery_strategy == "rebootstrap"
        self._rebootstrap_after = config.metadata_recovery_rebootstrap_trigger_ms / 1000

    def ask(self, now: float) -> None:
        """Send a request if one is due and a broker can take it.

        Raises:
            UnsupportedVersionError: the broker speaks no version of it that we do.
        """
        wanted = self._accumulator.take_wanted_topics()
        leaderless = self._accumulator.leaderless_topics
        if wanted or leaderless:
            in_order = sorted(wanted)  # as each run is to be like the other
            self._metadata.want(in_order, now)
            for topic in (*in_order, *leaderless):
                self._metadata.request_update(topic)
        if not self._metadata.is_due(now):
            return
        since = self._metadata.needed_since()
        if self._is_rebootstrapping and since is not None and now - since > self._rebootstrap_after:
            self._rebootstrap("no metadata for metadata_recovery_rebootstrap_trigger_ms", now)
        node = self._dispatcher.least_loaded(now)
        if node is None and self._is_rebootstrapping and self._nodes.is_cut_off():
            self._nodes.rebootstrap()
            node = self._dispatcher.least_loaded(now)
        if node is not None:
            self._ask(node, now)

    def _ask(self, node: Node, now: float) -> None:
        version = self._dispatcher.version_for(node, MetadataRequest)
        need = self._metadata.begin_request(now)
        request = MetadataRequest(
            topics=[MetadataRequestTopic(name=topic) for topic in need.topics],
            allow_auto_topic_creation=self._allow_auto_create_topics,
        )
        self._dispatcher.send(node, version, request, SentMetadata(version, need), now)

    def on_response(self, node: Node, sent: SentMetadata, message: MetadataResponse, now: float) -> None:
        """Take over what the broker knows.

        Raises:
            ProtocolError: the answer makes no sense.
        """
        if sent.version >= _THROTTLE_SINCE:
            self._nodes.throttle(node, message.throttle_time_ms, now)
        if message.error_code == ErrorCode.REBOOTSTRAP_REQUIRED and self._is_rebootstrapping:
            self._metadata.fail(None, now)
            self._rebootstrap(f"{node.address} asks for it (REBOOTSTRAP_REQUIRED)", now)
            return
        before = self._metadata.cluster
        busy = self._accumulator.busy_topics()
        self._metadata.apply(message, sent.version, sent.need, busy, now)
        self.use(before, now)

    def use(self, before: ClusterMetadata, now: float) -> None:
        """Tell everybody of metadata that is not what it was before."""
        after = self._metadata.cluster
        if after is before:
            return
        if after.brokers is not before.brokers or not self._nodes.has_all(after.brokers):
            self._nodes.update(after.brokers, now)
        if after.topics is not before.topics:
            for topic, known in after.topics.items():
                earlier = before.topics.get(topic)
                if earlier is not None and earlier.topic_id != known.topic_id:
                    self._sequences.on_topic_recreated(topic, known.partition_count)
        self._accumulator.update_topics(after, now)
        for topic in sorted(before.topics.keys() - after.topics.keys()):
            self._accumulator.forget_topic(topic, now)

    def _rebootstrap(self, why: str, now: float) -> None:
        logger.warning(
            "starting over from the bootstrap servers: %s", why, extra={"event": "rebootstrap", "reason": why}
        )
        error = ProtocolError(f"closed to start over from the bootstrap servers: {why}")
        self._dispatcher.effects += self._nodes.close_all(error)
        self._nodes.rebootstrap()
        self._metadata.restart(now)
