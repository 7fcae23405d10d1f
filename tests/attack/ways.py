"""What may happen to a public call: it is cancelled, times out, is made from a callback, at a wrong time or place.

A call is any of calls.py; what must hold is in law.py. One way with one call on one loop is one attack.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from aioproducer import Delivery, IllegalStateError, KafkaError, Producer, ThreadEntry, Transaction
from aioproducer.errors import ErrorCode
from aioproducer.testing import EmbeddedCluster
from tests.attack.calls import LINE, TOPIC, Call, Kind, awaited
from tests.attack.law import BOUND, Ledger, Verdict, bounded, bounded_cost, logging_to, nothing_left, quiet, run_in
from tests.attack.play import new_producer
from tests.attack.points import Handler, Strike
from tests.contract.support import until

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

CANCELLING: Final = ("cancelled before", "cancelled at each await", "timed out", "given up")
HOOKS: Final = (
    "on_delivery",
    "done_callback",
    "on_error",
    "value_serializer",
    "partitioner",
    "on_send",
    "on_acknowledgement",
    "log_handler",
    "__del__",
    "signal",
)
STATES: Final = ("before start", "after close", "while closing")
PLACES: Final = ("another thread", "another loop", "forked child")
WAYS: Final = (*CANCELLING, *HOOKS, *STATES, *PLACES)

NEIGHBOUR: Final = "good"
"""A topic that another broker leads."""

GAP: Final = 1.5
"""Seconds: so long a record of the neighbour may take meanwhile."""

CPU_SECONDS: Final = 4.0
CHILD_SECONDS: Final = 5
TIMES: Final = 20
"""So often a call is made in the middle of something."""

SUSPENSIONS: Final = 200
SETTINGS: Final[dict[str, Any]] = {"request_timeout_ms": 300, "delivery_timeout_ms": 1_000, "max_block_ms": 1_000}


def applies(call: Call, way: str) -> bool:
    """Whether there is such an attack."""
    if way in CANCELLING:
        return call.kind is Kind.AWAITED
    if way == "on_error" and call.needs_transactions:
        return False  # there the commit tells
    if way == "before start":
        return call.owner in {"Producer", "TopicHandle"}  # the others come from a producer that was started
    return way != "another loop" or call.kind is not Kind.PLAIN  # to a plain call that is another thread


class Trap(Strike):
    """A strike that does not raise but calls something, at most so often."""

    def __init__(self, point: str, call: Callable[[], object], times: int = 1) -> None:
        super().__init__(point, "")
        self._call = call
        self._times = times

    def at(self, point: str) -> None:
        if self.is_armed and point == self.point and self.struck < self._times:
            self.is_armed = False  # not in itself
            self.struck += 1
            try:
                self._call()
            finally:
                self.is_armed = True


@dataclass
class Scene:
    """A call with all that it needs.

    Attributes:
        transaction, delivery, entry: what the call is made on, if it is a call of those.
        pending: calls that were started from a callback and are not over.
        is_disturbed: the neighbour may be refused, as the producer is closed or is not started.
        longest: what the neighbour had to wait for one record.
    """

    call: Call
    way: str
    verdict: Verdict
    cluster: EmbeddedCluster
    tasks: TaskGroup
    ledger: Ledger = field(default_factory=lambda: Ledger(LINE))
    transaction: Transaction | None = None
    delivery: Delivery | None = None
    entry: ThreadEntry[Any, Any] | None = None
    pending: int = 0
    is_disturbed: bool = False
    longest: float = 0.0

    def __post_init__(self) -> None:
        times = TIMES if self.way in {"__del__", "signal"} else 1
        self.trap = Trap(self.way, self.fire, times)
        settings: dict[str, Any] = SETTINGS | ({"transactional_id": "x"} if self.call.needs_transactions else {})
        self.producer: Producer[str, str] = new_producer(self.cluster, self.trap, None, **settings)
        self.soon = _soon()

    @property
    def target(self) -> Any:
        """What the call is made on."""
        match self.call.owner:
            case "Producer":
                return self.producer
            case "TopicHandle":
                return self.producer.topic(TOPIC)
            case "ThreadEntry":
                return self.entry
            case "Transaction":
                return self.transaction
            case _:
                return self.delivery

    # ── around the call ──────────────────────────────────────────────────────────────────────────────────────────────

    async def arrange(self) -> None:
        """Have what the call is made on, in the state in which it does something."""
        if self.call.owner == "ThreadEntry":
            self.entry = self.producer.thread_entry()
        if self.call.owner == "Transaction":
            await self.end_transaction()
            self.transaction = await self.producer.begin_transaction()
            await self.submit()
        if self.call.owner == "Delivery":
            self.delivery = await self.submit()
        if self.call.name in {"start", "__aenter__"} and self.way in CANCELLING:
            self.is_disturbed = True
            await self.bounded("close", self.producer.close)

    async def submit(self) -> Delivery:
        """Submit a record of the calls' line."""
        entry = self.ledger.new(LINE)
        return await self.producer.submit(TOPIC, entry.value, on_delivery=entry.on_delivery)

    async def end_transaction(self) -> None:
        """End what may be open, in whatever way it can be."""
        transaction, self.transaction = self.transaction, None
        for end in () if transaction is None else (transaction.abort, transaction.commit):
            try:
                await end()
            except KafkaError:
                continue
            return

    async def recover(self) -> None:
        """After whatever happened the producer works, or is closed and works once it is started again."""
        if self.call.needs_transactions:
            with anyio.move_on_after(BOUND):
                await self.end_transaction()
        if self.is_disturbed or self.call.is_end:
            await self.bounded("close", self.producer.close)
            await self.bounded("start", self.producer.start)
            self.is_disturbed = False
        for topic in (TOPIC, NEIGHBOUR):
            await self.bounded(f"a send to {topic} afterwards", partial(self.send, topic))

    async def send(self, topic: str) -> None:
        """Send a record as the producer has to."""
        if self.call.needs_transactions:
            async with self.producer.transaction():
                await self.ledger.send(f"after {topic}", partial(self.producer.send, topic))
        else:
            await self.ledger.send(f"after {topic}", partial(self.producer.send, topic))

    async def bounded(self, what: str, call: Callable[[], Awaitable[object]], *, may_fail: bool = False) -> None:
        """Make a call, which ends in time, and in no error unless it may."""
        await bounded(self.verdict, what, call, lambda error: may_fail and isinstance(error, KafkaError))

    async def neighbour(self) -> None:
        """Send on, to another topic at another broker."""
        while True:
            began = anyio.current_time()
            try:
                await self.ledger.send(NEIGHBOUR, partial(self.producer.send, NEIGHBOUR))
            except IllegalStateError:
                self.verdict.expect(self.is_disturbed or self.call.is_end, "a record to another topic was refused")
            except KafkaError as error:
                self.verdict.problems.append(f"a record to another topic: {error!r}")
            else:
                self.longest = max(self.longest, anyio.current_time() - began)
            await anyio.sleep(0.005)

    # ── the call ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def make(self) -> None:
        """Make the call where it is at home, and note what it gave."""
        try:
            if self.call.kind is Kind.AWAITED:
                given = await awaited(self.call, self.target, self.ledger)
            elif self.call.kind is Kind.BLOCKING:
                given = await anyio.to_thread.run_sync(self.call.on, self.target, self.ledger)
            else:
                given = self.call.on(self.target, self.ledger)
        except KafkaError:
            return
        self.keep(given)

    def keep(self, given: object) -> None:
        """Keep what has to be ended."""
        if isinstance(given, Transaction):
            self.transaction = given

    def fire(self) -> None:
        """Make the call in the middle of something else, from a plain function."""
        if self.call.kind is Kind.AWAITED:
            self.pending += 1
            self.soon(partial(self.tasks.start_soon, self._fired))
            return
        try:
            self.keep(self.call.on(self.target, self.ledger))
        except KafkaError:
            pass
        except BaseException as error:
            self.verdict.problems.append(f"it raised {error!r}")
        else:
            is_blocking = self.call.kind is Kind.BLOCKING
            self.verdict.expect(not is_blocking, "a call that blocks was let in on the thread of the loop")

    async def _fired(self) -> None:
        try:
            await self.bounded("the call", self.make)
        finally:
            self.pending -= 1


