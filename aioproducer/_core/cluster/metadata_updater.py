"""The Metadata request: when and whom it asks, and who has to know of what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core import floors
from aioproducer._core.requests.control_request import ControlRequest
from aioproducer._logger import get_logger
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from aioproducer.errors import ErrorCode, ProtocolError

if TYPE_CHECKING:
    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.cluster.dispatch import Dispatcher
    from aioproducer._core.cluster.metadata import ClusterMetadata
    from aioproducer._core.cluster.metadata_state import MetadataNeed, MetadataState
    from aioproducer._core.cluster.node import Node
    from aioproducer._core.failures import Failures
    from aioproducer._core.produce.sequences import Sequences
    from aioproducer._wire.schema import Message
    from aioproducer.errors import KafkaError, UnsupportedVersionError

logger = get_logger("aioproducer.sender")


class MetadataUpdater(ControlRequest):
    """Asks for metadata when it is due; starts over from the bootstrap servers when nobody answers (KIP-899, 1102)."""

    request = MetadataRequest

    def __init__(
        self,
        config: ProducerConfig,
        accumulator: Accumulator,
        metadata: MetadataState,
        sequences: Sequences,
        dispatcher: Dispatcher,
        failures: Failures,
    ) -> None:
        super().__init__(metadata.retry_timer)
        self._accumulator = accumulator
        self._metadata = metadata
        self._sequences = sequences
        self._dispatcher = dispatcher
        self._nodes = dispatcher.nodes
        self._failures = failures
        self._need: MetadataNeed | None = None  # what the request in flight asks for
        self._allow_auto_create_topics = config.allow_auto_create_topics
        self._is_rebootstrapping = config.metadata_recovery_strategy == "rebootstrap"
        self._rebootstrap_after = floors.metadata_age(config.metadata_recovery_rebootstrap_trigger_ms)

    # ── asked ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_at(self) -> float:
        return self._metadata.next_at()

    def is_due(self, now: float) -> bool:
        wanted = self._accumulator.take_wanted_topics()
        leaderless = self._accumulator.leaderless_topics
        if wanted or leaderless:
            in_order = sorted(wanted)  # as each run is to be like the other
            self._metadata.want(in_order, now)
            for topic in (*in_order, *leaderless):
                self._metadata.request_update(topic)
        if not self._metadata.is_due(now):
            return False
        since = self._metadata.needed_since()
        if self._is_rebootstrapping and since is not None and now - since > self._rebootstrap_after:
            self._rebootstrap("no metadata for metadata_recovery_rebootstrap_trigger_ms", now)
        elif self._is_rebootstrapping and self._nodes.is_unheard(now):
            self._ask_bootstrap_too()
        return True

    def on_no_broker(self, now: float) -> bool:
        if self._is_rebootstrapping and self._nodes.is_cut_off():
            self._nodes.rebootstrap()
            return True
        return False

    def build(self, version: int) -> MetadataRequest:
        self._need = self._metadata.begin_request()
        return MetadataRequest(
            topics=[MetadataRequestTopic(name=topic) for topic in self._need.topics],
            allow_auto_topic_creation=self._allow_auto_create_topics,
        )

    # ── told ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_response(self, message: Message, node: Node, now: float) -> None:
        assert isinstance(message, MetadataResponse)
        assert self._need is not None, "a response has a request"
        if message.error_code == ErrorCode.REBOOTSTRAP_REQUIRED and self._is_rebootstrapping:
            self.on_lost(None, now)
            self._rebootstrap(f"{node.address} asks for it (REBOOTSTRAP_REQUIRED)", now)
            return
        before = self._metadata.cluster
        busy = self._accumulator.busy_topics(None if self._need.is_full else self._need.topics)
        self._metadata.apply(message, self.version, self._need, busy, now)
        self.publish(before, now)

    def on_lost(self, error: KafkaError | None, now: float) -> None:
        self._metadata.fail(error, now)

    def on_unsupported(self, error: UnsupportedVersionError, now: float) -> None:
        # A broker that is too old for what every producer needs is the end.
        self._failures.fail_producer(error)

    def publish(self, before: ClusterMetadata, now: float) -> None:
        """Let everybody know of metadata that is not what it was before."""
        after = self._metadata.cluster
        if after is before:
            return
        if after.brokers is not before.brokers or not self._nodes.has_all(after.brokers):
            self._nodes.update(after.brokers, now)
        changed, made_anew = self._metadata.take_changed(), self._metadata.take_made_anew()
        for name in changed:
            earlier, topic = before.topics.get(name), after.topics.get(name)
            if earlier is None or topic is None:
                continue
            if earlier.topic_id != topic.topic_id or name in made_anew:
                self._sequences.on_topic_recreated(name, topic.partition_count)
        self._accumulator.update_topics(after, now, changed)
        for name in changed:
            if name in before.topics and name not in after.topics:
                self._accumulator.forget_topic(name, now)
                self._sequences.on_topic_forgotten(name, before.topics[name].partition_count)

    def _ask_bootstrap_too(self) -> None:
        """No known broker answers: they may all have moved, with nobody at the old addresses to refuse a connection."""
        if self._nodes.rebootstrap():
            why = "no known broker has answered for a while"
            logger.warning("asking the bootstrap servers: %s", why, extra={"event_name": "rebootstrap", "reason": why})

    def _rebootstrap(self, why: str, now: float) -> None:
        logger.warning(
            "starting over from the bootstrap servers: %s", why, extra={"event_name": "rebootstrap", "reason": why}
        )
        error = ProtocolError(f"closed to start over from the bootstrap servers: {why}")
        self._dispatcher.effects += self._nodes.close_all(error)
        self._nodes.rebootstrap()
        self._metadata.restart(now)
