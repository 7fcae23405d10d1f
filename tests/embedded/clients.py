"""Other clients, as released, behind one interface: what each is told to do is the same, how it is told is its own.

Every call blocks. A writer is idempotent, or transactional; what a library has no call for, its class does not have.
"""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol, TypeAlias

from anyio.from_thread import start_blocking_portal

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from contextlib import AbstractContextManager

    from anyio.from_thread import BlockingPortal

# Modules without types, or with types that are not those of the code: so nothing of them is checked.
aiokafka: Any = import_module("aiokafka")
aiokafka_admin: Any = import_module("aiokafka.admin")
aiokafka_configs: Any = import_module("aiokafka.admin.config_resource")
confluent_kafka: Any = import_module("confluent_kafka")
confluent_admin: Any = import_module("confluent_kafka.admin")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it reads its schemas with a function that is going away
    kafka_python: Any = import_module("kafka")
    kafka_python_admin: Any = import_module("kafka.admin")
    kafka_python_structs: Any = import_module("kafka.structs")
    kafka_python_errors: Any = import_module("kafka.errors")

Codec: TypeAlias = Literal["none", "gzip", "snappy", "lz4", "zstd"]
Isolation: TypeAlias = Literal["read_uncommitted", "read_committed"]

SECONDS: Final = 10
KEY: Final = b"key"
HEADERS: Final = [("trace", b"1")]


class FencedError(Exception):
    """Another producer has the transactional id."""


@dataclass(frozen=True)
class Described:
    """What an admin client tells of a topic."""

    partitions: int
    replicas: int
    max_message_bytes: str


class Writer(Protocol):
    """A producer of another library."""

    def send(self, topic: str, values: Sequence[bytes], partition: int = 0) -> list[int]:
        """Write values with KEY and HEADERS, wait for all, and return their offsets."""
        ...

    def begin(self) -> None: ...

    def commit(self) -> None:
        """Raises FencedError if another has the transactional id."""
        ...

    def abort(self) -> None: ...

    def send_offset(self, topic: str, offset: int, group: str) -> None:
        """The offset of partition 0 becomes part of the transaction."""
        ...


class Admin(Protocol):
    """An admin client of another library. Everything raises what the library raises."""

    def create(self, topic: str, partitions: int, replicas: int, config: dict[str, str]) -> None: ...
    def names(self) -> set[str]: ...
    def describe(self, topic: str) -> Described: ...
    def delete(self, topic: str) -> None: ...
    def grow(self, topic: str, partitions: int) -> None: ...
    def ask_for_groups(self) -> None:
        """Something that the embedded cluster does not have."""
        ...


class Client(Protocol):
    """Another library."""

    name: ClassVar[str]

    def writer(
        self, servers: list[str], codec: Codec = "none", transactional_id: str | None = None
    ) -> AbstractContextManager[Writer]: ...

    def read(self, servers: list[str], topic: str, count: int, isolation: Isolation) -> list[bytes | None]:
        """The first values of partitions 0 and 1, assigned by hand, one partition after the other."""
        ...

    def committed(self, servers: list[str], topic: str, group: str) -> int:
        """The committed offset of partition 0."""
        ...

    def admin(self, servers: list[str]) -> AbstractContextManager[Admin]: ...


# ── confluent-kafka (librdkafka) ──


class ConfluentKafka:
    """librdkafka."""

    name: ClassVar[str] = "confluent-kafka"

    @contextlib.contextmanager
    def writer(
        self, servers: list[str], codec: Codec = "none", transactional_id: str | None = None
    ) -> Generator[Writer]:
        settings = _confluent(servers) | {"compression.type": codec, "enable.idempotence": True, "linger.ms": 5}
        if transactional_id is not None:
            settings["transactional.id"] = transactional_id
        producer = confluent_kafka.Producer(settings)
        if transactional_id is not None:
            producer.init_transactions(SECONDS)
        yield _ConfluentWriter(producer, servers)

    def read(self, servers: list[str], topic: str, count: int, isolation: Isolation) -> list[bytes | None]:
        with _confluent_consumer(servers, "readers", {"isolation.level": isolation}) as consumer:
            beginning = confluent_kafka.OFFSET_BEGINNING
            consumer.assign([confluent_kafka.TopicPartition(topic, index, beginning) for index in range(2)])
            found: list[tuple[int, int, bytes | None]] = []
            while len(found) < count:
                message = consumer.poll(SECONDS)
                assert message is not None, f"{len(found)} of {count} records"
                assert message.error() is None
                found.append((message.partition(), message.offset(), message.value()))
        return _in_order(found)

    def committed(self, servers: list[str], topic: str, group: str) -> int:
        with _confluent_consumer(servers, group, {}) as consumer:
            return int(consumer.committed([confluent_kafka.TopicPartition(topic, 0)], SECONDS)[0].offset)

    @contextlib.contextmanager
    def admin(self, servers: list[str]) -> Generator[Admin]:
        yield _ConfluentAdmin(confluent_admin.AdminClient(_confluent(servers)))


