"""Between producer and brokers stands a proxy that breaks connections: at every byte, in both directions, in all ways.

After each fault the producer goes on by itself; every acknowledged record is in the log once and in order, and none has
failed. Embedded cluster, real sockets.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

from aioproducer import Delivery, Producer
from aioproducer.testing import EmbeddedCluster, FaultProxy
from aioproducer.testing._proxy import DIRECTIONS, Direction, Ending
from tests.chaos.ledger import Ledger, numbered, value_of
from tests.chaos.load import Load
from tests.contract.support import until

if TYPE_CHECKING:
    from anyio.abc import ByteStream

SETTINGS: Final[dict[str, Any]] = {
    # A broker that falls silent is given up after 200 ms; a lost connection is tried again after a few.
    "request_timeout_ms": 200,
    "delivery_timeout_ms": 30_000,
    "max_block_ms": 30_000,
    "linger_ms": 0,
    "retry_backoff_ms": 2,
    "retry_backoff_max_ms": 20,
    "reconnect_backoff_ms": 2,
    "reconnect_backoff_max_ms": 20,
    "socket_connection_setup_timeout_ms": 500,
    "socket_connection_setup_timeout_max_ms": 500,
}
TOPIC: Final = "orders"
SECONDS: Final = 20.0
SEED: Final = 20_240_902


@dataclass
class Scene:
    """A cluster behind proxies, and what is sent to it."""

    cluster: EmbeddedCluster
    proxies: dict[int, FaultProxy]
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def proxy(self) -> FaultProxy:
        """Of the only broker."""
        (proxy,) = self.proxies.values()
        return proxy

    async def connect(self, _: str, port: int) -> ByteStream:
        """The `connect` of a Producer: through the proxy of the broker that listens there."""
        return await anyio.connect_tcp("127.0.0.1", self.proxies[port].port)

    def producer(self, **settings: Any) -> Producer[bytes, bytes]:
        """A producer that goes through the proxies."""
        servers = self.cluster.bootstrap_servers
        return Producer(bootstrap_servers=servers, connect=self.connect, **{**SETTINGS, **settings})

    async def send(self, producer: Producer[bytes, bytes], count: int = 1, size: int = 10) -> None:
        """Send records at once, one batch or several, and wait for the outcomes."""
        deliveries: list[tuple[int, Delivery]] = []
        for _ in range(count):
            number = self.ledger.call()
            deliveries.append((number, await producer.submit(TOPIC, value_of(number, size))))
        for number, delivery in deliveries:
            self.ledger.acknowledge(number, await delivery)

    def assert_all_kept(self) -> None:
        """Every record that was called is in the log, once, in order, where its acknowledgement says."""
        assert self.ledger.judge(numbered(self.cluster.records(TOPIC))).complaints() == {}
        assert self.ledger.told_twice == []


@asynccontextmanager
async def scene_of(brokers: int, partitions: int) -> AsyncGenerator[Scene]:
    """A cluster with a proxy before each broker; everything is bounded in time."""
    with anyio.fail_after(SECONDS):
        async with AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(EmbeddedCluster(brokers=brokers, partitions=partitions))
            await cluster.create_topic(TOPIC)
            ports = [int(server.rpartition(":")[2]) for server in cluster.bootstrap_servers]
            proxies = {port: await stack.enter_async_context(FaultProxy(("127.0.0.1", port))) for port in ports}
            yield Scene(cluster, proxies)


async def bytes_of_one_record(scene: Scene, producer: Producer[bytes, bytes]) -> dict[Direction, int]:
    """How many bytes a Produce request with one record has, and its answer."""
    counters = scene.proxy.counters
    before = counters.bytes_to_broker, counters.bytes_to_client
    await scene.send(producer)
    return {
        "to_broker": counters.bytes_to_broker - before[0],
        "to_client": counters.bytes_to_client - before[1],
    }


# ── cut at every byte ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", ["reset", "close"])
@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_a_connection_cut_at_any_byte_of_a_produce_exchange_loses_nothing(
    direction: Direction, ending: Ending
) -> None:
    async with scene_of(brokers=1, partitions=1) as scene, scene.producer() as producer:
        await scene.send(producer)
        size = (await bytes_of_one_record(scene, producer))[direction]
        assert size > 30
        connections = scene.proxy.counters.connections
        for byte_count in range(size):
            scene.proxy.cut_after(byte_count, direction, ending)
            await scene.send(producer)
        # Each cut has struck, during the record that was sent then.
        assert scene.proxy.counters.connections >= connections + size
        scene.assert_all_kept()


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_a_connection_cut_anywhere_in_five_requests_in_flight_keeps_the_order(direction: Direction) -> None:
    rng = random.Random(f"{SEED}-{direction}")
    async with scene_of(brokers=1, partitions=1) as scene, scene.producer(batch_size=150) as producer:
        await scene.send(producer)
        for _ in range(60):
            # Twelve batches or so: five are on their way together when the cut comes.
            scene.proxy.cut_after(rng.randrange(2_500 if direction == "to_broker" else 500), direction)
            await scene.send(producer, count=24, size=40)
        scene.proxy.heal()
        scene.assert_all_kept()


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_a_connection_cut_at_any_byte_while_the_producer_starts_is_made_again(direction: Direction) -> None:
    async with scene_of(brokers=1, partitions=1) as scene:
        counters = scene.proxy.counters
        async with scene.producer() as producer:
            await scene.send(producer)
            size = counters.bytes_to_broker if direction == "to_broker" else counters.bytes_to_client
        for byte_count in range(0, size, 5):
            connections = counters.connections
            scene.proxy.cut_after(byte_count, direction)
            async with scene.producer() as producer:
                await scene.send(producer)
            assert counters.connections > connections + 1
        scene.assert_all_kept()


# ── other faults ─────────────────────────────────────────────────────────────────────────────────────────────────────


def reset(proxy: FaultProxy) -> None:
    proxy.reset()


def close(proxy: FaultProxy) -> None:
    proxy.close_connections()


def half_close_to_broker(proxy: FaultProxy) -> None:
    proxy.half_close("to_broker")


def half_close_to_client(proxy: FaultProxy) -> None:
    proxy.half_close("to_client")


def swallow_requests(proxy: FaultProxy) -> None:
    proxy.black_hole("to_broker")


def swallow_answers(proxy: FaultProxy) -> None:
    proxy.black_hole("to_client")


def swallow_everything(proxy: FaultProxy) -> None:
    proxy.black_hole()


def refuse(proxy: FaultProxy) -> None:
    proxy.refuse()
    proxy.reset()


def slow_down(proxy: FaultProxy) -> None:
    proxy.set_latency(0.03)


def slow_down_too_much(proxy: FaultProxy) -> None:
    proxy.set_latency(0.15)  # each way: no answer comes within request_timeout_ms


def narrow(proxy: FaultProxy) -> None:
    proxy.set_bandwidth(50_000)


Fault = Callable[[FaultProxy], None]
FAULTS: Final[Sequence[Fault]] = (
    reset,
    close,
    half_close_to_broker,
    half_close_to_client,
    swallow_requests,
    swallow_answers,
    swallow_everything,
    refuse,
    slow_down,
    slow_down_too_much,
    narrow,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_a_fault_of_the_network_delays_records_and_that_is_all(fault: Fault) -> None:
    async with scene_of(brokers=3, partitions=3) as scene, scene.producer() as producer:
        load = Load(producer, TOPIC, 3, scene.ledger, seed=SEED, tasks=6, burst=5, pause=0.02)
        async with anyio.create_task_group() as tasks:
            load.start(tasks)
            await until(lambda: scene.ledger.acknowledged > 30)
            for proxy in scene.proxies.values():
                fault(proxy)
            await anyio.sleep(0.3)
            for proxy in scene.proxies.values():
                proxy.heal()
            with anyio.fail_after(5):
                await load.probe()
            load.stop()
        scene.assert_all_kept()


async def test_latency_does_not_cost_throughput() -> None:
    async with scene_of(brokers=1, partitions=1) as scene, scene.producer(request_timeout_ms=5_000) as producer:
        await scene.send(producer)
        scene.proxy.set_latency(0.05)
        started = anyio.current_time()
        await scene.send(producer, count=300, size=100)
        # One after the other would take 30 s.
        assert anyio.current_time() - started < 3
        scene.assert_all_kept()


async def test_faults_at_random_on_three_brokers_lose_nothing() -> None:
    rng = random.Random(SEED)
    async with scene_of(brokers=3, partitions=6) as scene, scene.producer(batch_size=1_000) as producer:
        load = Load(producer, TOPIC, 6, scene.ledger, seed=SEED, tasks=12, burst=8, pause=0.02)
        async with anyio.create_task_group() as tasks:
            load.start(tasks)
            deadline = anyio.current_time() + 1.5
            while anyio.current_time() < deadline:
                proxy = rng.choice(list(scene.proxies.values()))
                if rng.random() < 0.5:
                    proxy.cut_after(rng.randrange(3_000), rng.choice(DIRECTIONS), rng.choice(("reset", "close")))
                else:
                    rng.choice(FAULTS)(proxy)
                if rng.random() < 0.1:
                    scene.cluster.move_leader(TOPIC, rng.randrange(6))
                await anyio.sleep(rng.random() * 0.1)
                if rng.random() < 0.5:
                    proxy.heal()
            for proxy in scene.proxies.values():
                proxy.heal()
            with anyio.fail_after(5):
                await load.probe()
            load.stop()
        assert scene.ledger.acknowledged > 100
        scene.assert_all_kept()
