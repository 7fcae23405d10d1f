"""The cluster can be reached over TCP on every event loop, faults strike on purpose, and nothing is left of it."""

from __future__ import annotations

import threading
import time
import unittest
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aioproducer._wire.frames import FrameBuffer, decode_response_header, encode_request
from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from aioproducer._wire.messages.produce import ProduceResponse
from aioproducer.errors import BrokerError, ErrorCode, IllegalStateError
from aioproducer.testing import EmbeddedCluster, read_topic
from tests.unit.testing._broker.helpers import batch, produce_request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.abc import SocketStream

    from aioproducer._wire.schema import Request, Response

T = TypeVar("T", bound="Response")


class Connection:
    """Asks one broker, over TCP."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self._buffer = FrameBuffer()
        self._correlation_id = 0

    async def send(self, request: Request, version: int) -> None:
        self._correlation_id += 1
        await self.stream.send(encode_request(request, version, self._correlation_id, "test"))

    async def receive(self, version: int, answer: type[T]) -> T:
        with anyio.fail_after(5):
            while not (frames := self._buffer.feed(await self.stream.receive())):
                pass
        correlation_id, body = decode_response_header(frames[0], answer.api_key, version)
        assert correlation_id == self._correlation_id
        return answer.decode(body, version)

    async def ask(self, request: Request, version: int, answer: type[T]) -> T:
        await self.send(request, version)
        return await self.receive(version, answer)

    async def produce(self, topic: str, value: bytes = b"value") -> int:
        """The error code."""
        answer = await self.ask(produce_request(topic, batch([value])), 9, ProduceResponse)
        return answer.responses[0].partition_responses[0].error_code


@asynccontextmanager
async def connected(cluster: EmbeddedCluster, broker: int = 0) -> AsyncGenerator[Connection]:
    host, port = cluster.bootstrap_servers[broker].split(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        yield Connection(stream)


async def test_records_are_written_and_read_over_tcp() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        assert await connection.produce("orders", b"0") == 0
        assert await connection.produce("orders", b"1") == 0
        assert [(record.offset, record.value) for record in cluster.records("orders")] == [(0, b"0"), (1, b"1")]
        assert await read_topic(cluster.bootstrap_servers, "orders") == cluster.records("orders")
        in_one_text = ", ".join(cluster.bootstrap_servers * 2)
        assert await read_topic(in_one_text, "orders") == cluster.records("orders")


async def test_every_broker_tells_of_all() -> None:
    async with EmbeddedCluster(brokers=3, partitions=2) as cluster:
        for broker in range(3):
            async with connected(cluster, broker) as connection:
                answer = await connection.ask(MetadataRequest(topics=None), 9, MetadataResponse)
            told = [f"{node.host}:{node.port}" for node in answer.brokers]
            assert told == cluster.bootstrap_servers


async def test_long_poll_is_woken_by_another_connection() -> None:
    wanted = FetchTopic(topic="orders", partitions=[FetchPartition(partition_max_bytes=1000)])
    request = FetchRequest(max_wait_ms=30_000, min_bytes=1, topics=[wanted])
    async with EmbeddedCluster() as cluster, connected(cluster) as reader, connected(cluster) as writer:
        await cluster.create_topic("orders")
        await reader.send(request, 11)
        assert await writer.produce("orders") == 0
        answer = await reader.receive(11, FetchResponse)
        assert answer.responses[0].partitions[0].records


async def test_long_poll_ends_in_time() -> None:
    wanted = FetchTopic(topic="orders", partitions=[FetchPartition(partition_max_bytes=1000)])
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        answer = await connection.ask(FetchRequest(max_wait_ms=20, min_bytes=1, topics=[wanted]), 11, FetchResponse)
        assert not answer.responses[0].partitions[0].records


async def test_fault_fails_a_request_and_says_that_it_has() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        fault = cluster.fail_next(ErrorCode.NOT_ENOUGH_REPLICAS, topic="orders")
        with pytest.raises(TimeoutError, match="0 of 1"):
            await fault.wait_hit(timeout=0.01)
        assert await connection.produce("orders") == ErrorCode.NOT_ENOUGH_REPLICAS
        await fault.wait_hit()
        assert fault.hits == 1
        assert await connection.produce("orders") == 0


async def test_fault_ends_with_its_block() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        with cluster.full_disk("orders") as fault:
            assert await connection.produce("orders") == ErrorCode.KAFKA_STORAGE_ERROR
            assert await connection.produce("orders") == ErrorCode.KAFKA_STORAGE_ERROR
        assert await connection.produce("orders") == 0
        assert fault.hits == 2


@pytest.mark.parametrize("after_append", [False, True])
async def test_not_enough_replicas(after_append: bool) -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        cluster.not_enough_replicas("orders", after_append=after_append)
        assert await connection.produce("orders") == (20 if after_append else 19)
        cluster.clear_faults()
        assert await connection.produce("orders") == 0
        assert len(cluster.records("orders")) == (2 if after_append else 1)


async def test_lost_response_closes_after_the_append() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        fault = cluster.lose_response_once()
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await connection.produce("orders")
        assert (fault.hits, len(cluster.records("orders"))) == (1, 1)


async def test_lost_request_closes_before_the_append() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        cluster.lose_request_once()
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await connection.produce("orders")
        assert cluster.records("orders") == []


async def test_delay_holds_the_answer_back() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        cluster.delay(0.05, api=ApiKey.PRODUCE, times=1)
        began = time.perf_counter()
        await connection.send(produce_request("orders", batch()), 9)
        await cluster.expect("orders", 1)
        await connection.receive(9, ProduceResponse)
        assert time.perf_counter() - began >= 0.048  # uvloop's clock has whole milliseconds


async def test_throttled_answer() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        cluster.throttle(200)
        answer = await connection.ask(produce_request("orders", batch()), 9, ProduceResponse)
        assert answer.throttle_time_ms == 200


async def test_dropped_connections_can_be_made_again() -> None:
    async with EmbeddedCluster(brokers=2) as cluster, connected(cluster) as first, connected(cluster, 1) as second:
        await cluster.create_topic("orders")
        assert await first.produce("orders") == 0
        assert cluster.drop_connections(broker=0) == 1
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await first.stream.receive()
        await second.ask(MetadataRequest(topics=[]), 9, MetadataResponse)
        async with connected(cluster) as again:
            assert await again.produce("orders") == 0


async def test_black_hole_swallows_until_it_is_stopped_and_what_lost_something_stays_silent() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection, connected(cluster) as idle:
        await cluster.create_topic("orders")
        with cluster.black_hole() as fault:
            await connection.send(produce_request("orders", batch()), 9)
            await fault.wait_hit()
        assert cluster.records("orders") == []
        await connection.send(produce_request("orders", batch()), 9)
        with anyio.move_on_after(0.05):
            await connection.stream.receive()
            pytest.fail("a connection that has lost something was answered")
        assert await idle.produce("orders") == 0


async def test_a_slow_broker_takes_its_time_to_read_until_the_fault_is_stopped() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        started = time.monotonic()
        with cluster.read_slowly(10_000) as fault:
            assert await connection.produce("orders", b"v" * 500) == 0  # was being read already when the fault was set
            assert fault.hits >= 1
            assert await connection.produce("orders", b"v" * 500) == 0
        assert time.monotonic() - started >= 0.1
        assert fault.hits >= 3
        started = time.monotonic()
        with cluster.read_slowly(1) as fault:
            await connection.send(produce_request("orders", batch([b"v"])), 9)
            await fault.wait_hit()
        assert (await connection.receive(9, ProduceResponse)).responses
        assert time.monotonic() - started < 3


async def test_verbs_of_a_cluster_in_a_thread_can_be_awaited_in_any_event_loop() -> None:
    with EmbeddedCluster.running() as cluster:
        cluster.create_topic("orders")
        with cluster.full_disk("orders") as fault:
            async with await anyio.connect_tcp("127.0.0.1", int(cluster.bootstrap_servers[0].split(":")[1])) as stream:
                assert await Connection(stream).produce("orders") == ErrorCode.KAFKA_STORAGE_ERROR
            await fault.wait_hit()
            with pytest.raises(TimeoutError, match="1 of 2"):
                await fault.wait_hit(2, timeout=0.02)


async def test_answer_is_cut_in_the_middle() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        fault = cluster.cut_after(7)
        await connection.send(MetadataRequest(topics=[]), 9)
        received = b""
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            while True:
                received += await connection.stream.receive()
        assert (len(received), fault.hits) == (7, 1)
        async with connected(cluster) as again:
            await again.ask(MetadataRequest(topics=[]), 9, MetadataResponse)


async def test_leader_moves() -> None:
    async with EmbeddedCluster(brokers=2) as cluster, connected(cluster) as old, connected(cluster, 1) as new:
        await cluster.create_topic("orders")
        assert cluster.leader("orders") == 0
        assert cluster.move_leader("orders") == 1
        assert await old.produce("orders") == ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert await new.produce("orders") == 0
        assert cluster.move_leader("orders", to=0) == 0


async def test_stopped_broker_refuses_and_comes_back_on_its_port() -> None:
    async with EmbeddedCluster(brokers=2) as cluster:
        await cluster.create_topic("orders")
        servers = cluster.bootstrap_servers
        async with connected(cluster) as connection:
            await cluster.stop_broker(0)
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await connection.stream.receive()
        with pytest.raises(OSError, match="connect"):
            async with connected(cluster):
                pass
        assert cluster.leader("orders") == 1
        await cluster.start_broker(0)
        assert cluster.bootstrap_servers == servers
        async with connected(cluster) as connection:
            await connection.ask(MetadataRequest(topics=[]), 9, MetadataResponse)


async def test_held_replication_delays_acks_all() -> None:
    async with EmbeddedCluster(brokers=2) as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        cluster.hold_replication("orders")
        await connection.send(produce_request("orders", batch()), 9)
        await cluster.expect("orders", 1)
        cluster.release_replication("orders")
        answer = await connection.receive(9, ProduceResponse)
        assert answer.responses[0].partition_responses[0].error_code == 0


async def test_expectation_waits_and_explains() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.expect, "orders", 1)
            await checkpoint()
            assert await connection.produce("orders", b"here") == 0
        assert [record.value for record in await cluster.expect("orders", values=[b"here"])] == [b"here"]
        with pytest.raises(AssertionError) as raised:
            await cluster.expect("orders", values=[b"there"], timeout=0.01)
        text = str(raised.value)
        assert "missing  b'there' × 1" in text
        assert "surplus  b'here' × 1" in text
        assert "orders[0]@0 key=None value=b'here'" in text


async def test_bad_topics_are_refused() -> None:
    async with EmbeddedCluster() as cluster:
        await cluster.create_topic("orders")
        with pytest.raises(BrokerError, match="exists"):
            await cluster.create_topic("orders")
        await cluster.delete_topic("orders")
        with pytest.raises(BrokerError):
            await cluster.delete_topic("orders")


async def test_garbage_closes_the_connection_and_nothing_else() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as good:
        for garbage in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x7f\xff\xff\xff",
            b"\0\0\0\x02\0\0",
            b"\0\0\0\x0a\0\x03\0\x09" + b"\xff" * 6,
        ):
            async with connected(cluster) as bad:
                await bad.stream.send(garbage)
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)), anyio.fail_after(5):
                    await bad.stream.receive()
        await good.ask(MetadataRequest(topics=[]), 9, MetadataResponse)


async def test_bytes_after_a_request_are_ignored() -> None:
    frame = encode_request(MetadataRequest(topics=[]), 9, 1, "test")[4:] + b"\0\0\0"
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await connection.stream.send(len(frame).to_bytes(4, "big") + frame)
        assert await connection.stream.receive()


async def test_error_of_the_body_arrives_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with EmbeddedCluster():
            raise ZeroDivisionError


async def test_block_can_be_cancelled() -> None:
    with anyio.move_on_after(0.02) as scope:
        async with EmbeddedCluster() as cluster, connected(cluster):
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_nothing_listens_afterwards() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await connection.ask(MetadataRequest(topics=[]), 9, MetadataResponse)
    with pytest.raises(OSError, match="connect"):
        async with connected(cluster):
            pass


async def test_newly_asked_topic_is_made() -> None:
    async with EmbeddedCluster(partitions=3) as cluster, connected(cluster) as connection:
        request = MetadataRequest(topics=[MetadataRequestTopic(name="orders")])
        codes = [(await connection.ask(request, 9, MetadataResponse)).topics[0].error_code for _ in range(2)]
        assert codes == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.NONE]


async def test_version_limit_is_obeyed() -> None:
    async with EmbeddedCluster(max_versions={ApiKey.PRODUCE: 9}) as cluster:
        assert not cluster.core.accepts(ApiKey.PRODUCE, 10)
        cluster.refuse_versions_above(8, api=ApiKey.PRODUCE)
        assert not cluster.core.accepts(ApiKey.PRODUCE, 9)
        assert cluster.core.accepts(ApiKey.PRODUCE, 8)


# ── what is asked for and is not there ──


async def test_a_broker_that_is_not_there_is_said_so_and_the_cluster_lives_on() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        with pytest.raises(ValueError, match="there is no broker 1; the cluster has 0"):
            cluster.move_leader("orders", to=1)
        for verb in (cluster.stop_broker, cluster.start_broker):
            with pytest.raises(ValueError, match="there is no broker 7"):
                await verb(7)
        assert await connection.produce("orders") == 0


async def test_a_stopped_broker_does_not_become_the_leader() -> None:
    async with EmbeddedCluster(brokers=2) as cluster:
        await cluster.create_topic("orders")
        await cluster.stop_broker(1)
        with pytest.raises(ValueError, match=r"broker 1 is stopped; of the others, alive are \[0\]"):
            cluster.move_leader("orders", to=1)
        assert cluster.move_leader("orders") == 0


async def test_errors_can_be_named() -> None:
    async with EmbeddedCluster() as cluster, connected(cluster) as connection:
        await cluster.create_topic("orders")
        cluster.fail_next("NOT_ENOUGH_REPLICAS")
        assert await connection.produce("orders") == ErrorCode.NOT_ENOUGH_REPLICAS
        with pytest.raises(ValueError, match="no error is called 'NOT_ENOUGH_REPLICA'; is it NOT_ENOUGH_REPLICAS"):
            cluster.fail_next("NOT_ENOUGH_REPLICA")


def test_a_cluster_has_no_addresses_before_it_is_started() -> None:
    with pytest.raises(IllegalStateError, match="no addresses before it is started: async with"):
        _ = EmbeddedCluster().bootstrap_servers


# ── started in one task, stopped in another ──


class InUnittest(unittest.IsolatedAsyncioTestCase):
    """What is set up is set up in another task than that of the test."""

    async def asyncSetUp(self) -> None:
        self.cluster = await self.enterAsyncContext(EmbeddedCluster())

    async def test_it(self) -> None:
        async with connected(self.cluster) as connection:
            await self.cluster.create_topic("orders")
            self.assertEqual(await connection.produce("orders"), 0)


def test_in_unittest() -> None:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(InUnittest).run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


async def test_a_port_that_is_taken_is_said_so_and_nothing_is_left() -> None:
    async with EmbeddedCluster() as cluster:
        port = int(cluster.bootstrap_servers[0].split(":")[1])
        with pytest.raises(OSError, match="in use"):
            async with EmbeddedCluster(ports=[port]):
                pass
        async with connected(cluster) as connection:
            assert (await connection.ask(MetadataRequest(topics=[]), 9, MetadataResponse)).brokers


def test_cluster_in_a_thread_is_used_without_an_event_loop() -> None:
    before = threading.active_count()
    with EmbeddedCluster.running(brokers=2) as cluster:
        cluster.create_topic("orders", 2)
        assert cluster.records("orders") == []
        fault = cluster.fail_next(ErrorCode.INVALID_RECORD)
        with pytest.raises(TimeoutError):
            cluster.wait_hit(fault, timeout=0.01)
        cluster.stop_broker(1)
        assert cluster.leader("orders", 1) == 0
        cluster.start_broker(1)
        with pytest.raises(AssertionError, match="0 records"):
            cluster.expect("orders", 1, timeout=0.01)
        cluster.delete_topic("orders")
    assert threading.active_count() == before


def test_cluster_starts_in_a_few_milliseconds() -> None:
    with EmbeddedCluster.running():
        pass  # loads what is loaded once
    seconds: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        with EmbeddedCluster.running(brokers=3):
            seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.02
