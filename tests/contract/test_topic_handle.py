"""Handles for one topic, with serializers of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from aioproducer import (
    IllegalStateError,
    InvalidTopicError,
    Producer,
    ProducerRecord,
    RecordMetadata,
    SendAllError,
    SerializationError,
)
from aioproducer.interceptors import ProducerInterceptor
from aioproducer.serializers import json_serializer, utf8

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aioproducer import Delivery
    from aioproducer._types import Headers
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


@pytest.mark.real_subset
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_handle_sends_many_values_and_records_of_its_topic(cluster: Cluster, is_async: bool) -> None:
    topic = await cluster.create_topic()
    given: list[Any] = [{"id": 1}, None, ProducerRecord(topic, {"id": 3}, key="k", headers={"h": b"1"})]

    async def arriving() -> AsyncIterator[Any]:
        for each in given:
            yield each

    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        handle = producer.topic(topic, key_serializer=utf8, value_serializer=json_serializer())
        results = await handle.send_all(arriving() if is_async else given)
    assert [metadata.offset for metadata in results] == [0, 1, 2]
    log = await cluster.read(topic)
    assert [(record.key, record.value) for record in log] == [(None, b'{"id":1}'), (None, None), (b"k", b'{"id":3}')]
    assert log[2].headers == (("h", b"1"),)


async def test_a_record_of_another_topic_is_among_the_failures_of_a_handle(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        handle = producer.topic(topic, value_serializer=utf8)
        with pytest.raises(SendAllError) as caught:
            await handle.send_all(["0", ProducerRecord("another", "1"), "2", cast("str", object())])
    assert list(caught.value.failures) == [1, 3]
    assert isinstance(caught.value.failures[1], ValueError)
    assert f"a record of topic 'another' was given to the handle of topic {topic!r}" in str(caught.value.failures[1])
    assert isinstance(caught.value.failures[3], SerializationError)
    assert await cluster.values(topic) == [b"0", b"2"]


@pytest.mark.parametrize("wrong", [None, 5, "text", b"bytes", {"a": 1}, ProducerRecord("orders", b"v")])
async def test_what_is_no_source_of_records_is_refused_with_what_to_give(cluster: Cluster, wrong: Any) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        for send_all in (producer.send_all, producer.topic(topic).send_all):
            with pytest.raises(TypeError, match=f"from an iterable .* not {type(wrong).__name__}; give it a list"):
                await send_all(wrong)
        assert (await producer.send(topic, b"good")).offset == 0


async def test_an_async_generator_function_that_was_not_called_is_refused(cluster: Cluster) -> None:
    async def arriving() -> AsyncIterator[ProducerRecord]:
        yield ProducerRecord("orders", b"v")

    source: Any = arriving
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        with pytest.raises(TypeError, match=r"an async generator \(called, not awaited\)"):
            await producer.send_all(source)
