"""Start, close, start again; calls at the wrong time or in the wrong place; and that nothing is left behind."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from aioproducer import Delivery, Producer
from aioproducer.errors import BootstrapError, IllegalStateError, ProducerClosedError
from tests.contract.support import (
    Cluster,
    Network,
    closed_port,
    open_descriptors,
    producer_tasks,
    settled,
    until,
)

if TYPE_CHECKING:
    from anyio.abc import ByteStream

    from aioproducer.testing import EmbeddedCluster


@pytest.mark.real_subset
async def test_start_and_close_may_be_called_from_different_tasks(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers)
    for step in (producer.start, partial(producer.send, topic, b"v"), producer.close):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(step)
    assert await cluster.values(topic) == [b"v"]
    assert producer_tasks() == []


def test_the_constructor_needs_no_event_loop() -> None:
    assert Producer(bootstrap_servers="localhost:9092").config.linger_ms == 5


async def test_a_producer_starts_by_the_canonical_names_of_its_servers(embedded: EmbeddedCluster) -> None:
    asked: list[str] = []
    port = int(embedded.bootstrap_servers[0].rpartition(":")[2])

    async def connect(host: str, port: int) -> ByteStream:
        asked.append(host)
        return await anyio.connect_tcp("127.0.0.1", port)

    producer = Producer(
        bootstrap_servers=f"127.0.0.1:{port}",
        client_dns_lookup="resolve_canonical_bootstrap_servers_only",
        connect=connect,
    )
    async with producer:
        await producer.send("t", b"v")
    assert asked[0] == socket.getnameinfo(("127.0.0.1", port), 0)[0]
    assert producer.config.bootstrap_servers == (("127.0.0.1", port),)


@pytest.mark.real_subset
async def test_close_delivers_what_was_accepted(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000)
    await producer.start()
    deliveries = [producer.submit_nowait(topic, b"%d" % number) for number in range(500)]
    with anyio.fail_after(10):
        await producer.close()
    assert [delivery.result().offset for delivery in deliveries] == list(range(500))
    assert len(await cluster.read(topic)) == 500


@pytest.mark.real_subset
async def test_close_with_timeout_zero_drops_everything_at_once(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    topic = await cluster.create_topic()
    network = Network()
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, linger_ms=60_000)
    await producer.start()
    await producer.partitions_for(topic)
    unwatched = [producer.submit_nowait(topic, b"v") for _ in range(10)]
    watched = await producer.submit(topic, b"v", on_delivery=lambda _: None)
    with anyio.fail_after(1):
        await producer.close(timeout=0)
    for delivery in [*unwatched, watched]:
        error = delivery.exception()
        assert isinstance(error, ProducerClosedError)
        assert not error.possibly_written
    assert [record for record in caplog.records if record.levelname == "ERROR" and topic in record.getMessage()]
    assert network.open_count == 0
    assert await cluster.values(topic) == []


async def on_hold(cluster: Cluster, **settings: Any) -> tuple[str, Network, Producer[bytes, bytes], Delivery]:
    """A producer whose brokers do not answer any more, and the record that it has to deliver."""
    topic = await cluster.create_topic()
    network = Network()
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, **settings)
    await producer.start()
    await producer.partitions_for(topic)
    network.hold()
    return topic, network, producer, await producer.submit(topic, b"v")


async def test_close_gives_up_after_its_timeout_when_no_answer_comes(cluster: Cluster) -> None:
    _, network, producer, delivery = await on_hold(cluster, linger_ms=0)
    await settled()
    started = time.monotonic()
    await producer.close(timeout=0.3)
    assert 0.25 < time.monotonic() - started < 1.5
    error = delivery.exception()
    assert isinstance(error, ProducerClosedError)
    assert error.possibly_written  # it was handed to the socket
    network.release()
    assert (network.open_count, producer_tasks()) == (0, [])


@pytest.mark.real_subset
async def test_close_may_be_called_again_and_by_several_tasks_at_once(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers)
    await producer.start()
    delivery = await producer.submit(topic, b"v")
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(producer.close)
        await producer.close()
        await producer.close(timeout=0)
    assert delivery.result().offset == 0


async def test_a_second_close_with_a_timeout_cuts_a_first_one_short(cluster: Cluster) -> None:
    _, _, producer, delivery = await on_hold(cluster)
    with anyio.fail_after(3):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(producer.close)
            await anyio.sleep(0.1)
            tasks.start_soon(producer.close, 0)
    assert isinstance(delivery.exception(), ProducerClosedError)


@pytest.mark.real_subset
async def test_a_cancelled_close_goes_on_and_can_be_waited_for_again(cluster: Cluster) -> None:
    topic, network, producer, delivery = await on_hold(cluster)
    with anyio.move_on_after(0.1) as scope:
        await producer.close()
    assert scope.cancelled_caught
    with pytest.raises(ProducerClosedError):
        producer.submit_nowait(topic, b"too late")
    network.release()
    with anyio.fail_after(5):
        await producer.close()
    assert delivery.result().offset == 0


async def test_a_negative_timeout_is_refused(cluster: Cluster) -> None:
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        with pytest.raises(ValueError, match="at least 0"):
            await producer.close(timeout=-1)
        with pytest.raises(ValueError, match="at least 0"):
            await producer.flush(timeout=-1)


async def test_a_timeout_that_is_no_number_is_refused(cluster: Cluster) -> None:
    text: Any = "5"
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        for call in (producer.close, producer.flush, partial(producer.wait_for_buffer, 1)):
            with pytest.raises(TypeError, match="timeout is str; it must be a number of seconds"):
                await call(timeout=text)


async def test_a_producer_that_is_let_go_without_close_warns(cluster: Cluster) -> None:
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers, client_id="forgotten")
    await producer.start()
    assert repr(producer) == "<Producer forgotten running>"
    with pytest.warns(ResourceWarning, match="<Producer forgotten running> was not closed"):
        producer.__del__()
    await producer.close()
    assert repr(producer) == "<Producer forgotten closed>"


@pytest.mark.real_subset
async def test_an_exception_of_the_body_goes_through_unchanged(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    mine = ZeroDivisionError("mine")
    with pytest.raises(ZeroDivisionError) as caught:
        async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000) as producer:
            await producer.submit(topic, b"accepted before")
            raise mine
    assert caught.value is mine
    assert (mine.__cause__, mine.__context__, getattr(mine, "__notes__", [])) == (None, None, [])
    assert await cluster.values(topic) == [b"accepted before"]


async def test_after_an_exception_of_the_body_nothing_is_waited_for_longer_than_close_timeout(
    cluster: Cluster,
) -> None:
    topic = await cluster.create_topic()
    network = Network()
    started = 0.0
    with pytest.raises(ZeroDivisionError):
        async with Producer(
            bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, close_timeout_ms=300
        ) as producer:
            await producer.partitions_for(topic)
            network.hold()
            await producer.submit(topic, b"v")
            started = time.monotonic()
            raise ZeroDivisionError
    assert 0.25 < time.monotonic() - started < 1.5


@pytest.mark.real_subset
async def test_a_cancelled_body_delivers_what_was_accepted_and_is_cancelled(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    with anyio.move_on_after(0.3) as scope:
        async with Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000) as producer:
            await producer.submit(topic, b"v")
            await anyio.sleep(30)
    assert scope.cancelled_caught
    assert producer_tasks() == []
    assert await cluster.values(topic) == [b"v"]


async def test_cancelling_the_end_of_the_block_is_bounded_and_leaves_nothing(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    with anyio.move_on_after(0.2) as scope:
        async with Producer(
            bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, close_timeout_ms=300
        ) as producer:
            await producer.partitions_for(topic)
            network.hold()
            await producer.submit(topic, b"v")
    assert scope.cancelled_caught
    assert (network.open_count, producer_tasks()) == (0, [])


async def test_calls_before_start_and_after_close_are_refused(cluster: Cluster) -> None:
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers)
    for when in ("before", "after"):
        kind = IllegalStateError if when == "before" else ProducerClosedError
        with pytest.raises(kind):
            await producer.send("topic", b"v")
        with pytest.raises(kind):
            await producer.submit("topic", b"v")
        with pytest.raises(kind):
            producer.submit_nowait("topic", b"v")
        with pytest.raises(kind):
            await producer.flush()
        with pytest.raises(kind):
            await producer.partitions_for("topic")
        if when == "before":
            await producer.start()
            await producer.close()


async def test_a_producer_that_was_never_started_can_be_closed(cluster: Cluster) -> None:
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers)
    await producer.close()
    async with producer:
        pass


async def test_entering_twice_is_refused_and_hurts_nothing(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        with pytest.raises(IllegalStateError):
            async with producer:
                pass
        with pytest.raises(IllegalStateError):
            await producer.start()
        await producer.send(topic, b"v")


@pytest.mark.real_subset
async def test_a_closed_producer_can_be_started_again_with_a_new_producer_id(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers)
    for value in (b"0", b"1", b"2"):
        async with producer:
            await producer.send(topic, value)
    log = await cluster.read(topic)
    assert [record.value for record in log] == [b"0", b"1", b"2"]
    assert len({record.producer_id for record in log}) == 3
    assert -1 not in {record.producer_id for record in log}


async def test_another_thread_is_refused(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        await producer.send(topic, b"v")

        def other_thread() -> None:
            with pytest.raises(IllegalStateError, match="another event loop, thread or process"):
                producer.submit_nowait(topic, b"v")

        await anyio.to_thread.run_sync(other_thread)
    assert len(await cluster.read(topic)) == 1


async def test_another_loop_is_refused_whatever_the_call(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        delivery = await producer.submit(topic, b"v")

        async def use() -> int:
            refused = 0
            for call in (
                partial(producer.send, topic, b"v"),
                partial(producer.submit, topic, b"v"),
                producer.flush,
                partial(producer.partitions_for, topic),
                producer.close,
                producer.start,
            ):
                with pytest.raises(IllegalStateError):
                    await call()
                refused += 1
            return refused

        for backend in ("asyncio", "trio"):
            assert await anyio.to_thread.run_sync(partial(anyio.run, use, backend=backend)) == 6
        await delivery
    assert len(await cluster.read(topic)) == 1


async def test_a_forked_child_is_refused_and_the_parent_goes_on(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        await producer.send(topic, b"before")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks in threaded processes
            child = os.fork()
        if child == 0:
            status = 1
            try:
                producer.submit_nowait(topic, b"by the child")
                status = 2
            except IllegalStateError:
                status = 0
            finally:
                os._exit(status)
        _, status = await anyio.to_thread.run_sync(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        await producer.send(topic, b"after")
    assert await cluster.values(topic) == [b"before", b"after"]


@pytest.mark.real_subset
async def test_no_broker_ends_the_start_within_max_block_naming_each_address(cluster: Cluster) -> None:
    async with closed_port() as port:
        producer = Producer(bootstrap_servers=f"127.0.0.1:{port}", max_block_ms=400)
        started = time.monotonic()
        with pytest.raises(BootstrapError) as caught:
            async with producer:
                raise AssertionError("not reached")
        assert 0.3 < time.monotonic() - started < 1.5
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "refused" in str(caught.value).lower()
    assert list(caught.value.failures) == [("127.0.0.1", port)]
    assert producer_tasks() == []
    with pytest.raises(IllegalStateError):
        producer.submit_nowait("topic", b"v")


async def test_one_broker_of_the_list_is_enough(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    servers = cluster.bootstrap_servers
    known = servers.split(",") if isinstance(servers, str) else servers
    async with (
        closed_port() as port,
        Producer(bootstrap_servers=[f"127.0.0.1:{port}", *known], max_block_ms=10_000) as producer,
    ):
        assert (await producer.send(topic, b"v")).offset == 0


@pytest.mark.real_subset
async def test_a_cancelled_start_leaves_nothing_open(cluster: Cluster) -> None:
    network = Network()
    network.hold()
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect)
    with anyio.move_on_after(0.2) as scope:
        await producer.start()
    assert scope.cancelled_caught
    assert (network.open_count, producer_tasks()) == (0, [])
    network.release()
    async with producer:  # and it can be tried again
        pass


async def test_a_port_that_speaks_something_else_is_named_as_such(cluster: Cluster) -> None:
    async def speak(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, speak)
        with pytest.raises(BootstrapError, match=f"127.0.0.1:{port}"):
            await Producer(bootstrap_servers=f"127.0.0.1:{port}", max_block_ms=400).start()
        tasks.cancel_scope.cancel()


async def test_a_port_that_stays_silent_is_named_although_no_attempt_has_ended(cluster: Cluster) -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener:
        with pytest.raises(BootstrapError, match=f"127.0.0.1:{port}: no attempt to connect has ended yet"):
            await Producer(bootstrap_servers=f"127.0.0.1:{port}", max_block_ms=100).start()


@pytest.mark.real_subset
async def test_sockets_tasks_and_descriptors_are_gone_after_close(cluster: Cluster) -> None:
    topic = await cluster.create_topic()

    async def cycle() -> None:
        async with Producer(bootstrap_servers=cluster.bootstrap_servers, compression_type="zstd") as producer:
            await producer.send(topic, b"x" * 100_000)

    await cycle()  # what is made once for the process: resolver, worker threads
    gc.collect()
    threads, descriptors = threading.active_count(), open_descriptors()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for _ in range(5):
            await cycle()
        gc.collect()
    await until(lambda: open_descriptors() <= descriptors)
    assert producer_tasks() == []
    assert threading.active_count() <= threads + 1


@pytest.mark.filterwarnings("ignore:.*__del__.*:pytest.PytestUnraisableExceptionWarning")
async def test_a_loop_that_ends_without_close_says_what_was_lost(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, anyio_backend_name: str
) -> None:
    topic = await cluster.create_topic()
    network = Network()

    async def forget_to_close() -> None:
        producer = Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect, linger_ms=60_000)
        await producer.start()
        await producer.partitions_for(topic)
        for _ in range(7):
            producer.submit_nowait(topic, b"secret")

    await anyio.to_thread.run_sync(partial(anyio.run, forget_to_close, backend=anyio_backend_name))
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert any("7 records" in line and topic in line for line in told), told
    assert "secret" not in caplog.text


async def test_threads_take_no_part_in_delivery(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        await producer.send(topic, b"v")
        before = threading.active_count()
        for _ in range(50):
            await producer.send(topic, b"v" * 1000)
        assert threading.active_count() == before


async def test_two_producers_do_not_disturb_each_other(cluster: Cluster) -> None:
    first, second = await cluster.create_topic(), await cluster.create_topic()
    async with Producer(bootstrap_servers=cluster.bootstrap_servers) as a:
        async with Producer(bootstrap_servers=cluster.bootstrap_servers) as b:
            await a.send(first, b"a")
            await b.send(second, b"b")
        await a.send(first, b"a")
        with pytest.raises(ProducerClosedError):
            b.submit_nowait(second, b"b")
    assert (await cluster.values(first), await cluster.values(second)) == ([b"a", b"a"], [b"b"])


async def test_calls_while_start_runs_are_refused_and_leave_it_alone(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    network = Network()
    network.hold()
    producer = Producer(bootstrap_servers=cluster.bootstrap_servers, connect=network.connect)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(producer.start)
        await settled()
        with pytest.raises(IllegalStateError, match="being started"):
            await producer.start()
        with pytest.raises(IllegalStateError, match="being started"):
            await producer.close(timeout=0)
        with pytest.raises(IllegalStateError, match="being started"):
            producer.submit_nowait(topic, b"v")
        network.release()
    assert (await producer.send(topic, b"v")).offset == 0
    await producer.close()
