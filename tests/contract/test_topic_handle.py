"""Handles for one topic, with serializers of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aioproducer import (
    IllegalStateError,
    InvalidTopicError,
    Producer,
    ProducerRecord,
    RecordMetadata,
    SerializationError,
)
from aioproducer.interceptors import ProducerInterceptor
from aioproducer.serializers import json_serializer, utf8

if TYPE_CHECKING:
    from aioproducer import Delivery
    from aioproducer.records import Headers
    from tests.contract.support import Cluster


@pytest.mark.real_subset
async def test_a_handle_sends_in_all_three_ways_with_its_own_serializers(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    called: list[Delivery] = []
    producer = Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers)
    handle = producer.topic(topic, key_serializer=utf8, value_serializer=json_serializer())  # before the start
    async with producer:
        metadata = await handle.send({"id": 1}, key="a", headers={"h": b"1"}, timestamp_ms=5, partition=0)
        delivery = await handle.submit({"id": 2}, key="b", on_delivery=called.append)
        assert (await delivery).offset == 1
        handle.submit_nowait(None, key="c", on_delivery=called.append)
        await producer.send(topic, b"raw", key=b"d")
    assert metadata == RecordMetadata(topic, 0, 0, 5)
    assert [each.result().offset for each in called] == [1, 2]
    log = await cluster.read(topic)
    assert [(record.key, record.value) for record in log] == [
        (b"a", b'{"id":1}'),
        (b"b", b'{"id":2}'),
        (b"c", None),
        (b"d", b"raw"),
    ]
    assert log[0].headers == (("h", b"1"),)


async def test_a_handle_without_serializers_has_the_producers(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer[str, str](
        bootstrap_servers=cluster.bootstrap_servers, key_serializer=utf8, value_serializer=utf8
    ) as producer:
        await producer.topic(topic).send("v", key="k")
        await producer.topic(topic, value_serializer=json_serializer()).send(["v"], key="k")
    assert [(record.key, record.value) for record in await cluster.read(topic)] == [(b"k", b"v"), (b"k", b'["v"]')]


async def test_records_of_handles_and_of_the_producer_keep_the_order_of_the_calls(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        first, second = producer.topic(topic), producer.topic(topic, value_serializer=utf8)
        for number in range(300):  # the first ones wait for the topic
            first.submit_nowait(b"%d" % (3 * number))
            second.submit_nowait(str(3 * number + 1))
            producer.submit_nowait(topic, b"%d" % (3 * number + 2))
    assert await cluster.values(topic) == [b"%d" % number for number in range(900)]


class Seen(ProducerInterceptor[Any, Any]):
    def __init__(self) -> None:
        self.values: list[Any] = []
        self.offsets: list[int] = []

    def on_send(self, record: ProducerRecord[Any, Any]) -> ProducerRecord[Any, Any]:
        self.values.append(record.value)
        return record

    def on_acknowledgement(self, metadata: RecordMetadata, error: BaseException | None, headers: Headers) -> None:
        self.offsets.append(metadata.offset)


async def test_interceptors_see_the_records_of_a_handle_once(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    seen = Seen()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, interceptors=[seen]) as producer:
        handle = producer.topic(topic, value_serializer=utf8)
        await handle.send("a")
        with pytest.raises(SerializationError):
            await handle.send(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert (seen.values, seen.offsets) == (["a", 1], [0, -1])


async def test_a_handle_is_refused_as_its_producer_is() -> None:
    producer = Producer(bootstrap_servers="localhost:9092")
    with pytest.raises(InvalidTopicError):
        producer.topic("no topic")
    handle = producer.topic("orders")
    with pytest.raises(IllegalStateError):
        await handle.send(b"v")
    with pytest.raises(TypeError, match="coroutine function"):

        async def callback(delivery: Delivery) -> None: ...

        handle.submit_nowait(b"v", on_delivery=callback)
    assert repr(handle) == "<TopicHandle 'orders'>"