def _soon() -> Callable[[Callable[[], object]], object]:
    """Return what has a function called in the loop, from anywhere: a signal handler, a finalizer."""
    if "trio" in sys.modules:
        import trio

        if trio.lowlevel.in_trio_run():
            return trio.lowlevel.current_trio_token().run_sync_soon
    # In a context of a task: in one without variables anyio does not know which loop it is on.
    return partial(asyncio.get_running_loop().call_soon_threadsafe, context=contextvars.copy_context())


def attack_call(call: Call, way: str, loop: str) -> list[str]:
    """Play one attack; return what was wrong."""
    verdict = Verdict()

    async def main() -> None:
        async with EmbeddedCluster(brokers=2, partitions=1) as cluster:
            for topic, leader in ((NEIGHBOUR, 0), (TOPIC, 1)):
                await cluster.create_topic(topic, 1)
                cluster.move_leader(topic, 0, to=leader)
            async with anyio.create_task_group() as tasks:
                scene = Scene(call, way, verdict, cluster, tasks)
                with logging_to(Handler(scene.trap), 10):
                    await _play(scene, loop)
            await quiet(verdict)

    with bounded_cost(verdict, CPU_SECONDS), nothing_left(verdict, loop):
        try:
            run_in(loop, main)
        except BaseException as raised:
            verdict.problems.append(f"the program ended with {raised!r}")
    return verdict.problems


