"""The network between the core and the brokers: connections that keep order, take their time, and die at any point.

It stands in for the shell's connections too: it writes requests in the order of the Send effects, makes the bytes of
batches as late as the shell does, and reports each step to the sender.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from aioproducer._records.compression import Codec, compressor
from aioproducer._records.encode import encode_records, restamp, seal_batch
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer._wire.messages.metadata import MetadataResponse
from aioproducer._wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from aioproducer._wire.negotiation import ApiVersionRange, BrokerVersions
from aioproducer._wire.schema import ZERO_UUID
from aioproducer.errors import AuthenticationError, KafkaConnectionError
from aioproducer.testing._broker import Closed, Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.cluster.node import InFlight
    from aioproducer._core.effects import Connect, Disconnect, ProducePlan, Reauthenticate, Send
    from aioproducer._core.sender import Sender
    from aioproducer._wire.schema import Message
    from aioproducer.errors import KafkaError
    from aioproducer.testing._broker import ClusterCore, Output
    from tests.simulation.clock import Clock
    from tests.simulation.scenario import Scenario
    from tests.simulation.trace import Trace

_TICK = 1e-6

tap: Callable[[float, int, int, int, Message], None] | None = None
"""Told of each request that is written, for digests: when, to which node, version, correlation id, message."""


class Connection:
    """One connection: what is on its way, and which of the two ends still lives."""

    __slots__ = (
        "broker_id",
        "expected",
        "held_until",
        "inbox",
        "is_broker_gone",
        "is_closed",
        "is_closing",
        "is_open",
        "is_renewing",
        "is_writing",
        "last_arrival",
        "last_reply",
        "network",
        "node_id",
        "on_wire",
        "outbox",
        "session_ends",
    )

    def __init__(self, network: Network, node_id: int, broker_id: int) -> None:
        self.network = network
        self.node_id = node_id
        self.broker_id = broker_id
        self.is_open = False  # the sender knows that it is usable
        self.is_closed = False  # the sender has been told of its end
        self.is_closing = False  # the sender has asked for its end
        self.is_broker_gone = False  # nothing arrives any more
        self.is_writing = False
        self.is_renewing = False  # the broker is in the middle of an authentication
        self.session_ends = float("inf")
        self.held_until = 0.0  # what is on its way to the broker is stuck until then
        self.last_arrival = 0.0
        self.last_reply = 0.0
        self.outbox: deque[Send] = deque()
        self.inbox: deque[tuple[Message, int, int]] = deque()  # (request, version, correlation id), not handled yet
        self.expected: deque[InFlight] = deque()  # written, in the order of their answers
        self.on_wire: dict[int, list[ProducerBatch]] = {}  # by correlation id

    def __repr__(self) -> str:
        return f"node {self.node_id}"


class Network:
    """All connections of one producer.

    Attributes:
        stuck_until: by broker, when it takes requests again.
        slowness: what latencies are multiplied by.
        swallowing_until: until then what is sent is lost, and nobody is told.
        stale_until: until then answers about metadata may be old ones.
        inits: the requests for a producer id that brokers have got, of all producers: whose, and whether it was given.
    """

    def __init__(
        self, scenario: Scenario, clock: Clock, cluster: ClusterCore, sender: Sender, rng: Random, trace: Trace
    ) -> None:
        self.stuck_until: dict[int, float] = {}
        self.inits: list[tuple[Network, bool]] = []
        self.slowness = 1.0
        self.stale_until = 0.0
        self.swallowing_until = 0.0
        self._scenario = scenario
        self._clock = clock
        self._cluster = cluster
        self._sender = sender
        self._rng = rng
        self._trace = trace
        self._connections: dict[int, Connection] = {}
        self._metadata: list[MetadataResponse] = []
        self._cluster_due = float("inf")
        self._epoch = scenario.first_epoch
        self._is_transactional = scenario.transactional is not None
        self._is_identified = False
        self._codec = Codec[scenario.config.compression_type.upper()]
        self._compress = compressor(self._codec)
        self._wake: Callable[[], None] = _nothing
        # Chance would hardly ever break a connection just when the sequences under way are of both sides of the wrap.
        self._aims_at_wrap = scenario.theme == "wrap"

    def set_wake(self, wake: Callable[[], None]) -> None:
        """Set what is to be called when the sender has been told something."""
        self._wake = wake

    # ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def connect(self, effect: Connect) -> None:
        """Open a connection, or fail to."""
        broker_id = int(effect.host[1:])
        assert self._connections.get(effect.node_id) is None, f"node {effect.node_id} is connected to already"
        connection = self._connections[effect.node_id] = Connection(self, effect.node_id, broker_id)
        if not self._cluster.state.nodes[broker_id].is_alive:
            self._clock.after(self._latency(), self.lose, connection, "refused")
        elif self.stuck_until.get(broker_id, 0.0) > self._clock.now:
            self._clock.after(effect.timeout * self._rng.uniform(0.99, 1.01), self.lose, connection, "timed out")
        else:
            self._clock.after(2 * self._latency(), self._open, connection)

    def disconnect(self, effect: Disconnect) -> None:
        """Close a connection; its end is reported a moment later."""
        connection = self._connections.get(effect.node_id)
        if connection is None:
            return
        connection.is_closing = True
        if not connection.is_open and self._rng.random() < 0.5:
            self._open(connection)  # the shell had opened it before it saw that it should be closed
        self._clock.after(self._rng.choice((0.0, 0.0005)), self.lose, connection, "")

    def send(self, effect: Send) -> None:
        """Queue a request."""
        connection = self._connections[effect.node_id]
        assert connection.is_open
        assert not connection.is_closed
        if self._is_identified and isinstance(effect.message, InitProducerIdRequest):
            is_taking_over = self._is_transactional and effect.message.producer_id == -1
            assert not is_taking_over, "a producer that has had the transactional id takes over again"
        connection.outbox.append(effect)
        if effect.produce is not None:
            connection.on_wire[effect.request.correlation_id] = effect.produce.batches
            if self._aims_at_wrap and any(0 <= batch.base_sequence < 20 for batch in effect.produce.batches):
                self._aims_at_wrap = False
                self._clock.after(self._rng.uniform(0, 0.02), self.lose, connection, "lost at the wrap")
        if not connection.is_writing:
            connection.is_writing = True
            self._clock.after(self._rng.random() * self._scenario.write_lateness, self._write, connection)

    def reauthenticate(self, effect: Reauthenticate) -> None:
        """Ask for another session, after what was sent before."""
        connection = self._connections.get(effect.node_id)
        if connection is not None:
            self._ask_for_session(connection)

    def _ask_for_session(self, connection: Connection) -> None:
        if connection.is_closed:
            return
        if connection.is_writing:
            self._clock.after(0.001, self._ask_for_session, connection)
            return
        connection.last_arrival = max(connection.last_arrival, self._clock.now + self._latency())
        self._clock.at(connection.last_arrival, self._begin_session, connection, self._clock.now)

    def _begin_session(self, connection: Connection, asked_at: float) -> None:
        if connection.is_broker_gone:
            return
        if self._clock.now < self.swallowing_until:
            self.cut_off(connection)
            return
        connection.is_renewing = True
        self._clock.after(2 * self._latency(), self._end_session, connection, asked_at)

    def _end_session(self, connection: Connection, asked_at: float) -> None:
        if connection.is_closed or connection.is_broker_gone:
            return
        connection.is_renewing = False
        if self._scenario.faults and self._rng.random() < 0.1:
            self.cut_off(connection)
            self.lose(connection, "refused", AuthenticationError("other credentials, please"))
            return
        connection.session_ends = self._clock.now + self._scenario.session
        self._trace("session", connection)
        self._sender.on_reauthenticated(connection.node_id, asked_at, self._scenario.session, self._clock.now)
        self._wake()

    # ── the life of a connection ─────────────────────────────────────────────────────────────────────────────────────

    def open_connections(self) -> list[Connection]:
        """Return the connections that are in use."""
        return [connection for connection in self._connections.values() if connection.is_open]

    def on_wire(self) -> set[ProducerBatch]:
        """Return the batches that were sent, without an answer so far."""
        return {
            batch
            for connection in self._connections.values()
            for batches in connection.on_wire.values()
            for batch in batches
        }

    def is_on_wire(self, batch: ProducerBatch) -> bool:
        """Whether a batch was sent and is without an answer so far."""
        return any(batch in batches for c in self._connections.values() for batches in c.on_wire.values())

    def _open(self, connection: Connection) -> None:
        if connection.is_closed or connection.is_open:
            return
        connection.is_open = True
        state = self._cluster.state
        apis = {key: ApiVersionRange(*versions) for key, versions in state.versions.items()}
        self._trace("connected", connection)
        versions = BrokerVersions(
            apis=apis,
            finalized_features={"transaction.version": state.options.transaction_version},
            finalized_features_epoch=state.options.transaction_version,
        )
        if self._scenario.session:
            now = self._clock.now
            connection.session_ends = now + self._scenario.session
            self._sender.on_connected(connection.node_id, versions, now, now, self._scenario.session)
        else:
            self._sender.on_connected(connection.node_id, versions, self._clock.now)
        self._wake()

    def lose(self, connection: Connection, why: str, cause: KafkaError | None = None) -> None:
        """Tell the sender of a connection's end. What is on its way to the broker may arrive all the same."""
        if connection.is_closed:
            return
        connection.is_closed = True
        connection.on_wire.clear()
        connection.outbox.clear()
        del self._connections[connection.node_id]
        self._trace("lost", connection, why)
        error = cause or (KafkaConnectionError(why) if why else None)
        if connection.is_open:
            self._sender.on_disconnected(connection.node_id, error, self._clock.now)
        else:
            error = error or KafkaConnectionError("closed before it was set up")
            self._sender.on_connect_failed(connection.node_id, error, self._clock.now)
        self._after_death(connection)
        self._wake()

    def _after_death(self, connection: Connection) -> None:
        drawn = self._rng.random()
        if drawn < 0.4:
            self.cut_off(connection)
        elif drawn < 0.5:  # a request that is written long after it was given up
            connection.held_until = self._clock.now + self._rng.uniform(0, 0.5)

    def cut_off(self, connection: Connection) -> None:
        """Let nothing arrive at the broker any more, and no answer come back."""
        connection.is_broker_gone = True
        self._cluster.disconnected(connection)

    def break_off(self, connection: Connection, why: str) -> None:
        """End a connection at both ends, with everything that is on its way."""
        self.cut_off(connection)
        self.lose(connection, why)

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _write(self, connection: Connection) -> None:
        if connection.is_closed:
            return
        effect = connection.outbox.popleft()
        request, message = effect.request, effect.message
        if effect.produce is not None:
            message = self._produce_request(effect.produce)
        assert message is not None
        if tap is not None:
            tap(self._clock.now, connection.node_id, request.version, request.correlation_id, message)
        connection.last_arrival = max(connection.last_arrival, self._clock.now + self._latency())
        self._clock.at(
            connection.last_arrival, self._arrive, connection, message, request.version, request.correlation_id
        )
        if request.expects_response:
            connection.expected.append(request)
        else:
            connection.on_wire.pop(request.correlation_id, None)
        self._sender.on_written(connection.node_id, request, self._clock.now)
        self._wake()
        connection.is_writing = bool(connection.outbox)
        if connection.is_writing:
            self._clock.after(self._rng.random() * self._scenario.write_lateness, self._write, connection)

    def _produce_request(self, plan: ProducePlan) -> ProduceRequest:
        topics: dict[str, list[PartitionProduceData]] = {}
        for batch in plan.batches:
            encoded = self._encode(batch)
            if encoded is not None:
                topics.setdefault(batch.topic, []).append(PartitionProduceData(index=batch.partition, records=encoded))
        return ProduceRequest(
            transactional_id=plan.transactional_id,
            acks=plan.acks,
            timeout_ms=plan.timeout_ms,
            topic_data=[
                TopicProduceData(name=topic, topic_id=plan.topic_ids.get(topic, ZERO_UUID), partition_data=partitions)
                for topic, partitions in topics.items()
            ],
        )

    def _encode(self, batch: ProducerBatch) -> bytes | None:
        """Return the bytes of a batch; None when its outcome came meanwhile, as the shell does."""
        if batch.is_done:
            return None
        stamp = (batch.producer_id, batch.producer_epoch, batch.base_sequence)
        if batch.encoded is not None:
            batch.encoded = restamp(batch.encoded, *stamp, self._is_transactional)
            return batch.encoded
        records = encode_records(batch.timestamps, batch.keys, batch.values, batch.headers)
        batch.encoded = seal_batch(
            records,
            count=batch.count,
            base_timestamp=batch.timestamps[0],
            max_timestamp=max(batch.timestamps),
            codec=self._codec,
            compressor=self._compress,
            producer_id=stamp[0],
            producer_epoch=stamp[1],
            base_sequence=stamp[2],
            is_transactional=self._is_transactional,
        )
        self._sender.on_encoded(batch, len(records), len(batch.encoded) - 61)
        return batch.encoded

    def _arrive(self, connection: Connection, message: Message, version: int, correlation_id: int) -> None:
        if connection.is_broker_gone:
            return
        if self._clock.now < self.swallowing_until:
            self.cut_off(connection)
            return
        assert not connection.is_renewing, "a request came in the middle of an authentication"
        if self._clock.now >= connection.session_ends:
            assert self._scenario.faults, "a request came after the end of the session"
            self.cut_off(connection)
            self._clock.after(self._latency(), self.lose, connection, "the session is over")
            return
        connection.inbox.append((message, version, correlation_id))
        if len(connection.inbox) == 1:
            self._deliver(connection)

    def _deliver(self, connection: Connection) -> None:
        inbox = connection.inbox
        while inbox and not connection.is_broker_gone:
            free_at = max(connection.held_until, self.stuck_until.get(connection.broker_id, 0.0))
            if free_at > self._clock.now:
                self._clock.at(free_at, self._deliver, connection)
                return
            message, version, correlation_id = inbox.popleft()
            self._trace("arrives", connection, correlation_id, message)
            now = self._clock.now
            outputs = self._cluster.handle(connection.broker_id, connection, message, version, correlation_id, now)
            if isinstance(message, InitProducerIdRequest) and message.producer_id == -1:
                self._note_init(connection, outputs)
            self.dispatch(outputs)

    def _note_init(self, connection: Connection, outputs: list[Output]) -> None:
        answers = [each.message for each in outputs if isinstance(each, Reply) and each.connection is connection]
        is_given = any(isinstance(each, InitProducerIdResponse) and each.error_code == 0 for each in answers)
        self.inits.append((connection.network, is_given or not answers))  # the answer may be delayed

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def poll_cluster(self) -> None:
        """Let the brokers do what is due."""
        self._cluster_due = float("inf")
        self.dispatch(self._cluster.poll(self._clock.now))

    def dispatch(self, outputs: list[Output]) -> None:
        """Put the brokers' answers on their way: also those to other producers of the history."""
        for output in outputs:
            connection = output.connection
            assert isinstance(connection, Connection)
            connection.last_reply = due = max(connection.last_reply, self._clock.now + self._latency())
            match output:
                case Reply():
                    message = self._falsified(output.message)
                    self._clock.at(due, connection.network.answer, connection, output.correlation_id, message)
                case Closed():
                    connection.is_broker_gone = True
                    self._clock.at(due, connection.network.lose, connection, "closed by the broker")
        following = self._cluster.deadline()
        if following is not None and following < self._cluster_due:
            self._cluster_due = following
            self._clock.at(following, self.poll_cluster)

    def answer(self, connection: Connection, correlation_id: int, message: Message) -> None:
        """An answer has arrived."""
        if connection.is_closed:
            return
        if not connection.is_closing:  # otherwise the sender waits for the end
            connection.on_wire.pop(correlation_id, None)
        self._trace("answered", connection, correlation_id, message)
        self._is_identified |= isinstance(message, InitProducerIdResponse) and message.error_code == 0
        request = connection.expected.popleft()
        assert request.correlation_id == correlation_id, "brokers answer in the order of the requests"
        self._sender.on_response(connection.node_id, request, message, self._clock.now)
        self._wake()

    def _falsified(self, message: Message) -> Message:
        """Return the answer, or one that a broker which lags behind gives."""
        if isinstance(message, MetadataResponse):
            if self._clock.now < self.stale_until and self._metadata and self._rng.random() < 0.7:
                return self._outdated(message)
            self._metadata.append(message)
        elif isinstance(message, InitProducerIdResponse) and message.error_code == 0 and self._epoch:
            message = InitProducerIdResponse(producer_id=message.producer_id, producer_epoch=self._epoch)
        return message

    def _outdated(self, message: MetadataResponse) -> MetadataResponse:
        old = self._rng.choice(self._metadata)
        topics = {topic.name: topic for topic in old.topics}
        return MetadataResponse(
            brokers=old.brokers,
            cluster_id=message.cluster_id,
            controller_id=message.controller_id,
            topics=[topics.get(topic.name, topic) for topic in message.topics],
        )

    def _latency(self) -> float:
        low, high = self._scenario.latency
        return self.slowness * (low + (high - low) * self._rng.random()) + _TICK


def _nothing() -> None:
    """Stands in for whoever is to be woken, until there is one."""
