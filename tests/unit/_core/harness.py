"""What the tests of the core share: settings, brokers' versions, and a hand-driven shell around a Sender."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, assert_never
from uuid import UUID, uuid5

from aioproducer._config import ProducerConfig, ProducerSettings
from aioproducer._core.accumulator.accumulator import Accumulator
from aioproducer._core.cluster.metadata import Broker
from aioproducer._core.effects import Completed, Connect, Disconnect, Effect, Reauthenticate, Send
from aioproducer._core.sender import Sender
from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer._wire.messages.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from aioproducer._wire.messages.produce import (
    LeaderIdAndEpoch,
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)
from aioproducer._wire.negotiation import ApiVersionRange, BrokerVersions
from aioproducer.errors import DeliveryTimeoutError, KafkaConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._wire.messages.produce import BatchIndexAndErrorMessage, NodeEndpoint
    from aioproducer._wire.schema import Message

TOPIC_ID = UUID(int=99)


def config(**settings: Unpack[ProducerSettings]) -> ProducerConfig:
    """Return settings with a bootstrap server."""
    settings.setdefault("bootstrap_servers", "boot:9092")
    return ProducerConfig(**settings)


def versions(*, produce: int = 13, metadata: int = 13, init_producer_id: int = 5) -> BrokerVersions:
    """Return what a broker can do, by the highest versions of its requests."""
    return BrokerVersions(
        apis={
            ApiKey.PRODUCE: ApiVersionRange(0, produce),
            ApiKey.METADATA: ApiVersionRange(0, metadata),
            ApiKey.INIT_PRODUCER_ID: ApiVersionRange(0, init_producer_id),
        }
    )


def broker(node_id: int, host: str = "", port: int = 9092) -> Broker:
    """Return a broker of the metadata."""
    return Broker(node_id, host or f"host{node_id}", port)


def topic_answer(
    name: str = "t", leaders: tuple[int, ...] = (1,), *, epoch: int = 0, error: int = 0, topic_id: UUID | None = None
) -> MetadataResponseTopic:
    """Return a topic of a Metadata answer whose partitions have these leaders; without an id, it has one of its own."""
    if topic_id is None:
        topic_id = TOPIC_ID if name == "t" else uuid5(TOPIC_ID, name)
    return MetadataResponseTopic(
        error_code=error,
        name=name,
        topic_id=topic_id,
        partitions=[
            MetadataResponsePartition(
                error_code=0 if leader >= 0 else 5, partition_index=index, leader_id=leader, leader_epoch=epoch
            )
            for index, leader in enumerate(leaders)
        ],
    )


def metadata_answer(
    *topics: MetadataResponseTopic, brokers: tuple[int, ...] = (1,), cluster_id: str | None = "c", error: int = 0
) -> MetadataResponse:
    """Return a Metadata answer."""
    return MetadataResponse(
        brokers=[MetadataResponseBroker(node_id=i, host=f"host{i}", port=9092) for i in brokers],
        cluster_id=cluster_id,
        topics=list(topics),
        error_code=error,
    )


class Shell:
    """Plays the shell and the brokers for a Sender, by hand: nothing happens unless a test says so.

    Attributes:
        now: the time; polls and reports happen at it.
        effects: what the last poll returned.
        sent: for each node, its requests that were not answered yet, oldest first.
        completed: all batches whose outcome was told, in order.
        events: the Connect and Disconnect effects, in order.
        session_lifetime: of sessions that begin with a connection; None: they have no end.
        renewals: the nodes that are to be authenticated with again, in order; whoever answers one removes it.
    """

    def __init__(self, *, brokers: tuple[int, ...] = (1,), **settings: Unpack[ProducerSettings]) -> None:
        self.now = 100.0
        self.brokers = brokers
        self.versions = versions()
        self.config = config(**settings)
        rng = random.Random(1)
        self.accumulator = Accumulator(self.config, rng)
        self.sender = Sender(self.config, self.accumulator, rng)
        self.effects: list[Effect] = []
        self.sent: dict[int, list[Send]] = {}
        self.completed: list[ProducerBatch] = []
        self.events: list[Connect | Disconnect] = []
        self.answers_connects = True
        self.session_lifetime: float | None = None
        self.renewals: list[int] = []

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def poll(self, after: float = 0.0) -> list[Effect]:
        """Let time pass and poll; connections that are asked for come up at once, closes are confirmed at once."""
        self.now += after
        self.accumulator.needs_wake = False
        everything: list[Effect] = []
        for _ in range(100):
            self.effects = self.sender.poll(self.now)
            if not self.effects:
                break
            everything += self.effects
            for effect in self.effects:
                self._take(effect)
        else:
            raise AssertionError(f"polls do not come to an end: {self.effects}")
        self.effects = everything
        return everything

    def _take(self, effect: Effect) -> None:
        match effect:
            case Connect():
                self.events.append(effect)
                if self.answers_connects:
                    self.sender.on_connected(effect.node_id, self.versions, self.now, self.now, self.session_lifetime)
            case Reauthenticate():
                self.renewals.append(effect.node_id)
            case Disconnect():
                self.events.append(effect)
                self.sent.pop(effect.node_id, None)
                self.sender.on_disconnected(effect.node_id, None, self.now)
            case Send():
                self.sent.setdefault(effect.node_id, []).append(effect)
                self.sender.on_written(effect.node_id, effect.request, self.now)
            case Completed():
                self.completed += effect.batches
            case _:
                assert_never(effect)

    def wait_until(self, condition: Callable[[], object], *, within: float) -> int:
        """Poll whenever the sender asks for it until the condition holds; return how many polls it took."""
        end = self.now + within
        polls = 0
        self.poll()
        while not condition():
            due = self.sender.deadline(self.now)
            assert due is not None, "the sender waits for an event, which nobody will send"
            assert due <= end, f"not within {within} s"
            self.now = max(self.now, due)
            self.poll()
            polls += 1
        return polls

    def expire(self, batch: ProducerBatch) -> DeliveryTimeoutError:
        """Let time pass until a batch has failed of it; whoever is connected to refuses the connection."""
        while not batch.is_done:
            due = self.sender.deadline(self.now)
            assert due is not None
            self.now = max(due, self.now)
            for effect in self.sender.poll(self.now):
                if isinstance(effect, Connect):
                    self.sender.on_connect_failed(effect.node_id, KafkaConnectionError("Connection refused"), self.now)
        assert isinstance(batch.error, DeliveryTimeoutError)
        return batch.error

    # ── the cluster ──────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, *topics: MetadataResponseTopic) -> Shell:
        """Connect, learn about the topics (one named "t" with one partition, on broker 1), get producer id 7."""
        self.learn(*topics)
        self.poll()
        if self.config.enable_idempotence:
            self.answer_init()
        self.poll()
        return self

    def learn(self, *topics: MetadataResponseTopic) -> None:
        """Connect, and be answered what the topics are, as for `start`; nothing is polled after that."""
        answers = topics or (topic_answer(),)
        for answer in answers:
            assert answer.name is not None
            self.accumulator.wait_for_topic(answer.name, self.now, self.now + 60.0)
        self.poll()
        self.answer_metadata(*answers)

    def answer(self, node_id: int, message: Message) -> None:
        """Have the oldest request of the node answered."""
        request = self.sent[node_id].pop(0)
        self.sender.on_response(node_id, request.request, message, self.now)

    def request(self, kind: type[Message]) -> Send:
        """Return the only unanswered request of a kind, whoever it was sent to."""
        found = [send for sends in self.sent.values() for send in sends if isinstance(send.message, kind)]
        assert len(found) == 1, f"{len(found)} requests of {kind.__name__}"
        return found[0]

    def has_request(self, kind: type[Message]) -> bool:
        """Whether a request of the kind is unanswered."""
        return any(isinstance(send.message, kind) for sends in self.sent.values() for send in sends)

    def answer_metadata(self, *topics: MetadataResponseTopic, error: int = 0) -> None:
        """Answer the metadata request with these topics and all brokers."""
        node_id = self.request(MetadataRequest).node_id
        self.answer_out_of(node_id, MetadataRequest, metadata_answer(*topics, brokers=self.brokers, error=error))

    def answer_init(self, *, producer_id: int = 7, epoch: int = 0, error: int = 0) -> None:
        """Answer the InitProducerId request."""
        node_id = self.request(InitProducerIdRequest).node_id
        answer = InitProducerIdResponse(error_code=error, producer_id=producer_id, producer_epoch=epoch)
        self.answer_out_of(node_id, InitProducerIdRequest, answer)

    def answer_out_of(self, node_id: int, kind: type[Message], message: Message) -> None:
        """Answer the oldest request of the node, which has to be of the kind."""
        first = self.sent[node_id][0].message
        assert isinstance(first, kind), f"the next to be answered is {first}"
        self.answer(node_id, message)

    # ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def append(self, partition: int = 0, topic: str = "t", value: bytes = b"v") -> ProducerBatch:
        """Append one record; return its batch."""
        batch = self.accumulator.appender.try_append(topic, partition, None, value, (), 1_000, self.now)
        assert batch is not None
        return batch

    def send(self, partition: int = 0, topic: str = "t", *, records: int = 1) -> ProducerBatch:
        """Append a batch of its own and poll until it has lingered; whether it is sent is the sender's business."""
        batch = [self.append(partition, topic) for _ in range(records)][-1]
        self.poll(after=self.config.linger_ms / 1000)
        return batch

    def batches(self, node_id: int = 1) -> list[list[ProducerBatch]]:
        """Return the batches of each unanswered Produce request of the node."""
        return [send.produce.batches for send in self.sent.get(node_id, ()) if send.produce is not None]

    def acknowledge(self, node_id: int = 1, offset: int = 0) -> None:
        """Answer the oldest Produce request of the node: all is written."""
        self.refuse(0, node_id=node_id, base_offset=offset)

    def refuse(
        self,
        code: int,
        *,
        node_id: int = 1,
        base_offset: int = -1,
        log_append_time_ms: int = -1,
        log_start_offset: int = -1,
        message: str | None = None,
        record_errors: Sequence[BatchIndexAndErrorMessage] = (),
        leader: tuple[int, int] = (-1, -1),
        endpoints: Sequence[NodeEndpoint] = (),
        throttle_time_ms: int = 0,
    ) -> None:
        """Answer the oldest Produce request of the node with a code, for all of its batches.

        Metadata requests before it are answered with nothing new.
        """
        while isinstance(self.sent[node_id][0].message, MetadataRequest):
            self.answer(node_id, metadata_answer(brokers=self.brokers))
        send = self.sent[node_id][0]
        assert send.produce is not None
        topics: dict[str, list[PartitionProduceResponse]] = {}
        for batch in send.produce.batches:
            topics.setdefault(batch.topic, []).append(
                PartitionProduceResponse(
                    index=batch.partition,
                    error_code=code,
                    base_offset=base_offset,
                    log_append_time_ms=log_append_time_ms,
                    log_start_offset=log_start_offset,
                    error_message=message,
                    record_errors=list(record_errors),
                    current_leader=LeaderIdAndEpoch(leader_id=leader[0], leader_epoch=leader[1]),
                )
            )
        self.answer(
            node_id,
            ProduceResponse(
                responses=[
                    TopicProduceResponse(
                        name=topic,
                        topic_id=send.produce.topic_ids.get(topic, UUID(int=0)),
                        partition_responses=partitions,
                    )
                    for topic, partitions in topics.items()
                ],
                throttle_time_ms=throttle_time_ms,
                node_endpoints=list(endpoints),
            ),
        )

    def break_connection(self, node_id: int = 1) -> None:
        """The connection to the node is lost."""
        self.sent.pop(node_id, None)
        self.sender.on_disconnected(node_id, KafkaConnectionError("reset by peer"), self.now)
