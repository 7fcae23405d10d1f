"""A hostile host: the process around a producer is short of something, or somebody tampers with it.

Each condition holds for a while, in which records are sent and connections lost; then all is well again.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import resource
import sys
import threading
import time
import warnings
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import anyio
import anyio.to_thread

from aioproducer import KafkaError, Producer
from aioproducer.testing import BlockingCluster, EmbeddedCluster
from tests.attack.law import Ledger, Verdict, bounded, bounded_cost, logging_to, nothing_left, quiet, run_in
from tests.attack.play import new_producer
from tests.attack.points import Handler, Strike

TOPICS: Final = ("t", "good")
CPU_SECONDS: Final = 4.0
BLOCKED_SECONDS: Final = 0.7
THREADS: Final = 40
"""More than asyncio's default executor has, and as many as anyio lets run."""

FRAMES: Final = 90
"""What a low recursion limit leaves above the frames of the loop."""

SETTINGS: Final[dict[str, Any]] = {"request_timeout_ms": 400, "delivery_timeout_ms": 1_200, "max_block_ms": 1_200}
LOOP_MODULES: Final = ("asyncio", "trio", "anyio", "uvloop", "selectors", "threading", "concurrent")
"""What asks for the time and is no part of the program; whoever patches clocks lets those have the real one."""


@dataclass
class Host:
    """A producer in a process that a condition is about.

    Attributes:
        may_fail: records may fail while the condition holds.
        is_ended: the condition ends the producer: it is closed and started again afterwards.
        is_left: the loop ends without close; another loop closes and starts it again.
    """

    loop: str
    verdict: Verdict
    cluster: BlockingCluster
    ledger: Ledger = field(default_factory=Ledger)
    may_fail: bool = False
    is_ended: bool = False
    is_left: bool = False

    def __post_init__(self) -> None:
        # By a name, which has to be looked up again when connections are lost.
        servers = [server.replace("127.0.0.1", "localhost") for server in self.cluster.bootstrap_servers]
        settings: dict[str, Any] = {**SETTINGS, "bootstrap_servers": servers}
        self.producer: Producer[str, str] = new_producer(self.cluster, Strike("", ""), None, **settings)

    async def send(self, when: str) -> None:
        """Send a record to each topic."""
        for topic in TOPICS:
            send = partial(self.ledger.send, topic, partial(self.producer.send, topic))
            await bounded(self.verdict, f"a send to {topic} {when}", send, self.is_allowed)

    def is_allowed(self, error: BaseException) -> bool:
        """Whether a call may raise that."""
        return self.may_fail and isinstance(error, KafkaError)

    async def traffic(self) -> None:
        """Send records, and lose connections."""
        await self.send("meanwhile")
        self.cluster.drop_connections()
        for _ in range(3):
            await self.send("after connections were lost")
        await bounded(self.verdict, "flush", self.producer.flush, self.is_allowed)
        self.producer.status()
        self.producer.statistics()


