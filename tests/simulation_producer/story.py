"""One history of a whole producer: settings, calls of several tasks and misfortunes of the brokers, all from a seed.

It is played on trio with a MockClock that jumps to the next deadline when nothing else can happen: whatever is parked
for ever shows as time that runs to a bound.
"""

from __future__ import annotations

import importlib
import logging
import random
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import anyio
import trio
import trio.testing

from aioproducer import Delivery, IllegalStateError, KafkaError, Producer, UndeliveredError
from aioproducer._producer import send_path
from aioproducer._runtime import startup
from aioproducer._wire.messages import ApiKey
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.faults import Effect, Fault
from aioproducer.testing._broker.state import Options
from tests.contract.support import producer_tasks
from tests.simulation_producer.ledger import Ledger
from tests.simulation_producer.network import MemoryCluster, Weather

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    import pytest

TOPICS: Final = ("a", "b", "late")
BOUND: Final = 3_000.0
"""Virtual seconds: all timeouts of a history together are far below."""

RETRIABLE: Final = (
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.NOT_ENOUGH_REPLICAS,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode.REQUEST_TIMED_OUT,
    ErrorCode.KAFKA_STORAGE_ERROR,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
)
REFUSING: Final = (ErrorCode.TOPIC_AUTHORIZATION_FAILED, ErrorCode.INVALID_RECORD, ErrorCode.MESSAGE_TOO_LARGE)


@dataclass
class Report:
    """What became of it.

    Attributes:
        problems: what must not be.
        outcomes: how many calls ended in which way; for people, and to see that the histories vary.
        seconds: of virtual time.
    """

    problems: list[str] = field(default_factory=lambda: list[str]())
    outcomes: Counter[str] = field(default_factory=lambda: Counter[str]())
    seconds: float = 0.0


def settings_for(rng: random.Random) -> dict[str, Any]:
    """Settings that make everything happen within few records."""
    is_idempotent = rng.random() < 0.8
    request_timeout_ms = rng.choice((500, 2_000, 5_000))
    linger_ms = rng.choice((0, 0, 5, 100))
    batch_size = rng.choice((1, 300, 1_000, 16_384))
    return {
        "enable_idempotence": is_idempotent,
        "acks": "all" if is_idempotent or rng.random() < 0.5 else rng.choice((0, 1)),
        "max_in_flight_requests_per_connection": rng.choice((1, 2, 5)),
        "linger_ms": linger_ms,
        "batch_size": batch_size,
        "buffer_memory": max(batch_size, rng.choice((3_000, 8_000, 100_000))),
        "max_block_ms": rng.choice((50, 2_000, 20_000)),
        "request_timeout_ms": request_timeout_ms,
        "delivery_timeout_ms": request_timeout_ms + linger_ms + rng.choice((0, 5_000, 20_000)),
        "retry_backoff_ms": rng.choice((5, 100)),
        "close_timeout_ms": rng.choice((10, 1_000)),
        "metadata_max_age_ms": rng.choice((1_000, 300_000)),
        "connections_max_idle_ms": rng.choice((1_000, 540_000)),
        "compression_type": rng.choice(("none", "none", "lz4")),
        "socket_connection_setup_timeout_ms": rng.choice((200, 10_000)),
    }


