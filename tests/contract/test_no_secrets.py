"""No value, key or header of a record is in a line of the log, an error's text or a repr, whatever goes wrong.

Every test logs at DEBUG, tracebacks included, and sends records that are made of one word, which must not be found.
"""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

from aioproducer import (
    BufferFullError,
    Delivery,
    KafkaError,
    Producer,
    ProducerInterceptor,
    ProducerRecord,
    RecordMetadata,
    SendAllError,
    UndeliveredError,
)
from aioproducer.errors import ErrorCode
from tests.contract.support import Network, new_topic_name, plant_a_bug, settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aioproducer._types import Headers, TopicView
    from aioproducer.testing._cluster import EmbeddedCluster

WORD: Final = "".join(["SEN", "TINEL"])  # not as a literal: a traceback has lines of source
SECRET: Final = WORD.encode()
RECORD: Final[dict[str, Any]] = {"key": SECRET, "headers": {"h": SECRET}}
TOPIC: Final = "plain"

Scene = Callable[["EmbeddedCluster", list[object]], Awaitable[None]]
"""Something that goes wrong; what it comes upon and somebody may print goes into the list."""


class Words(Exception):
    """What application code raises: it quotes the record."""


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log, of everything."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def made(embedded: EmbeddedCluster, **settings: Any) -> Producer[Any, Any]:
    settings = {
        "max_block_ms": 1_000,
        "linger_ms": 0,
        "delivery_timeout_ms": 1000,
        "request_timeout_ms": 500,
    } | settings
    return Producer(bootstrap_servers=embedded.bootstrap_servers, **settings)


async def failure(call: Awaitable[object]) -> BaseException:
    """The error of the call, which must fail."""
    try:
        await call
    except (KafkaError, TypeError, ValueError) as error:
        return error
    pytest.fail("it did not fail")


