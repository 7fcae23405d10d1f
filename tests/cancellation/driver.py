"""Cancels a call before the k-th step that the event loop takes while the call runs, for every k there is.

A step is one callback of asyncio, one step of a task of trio: of any task, so that the points between two suspensions
of the call are among them, such as the one at which it was woken already but has not resumed.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVarTuple

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.abc
import trio.testing

from aioproducer import Producer
from aioproducer._producer import send_path
from aioproducer.testing._broker.state import Options
from tests.contract.support import producer_tasks
from tests.simulation_producer.ledger import Ledger
from tests.simulation_producer.network import MemoryCluster

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator
    from contextvars import Context

Arguments = TypeVarTuple("Arguments")
Flavour = Literal["asyncio task", "asyncio scope", "trio scope"]
FLAVOURS: Final[tuple[Flavour, ...]] = ("asyncio task", "asyncio scope", "trio scope")
SECONDS: Final = 5.0
"""Whatever a test waits for takes less; of the loop's clock."""


class Steps:
    """Counts the steps of the loop while it is armed.

    Attributes:
        count: so far.
        has_fired: whether the step was reached.
    """

    def __init__(self) -> None:
        self.count = 0
        self.has_fired = False
        self._at = 0
        self._fire: Callable[[], object] | None = None

    def arm(self, at: int, fire: Callable[[], object]) -> None:
        """Call `fire` before the step of that number, the first being 1."""
        self._at = at
        self._fire = fire

    def disarm(self) -> None:
        """Count no more."""
        self._fire = None

    def tick(self) -> None:
        """A step is about to be taken."""
        if self._fire is None:
            return
        self.count += 1
        if self.count == self._at:
            self.has_fired = True
            self._fire()


