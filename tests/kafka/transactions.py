"""What the tests of transactions on real Kafka share: consumers that copy, nodes by their duties, a reader."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import anyio

# The other client has no types: what it returns is Any here.
import confluent_kafka
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer

from aioproducer import Producer
from aioproducer._wire.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from aioproducer.testing._request_client import asker, first_reachable
from tests.contract.support import new_topic_name

if TYPE_CHECKING:
    from aioproducer._core.requests.coordinators import CoordinatorType
    from tests.contract.transactions_suite import Scene

COUNT = 20


async def fill(scene: Scene) -> tuple[str, str]:
    """Return a topic with records to work on, and one for the results."""
    source = await scene.cluster.create_topic()
    async with Producer(bootstrap_servers=scene.cluster.bootstrap_servers) as producer:
        for number in range(COUNT):
            await producer.submit(source, b"%02d" % number)
    return source, await scene.cluster.create_topic()


async def copy_with_aiokafka(scene: Scene, source: str, target: str) -> None:
    """Copy in transactions of five records; the second one fails after its records were sent, and is done again."""
    group = f"g-{uuid.uuid4().hex}"
    servers: Any = scene.cluster.bootstrap_servers
    consumer: Any = AIOKafkaConsumer(
        source,
        bootstrap_servers=servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        async with scene.producer() as producer:
            copied = failures = 0
            while copied < COUNT:
                batches = await consumer.getmany(timeout_ms=1_000, max_records=5)
                if not batches:
                    continue
                try:
                    async with producer.transaction() as transaction:
                        for records in batches.values():
                            for record in records:
                                await producer.submit(target, record.value.replace(b"0", b"zero "))
                        offsets = {tp: await consumer.position(tp) for tp in consumer.assignment()}
                        await transaction.send_offsets(offsets, group)
                        if copied and not failures:
                            failures += 1
                            await producer.flush()
                            raise ZeroDivisionError
                except ZeroDivisionError:
                    await consumer.seek_to_committed()
                    continue
                copied += sum(len(records) for records in batches.values())
    finally:
        await consumer.stop()


async def copy_with_confluent_kafka(scene: Scene, source: str, target: str) -> None:
    """The same with confluent-kafka, whose offsets and group metadata are taken as they are."""
    servers = scene.cluster.bootstrap_servers
    consumer: Any = Consumer(
        {
            "bootstrap.servers": servers if isinstance(servers, str) else ",".join(servers),
            "group.id": f"g-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "log_level": 0,
        }
    )
    consumer.subscribe([source])
    try:
        async with scene.producer() as producer:
            copied = failures = 0
            while copied < COUNT:
                messages = await anyio.to_thread.run_sync(lambda: consumer.consume(5, 1.0))
                if not messages:
                    continue
                try:
                    async with producer.transaction() as transaction:
                        for message in messages:
                            await producer.submit(target, message.value().replace(b"0", b"zero "))
                        positions = consumer.position(consumer.assignment())
                        await transaction.send_offsets(positions, consumer.consumer_group_metadata())
                        if copied and not failures:
                            failures += 1
                            await producer.flush()
                            raise ZeroDivisionError
                except ZeroDivisionError:
                    for tp in consumer.committed(consumer.assignment()):
                        consumer.seek(tp)
                    continue
                copied += len(messages)
    finally:
        consumer.close()


# ── nodes, by what they do ───────────────────────────────────────────────────────────────────────────────────────────


async def coordinator_of(servers: str, key_type: CoordinatorType, key: str) -> int:
    """The node that coordinates a transactional id or a group, once one does."""
    request = FindCoordinatorRequest(key_type=key_type, coordinator_keys=[key])
    with anyio.fail_after(30):
        while True:
            async with asker(*await first_reachable(servers)) as broker:
                (found,) = (await broker.ask(request, FindCoordinatorResponse)).coordinators
            if not found.error_code:
                return found.node_id
            await anyio.sleep(0.05)


async def create_topic_on(servers: str, replicas: list[list[int]]) -> str:
    """Create a topic whose partitions have these replicas, led by the first of each; wait until they do."""
    topic = new_topic_name("killed")
    assignments = [
        CreatableReplicaAssignment(partition_index=index, broker_ids=nodes) for index, nodes in enumerate(replicas)
    ]
    config = [CreatableTopicConfig(name="min.insync.replicas", value="2")]
    wanted = CreatableTopic(
        name=topic, num_partitions=-1, replication_factor=-1, assignments=assignments, configs=config
    )
    async with asker(*await first_reachable(servers)) as broker:
        (told,) = (await broker.ask(CreateTopicsRequest(topics=[wanted]), CreateTopicsResponse)).topics
    assert not told.error_code, told.error_message
    await wait_healthy(servers, topic)
    return topic


async def wait_healthy(servers: str, *topics: str) -> None:
    """Wait until each partition of each topic has a leader, and all three replicas are in sync."""
    request = MetadataRequest(
        topics=[MetadataRequestTopic(name=topic) for topic in topics], allow_auto_topic_creation=False
    )
    with anyio.fail_after(60):
        while True:
            async with asker(*await first_reachable(servers)) as broker:
                told = (await broker.ask(request, MetadataResponse)).topics
            partitions = [each for topic in told for each in topic.partitions]
            if not any(topic.error_code for topic in told) and all(
                each.leader_id > 0 and len(each.isr_nodes) == 3 for each in partitions
            ):
                return
            await anyio.sleep(0.1)


# ── an independent consumer ──────────────────────────────────────────────────────────────────────────────────────────


def committed_values(servers: str, topic: str, partitions: int, last: bytes) -> list[bytes]:
    """What librdkafka reads with read_committed, up to and with the record `last` of each partition; sorted. Blocks.

    Raises:
        TimeoutError: it is not there within a minute: a transaction before it has no end.
    """
    consumer = _reader(servers, "read_committed")
    deadline = time.monotonic() + 60
    awaited = set(range(partitions))
    found: list[bytes] = []
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, index, 0) for index in range(partitions)])
        while awaited:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the last record of partitions {awaited} of {topic} is not committed")
            for message in consumer.consume(1000, 0.2):
                if message.error() is None:
                    found.append(message.value())
                    if message.value() == last:
                        awaited.remove(message.partition())
    finally:
        consumer.close()
    return sorted(found)


def committed_offsets(servers: str, group: str, topic: str, partitions: int) -> list[int]:
    """The group's offset of each partition, once no transaction is pending for it; -1 where there is none. Blocks."""
    consumer = _reader(servers, "read_committed", group)
    try:
        asked = [confluent_kafka.TopicPartition(topic, index) for index in range(partitions)]
        return [max(-1, each.offset) for each in consumer.committed(asked, timeout=60)]
    finally:
        consumer.close()


def _reader(servers: str, isolation: str, group: str = "reader") -> Any:
    return Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": isolation,
            "log_level": 0,
        }
    )
