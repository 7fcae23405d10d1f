"""Random histories against a small model of brokers: nothing acknowledged is lost, doubled or out of order.

The model keeps, like Kafka, the last five batches of each producer id and partition, in one log that all leaders
share; it loses requests and answers, moves leaders, delays, throttles and refuses. A failing seed prints itself.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

import pytest

from aioproducer._core.accumulator.accumulator import Accumulator
from aioproducer._core.effects import Completed, Connect, Disconnect, Reauthenticate, Send
from aioproducer._core.sender import Sender
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer._wire.messages.metadata import MetadataRequest
from aioproducer._wire.messages.produce import (
    LeaderIdAndEpoch,
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)
from aioproducer.errors import KafkaConnectionError
from tests.unit._core.harness import TOPIC_ID, config, metadata_answer, topic_answer, versions

if TYPE_CHECKING:
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.effects import Effect, ProducePlan
    from aioproducer._wire.schema import Message

PARTITIONS = 3
BROKERS = (1, 2, 3)
OK, MESSAGE_TOO_LARGE, NOT_LEADER, NOT_ENOUGH, OUT_OF_ORDER, INVALID_EPOCH = 0, 10, 6, 19, 45, 47
MODULUS = 2**31


@dataclass
class Log:
    """One partition as the cluster keeps it."""

    values: list[bytes] = field(default_factory=list[bytes])
    producer: tuple[int, int] | None = None  # id and epoch
    next_sequence: int = 0
    recent: deque[tuple[int, int, int]] = field(default_factory=lambda: deque[tuple[int, int, int]](maxlen=5))
    leader: int = 1
    epoch: int = 0

    def append(self, stamp: tuple[int, int, int], values: list[bytes]) -> tuple[int, int]:
        """Return the error code and the base offset."""
        producer_id, epoch, sequence = stamp
        if self.producer is not None and self.producer[0] == producer_id and epoch < self.producer[1]:
            return INVALID_EPOCH, -1
        if self.producer == (producer_id, epoch):
            for known, count, offset in self.recent:
                if (known, count) == (sequence, len(values)):
                    return OK, offset
            if sequence != self.next_sequence:
                return OUT_OF_ORDER, -1
        elif self.producer is not None and sequence != 0:
            return OUT_OF_ORDER, -1
        else:
            self.recent.clear()
        offset = len(self.values)
        self.values += values
        self.producer = (producer_id, epoch)
        self.next_sequence = (sequence + len(values)) % MODULUS
        self.recent.append((sequence, len(values), offset))
        return OK, offset


@dataclass
class Request:
    """A request on its way, with the bytes as they were when it was written."""

    send: Send
    batches: list[tuple[int, tuple[int, int, int], list[bytes]]]


class History:
    """One random run."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 1000.0
        delivery = self.rng.choice([5_000, 30_000])
        settings = config(
            linger_ms=0,
            delivery_timeout_ms=delivery,
            request_timeout_ms=self.rng.choice([1_000, 4_000]),
            batch_size=200,
        )
        self.accumulator = Accumulator(settings, random.Random(seed + 1))
        self.sender = Sender(settings, self.accumulator, random.Random(seed + 2))
        self.logs = [Log(leader=1 + p % 3) for p in range(PARTITIONS)]
        self.connections: dict[int, deque[Request]] = {}
        self.queue: list[tuple[float, int, Effect]] = []
        self.delivery_timeout = delivery / 1000
        self.accepted: dict[int, list[tuple[bytes, ProducerBatch, int]]] = {p: [] for p in range(PARTITIONS)}
        self.contents: dict[ProducerBatch, list[bytes]] = {}
        self.outcomes: dict[ProducerBatch, int] = {}
        self.faults = self.rng.choice([0.0, 0.05, 0.15, 0.3])
        self.refusals = self.rng.choice([0.0, 0.05])
        self.moves = self.rng.choice([0.0, 0.01, 0.08]) if self.faults else 0.0
        self.is_healing = False
        self.polls = 0

    # ── the shell ────────────────────────────────────────────────────────────────────────────────────────────────────

    def poll(self) -> None:
        self.polls += 1
        for effect in self.sender.poll(self.now):
            match effect:
                case Connect():
                    if self.happens(self.faults):
                        self.sender.on_connect_failed(effect.node_id, KafkaConnectionError("refused"), self.now)
                    else:
                        self.connections[effect.node_id] = deque()
                        self.sender.on_connected(effect.node_id, versions(), self.now)
                case Reauthenticate():
                    raise AssertionError("no session here has an end")
                case Disconnect():
                    self.lose(effect.node_id)
                case Send():
                    self.write(effect)
                case Completed():
                    for batch in effect.batches:
                        self.outcomes[batch] = self.outcomes.get(batch, 0) + 1
                case _:
                    assert_never(effect)

    def write(self, send: Send) -> None:
        batches: list[tuple[int, tuple[int, int, int], list[bytes]]] = []
        for batch in () if send.produce is None else send.produce.batches:
            values = [value for value in batch.values if value is not None]
            stamp = (batch.producer_id, batch.producer_epoch, batch.base_sequence)
            batches.append((batch.partition, stamp, values))
        if send.node_id in self.connections:
            self.connections[send.node_id].append(Request(send, batches))

    def lose(self, node_id: int) -> None:
        """The connection goes; what was written may still be carried out."""
        pending = self.connections.pop(node_id, deque())
        while pending and self.happens(0.5):
            self.carry_out(pending.popleft(), node_id)
        self.sender.on_disconnected(node_id, KafkaConnectionError("reset"), self.now)

    # ── the brokers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def happens(self, probability: float) -> bool:
        return not self.is_healing and self.rng.random() < probability

    def carry_out(self, request: Request, node_id: int) -> Message:
        match request.send.message:
            case MetadataRequest():
                leaders = tuple(log.leader for log in self.logs)
                answer = topic_answer(leaders=leaders)
                for partition in answer.partitions:
                    partition.leader_epoch = self.logs[partition.partition_index].epoch  # type: ignore[misc]
                return metadata_answer(answer, brokers=BROKERS)
            case InitProducerIdRequest():
                code = 15 if self.happens(self.faults) else 0
                return InitProducerIdResponse(error_code=code, producer_id=7, producer_epoch=0)
            case _:
                assert request.send.produce is not None
                return self.append_all(request, node_id, request.send.produce)

    def append_all(self, request: Request, node_id: int, plan: ProducePlan) -> ProduceResponse:
        answers: list[PartitionProduceResponse] = []
        for partition, stamp, values in request.batches:
            log = self.logs[partition]
            code, offset = NOT_LEADER, -1
            if log.leader == node_id:
                if self.happens(self.refusals):
                    code = self.rng.choice([MESSAGE_TOO_LARGE, 42, NOT_ENOUGH, 2])
                else:
                    code, offset = log.append(stamp, values)
                    if code == OK and self.happens(self.faults / 2):
                        code, offset = self.rng.choice([7, 20, 6, 56]), -1
            hint = LeaderIdAndEpoch()
            if code == NOT_LEADER and self.rng.random() < 0.5:
                hint = LeaderIdAndEpoch(leader_id=log.leader, leader_epoch=log.epoch)
            answers.append(
                PartitionProduceResponse(index=partition, error_code=code, base_offset=offset, current_leader=hint)
            )
        topic = TopicProduceResponse(topic_id=TOPIC_ID, partition_responses=answers)
        throttle = self.rng.choice([0, 0, 0, 300]) if self.happens(self.faults) else 0
        return ProduceResponse(responses=[topic], throttle_time_ms=throttle)

    def answer(self, node_id: int) -> None:
        request = self.connections[node_id].popleft()
        message = self.carry_out(request, node_id)
        if self.happens(self.faults):
            self.lose(node_id)
        else:
            self.sender.on_response(node_id, request.send.request, message, self.now)

    def move_leader(self) -> None:
        log = self.rng.choice(self.logs)
        log.leader = self.rng.choice(BROKERS)
        log.epoch += 1

    # ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def append(self) -> None:
        partition = self.rng.randrange(PARTITIONS)
        number = len(self.accepted[partition])
        value = f"{partition}:{number}".encode()
        batch = self.accumulator.appender.try_append("t", partition, None, value, (), 0, self.now)
        if batch is not None:
            self.accepted[partition].append((value, batch, batch.count - 1))

    def step(self) -> None:
        choice = self.rng.random()
        if choice < 0.35:
            self.append()
        elif choice < 0.65:
            busy = [node_id for node_id, requests in self.connections.items() if requests]
            if busy:
                self.answer(self.rng.choice(busy))
        elif choice < 0.7:
            if self.connections and self.happens(self.faults):
                self.lose(self.rng.choice(list(self.connections)))
        elif choice < 0.7 + self.moves:
            self.move_leader()
        else:
            due = self.sender.deadline(self.now)
            limit = self.now + self.rng.choice([0.001, 0.05, 0.5])
            self.now = max(self.now, min(limit, limit if due is None else due))
        self.poll()

    def run(self) -> None:
        self.accumulator.wait_for_topic("t", self.now, self.now + 1000)
        for _ in range(300):
            self.step()
        self.is_healing = True
        self.sender.begin_close(self.now)
        end = self.now + self.delivery_timeout + 0.1
        polls = self.polls
        while not self.sender.is_drained:
            self.poll()
            busy = [node_id for node_id, requests in self.connections.items() if requests]
            if busy:
                self.answer(busy[0])
                continue
            if self.sender.is_drained:
                break
            due = self.sender.deadline(self.now)
            assert due is not None, "it would wait for ever"
            self.now = max(self.now, due)
            assert self.now <= end, "close did not end by the delivery timeout"
            assert self.polls - polls < 5000, "it polls without end"

    def outcome(self, batch: ProducerBatch, index: int) -> ProducerBatch:
        while batch.split_into is not None:
            first, child = next((f, c) for f, c in reversed(batch.split_into) if index >= f)
            batch, index = child, index - first
        return batch

    def check(self) -> tuple[int, int]:
        """Check the promises; return how many records were acknowledged, and how many failed."""
        delivered = failed = 0
        for partition, records in self.accepted.items():
            log = self.logs[partition].values
            assert len(set(log)) == len(log), f"partition {partition}: doubled"
            acknowledged: list[bytes] = []
            for value, first, index in records:
                batch = self.outcome(first, index)
                assert self.outcomes.get(batch) == 1, f"{batch} has {self.outcomes.get(batch)} outcomes"
                if batch.error is None:
                    acknowledged.append(value)
                elif value in log:
                    assert batch.error.possibly_written, f"{value!r} is said not to be written: {batch.error}"
                failed += batch.error is not None
            assert [value for value in log if value in set(acknowledged)] == acknowledged, f"partition {partition}"
            delivered += len(acknowledged)
        statistics = self.accumulator.statistics()
        for node_id in list(self.connections):
            self.lose(node_id)
        assert self.accumulator.statistics().buffer_available_bytes == statistics.buffer_total_bytes
        return delivered, failed


@pytest.mark.parametrize("seed", range(24))
def test_history(seed: int) -> None:
    history = History(seed)
    history.run()
    delivered, failed = history.check()
    assert delivered + failed == sum(len(records) for records in history.accepted.values())
    if history.faults == 0.0 and history.refusals == 0.0:
        assert failed == 0
        assert delivered > 20
