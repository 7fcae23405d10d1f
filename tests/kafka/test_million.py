"""A million records of all kinds, through every codec, read back by another client: equal, in order, none missing."""

from __future__ import annotations

import logging
import random
import time
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple

import pytest
from aiokafka.partitioner import murmur2  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
from confluent_kafka import Consumer, TopicPartition

from aioproducer import Delivery, Producer
from tests.contract.support import Cluster, HasBootstrapServers

Codec = Literal["none", "gzip", "snappy", "lz4", "zstd"]
CODECS: Final[tuple[Codec, ...]] = ("none", "gzip", "snappy", "lz4", "zstd")
RECORDS: Final = 1_000_000
PARTITIONS: Final = 6
SEED: Final = 20_240_901

log = logging.getLogger(__name__)
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": False}


class Sample(NamedTuple):
    """One record to send."""

    value: bytes | None
    key: bytes | None
    partition: int | None
    timestamp_ms: int | None
    headers: list[tuple[str, bytes | None]] | None


def samples(count: int, seed: int) -> Iterator[Sample]:
    """Records of all kinds: most of 0 to 150 bytes, some of kilobytes, a few up to 900 KB."""
    rng = random.Random(seed)
    noise = rng.randbytes(1_000_000)  # does not compress
    text = b"".join(b"%d,some text that repeats;" % number for number in range(40_000))
    draw = rng.random
    for number in range(count):
        kind = draw()
        if kind < 0.98:
            size = int(draw() * 150)
        elif kind < 0.999:
            size = 1_000 + int(draw() * 3_000)
        elif kind < 0.99995:
            size = 10_000 + int(draw() * 90_000)
        else:
            size = 100_000 + int(draw() * 800_000)
        source = noise if number % 2 else text
        start = int(draw() * (len(source) - size))
        value = None if number % 97 == 0 else source[start : start + size]
        key = None if number % 3 == 0 else b"" if number % 1_000 == 1 else b"key-%d" % int(draw() * 5_000)
        partition = int(draw() * PARTITIONS) if number % 5 == 0 else None
        timestamp_ms = 1_700_000_000_000 + int(draw() * 10**10) if number % 4 == 0 else None
        headers: list[tuple[str, bytes | None]] | None = None
        if number % 7 == 0:
            headers = [("trace", b"%d" % number), ("é", None), ("trace", b"")]
        yield Sample(value, key, partition, timestamp_ms, headers)


def digest(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]] | None) -> int:
    """A number that stands for the bytes of a record; None and empty differ."""
    parts = [key, value, *(part for name, content in headers or () for part in (name.encode(), content))]
    hasher = blake2b(digest_size=8)
    for part in parts:
        hasher.update(b"-1;" if part is None else b"%d;" % len(part))
        if part:
            hasher.update(part)
    return int.from_bytes(hasher.digest(), "big")


@lru_cache(maxsize=10_000)
def javas_partition(key: bytes) -> int:
    """Where Java places a key, as another client computes it."""
    number: int = murmur2(key)
    return (number & 0x7FFFFFFF) % PARTITIONS


@dataclass
class Sent:
    """What was sent with one codec, by number, and what the acknowledgements said."""

    topic: str
    digests: array[int]
    partitions: array[int]
    offsets: array[int]
    timestamps: array[int]


async def send_all(servers: Any, topic: str, codec: Codec, count: int, seed: int) -> Sent:
    sent = Sent(topic, array("Q"), array("i"), array("q"), array("q"))
    expected: list[tuple[int | None, int | None]] = []
    deliveries: list[Delivery] = []

    def note() -> None:
        """Compare what was acknowledged with what was asked for, and forget the deliveries."""
        for delivery, (partition, timestamp_ms) in zip(deliveries, expected, strict=True):
            metadata = delivery.result()
            assert metadata.topic == topic
            assert partition is None or metadata.partition == partition
            assert timestamp_ms is None or metadata.timestamp_ms == timestamp_ms
            sent.partitions.append(metadata.partition)
            sent.offsets.append(metadata.offset)
            sent.timestamps.append(metadata.timestamp_ms)
        deliveries.clear()
        expected.clear()

    async with Producer(bootstrap_servers=servers, compression_type=codec, linger_ms=20, batch_size=65_536) as producer:
        for sample in samples(count, seed):
            value, key, partition, timestamp_ms, headers = sample
            sent.digests.append(digest(key, value, headers))
            if partition is None and key is not None:
                expected.append((javas_partition(key), timestamp_ms))
            else:
                expected.append((partition, timestamp_ms))
            deliveries.append(
                await producer.submit(
                    topic, value, key=key, partition=partition, timestamp_ms=timestamp_ms, headers=headers
                )
            )
            if len(deliveries) == 100_000:
                await producer.flush()
                note()
        await producer.flush()
        note()
    return sent


def read_and_compare(servers: Any, sent: Sent) -> int:
    """Read a topic from start to end with librdkafka and compare each record; return how many there were."""
    count = len(sent.digests)
    number_at: list[dict[int, int]] = [{} for _ in range(PARTITIONS)]
    for number in range(count):
        number_at[sent.partitions[number]][sent.offsets[number]] = number
    # Every offset was given once, without gaps, in the order of the calls.
    for own in number_at:
        assert sorted(own) == list(range(len(own)))
        assert [own[offset] for offset in range(len(own))] == sorted(own.values())
    assert sum(map(len, number_at)) == count

    consumer: Any = Consumer(
        {
            "bootstrap.servers": servers if isinstance(servers, str) else ",".join(servers),
            "group.id": "million",
            "enable.auto.commit": False,
            "check.crcs": True,
            "queued.max.messages.kbytes": 65_536,
        }
    )
    consumer.assign([TopicPartition(sent.topic, partition, 0) for partition in range(PARTITIONS)])
    following = [0] * PARTITIONS
    read = 0
    deadline = time.monotonic() + 120
    try:
        while read < count and time.monotonic() < deadline:
            for message in consumer.consume(10_000, 1.0):
                assert message.error() is None, message.error()
                partition: int = message.partition()
                offset: int = message.offset()
                assert offset == following[partition]
                following[partition] += 1
                number = number_at[partition][offset]
                assert digest(message.key(), message.value(), message.headers()) == sent.digests[number]
                assert message.timestamp()[1] == sent.timestamps[number]
                read += 1
        ends = [
            consumer.get_watermark_offsets(TopicPartition(sent.topic, partition)) for partition in range(PARTITIONS)
        ]
    finally:
        consumer.close()
    assert ends == [(0, len(own)) for own in number_at]  # and nothing more is there
    return read


async def test_a_million_records_arrive_as_they_were_sent(real_kafka: HasBootstrapServers) -> None:
    cluster = Cluster("real", real_kafka)
    read = 0
    for codec in CODECS:
        topic = await cluster.create_topic(partitions=PARTITIONS)
        started = time.monotonic()
        seed = SEED + zlib.crc32(codec.encode())
        sent = await send_all(real_kafka.bootstrap_servers, topic, codec, RECORDS // len(CODECS), seed)
        all_sent = time.monotonic()
        read += read_and_compare(real_kafka.bootstrap_servers, sent)
        log.info("%s: sent in %.1f s, read in %.1f s", codec, all_sent - started, time.monotonic() - all_sent)
    assert read == RECORDS