class SteppingLoop(asyncio.SelectorEventLoop):
    """An event loop of asyncio that counts its steps."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps

    def call_soon(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        def take_step() -> None:
            self._steps.tick()
            callback(*args)

        return super().call_soon(take_step, context=context)


class _SteppingInstrument(trio.abc.Instrument):
    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self._steps.tick()


@dataclass
class Stage:
    """What a play is played on.

    Attributes:
        problems: what was found to be wrong.
        is_helping: whether the helping task is not at its end yet.
    """

    cluster: MemoryCluster
    producer: Producer[bytes, bytes]
    ledger: Ledger
    problems: list[str]
    tasks: anyio.abc.TaskGroup = field(init=False)
    is_helping: bool = True

    def expect(self, is_so: bool, problem: str) -> None:
        """Note a problem unless it is so."""
        if not is_so:
            self.problems.append(problem)

    def nothing_is_open(self, when: str) -> None:
        """Expect neither a connection nor a task of the producer."""
        self.expect(not self.cluster.streams, f"{len(self.cluster.streams)} connections are open {when}")
        self.expect(not producer_tasks(), f"tasks are left {when}: {producer_tasks()}")


class Play:
    """A call to cancel, and what is around it.

    Attributes:
        settings: of the producer.
        options: of the cluster.
        is_running: whether the producer is running afterwards, and has to be usable.
        topics: that exist from the beginning, with one partition each.
        tolerated: lines that are logged rightly contain one of these.
        trio_orders: trio runs what can run in a random order; so many of them are tried for each point.
        least_steps: the call takes at least so many, or it was not the one that was meant.
    """

    settings: dict[str, Any]
    options: Options = Options()
    is_running = True
    topics: tuple[str, ...] = ("orders",)
    tolerated: tuple[str, ...] = ()
    trio_orders = 3
    least_steps = 5

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    async def prepare(self, stage: Stage) -> None:
        """What happens before."""
        await stage.producer.start()
        await stage.producer.partitions_for("orders")

    async def call(self, stage: Stage) -> None:
        """What is cancelled."""
        raise NotImplementedError

    async def help(self, stage: Stage) -> None:
        """What happens meanwhile, in another task that is not cancelled."""

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        """What must be so at once, when the call is over."""

    async def proceed(self, stage: Stage) -> None:
        """What must be possible afterwards."""
        await stage.ledger.send(stage.producer, "orders")

    def problems(self, stage: Stage) -> list[str]:
        """What is wrong, now that the producer is closed, besides what the ledger finds."""
        del stage
        return []


async def settled(passes: int = 4) -> None:
    """Let other tasks take a few steps."""
    for _ in range(passes):
        await anyio.lowlevel.checkpoint()


def play_at_every_point(make: Callable[[], Play], flavour: Flavour) -> int:
    """Play once for each step, cancelling there, until the call is over before; return how many steps that were.

    Raises:
        AssertionError: something was wrong; says at which steps.
    """
    problems: list[str] = []
    steps = 0
    for order in range(make().trio_orders if flavour == "trio scope" else 1):
        for point in itertools.count(1):
            play = make()
            has_fired, found = _play_once(play, flavour, point, order)
            problems += [f"cancelled at step {point} (order {order}): {problem}" for problem in found]
            if not has_fired or len(problems) > 20:
                steps = point - 1
                assert problems or steps >= play.least_steps, "the call is shorter than it should be"
                break
    assert not problems, "\n".join(problems)
    return steps


def _play_once(play: Play, flavour: Flavour, point: int, order: int) -> tuple[bool, list[str]]:
    steps = Steps()
    problems: list[str] = []
    perform = _with_task if flavour == "asyncio task" else _with_scope
    with _logged() as lines, pytest.MonkeyPatch.context() as patch:
        # A filled batch lets others have their turn; the real clock, by which they have it else, has no part in this.
        patch.setattr(send_path, "YIELD_BATCHES", 1)
        patch.setattr(send_path, "YIELD_MS", 10**15)
        if flavour == "trio scope":
            importlib.import_module("trio._core._run")._r.seed(1_000 * order + point)
            trio.run(
                _main,
                play,
                steps,
                point,
                perform,
                problems,
                clock=trio.testing.MockClock(autojump_threshold=0),
                instruments=[_SteppingInstrument(steps)],
            )
        else:
            with asyncio.Runner(loop_factory=lambda: SteppingLoop(steps)) as runner:
                told: list[str] = []
                runner.get_loop().set_exception_handler(lambda _, context: told.append(str(context)))
                runner.run(_main(play, steps, point, perform, problems))
            problems += told
    return steps.has_fired, problems + [line for line in lines if not any(each in line for each in play.tolerated)]


@contextmanager
def _logged() -> Generator[list[str]]:
    """The lines at WARNING and above."""
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"logged: {self.format(record)}")

    handler = Collect(logging.WARNING)
    logger = logging.getLogger("aioproducer")
    logger.addHandler(handler)
    was_propagating, logger.propagate = logger.propagate, False
    try:
        yield lines
    finally:
        logger.propagate = was_propagating
        logger.removeHandler(handler)


Perform = Callable[[Play, Stage, Steps, int], "Awaitable[bool]"]


async def _with_scope(play: Play, stage: Stage, steps: Steps, point: int) -> bool:
    with anyio.CancelScope() as scope:
        steps.arm(point, scope.cancel)
        try:
            await play.call(stage)
        finally:
            steps.disarm()
    return scope.cancelled_caught


async def _with_task(play: Play, stage: Stage, steps: Steps, point: int) -> bool:
    async def call() -> None:
        try:
            await play.call(stage)
        finally:
            steps.disarm()

    task = asyncio.ensure_future(call())
    steps.arm(point, task.cancel)
    await asyncio.wait([task])
    if task.cancelled():
        return True
    task.result()
    return False


async def _main(play: Play, steps: Steps, point: int, perform: Perform, problems: list[str]) -> None:
    cluster = MemoryCluster(options=play.options)
    for topic in play.topics:
        cluster.core.state.create_topic(topic)
    ledger = Ledger()
    producer = Producer[bytes, bytes](
        bootstrap_servers=cluster.bootstrap_servers,
        connect=cluster.connect,
        allow_auto_create_topics=False,
        interceptors=[ledger],
        **play.settings,
    )
    stage = Stage(cluster, producer, ledger, problems)
    async with cluster.running(), anyio.create_task_group() as stage.tasks:
        with anyio.move_on_after(SECONDS) as limit:
            await play.prepare(stage)
            stage.tasks.start_soon(_help, play, stage)
            was_cancelled = await perform(play, stage, steps, point)
            await play.verify(stage, was_cancelled=was_cancelled)
            if play.is_running:
                while _others(stage):  # noqa: ASYNC110 - calls of any kind, from any task
                    await anyio.sleep(0.001)
        stage.expect(not limit.cancelled_caught, f"the call, or another, hung: {_others(stage)}")
        await _finish(play, stage)
    if play.is_running or producer.statistics():
        _check_figures(stage)
    problems += ledger.problems(cluster.core.state) + play.problems(stage)


async def _finish(play: Play, stage: Stage) -> None:
    """The producer still works, and closes."""
    cluster, producer = stage.cluster, stage.producer
    with anyio.move_on_after(SECONDS) as limit:
        if play.is_running:
            stage.expect(producer.status().is_ready, "the producer is not ready any more")
            await play.proceed(stage)
            await producer.flush()
        await producer.close()
    stage.expect(not limit.cancelled_caught, "the next record, or close, hung")
    stage.nothing_is_open("after close")
    cluster.release()
    await settled(10)
    stage.expect(not _others(stage), f"still waiting after close: {_others(stage)}")
    stage.tasks.cancel_scope.cancel()


async def _help(play: Play, stage: Stage) -> None:
    stage.is_helping = True
    await play.help(stage)
    stage.is_helping = False


def _others(stage: Stage) -> list[str]:
    """Calls of other tasks that are not over."""
    calls = [str(entry) for entry in stage.ledger.entries if not entry.is_over]
    return [*calls, "the helping task"] if stage.is_helping else calls


def _check_figures(stage: Stage) -> None:
    figures = stage.producer.statistics()
    free, total = figures["buffer-available-bytes"], figures["buffer-total-bytes"]
    stage.expect(free == total, f"{total - free} bytes of buffer_memory are lost")
    for name in ("connection-count", "requests-in-flight", "waiting-threads"):
        stage.expect(not figures[name], f"{name} is {figures[name]} after close")
