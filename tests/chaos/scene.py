"""A real Kafka of three nodes, and what a fault needs to know of it and do to it, without blocking the event loop."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread
from confluent_kafka import Consumer, TopicPartition

from aioproducer._wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponsePartition,
)
from aioproducer.errors import KafkaError
from aioproducer.testing._request_client import asker
from tests.chaos.ledger import number_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it reads its schemas with a function that is going away
    import kafka.admin
    import kafka.structs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from aioproducer.testing import RealCluster

T = TypeVar("T")

ANSWER_SECONDS: Final = 2.0
HEALTHY_SECONDS: Final = 60.0
READ_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Scene:
    """The cluster, the topic under test, and the dice."""

    cluster: RealCluster
    topic: str
    rng: Random

    async def partitions(self) -> list[MetadataResponsePartition]:
        """What the first node that answers tells of the topic's partitions; [] when none does."""
        request = MetadataRequest(topics=[MetadataRequestTopic(name=self.topic)], allow_auto_topic_creation=False)
        for server in self.cluster.bootstrap_servers.split(","):
            host, _, port = server.partition(":")
            with anyio.move_on_after(ANSWER_SECONDS):  # a paused node accepts connections and says nothing
                try:
                    async with asker(host, int(port)) as broker:
                        (told,) = (await broker.ask(request, MetadataResponse)).topics
                        return told.partitions
                except KafkaError:
                    pass
        return []

    async def leader(self) -> int:
        """The node that leads one of the partitions."""
        leaders = [each.leader_id for each in await self.partitions() if each.leader_id > 0]
        return self.rng.choice(leaders or self.cluster.node_ids)

    async def wait_healthy(self) -> None:
        """Wait until every partition has a leader and all of its replicas are in sync."""
        with anyio.fail_after(HEALTHY_SECONDS):
            while True:
                told = await self.partitions()
                if told and all(each.leader_id > 0 and len(each.isr_nodes) == 3 for each in told):
                    return
                await anyio.sleep(0.2)

    async def do(self, verb: Callable[..., T], *arguments: Any) -> T:
        """Do something that blocks in a worker thread."""
        return await anyio.to_thread.run_sync(verb, *arguments)

    def move_leaders(self, partitions: int) -> None:
        """Have each partition led by any node: give its replicas another order, then elect the first. Blocks."""
        admin: Any = kafka.admin.KafkaAdminClient(bootstrap_servers=self.cluster.bootstrap_servers)
        try:
            orders: dict[Any, list[int]] = {}
            for partition in range(partitions):
                order = list(self.cluster.node_ids)
                self.rng.shuffle(order)
                orders[kafka.structs.TopicPartition(self.topic, partition)] = order
            admin.alter_partition_reassignments(orders, timeout_ms=20_000)
            # Those that are led by their first replica already are told as errors.
            admin.elect_leaders(0, {self.topic: list(range(partitions))}, timeout_ms=20_000, raise_errors=False)
        finally:
            admin.close()


def read_numbers(servers: str, topic: str, partitions: int) -> Iterator[tuple[int, int, int]]:
    """(partition, offset, number) of everything in a topic, as librdkafka reads it; CRCs are checked.

    Raises:
        AssertionError: it could not be read to the end within two minutes.
    """
    consumer: Any = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"{topic}-judge",
            "enable.auto.commit": False,
            "check.crcs": True,
            "isolation.level": "read_uncommitted",
            "log_level": 0,
        }
    )
    try:
        ends: dict[int, int] = {}
        for partition in range(partitions):
            start, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
            assert start == 0, f"partition {partition} begins at {start}"
            ends[partition] = end
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
        missing = sum(ends.values())
        with_nothing = 0
        while missing > 0:
            messages = consumer.consume(10_000, 1.0)
            with_nothing = 0 if messages else with_nothing + 1
            assert with_nothing < READ_SECONDS, f"{missing} records of {topic} could not be read"
            for message in messages:
                assert message.error() is None, message.error()
                if message.offset() < ends[message.partition()]:
                    missing -= 1
                yield message.partition(), message.offset(), number_of(message.value())
    finally:
        consumer.close()
