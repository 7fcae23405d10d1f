"""Do other clients, as released, find in the embedded cluster what they find in Kafka?"""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from typing import TYPE_CHECKING, Any, cast

import aiokafka
import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from aioproducer.records import TopicPartition
from aioproducer.testing import EmbeddedCluster

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it reads its schemas with a function that is going away
    import kafka
    import kafka.admin
    import kafka.structs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from aioproducer.testing import BlockingCluster

# The clients have no types.
# pyright: basic

pytestmark = pytest.mark.filterwarnings(
    "ignore:read_text is deprecated:DeprecationWarning", "ignore:open_text is deprecated:DeprecationWarning"
)

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
VALUES = [b"%d " % number * 20 for number in range(50)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[BlockingCluster]:
    with EmbeddedCluster.running(brokers=2) as cluster:
        yield cluster


def servers(cluster: BlockingCluster) -> str:
    return ",".join(cluster.bootstrap_servers)


# ── confluent-kafka (librdkafka) ──


def confluent_producer(cluster: BlockingCluster, **settings: Any) -> confluent_kafka.Producer:
    return confluent_kafka.Producer({"bootstrap.servers": servers(cluster), "linger.ms": 5, "log_level": 0} | settings)


def confluent_read(cluster: BlockingCluster, topic: str, count: int, **settings: Any) -> list[bytes | None]:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": servers(cluster), "group.id": "readers", "enable.auto.commit": False, "log_level": 0}
        | settings
    )
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
        found: list[bytes | None] = []
        while len(found) < count:
            message = consumer.poll(10)
            assert message is not None, f"{len(found)} of {count} records"
            assert message.error() is None
            found.append(message.value())
        return found
    finally:
        consumer.close()


@pytest.mark.parametrize("codec", CODECS)
def test_confluent_kafka_writes_and_reads(cluster: BlockingCluster, codec: str) -> None:
    topic = f"confluent-{codec}"
    settings = {"enable.idempotence": True, "compression.type": codec}
    producer = confluent_producer(cluster, **settings)
    for value in VALUES:
        producer.produce(topic, value, key=b"key", headers=[("trace", b"1")])
    assert producer.flush(10) == 0
    records = cluster.records(topic)
    assert [record.value for record in records] == VALUES
    assert records[0].producer_id >= 0
    assert records[0].headers == (("trace", b"1"),)
    assert confluent_read(cluster, topic, len(VALUES)) == VALUES


def test_confluent_kafka_repeats_a_batch_whose_answer_is_lost_without_a_duplicate(cluster: BlockingCluster) -> None:
    producer = confluent_producer(cluster, **{"enable.idempotence": True})
    producer.produce("confluent-lost", b"0")
    assert producer.flush(10) == 0
    fault = cluster.lose_response_once(topic="confluent-lost")
    producer.produce("confluent-lost", b"1")
    assert producer.flush(10) == 0
    assert fault.hits == 1
    assert [record.value for record in cluster.records("confluent-lost")] == [b"0", b"1"]


def test_confluent_kafka_follows_a_leader_that_moved(cluster: BlockingCluster) -> None:
    producer = confluent_producer(cluster, **{"enable.idempotence": True})
    cluster.create_topic("confluent-moved")
    for number in range(3):
        producer.produce("confluent-moved", b"%d" % number)
        assert producer.flush(10) == 0
        cluster.move_leader("confluent-moved")
    assert [record.value for record in cluster.records("confluent-moved")] == [b"0", b"1", b"2"]


def test_confluent_kafka_admin_creates_and_deletes_topics(cluster: BlockingCluster) -> None:
    admin = AdminClient({"bootstrap.servers": servers(cluster)})
    created = admin.create_topics([NewTopic("confluent-admin", 3, 2, config={"cleanup.policy": "compact"})])
    created["confluent-admin"].result(10)
    assert len(admin.list_topics("confluent-admin", 10).topics["confluent-admin"].partitions) == 3
    admin.delete_topics(["confluent-admin"])["confluent-admin"].result(10)
    assert "confluent-admin" not in admin.list_topics(timeout=10).topics


def test_confluent_kafka_transactions_are_committed_or_aborted(cluster: BlockingCluster) -> None:
    producer = confluent_producer(cluster, **{"transactional.id": "confluent-txn"})
    producer.init_transactions(10)
    for number, ends in enumerate(["commit", "abort", "commit"]):
        producer.begin_transaction()
        producer.produce("confluent-txn", b"%d" % number)
        assert producer.flush(10) == 0
        if ends == "commit":
            producer.commit_transaction(10)
        else:
            producer.abort_transaction(10)
    cluster.expect("confluent-txn", values=[b"0", b"2"], isolation="read_committed")
    assert [record.value for record in cluster.records("confluent-txn")] == [b"0", b"1", b"2"]
    committed = confluent_read(cluster, "confluent-txn", 2, **{"isolation.level": "read_committed"})
    assert committed == [b"0", b"2"]


