"""Mistakes of the caller: the call raises, says what is wrong and what to do, and no other record is hurt."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

from aioproducer import (
    ConfigurationError,
    IllegalStateError,
    InvalidTopicError,
    KafkaError,
    MetadataTimeoutError,
    Producer,
    ProducerClosedError,
    ProducerRecord,
    RecordMetadata,
    RecordTooLargeError,
    SendAllError,
    SerializationError,
)

if TYPE_CHECKING:
    from aioproducer.testing._cluster import EmbeddedCluster

TOPIC: Final = "orders"
MISSING: Final = object()

Case = tuple[dict[str, Any], type[Exception], str]
"""Arguments that differ from those of a good record, the error, and what its text has: what is wrong … what to do."""


async def _coroutine(delivery: object) -> None:
    raise AssertionError("never called")


class Disguised:
    """Says that it is bytes, as mocks and lazy proxies do."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        return bytes

    def __len__(self) -> int:
        return 1

    def __hash__(self) -> int:
        return 1


CASES: Final[dict[str, list[Case]]] = {
    "topic": [
        ({"topic": None}, TypeError, "topic is NoneType; it must be str"),
        ({"topic": 5}, TypeError, "topic is int; it must be str"),
        ({"topic": b"orders"}, TypeError, "topic is bytes; it must be str"),
        ({"topic": ""}, InvalidTopicError, "it is empty; use 1 to 249 of"),
        ({"topic": "."}, InvalidTopicError, "'.' is not legal: '.' and '..' are reserved; use"),
        ({"topic": "a/b"}, InvalidTopicError, "'a/b' is not legal: it has '/'; use"),
        ({"topic": "a b"}, InvalidTopicError, "it has ' '; use"),
        ({"topic": "é"}, InvalidTopicError, "it has 'é'; use"),
        ({"topic": "x" * 250}, InvalidTopicError, "it has 250 characters; use"),
    ],
    "value": [
        ({"value": MISSING}, TypeError, "value is missing; give value=None for a tombstone"),
        (
            {"value": "text"},
            TypeError,
            "value is str; without a value_serializer it must be bytes … encode it, or give",
        ),
        ({"value": 5}, TypeError, "value is int; without a value_serializer"),
        ({"value": 1.5}, TypeError, "value is float; without a value_serializer"),
        ({"value": {"id": 1}}, TypeError, "value is dict; without a value_serializer"),
        ({"value": [b"v"]}, TypeError, "value is list; without a value_serializer"),
        ({"value": Disguised()}, TypeError, "cannot convert 'Disguised'"),
        ({"value": Disguised(), "headers": [("name", b"h")]}, TypeError, "cannot convert 'Disguised'"),
    ],
    "key": [
        ({"key": "text"}, TypeError, "key is str; without a key_serializer it must be bytes … encode it, or give"),
        ({"key": 5}, TypeError, "key is int; without a key_serializer"),
        ({"key": (b"k",)}, TypeError, "key is tuple; without a key_serializer"),
        ({"key": Disguised()}, TypeError, "cannot convert 'Disguised'"),
    ],
    "headers": [
        (
            {"headers": "text"},
            TypeError,
            "headers is str; it must be a sequence of (name, … or a mapping",
        ),
        ({"headers": b"bytes"}, TypeError, "headers is bytes; it must be"),
        ({"headers": 5}, TypeError, "headers is int; it must be"),
        ({"headers": {("h", b"1")}}, TypeError, "headers is set; it must be"),
        ({"headers": [("h",)]}, TypeError, "a header is tuple; it must be a pair"),
        ({"headers": ["h"]}, TypeError, "a header is str; it must be a pair"),
        ({"headers": [(b"h", b"1")]}, TypeError, "a header's name is bytes; it must be str"),
        ({"headers": {"h": "text"}}, TypeError, "the value of header 'h' is str; it must be bytes-like or None"),
        ({"headers": {"h": 5}}, TypeError, "the value of header 'h' is int; it must be"),
        ({"headers": {"\ud800": b""}}, ValueError, "has no UTF-8 form … give names that are whole text"),
    ],
    "partition": [
        ({"partition": "0"}, TypeError, "partition is str; it must be int or None"),
        ({"partition": 0.0}, TypeError, "partition is float; it must be int or None"),
        ({"partition": True}, TypeError, "partition is bool; it must be int or None"),
        ({"partition": -1}, ValueError, "partition is -1; it must be from 0 to"),
        ({"partition": 2**31}, ValueError, "partition is 2147483648; it must be from 0 to"),
    ],
    "timestamp": [
        ({"timestamp_ms": 1.5}, TypeError, "timestamp_ms is float; it must be int or None"),
        ({"timestamp_ms": "now"}, TypeError, "timestamp_ms is str; it must be"),
        ({"timestamp_ms": datetime(2025, 1, 1, tzinfo=UTC)}, TypeError, "timestamp_ms is datetime; it must be"),
        ({"timestamp_ms": -1}, ValueError, "timestamp_ms is -1; it must be from 0 to"),
        ({"timestamp_ms": 2**63}, ValueError, "timestamp_ms is 9223372036854775808; it must be from 0 to"),
    ],
    "callback": [
        ({"on_delivery": 5}, TypeError, "callback"),
        ({"on_delivery": _coroutine}, TypeError, "must be a plain function, not a coroutine function"),
    ],
    "too large": [
        (
            {"value": b"x" * 2_000_000},
            RecordTooLargeError,
            "record of 2,000, … bytes exceeds max_request_size=1,048,576 (topic 'orders' … raise max_request_size here",
        ),
        ({"headers": {"h": b"x" * 2_000_000}}, RecordTooLargeError, "exceeds max_request_size=1,048,576"),
    ],
}