def _confluent(servers: list[str]) -> dict[str, Any]:
    return {"bootstrap.servers": ",".join(servers), "log_level": 0}


@contextlib.contextmanager
def _confluent_consumer(servers: list[str], group: str, settings: dict[str, Any]) -> Generator[Any]:
    settings = _confluent(servers) | {"group.id": group, "enable.auto.commit": False} | settings
    consumer = confluent_kafka.Consumer(settings)
    try:
        yield consumer
    finally:
        consumer.close()


class _ConfluentWriter:
    def __init__(self, producer: Any, servers: list[str]) -> None:
        self._producer = producer
        self._servers = servers

    def send(self, topic: str, values: Sequence[bytes], partition: int = 0) -> list[int]:
        offsets: list[int] = []

        def note(error: Any, message: Any) -> None:
            assert error is None
            offsets.append(message.offset())

        for value in values:
            self._producer.produce(topic, value, KEY, partition, headers=HEADERS, on_delivery=note)
        assert self._producer.flush(SECONDS) == 0
        return offsets

    def begin(self) -> None:
        self._producer.begin_transaction()

    def commit(self) -> None:
        try:
            self._producer.commit_transaction(SECONDS)
        except confluent_kafka.KafkaException as error:
            if error.args[0].fatal():
                raise FencedError from error
            raise

    def abort(self) -> None:
        self._producer.abort_transaction(SECONDS)

    def send_offset(self, topic: str, offset: int, group: str) -> None:
        with _confluent_consumer(self._servers, group, {}) as consumer:
            offsets = [confluent_kafka.TopicPartition(topic, 0, offset)]
            self._producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), SECONDS)


class _ConfluentAdmin:
    def __init__(self, admin: Any) -> None:
        self._admin = admin

    def create(self, topic: str, partitions: int, replicas: int, config: dict[str, str]) -> None:
        self._admin.create_topics([confluent_admin.NewTopic(topic, partitions, replicas, config=config)])[topic].result(
            SECONDS
        )

    def names(self) -> set[str]:
        return set(self._admin.list_topics(timeout=SECONDS).topics)

    def describe(self, topic: str) -> Described:
        described = self._admin.describe_topics(confluent_kafka.TopicCollection([topic]))[topic].result(SECONDS)
        resource = confluent_admin.ConfigResource(confluent_admin.ResourceType.TOPIC, topic)
        config = self._admin.describe_configs([resource])[resource].result(SECONDS)
        partitions = described.partitions
        return Described(len(partitions), len(partitions[0].replicas), config["max.message.bytes"].value)

    def delete(self, topic: str) -> None:
        self._admin.delete_topics([topic])[topic].result(SECONDS)

    def grow(self, topic: str, partitions: int) -> None:
        new = confluent_admin.NewPartitions(topic, partitions)
        self._admin.create_partitions([new])[topic].result(SECONDS)

    def ask_for_groups(self) -> None:
        told = self._admin.list_consumer_groups(request_timeout=SECONDS).result(SECONDS)
        for error in told.errors:
            raise confluent_kafka.KafkaException(error)


# ── kafka-python ──


