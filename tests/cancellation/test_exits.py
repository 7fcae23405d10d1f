"""Somebody ends the program (SystemExit, KeyboardInterrupt) where an outcome is told; others are told all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aioproducer import Delivery, Producer
from tests.contract.support import settled
from tests.simulation_producer.network import MemoryCluster

Mischief = Callable[[Producer[bytes, bytes], list[asyncio.Task[None]]], None]


def _told_after(mischief: Mischief) -> list[int]:
    """Which of three tasks and three callbacks are told, when something happens before; the loop goes on after it."""
    told: list[int] = []

    async def body(cluster: MemoryCluster, tasks: list[asyncio.Task[None]]) -> None:
        cluster.core.state.create_topic("orders")
        async with cluster.running():
            producer = Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers, connect=cluster.connect)
            await producer.start()
            await producer.partitions_for("orders")
            mischief(producer, tasks)
            await settled()  # its task, if there is one, is the first to wait

            def note(delivery: Delivery) -> None:
                told.append(100 + delivery.result().offset)

            async def wait() -> None:
                told.append((await producer.send("orders", b"v", on_delivery=note)).offset)

            others = [asyncio.create_task(wait()) for _ in range(3)]
            await asyncio.wait(others, timeout=5)
            for task in others:
                task.cancel()
            await producer.close()

    loop = asyncio.new_event_loop()
    tasks: list[asyncio.Task[None]] = []
    try:
        main = loop.create_task(body(MemoryCluster(), tasks))
        with pytest.raises(SystemExit):
            loop.run_until_complete(main)
        loop.run_until_complete(main)
        for task in tasks:
            assert isinstance(task.exception(), SystemExit)
    finally:
        loop.close()
    return sorted(told)


def test_by_a_task_that_waited_for_a_record() -> None:
    def mischief(producer: Producer[bytes, bytes], tasks: list[asyncio.Task[None]]) -> None:
        async def end() -> None:
            await producer.send("orders", b"first")
            raise SystemExit

        tasks.append(asyncio.create_task(end()))

    assert _told_after(mischief) == [1, 2, 3, 101, 102, 103]


def test_by_a_callback() -> None:
    def mischief(producer: Producer[bytes, bytes], tasks: list[asyncio.Task[None]]) -> None:
        del tasks

        def end(delivery: Delivery) -> None:
            raise SystemExit

        producer.submit_nowait("orders", b"first", on_delivery=end)

    assert _told_after(mischief) == [1, 2, 3, 101, 102, 103]
