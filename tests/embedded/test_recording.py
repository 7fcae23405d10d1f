"""RecordingProducer behaves as a Producer does towards the code that sends, on every event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from aioproducer import (
    BufferFullError,
    Delivery,
    DeliveryTimeoutError,
    IllegalStateError,
    InvalidTopicError,
    ProducerClosedError,
    ProducerProtocol,
    ProducerRecord,
    SendAllError,
)
from aioproducer.testing import RecordingProducer
from tests.contract.support import murmur2_vectors, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def order_placed(producer: ProducerProtocol, order: bytes) -> int:
    """Code under test."""
    return (await producer.send("orders", b"placed", key=order, headers={"trace": b"1"})).offset


async def test_it_stands_in_for_a_producer_and_remembers_what_was_sent() -> None:
    producer = RecordingProducer()
    assert [await order_placed(producer, b"a"), await order_placed(producer, b"b")] == [0, 1]
    await producer.send("other", None, timestamp_ms=5)
    first, second = producer.sent("orders")
    assert (first.key, first.value, first.headers, first.partition) == (b"a", b"placed", (("trace", b"1"),), 0)
    assert second.key == b"b"
    assert [record.topic for record in producer.records] == ["orders", "orders", "other"]
    assert (producer.records[2].value, producer.records[2].timestamp_ms) == (None, 5)


async def test_keys_decide_the_partition_as_in_a_producer_and_offsets_count_by_partition() -> None:
    producer = RecordingProducer(partitions=12)
    vectors = murmur2_vectors(12)[:20]
    assert vectors
    places = [await producer.send("orders", b"v", key=key) for key, _ in vectors]
    assert [place.partition for place in places] == [partition for _, partition in vectors]
    of_first = [place.offset for place in places if place.partition == places[0].partition]
    assert of_first == list(range(len(of_first)))


async def test_automatic_completion_never_runs_callbacks_inside_the_call() -> None:
    producer, done = RecordingProducer(), list[Delivery]()
    delivery = producer.submit_nowait("orders", b"v", on_delivery=done.append)
    delivery.add_done_callback(done.append)
    assert done == []
    assert (await delivery).offset == 0
    await settled()
    assert done == [delivery, delivery]


async def test_manual_completion_leaves_the_outcome_to_the_test() -> None:
    producer = RecordingProducer(completion="manual")
    first, second = [await producer.submit("orders", b"v") for _ in range(2)]
    assert (first.done(), producer.pending_count) == (False, 2)
    waited: list[int] = []

    async def wait() -> None:
        waited.append((await first).offset)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await settled()
            assert waited == []
            producer.complete_next()
    assert waited == [0]
    producer.fail_next(DeliveryTimeoutError("too late"))
    with pytest.raises(DeliveryTimeoutError, match="too late"):
        await second
    with pytest.raises(IllegalStateError, match="no record waits"):
        producer.complete_next()


async def test_a_call_can_be_made_to_raise_and_its_record_is_not_accepted() -> None:
    producer = RecordingProducer()
    producer.refuse_next(BufferFullError("full"))
    with pytest.raises(BufferFullError):
        producer.submit_nowait("orders", b"v")
    assert producer.records == []
    assert (await producer.send("orders", b"v")).offset == 0


async def test_what_a_producer_refuses_it_refuses() -> None:
    producer = RecordingProducer(partitions=2)
    with pytest.raises(InvalidTopicError):
        await producer.send("not/legal", b"v")
    with pytest.raises(TypeError, match="value is str"):
        await producer.send("orders", "v")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="partition=2"):
        await producer.send("orders", b"v", partition=2)
    assert producer.records == []
    with pytest.raises(ValueError, match="at least one"):
        RecordingProducer(partitions=0)


async def test_send_all_keeps_the_order_and_tells_of_failures() -> None:
    async def source() -> AsyncIterator[ProducerRecord[bytes, bytes]]:
        for number in range(3):
            yield ProducerRecord("orders", b"%d" % number)

    producer = RecordingProducer()
    assert [place.offset for place in await producer.send_all(source())] == [0, 1, 2]
    producer.refuse_next(BufferFullError("full"))
    with pytest.raises(SendAllError) as caught:
        await producer.send_all([ProducerRecord("orders", b"3"), ProducerRecord("orders", b"4")])
    assert [None if each is None else each.offset for each in caught.value.results] == [None, 3]
    assert [(index, type(error)) for index, error in caught.value.failures.items()] == [(0, BufferFullError)]


async def test_flush_and_close_acknowledge_what_waits_and_closed_it_takes_nothing() -> None:
    producer = RecordingProducer(completion="manual")
    async with producer:
        flushed = producer.submit_nowait("orders", b"0")
        await producer.flush()
        assert flushed.done()
        closed = producer.submit_nowait("orders", b"1")
    assert closed.result().offset == 1
    with pytest.raises(ProducerClosedError):
        await producer.submit("orders", b"2")
    await producer.start()
    dropped = producer.submit_nowait("orders", b"3")
    await producer.close(timeout=0)
    assert isinstance(dropped.exception(), ProducerClosedError)