Condition = Callable[[Host], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def executor_full(host: Host) -> AsyncGenerator[None]:
    """Every thread that the loop has for blocking calls is busy."""
    released = threading.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(THREADS):
            tasks.start_soon(_wait_in_a_thread, released)
        if host.loop != "trio":
            executor = [asyncio.get_running_loop().run_in_executor(None, released.wait) for _ in range(THREADS)]
            tasks.start_soon(asyncio.wait, executor)
        await anyio.sleep(0.05)
        try:
            yield
        finally:
            released.set()


async def _wait_in_a_thread(event: threading.Event) -> None:
    await anyio.to_thread.run_sync(event.wait)


@contextmanager
def _clocks(tell: Callable[[float], float]) -> Generator[None]:
    """The program's clocks tell something else, and its sleep does not sleep; as libraries for tests do it."""
    names, here = ("time", "monotonic", "perf_counter"), threading.get_ident()
    real = {name: getattr(time, name) for name in (*names, "sleep")}

    def fake(name: str) -> Callable[[], float]:
        def now() -> float:
            caller = str(sys._getframe(1).f_globals.get("__name__"))  # pyright: ignore[reportPrivateUsage]
            value: float = real[name]()
            return value if caller.startswith(LOOP_MODULES) or threading.get_ident() != here else tell(value)

        return now

    for name in names:
        setattr(time, name, fake(name))
    time.sleep = lambda seconds, /: None
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(time, name, function)


@asynccontextmanager
async def clocks_frozen(host: Host) -> AsyncGenerator[None]:
    """Clocks always tell the same."""
    del host
    with _clocks(lambda now: 1_000_000.0):
        yield


@asynccontextmanager
async def clocks_jumping(host: Host) -> AsyncGenerator[None]:
    """Clocks jump by hours, forth and back."""
    del host
    offsets = iter(range(10**9))
    with _clocks(lambda now: now + (-1) ** next(offsets) * 7_200):
        yield


class _Request:
    """What a program keeps in a context variable."""


_request: contextvars.ContextVar[_Request | None] = contextvars.ContextVar("request", default=None)


@asynccontextmanager
async def context_kept(host: Host) -> AsyncGenerator[None]:
    """The producer is started while a request is served, whose context must not live as long as the producer."""
    await host.producer.close()  # without a time limit: the timer of one, cancelled, keeps its context until it is due
    request = _Request()
    _request.set(request)
    await host.producer.start()
    await host.producer.send("t", host.ledger.new("t").value)
    left = weakref.ref(request)
    _request.set(None)
    del request
    yield
    end = anyio.current_time() + 2 * SETTINGS["max_block_ms"] / 1000
    while left() is not None and anyio.current_time() < end:  # asyncio keeps a timer that is cancelled until it is due
        gc.collect()
        await anyio.sleep(0.02)
    host.verdict.expect(left() is None, "the context in which it was started is kept")


@asynccontextmanager
async def tasks_cancelled(host: Host) -> AsyncGenerator[None]:
    """Somebody cancels every task that there is."""
    host.may_fail = host.is_ended = True
    current = asyncio.current_task()
    for task in asyncio.all_tasks():
        if task is not current:
            task.cancel()
    await anyio.sleep(0.05)
    yield


@asynccontextmanager
async def loop_left(host: Host) -> AsyncGenerator[None]:
    """The loop ends, and nobody has closed the producer."""
    host.is_left = True
    yield


@asynccontextmanager
async def forked(host: Host) -> AsyncGenerator[None]:
    """The process is forked, and the child, which has everything twice, drops it and ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del host.producer
            gc.collect()
        os._exit(0)
    await anyio.to_thread.run_sync(os.waitpid, child, 0)
    yield


class _Broken(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("the disk of the log is full")


@asynccontextmanager
async def logging_broken(host: Host) -> AsyncGenerator[None]:
    """No line can be logged."""
    del host
    logger, handler = logging.getLogger("aioproducer"), _Broken()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


@asynccontextmanager
async def collector_off(host: Host) -> AsyncGenerator[None]:
    """Circles are never collected."""
    del host
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@asynccontextmanager
async def collector_busy(host: Host) -> AsyncGenerator[None]:
    """Circles are looked for all the time."""
    del host
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(2, 1000, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@asynccontextmanager
async def recursion_low(host: Host) -> AsyncGenerator[None]:
    """There is little room on the stack."""
    del host
    before, depth, frame = sys.getrecursionlimit(), 0, sys._getframe()  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(depth + FRAMES)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@asynccontextmanager
async def descriptors_exhausted(host: Host) -> AsyncGenerator[None]:
    """No file and no socket can be opened; connections are lost meanwhile."""
    host.may_fail = True
    limits, taken = resource.getrlimit(resource.RLIMIT_NOFILE), list[int]()
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, limits[1]))
    try:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_take_descriptors, taken)
                yield
                scope.cancel()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in taken:
            os.close(descriptor)
        host.may_fail = False


async def _take_descriptors(taken: list[int]) -> None:
    while True:
        try:
            taken.append(os.dup(0))
        except OSError:
            await anyio.sleep(0.002)


@asynccontextmanager
async def loop_blocked(host: Host) -> AsyncGenerator[None]:
    """Something holds the loop, with records and answers on their way."""
    entry = host.ledger.new("in flight")
    host.producer.submit_nowait("t", entry.value, on_delivery=entry.on_delivery)
    await anyio.sleep(0.001)
    time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251 - that is it
    yield
    host.verdict.expect(entry.acknowledged is not None, f"a record in flight ended as {entry.failed!r}")


CONDITIONS: Final[dict[str, Condition]] = {
    "executor full": executor_full,
    "clocks frozen": clocks_frozen,
    "clocks jumping": clocks_jumping,
    "context kept": context_kept,
    "tasks cancelled": tasks_cancelled,
    "loop left": loop_left,
    "forked": forked,
    "logging broken": logging_broken,
    "collector off": collector_off,
    "collector busy": collector_busy,
    "recursion low": recursion_low,
    "descriptors exhausted": descriptors_exhausted,
    "loop blocked": loop_blocked,
}


def can_be(condition: str, loop: str) -> bool:
    """Whether a loop can be attacked in this way: trio lets nobody cancel the tasks of others."""
    return loop != "trio" or condition != "tasks cancelled"


def attack_host(condition: str, loop: str) -> list[str]:
    """Play one attack; return what was wrong."""
    verdict = Verdict()
    handler = Handler(Strike("", ""))
    with bounded_cost(verdict, CPU_SECONDS), nothing_left(verdict, loop), logging_to(handler):  # noqa: SIM117
        with EmbeddedCluster.running(brokers=2, partitions=1) as cluster, warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # of what is left on purpose
            for leader, topic in enumerate(TOPICS):
                cluster.create_topic(topic, 1)
                cluster.move_leader(topic, 0, to=leader)
            host = Host(loop, verdict, cluster)
            try:
                run_in(loop, partial(_play, host, CONDITIONS[condition]))
                if host.is_left:
                    run_in(loop, partial(_in_another_loop, host))
            except BaseException as raised:
                verdict.problems.append(f"the program ended with {raised!r}")
            verdict.problems += host.ledger.problems(record for topic in TOPICS for record in cluster.records(topic))
            del host
    is_told = condition == "tasks cancelled"  # that it is at its end is to be told
    verdict.problems += [] if is_told else [f"critical: {line}" for line in handler.critical]
    return verdict.problems


async def _play(host: Host, condition: Condition) -> None:
    producer, verdict = host.producer, host.verdict
    await producer.start()
    await host.send("before")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(condition(host))
        if host.is_left:
            await host.send("before the end")
            return
        await host.traffic()
    host.may_fail = False
    if host.is_ended:
        await bounded(verdict, "close", producer.close)
        await bounded(verdict, "start", producer.start)
    await host.send("afterwards")
    await bounded(verdict, "partitions_for", partial(producer.partitions_for, "t"))
    await bounded(verdict, "close", producer.close)
    await quiet(verdict)


async def _in_another_loop(host: Host) -> None:
    """A producer whose loop is gone can be closed, started and used."""
    await bounded(host.verdict, "close in another loop", host.producer.close)
    await bounded(host.verdict, "start in another loop", host.producer.start)
    await host.send("in another loop")
    await bounded(host.verdict, "close", host.producer.close)
    await quiet(host.verdict)
