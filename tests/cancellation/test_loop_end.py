"""A loop that ends without close(): an ERROR with counts, and neither a hang nor an exception that nobody gets."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import anyio
import pytest
import trio

from aioproducer import IllegalStateError, Producer, ProducerClosedError
from tests.contract.support import settled
from tests.simulation_producer.network import MemoryCluster

# A producer that is let go without close() warns, too (tests/contract/test_lifecycle.py); here the log is looked at.
pytestmark = pytest.mark.filterwarnings("ignore:.*__del__.*:pytest.PytestUnraisableExceptionWarning")

Run = Callable[[Callable[[], Awaitable[None]]], None]


def _on_asyncio(main: Callable[[], Awaitable[None]]) -> None:
    async def awaited() -> None:
        await main()

    asyncio.run(awaited())


def _on_trio(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main)


RUNS: Final[dict[str, Run]] = {"asyncio": _on_asyncio, "trio": _on_trio}


@pytest.fixture(autouse=True)
def what_is_left_goes_with_its_test() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs an event loop until a function is at its end."""
    name: str = request.param
    return RUNS[name]


async def started(cluster: MemoryCluster) -> Producer[bytes, bytes]:
    """A producer whose cluster says nothing more."""
    cluster.core.state.create_topic("orders")
    producer = Producer[bytes, bytes](
        bootstrap_servers=cluster.bootstrap_servers, connect=cluster.connect, allow_auto_create_topics=False
    )
    await producer.start()
    await producer.partitions_for("orders")
    cluster.hold()
    return producer


def errors_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines at ERROR."""
    assert not [each for each in caplog.records if each.levelno > logging.ERROR]
    return [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]


def test_records_that_are_lost_are_counted(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    told: list[BaseException | None] = []

    async def main() -> None:
        cluster = MemoryCluster()
        async with cluster.running():
            producer = await started(cluster)
            for _ in range(3):
                producer.submit_nowait("orders", b"v")
            producer.submit_nowait("late", b"v", on_delivery=lambda delivery: told.append(delivery.exception()))
            await settled()

    run(main)
    gc.collect()
    lines = errors_of(caplog)
    assert any("event loop ended" in line and "3 records" in line for line in lines), lines
    assert [type(error) for error in told] == [ProducerClosedError]


def test_records_that_are_lost_are_counted_when_the_same_was_logged_a_moment_ago(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        async with cluster.running():
            producer = await started(cluster)
            for _ in range(2):
                for _ in range(3):
                    producer.submit_nowait("orders", b"v")
                await producer.close(0)
                cluster.release()
                await producer.start()
                await producer.partitions_for("orders")
                cluster.hold()
            for partition in (0, 0, 0):
                producer.submit_nowait("orders", b"v", partition=partition)
            producer.submit_nowait("late", b"v")
            producer.submit_nowait("later", b"v")
            producer.submit_nowait("late", b"v")
            await settled()

    run(main)
    gc.collect()
    lines = errors_of(caplog)
    told = [line for line in lines if "nobody waited" in line]
    counted = sum(int(line.split()[0]) for line in told if "event loop ended" in line or "see the lines before" in line)
    assert counted == 6, lines


def test_nothing_is_said_when_nothing_is_lost(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        async with cluster.running():
            await started(cluster)

    run(main)
    gc.collect()
    assert errors_of(caplog) == []


def test_calls_of_other_tasks_that_wait_do_not_keep_the_loop_from_ending(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []

    async def main() -> None:
        cluster = MemoryCluster()
        async with cluster.running(), anyio.create_task_group() as tasks:
            producer = await started(cluster)
            producer.submit_nowait("orders", b"v")

            async def wait(name: str, call: Callable[[], Awaitable[object]]) -> None:
                try:
                    await call()
                finally:
                    ended.append(name)

            tasks.start_soon(wait, "send", lambda: producer.send("orders", b"v"))
            tasks.start_soon(wait, "topic", lambda: producer.submit("late", b"v"))
            tasks.start_soon(wait, "partitions", lambda: producer.partitions_for("late"))
            tasks.start_soon(wait, "flush", producer.flush)
            await settled()
            tasks.cancel_scope.cancel()

    run(main)
    gc.collect()
    assert sorted(ended) == ["flush", "partitions", "send", "topic"]
    assert any("not delivered: {'orders': 2}" in line for line in errors_of(caplog))


def test_a_task_that_outlives_the_main_one_on_asyncio_is_told(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []
    kept: list[asyncio.Task[None]] = []

    async def main() -> None:
        cluster = MemoryCluster()
        async with cluster.running():
            producer = await started(cluster)

            async def wait() -> None:
                try:
                    await producer.send("orders", b"v")
                except ProducerClosedError:
                    ended.append("closed")
                except asyncio.CancelledError:
                    ended.append("cancelled")
                    raise

            kept.append(asyncio.create_task(wait()))
            await settled()

    asyncio.run(main())
    gc.collect()
    assert ended in (["closed"], ["cancelled"])
    assert any("event loop ended" in line for line in errors_of(caplog))


def test_a_producer_whose_loop_has_ended_refuses_calls_in_another_but_to_close_it(run: Run) -> None:
    producers: list[Producer[bytes, bytes]] = []

    async def first() -> None:
        cluster = MemoryCluster()
        async with cluster.running():
            producers.append(await started(cluster))

    async def second() -> None:
        for call in (producers[0].flush, producers[0].start, lambda: producers[0].send("orders", b"v")):
            with pytest.raises(IllegalStateError):
                await call()
        await producers[0].close()
        with pytest.raises(ProducerClosedError):
            await producers[0].flush()

    run(first)
    run(second)
    gc.collect()


def test_an_exception_of_main_goes_through(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        async with cluster.running():
            producer = await started(cluster)
            producer.submit_nowait("orders", b"v")
            raise LookupError("of main")

    with pytest.raises(ExceptionGroup) as caught:  # of the cluster's task group
        run(main)
    gc.collect()
    assert caught.group_contains(LookupError, match="of main")
    assert any(line.startswith("1 record of topic") for line in errors_of(caplog))
