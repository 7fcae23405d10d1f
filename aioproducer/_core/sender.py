"""What is to be done now? `Sender.poll(now)` answers with effects; `on_...` tells it what happened.

The order within a poll: what ran out of time → connections to close → gaps in sequences → metadata → producer id or
transaction → data. Nothing waits for anything it does not need: a metadata request that is due does not hold back data
for healthy brokers, and a partition that may not send holds back no other.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final, NamedTuple

from aioproducer._core.accumulator.batch import BatchState
from aioproducer._core.cluster.dispatch import Dispatcher
from aioproducer._core.cluster.metadata import MetadataState
from aioproducer._core.cluster.metadata_updater import MetadataUpdater, SentMetadata
from aioproducer._core.cluster.node import Node, NodeState
from aioproducer._core.cluster.nodes import Nodes
from aioproducer._core.effects import Completed, Send
from aioproducer._core.produce.errors import with_possibly_written
from aioproducer._core.produce.produce import InFlightProduce, Produce
from aioproducer._core.produce.sequences import Sequences
from aioproducer._core.requests.producer_id import Identity
from aioproducer._core.requests.verdicts import Verdict
from aioproducer._core.status import BrokerStatus, SenderStatistics, SenderStatus
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer._wire.messages.metadata import MetadataResponse
from aioproducer._wire.messages.produce import ProduceResponse
from aioproducer._wire.schema import Response
from aioproducer.errors import (
    AuthenticationError,
    ErrorCode,
    KafkaError,
    ProducerClosedError,
    ProtocolError,
    UnsupportedVersionError,
    error_for,
)

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.cluster.metadata import ClusterMetadata
    from aioproducer._core.cluster.node import InFlight
    from aioproducer._core.effects import Effect
    from aioproducer._core.transactions.manager import Transactions
    from aioproducer._core.transactions.requests import Exchange
    from aioproducer._wire.negotiation import BrokerVersions
    from aioproducer._wire.schema import Message

logger = logging.getLogger("aioproducer.sender")

# Since these versions a broker answers first and expects the client to wait (KIP-219); before, it held the answer back.
_PRODUCE_THROTTLE_SINCE: Final = 6
_INIT_PRODUCER_ID_THROTTLE_SINCE: Final = 1

_ROUNDING: Final = 0.001


class _SentInitProducerId(NamedTuple):
    version: int


class _SentExchange:
    # No NamedTuple: compiled, one needs the types of its fields when the module is loaded, and this one's are not then.
    __slots__ = ("exchange", "version")

    def __init__(self, version: int, exchange: Exchange) -> None:
        self.version = version
        self.exchange = exchange


class Sender:
    """Decides what is sent to whom and when. Owns everything of the core but the accumulator, which it is given.

    Attributes:
        fatal_error: what the producer cannot go on after; everything fails with it. None while all is well.
        transactions: those of a transactional producer, else None.
        last_connection_error: the last failure of a connection, until one succeeds; for messages to people.
        authentication_error: that of the last broker that refused who we are, until one accepts it.
    """

    def __init__(self, config: ProducerConfig, accumulator: Accumulator, rng: random.Random) -> None:
        self.fatal_error: KafkaError | None = None
        self.last_connection_error: KafkaError | None = None
        self.authentication_error: AuthenticationError | None = None
        self._config = config
        self._accumulator = accumulator
        is_transactional = config.transactional_id is not None
        self._sequences = Sequences(is_enabled=config.enable_idempotence, is_transactional=is_transactional)
        self._metadata = MetadataState(config, rng)
        self._nodes = Nodes(config, config.bootstrap_servers, rng)
        self._identity = Identity(config, self._sequences, rng)
        self.transactions: Transactions | None = None
        if is_transactional:
            # Here and not at the top: with their messages they are 8 ms that most producers have no use for.
            from aioproducer._core.transactions.manager import Transactions

            self.transactions = Transactions(config, accumulator, self._sequences, rng)
        self._produce = Produce(config, accumulator, self._sequences, self._metadata, rng, self.transactions)
        self._max_request_size = config.max_request_size
        self._dispatcher = Dispatcher(self._nodes)
        self._metadata_updater = MetadataUpdater(config, accumulator, self._metadata, self._sequences, self._dispatcher)
        self._polled_at = -math.inf
        self._has_news = True  # something was told since the last poll that may make something due
        self._is_delivered = False  # besides, a broker has accepted all of a request

    # ── asked ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def poll(self, now: float) -> list[Effect]:
        """Return everything that is due. Polling again at the same time, with nothing told in between, returns []."""
        self._dispatcher.wake_at = math.inf
        self._accumulator.tick(now)
        if self.fatal_error is not None:
            self._check_connections(now)  # what is on the wire keeps its memory until it is answered or given up
        while self.fatal_error is None and self._take_steps(now):
            pass  # the transaction has come to another state, and something may be due in that
        if self.fatal_error is not None:
            self._fail_all(self.fatal_error)
        self._polled_at = now
        self._has_news = self._is_delivered = False
        effects = self._dispatcher.take()
        if self._produce.completed:
            effects.append(Completed(self._produce.completed))
            self._produce.completed = []
        return effects

    def take_delivered(self) -> list[ProducerBatch] | None:
        """Return the batches that were delivered since the last poll, if that is all that has happened; else None.

        None means that a poll is due: there may be something to send, to close, or to wake. Otherwise a poll would
        return these batches and do nothing else, at ten times the cost. `deadline` stays what it was.
        """
        if self._has_news or not self._is_delivered or self.transactions is not None or self.fatal_error is not None:
            return None
        if self._produce.fatal_error is not None or self._sequences.has_gaps or self._accumulator.has_news:
            return None
        self._is_delivered = False
        delivered, self._produce.completed = self._produce.completed, []
        return delivered

    def deadline(self, now: float) -> float | None:
        """Return when to poll next if nothing is told before; None if only an event can bring anything."""
        if self._has_news or self._is_delivered:
            return now
        # What was due at the last poll and is still there waits for an event, or for a broker (wake_at): without
        # this, a producer whose cluster is away would poll without a pause.
        polled_at = self._polled_at
        due = math.inf
        for time in self._times():
            if polled_at < time < due:
                due = time
        return None if due == math.inf else due

    def _times(self) -> list[float]:
        """When each part has something to do by itself; infinity for never."""
        waiting = self._accumulator.deadline()
        # Not skipped when it is not later than the last poll: rounding may have left a batch a moment to live.
        waiting = math.inf if waiting is None else max(waiting, self._polled_at + _ROUNDING)
        times = [self._dispatcher.wake_at, self._nodes.next_due, waiting]
        if self.fatal_error is None:
            times += [self._identity.next_at()] if self.transactions is None else self.transactions.times()
            if not self._metadata.in_progress:
                times.append(self._metadata.next_at())
        return times

    @property
    def is_connected(self) -> bool:
        """Whether a broker is connected now, versions known."""
        return self._nodes.is_connected

    @property
    def is_started(self) -> bool:
        """Whether a broker is connected and, with a transactional id, the producer id for it is there."""
        return self._nodes.is_connected and (self.transactions is None or self.transactions.is_ready)

    @property
    def is_drained(self) -> bool:
        """Whether nothing that was accepted waits for its outcome, and no transaction for its end."""
        if not self._accumulator.is_empty or self._produce.completed:
            return False
        return self.transactions is None or self.transactions.is_settled(self._polled_at)

    @property
    def cluster(self) -> ClusterMetadata:
        """The cluster as it is known now."""
        return self._metadata.cluster

    def status(self, now: float) -> SenderStatus:
        """Return where things stand."""
        return SenderStatus(
            cluster_id=self._metadata.cluster.cluster_id,
            brokers=tuple([_broker_status(node, now) for node in self._nodes.all()]),
            topics=len(self._metadata.cluster.topics),
            producer_id=self._sequences.producer_id,
            producer_epoch=self._sequences.producer_epoch,
            fatal_error=self.fatal_error,
        )

    def statistics(self) -> SenderStatistics:
        """Return the counters."""
        return SenderStatistics(
            batch_retries=self._produce.retries,
            batch_splits=self._produce.splits,
            expired_batches=self._produce.expired,
            late_deliveries=self._produce.late_deliveries,
            producer_epoch_bumps=self._sequences.epoch_bumps,
            requests_in_flight=sum(len(node.in_flight) for node in self._nodes.all()),
            metadata_at=self._metadata.last_success,
        )

    # ── told: the life of the producer ───────────────────────────────────────────────────────────────────────────────

    def begin_close(self, now: float) -> None:
        """Accept nothing more and send what is there without lingering; `is_drained` tells when all is done.

        Bounded by delivery_timeout_ms, as every batch is.
        """
        self._has_news = True
        error = ProducerClosedError("the producer is closed")
        if self.transactions is not None:
            self.transactions.begin_close(error, now)
        self._accumulator.close(error)

    def abort(self, error: KafkaError, now: float) -> None:
        """Fail everything with the error, calls that wait or come later included.

        The next poll tells which batches those were.
        """
        self._has_news = True
        self._accumulator.close(error)
        self._fail_all(error)

    # ── told: connections ────────────────────────────────────────────────────────────────────────────────────────────

    def on_connected(self, node_id: int, versions: BrokerVersions, now: float) -> None:
        """The connection that was asked for is usable."""
        self._has_news = True
        self._nodes.on_connected(self._nodes[node_id], versions, now)
        if self.transactions is not None:
            self.transactions.on_versions(versions)
        self.last_connection_error = self.authentication_error = None

    def on_connect_failed(self, node_id: int, error: KafkaError, now: float) -> None:
        """The connection that was asked for could not be made."""
        self._has_news = True
        named = self._nodes.on_connect_failed(self._nodes[node_id], error, now)
        if isinstance(named, AuthenticationError):
            self.authentication_error = named
        self._note_failure(named, now)
        self._lose_coordinator(node_id, named, now)

    def on_disconnected(self, node_id: int, error: KafkaError | None, now: float) -> None:
        """The connection is gone; what was in flight on it fails."""
        self._has_news = True
        named, failed = self._nodes.on_disconnected(self._nodes[node_id], error, now)
        if named is None:
            return
        self._note_failure(named, now)
        for request in failed:
            self._on_lost(request, named, now)
        self._lose_coordinator(node_id, named, now)

    def on_encoded(self, batch: ProducerBatch, records_size: int, encoded_size: int) -> None:
        """The bytes of the batch were made: so many bytes of records became so many."""
        self._accumulator.on_encoded(batch, records_size, encoded_size)

    def on_written(self, node_id: int, request: InFlight, now: float) -> None:
        """All bytes of a request are with the socket."""
        if self._nodes.on_written(self._nodes[node_id], request, now):
            self._has_news = True
            self._on_complete_without_answer(request)

    def on_response(self, node_id: int, request: InFlight, message: Message, now: float) -> None:
        """The answer to a request came. One that makes no sense closes the connection."""
        node = self._nodes[node_id]
        if node.state is not NodeState.READY:
            self._has_news = True
            return  # it is being closed; its requests fail when that is reported
        due, is_delivered = self._nodes.next_due, False
        try:
            for complete in self._nodes.on_response(node, request, now):
                if complete is not request:
                    self._on_complete_without_answer(complete)
            is_delivered = self._on_answer(node, request, message, now)
        except ProtocolError as error:
            self._dispatcher.effects.append(self._nodes.disconnect(node, error))
        # A connection that is to be closed as it is not needed any more, or sooner as it is idle, is for a poll.
        if is_delivered and node.is_current and self._nodes.next_due >= due:
            self._is_delivered = True
        else:
            self._has_news = True

    # ── steps of a poll ──────────────────────────────────────────────────────────────────────────────────────────────

    def _take_steps(self, now: float) -> bool:
        """Do what is due; return whether that has changed the state of the transaction."""
        transactions = self.transactions
        before = None if transactions is None else transactions.state
        self._expire(now)
        self._check_connections(now)
        self._produce.settle()
        try:
            self._metadata_updater.ask(now)
            if transactions is None:
                self._identify(now)
        except UnsupportedVersionError as error:  # a broker that is too old for what every producer needs is the end
            self.fatal_error = error
        if transactions is not None:
            self._transact(transactions, now)
        self._send_ready(now)
        self.fatal_error = self.fatal_error or self._produce.fatal_error
        if transactions is None:
            return False
        transactions.on_batches(self._produce.completed)
        return transactions.state is not before

    def _expire(self, now: float) -> None:
        for batch in self._accumulator.expire(now):
            self._produce.expire(batch, self._why_late(batch, now), now)

    def _why_late(self, batch: ProducerBatch, now: float) -> KafkaError | None:
        """Return what keeps the batch from being acknowledged now, as far as it is known; what is over comes last."""
        cluster = self._metadata.cluster
        leader = (
            batch.last_node if batch.state is BatchState.IN_FLIGHT else cluster.leader(batch.topic, batch.partition)
        )
        node = None if leader is None else self._nodes.get(leader)
        return (
            (None if node is None else self._nodes.current_error(node, now))
            or (self._metadata.last_error or _no_leader(cluster, batch) if leader is None else None)
            or (self._identity if self.transactions is None else self.transactions).last_error
            or batch.last_error
            or self.last_connection_error
            or (None if node is None else self._nodes.current_error(node, now, silence=0.0))
        )

    def _check_connections(self, now: float) -> None:
        if now >= self._nodes.next_due:
            self._dispatcher.effects += self._nodes.check(now)

    def _identify(self, now: float) -> None:
        if not self._identity.is_due(now):
            return
        node = self._dispatcher.least_loaded(now)
        if node is None:
            return
        version = self._dispatcher.version_for(node, InitProducerIdRequest)
        self._dispatcher.send(node, version, self._identity.begin_request(), _SentInitProducerId(version), now)

    def _transact(self, transactions: Transactions, now: float) -> None:
        transactions.on_batches(self._produce.completed)
        transactions.advance(now)
        self._produce.completed += transactions.take_dropped()
        self.fatal_error = self.fatal_error or transactions.fatal_error
        for exchange in transactions.due(now):
            self._exchange(transactions, exchange, now)

    def _exchange(self, transactions: Transactions, exchange: Exchange, now: float) -> None:
        coordinator = exchange.coordinator
        if coordinator is None or coordinator.broker is None:
            node = self._dispatcher.least_loaded(now)
        else:
            known = self._nodes.get(coordinator.broker.node_id) or self._nodes.add(coordinator.broker)
            node = known if self._dispatcher.is_usable(known, now) else None
        if node is None:
            return
        assert node.versions is not None, "a node that is ready has versions"
        try:
            version = node.versions.version_for(exchange.request, exchange.at_most)
            message = exchange.build(version)
        except UnsupportedVersionError as error:
            transactions.on_unsupported(exchange, error)
            self._has_news = True
            return
        exchange.attempts.begin()
        self._dispatcher.send(node, version, message, _SentExchange(version, exchange), now)

    def _send_ready(self, now: float) -> None:
        held_until = -math.inf if self.transactions is None else self.transactions.held_until()
        if now < held_until:
            self._dispatcher.wake_at = min(self._dispatcher.wake_at, held_until)
            return
        for node_id in self._accumulator.ready_nodes(now):
            while self._send_batches(node_id, now):
                pass

    def _send_batches(self, node_id: int, now: float) -> bool:
        """Send one request to the node; False if there is nothing more for it now, or it can take none."""
        node = self._nodes.get(node_id)
        if node is None or not self._accumulator.is_ready(node_id) or not self._dispatcher.is_usable(node, now):
            return False
        batches = self._accumulator.drain(node_id, now, self._max_request_size, self._produce.can_send)
        if not batches:
            return False
        begun = self._produce.begin_request(node, batches, now)
        if begun is None:
            return False
        sent, plan = begun
        request = self._nodes.begin_request(
            node, ProduceResponse.api_key, sent.version, sent, now, expects_response=self._produce.expects_response
        )
        self._dispatcher.effects.append(Send(node_id, request, None, plan))
        return True

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_answer(self, node: Node, request: InFlight, message: Message, now: float) -> bool:
        """Act on an answer; return whether it says that all of a Produce request is delivered, and nothing else."""
        match request.context, message:
            case InFlightProduce() as sent, ProduceResponse():
                return self._on_produce_answer(node, sent, message, now)
            case SentMetadata() as sent, MetadataResponse():
                self._metadata_updater.on_response(node, sent, message, now)
            case _SentInitProducerId() as sent, InitProducerIdResponse():
                self._on_producer_id(node, sent, message, now)
            case _SentExchange() as sent, Response() if message.api_key == sent.exchange.request.api_key:
                self._on_exchanged(node, sent, message, now)
            case _:
                error = ProtocolError(f"{node.address} answered with a {type(message).__name__} that was not asked for")
                self._on_lost(request, error, now)
                raise error
        return False

    def _on_produce_answer(self, node: Node, sent: InFlightProduce, message: ProduceResponse, now: float) -> bool:
        if sent.version >= _PRODUCE_THROTTLE_SINCE:
            self._nodes.throttle(node, message.throttle_time_ms, now)
        before = self._metadata.cluster
        try:
            is_delivered = self._produce.on_response(sent, message, node, now)
        except ProtocolError as error:
            self._produce.on_lost(sent, error, now)
            raise
        self._metadata_updater.use(before, now)
        return is_delivered and self._metadata.cluster is before

    def _on_producer_id(
        self, node: Node, sent: _SentInitProducerId, message: InitProducerIdResponse, now: float
    ) -> None:
        if sent.version >= _INIT_PRODUCER_ID_THROTTLE_SINCE:
            self._nodes.throttle(node, message.throttle_time_ms, now)
        verdict, error = self._identity.on_response(message, node.node_id, now)
        if verdict is Verdict.FATAL:
            self.fatal_error = error
        elif verdict is Verdict.FAIL and error is not None:
            logger.error(
                "no producer id, what was buffered fails, and it is tried again: %s",
                error,
                extra={"event": "producer_id_refused", "node": node.node_id, "reason": error.name},
            )
            self._note_failed(self._accumulator.fail_queued(error), error)

    def _on_exchanged(self, node: Node, sent: _SentExchange, message: Response, now: float) -> None:
        from aioproducer._core.transactions.requests import TRANSACTION_THROTTLE_SINCE

        assert self.transactions is not None, "only a transaction has exchanges"
        if sent.version >= TRANSACTION_THROTTLE_SINCE.get(message.api_key, 0):
            self._nodes.throttle(node, getattr(message, "throttle_time_ms", 0), now)
        self.transactions.on_response(sent.exchange, message, node.node_id, now)

    def _lose_coordinator(self, node_id: int, error: KafkaError, now: float) -> None:
        if self.transactions is not None:
            self.transactions.on_node_lost(node_id, error, now)

    def _on_complete_without_answer(self, request: InFlight) -> None:
        if isinstance(request.context, InFlightProduce):
            self._produce.on_written(request.context)

    def _on_lost(self, request: InFlight, error: KafkaError, now: float) -> None:
        match request.context:
            case InFlightProduce() as sent:
                self._produce.on_lost(sent, error, now)
            case SentMetadata():
                self._metadata.fail(error, now)
            case _SentInitProducerId():
                self._identity.fail(error, now)
            case _SentExchange() as sent:
                assert self.transactions is not None, "only a transaction has exchanges"
                self.transactions.on_lost(sent.exchange, error, now)
            case _:
                raise AssertionError(f"unknown request {request!r}")

    def _note_failure(self, error: KafkaError, now: float) -> None:
        self.last_connection_error = error
        self._metadata.request_update()
        # Whoever waits for a topic that cannot be asked for learns why, should the wait end in a timeout.
        before = self._metadata.cluster
        self._metadata.explain(self._accumulator.busy_topics(), error)
        self._metadata_updater.use(before, now)

    def _fail_all(self, error: KafkaError) -> None:
        if self.transactions is not None:
            self.transactions.on_fatal(error)
        self._note_failed(self._accumulator.fail_all(error), error)

    def _note_failed(self, batches: list[ProducerBatch], error: KafkaError) -> None:
        in_doubt = with_possibly_written(error, possibly_written=True)
        for batch in batches:
            self._sequences.on_failed(batch)
            batch.error = in_doubt if batch.possibly_written else error
            self._produce.completed.append(batch)


def _broker_status(node: Node, now: float) -> BrokerStatus:
    return BrokerStatus(
        node_id=node.node_id,
        host=node.host,
        port=node.port,
        state=node.state.name,
        requests_in_flight=len(node.in_flight),
        throttled_seconds=max(0.0, node.throttled_until - now),
        last_error=node.last_error,
    )


def _no_leader(cluster: ClusterMetadata, batch: ProducerBatch) -> KafkaError:
    """Why the batch has nowhere to go."""
    return cluster.errors.get(batch.topic) or error_for(
        ErrorCode.LEADER_NOT_AVAILABLE, api="Metadata", topic=batch.topic, partition=batch.partition
    )
