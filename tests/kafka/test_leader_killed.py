"""The leader dies while records flow: nothing acknowledged is lost, nothing is written twice, the order stays."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from aioproducer import Delivery, Producer, RecordMetadata
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from aioproducer.testing._log_reader import read_topic
from aioproducer.testing._request_client import asker, first_reachable
from tests.contract.support import Cluster, wait_for_records

if TYPE_CHECKING:
    from aioproducer.testing import RealCluster
    from aioproducer.testing._log_reader import LogRecord

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]

TASKS = 6
RECORDS_OF_A_TASK = 3_000
PARTITIONS = 3


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": False}


async def leader_of(servers: str, topic: str, partition: int) -> int:
    async with asker(*await first_reachable(servers)) as broker:
        request = MetadataRequest(topics=[MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False)
        (told,) = (await broker.ask(request, MetadataResponse)).topics
    return next(each.leader_id for each in told.partitions if each.partition_index == partition)


class Flow:
    """Several tasks that send numbered records; half of them wait for each, the others pipeline hundreds.

    Attributes:
        acknowledged: where each value is, according to its acknowledgement.
        a_third_is_sent: set when a third of all records are accepted.
    """

    def __init__(self, topic: str) -> None:
        self.acknowledged: dict[bytes, RecordMetadata] = {}
        self.a_third_is_sent = anyio.Event()
        self._topic = topic
        self._sent = 0

    async def run(self, producer: Producer[bytes, bytes], task: int) -> None:
        """One task."""
        under_way: list[tuple[bytes, Delivery]] = []
        for number in range(RECORDS_OF_A_TASK):
            value = b"%d-%d" % (task, number)
            if task % 2:
                under_way.append((value, await producer.submit(self._topic, value, key=b"task-%d" % task)))
                if number % 20 == 0:
                    await anyio.sleep(0.02)
            else:
                self.acknowledged[value] = await producer.send(self._topic, value, key=b"task-%d" % task)
            self._count()
        for value, delivery in under_way:
            self.acknowledged[value] = await delivery

    def _count(self) -> None:
        self._sent += 1
        if self._sent == TASKS * RECORDS_OF_A_TASK // 3:
            self.a_third_is_sent.set()


async def start_what_is_stopped(cluster: RealCluster) -> None:
    for node in cluster.node_ids:
        if not cluster.is_running(node):
            await anyio.to_thread.run_sync(cluster.restart, node)


def assert_all_there(log: list[LogRecord], acknowledged: dict[bytes, RecordMetadata]) -> None:
    """Every acknowledged record is where its acknowledgement said, once; each task's are in the order of its calls."""
    assert len(acknowledged) == TASKS * RECORDS_OF_A_TASK
    assert len(log) == len(acknowledged) + 2
    found = {record.value: (record.partition, record.offset) for record in log}
    assert len(found) == len(log)
    for value, metadata in acknowledged.items():
        assert found[value] == (metadata.partition, metadata.offset)
    own: dict[bytes, list[int]] = defaultdict(list)
    for record in log:
        task, _, number = (record.value or b"").partition(b"-")
        if number:
            own[task].append(int(number))
    assert own == {b"%d" % task: list(range(RECORDS_OF_A_TASK)) for task in range(TASKS)}


async def test_a_killed_leader_costs_no_record_no_duplicate_and_no_order(real_kafka_3: RealCluster) -> None:
    cluster = Cluster("real", real_kafka_3)
    topic = await cluster.create_topic(partitions=PARTITIONS, config={"min.insync.replicas": "2"})
    servers = real_kafka_3.bootstrap_servers
    flow = Flow(topic)
    try:
        async with Producer(bootstrap_servers=servers, linger_ms=1) as producer, anyio.create_task_group() as tasks:
            for task in range(TASKS):
                tasks.start_soon(flow.run, producer, task)
            await flow.a_third_is_sent.wait()
            where = (await producer.send(topic, b"last before", key=b"task-1")).partition
            killed = await leader_of(servers, topic, where)
            real_kafka_3.kill(killed)
            after = await producer.send(topic, b"first after", key=b"task-1")
            assert after.has_offset
            assert await leader_of(servers, topic, where) != killed
    finally:
        await start_what_is_stopped(real_kafka_3)
    assert_all_there(await read_topic(servers, topic), flow.acknowledged)


@pytest.mark.parametrize(("acks", "has_offset"), [("all", True), (1, True), (0, False)])
async def test_every_level_of_acks_delivers_to_three_replicas(
    real_kafka_3: RealCluster, acks: Any, has_offset: bool
) -> None:
    cluster = Cluster("real", real_kafka_3)
    topic = await cluster.create_topic(partitions=PARTITIONS, config={"min.insync.replicas": "2"})
    values = {b"%d" % number for number in range(300)}
    async with Producer(bootstrap_servers=real_kafka_3.bootstrap_servers, acks=acks) as producer:
        deliveries = [await producer.submit(topic, value, key=value) for value in values]
        await producer.flush()
    assert {delivery.result().has_offset for delivery in deliveries} == {has_offset}
    await wait_for_records(cluster, topic, len(values))
    log = await cluster.read(topic)
    assert len(log) == len(values)
    assert {record.value for record in log} == values
