"""_runtime/loop.py: what one poll does for several connections. (The rest is tested in contract.)"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio.testing

from aioproducer import _backend
from aioproducer._config import ProducerConfig
from aioproducer._net.dialer import Dialer
from aioproducer._runtime.loop import WRITING_SECONDS, Runtime
from aioproducer.errors import ProducerClosedError

if TYPE_CHECKING:
    from anyio.abc import ByteStream


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return trio.testing.MockClock()


@pytest.fixture
def anyio_backend(clock: trio.testing.MockClock) -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": clock}


class BusyWriter:
    """It always has one more request, each of which takes all of the time of a poll."""

    def __init__(self, runtime: Runtime, clock: trio.testing.MockClock) -> None:
        self.written = 0
        self._runtime = runtime
        self._clock = clock

    def go_on(self) -> None:
        """See `PausedWriter.go_on`."""
        while not self._runtime.has_written_long():
            self.written += 1
            self._clock.jump(WRITING_SECONDS)
        self._runtime.write_later(self)


async def refuse(host: str, port: int) -> ByteStream:
    raise ConnectionRefusedError


DIALER = Dialer(refuse, "me", anyio.current_time)


@pytest.mark.parametrize("count", [2, 3, 5])
async def test_connections_that_are_all_busy_write_in_turn(clock: trio.testing.MockClock, count: int) -> None:
    config = ProducerConfig(bootstrap_servers="boot:9092")
    runtime = Runtime(config, "me", _backend.current(), DIALER, (), random.Random(1))
    writers = [BusyWriter(runtime, clock) for _ in range(count)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runtime.run)
        for writer in writers:
            runtime.write_later(writer)
        while sum(writer.written for writer in writers) < 10 * count:
            await anyio.lowlevel.checkpoint()
        runtime.abort(ProducerClosedError("the test is over"))
    written = [writer.written for writer in writers]
    assert max(written) - min(written) <= 1, written


async def test_polls_of_one_pass_share_its_time_to_write(clock: trio.testing.MockClock) -> None:
    config = ProducerConfig(bootstrap_servers="boot:9092")
    runtime = Runtime(config, "me", _backend.current(), DIALER, (), random.Random(1))
    writers = [BusyWriter(runtime, clock) for _ in range(3)]
    written: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runtime.run)
        await anyio.wait_all_tasks_blocked()
        for writer in writers:
            runtime.write_later(writer)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
            before = sum(writer.written for writer in writers)
            for _ in range(5):  # as the answers of so many brokers would have it
                runtime.on_read()
                runtime._poll()  # pyright: ignore[reportPrivateUsage]
            written.append(sum(writer.written for writer in writers) - before)
        runtime.abort(ProducerClosedError("the test is over"))
    assert max(written) == 1, written
    assert sum(writer.written for writer in writers) >= 10