class Story:
    """Plays one seed.

    Attributes:
        refused_means_closed: whether IllegalStateError can have no other reason.
        has_others: other producers have connections, too.
    """

    refused_means_closed = True
    has_others = False

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        topic_config = {"max.message.bytes": "700"} if rng.random() < 0.2 else {}
        options = self.options_for(rng, topic_config)
        self.settings = self.settings_for(rng)
        self.is_exact = bool(self.settings["enable_idempotence"])
        self.cluster = MemoryCluster(rng.choice((2, 3)), seed=seed, options=options)
        for topic in TOPICS[:2]:
            self.cluster.core.state.create_topic(topic)
        self.ledger = Ledger()
        self.report = Report()
        self.is_over = False
        self.is_restarted = False
        interceptors = [self.ledger] if rng.random() < 0.3 else []
        self.producer = Producer[bytes, bytes](
            bootstrap_servers=self.cluster.bootstrap_servers,
            connect=self.cluster.connect,
            interceptors=interceptors,
            **self.settings,
        )

    def options_for(self, rng: random.Random, topic_config: dict[str, str]) -> Options:
        """What the cluster is like."""
        return Options(
            partitions=rng.choice((1, 3)),
            replication_factor=2,
            auto_create_topics=rng.random() < 0.5,
            topic_config=topic_config,
        )

    def settings_for(self, rng: random.Random) -> dict[str, Any]:
        """The settings of the producer."""
        return settings_for(rng)

    async def more_callers(self, callers: anyio.abc.TaskGroup) -> None:
        """Start tasks of other kinds."""

    async def before_close(self) -> None:
        """Use the producer when all is well again, if it was not closed."""

    async def play(self) -> None:
        """The whole history, and what must be so at its end."""
        limit = anyio.CancelScope(deadline=anyio.current_time() + BOUND)
        async with self.cluster.running(), anyio.create_task_group() as tasks:
            is_open = False
            with limit:
                await self._until_it_works(self.producer.start)
                tasks.start_soon(self._misfortunes)
                async with anyio.create_task_group() as callers:
                    for _ in range(self.rng.randint(2, 6)):
                        callers.start_soon(self._caller, callers)
                    await self.more_callers(callers)
                    is_open = await self._end(callers)
                self.is_over = True
                self._heal()
                if is_open:
                    await self.before_close()
                with anyio.move_on_after(300) as patience:
                    await self.producer.close()
                self._expect(not patience.cancelled_caught, "close hung")
            tasks.cancel_scope.cancel()
        self._expect(not limit.cancelled_caught, "something was parked for ever")
        self.report.seconds = anyio.current_time()
        self._check()

    def _expect(self, is_so: bool, problem: str) -> None:
        if not is_so:
            self.report.problems.append(problem)

    def _check(self) -> None:
        self._expect(not self.cluster.streams, f"{len(self.cluster.streams)} connections are open")
        self._expect(not producer_tasks(), f"tasks are left: {producer_tasks()}")
        figures = self.producer.statistics()
        free, total = figures["buffer-available-bytes"], figures["buffer-total-bytes"]
        self._expect(free == total, f"{total - free} bytes of buffer_memory are lost")
        for name in ("connection-count", "requests-in-flight", "waiting-threads"):
            self._expect(not figures[name], f"{name} is {figures[name]} after close")
        self.report.problems += self.ledger.problems(
            self.cluster.core.state, is_exact=self.is_exact, is_acknowledged=self.settings["acks"] != 0
        )
        for entry in self.ledger.entries:
            self.report.outcomes[_outcome(entry.returned, entry.raised, entry.deliveries)] += 1

    async def _end(self, callers: anyio.abc.TaskGroup) -> bool:
        """How it ends: by itself, by close from yet another task, or by cancelling everybody; whether it is open."""
        kind = self.rng.choice(("by itself", "by itself", "close", "close(0)", "close(1)", "cancel", "again"))
        if kind == "by itself":
            return True
        await anyio.sleep(self.rng.uniform(0.0, 8.0))
        if kind == "cancel":
            callers.cancel_scope.cancel()
            return True
        if kind == "close":
            self._heal()
            self.is_over = True
        await self.producer.close({"close(0)": 0, "close(1)": 1.0}.get(kind))
        self._expect(self.has_others or not self.cluster.streams, "connections are open when close returns")
        if kind == "again":
            self._heal()
            self.is_restarted = True
            await self._until_it_works(self.producer.start)
        return False

    async def _until_it_works(self, call: Callable[[], Awaitable[None]]) -> None:
        while True:
            self.cluster.weather = Weather()  # max_block_ms may be shorter than any other weather allows
            try:
                await call()
            except KafkaError:
                await anyio.sleep(1)
            else:
                self._normal_weather()
                return

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _caller(self, callers: anyio.abc.TaskGroup) -> None:
        rng = self.rng
        verbs: list[Callable[[anyio.abc.TaskGroup], Coroutine[Any, Any, None]]] = [
            self._send, self._send, self._submit, self._submit, self._submit_many, self._submit_nowait,
            self._start_sends, self._flush, self._partitions_for, self._wait_for_room, self._pause,
        ]  # fmt: skip
        for _ in range(rng.randint(5, 25)):
            verb = rng.choice(verbs)
            try:
                with anyio.move_on_after(rng.choice((0.0, 0.01, 0.2, 2.0)) if rng.random() < 0.25 else None):
                    await verb(callers)
            except IllegalStateError:  # it was closed, or no transaction is open
                if self.refused_means_closed:
                    return
                await anyio.sleep(0.1)
            except UndeliveredError as error:
                self.report.problems.append(f"flush: every record has a callback, but {error}")
            except KafkaError:
                pass  # the ledger has it

    def _what(self) -> tuple[str, int, dict[str, Any]]:
        rng = self.rng
        key = rng.choice((None, None, b"k1", b"k2", b"k3"))
        return rng.choice(TOPICS), rng.choice((8, 20, 100, 400)), {"key": key}

    async def _send(self, callers: anyio.abc.TaskGroup) -> None:
        topic, size, more = self._what()
        await self.ledger.send(self.producer, topic, size, **more)

    async def _start_sends(self, callers: anyio.abc.TaskGroup) -> None:
        for _ in range(self.rng.randint(1, 5)):
            callers.start_soon(self._one_send)

    async def _one_send(self) -> None:
        topic, size, more = self._what()
        try:
            await self.ledger.send(self.producer, topic, size, **more)
        except KafkaError:
            pass  # the ledger has it

    async def _submit(self, callers: anyio.abc.TaskGroup) -> None:
        topic, size, more = self._what()
        delivery = await self.ledger.submit(self.producer, topic, size, **more)
        for _ in range(self.rng.choice((0, 0, 1, 2))):
            callers.start_soon(self._wait, delivery)

    async def _wait(self, delivery: Delivery) -> None:
        with anyio.move_on_after(1.0 if self.rng.random() < 0.3 else None):
            try:
                metadata = await delivery
                self._expect(metadata == delivery.result(), "a waiter was told something else")
            except KafkaError:
                self._expect(delivery.exception() is not None, "a waiter was told of a failure that there was not")

    async def _submit_many(self, callers: anyio.abc.TaskGroup) -> None:
        for _ in range(self.rng.randint(2, 20)):
            topic, size, more = self._what()
            await self.ledger.submit(self.producer, topic, size, **more)

    async def _submit_nowait(self, callers: anyio.abc.TaskGroup) -> None:
        for _ in range(self.rng.randint(1, 5)):
            topic, size, more = self._what()
            self.ledger.submit_nowait(self.producer, topic, size, **more)

    async def _flush(self, callers: anyio.abc.TaskGroup) -> None:
        before = [entry for entry in self.ledger.entries if isinstance(entry.returned, Delivery)]
        await self.producer.flush()
        late = [str(entry) for entry in before if not entry.deliveries]
        self._expect(not late, f"flush returned before the outcome of {late}")

    async def _partitions_for(self, callers: anyio.abc.TaskGroup) -> None:
        view = await self.producer.partitions_for(self.rng.choice(TOPICS))
        self._expect(view.partition_count > 0, "a topic without partitions")

    async def _wait_for_room(self, callers: anyio.abc.TaskGroup) -> None:
        await self.producer.wait_for_buffer(self.rng.choice((1, 1_000, 3_000)), timeout=5.0)

    async def _pause(self, callers: anyio.abc.TaskGroup) -> None:
        await anyio.sleep(self.rng.choice((0.0, 0.001, 0.1, 3.0)))

    # ── misfortunes ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _misfortunes(self) -> None:
        rng = self.rng
        await anyio.sleep(rng.uniform(0.0, 3.0))
        if "late" not in self.cluster.core.state.topics:
            self.cluster.core.state.create_topic("late")
        for _ in range(rng.randint(0, 12)):
            if self.is_over:
                return
            strike = rng.choice(
                (self._drop, self._stop, self._move, self._hold, self._bad_weather, self._fault, self._fault)
            )
            await strike()
            await anyio.sleep(rng.uniform(0.0, 2.0))
        self._heal()

    def _normal_weather(self) -> None:
        rng = self.rng
        scale = rng.choice((0.0, 0.001, 0.02, 0.3))
        self.cluster.weather = Weather(
            latency=lambda: rng.uniform(0, scale),
            connect_time=lambda: rng.uniform(0, scale),
            send_time=lambda: rng.choice((0.0, 0.0, scale)),
            cuts=rng.random() < 0.3,
        )

    def _heal(self) -> None:
        cluster = self.cluster
        cluster.core.faults.clear()
        for node in cluster.core.state.nodes.values():
            if not node.is_alive:
                cluster.start_broker(node.id)
        self._normal_weather()
        cluster.release()

    async def _drop(self) -> None:
        self.cluster.drop(self.rng.choice((None, 0, 1)))

    async def _stop(self) -> None:
        node_id = self.rng.randrange(len(self.cluster.core.state.nodes))
        self.cluster.stop_broker(node_id)
        await anyio.sleep(self.rng.choice((0.1, 1.0, 10.0)))
        if not self.is_over:
            self.cluster.start_broker(node_id)

    async def _move(self) -> None:
        state = self.cluster.core.state
        partition = self.rng.choice(list(state.partitions()))
        alive = [node.id for node in state.alive_nodes()]
        state.move_leader(partition.topic, partition.index, self.rng.choice(alive))
        self.cluster.poke()

    async def _hold(self) -> None:
        self.cluster.hold()
        await anyio.sleep(self.rng.choice((0.1, 1.0, 10.0)))
        self.cluster.release()

    async def _bad_weather(self) -> None:
        weather = self.cluster.weather
        weather.is_refusing = self.rng.random() < 0.5
        weather.is_losing = not weather.is_refusing
        self.cluster.drop(None)
        await anyio.sleep(self.rng.choice((0.1, 1.0, 10.0)))
        weather.is_refusing = weather.is_losing = False

    async def _fault(self) -> None:
        rng = self.rng
        kind = rng.choice(("retriable", "retriable", "refuse", "lose", "close", "delay", "throttle"))
        api = int(rng.choice((ApiKey.PRODUCE, ApiKey.PRODUCE, ApiKey.METADATA, ApiKey.INIT_PRODUCER_ID)))
        times = rng.randint(1, 4)
        produce = int(ApiKey.PRODUCE)
        fault = {
            "retriable": lambda: Fault(Effect.FAIL, int(rng.choice(RETRIABLE)), api=produce, remaining=times),
            "refuse": lambda: Fault(Effect.FAIL, int(rng.choice(REFUSING)), api=produce, remaining=1),
            "lose": lambda: Fault(Effect.LOSE_RESPONSE, api=api, remaining=times),
            "close": lambda: Fault(Effect.CLOSE, api=api, remaining=times),
            "delay": lambda: Fault(Effect.DELAY, amount=rng.choice((0.5, 3.0)), api=api, remaining=times),
            "throttle": lambda: Fault(Effect.THROTTLE, amount=rng.choice((100, 2_000)), api=produce, remaining=times),
        }[kind]()
        self.cluster.core.faults.add(fault)


