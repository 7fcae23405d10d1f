"""Serializers and interceptors: what they see, and what becomes of what they raise."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aioproducer import Producer, ProducerInterceptor, ProducerRecord, RecordMetadata
from aioproducer.errors import MetadataTimeoutError, RecordTooLargeError, SerializationError
from aioproducer.serializers import json_serializer, utf8
from tests.contract.support import Cluster, new_topic_name

if TYPE_CHECKING:
    from aioproducer._types import Headers


@pytest.mark.real_subset
async def test_serializers_make_the_bytes_and_never_see_none(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer[str, Any](
        bootstrap_servers=cluster.bootstrap_servers, key_serializer=utf8, value_serializer=json_serializer()
    ) as producer:
        await producer.send(topic, {"n": 1}, key="é")
        await producer.send(topic, None, key="gone")
        await producer.send(topic, [1, 2])
    assert [(record.key, record.value) for record in await cluster.read(topic)] == [
        ("é".encode(), b'{"n":1}'),
        (b"gone", None),
        (None, b"[1,2]"),
    ]


async def test_a_serializer_object_sees_topic_and_headers(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    seen: list[tuple[str, int, Headers]] = []

    class Plus:
        def serialize(self, topic: str, value: int, headers: Headers) -> bytes | None:
            seen.append((topic, value, headers))
            return b"%d" % value if value else None

    async with Producer[bytes, int](bootstrap_servers=cluster.bootstrap_servers, value_serializer=Plus()) as producer:
        await producer.send(topic, 5, headers={"h": b"1"})
        await producer.send(topic, 0)
    assert seen == [(topic, 5, (("h", b"1"),)), (topic, 0, ())]
    assert await cluster.values(topic) == [b"5", None]


@pytest.mark.parametrize("part", ["key", "value"])
async def test_what_a_serializer_raises_comes_out_of_the_call_and_hurts_no_other(cluster: Cluster, part: str) -> None:
    topic = await cluster.create_topic()

    def serialize(value: bytes) -> bytes:
        if value == b"bad secret":
            raise ZeroDivisionError("mine: bad secret")
        return value

    settings: Any = {f"{part}_serializer": serialize}
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, **settings) as producer:
        wrong: Any = {"key": b"k", "value": b"v"} | {part: b"bad secret"}
        for _ in range(2):
            with pytest.raises(SerializationError, match=part) as caught:
                producer.submit_nowait(topic, wrong["value"], key=wrong["key"])
            assert isinstance(caught.value.__cause__, ZeroDivisionError)
            assert (caught.value.topic, caught.value.part) == (topic, part)
            assert "secret" not in str(caught.value)
        await producer.send(topic, b"v", key=b"k")
    assert len(await cluster.read(topic)) == 1


async def test_serializers_are_called_once_for_each_record_whichever_way_it_takes(cluster: Cluster) -> None:
    topic = await cluster.create_topic(partitions=1)
    seen: list[int] = []

    class Plain:
        def serialize(self, topic: str, value: int, headers: Headers) -> bytes:
            return b"key %d" % value

    def note(value: int) -> Any:
        seen.append(value)
        return None if value % 50 == 7 else bytearray(b"%d" % value) if value % 50 == 8 else b"%d" % value

    async with Producer[int, int](
        bootstrap_servers=cluster.bootstrap_servers, key_serializer=Plain(), value_serializer=note, batch_size=1_000
    ) as producer:
        for number in range(300):
            await producer.submit(topic, number, key=None if number % 3 else number)
        await producer.send_all(ProducerRecord[int, int](topic, number) for number in range(300, 600))
    assert seen == list(range(600))
    assert [(record.key, record.value) for record in await cluster.read(topic)] == [
        (
            b"key %d" % number if number < 300 and not number % 3 else None,
            None if number % 50 == 7 else b"%d" % number,
        )
        for number in range(600)
    ]


async def test_a_serializer_that_returns_no_bytes_is_refused(cluster: Cluster) -> None:
    def text(value: bytes) -> Any:
        return value.decode()

    async with Producer(bootstrap_servers=cluster.bootstrap_servers, value_serializer=text) as producer:
        with pytest.raises(SerializationError, match="returned str"):
            await producer.send("topic", b"v")


class Recorder(ProducerInterceptor[Any, Any]):
    """Notes what it sees."""

    def __init__(self) -> None:
        self.sent: list[ProducerRecord[Any, Any]] = []
        self.outcomes: list[tuple[RecordMetadata | None, BaseException | None]] = []
        self.closed = 0

    def on_send(self, record: ProducerRecord[Any, Any]) -> ProducerRecord[Any, Any]:
        self.sent.append(record)
        return record

    def on_acknowledgement(self, metadata: RecordMetadata, error: BaseException | None, headers: Headers) -> None:
        self.outcomes.append((metadata, error))

    def close(self) -> None:
        self.closed += 1


@pytest.mark.real_subset
async def test_interceptors_may_change_records_and_learn_every_outcome(cluster: Cluster) -> None:
    topic = await cluster.create_topic()

    class AddTrace(ProducerInterceptor[Any, Any]):
        def on_send(self, record: ProducerRecord[Any, Any]) -> ProducerRecord[Any, Any]:
            return replace(record, headers=[("trace", b"1")], value=(record.value or b"") + b"!")

    recorder = Recorder()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, interceptors=[AddTrace(), recorder]) as producer:
        metadata = await producer.send(topic, b"v")
        assert recorder.outcomes == [(metadata, None)]  # before the waiter
        for _ in range(3):
            producer.submit_nowait(topic, b"w")
    assert [(record.value, record.headers) for record in await cluster.read(topic)] == [
        (value, (("trace", b"1"),)) for value in (b"v!", b"w!", b"w!", b"w!")
    ]
    assert [each.offset for each, _ in recorder.outcomes if each] == [0, 1, 2, 3]
    assert len(recorder.sent) == 4
    assert recorder.closed == 1


async def test_interceptors_learn_of_the_failures_of_calls_and_deliveries_once_each(cluster: Cluster) -> None:
    topic = await cluster.create_topic(config={"max.message.bytes": "5000"})
    recorder = Recorder()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers,
        interceptors=[recorder],
        max_request_size=50_000,
        max_block_ms=300,
        allow_auto_create_topics=False,
    ) as producer:
        with pytest.raises(RecordTooLargeError):
            await producer.send(topic, b"x" * 6_000)  # says the broker
        with pytest.raises(RecordTooLargeError):
            await producer.send(topic, b"x" * 60_000)  # says the producer
        with pytest.raises(MetadataTimeoutError):
            await producer.send(new_topic_name(), b"v")
        with pytest.raises(TypeError):
            wrong: Any = "text"
            await producer.send(topic, wrong)
    # As with the Java producer, metadata says as much as is known: topic and partition.
    assert [metadata.has_offset for metadata, _ in recorder.outcomes if metadata] == [False] * 4
    assert [metadata.topic == topic for metadata, _ in recorder.outcomes if metadata] == [True, True, False, True]
    assert [type(error) for _, error in recorder.outcomes] == [
        RecordTooLargeError,
        RecordTooLargeError,
        MetadataTimeoutError,
        TypeError,
    ]


async def test_interceptors_learn_that_a_waiting_call_was_cancelled(cluster: Cluster) -> None:
    recorder = Recorder()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, interceptors=[recorder], allow_auto_create_topics=False
    ) as producer:
        topic = new_topic_name()
        with anyio.move_on_after(0.1):
            await producer.send(topic, b"v")
        ((metadata, error),) = recorder.outcomes
        assert metadata == RecordMetadata(topic, -1, -1, -1)
        assert isinstance(error, anyio.get_cancelled_exc_class())


async def test_an_interceptor_that_raises_is_logged_and_the_record_goes_on(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    topic = await cluster.create_topic()

    class Fails(ProducerInterceptor[Any, Any]):
        def on_send(self, record: ProducerRecord[Any, Any]) -> ProducerRecord[Any, Any]:
            raise ZeroDivisionError("on_send")

        def on_acknowledgement(self, metadata: RecordMetadata, error: BaseException | None, headers: Headers) -> None:
            raise ZeroDivisionError("on_acknowledgement")

        def close(self) -> None:
            raise ZeroDivisionError("close")

    recorder = Recorder()
    with caplog.at_level(logging.WARNING, "aioproducer"):
        async with Producer(bootstrap_servers=cluster.bootstrap_servers, interceptors=[Fails(), recorder]) as producer:
            assert (await producer.send(topic, b"v")).offset == 0
    assert len(recorder.outcomes) == 1
    assert recorder.closed == 1
    assert await cluster.values(topic) == [b"v"]
    assert sum("on_send" in record.getMessage() for record in caplog.records) == 1
    assert sum("on_acknowledgement" in record.getMessage() for record in caplog.records) == 1


async def test_an_interceptor_that_returns_no_record_is_a_mistake_of_the_call(cluster: Cluster) -> None:
    class Wrong(ProducerInterceptor[Any, Any]):
        def on_send(self, record: ProducerRecord[Any, Any]) -> ProducerRecord[Any, Any]:
            return None  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    async with Producer(bootstrap_servers=cluster.bootstrap_servers, interceptors=[Wrong()]) as producer:
        with pytest.raises(TypeError, match="must return a ProducerRecord"):
            await producer.send("topic", b"v")
