"""Produce requests: what goes into one, and what follows for each of its batches from the answer, or from its loss.

`possibly_written` of a batch is true from the moment its request is handed to the shell; only a refusal
(retries.Rule) of that very attempt takes it back, to what it was before the attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._core import floors
from aioproducer._core.accumulator.batch import BatchState
from aioproducer._core.cluster.metadata import NO_TOPIC_IDS, Broker
from aioproducer._core.effects import ProducePlan
from aioproducer._core.produce.errors import (
    delivery_timeout,
    record_failures,
    renumbering_failure,
)
from aioproducer._core.requests.backoff import SOON, exponential_backoff
from aioproducer._core.requests.verdicts import PRODUCE_RULES, UNLISTED_PRODUCE_RULE, Rule, Verdict
from aioproducer._logger import get_logger
from aioproducer._wire.messages.produce import ADDS_PARTITIONS_SINCE, ProduceRequest
from aioproducer.errors import ErrorCode, KafkaError, ProtocolError, UnsupportedVersionError
from aioproducer.errors._from_code import error_for

if TYPE_CHECKING:
    import random
    from uuid import UUID

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.cluster.metadata import TopicIds
    from aioproducer._core.cluster.metadata_state import MetadataState
    from aioproducer._core.cluster.node import Node
    from aioproducer._core.produce.sequences import Sequences
    from aioproducer._core.transactions.manager import TransactionManager
    from aioproducer._wire.messages.produce import PartitionProduceResponse, ProduceResponse
    from aioproducer._wire.negotiation import BrokerVersions

logger = get_logger("aioproducer.sender")

_NO_OFFSET: Final = -1
_LAST_OFFSET: Final = 2**63 - 1
_TOPIC_IDS_SINCE: Final = 13
_ZSTD_SINCE: Final = 7


class InFlightBatch(NamedTuple):
    """One batch of a request: what was so when it was sent."""

    batch: ProducerBatch
    was_possibly_written: bool


class InFlightProduce(NamedTuple):
    """A Produce request in flight. `names` are those of its topic ids (KIP-516), as they were then."""

    version: int
    entries: list[InFlightBatch]
    names: Mapping[UUID, str]


class Produce:
    """Makes Produce requests out of drained batches and acts on what comes back.

    Attributes:
        completed: batches whose outcome became final; the sender takes them.
        fatal_error: what the producer cannot go on after, or None.
        unsupported: why the broker that was to have the last request cannot be sent any; the sender takes it.
    """

    def __init__(
        self,
        config: ProducerConfig,
        accumulator: Accumulator,
        sequences: Sequences,
        metadata: MetadataState,
        rng: random.Random,
        transactions: TransactionManager | None = None,
    ) -> None:
        self.completed: list[ProducerBatch] = []
        self.fatal_error: KafkaError | None = None
        self.unsupported: UnsupportedVersionError | None = None
        self.retries = 0
        self.splits = 0
        self.expired = 0
        self.late_deliveries = 0
        self._accumulator = accumulator
        self._sequences = sequences
        self._metadata = metadata
        self._rng = rng
        self._transactions = transactions
        self._transactional_id = config.transactional_id
        self._acks = config.acks
        self._timeout_ms = config.request_timeout_ms
        self._delivery_timeout_ms = config.delivery_timeout_ms
        self._max_retries = config.retries
        self._backoff, self._backoff_max = floors.backoff(config.retry_backoff_ms, config.retry_backoff_max_ms)
        self._is_zstd = config.compression_type == "zstd"
        # With one request in flight at a time, order holds without sequence numbers too, if a batch that is on its way
        # holds back the next of its partition, whichever broker that would go to.
        self._is_muting = config.max_in_flight_requests_per_connection == 1
        self._muted: set[tuple[str, int]] = set()
        self._versions: dict[int, tuple[BrokerVersions, int | None, int]] = {}  # by node: for what, and the version

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def can_send(self, batch: ProducerBatch) -> bool:
        """Whether the first batch of a queue may go now, as far as order is concerned."""
        if self._is_muting and (batch.topic, batch.partition) in self._muted:
            return False
        return self._sequences.can_send(batch)

    def can_send_to(self, node: Node) -> Callable[[ProducerBatch], bool]:
        """Return `can_send`, for what this node leads; as far as the transaction is concerned, too, if there is one."""
        transactions = self._transactions
        if transactions is None:
            return self.can_send
        versions = node.versions
        assert versions is not None, "a node that is ready has versions"
        version = versions.usable(ProduceRequest.api_key)
        is_added_by_it = version is None or version >= ADDS_PARTITIONS_SINCE  # of None more is said where it is sent

        def can_send(batch: ProducerBatch) -> bool:
            return transactions.can_send(batch, is_added_by_it=is_added_by_it) and self.can_send(batch)

        return can_send

    def begin_request(
        self, node: Node, batches: list[ProducerBatch], now: float
    ) -> tuple[InFlightProduce, ProducePlan] | None:
        """Return the request for batches that were drained for the node; None if the broker is too old for them.

        They fail then, and no others: it may be one broker of many, or a proxy before it, that lists no Produce.
        """
        try:
            ids, version = self._version_for(node, batches)
        except UnsupportedVersionError as error:
            self.unsupported = error
            self._refuse(batches, error)
            return None
        if self._is_zstd and version < _ZSTD_SINCE:
            code = ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
            self._refuse(batches, error_for(code, "zstd needs Kafka 2.1 or later", api="Produce", node=node.node_id))
            return None
        entries: list[InFlightBatch] = []
        for batch in batches:
            self._sequences.assign(batch)
            entries.append(InFlightBatch(batch, batch.possibly_written))
            batch.possibly_written = True
            if self._is_muting:
                self._muted.add((batch.topic, batch.partition))
            self._metadata.touch(batch.topic, now)
        if self._transactions is not None:
            self._transactions.on_data(now)
        plan = ProducePlan(batches, self._acks, self._timeout_ms, self._transactional_id, ids.by_name)
        return InFlightProduce(version, entries, ids.names), plan

    @property
    def expects_response(self) -> bool:
        """Whether brokers answer Produce requests; with acks=0 they do not."""
        return self._acks != 0

    def _version_for(self, node: Node, batches: list[ProducerBatch]) -> tuple[TopicIds, int]:
        """Return the ids of the topics (none where names are used) and the version: ids begin with 13."""
        versions = node.versions
        assert versions is not None, "a node that is ready has versions"
        at_most = None if self._transactions is None else self._transactions.produce_at_most
        known = self._versions.get(node.node_id)
        if known is None or known[0] is not versions or known[1] != at_most:
            known = versions, at_most, versions.version_for(ProduceRequest, at_most=at_most)
            self._versions[node.node_id] = known
        version = known[2]
        if version < _TOPIC_IDS_SINCE:
            return NO_TOPIC_IDS, version
        ids = self._metadata.topic_ids()
        for batch in batches:
            if batch.topic not in ids.by_name:
                return NO_TOPIC_IDS, versions.version_for(ProduceRequest, at_most=_TOPIC_IDS_SINCE - 1)
        return ids, version

    def _refuse(self, batches: list[ProducerBatch], error: KafkaError) -> None:
        for batch in batches:
            self.fail(batch, error)
            self._accumulator.release(batch)

    # ── what came back ───────────────────────────────────────────────────────────────────────────────────────────────

    def on_written(self, sent: InFlightProduce) -> None:
        """The bytes are with the socket; with acks=0 that is all there is to know."""
        for entry in sent.entries:
            if self._is_open(entry.batch):
                self._deliver(entry.batch, _NO_OFFSET, -1)

    def on_response(self, sent: InFlightProduce, response: ProduceResponse, node: Node, now: float) -> bool:
        """Act on the answer to a request; return whether each of its batches was delivered by it.

        Raises:
            ProtocolError: the answer is about something that was not asked; all of it is ignored then.
        """
        answers, missing = self._matched(sent, response, node)
        endpoints = [Broker(e.node_id, e.host, e.port, e.rack) for e in response.node_endpoints]
        before = len(self.completed)
        is_delivered = not missing
        for entry, answer in answers:
            rule = PRODUCE_RULES.get(answer.error_code, UNLISTED_PRODUCE_RULE)
            if answer.error_code:
                is_delivered = False
                # Before the batch is queued again: whether it may go at once depends on the leader that is known then.
                if rule.verdict is Verdict.REFRESH:
                    self._learn(entry.batch, answer, endpoints)
            self._on_partition(entry, rule, answer, node, now)
        if missing:
            # The shell leaves a batch out whose outcome came before its bytes were made; the others were forgotten.
            self._lose(missing, ProtocolError(f"{node.address} left partitions out of its answer"), now)
        return is_delivered and len(self.completed) == before + len(answers)

    def on_lost(self, sent: InFlightProduce, error: KafkaError, now: float) -> None:
        """The connection went before the answer came: the batches may have been written."""
        self._lose(sent.entries, error, now)

    def _matched(
        self, sent: InFlightProduce, response: ProduceResponse, node: Node
    ) -> tuple[list[tuple[InFlightBatch, PartitionProduceResponse]], list[InFlightBatch]]:
        waiting = {(entry.batch.topic, entry.batch.partition): entry for entry in sent.entries}
        answers: list[tuple[InFlightBatch, PartitionProduceResponse]] = []
        for topic in response.responses:
            name = sent.names.get(topic.topic_id) if sent.version >= _TOPIC_IDS_SINCE else topic.name
            for answer in topic.partition_responses:
                entry = waiting.pop((name or "", answer.index), None)
                if entry is None:
                    raise ProtocolError(
                        f"{node.address} answered a Produce request for partition {answer.index} of topic {name!r},"
                        " which was not in it"
                    )
                if answer.base_offset > _LAST_OFFSET - entry.batch.count:
                    raise ProtocolError(
                        f"{node.address} says that {entry.batch.count} records of topic {name!r} partition"
                        f" {answer.index} begin at offset {answer.base_offset}: no log is that long"
                    )
                answers.append((entry, answer))
        return answers, list(waiting.values())

    def _learn(self, batch: ProducerBatch, answer: PartitionProduceResponse, endpoints: list[Broker]) -> None:
        self._metadata.doubt(batch.topic)
        hint = answer.current_leader
        self._metadata.apply_hint(batch.topic, batch.partition, hint.leader_id, hint.leader_epoch, endpoints)

    def _on_partition(
        self, entry: InFlightBatch, rule: Rule, answer: PartitionProduceResponse, node: Node, now: float
    ) -> None:
        batch = entry.batch
        if not self._is_open(batch):
            self._on_late_answer(entry, rule)
            return
        if rule.proves_not_written:
            batch.possibly_written = entry.was_possibly_written
        if rule.verdict is Verdict.DELIVERED:
            self._deliver(batch, answer.base_offset, answer.log_append_time_ms)
            return
        error = error_for(
            answer.error_code,
            answer.error_message,
            api="Produce",
            node=node.node_id,
            topic=batch.topic,
            partition=batch.partition,
        )
        meaning = error if self._transactions is None else self._transactions.meaning_of(error, now)
        self._on_error(entry, rule, answer, meaning, now)

    def _on_error(
        self, entry: InFlightBatch, rule: Rule, answer: PartitionProduceResponse, error: KafkaError, now: float
    ) -> None:
        batch = entry.batch
        match rule.verdict:
            case Verdict.RETRY | Verdict.REFRESH:
                self._retry(batch, error, now)
            case Verdict.SPLIT if batch.count > 1:
                self._split(batch, error, now)
            case Verdict.OUT_OF_ORDER if self._sequences.is_enabled:
                is_collateral = self._sequences.on_out_of_order(batch)
                if self._transactions is not None and not is_collateral:
                    self.fail(batch, error)  # a gap, and the next epoch comes with the next transaction
                else:
                    self._retry(batch, error, now, at_once=is_collateral)
            case Verdict.UNKNOWN_PRODUCER if self._sequences.is_enabled and self._transactions is None:
                self._sequences.on_unknown_producer(batch, answer.log_start_offset)
                self._retry(batch, error, now)
            case Verdict.FATAL if self._sequences.is_enabled and not self._is_left_to_coordinator(answer.error_code):
                self.fatal_error = self.fatal_error or error
                self.fail(batch, error)
            case _:
                self._fail_records(batch, answer, error)

    def _is_left_to_coordinator(self, code: int) -> bool:
        """Whether the batch alone fails, and the end of its transaction shows whether the producer is fenced."""
        return self._transactions is not None and code == ErrorCode.PRODUCER_FENCED

    def _on_late_answer(self, entry: InFlightBatch, rule: Rule) -> None:
        """The batch has expired: nothing changes for its records, but the fate of its number is known now."""
        if rule.verdict is Verdict.DELIVERED:
            self.late_deliveries += 1
            self._sequences.on_late_delivery(entry.batch)
        elif rule.proves_not_written and not entry.was_possibly_written:
            self._sequences.on_late_refusal(entry.batch)

    def _is_open(self, batch: ProducerBatch) -> bool:
        """Note that the batch is off the wire; return whether it still waits for its outcome."""
        if self._is_muting:
            self._muted.discard((batch.topic, batch.partition))
        if batch.state is not BatchState.DONE:
            return True
        self._accumulator.release(batch)
        return False

    # ── what follows ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _deliver(self, batch: ProducerBatch, base_offset: int, log_append_time_ms: int) -> None:
        batch.possibly_written = True
        self._sequences.on_delivered(batch)
        self._accumulator.complete(batch, base_offset, log_append_time_ms)
        self.completed.append(batch)

    def fail(self, batch: ProducerBatch, error: KafkaError, record_errors: dict[int, KafkaError] | None = None) -> None:
        """Make the failure the batch's outcome."""
        self._sequences.on_failed(batch)
        self._accumulator.fail(batch, error, record_errors)
        self.completed.append(batch)

    def _fail_records(self, batch: ProducerBatch, answer: PartitionProduceResponse, error: KafkaError) -> None:
        if not answer.record_errors:
            self.fail(batch, error)
            return
        others, own = record_failures(
            batch, answer.error_code, answer.error_message, answer.record_errors, batch.last_node
        )
        self.fail(batch, others, own)

    def _lose(self, entries: list[InFlightBatch], error: KafkaError, now: float) -> None:
        for entry in entries:
            if self._is_open(entry.batch):
                self._retry(entry.batch, error, now)

    def _retry(self, batch: ProducerBatch, error: KafkaError, now: float, *, at_once: bool = False) -> None:
        batch.last_error = error
        if batch.attempts >= self._max_retries:
            self.fail(batch, error)
            return
        self.retries += 1
        # A newer leader epoch than the one it was sent under means that there is a new leader to try: at once
        # (KIP-951).
        has_moved = self._metadata.cluster.leader_epoch(batch.topic, batch.partition) > batch.leader_epoch
        wait = 0.0
        if not at_once and not has_moved:
            # The coordinator is done with the transaction before in a few milliseconds.
            is_soon = self._transactions is not None and error.code == ErrorCode.CONCURRENT_TRANSACTIONS
            base = min(SOON, self._backoff) if is_soon else self._backoff
            wait = exponential_backoff(batch.attempts + 1, base, self._backoff_max, self._rng)
        self._accumulator.requeue(batch, now, now + wait)

    def _split(self, batch: ProducerBatch, error: KafkaError, now: float) -> None:
        self.splits += 1
        logger.info(
            "batch of %d records of %s-%d is split in two: %s",
            batch.count,
            batch.topic,
            batch.partition,
            error,
            extra={
                "event_name": "batch_split",
                "topic": batch.topic,
                "partition": batch.partition,
                "count": batch.count,
                "reason": error.name,
            },
        )
        children = self._accumulator.split(batch)
        for child in children:
            child.possibly_written = batch.possibly_written
            child.last_error = error
            child.last_node = batch.last_node
        self._sequences.on_split(batch, children)
        self._accumulator.requeue_parts(children, now)  # after they have numbers, which say where they belong

    # ── without an answer ────────────────────────────────────────────────────────────────────────────────────────────

    def expire(self, batch: ProducerBatch, cause: KafkaError | None, now: float) -> None:
        """Fail a batch that was not acknowledged in time, for what is the cause at present."""
        self.expired += 1
        self.fail(batch, delivery_timeout(batch, now, self._delivery_timeout_ms, cause))

    def close_gaps(self) -> None:
        """Let partitions with a gap go on; batches that may have been written and can never be confirmed fail."""
        if not self._sequences.has_gaps:
            return
        for batch in self._sequences.close_gaps():
            self._accumulator.fail(batch, renumbering_failure(batch))
            self.completed.append(batch)