class KafkaPython:
    """kafka-python."""

    name: ClassVar[str] = "kafka-python"

    @contextlib.contextmanager
    def writer(
        self, servers: list[str], codec: Codec = "none", transactional_id: str | None = None
    ) -> Generator[Writer]:
        producer = kafka_python.KafkaProducer(
            bootstrap_servers=servers,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=True,
            transactional_id=transactional_id,
            linger_ms=5,
        )
        try:
            if transactional_id is not None:
                producer.init_transactions()
            yield _PythonWriter(producer)
        finally:
            producer.close(SECONDS)

    def read(self, servers: list[str], topic: str, count: int, isolation: Isolation) -> list[bytes | None]:
        consumer = kafka_python.KafkaConsumer(
            bootstrap_servers=servers, consumer_timeout_ms=SECONDS * 1000, isolation_level=isolation
        )
        try:
            partitions: list[Any] = [kafka_python_structs.TopicPartition(topic, index) for index in range(2)]
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            records = [next(consumer) for _ in range(count)]
        finally:
            consumer.close()
        return _in_order((record.partition, record.offset, record.value) for record in records)

    def committed(self, servers: list[str], topic: str, group: str) -> int:
        consumer = kafka_python.KafkaConsumer(bootstrap_servers=servers, group_id=group)
        try:
            return int(consumer.committed(kafka_python_structs.TopicPartition(topic, 0)))
        finally:
            consumer.close()

    @contextlib.contextmanager
    def admin(self, servers: list[str]) -> Generator[Admin]:
        admin = kafka_python_admin.KafkaAdminClient(bootstrap_servers=servers)
        try:
            yield _PythonAdmin(admin)
        finally:
            admin.close()


class _PythonWriter:
    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def send(self, topic: str, values: Sequence[bytes], partition: int = 0) -> list[int]:
        sent: list[Any] = [self._producer.send(topic, value, KEY, HEADERS, partition) for value in values]
        return [future.get(SECONDS).offset for future in sent]

    def begin(self) -> None:
        self._producer.begin_transaction()

    def commit(self) -> None:
        try:
            self._producer.commit_transaction()
        except kafka_python_errors.ProducerFencedError as error:
            raise FencedError from error

    def abort(self) -> None:
        self._producer.abort_transaction()

    def send_offset(self, topic: str, offset: int, group: str) -> None:
        offsets = {
            kafka_python_structs.TopicPartition(topic, 0): kafka_python_structs.OffsetAndMetadata(offset, "", -1)
        }
        self._producer.send_offsets_to_transaction(offsets, group)


class _PythonAdmin:
    def __init__(self, admin: Any) -> None:
        self._admin = admin

    def create(self, topic: str, partitions: int, replicas: int, config: dict[str, str]) -> None:
        self._admin.create_topics([kafka_python_admin.NewTopic(topic, partitions, replicas, topic_configs=config)])

    def names(self) -> set[str]:
        return set(self._admin.list_topics())

    def describe(self, topic: str) -> Described:
        (described,) = self._admin.describe_topics([topic])
        resource = kafka_python_admin.ConfigResource(kafka_python_admin.ConfigResourceType.TOPIC, topic)
        (config,) = self._admin.describe_configs([resource], config_filter="all")["topic"].values()
        partitions = described["partitions"]
        return Described(len(partitions), len(partitions[0]["replica_nodes"]), config["max.message.bytes"]["value"])

    def delete(self, topic: str) -> None:
        self._admin.delete_topics([topic])

    def grow(self, topic: str, partitions: int) -> None:
        self._admin.create_partitions({topic: kafka_python_admin.NewPartitions(partitions)})

    def ask_for_groups(self) -> None:
        self._admin.list_groups()


# ── aiokafka, in an event loop of its own ──


class AioKafka:
    """aiokafka."""

    name: ClassVar[str] = "aiokafka"

    @contextlib.contextmanager
    def writer(
        self, servers: list[str], codec: Codec = "none", transactional_id: str | None = None
    ) -> Generator[Writer]:
        async def make() -> Any:
            producer = aiokafka.AIOKafkaProducer(
                bootstrap_servers=servers,
                compression_type=None if codec == "none" else codec,
                enable_idempotence=True,
                transactional_id=transactional_id,
                linger_ms=5,
            )
            await producer.start()
            return producer

        with start_blocking_portal("asyncio") as portal:
            producer = portal.call(make)
            try:
                yield _AioWriter(producer, portal)
            finally:
                portal.call(producer.stop)

    def read(self, servers: list[str], topic: str, count: int, isolation: Isolation) -> list[bytes | None]:
        async def read() -> list[bytes | None]:
            consumer = aiokafka.AIOKafkaConsumer(
                bootstrap_servers=servers, auto_offset_reset="earliest", isolation_level=isolation
            )
            consumer.assign([aiokafka.TopicPartition(topic, index) for index in range(2)])
            async with consumer:
                records = [await consumer.getone() for _ in range(count)]
            return _in_order((record.partition, record.offset, record.value) for record in records)

        with start_blocking_portal("asyncio") as portal:
            return portal.start_task_soon(read).result(SECONDS)

    def committed(self, servers: list[str], topic: str, group: str) -> int:
        async def committed() -> int:
            consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False)
            partition = aiokafka.TopicPartition(topic, 0)
            consumer.assign([partition])
            async with consumer:
                return int(await consumer.committed(partition))

        with start_blocking_portal("asyncio") as portal:
            return portal.start_task_soon(committed).result(SECONDS)

    @contextlib.contextmanager
    def admin(self, servers: list[str]) -> Generator[Admin]:
        async def make() -> Any:
            admin = aiokafka_admin.AIOKafkaAdminClient(bootstrap_servers=servers)
            await admin.start()
            return admin

        with start_blocking_portal("asyncio") as portal:
            admin = portal.call(make)
            try:
                yield _AioAdmin(admin, portal)
            finally:
                portal.call(admin.close)