async def wrong_types(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """Each argument of a type that it must not have, made of the word."""
    async with made(embedded) as producer:
        for wrong in (
            {"value": WORD},
            {"value": {"a": WORD}},
            {"value": b"v", "key": WORD},
            {"value": b"v", "headers": WORD},
            {"value": b"v", "headers": {"h": WORD}},
            {"value": b"v", "headers": [WORD]},
            {"value": b"v", "headers": [(WORD + "\ud800", b"1")]},
            {"value": b"v", "partition": WORD},
            {"value": b"v", "timestamp_ms": WORD},
            {"value": b"v", "on_delivery": WORD},
        ):
            arguments: dict[str, Any] = wrong
            seen.append(await failure(producer.send(TOPIC, **arguments)))


async def serializers_raise(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """A serializer that quotes what it got, and one that returns it."""

    def fails(value: object) -> bytes:
        raise Words(value)

    def returns_text(value: object) -> Any:
        return str(value)

    for serializer in (fails, returns_text):
        async with made(embedded, value_serializer=serializer) as producer:
            seen.append(await failure(producer.send(TOPIC, WORD, **RECORD)))
            seen.append(await failure(producer.send_all([ProducerRecord(TOPIC, WORD)])))


async def partitioners_raise(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """For a record that was accepted; watched, unwatched, and in flush."""

    def fails(view: TopicView, key: bytes | None, value: bytes | None, /) -> int:
        raise Words(key, value)

    async with made(embedded, partitioner=fails) as producer:
        watched = producer.submit_nowait(TOPIC, SECRET, **RECORD)
        seen += [watched, await failure(_wait(watched)), watched]
        producer.submit_nowait(new_topic_name(), SECRET, **RECORD)
        with pytest.raises(UndeliveredError) as caught:
            await producer.flush()
        seen.append(caught.value)


async def callbacks_raise(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """They let through what result() raised, whose cause quotes the record."""

    def fails(view: TopicView, key: bytes | None, value: bytes | None, /) -> int:
        raise Words(key, value)

    def look(delivery: Delivery) -> None:
        seen.append(delivery)
        delivery.result()

    def quote(error: object) -> None:
        raise Words(SECRET) from Words(SECRET)

    producer = Producer[Any, Any](
        bootstrap_servers=embedded.bootstrap_servers, partitioner=fails, on_error=quote, linger_ms=0
    )
    async with producer:
        delivery = producer.submit_nowait(TOPIC, SECRET, on_delivery=look, **RECORD)
        delivery.add_done_callback(quote)
        producer.submit_nowait(TOPIC, SECRET, **RECORD)
        with pytest.raises(UndeliveredError):
            await producer.flush()


class Quoting(ProducerInterceptor[Any, Any]):
    """Raises what it was given."""

    def on_send(self, record: ProducerRecord[Any, Any]) -> ProducerRecord[Any, Any]:
        raise Words(record.value, record.key)

    def on_acknowledgement(self, metadata: RecordMetadata, error: BaseException | None, headers: Headers) -> None:
        raise Words(headers)

    def close(self) -> None:
        raise Words(SECRET)


async def interceptors_raise(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """In all three of their methods."""
    async with made(embedded, interceptors=[Quoting()]) as producer:
        seen.append(await producer.send(TOPIC, SECRET, **RECORD))


async def no_room_and_too_large(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """Larger than may be, and more than there is room for."""
    small = {"max_request_size": 1000, "batch_size": 500, "buffer_memory": 2000}
    async with made(embedded, linger_ms=200, **small) as producer:
        seen.append(await failure(producer.send(TOPIC, SECRET * 1000, **RECORD)))
        await producer.partitions_for(TOPIC)
        with pytest.raises(BufferFullError) as caught:
            seen.extend(producer.submit_nowait(TOPIC, SECRET * 20, **RECORD) for _ in range(100))
        seen.append(caught.value)


async def topics_are_wrong(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """Unknown, not legal, without the partition."""
    async with made(embedded, allow_auto_create_topics=False) as producer:
        seen.append(await failure(producer.send("not legal", SECRET, **RECORD)))
        seen.append(await failure(producer.send(new_topic_name(), SECRET, **RECORD)))
        seen.append(await failure(producer.send(TOPIC, SECRET, partition=77, **RECORD)))


async def brokers_refuse(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """Errors that are final, that are tried again, and that have batches split."""
    async with made(embedded) as producer:
        await producer.send(TOPIC, SECRET, **RECORD)
        for code in (ErrorCode.INVALID_RECORD, ErrorCode.TOPIC_AUTHORIZATION_FAILED, ErrorCode.MESSAGE_TOO_LARGE):
            embedded.fail_next(code, topic=TOPIC)
            seen.append(await failure(producer.send(TOPIC, SECRET, **RECORD)))
        embedded.fail_next(ErrorCode.MESSAGE_TOO_LARGE, topic=TOPIC, times=3)
        with pytest.raises(SendAllError) as caught:
            await producer.send_all([ProducerRecord(TOPIC, SECRET, **RECORD)] * 3)
        seen += [caught.value, caught.value.results, caught.value.failures]


async def connections_break(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """While records are under way; then nobody answers any more."""
    async with made(embedded) as producer:
        await producer.send(TOPIC, SECRET, **RECORD)
        embedded.lose_response_once(topic=TOPIC)
        seen.append(await producer.send(TOPIC, SECRET, **RECORD))
        with embedded.black_hole():
            pending = await producer.submit(TOPIC, SECRET, **RECORD)
            seen += [pending, await failure(_wait(pending)), pending]


async def closing_drops(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """What is left when the producer is closed at once."""
    producer = made(embedded, linger_ms=60_000, delivery_timeout_ms=120_000)
    await producer.start()
    await producer.partitions_for(TOPIC)
    dropped = producer.submit_nowait(TOPIC, SECRET, **RECORD)
    await producer.close(timeout=0)
    seen += [dropped, await failure(_wait(dropped)), producer, producer.config, producer.status()]
    seen.append(await failure(producer.send(TOPIC, SECRET, **RECORD)))


async def a_bug(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """Of the producer, that quotes the record, in the background."""
    producer = Producer(bootstrap_servers=embedded.bootstrap_servers)
    await producer.start()
    await producer.partitions_for(TOPIC)
    with pytest.MonkeyPatch.context() as patch:
        plant_a_bug(patch, Words(SECRET))
        seen.append(await failure(producer.send(TOPIC, SECRET, **RECORD)))
    await producer.close()


async def a_stream_quotes(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """Somebody else's stream raises what no stream should, and quotes what it was to write."""
    network = Network()
    producer = made(embedded, connect=network.connect, delivery_timeout_ms=1500, request_timeout_ms=1000, linger_ms=0)
    await producer.start()
    await producer.partitions_for(TOPIC)
    network.bug = Words(SECRET)
    seen.append(await failure(producer.send(TOPIC, SECRET, **RECORD)))
    await producer.close(timeout=0)


async def transactions_abort(embedded: EmbeddedCluster, seen: list[object]) -> None:
    """Because a record of it failed."""
    async with made(embedded, transactional_id="t", delivery_timeout_ms=5000) as producer:

        async def work() -> None:
            async with producer.transaction() as transaction:
                seen.append(transaction)
                embedded.fail_next(ErrorCode.INVALID_RECORD, topic=TOPIC)
                seen.append(producer.submit_nowait(TOPIC, SECRET, **RECORD))

        seen.append(await failure(work()))


SCENES: Final[list[Scene]] = [
    wrong_types,
    serializers_raise,
    partitioners_raise,
    callbacks_raise,
    interceptors_raise,
    no_room_and_too_large,
    topics_are_wrong,
    brokers_refuse,
    connections_break,
    closing_drops,
    a_bug,
    a_stream_quotes,
    transactions_abort,
]


async def _wait(delivery: Delivery) -> RecordMetadata:
    return await delivery


def our_errors(error: BaseException | None) -> list[BaseException]:
    """The error and those of ours that caused it. Words of others are theirs, and only reach who asks for them."""
    found: list[BaseException] = []
    while error is not None:
        if isinstance(error, KafkaError | TypeError | ValueError):
            found.append(error)
        error = error.__cause__
    return found


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_no_record_is_quoted_when(embedded: EmbeddedCluster, log: pytest.LogCaptureFixture, scene: Scene) -> None:
    await embedded.create_topic(TOPIC)
    seen: list[object] = []
    with anyio.fail_after(20):
        await scene(embedded, seen)
        await settled()
    assert seen
    shown = [text for each in seen for text in (repr(each), str(each), f"{each}")]
    for each in seen:
        if isinstance(each, BaseException):
            for error in our_errors(each):
                shown += [str(error), repr(error), repr(error.__dict__)]
        if isinstance(each, KafkaError):
            shown += [repr(copy.copy(each)), repr(pickle.loads(pickle.dumps(each)))]
    assert not [text for text in shown if WORD in text]
    assert WORD not in log.text
    assert log.text, "nothing was logged: the test would find nothing"
