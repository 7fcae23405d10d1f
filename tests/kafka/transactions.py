"""What the tests of transactions on real Kafka share: a consume-transform-produce loop with each of two consumers."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import anyio
from aiokafka import AIOKafkaConsumer

# The other client has no types: what it returns is Any here.
from confluent_kafka import Consumer

from aioproducer import Producer

if TYPE_CHECKING:
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
