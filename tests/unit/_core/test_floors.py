"""Nothing spins: whatever the settings and the brokers say, attempts and requests have pauses between them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import pytest

from aioproducer._core import floors
from aioproducer._core.accumulator.accumulator import Accumulator
from aioproducer._core.effects import Connect, Disconnect, Send
from aioproducer._core.sender import Sender
from aioproducer._wire.messages.find_coordinator import (
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    FoundCoordinator,
)
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer._wire.messages.metadata import MetadataRequest
from aioproducer._wire.messages.produce import PartitionProduceResponse, ProduceResponse, TopicProduceResponse
from aioproducer.errors import KafkaConnectionError
from tests.unit._core.harness import TOPIC_ID, config, metadata_answer, topic_answer
from tests.unit._core.transactional import broker_versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer._config import ProducerSettings
    from aioproducer._wire.schema import Message

SECONDS: Final = 3.0
PER_SECOND: Final = 300
"""Polls, connections and requests. A pause of 10 ms lets a hundred attempts through, each of which is two or three."""

NO_BACKOFF: Final[ProducerSettings] = {
    "retry_backoff_ms": 0,
    "retry_backoff_max_ms": 0,
    "reconnect_backoff_ms": 0,
    "reconnect_backoff_max_ms": 0,
}
NO_IDLE: Final[ProducerSettings] = {"connections_max_idle_ms": 0}
NOTHING: Final[ProducerSettings] = {
    **NO_BACKOFF,
    "connections_max_idle_ms": 0,
    "metadata_max_age_ms": 0,
    "metadata_recovery_rebootstrap_trigger_ms": 0,
    "partitioner_availability_timeout_ms": 1,
}
NOT_ENOUGH_REPLICAS: Final = 19
COORDINATOR_LOAD_IN_PROGRESS: Final = 14
REBOOTSTRAP_REQUIRED: Final = 129


class World:
    """A core, and brokers that answer within half a millisecond whatever a test has them say. Counts what happens."""

    def __init__(self, settings: ProducerSettings, answers: Callable[[Message | None], Message | str]) -> None:
        self.now = 100.0
        self.count = 0
        self._answers = answers
        rng = random.Random(1)
        made = config(**settings)
        self.accumulator = Accumulator(made, rng)
        self.sender = Sender(made, self.accumulator, rng)
        self._events: list[tuple[float, Callable[[], None]]] = []

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self.count += 1
            assert self.count <= 10_000, "it spins"
            for effect in self.sender.poll(self.now):
                self.count += 1
                match effect:
                    case Connect():
                        self._later(self._connected, effect.node_id)
                    case Disconnect():
                        self._later(self._lost, effect.node_id, None)
                    case Send():
                        self.sender.on_written(effect.node_id, effect.request, self.now)
                        self._later(self._answer, effect)
                    case _:
                        pass
            due = self.sender.deadline(self.now)
            times = [at for at, _ in self._events] + ([] if due is None else [due]) + [end]
            self.now = max(self.now, min(times))
            ready = [each for each in self._events if each[0] <= self.now]
            self._events = [each for each in self._events if each[0] > self.now]
            for _, tell in ready:
                tell()

    def _later(self, tell: Callable[..., None], *arguments: object) -> None:
        self._events.append((self.now + 0.0005, lambda: tell(*arguments)))

    def _connected(self, node_id: int) -> None:
        said = self._answers(None)
        if said == "refuse":
            self.sender.on_connect_failed(node_id, KafkaConnectionError("Connection refused"), self.now)
            return
        self.sender.on_connected(node_id, broker_versions(2), self.now)
        if said == "close":
            self._later(self._lost, node_id, KafkaConnectionError("reset by peer"))

    def _lost(self, node_id: int, error: KafkaConnectionError | None) -> None:
        if self._is_open(node_id):
            self.sender.on_disconnected(node_id, error, self.now)

    def _is_open(self, node_id: int) -> bool:
        states = {each.node_id: each.state for each in self.sender.status(self.now).brokers}
        return states.get(node_id) in ("READY", "CLOSING")

    def _answer(self, send: Send) -> None:
        if not self._is_open(send.node_id):
            return
        if send.message is not None:
            said = self._answers(send.message)
        else:
            assert send.produce is not None
            said = _refused([batch.partition for batch in send.produce.batches])
        assert not isinstance(said, str)
        self.sender.on_response(send.node_id, send.request, said, self.now)


def _refused(partitions: list[int]) -> ProduceResponse:
    answers = [PartitionProduceResponse(index=each, error_code=NOT_ENOUGH_REPLICAS) for each in partitions]
    return ProduceResponse(responses=[TopicProduceResponse(topic_id=TOPIC_ID, partition_responses=answers)])


def well(message: Message | None) -> Message | str:
    """What a broker says that is well; Produce is refused all the same."""
    match message:
        case MetadataRequest():
            return metadata_answer(topic_answer(leaders=(1, 2)), brokers=(1, 2))
        case InitProducerIdRequest():
            return InitProducerIdResponse(producer_id=7, producer_epoch=0)
        case FindCoordinatorRequest():
            return FindCoordinatorResponse(coordinators=[FoundCoordinator(key="x", node_id=2, host="h", port=9092)])
        case _:
            return "ready"


def refuses_connections(message: Message | None) -> Message | str:
    return "refuse" if message is None else well(message)


def closes_connections(message: Message | None) -> Message | str:
    return "close" if message is None else well(message)


def has_no_producer_id(message: Message | None) -> Message | str:
    if isinstance(message, InitProducerIdRequest):
        return InitProducerIdResponse(error_code=COORDINATOR_LOAD_IN_PROGRESS, producer_id=-1, producer_epoch=-1)
    return well(message)


def gives_no_producer_id(message: Message | None) -> Message | str:
    return InitProducerIdResponse(producer_id=-1, producer_epoch=-1) if _is_init(message) else well(message)


def _is_init(message: Message | None) -> bool:
    return isinstance(message, InitProducerIdRequest)


def names_a_negative_coordinator(message: Message | None) -> Message | str:
    if isinstance(message, FindCoordinatorRequest):
        return FindCoordinatorResponse(coordinators=[FoundCoordinator(key="x", node_id=-1, host="h", port=9092)])
    return well(message)


def knows_no_topic(message: Message | None) -> Message | str:
    return metadata_answer(brokers=(1, 2)) if isinstance(message, MetadataRequest) else well(message)


def has_negative_brokers(message: Message | None) -> Message | str:
    if isinstance(message, MetadataRequest):
        return metadata_answer(topic_answer(leaders=(-1, -2)), brokers=(-1, -2))
    return well(message)


def wants_a_rebootstrap(message: Message | None) -> Message | str:
    if isinstance(message, MetadataRequest):
        return metadata_answer(brokers=(1, 2), error=REBOOTSTRAP_REQUIRED)
    return well(message)


@pytest.mark.parametrize("is_transactional", [False, True], ids=["plain", "transactional"])
@pytest.mark.parametrize("settings", [NO_BACKOFF, NO_IDLE, NOTHING], ids=["no backoff", "no idle", "nothing"])
@pytest.mark.parametrize(
    "answers",
    [
        well,
        refuses_connections,
        closes_connections,
        has_no_producer_id,
        gives_no_producer_id,
        names_a_negative_coordinator,
        knows_no_topic,
        has_negative_brokers,
        wants_a_rebootstrap,
    ],
)
def test_nothing_spins(
    answers: Callable[[Message | None], Message | str], settings: ProducerSettings, is_transactional: bool
) -> None:
    settings = settings.copy()
    if is_transactional:
        settings["transactional_id"] = "x"
    world = World(settings, answers)
    world.accumulator.wait_for_topic("t", world.now, world.now + 60.0)
    world.run(0.5)
    for partition in (0, 1):
        if not is_transactional and "t" in world.sender.cluster.topics:
            world.accumulator.appender.try_append("t", partition, None, b"v", (), 1_000, world.now)
    world.count = 0
    world.run(SECONDS)
    assert world.count <= PER_SECOND * SECONDS


def test_the_defaults_are_far_from_the_floors() -> None:
    made = config()
    assert floors.backoff(made.retry_backoff_ms, made.retry_backoff_max_ms) == (0.1, 1.0)
    assert floors.backoff(made.reconnect_backoff_ms, made.reconnect_backoff_max_ms) == (0.05, 1.0)
    assert floors.idle(made.connections_max_idle_ms) == 540.0
    assert floors.metadata_age(made.metadata_max_age_ms) == 300.0


def test_a_number_that_somebody_has_thought_of_is_kept_and_none_is_the_shortest_that_grows() -> None:
    assert floors.backoff(1, 1) == (0.001, 0.001)
    assert floors.backoff(0, 0) == (floors.BACKOFF, floors.BACKOFF_MAX)
    assert floors.backoff(0, 5_000) == (floors.BACKOFF, 5.0)


def test_a_negative_idle_time_is_no_limit() -> None:
    assert floors.idle(-1) == float("inf")
    assert floors.idle(0) == floors.IDLE
