"""What does a cluster answer to a script? What depends on time, place and ids is left out.

What goes wrong in passing (a coordinator that loads, markers on their way) is waited out, on either kind of cluster.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections import defaultdict
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar, assert_never

import anyio

from aioproducer._records.checksum import load_crc32c
from aioproducer._wire.messages import RESPONSES
from aioproducer._wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
)
from aioproducer._wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer._wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataResponse
from aioproducer._wire.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from aioproducer._wire.schema import Response
from aioproducer.errors import KafkaConnectionError
from aioproducer.testing._request_client import asker, first_reachable
from tests.contract.support import Cluster, HasBootstrapServers
from tests.differential.catalogue import CASES, NOWHERE, Scene
from tests.differential.plain import Plainer, has_code, relevant
from tests.differential.script import PRODUCERS, TOPICS, AddPartition, Ask, End, Init, Offsets, Produce, Several
from tests.unit.testing._broker.helpers import batch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from aioproducer._wire.schema import Request, Response
    from aioproducer.testing._log_reader import Isolation
    from aioproducer.testing._request_client import RequestClient
    from tests.differential.script import Damage, Step

PASSING: Final = frozenset({6, 14, 15, 16, 51})
"""NOT_LEADER_OR_FOLLOWER (of a new topic),
COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, CONCURRENT_TRANSACTIONS."""

CONFIGS: Final[dict[str, dict[str, str]]] = {
    "plain": {},
    "small": {"max.message.bytes": "1000"},
    "stamped": {"message.timestamp.type": "LogAppendTime"},
    "compacted": {"cleanup.policy": "compact"},
    "empty": {},
    "odd": {},
}
LOGS: Final = [topic for topic in TOPICS if topic != "odd"]
"""Those whose records are compared."""

T = TypeVar("T", bound="Response")
PATIENCE_SECONDS: Final = 10.0
ISOLATIONS: Final[tuple[Isolation, ...]] = ("read_uncommitted", "read_committed")
NO_ID: Final = (-1, -1)
Answer = dict[str, Any]  # values of many types, compared only


class Player:
    """One cluster that is asked."""

    def __init__(self, kind: Literal["embedded", "real"], cluster: HasBootstrapServers, wall_ms: int) -> None:
        self._wall_ms = wall_ms
        self._cluster = Cluster(kind, cluster)
        self._names: dict[str, str] = {}
        self._topic_ids: dict[str, uuid.UUID] = {}
        self._ids: dict[int, tuple[int, int]] = {}
        self._sent: defaultdict[tuple[int, str, int], list[tuple[int, int]]] = defaultdict(list)
        self._transactional_id = f"differential-{uuid.uuid4().hex[:8]}"
        self._group = f"group-{uuid.uuid4().hex[:8]}"
        self._stack = AsyncExitStack()
        self._asker: RequestClient | None = None

    async def play(self, steps: Sequence[Step]) -> list[Answer]:
        """The answers, one for each step, and the log at the end."""
        for topic in TOPICS:
            self._names[topic] = await self._cluster.create_topic(2, CONFIGS[topic])
        self._names["unknown"] = f"unknown-{uuid.uuid4().hex[:8]}"
        async with self._stack:
            metadata = await (await self._connected()).ask(
                MetadataRequest(topics=None, allow_auto_topic_creation=False), MetadataResponse
            )
            self._topic_ids = {topic.name or "": topic.topic_id for topic in metadata.topics}
            await self._get_ready()
            answers = [await self._step(step) for step in steps]
        return answers + [await self._log(topic) for topic in LOGS]

    async def _get_ready(self) -> None:
        """Kafka has no coordinators before it is asked the first time, and takes a moment to lead new partitions."""
        for key, key_type in ((self._group, 0), (self._transactional_id, 1)):
            request = FindCoordinatorRequest(key=key, key_type=key_type)
            assert await self._ask_in_time(request, FindCoordinatorResponse, 3) is not None
        everywhere = [
            ListOffsetsTopic(
                name=self._names[topic], partitions=[ListOffsetsPartition(partition_index=i, timestamp=-1)]
            )
            for topic in TOPICS
            for i in range(2)
        ]
        for one in everywhere:
            assert await self._ask_in_time(ListOffsetsRequest(replica_id=-1, topics=[one]), ListOffsetsResponse, 7)

    async def _step(self, step: Step) -> Answer:
        match step:
            case Produce():
                return await self._produce((step,))
            case Several():
                return await self._produce(step.parts)
            case Ask():
                return await self._ask_case(step)
            case Init():
                return await self._init(step)
            case AddPartition():
                return await self._add(step)
            case End():
                return await self._end(step)
            case Offsets():
                return await self._offsets(step)
            case _:
                assert_never(step)

    async def _connected(self) -> RequestClient:
        if self._asker is None:
            host, port = await first_reachable(self._cluster.bootstrap_servers)
            self._asker = await self._stack.enter_async_context(asker(host, port))
        return self._asker

    async def _ask(self, request: Request, answer: type[T], at_most: int) -> T | None:
        """The answer, or None when the connection is closed instead."""
        try:
            with anyio.fail_after(PATIENCE_SECONDS):
                return await (await self._connected()).ask(request, answer, at_most=at_most)
        except KafkaConnectionError:
            self._asker = None
            return None

    async def _ask_in_time(self, request: Request, answer: type[T], at_most: int) -> T | None:
        """The answer once it is none that passes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            told = await self._ask(request, answer, at_most)
            if told is None or not has_code(told, PASSING) or time.monotonic() > deadline:
                return told
            await anyio.sleep(0.02)

    async def _init(self, step: Init) -> Answer:
        transactional_id = self._transactional_id if step.producer == PRODUCERS - 1 else None
        request = InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=60_000)
        told = await self._ask_in_time(request, InitProducerIdResponse, 5)
        assert told is not None
        before, _ = self._ids.get(step.producer, NO_ID)
        self._take_id(step.producer, told.producer_id, told.producer_epoch)
        return {
            "error_code": told.error_code,
            "epoch": told.producer_epoch,
            "is_same_id": told.producer_id == before,
        }

    def _take_id(self, producer: int, producer_id: int, epoch: int) -> None:
        self._ids[producer] = (producer_id, epoch)
        for key in [key for key in self._sent if key[0] == producer]:
            del self._sent[key]

    async def _add(self, step: AddPartition) -> Answer:
        producer_id, epoch = self._ids[PRODUCERS - 1]
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self._transactional_id,
            v3_and_below_producer_id=producer_id,
            v3_and_below_producer_epoch=epoch + step.epoch,
            v3_and_below_topics=[AddPartitionsToTxnTopic(name=self._names[step.topic], partitions=[step.partition])],
        )
        told = await self._ask_in_time(request, AddPartitionsToTxnResponse, 3)
        return {"closed": True} if told is None else _only_code(told)

    async def _end(self, step: End) -> Answer:
        producer_id, epoch = self._ids[PRODUCERS - 1]
        request = EndTxnRequest(
            transactional_id=self._transactional_id,
            producer_id=producer_id,
            producer_epoch=epoch + step.epoch,
            committed=step.is_commit,
        )
        told = await self._ask_in_time(request, EndTxnResponse, step.version)
        if told is None:
            return {"closed": True}
        if told.error_code == 0 and told.producer_id >= 0:
            self._take_id(PRODUCERS - 1, told.producer_id, told.producer_epoch)
        return {
            "error_code": told.error_code,
            "epoch": told.producer_epoch,
            "is_same_id": told.producer_id == producer_id,
        }

    async def _offsets(self, step: Offsets) -> Answer:
        found: Answer = {}
        for name, timestamp, level in (("start", -2, 0), ("end", -1, 0)):
            partition = ListOffsetsPartition(partition_index=step.partition, timestamp=timestamp)
            topic = ListOffsetsTopic(name=self._names[step.topic], partitions=[partition])
            request = ListOffsetsRequest(replica_id=-1, isolation_level=level, topics=[topic])
            told = await self._ask(request, ListOffsetsResponse, 7)
            assert told is not None
            (one,) = told.topics[0].partitions
            found |= {f"{name}.error_code": one.error_code, name: one.offset}
        return found

    async def _ask_case(self, step: Ask) -> Answer:
        case = CASES[step.case]
        assert case.since <= step.version <= case.until
        producer_id, epoch = self._ids[PRODUCERS - 1]
        names = self._topic_ids_by_script()
        scene = Scene(self._names, names, self._transactional_id, self._group, producer_id, epoch)
        request = case.make(scene, step.version)
        told = await self._ask_in_time(request, RESPONSES[case.request.api_key], step.version)
        if told is None:
            return {"closed": True}
        if isinstance(told, InitProducerIdResponse | EndTxnResponse) and told.error_code == 0 and case.may_change:
            self._take_id(PRODUCERS - 1, told.producer_id, told.producer_epoch)
        others = {producer_id: f"producer {number}" for number, (producer_id, _) in self._ids.items()}
        return Plainer(scene, self._wall_ms, others).flat(relevant(told))

    def _topic_ids_by_script(self) -> dict[str, uuid.UUID]:
        return {name: self._topic_ids[actual] for name, actual in self._names.items() if actual in self._topic_ids}

    async def _produce(self, parts: Sequence[Produce]) -> Answer:
        made = [self._part(step) for step in parts]
        request = ProduceRequest(
            transactional_id=self._transactional_id if parts[0].is_transactional else None,
            acks=parts[0].acks,
            timeout_ms=5_000,
            topic_data=[
                TopicProduceData(name=topic, topic_id=topic_id, partition_data=[data])
                for topic, topic_id, data, _ in made
            ],
        )
        if parts[0].acks == 0:
            return await self._tell(request, parts[0], made[0][3])
        told = await self._ask_in_time(request, ProduceResponse, parts[0].version)
        if told is None:
            return {"closed": True}
        found: Answer = {}
        for index, (step, (name, topic_id, data, sequence)) in enumerate(zip(parts, made, strict=True)):
            (one,) = [
                partition
                for topic in told.responses
                if (topic.topic_id == topic_id if step.version >= 13 else topic.name == name)
                for partition in topic.partition_responses
                if partition.index == data.index
            ]
            if one.error_code == 0:
                self._note(step, sequence)
            found |= {f"{index}.{field}": value for field, value in self._told(one).items()}
        return found

    def _told(self, one: PartitionProduceResponse) -> Answer:
        return {
            "error_code": one.error_code,
            "base_offset": one.base_offset,
            "log_append_time": {-1: "none", self._wall_ms: "the batch's"}.get(one.log_append_time_ms, "the broker's"),
            "log_start_offset": one.log_start_offset,
            "record_errors": [each.batch_index for each in one.record_errors],
            "has_message": one.error_message is not None,
            "has_leader": one.current_leader.leader_id >= 0,
        }

    async def _tell(self, request: ProduceRequest, step: Produce, sequence: int) -> Answer:
        """Without an answer, what is to be seen is whether the connection lives on, and what is in the log."""
        with contextlib.suppress(KafkaConnectionError):
            await (await self._connected()).tell(request, at_most=step.version)
        partition = ListOffsetsPartition(partition_index=0, timestamp=-1)
        asked = ListOffsetsRequest(
            replica_id=-1, topics=[ListOffsetsTopic(name=self._names["plain"], partitions=[partition])]
        )
        if await self._ask(asked, ListOffsetsResponse, 7) is None:
            return {"closed": True}
        self._note(step, sequence)
        if self._names[step.topic] not in self._topic_ids:
            return {"closed": False}
        return {"closed": False} | await self._offsets(Offsets(step.topic, step.partition))

    def _note(self, step: Produce, sequence: int) -> None:
        """Remember what was taken."""
        if step.producer is not None and step.sequence == 0 and step.epoch == 0:
            self._sent[step.producer, step.topic, step.partition].append((sequence, step.count))

    def _part(self, step: Produce) -> tuple[str, uuid.UUID, PartitionProduceData, int]:
        key = (-1 if step.producer is None else step.producer, step.topic, step.partition)
        sequence, count = self._sequence(step, key)
        name = self._names[step.topic]
        data = PartitionProduceData(index=step.partition, records=self._records(step, sequence, count))
        return name, self._topic_ids.get(name, NOWHERE), data, sequence

    def _sequence(self, step: Produce, key: tuple[int, str, int]) -> tuple[int, int]:
        """The sequence and the number of records of this step's batch."""
        if step.producer is None:
            return -1, step.count
        sent = self._sent[key]
        if step.sequence < 0 and len(sent) >= -step.sequence:
            return sent[step.sequence]
        following = sent[-1][0] + sent[-1][1] if sent else 0
        return max(0, (0 if step.epoch > 0 else following) + step.sequence), step.count

    def _records(self, step: Produce, sequence: int, count: int) -> bytes:
        producer_id, epoch = NO_ID if step.producer is None else self._ids[step.producer]
        late = 2 * 3_600_000 if step.damage == "late" else 0
        good = batch(
            [b"v" * step.size] * count,
            producer_id=producer_id,
            epoch=max(0, epoch + step.epoch) if step.producer is not None else -1,
            sequence=sequence,
            transactional=step.is_transactional,
            timestamps=[self._wall_ms + late] * count,
            keys=None if step.damage == "keyless" else [b"k"] * count,
            codec=step.codec,
        )
        return damaged(good, step.damage)

    async def _log(self, topic: str) -> Answer:
        """What readers see of a topic."""
        name = self._names[topic]
        return {
            isolation: [
                (record.partition, record.offset, record.sequence, record.producer_epoch, record.base_offset)
                for record in await self._cluster.read(name, isolation)
            ]
            for isolation in ISOLATIONS
        }


