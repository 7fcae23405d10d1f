"""The Delivery: awaited by many, asked, called back; and failures that nobody watches."""

from __future__ import annotations

import contextvars
import logging
from functools import partial
from typing import Any

import anyio
import pytest

from aioproducer import Delivery, Producer, RecordMetadata
from aioproducer.errors import IllegalStateError, MetadataTimeoutError, RecordTooLargeError, UndeliveredError
from tests.contract.support import Cluster, Network, new_topic_name, settled, until, wait_for_records


@pytest.mark.real_subset
async def test_a_delivery_may_be_awaited_twice_and_by_several_tasks(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    results: list[RecordMetadata] = []
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        delivery = await producer.submit(topic, b"v")

        async def wait() -> None:
            results.append(await delivery)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(wait)
        await wait()
        await wait()
    assert results == [delivery.result()] * 7


@pytest.mark.real_subset
async def test_cancelling_one_of_those_who_wait_changes_nothing_for_the_others(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    results: list[RecordMetadata] = []
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect) as producer:
        await producer.partitions_for(topic)
        network.hold()
        delivery = await producer.submit(topic, b"v")

        async def wait() -> None:
            results.append(await delivery)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            async with anyio.create_task_group() as doomed:
                doomed.start_soon(wait)
                doomed.start_soon(wait)
                await settled()
                doomed.cancel_scope.cancel()
            tasks.start_soon(wait)
            await settled()
            assert not delivery.done()
            network.release()
    assert results == [delivery.result()] * 2
    assert await cluster.values(topic) == [b"v"]


async def test_a_delivery_that_is_not_done_says_so(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect) as producer:
        await producer.partitions_for(topic)
        network.hold()
        delivery = await producer.submit(topic, b"secret value", key=b"secret key")
        assert not delivery.done()
        with pytest.raises(IllegalStateError, match="not done"):
            delivery.result()
        with pytest.raises(IllegalStateError, match="not done"):
            delivery.exception()
        assert "pending" in repr(delivery)
        assert "secret" not in repr(delivery)
        network.release()
        await delivery
        assert delivery.exception() is None
        assert "delivered" in repr(delivery)


async def test_callbacks_run_in_the_order_of_the_records_then_of_registration(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    order: list[str] = []

    def note(name: str, delivery: Delivery) -> None:
        order.append(name)

    async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=50) as producer:
        deliveries = [
            await producer.submit(topic, b"v", on_delivery=partial(note, f"{number}a")) for number in range(3)
        ]
        for number in (2, 0, 1):
            deliveries[number].add_done_callback(partial(note, f"{number}b"))
    assert order == ["0a", "0b", "1a", "1b", "2a", "2b"]


async def test_a_callback_added_to_a_done_delivery_is_called_but_not_inside_the_call(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    told: list[Delivery] = []
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        delivery = await producer.submit(topic, b"v")
        await delivery
        delivery.add_done_callback(told.append)
        assert told == []
        await until(lambda: told == [delivery])


async def test_a_callback_that_raises_is_logged_and_hurts_nobody(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    topic = await cluster.create_topic()
    told: list[Delivery] = []

    def fail(delivery: Delivery) -> None:
        raise ZeroDivisionError("mine")

    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        with caplog.at_level(logging.ERROR, "aioproducer"):
            delivery = await producer.submit(topic, b"secret value", on_delivery=fail)
            delivery.add_done_callback(told.append)
            assert (await delivery).offset == 0
        await producer.flush()
    assert told == [delivery]
    (line,) = [record for record in caplog.records if "callback" in record.message]
    assert line.exc_info is not None
    assert "secret" not in caplog.text


async def test_a_callback_sees_the_context_variables_of_the_call_that_added_it(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    variable = contextvars.ContextVar[str]("variable", default="unset")
    seen: list[str] = []

    def look(delivery: Delivery) -> None:
        seen.append(variable.get())
        variable.set("changed by a callback")

    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:

        async def send(name: str) -> None:
            variable.set(name)
            await producer.send(topic, b"v", on_delivery=look)
            assert variable.get() == name
            seen.append(f"{name} still")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, "a")
            tasks.start_soon(send, "b")
    assert sorted(seen) == ["a", "a still", "b", "b still"]


async def test_a_coroutine_function_is_refused_as_callback_before_anything_is_accepted(cluster: Cluster) -> None:
    topic = await cluster.create_topic()

    async def wrong(delivery: Delivery) -> None:
        raise AssertionError("never called")

    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        await producer.partitions_for(topic)
        with pytest.raises(TypeError, match="plain function"):
            await producer.send(topic, b"a", on_delivery=wrong)
        with pytest.raises(TypeError, match="plain function"):
            await producer.submit(topic, b"b", on_delivery=wrong)
        with pytest.raises(TypeError, match="plain function"):
            producer.submit_nowait(topic, b"c", on_delivery=wrong)
        not_callable: Any = 5
        with pytest.raises(TypeError, match="callable"):
            producer.submit_nowait(topic, b"d", on_delivery=not_callable)
        delivery = await producer.submit(topic, b"e")
        with pytest.raises(TypeError, match="plain function"):
            delivery.add_done_callback(wrong)
    assert await cluster.values(topic) == [b"e"]


async def test_a_callback_may_submit_more_records(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:

        def again(delivery: Delivery) -> None:
            if delivery.result().offset < 4:
                producer.submit_nowait(topic, b"again", on_delivery=again)

        await producer.submit(topic, b"first", on_delivery=again)
        await wait_for_records(cluster, topic, 5)
    assert len(await cluster.read(topic)) == 5


async def test_each_waiter_of_a_failed_delivery_gets_an_error_of_its_own(cluster: Cluster) -> None:
    topic = new_topic_name()
    errors: list[BaseException] = []
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, max_block_ms=300, allow_auto_create_topics=False
    ) as producer:
        delivery = producer.submit_nowait(topic, b"v")

        async def wait() -> None:
            try:
                await delivery
            except MetadataTimeoutError as error:
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            tasks.start_soon(wait)
        await wait()
    assert len(errors) == 3
    assert len({id(error) for error in errors}) == 3
    assert len({str(error) for error in errors}) == 1
    assert {type(error.__cause__) for error in errors} == {type(errors[0].__cause__)}


@pytest.mark.real_subset
async def test_failures_that_nobody_watches_are_logged_once_and_raised_by_flush_once(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    topic = await cluster.create_topic(config={"max.message.bytes": "5000"})
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        with caplog.at_level(logging.ERROR, "aioproducer"):
            for _ in range(3):
                producer.submit_nowait(topic, b"secret" * 1000)
            producer.submit_nowait(topic, b"small enough")
            with pytest.raises(UndeliveredError) as caught:
                await producer.flush()
            await producer.flush()
    assert caught.value.counts == {topic: 3}
    assert isinstance(caught.value.first, RecordTooLargeError)
    assert topic in str(caught.value)
    lines = [record for record in caplog.records if topic in record.getMessage()]
    assert len(lines) in (1, 2)  # the first at once; those within 30 s together, at the end
    assert "secret" not in caplog.text
    assert await cluster.values(topic) == [b"small enough"]


async def test_a_failure_that_is_watched_is_not_raised_by_flush(cluster: Cluster) -> None:
    topic = await cluster.create_topic(config={"max.message.bytes": "5000"})
    failed: list[Delivery] = []
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        producer.submit_nowait(topic, b"x" * 6000, on_delivery=failed.append)
        with pytest.raises(RecordTooLargeError):
            await producer.send(topic, b"x" * 6000)
        await producer.flush()
    assert isinstance(failed[0].exception(), RecordTooLargeError)


async def test_a_failure_whose_only_waiter_was_cancelled_is_not_watched(cluster: Cluster) -> None:
    topic = await cluster.create_topic(config={"max.message.bytes": "5000"})
    network = Network()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect) as producer:
        await producer.partitions_for(topic)
        network.hold()
        with anyio.move_on_after(0.05):
            await producer.send(topic, b"x" * 6000)
        network.release()
        with pytest.raises(UndeliveredError):
            await producer.flush()


async def test_a_done_delivery_keeps_no_value(cluster: Cluster) -> None:
    import gc

    topic = await cluster.create_topic()

    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        value = bytes(bytearray(b"payload" * 1000))
        delivery = await producer.submit(topic, value)
        await delivery
        await settled()
        gc.collect()
        holders: list[Any] = gc.get_referrers(value)
        assert {type(holder) for holder in holders}.isdisjoint({list, tuple})
    assert delivery.done()