def said(error: BaseException, text: str) -> bool:
    """Whether the error's text has these pieces in this order; … stands for anything."""
    pattern = ".*".join(re.escape(piece.strip()) for piece in text.split("…"))
    return re.search(pattern, str(error), re.DOTALL) is not None


def check_travels(error: BaseException) -> None:
    """A KafkaError comes whole through pickle and copy."""
    if not isinstance(error, KafkaError):
        return
    for twin in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.__dict__ == error.__dict__


async def call(verb: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """Call it with a good record but for these."""
    given = {"topic": TOPIC, "value": b"v"} | arguments
    positional = [given.pop("topic")]
    if given["value"] is MISSING:
        del given["value"]
    result = verb(*positional, **given)
    if isinstance(result, Awaitable):
        await result


@pytest.mark.parametrize("part", CASES)
async def test_a_wrong_argument_is_refused_by_each_verb_and_the_next_record_is_delivered(
    embedded: EmbeddedCluster, part: str
) -> None:
    good = 0
    async with Producer(bootstrap_servers=embedded.bootstrap_servers, linger_ms=0) as producer:
        await producer.partitions_for(TOPIC)
        for arguments, error_class, text in CASES[part]:
            for verb in (producer.send, producer.submit, producer.submit_nowait):
                with anyio.fail_after(5), pytest.raises(error_class) as caught:
                    await call(verb, arguments)
                assert said(caught.value, text), (arguments, str(caught.value))
                check_travels(caught.value)
            with anyio.fail_after(5):
                assert (await producer.send(TOPIC, b"%d" % good)).offset == good
            good += 1
        assert producer.status().buffer_used == 0
    assert [record.value for record in embedded.records(TOPIC)] == [b"%d" % number for number in range(good)]


async def test_a_wrong_record_among_many_is_named_by_its_place(embedded: EmbeddedCluster) -> None:
    wrong: list[Any] = [ProducerRecord(TOPIC, b"0"), ProducerRecord(TOPIC, "text"), ProducerRecord(TOPIC, b"2"), b"no"]
    async with Producer(bootstrap_servers=embedded.bootstrap_servers) as producer:
        with anyio.fail_after(5), pytest.raises(SendAllError) as caught:
            await producer.send_all(wrong[:3])
        assert list(caught.value.failures) == [1]
        assert said(caught.value.failures[1], "value is str; without a value_serializer")
        with anyio.fail_after(5), pytest.raises((SendAllError, TypeError), match="ProducerRecord"):
            await producer.send_all(wrong[3:])
        assert (await producer.send(TOPIC, b"good")).has_offset
    assert [record.value for record in embedded.records(TOPIC)] == [b"0", b"2", b"good"]


async def test_what_only_says_it_is_bytes_is_refused_in_send_all_and_of_a_serializer(embedded: EmbeddedCluster) -> None:
    mixed: list[Any] = [ProducerRecord(TOPIC, b"0"), ProducerRecord(TOPIC, Disguised()), ProducerRecord(TOPIC, b"2")]
    async with Producer(bootstrap_servers=embedded.bootstrap_servers) as producer:
        await producer.partitions_for(TOPIC)
        with anyio.fail_after(5), pytest.raises(SendAllError) as caught:
            await producer.send_all(mixed)
        assert list(caught.value.failures) == [1]
    values: dict[str, Any] = {"good": b"3", "bad": Disguised()}
    other: Producer[Any, Any] = Producer(bootstrap_servers=embedded.bootstrap_servers, value_serializer=values.get)
    async with other:
        await other.partitions_for(TOPIC)
        with anyio.fail_after(5), pytest.raises(TypeError, match="cannot convert"):
            await other.send(TOPIC, "bad")
        with anyio.fail_after(5):
            await other.send(TOPIC, "good")
    assert [record.value for record in embedded.records(TOPIC)] == [b"0", b"2", b"3"]


async def test_a_record_and_arguments_together_are_refused(embedded: EmbeddedCluster) -> None:
    async with Producer(bootstrap_servers=embedded.bootstrap_servers) as producer:
        both: Any = producer.send
        with pytest.raises(TypeError, match="give a ProducerRecord alone"):
            await both(ProducerRecord(TOPIC, b"v"), b"v")
        with pytest.raises(TypeError, match="give a ProducerRecord alone"):
            await both(ProducerRecord(TOPIC, b"v"), key=b"k")
        assert (await producer.send(TOPIC, b"good")).offset == 0


async def test_a_partition_that_the_topic_lacks_is_told_with_both_numbers(embedded: EmbeddedCluster) -> None:
    async with Producer(bootstrap_servers=embedded.bootstrap_servers, max_block_ms=300) as producer:
        with anyio.fail_after(5), pytest.raises(MetadataTimeoutError) as caught:
            await producer.send(TOPIC, b"v", partition=7)
        for word in ("partition 7", TOPIC, "the topic has 1 partition, 0:"):
            assert word in str(caught.value)
        check_travels(caught.value)
        assert (await producer.send(TOPIC, b"good")).offset == 0


class Broken:
    """A serializer, a partitioner and a callback that fail for one record."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        if b"bad" in arguments:
            raise ZeroDivisionError("mine")
        return arguments[0] if len(arguments) == 1 else None


@pytest.mark.parametrize("part", ["key_serializer", "value_serializer"])
async def test_a_serializer_that_raises_fails_its_call_alone(embedded: EmbeddedCluster, part: str) -> None:
    settings: dict[str, Any] = {part: Broken()}
    async with Producer[Any, Any](bootstrap_servers=embedded.bootstrap_servers, **settings) as producer:
        for verb in (producer.send, producer.submit, producer.submit_nowait):
            with pytest.raises(SerializationError) as caught:
                await call(verb, {"value": b"bad", "key": b"bad"})
            assert said(
                caught.value, f"the {part.removesuffix('_serializer')} serializer raised ZeroDivisionError … see"
            )
            assert isinstance(caught.value.__cause__, ZeroDivisionError)
            check_travels(caught.value)
        assert (await producer.send(TOPIC, b"good", key=b"good")).offset == 0


async def test_a_partitioner_that_raises_fails_its_call_alone(embedded: EmbeddedCluster) -> None:
    async with Producer(bootstrap_servers=embedded.bootstrap_servers, partitioner=Broken()) as producer:
        await producer.partitions_for(TOPIC)
        for verb in (producer.send, producer.submit, producer.submit_nowait):
            with pytest.raises(ZeroDivisionError, match="mine"):
                await call(verb, {"value": b"bad"})
        assert (await producer.send(TOPIC, b"good")).offset == 0


@pytest.mark.parametrize("answer", ["0", 0.0, True, b"0"])
async def test_a_partitioner_that_returns_no_int_fails_its_call_alone(embedded: EmbeddedCluster, answer: Any) -> None:
    def partitioner(view: object, key: bytes | None, value: bytes | None, /) -> int | None:
        return answer if value == b"bad" else None

    async with Producer(bootstrap_servers=embedded.bootstrap_servers, partitioner=partitioner) as producer:
        await producer.partitions_for(TOPIC)
        with pytest.raises(
            TypeError, match=f"the partitioner returned {type(answer).__name__} for topic 'orders'; it must"
        ):
            await producer.send(TOPIC, b"bad")
        assert (await producer.send(TOPIC, b"good")).offset == 0


CALLS: Final[dict[str, Callable[[Producer], Any]]] = {
    "send": lambda producer: producer.send(TOPIC, b"v"),
    "submit": lambda producer: producer.submit(TOPIC, b"v"),
    "submit_nowait": lambda producer: producer.submit_nowait(TOPIC, b"v"),
    "send_all": lambda producer: producer.send_all([ProducerRecord(TOPIC, b"v")]),
    "flush": lambda producer: producer.flush(),
    "partitions_for": lambda producer: producer.partitions_for(TOPIC),
    "begin_transaction": lambda producer: producer.begin_transaction(),
    "handle": lambda producer: producer.topic(TOPIC).submit_nowait(b"v"),
    "thread_entry": lambda producer: producer.thread_entry(),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_out_of_time_or_place_says_what_to_do(embedded: EmbeddedCluster, name: str) -> None:
    async def refused(kind: type[KafkaError], text: str) -> None:
        with pytest.raises(kind) as caught:
            result = CALLS[name](producer)
            if isinstance(result, Awaitable):
                await result
        assert said(caught.value, text), str(caught.value)
        check_travels(caught.value)

    producer = Producer(bootstrap_servers=embedded.bootstrap_servers, transactional_id=f"bad-{name}")
    await refused(IllegalStateError, "it was not started: use `async with`, or await start()")
    async with producer:
        elsewhere = partial(
            refused, IllegalStateError, "another event loop, thread or process … after fork, make a new"
        )
        for backend in ("asyncio", "trio"):
            await anyio.to_thread.run_sync(partial(anyio.run, elsewhere, backend=backend))
        async with producer.transaction():
            assert (await producer.send(TOPIC, b"good")).offset == 0
    await refused(ProducerClosedError, "it is closed; start() makes it usable again")


def test_wrong_settings_are_told_all_at_once_with_what_to_do() -> None:
    wrong = {
        "bootstrap.servers": "localhost",
        "linger.mss": "5",
        "acks": "2",
        "batch.size": "-1",
        "enable.idempotence": "true",
        "retries": "0",
        "buffer.memory": "1000",
        "security.protocol": "PLAINTEXT",
        "ssl.key.password": "SECRET",
        "enable.metrics.push": "true",
        "metric.reporters": "x",
        "group.id": "g",
    }
    with pytest.raises(ConfigurationError) as caught:
        Producer.from_config(wrong)
    text = str(caught.value)
    for words in (
        "linger.mss is not a setting; did you mean linger_ms?",
        "acks is '2'; it must be",
        "batch_size is -1; it must be from 0",
        "security_protocol is PLAINTEXT, which is without TLS, but ssl_key_password is given; did you mean SSL?",
        "pushing metrics (KIP-714) is not built yet",
        "read producer.statistics()",
        "group.id is a setting of consumers",
    ):
        assert words in text, text
    assert "SECRET" not in text
    assert len(caught.value.problems) == 8
    check_travels(caught.value)


def test_contradictions_are_told_all_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Producer(
            bootstrap_servers="localhost:9092",
            enable_idempotence=True,
            acks=1,
            max_in_flight_requests_per_connection=6,
            delivery_timeout_ms=10,
            buffer_memory=1000,
        )
    assert len(caught.value.problems) == 4, caught.value.problems


async def test_metadata_of_a_record_comes_whole_through_pickle_and_copy(embedded: EmbeddedCluster) -> None:
    async with Producer(bootstrap_servers=embedded.bootstrap_servers) as producer:
        metadata = await producer.send(TOPIC, b"v")
    for twin in (copy.copy(metadata), copy.deepcopy(metadata), pickle.loads(pickle.dumps(metadata))):
        assert isinstance(twin, RecordMetadata)
        assert (twin, twin.has_offset) == (metadata, True)