async def _play(scene: Scene, loop: str) -> None:
    producer, verdict = scene.producer, scene.verdict
    try:
        if scene.way != "before start":
            await producer.start()
            if not scene.call.needs_transactions:
                await scene.send(TOPIC)
                scene.tasks.start_soon(scene.neighbour)
            await scene.arrange()
        await _disturb(scene, loop)
        scene.trap.is_armed = False
        await scene.bounded("the calls that were started", partial(until, lambda: not scene.pending, BOUND))
        await scene.recover()
    finally:
        scene.tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await scene.bounded("close", producer.close)
    verdict.expect(scene.longest < GAP, f"a record to another topic took {scene.longest:.1f} s")
    log = [record for topic in (TOPIC, NEIGHBOUR) for record in scene.cluster.records(topic)]
    verdict.problems += scene.ledger.problems(log)


async def _disturb(scene: Scene, loop: str) -> None:
    match scene.way:
        case "cancelled before":
            scope = anyio.CancelScope()
            scope.cancel()
            await scene.bounded("the call", partial(_within, scope, scene.make))
        case "cancelled at each await":
            await _cancelled_at_each(scene)
        case "timed out" | "given up":
            seconds = 0.05 if scene.way == "given up" else BOUND
            with scene.cluster.black_hole(broker=1):
                scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)
                await scene.bounded("the call", partial(_within, scope, scene.make))
            scene.is_disturbed = scene.call.name in {"start", "__aenter__"}
        case "before start" | "after close" | "while closing":
            await _in_a_state(scene)
        case "another thread" | "another loop" | "forked child":
            await _elsewhere(scene, loop)
        case _:
            await _provoke(scene)


# ── cancelled ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Suspensions:
    """Awaits something, and calls a function before it is suspended for the so-and-so-manieth time."""

    def __init__(self, call: Callable[[], Coroutine[Any, Any, object]], at: int, fire: Callable[[], object]) -> None:
        self.count = 0
        self._call = call
        self._at = at
        self._fire = fire

    def __await__(self) -> Generator[Any, Any, object]:
        inner = self._call().__await__()
        sent: Any = None
        error: BaseException | None = None
        while True:
            try:
                asked = inner.send(sent) if error is None else inner.throw(error)
            except StopIteration as end:
                return end.value
            self.count += 1
            if self.count == self._at:
                self._fire()
            sent, error = None, None
            try:
                sent = yield asked
            except BaseException as raised:
                error = raised


async def _cancelled_at_each(scene: Scene) -> None:
    for number in range(1, SUSPENSIONS):
        if number > 1:
            await scene.arrange()
        scope = anyio.CancelScope()
        steps = Suspensions(scene.make, number, scope.cancel)
        await scene.bounded(
            f"the call, cancelled at its await {number},", partial(_within, scope, partial(_same, steps))
        )
        scene.is_disturbed = scene.is_disturbed or scene.call.name in {"start", "__aenter__"}
        if steps.count < number:
            return
        await scene.recover()
    scene.verdict.problems.append(f"it is suspended more than {SUSPENSIONS} times")


def _same(steps: Suspensions) -> Awaitable[object]:
    return steps


async def _within(scope: anyio.CancelScope, call: Callable[[], Awaitable[object]]) -> None:
    with scope:
        await call()


# ── called again from what the producer calls ────────────────────────────────────────────────────────────────────────


async def _provoke(scene: Scene) -> None:
    """Have the hook called, with records around it."""
    if scene.call.needs_transactions and scene.transaction is None:
        scene.transaction = await scene.producer.begin_transaction()
    scene.trap.is_armed = True
    match scene.way:
        case "on_error":
            with scene.cluster.fail_next(ErrorCode.INVALID_RECORD, topic=TOPIC):
                scene.producer.submit_nowait(TOPIC, "nobody waits for it")
                await scene.bounded("on_error", partial(until, lambda: scene.trap.struck > 0, BOUND))
        case "log_handler":
            scene.cluster.drop_connections()
            await scene.bounded("a line", partial(until, lambda: scene.trap.struck > 0, BOUND))
        case "__del__":
            with _collections(lambda: scene.trap.at("__del__")) as before_each:
                await _submit_many(scene, before_each)
        case "signal":
            with _signals(lambda: scene.trap.at("signal")):
                await _submit_many(scene, lambda: None)
        case _:
            await _submit_many(scene, lambda: None, 3)
    scene.verdict.expect(scene.trap.struck > 0, "it was never called")


