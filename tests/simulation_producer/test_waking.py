"""Nobody sleeps on: whatever a call waits for, it resumes at once when that is there.

Time is virtual, so "at once" can be told: the producer's own next deadline, which would wake it anyway, is minutes off.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import anyio
import pytest
import trio
import trio.testing

from aioproducer import Delivery, FatalProducerError, Producer, ProducerClosedError, UndeliveredError
from tests.contract.support import settled
from tests.simulation_producer.network import MemoryCluster

AT_ONCE: Final = 0.5
"""Seconds; a few round trips without latency, and a backoff or two of 0.1 s."""

Check = Callable[[Producer[bytes, bytes], MemoryCluster], Awaitable[None]]
ROOMY: Final[dict[str, Any]] = {"linger_ms": 0, "metadata_max_age_ms": 3_600_000}
SMALL: Final[dict[str, Any]] = {**ROOMY, "buffer_memory": 3_000, "batch_size": 500}


class SleptOn(AssertionError):
    """Somebody did not resume."""


async def gathered(calls: list[Callable[[], Awaitable[object]]], then: Callable[[], object]) -> None:
    """Start the calls, let them wait, do what they wait for, and have all return at once."""
    finished = 0
    scope = anyio.CancelScope()

    async def run(call: Callable[[], Awaitable[object]]) -> None:
        nonlocal finished
        await call()
        finished += 1

    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(run, call)
        await settled()
        assert finished < len(calls), "none of them waits"
        then()
        scope.deadline = anyio.current_time() + AT_ONCE
        with scope:
            while finished < len(calls):  # noqa: ASYNC110 - in virtual time
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    if scope.cancelled_caught:
        raise SleptOn(f"{finished} of {len(calls)} calls have resumed")


async def _for_a_topic(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
    await gathered([lambda: producer.send("late", b"v")], lambda: cluster.core.state.create_topic("late"))


async def _many_for_a_topic(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [lambda: producer.send("late", b"v")] * 20
    calls += [lambda: producer.submit("late", b"v"), lambda: producer.partitions_for("late")] * 5
    await gathered(calls, lambda: cluster.core.state.create_topic("late"))


async def _for_room(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
    cluster.hold()
    producer.submit_nowait("orders", b"x" * 2_500)
    calls: list[Callable[[], Awaitable[object]]] = [lambda: producer.submit("orders", b"x" * 400)] * 30
    calls += [lambda: producer.send("orders", b"x" * 400), lambda: producer.wait_for_buffer(2_000)] * 5
    await gathered(calls, cluster.release)


async def _for_room_alone(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
    cluster.hold()
    producer.submit_nowait("orders", b"x" * 2_500)
    await gathered([lambda: producer.send("orders", b"x" * 400)], cluster.release)


async def _for_a_delivery(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
    cluster.hold()
    deliveries = [producer.submit_nowait("orders", b"v") for _ in range(5)]

    async def wait(index: int) -> None:
        await deliveries[index % 5]

    await gathered([partial(wait, index) for index in range(40)], cluster.release)


async def _flush_of_what_lingers(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
    cluster.hold()
    producer.submit_nowait("orders", b"v")
    await gathered([producer.flush, producer.flush], cluster.release)


async def _close_of_what_lingers(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
    cluster.hold()
    producer.submit_nowait("orders", b"v")
    await gathered([producer.close, producer.close], cluster.release)


async def _close_of_others(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
    cluster.hold()
    told: list[Delivery] = []
    producer.submit_nowait("orders", b"x" * 2_500, on_delivery=told.append)  # watched: flush has no reason to raise

    async def refused(call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(ProducerClosedError):
            await call()

    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: refused(lambda: producer.submit("orders", b"x" * 400)),
        lambda: refused(lambda: producer.send("late", b"v")),
        lambda: refused(lambda: producer.partitions_for("late")),
        lambda: refused(lambda: producer.wait_for_buffer(2_000)),
        producer.flush,
    ]
    async with anyio.create_task_group() as tasks:
        await gathered(calls, lambda: tasks.start_soon(producer.close, 0))


async def _a_refused_connection_is_tried_again(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
    cluster.weather.is_refusing = True
    cluster.drop()
    producer.submit_nowait("orders", b"v")
    attempts = cluster.attempts
    await anyio.sleep(0.3)
    assert cluster.attempts > attempts, "it has not tried"

    def accept() -> None:
        cluster.weather.is_refusing = False

    await gathered([lambda: producer.send("orders", b"v")], accept)


async def _a_broken_connection_is_made_again(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
    cluster.hold()

    def breaks() -> None:
        cluster.drop()
        cluster.release()

    await gathered([lambda: producer.send("orders", b"v")], breaks)


async def _many_requests_in_a_calm(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
    await producer.send("orders", b"v")  # until then only one is in flight
    cluster.hold()
    deliveries = [producer.submit_nowait("orders", b"x" * 400) for _ in range(4)]

    async def all_of_them() -> None:
        for delivery in deliveries:
            await delivery

    await gathered([all_of_them], cluster.release)


async def _the_background_is_cancelled(producer: Producer[bytes, bytes], cluster: MemoryCluster) -> None:
    cluster.hold()
    delivery = producer.submit_nowait("orders", b"x" * 2_500)

    async def ended(call: Callable[[], Awaitable[object]]) -> None:
        with contextlib.suppress(FatalProducerError, UndeliveredError):
            await call()

    async def wait() -> None:
        await delivery

    calls: list[Callable[[], Awaitable[object]]] = [
        partial(ended, call)
        for call in (
            lambda: producer.submit("orders", b"x" * 400),
            lambda: producer.send("late", b"v"),
            lambda: producer.partitions_for("late"),
            lambda: producer.wait_for_buffer(2_000),
            producer.flush,
            wait,
        )
    ]
    runtime = producer._lifecycle.runtime  # pyright: ignore[reportPrivateUsage]
    tasks: Any = getattr(runtime, "_tasks")  # noqa: B009 - private to it; somebody cancels all that runs
    await gathered(calls, tasks.cancel_scope.cancel)


CHECKS: Final[dict[str, tuple[dict[str, Any], Check]]] = {
    "for a topic": (ROOMY, _for_a_topic),
    "for a topic, many": (ROOMY, _many_for_a_topic),
    "for room": (SMALL, _for_room),
    "for room, alone": (SMALL, _for_room_alone),
    "for a delivery": (ROOMY, _for_a_delivery),
    "flush": ({**ROOMY, "linger_ms": 60_000}, _flush_of_what_lingers),
    "close": ({**ROOMY, "linger_ms": 60_000}, _close_of_what_lingers),
    "close of others": (SMALL, _close_of_others),
    "refused": ({**ROOMY, "reconnect_backoff_max_ms": 50}, _a_refused_connection_is_tried_again),
    "broken": (ROOMY, _a_broken_connection_is_made_again),
    "calm": (SMALL, _many_requests_in_a_calm),
    "the background is cancelled": (SMALL, _the_background_is_cancelled),
}
NOISY: Final = {"refused", "broken", "the background is cancelled"}


def play(name: str) -> list[str]:
    """Run one check; return what was wrong, and what was logged that someone should look at."""
    settings, check = CHECKS[name]
    problems: list[str] = []
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("aioproducer")
    logger.addHandler(handler)

    async def main() -> None:
        cluster = MemoryCluster()
        cluster.core.state.create_topic("orders")
        async with cluster.running():
            producer = Producer[bytes, bytes](
                bootstrap_servers=cluster.bootstrap_servers,
                connect=cluster.connect,
                allow_auto_create_topics=False,
                **settings,
            )
            await producer.start()
            await producer.partitions_for("orders")
            try:
                await check(producer, cluster)
            except* SleptOn as errors:
                problems.extend(map(str, errors.exceptions))
            cluster.release()
            with anyio.move_on_after(AT_ONCE) as scope:
                await producer.close()
            if scope.cancelled_caught:
                problems.append("close has not returned")

    try:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        logger.removeHandler(handler)
    return problems if name in NOISY else problems + lines


@pytest.mark.parametrize("name", CHECKS)
def test_resumes_at_once(name: str) -> None:
    assert play(name) == []
