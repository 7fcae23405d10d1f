"""flush(), begun at every step of the way of a record, returns when its outcome has been told to everybody."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from aioproducer import Delivery, Producer, UndeliveredError
from aioproducer._runtime.completion import CALLBACK_SECONDS
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.faults import Effect, Fault
from tests.cancellation.driver import SteppingLoop, Steps
from tests.simulation_producer.network import MemoryCluster

Begin = Callable[[Producer[bytes, bytes], MemoryCluster, Steps, int], Awaitable[None]]


def at_every_step(begin: Begin) -> None:
    """Run it with each number until its last step is before that."""

    async def run(steps: Steps, point: int) -> None:
        cluster = MemoryCluster()
        cluster.core.state.create_topic("orders")
        async with (
            cluster.running(),
            Producer[bytes, bytes](
                bootstrap_servers=cluster.bootstrap_servers, connect=cluster.connect, linger_ms=0
            ) as producer,
        ):
            await producer.partitions_for("orders")
            await begin(producer, cluster, steps, point)

    for point in itertools.count(1):
        steps = Steps()
        with asyncio.Runner(loop_factory=partial(SteppingLoop, steps)) as runner:
            runner.run(asyncio.wait_for(run(steps, point), 5))
        if not steps.has_fired:
            assert point > 10
            return


def test_callbacks_have_run_when_flush_returns() -> None:
    async def begin(producer: Producer[bytes, bytes], cluster: MemoryCluster, steps: Steps, point: int) -> None:
        told: list[Delivery] = []

        async def flush() -> None:
            await producer.flush()
            assert told, f"flush that began at step {point} returned before the callback ran"

        flushes: list[asyncio.Task[None]] = []
        delivery = producer.submit_nowait("orders", b"v", on_delivery=told.append)
        steps.arm(point, lambda: flushes.append(asyncio.get_running_loop().create_task(flush())))
        await delivery
        steps.disarm()
        await asyncio.gather(*flushes)

    at_every_step(begin)


def test_callbacks_that_take_long_have_all_run_when_flush_returns() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        cluster.core.state.create_topic("orders")
        told: list[Delivery] = []

        def slowly(delivery: Delivery) -> None:
            time.sleep(CALLBACK_SECONDS / 2)
            told.append(delivery)

        async with (
            cluster.running(),
            Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers, connect=cluster.connect) as producer,
        ):
            for _ in range(10):  # told in several passes of the loop
                producer.submit_nowait("orders", b"v", on_delivery=slowly)
            await producer.flush()
            assert len(told) == 10, "flush returned before the callbacks ran"

    asyncio.run(asyncio.wait_for(main(), 5))


def test_flush_tells_of_a_failure_that_nobody_watched() -> None:
    async def begin(producer: Producer[bytes, bytes], cluster: MemoryCluster, steps: Steps, point: int) -> None:
        cluster.core.faults.add(Fault(Effect.FAIL, int(ErrorCode.INVALID_RECORD), remaining=1))

        async def flush() -> None:
            with pytest.raises(UndeliveredError):
                await producer.flush()

        flushes: list[asyncio.Task[None]] = []
        delivery = producer.submit_nowait("orders", b"v")
        steps.arm(point, lambda: flushes.append(asyncio.get_running_loop().create_task(flush())))
        while not delivery.done():  # noqa: ASYNC110 - whoever waited for it in another way would watch it
            await asyncio.sleep(0)
        steps.disarm()
        await asyncio.gather(*flushes)

    at_every_step(begin)