def _outcome(returned: object, raised: BaseException | None, deliveries: list[Delivery]) -> str:
    if deliveries:
        error = deliveries[0].exception()
        return "delivered" if error is None else f"failed: {type(error).__name__}"
    return f"raised {type(raised).__name__}" if returned is None else "lost"


class _Collect(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def run(
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[], None] | None = None,
    make: Callable[[int], Story] = Story,
) -> Report:
    """Play the story of a seed; the same seed gives the same story (with the same PYTHONHASHSEED)."""
    monkeypatch.setattr(send_path, "YIELD_BATCHES", 1)
    monkeypatch.setattr(send_path, "YIELD_MS", 10**15)  # of the real clock, which must have no part in this
    monkeypatch.setattr(startup, "random", SimpleNamespace(Random=lambda: random.Random(seed)))
    scheduler = importlib.import_module("trio._core._run")
    scheduler._r.seed(seed)
    if plant is not None:
        plant()
    handler = _Collect()
    logger = logging.getLogger("aioproducer")
    logger.addHandler(handler)
    story: Story | None = None

    async def play() -> Story:
        story = make(seed)
        await story.play()
        return story

    try:
        story = trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        logger.removeHandler(handler)
    allowed = ("what was buffered fails",)
    story.report.problems += [f"logged: {line}" for line in handler.lines if not any(a in line for a in allowed)]
    return story.report