class _AioWriter:
    def __init__(self, producer: Any, portal: BlockingPortal) -> None:
        self._producer = producer
        self._portal = portal

    def send(self, topic: str, values: Sequence[bytes], partition: int = 0) -> list[int]:
        async def send() -> list[int]:
            sent = [await self._producer.send(topic, value, KEY, partition, headers=HEADERS) for value in values]
            return [(await future).offset for future in sent]

        return self._portal.start_task_soon(send).result(SECONDS)

    def begin(self) -> None:
        self._portal.call(self._producer.begin_transaction)

    def commit(self) -> None:
        try:
            self._portal.call(self._producer.commit_transaction)
        except aiokafka.errors.ProducerFenced as error:
            raise FencedError from error

    def abort(self) -> None:
        self._portal.call(self._producer.abort_transaction)

    def send_offset(self, topic: str, offset: int, group: str) -> None:
        offsets = {aiokafka.TopicPartition(topic, 0): aiokafka.structs.OffsetAndMetadata(offset, "")}
        self._portal.call(self._producer.send_offsets_to_transaction, offsets, group)


class _AioAdmin:
    def __init__(self, admin: Any, portal: BlockingPortal) -> None:
        self._admin = admin
        self._portal = portal

    def create(self, topic: str, partitions: int, replicas: int, config: dict[str, str]) -> None:
        new = aiokafka_admin.NewTopic(topic, partitions, replicas, topic_configs=config)
        told: Any = self._portal.call(self._admin.create_topics, [new])
        _raise_for(code for _, code, *_ in told.topic_errors)

    def names(self) -> set[str]:
        return set(self._portal.call(self._admin.list_topics))

    def describe(self, topic: str) -> Described:
        (described,) = self._portal.call(self._admin.describe_topics, [topic])
        _raise_for([described["error_code"]])
        resource = aiokafka_configs.ConfigResource(aiokafka_configs.ConfigResourceType.TOPIC, topic)
        (told,) = self._portal.call(self._admin.describe_configs, [resource])
        ((code, _, _, _, entries),) = told.resources
        _raise_for([code])
        config = {name: value for name, value, *_ in entries}
        partitions = described["partitions"]
        return Described(len(partitions), len(partitions[0]["replicas"]), config["max.message.bytes"])

    def delete(self, topic: str) -> None:
        told: Any = self._portal.call(self._admin.delete_topics, [topic])
        _raise_for(code for _, code, *_ in told.topic_error_codes)

    def grow(self, topic: str, partitions: int) -> None:
        new = {topic: aiokafka_admin.NewPartitions(partitions)}
        told: Any = self._portal.call(self._admin.create_partitions, new)
        _raise_for(code for _, code, *_ in told.topic_errors)

    def ask_for_groups(self) -> None:
        self._portal.start_task_soon(self._admin.list_consumer_groups).result(SECONDS)


def _raise_for(codes: Iterable[int]) -> None:
    for code in codes:
        if code:
            raise aiokafka.errors.for_code(code)


def _in_order(found: Iterable[tuple[int, int, bytes | None]]) -> list[bytes | None]:
    return [value for _, _, value in sorted(found, key=lambda each: each[:2])]


CLIENTS: Final[tuple[Client, ...]] = (ConfluentKafka(), KafkaPython(), AioKafka())
CODECS: Final[tuple[Codec, ...]] = ("none", "gzip", "snappy", "lz4", "zstd")