def damaged(good: bytes, damage: Damage) -> bytes:
    """The batch, wrong in one way; the checksum is right but where that is the damage."""
    whole = _damaged_whole(good, damage)
    if whole is not good:
        return whole
    data = bytearray(good)
    _damage_part(data, damage)
    if damage != "magic":
        data[17:21] = load_crc32c()(bytes(data[21:])).to_bytes(4, "big")
    return bytes(data)


def _damaged_whole(good: bytes, damage: Damage) -> bytes:
    """What is not a batch any more, or no other than one."""
    match damage:
        case "crc":
            return good[:-1] + bytes([good[-1] ^ 1])
        case "truncated":
            return good[:-3]
        case "two batches":
            return good + good
        case "batch and a half":
            return good + good[: len(good) // 2]
        case "empty":
            return b""
        case _:
            return good


def _damage_part(data: bytearray, damage: Damage) -> None:
    """Change what the checksum covers, or what stands before it."""
    changes: dict[Damage, tuple[int, bytes]] = {
        "base offset": (7, b"\x05"),
        "magic": (16, b"\x01"),
        "old magic": (16, b"\x00"),
        "no such codec": (22, bytes([data[22] & ~7 | 5])),
        "control": (22, bytes([data[22] | 0x20])),
        "flag without id": (22, bytes([data[22] | 0x10])),
        "id without sequence": (43, (77).to_bytes(8, "big") + b"\0\0" + b"\xff" * 4),
        "count": (60, bytes([data[60] + 1])),
        "no records": (23, b"\xff" * 4),
        "garbage": (61, b"\xa5" * (len(data) - 61)),
        "fewer records": (26, bytes([data[26] + 1])),
    }
    if damage in changes:
        at, new = changes[damage]
        data[at : at + len(new)] = new
    if damage == "no records":
        del data[61:]
        data[8:12] = (len(data) - 12).to_bytes(4, "big")
        data[57:61] = bytes(4)
    if damage == "fewer records":
        data[60] += 1


def _only_code(told: AddPartitionsToTxnResponse) -> Answer:
    return {"error_code": told.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code}