async def _submit_many(scene: Scene, before_each: Callable[[], object], count: int = 60) -> None:
    for number in range(count):
        before_each()
        entry = scene.ledger.new(LINE)

        def on_delivery(delivery: Delivery, entry: Any = entry) -> None:
            entry.on_delivery(delivery)
            scene.trap.at("on_delivery")

        try:
            delivery = scene.producer.submit_nowait(TOPIC, entry.value, on_delivery=on_delivery)
            delivery.add_done_callback(lambda _: scene.trap.at("done_callback"))
        except KafkaError as error:
            entry.failed = error
        if number % 5 == 4:
            await anyio.sleep(0.001)
    await scene.bounded("flush", scene.producer.flush, may_fail=True)


class _Dropped:
    """Garbage that is in a circle, so that only a collection finds it, and then it acts."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.circle = self
        self.act = act

    def __del__(self) -> None:
        self.act()


@contextmanager
def _collections(act: Callable[[], object]) -> Generator[Callable[[], object]]:
    """Every few objects that are made, garbage is found, which acts; give what makes some."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what is there already need not be looked at each time
    gc.set_threshold(5, 1000, 1000)
    try:
        yield lambda: _Dropped(act)
    finally:
        gc.set_threshold(*before)
        gc.collect()  # here: what is found later would act in another attack
        gc.unfreeze()


@contextmanager
def _signals(act: Callable[[], object]) -> Generator[None]:
    """A signal handler acts, thousands of times a second."""
    receiver, is_over = threading.get_ident(), threading.Event()

    def send_signals() -> None:
        while not is_over.wait(0.0003):
            signal.pthread_kill(receiver, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda number, frame: act())
    thread = threading.Thread(target=send_signals)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


# ── at a wrong time ──────────────────────────────────────────────────────────────────────────────────────────────────


async def _in_a_state(scene: Scene) -> None:
    scene.is_disturbed = True
    match scene.way:
        case "before start":
            await scene.bounded("the call", scene.make)
        case "after close":
            await scene.bounded("close", scene.producer.close)
            await scene.bounded("the call", scene.make)
        case _:
            with scene.cluster.black_hole(broker=1):
                if not scene.call.needs_transactions or scene.transaction is not None:
                    await scene.submit()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(scene.bounded, "close", scene.producer.close)
                    await anyio.sleep(0.02)
                    await scene.bounded("the call", scene.make)


# ── in a wrong place ─────────────────────────────────────────────────────────────────────────────────────────────────


async def _elsewhere(scene: Scene, loop: str) -> None:
    target = scene.target  # made in the loop
    error: object
    match scene.way:
        case "another thread":
            error = await anyio.to_thread.run_sync(_first_step, scene, target)
        case "another loop":
            error = await anyio.to_thread.run_sync(_in_another_loop, scene, target, loop)
        case _:
            error = await _in_a_child(scene, target)
    told = f"it raised {error!r}" if isinstance(error, BaseException) else f"it ended with {error}"
    scene.verdict.expect(error is None or isinstance(error, KafkaError) or error == "KafkaError", told)
    if scene.call.owner != "Delivery" and scene.call.kind is Kind.AWAITED and error is None:
        scene.verdict.problems.append("it was let in")


def _first_step(scene: Scene, target: Any) -> BaseException | None:
    """Make the call up to where it would have to wait."""
    try:
        if scene.call.kind is Kind.AWAITED:
            made = awaited(scene.call, target, scene.ledger)
            try:
                made.send(None)
            except StopIteration:
                return None
            finally:
                made.close()
            return AssertionError("it waits in a thread without a loop")
        scene.keep(scene.call.on(target, scene.ledger))
    except BaseException as error:
        return error
    return None


def _in_another_loop(scene: Scene, target: Any, loop: str) -> BaseException | None:
    async def main() -> None:
        with anyio.fail_after(BOUND):
            if scene.call.kind is Kind.AWAITED:
                await awaited(scene.call, target, scene.ledger)
            else:
                scene.call.on(target, scene.ledger)

    try:
        run_in(loop, main)
    except BaseException as error:
        return error
    return None


async def _in_a_child(scene: Scene, target: Any) -> object:
    """Make the call in a fork of this process; return None, or what it ended with."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(CHILD_SECONDS)
        error = _first_step(scene, target)
        told = "" if error is None else "KafkaError" if isinstance(error, KafkaError) else repr(error)
        os.write(writing, told.encode()[:4000])
        os._exit(0)
    os.close(writing)
    _, status = await anyio.to_thread.run_sync(os.waitpid, child, 0)
    told = os.read(reading, 4000).decode()
    os.close(reading)
    return f"signal {os.WTERMSIG(status)}: it hung" if os.WIFSIGNALED(status) else told or None