def test_confluent_kafka_sends_offsets_in_a_transaction(cluster: BlockingCluster) -> None:
    settings = {"bootstrap.servers": servers(cluster), "group.id": "copier", "enable.auto.commit": False}
    consumer = confluent_kafka.Consumer(settings | {"log_level": 0})
    partition = confluent_kafka.TopicPartition("confluent-in", 0, 42)
    cluster.create_topic("confluent-in")
    producer = confluent_producer(cluster, **{"transactional.id": "confluent-copier"})
    try:
        producer.init_transactions(10)
        producer.begin_transaction()
        producer.send_offsets_to_transaction([partition], consumer.consumer_group_metadata(), 10)
        assert cluster.committed_offsets("copier") == {}
        producer.commit_transaction(10)
        assert consumer.committed([partition], 10)[0].offset == 42
        assert cluster.committed_offsets("copier") == {TopicPartition("confluent-in", 0): 42}
    finally:
        consumer.close()


def test_confluent_kafka_is_fenced_by_another_instance(cluster: BlockingCluster) -> None:
    first = confluent_producer(cluster, **{"transactional.id": "confluent-fenced"})
    first.init_transactions(10)
    first.begin_transaction()
    first.produce("confluent-fenced", b"0")
    assert first.flush(10) == 0
    second = confluent_producer(cluster, **{"transactional.id": "confluent-fenced"})
    second.init_transactions(10)
    with pytest.raises(confluent_kafka.KafkaException) as raised:
        first.commit_transaction(10)
    assert raised.value.args[0].fatal()
    assert cluster.records("confluent-fenced", isolation="read_committed") == []


# ── kafka-python ──


@pytest.mark.parametrize(
    "codec", [codec for codec in CODECS if codec != "snappy"]
)  # for snappy it needs one more package
def test_kafka_python_writes_and_reads(cluster: BlockingCluster, codec: str) -> None:
    topic = f"python-{codec}"
    producer = kafka.KafkaProducer(
        bootstrap_servers=cluster.bootstrap_servers,
        compression_type=cast("Any", None if codec == "none" else codec),
        enable_idempotence=True,
        linger_ms=5,
    )
    try:
        sent = [producer.send(topic, value, key=b"key", headers=[("trace", b"1")]) for value in VALUES]
        assert [future.get(10).offset for future in sent] == list(range(len(VALUES)))
    finally:
        producer.close(5)
    assert [record.value for record in cluster.records(topic)] == VALUES
    consumer = kafka.KafkaConsumer(bootstrap_servers=cluster.bootstrap_servers, consumer_timeout_ms=10_000)
    try:
        partition: Any = kafka.structs.TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        assert [next(consumer).value for _ in VALUES] == VALUES
    finally:
        consumer.close()


def test_kafka_python_admin_creates_and_deletes_topics(cluster: BlockingCluster) -> None:
    admin = kafka.admin.KafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    try:
        admin.create_topics([kafka.admin.NewTopic("python-admin", 3, 2)])
        assert "python-admin" in admin.list_topics()
        admin.delete_topics(["python-admin"])
        assert "python-admin" not in admin.list_topics()
    finally:
        admin.close()


def test_kafka_python_transactions_are_committed_or_aborted(cluster: BlockingCluster) -> None:
    producer = kafka.KafkaProducer(bootstrap_servers=cluster.bootstrap_servers, transactional_id="python-txn")
    try:
        producer.init_transactions()
        for number, ends in enumerate(["commit", "abort", "commit"]):
            producer.begin_transaction()
            producer.send("python-txn", b"%d" % number).get(10)
            if ends == "commit":
                producer.commit_transaction()
            else:
                producer.abort_transaction()
    finally:
        producer.close(5)
    cluster.expect("python-txn", values=[b"0", b"2"], isolation="read_committed")


# ── aiokafka, in the cluster's own event loop ──


@contextlib.asynccontextmanager
async def aiokafka_producer(cluster: EmbeddedCluster, **settings: Any) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=",".join(cluster.bootstrap_servers), linger_ms=5, **settings)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@pytest.mark.parametrize("codec", CODECS)
def test_aiokafka_writes_and_reads(codec: str) -> None:
    async def main() -> None:
        async with EmbeddedCluster(brokers=2) as cluster:
            compression = None if codec == "none" else codec
            async with aiokafka_producer(cluster, enable_idempotence=True, compression_type=compression) as producer:
                sent = [await producer.send("aio", value, key=b"key", headers=[("trace", b"1")]) for value in VALUES]
                assert [(await future).offset for future in sent] == list(range(len(VALUES)))
            consumer = aiokafka.AIOKafkaConsumer(
                bootstrap_servers=",".join(cluster.bootstrap_servers), auto_offset_reset="earliest"
            )
            consumer.assign([aiokafka.TopicPartition("aio", 0)])
            await consumer.start()
            try:
                assert [(await asyncio.wait_for(consumer.getone(), 10)).value for _ in VALUES] == VALUES
            finally:
                await consumer.stop()

    asyncio.run(main())


def test_aiokafka_transactions_are_committed_or_aborted() -> None:
    async def main() -> None:
        async with EmbeddedCluster(brokers=2) as cluster, aiokafka_producer(cluster, transactional_id="t") as producer:
            for number, ends in enumerate(["commit", "abort", "commit"]):
                await producer.begin_transaction()
                await producer.send_and_wait("aio-txn", b"%d" % number)
                if ends == "commit":
                    await producer.commit_transaction()
                else:
                    await producer.abort_transaction()
            await cluster.expect("aio-txn", values=[b"0", b"2"], isolation="read_committed")

    asyncio.run(main())
