"""The decisions of the core, in one place: `Sender.poll(now)` returns what is to be done, `on_...` tells what happened.

The order within a poll: what ran out of time → connections to close → gaps in sequences → control requests → those of
the transaction → data (`Sender._take_steps` says why). Nothing waits for anything it does not need: a metadata request
that is due does not hold back data for healthy brokers, and a partition that may not send holds back no other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from aioproducer._core.cluster.dispatch import Dispatcher
from aioproducer._core.cluster.metadata_state import MetadataState
from aioproducer._core.cluster.metadata_updater import MetadataUpdater
from aioproducer._core.cluster.node import Node, NodeState
from aioproducer._core.cluster.nodes import Nodes
from aioproducer._core.effects import Completed, Send
from aioproducer._core.failures import Failures
from aioproducer._core.produce.produce import InFlightProduce, Produce
from aioproducer._core.produce.sequences import Sequences
from aioproducer._core.requests.producer_id import IdempotentProducerId
from aioproducer._core.requests.registry import ControlRequests, unexpected_answer
from aioproducer._core.status import BrokerStatus, SenderStatistics, SenderStatus
from aioproducer._wire.messages.produce import ProduceResponse
from aioproducer.errors import AuthenticationError, KafkaError, ProducerClosedError, ProtocolError

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.cluster.metadata import ClusterMetadata
    from aioproducer._core.cluster.node import InFlight
    from aioproducer._core.effects import Effect
    from aioproducer._core.transactions.manager import TransactionManager
    from aioproducer._wire.negotiation import BrokerVersions
    from aioproducer._wire.schema import Message

_ROUNDING: Final = 0.001


class Sender:
    """Decides what is sent to whom and when. Owns everything of the core but the accumulator, which it is given.

    Attributes:
        requests: the control requests; one that is added to them is asked at each poll.
        transactions: those of a transactional producer, else None.
        last_connection_error: the last failure of a connection, until one succeeds; for messages to people.
        authentication_error: that of the last broker that refused who we are, until one accepts it.
        reauthentications: how often a broker has accepted us again on the same connection.
        longest_reauthentication: seconds for which nothing could be sent to it, at most.
    """

    def __init__(self, config: ProducerConfig, accumulator: Accumulator, rng: random.Random) -> None:
        self.last_connection_error: KafkaError | None = None
        self.authentication_error: AuthenticationError | None = None
        self.reauthentications = 0
        self.longest_reauthentication = 0.0
        self._config = config
        self._accumulator = accumulator
        is_transactional = config.transactional_id is not None
        self._sequences = Sequences(is_enabled=config.enable_idempotence, is_transactional=is_transactional)
        self._metadata = MetadataState(config, rng)
        self._nodes = Nodes(config, config.bootstrap_servers, rng)
        self.transactions: TransactionManager | None = None
        if is_transactional:
            # Here and not at the top: with their messages they are 8 ms that most producers have no use for.
            from aioproducer._core.transactions.manager import TransactionManager

            self.transactions = TransactionManager(config, accumulator, self._sequences, rng)
        self._produce = Produce(config, accumulator, self._sequences, self._metadata, rng, self.transactions)
        self._max_request_size = config.max_request_size
        self._failures = Failures(accumulator, self._sequences, self._metadata, self._nodes, self._produce)
        self._dispatcher = Dispatcher(self._nodes)
        self.requests = ControlRequests(self._dispatcher, self._failures)
        self._metadata_updater = MetadataUpdater(
            config, accumulator, self._metadata, self._sequences, self._dispatcher, self._failures
        )
        self._producer_id = IdempotentProducerId(config, self._sequences, self._failures, rng)
        # Metadata first: without it no leader is known, so where a broker has room for one more request, it goes there.
        self.requests.add(self._metadata_updater)
        if self.transactions is None:
            self.requests.add(self._producer_id.request)
        self._stalled = self._nodes.stalled  # as the accumulator knows them
        self._polled_at = -math.inf
        self._has_news = True  # something was told since the last poll that may make something due
        self._is_delivered = False  # besides, a broker has accepted all of a request

    # ── asked ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def poll(self, now: float) -> list[Effect]:
        """Return everything that is due. Polling again at the same time, with nothing told in between, returns [].

        Outcomes come first: they are final, whatever becomes of the rest.
        """
        failures = self._failures
        self._dispatcher.wake_at = math.inf
        self._accumulator.tick(now)
        if failures.fatal_error is not None:
            self._check_connections(now)  # what is on the wire keeps its memory until it is answered or given up
        while failures.fatal_error is None and self._take_steps(now):
            pass  # the transaction has come to another state, and something may be due in that
        if failures.fatal_error is not None:
            self._fail_all(failures.fatal_error)
        self._polled_at = now
        self._has_news = self._is_delivered = False
        effects = self._dispatcher.take()
        completed = self.take_completed()
        return [Completed(completed), *effects] if completed else effects

    def take_completed(self) -> list[ProducerBatch]:
        """Return the batches whose outcome is final and not told yet."""
        completed, self._produce.completed = self._produce.completed, []
        return completed

    def take_delivered(self) -> list[ProducerBatch] | None:
        """Return the batches that were delivered since the last poll, if that is all that has happened; else None.

        None means that a poll is due: there may be something to send, to close, or to wake. Otherwise a poll would
        return these batches and do nothing else, at ten times the cost. `deadline` stays what it was.
        """
        if self._has_news or not self._is_delivered or self.transactions is not None:
            return None
        if self._failures.fatal_error is not None:
            return None
        if self._produce.fatal_error is not None or self._sequences.has_gaps or self._accumulator.has_news:
            return None
        self._is_delivered = False
        return self.take_completed()

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
        if self._failures.fatal_error is None:
            times += self.requests.times()
            if self.transactions is not None:
                times += self.transactions.times()
        return times

    @property
    def fatal_error(self) -> KafkaError | None:
        """What the producer cannot go on after; everything fails with it. None while all is well."""
        return self._failures.fatal_error

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
            reauthentications=self.reauthentications,
            reauthentication_seconds_max=self.longest_reauthentication,
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

        The next poll, or `take_completed`, tells which batches those were.
        """
        self._has_news = True
        self._accumulator.close(error)
        self._fail_all(error)

    # ── told: connections ────────────────────────────────────────────────────────────────────────────────────────────

    def on_connected(
        self,
        node_id: int,
        versions: BrokerVersions,
        now: float,
        authenticated_at: float = 0.0,
        session_lifetime: float | None = None,
    ) -> None:
        """The connection that was asked for is usable; its session lasts so many seconds, None: as long as it does."""
        self._has_news = True
        self._nodes.on_connected(self._nodes[node_id], versions, now, authenticated_at, session_lifetime)
        if self.transactions is not None:
            self.transactions.on_versions(versions)
        self.last_connection_error = self.authentication_error = None

    def on_reauthenticated(
        self, node_id: int, authenticated_at: float, session_lifetime: float | None, now: float
    ) -> None:
        """The broker has accepted who we are once more (see `Reauthenticate`)."""
        self._has_news = True
        paused = self._nodes.on_reauthenticated(self._nodes[node_id], authenticated_at, session_lifetime, now)
        if paused is not None:
            self.reauthentications += 1
            self.longest_reauthentication = max(self.longest_reauthentication, paused)

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
        """Do what is due; return whether that has changed the state of the transaction.

        The order:

        1. What is late fails before anything could send it again, and connections to close take nothing more.
        2. Gaps in the sequences are settled before data is drained, which needs to know what may be numbered.
        3. Control requests before data: a broker takes so many requests at a time, data could always fill it, and
           without metadata and a producer id data comes to a stand.
        4. Data last: what the steps before have decided, say an abort, holds for it already.
        """
        transactions = self.transactions
        before = None if transactions is None else transactions.state
        self._expire(now)
        self._check_connections(now)
        if self._nodes.stalled is not self._stalled:
            self._stalled = self._nodes.stalled
            self._accumulator.avoid_brokers(self._stalled)
        self._produce.close_gaps()
        self.requests.send_due(now)
        if transactions is not None:
            self._transact(transactions, now)
        self._send_ready(now)
        if self._stalled and self._accumulator.has_avoided:
            self._try_avoided(now)
        self._note_fatal(self._produce.fatal_error)
        if transactions is None:
            return False
        transactions.on_batches(self._produce.completed)
        has_unadded = transactions.take_unadded(now)
        return transactions.state is not before or has_unadded

    def _expire(self, now: float) -> None:
        for batch in self._accumulator.expire(now):
            asking = self._producer_id.request.retry_timer if self.transactions is None else self.transactions
            cause = self._failures.why_late(
                batch, now, producer_id=asking.last_error, connection=self.last_connection_error
            )
            self._produce.expire(batch, cause, now)

    def _check_connections(self, now: float) -> None:
        if now >= self._nodes.next_due:
            self._dispatcher.effects += self._nodes.check(now)

    def _transact(self, transactions: TransactionManager, now: float) -> None:
        """Let the transaction come as far as it can, then send what it needs.

        Outcomes first: a batch that failed makes it abort what it would have committed. What the abort drops is told in
        this poll, so that no call waits for a record that nobody will send.
        """
        transactions.on_batches(self._produce.completed)
        transactions.advance(now)
        self._produce.completed += transactions.take_dropped()
        self._note_fatal(transactions.fatal_error)
        for request in transactions.due(now):
            self.requests.send(request, now)

    def _note_fatal(self, error: KafkaError | None) -> None:
        if error is not None and self._failures.fatal_error is None:
            self._failures.fail_producer(error)

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
        batches = self._accumulator.drain(node_id, now, self._max_request_size, self._produce.can_send_to(node))
        if not batches:
            return False
        begun = self._produce.begin_request(node, batches, now)
        if begun is None:
            unsupported, self._produce.unsupported = self._produce.unsupported, None
            if unsupported is not None:  # what it lists may be better on the next connection
                self._dispatcher.effects.append(self._nodes.disconnect(node, unsupported))
            return False
        sent, plan = begun
        request = self._nodes.begin_request(
            node, ProduceResponse.api_key, sent.version, sent, now, expects_response=self._produce.expects_response
        )
        self._dispatcher.effects.append(Send(node_id, request, None, plan))
        return True

    def _try_avoided(self, now: float) -> None:
        """Connect to the brokers that records are kept from: only a connection shows that they can be reached again.

        Nothing is sent there meanwhile, so nobody else would. Once for each time that a record was kept from one.
        """
        is_left = False
        for node_id in self._stalled:
            node = self._nodes.get(node_id)
            if node is not None and node.is_current and node.state in (NodeState.DISCONNECTED, NodeState.CLOSING):
                is_left = is_left or not self._nodes.can_connect(node, now)
                self._dispatcher.is_usable(node, now)
        self._accumulator.has_avoided = is_left

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_answer(self, node: Node, request: InFlight, message: Message, now: float) -> bool:
        """Act on an answer; return whether it says that all of a Produce request is delivered, and nothing else."""
        sent = request.context
        if isinstance(sent, InFlightProduce):
            return self._on_produce_answer(node, sent, message, now)
        self.requests.on_response(sent, message, node, now)
        return False

    def _on_produce_answer(self, node: Node, sent: InFlightProduce, message: Message, now: float) -> bool:
        before = self._metadata.cluster
        try:
            if not isinstance(message, ProduceResponse):
                raise unexpected_answer(node, message)
            self._nodes.throttle(node, message.throttle_ms(sent.version), now)
            is_delivered = self._produce.on_response(sent, message, node, now)
        except ProtocolError as error:
            self._produce.on_lost(sent, error, now)
            raise
        self._metadata_updater.publish(before, now)
        return is_delivered and self._metadata.cluster is before

    def _lose_coordinator(self, node_id: int, error: KafkaError, now: float) -> None:
        if self.transactions is not None:
            self.transactions.on_node_lost(node_id, error, now)

    def _on_complete_without_answer(self, request: InFlight) -> None:
        if isinstance(request.context, InFlightProduce):
            self._produce.on_written(request.context)

    def _on_lost(self, request: InFlight, error: KafkaError, now: float) -> None:
        sent = request.context
        if isinstance(sent, InFlightProduce):
            self._produce.on_lost(sent, error, now)
        else:
            self.requests.on_lost(sent, error, now)

    def _note_failure(self, error: KafkaError, now: float) -> None:
        self.last_connection_error = error
        self._metadata.request_update()
        # Whoever waits for a topic that cannot be asked for learns why, should the wait end in a timeout.
        before = self._metadata.cluster
        self._metadata.explain(self._accumulator.busy_topics(), error)
        self._metadata_updater.publish(before, now)

    def _fail_all(self, error: KafkaError) -> None:
        if self.transactions is not None:
            self.transactions.on_fatal(error)
        self._failures.fail_all(error)


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
