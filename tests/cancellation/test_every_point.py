"""Every public coroutine, cancelled at every point: nothing is lost, nothing is left, the next record is delivered."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import anyio
import pytest

from aioproducer import BootstrapError, MetadataTimeoutError, ProducerClosedError, ProducerRecord
from tests.cancellation.driver import FLAVOURS, Flavour, Play, Stage, play_at_every_point, settled
from tests.cancellation.transaction_plays import TRANSACTION_PLAYS

NO_LINGER: Final[dict[str, Any]] = {"linger_ms": 0}
SMALL: Final[dict[str, Any]] = {"linger_ms": 0, "buffer_memory": 2_000, "batch_size": 300}
FILLING: Final = 1_500


# ── life cycle ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Start(Play):
    is_running = False
    least_steps = 10

    async def prepare(self, stage: Stage) -> None:
        del stage

    async def call(self, stage: Stage) -> None:
        await stage.producer.start()

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        if was_cancelled:
            stage.nothing_is_open("after a cancelled start")
            stage.expect(not stage.producer.status().is_ready, "it was started though start was cancelled")
            await stage.producer.start()
        await stage.ledger.send(stage.producer, "orders")


class StartInVain(Start):
    tolerated = ("Connection refused",)

    async def prepare(self, stage: Stage) -> None:
        stage.cluster.weather.is_refusing = True

    async def call(self, stage: Stage) -> None:
        with pytest.raises(BootstrapError):
            await stage.producer.start()

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        del was_cancelled
        stage.nothing_is_open("after a start in vain")
        stage.cluster.weather.is_refusing = False
        while not stage.producer.status().is_ready:
            with suppress(BootstrapError):  # max_block_ms is short here, and the machine may be busy
                await stage.producer.start()
        is_known = False
        while not is_known:
            with suppress(MetadataTimeoutError):
                is_known = bool((await stage.producer.partitions_for("orders")).partition_count)
        await stage.ledger.send(stage.producer, "orders")


class WithBlock(Play):
    """Cancelled on entry, in the body or on exit."""

    is_running = False
    least_steps = 30

    async def prepare(self, stage: Stage) -> None:
        del stage

    async def call(self, stage: Stage) -> None:
        try:
            async with stage.producer as producer:
                for _ in range(3):
                    await stage.ledger.submit(producer, "orders")
        finally:
            stage.nothing_is_open("after the block")


class WithBlockLeftByAnException(WithBlock):
    async def call(self, stage: Stage) -> None:
        try:
            async with stage.producer as producer:
                await stage.ledger.submit(producer, "orders")
                raise LookupError("of the body")
        except LookupError as error:
            stage.expect(str(error) == "of the body", "another exception than the body's")
        finally:
            stage.nothing_is_open("after the block")


class Close(Play):
    """With records queued, a call that waits for a topic and one that flushes."""

    is_running = False
    timeout: float | None = None

    async def prepare(self, stage: Stage) -> None:
        await super().prepare(stage)
        for _ in range(3):
            await stage.ledger.submit(stage.producer, "orders")
        stage.tasks.start_soon(self._wait_for_topic, stage)
        stage.tasks.start_soon(stage.producer.flush)
        await settled()

    async def _wait_for_topic(self, stage: Stage) -> None:
        with pytest.raises(ProducerClosedError):
            await stage.ledger.submit(stage.producer, "unknown")

    async def call(self, stage: Stage) -> None:
        await stage.producer.close(self.timeout)

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        if not was_cancelled:
            stage.nothing_is_open("after close")
        for call in (partial(stage.ledger.submit, stage.producer, "orders"), stage.producer.flush):
            if not was_cancelled or not stage.producer.status().is_ready:
                with pytest.raises(ProducerClosedError):
                    await call()


class CloseAtOnce(Close):
    timeout = 0


class CloseWhileAnotherCloses(Close):
    async def help(self, stage: Stage) -> None:
        await settled(1)
        await stage.producer.close()
        stage.nothing_is_open("after the other close")


# ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Sending(Play):
    """One of send and submit, with others that do the same."""

    def __init__(self, verb: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.verb = verb

    async def other(self, stage: Stage, topic: str, size: int = 8) -> None:
        await getattr(stage.ledger, self.verb)(stage.producer, topic, size)

    def start_other(self, stage: Stage, topic: str, size: int = 8) -> None:
        stage.tasks.start_soon(self.other, stage, topic, size)


class OfKnownTopic(Sending):
    least_steps = 1

    async def call(self, stage: Stage) -> None:
        await self.other(stage, "orders")

    async def help(self, stage: Stage) -> None:
        await self.other(stage, "orders")


class OfUnknownTopic(Sending):
    async def prepare(self, stage: Stage) -> None:
        await super().prepare(stage)
        self.start_other(stage, "late")
        await settled(2)

    async def call(self, stage: Stage) -> None:
        await self.other(stage, "late")

    async def help(self, stage: Stage) -> None:
        await settled(2)
        self.start_other(stage, "late")
        await settled(2)
        stage.cluster.core.state.create_topic("late")
        self.start_other(stage, "late")


class WithoutRoom(Sending):
    async def prepare(self, stage: Stage) -> None:
        await super().prepare(stage)
        stage.cluster.hold()
        stage.ledger.submit_nowait(stage.producer, "orders", FILLING)
        self.start_other(stage, "orders", 200)
        await settled(2)

    async def call(self, stage: Stage) -> None:
        await self.other(stage, "orders", 210)

    async def help(self, stage: Stage) -> None:
        await settled(2)
        self.start_other(stage, "orders", 220)
        await settled(2)
        self.start_other(stage, "orders", 1_400)
        await settled(2)
        stage.cluster.release()


class SubmitThatYields(Sending):
    """A batch was filled since the last call: the next one lets others run, which queue behind it meanwhile."""

    trio_orders = 12
    least_steps = 1

    async def prepare(self, stage: Stage) -> None:
        await super().prepare(stage)
        stage.ledger.submit_nowait(stage.producer, "orders", 250)
        stage.ledger.submit_nowait(stage.producer, "orders", 250)

    async def call(self, stage: Stage) -> None:
        await settled(1)  # so that the helping task calls in the same pass of the loop, before or after
        await self.other(stage, "orders", 100)

    async def help(self, stage: Stage) -> None:
        await self.other(stage, "orders", 110)
        await self.other(stage, "orders", 120)


class AwaitDelivery(Play):
    """Other tasks wait for the same record, and for others of the batch."""

    def __init__(self) -> None:
        super().__init__(linger_ms=0)
        self.told: list[int] = []

    async def prepare(self, stage: Stage) -> None:
        await super().prepare(stage)
        stage.cluster.hold()
        self.deliveries = [await stage.ledger.submit(stage.producer, "orders") for _ in range(3)]
        for index in (0, 1, 1, 2):
            stage.tasks.start_soon(self._wait, index)
        await settled()

    async def _wait(self, index: int) -> None:
        self.told.append((await self.deliveries[index]).offset)

    async def call(self, stage: Stage) -> None:
        await self.deliveries[1]

    async def help(self, stage: Stage) -> None:
        await settled(3)
        stage.cluster.release()

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        metadata = await self.deliveries[1]
        await stage.producer.flush()
        await settled()
        stage.expect(metadata.offset == 1, "the cancelled wait has changed the outcome")
        stage.expect(sorted(self.told) == [0, 1, 1, 2], f"those who wait for the same batch were told {self.told}")


class SendAll(Play):
    async def call(self, stage: Stage) -> None:
        for topic in ("orders", "orders"):
            records = [ProducerRecord[bytes, bytes](topic, self._value(stage)) for _ in range(6)]
            results = await stage.producer.send_all(records)
            stage.expect([each.offset for each in results] == sorted(each.offset for each in results), "out of order")

    def _value(self, stage: Stage) -> bytes:
        # The interceptor looks its entry up by the value; what the call as a whole says is checked by its own tests.
        return stage.ledger.note("send_all", "orders", 200).value


# ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Flush(Play):
    async def prepare(self, stage: Stage) -> None:
        await super().prepare(stage)
        for _ in range(3):
            await stage.ledger.submit(stage.producer, "orders")
        stage.ledger.submit_nowait(stage.producer, "late")
        stage.tasks.start_soon(self._other_flush, stage)
        self.flushed = anyio.Event()
        await settled()

    async def _other_flush(self, stage: Stage) -> None:
        await stage.producer.flush()
        self.flushed.set()

    async def call(self, stage: Stage) -> None:
        await stage.producer.flush()
        stage.expect(all(entry.deliveries for entry in stage.ledger.entries), "flush has not waited for everything")

    async def help(self, stage: Stage) -> None:
        await settled(6)
        stage.cluster.core.state.create_topic("late")

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        await self.flushed.wait()


class PartitionsFor(Play):
    def __init__(self) -> None:
        super().__init__(retry_backoff_ms=2, retry_backoff_max_ms=2)
        self.told: list[int] = []

    async def prepare(self, stage: Stage) -> None:
        await super().prepare(stage)
        stage.tasks.start_soon(self._other, stage)
        await settled(2)

    async def _other(self, stage: Stage) -> None:
        self.told.append((await stage.producer.partitions_for("late")).partition_count)

    async def call(self, stage: Stage) -> None:
        await stage.producer.partitions_for("late")

    async def help(self, stage: Stage) -> None:
        await settled()
        stage.cluster.core.state.create_topic("late")

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        await stage.producer.partitions_for("late")
        await settled(10)
        stage.expect(self.told == [1], "the other call was not told")


class WaitForRoom(Play):
    async def prepare(self, stage: Stage) -> None:
        await super().prepare(stage)
        stage.cluster.hold()
        stage.ledger.submit_nowait(stage.producer, "orders", FILLING)
        self.other = anyio.Event()
        stage.tasks.start_soon(self._other, stage)
        await settled(2)

    async def _other(self, stage: Stage) -> None:
        await stage.producer.wait_for_buffer(1_000)
        self.other.set()

    async def call(self, stage: Stage) -> None:
        await stage.producer.wait_for_buffer(1_000)

    async def help(self, stage: Stage) -> None:
        await settled()
        stage.cluster.release()

    async def verify(self, stage: Stage, *, was_cancelled: bool) -> None:
        await self.other.wait()


PLAYS: Final[dict[str, Callable[[], Play]]] = {
    "start": Start,
    "start in vain": partial(StartInVain, max_block_ms=20, reconnect_backoff_ms=5, reconnect_backoff_max_ms=5),
    "async with": WithBlock,
    "async with, exception": WithBlockLeftByAnException,
    "close": partial(Close, linger_ms=0),
    "close(0)": partial(CloseAtOnce, linger_ms=0),
    "close twice": partial(CloseWhileAnotherCloses, linger_ms=0),
    "flush": partial(Flush, retry_backoff_ms=2, retry_backoff_max_ms=2),
    "partitions_for": PartitionsFor,
    "wait_for_buffer": partial(WaitForRoom, **SMALL),
    "await delivery": AwaitDelivery,
    "send_all": partial(SendAll, **SMALL),
    "send": partial(OfKnownTopic, "send", **NO_LINGER),
    "send, unknown topic": partial(OfUnknownTopic, "send", retry_backoff_ms=2, **NO_LINGER),
    "send, no room": partial(WithoutRoom, "send", **SMALL),
    "submit, unknown topic": partial(OfUnknownTopic, "submit", retry_backoff_ms=2, **NO_LINGER),
    "submit, no room": partial(WithoutRoom, "submit", **SMALL),
    "submit, yielding": partial(SubmitThatYields, "submit", **SMALL),
    **TRANSACTION_PLAYS,
}


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("name", PLAYS)
def test_call_can_be_cancelled_at_every_point(name: str, flavour: Flavour) -> None:
    play_at_every_point(PLAYS[name], flavour)
