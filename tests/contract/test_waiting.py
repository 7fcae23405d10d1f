"""Calls that have to wait: for a topic, or for room. Who is served when, and what a cancelled one leaves behind."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioproducer import Producer
from aioproducer.errors import (
    BufferFullError,
    BufferTimeoutError,
    InvalidTopicError,
    MetadataTimeoutError,
    ProducerClosedError,
)
from tests.contract.support import Cluster, Network, gather, new_topic_name, settled, until


@pytest.mark.real_subset
async def test_an_unknown_topic_fails_after_max_block_with_the_brokers_reason(cluster: Cluster) -> None:
    topic = new_topic_name()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, max_block_ms=500, allow_auto_create_topics=False
    ) as producer:
        started = time.monotonic()
        with pytest.raises(MetadataTimeoutError) as caught:
            await producer.send(topic, b"v")
        assert 0.4 < time.monotonic() - started < 2
    error = caught.value
    assert isinstance(error, TimeoutError)
    assert topic in str(error)
    assert error.topic == topic
    assert error.elapsed is not None
    assert 0.4 < error.elapsed < 2
    assert getattr(error.__cause__, "name", None) == "UNKNOWN_TOPIC_OR_PARTITION"
    assert error.retriable
    assert not error.possibly_written


async def test_an_unknown_topic_fails_submit_nowait_through_its_delivery(cluster: Cluster) -> None:
    topic = new_topic_name()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, max_block_ms=400, allow_auto_create_topics=False
    ) as producer:
        delivery = producer.submit_nowait(topic, b"v")
        assert not delivery.done()
        with anyio.fail_after(3), pytest.raises(MetadataTimeoutError, match=topic):
            await delivery
        assert isinstance(delivery.exception(), MetadataTimeoutError)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "ü", "x" * 250])
async def test_a_name_that_is_not_legal_is_refused_at_once(cluster: Cluster, name: str) -> None:
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        with anyio.fail_after(1):
            with pytest.raises(InvalidTopicError):
                await producer.send(name, b"v")
            with pytest.raises(InvalidTopicError):
                producer.submit_nowait(name, b"v")


async def test_a_topic_is_created_by_the_cluster_when_it_may_be(cluster: Cluster) -> None:
    topic = new_topic_name()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, max_block_ms=10_000) as producer:
        assert (await producer.send(topic, b"v")).offset == 0
    assert await cluster.values(topic) == [b"v"]


@pytest.mark.real_subset
async def test_a_topic_created_later_serves_those_that_wait_in_the_order_of_their_calls(cluster: Cluster) -> None:
    topic = new_topic_name()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, max_block_ms=20_000, allow_auto_create_topics=False
    ) as producer:

        async def create_later() -> None:
            await anyio.sleep(0.3)
            await cluster.create_topic(name=topic)

        async def nowait(value: bytes) -> None:
            producer.submit_nowait(topic, value)

        calls: list[Callable[[], Awaitable[Any]]] = [
            partial(producer.send, topic, b"0"),
            partial(nowait, b"1"),
            partial(producer.submit, topic, b"2"),
            partial(nowait, b"3"),
            partial(producer.send, topic, b"4"),
        ]
        await gather(*calls, create_later)
    assert await cluster.values(topic) == [b"0", b"1", b"2", b"3", b"4"]


async def test_those_who_wait_for_one_topic_do_not_hold_up_another(cluster: Cluster) -> None:
    known, unknown = await cluster.create_topic(), new_topic_name()
    async with (
        Producer(
            bootstrap_servers=cluster.bootstrap_servers, max_block_ms=5_000, allow_auto_create_topics=False
        ) as producer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(partial(producer.send, unknown, b"v"))
        await settled()
        with anyio.fail_after(2):
            await producer.send(known, b"v")
        tasks.cancel_scope.cancel()


def small(cluster: Cluster, network: Network, **settings: Any) -> Producer[bytes, bytes]:
    """A producer whose memory is soon full."""
    return Producer(
        bootstrap_servers=cluster.bootstrap_servers,
        connect=network.connect,
        buffer_memory=20_000,
        batch_size=2_000,
        **settings,
    )


async def _fill(producer: Producer[bytes, bytes], topic: str, network: Network) -> int:
    """Hold the network and fill buffer_memory; return how many records went in."""
    await producer.send(topic, b"first")
    network.hold()
    count = 0
    while True:
        try:
            producer.submit_nowait(topic, b"%04d" % count * 100)
        except BufferFullError:
            return count
        count += 1


async def test_submit_nowait_raises_when_there_is_no_room_and_works_again_later(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    async with small(cluster, network) as producer:
        count = await _fill(producer, topic, network)
        assert 30 < count < 45  # 400 bytes and what they are charged with
        with pytest.raises(BufferFullError, match="buffer_memory") as caught:
            producer.submit_nowait(topic, b"x" * 400)
        assert caught.value.retriable
        network.release()
        await producer.flush()
        producer.submit_nowait(topic, b"x" * 400)
    assert len(await cluster.read(topic)) == count + 2


@pytest.mark.real_subset
async def test_those_who_wait_for_room_are_served_first_come_first_served(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    async with small(cluster, network) as producer:
        count = await _fill(producer, topic, network)

        async def overtake() -> None:
            with pytest.raises(BufferFullError):  # it would fit, but others wait
                producer.submit_nowait(topic, b"")
            network.release()

        # Sizes differ: a small one must not slip past a large one.
        values = [b"w%02d" % number + b"x" * (7_000 if number % 5 == 0 else 5) for number in range(30)]
        with anyio.fail_after(20):
            await gather(*[partial(producer.submit, topic, value) for value in values], overtake)
    assert (await cluster.values(topic))[count + 1 :] == values


async def test_waiting_for_room_ends_after_max_block_naming_the_sizes(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    async with small(cluster, network, max_block_ms=1_000) as producer:
        count = await _fill(producer, topic, network)
        started = time.monotonic()
        with pytest.raises(BufferTimeoutError, match="20,000") as caught:
            await producer.send(topic, b"x" * 400)
        assert 0.8 < time.monotonic() - started < 3
        assert not caught.value.possibly_written
        network.release()
    assert len(await cluster.read(topic)) == count + 1


@pytest.mark.real_subset
async def test_a_cancelled_waiter_leaves_the_queue_and_the_next_is_served(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    async with small(cluster, network) as producer:
        count = await _fill(producer, topic, network)
        scope = anyio.CancelScope()

        async def be_cancelled() -> None:
            with scope:
                await producer.submit(topic, b"cancelled" * 1_500)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(be_cancelled)
                await settled(5)
                tasks.start_soon(partial(producer.submit, topic, b"served"))
                await settled(5)
                scope.cancel()
                await settled(5)
                network.release()
    assert (await cluster.values(topic))[count + 1 :] == [b"served"]


async def test_a_submit_cancelled_while_it_waits_was_never_accepted(cluster: Cluster) -> None:
    topic = new_topic_name()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, max_block_ms=20_000, allow_auto_create_topics=False
    ) as producer:
        for call in (producer.submit, producer.send):
            with anyio.move_on_after(0.2) as scope:
                await call(topic, b"cancelled")
            assert scope.cancelled_caught
        await cluster.create_topic(name=topic)
        assert (await producer.send(topic, b"v")).offset == 0
    assert await cluster.values(topic) == [b"v"]


async def test_cancelling_at_every_step_loses_no_room(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(
        bootstrap_servers=cluster.bootstrap_servers, buffer_memory=10_000, batch_size=1_000, linger_ms=0
    ) as producer:
        await producer.send(topic, b"first")
        for passes in range(40):
            async with anyio.create_task_group() as tasks:
                for _ in range(30):
                    tasks.start_soon(partial(producer.submit, topic, b"x" * 900))
                await settled(passes)
                tasks.cancel_scope.cancel()
        await producer.flush()
        # All of the room is there again: the largest record that ever fits does.
        with anyio.fail_after(2):
            await producer.send(topic, b"x" * 9_500)


async def test_a_timeout_around_send_does_not_take_an_accepted_record_back(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect) as producer:
        await producer.partitions_for(topic)
        network.hold()
        with anyio.move_on_after(0.1) as scope:
            await producer.send(topic, b"v")
        assert scope.cancelled_caught
        network.release()
    assert await cluster.values(topic) == [b"v"]


async def test_a_cancelled_submit_that_need_not_wait_accepts_nothing_when_it_yields(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    accepted = 0
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, batch_size=200) as producer:
        await producer.partitions_for(topic)
        with anyio.CancelScope() as scope:
            scope.cancel()
            while True:
                await producer.submit(topic, b"x" * 30)
                accepted += 1
    assert scope.cancelled_caught
    assert len(await cluster.read(topic)) == accepted
    assert accepted <= 20  # it yields once per batch that fills up, so it does not go on for ever


async def test_a_tight_loop_of_submit_lets_other_tasks_run(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    ticks = 0
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer, anyio.create_task_group() as tasks:

        async def tick() -> None:
            nonlocal ticks
            while True:
                await anyio.lowlevel.checkpoint()
                ticks += 1

        tasks.start_soon(tick)
        for _ in range(20_000):
            await producer.submit(topic, b"x" * 50)
        tasks.cancel_scope.cancel()
    assert ticks > 20


async def test_a_tight_loop_of_send_lets_other_tasks_run(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers, acks=0) as producer:
        await producer.send(topic, b"first")
        ran = anyio.Event()
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                ran.set()

            tasks.start_soon(run)
            await producer.send(topic, b"v")
            assert ran.is_set()


async def test_a_close_that_still_delivers_releases_those_who_wait_at_once(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    producer = Producer(
        bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, allow_auto_create_topics=False
    )
    await producer.start()
    await producer.partitions_for(topic)
    network.hold()
    accepted = await producer.submit(topic, b"v")
    released: list[ProducerClosedError] = []

    async def wait() -> None:
        with pytest.raises(ProducerClosedError) as caught:
            await producer.send(new_topic_name(), b"v")
        released.append(caught.value)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await settled()
            tasks.start_soon(producer.close)
            await until(lambda: len(released) == 1)
            assert not accepted.done()
            network.release()
    assert accepted.result().offset == 0


async def test_close_releases_those_who_wait(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    producer = small(cluster, network, allow_auto_create_topics=False)
    await producer.start()
    await _fill(producer, topic, network)
    errors: list[BaseException] = []

    async def wait(topic: str) -> None:
        try:
            await producer.submit(topic, b"x" * 400)
        except ProducerClosedError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(wait, topic)
            tasks.start_soon(wait, new_topic_name())
        await settled()
        with anyio.fail_after(2):
            await producer.close(timeout=0)
        await until(lambda: len(errors) == 6)
