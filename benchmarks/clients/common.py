"""What the clients' workloads share: warm-up, timing, tasks that send, and a task that feels how late it wakes."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel
import sniffio

from benchmarks.load import Load
from benchmarks.order import SAMPLE_TASKS, Timer
from benchmarks.process import peak_mb, reset_peak, resident_mb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from benchmarks.order import Figures, Order


TICK_SECONDS: Final = 0.002
WARM_SHARE: Final = 0.3
"""Of `seconds`: how long the warm-up takes at least."""
AT_ONCE: Final = 100
LARGEST_WARM_UP: Final = 50_000


class Warming:
    """How many records to send: grows until a round takes long enough, then says how many fit into the time."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.count = order.minimum
        self.is_warm = False
        self._is_first = True  # it includes connections and metadata, and tells nothing of the rate

    def took(self, seconds: float) -> None:
        """Learn how long `count` records took; `count` is now what to send next."""
        order = self._order
        if self._is_first:
            self._is_first = False
            return
        rate = self.count / seconds
        if seconds >= order.seconds * WARM_SHARE or self.count >= LARGEST_WARM_UP:
            self.is_warm = True
            self.count = order.count or max(order.minimum, int(rate * order.seconds))
        else:
            wanted = int(rate * order.seconds * WARM_SHARE * 1.2)
            self.count = min(max(self.count * 2, wanted), LARGEST_WARM_UP, self.count * 10)


async def watch_lag(figures: Figures) -> None:
    """Note how late a task wakes: what other tasks of the program would feel."""
    while True:
        due = time.perf_counter() + TICK_SECONDS
        await anyio.sleep(TICK_SECONDS)
        figures.lags.append(max(0.0, time.perf_counter() - due))


async def measure(order: Order, figures: Figures, run: Callable[[Iterator[Any]], Awaitable[int]]) -> None:
    """Warm up, then time one run beside a task that ticks. `run` returns how many were delivered."""
    load = Load(order)
    figures.base_mb = resident_mb()
    reset_peak()
    warming = Warming(order)
    while not warming.is_warm:
        begin = time.perf_counter()
        figures.sent += await run(load.take(warming.count))
        warming.took(time.perf_counter() - begin)
    figures.count = warming.count
    pairs = load.take(figures.count)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch_lag, figures)
        await anyio.sleep(0.05)
        figures.lags.clear()
        figures.latencies.clear()
        with Timer(figures):
            figures.delivered = await run(pairs)
        tasks.cancel_scope.cancel()
    figures.sent += figures.delivered
    figures.peak_mb = peak_mb()


def measure_blocking(order: Order, figures: Figures, run: Callable[[Iterator[Any]], int]) -> None:
    """Warm up, then time one run, without an event loop."""
    load = Load(order)
    figures.base_mb = resident_mb()
    reset_peak()
    warming = Warming(order)
    while not warming.is_warm:
        begin = time.perf_counter()
        figures.sent += run(load.take(warming.count))
        warming.took(time.perf_counter() - begin)
    figures.count = warming.count
    pairs = load.take(figures.count)
    figures.latencies.clear()
    with Timer(figures):
        figures.delivered = run(pairs)
    figures.sent += figures.delivered
    figures.peak_mb = peak_mb()


async def one_at_a_time(send: Callable[..., Awaitable[Any]], pairs: Iterator[Any], figures: Figures) -> int:
    """Await each record before the next; `send(value, key=key)`."""
    clock, note = time.perf_counter, figures.latencies.append
    count = 0
    for value, key in pairs:
        start = clock()
        await send(value, key=key)
        note(clock() - start)
        count += 1
    return count


async def in_tasks(send: Callable[..., Any], pairs: Iterator[Any], tasks: int, figures: Figures) -> int:
    """Start a task for each record, `tasks` at a time, and wait for them before the next lot.

    They are started AT_ONCE in a pass of the loop, as requests come in; all in one would itself hold up the loop.
    """
    clock, note = time.perf_counter, figures.latencies.append

    async def timed(value: bytes, key: bytes | None) -> None:
        start = clock()
        await send(value, key=key)
        note(clock() - start)

    count = 0
    start_all = _start_all_trio if sniffio.current_async_library() == "trio" else _start_all_asyncio
    while chunk := list(islice(pairs, tasks)):
        await start_all(send, timed, chunk)
        count += len(chunk)
    return count


async def _start_all_asyncio(send: Callable[..., Any], timed: Callable[..., Any], chunk: list[Any]) -> None:
    import asyncio

    tasks: list[asyncio.Task[Any]] = []
    for first in range(0, len(chunk), AT_ONCE):
        tasks += [
            asyncio.create_task(send(value, key=key) if index % SAMPLE_TASKS else timed(value, key))
            for index, (value, key) in enumerate(chunk[first : first + AT_ONCE])
        ]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)


async def _start_all_trio(send: Callable[..., Any], timed: Callable[..., Any], chunk: list[Any]) -> None:
    from functools import partial

    import trio

    async with trio.open_nursery() as nursery:
        for index, (value, key) in enumerate(chunk):
            if index % SAMPLE_TASKS:
                nursery.start_soon(partial(send, value, key=key))
            else:
                nursery.start_soon(timed, value, key)
            if index % AT_ONCE == AT_ONCE - 1:
                await trio.lowlevel.checkpoint()


async def with_workers(send: Callable[..., Any], pairs: Iterator[Any], tasks: int, figures: Figures) -> int:
    """Have `tasks` tasks take records from one source; each sends one, waits for it, and goes on."""
    clock, note = time.perf_counter, figures.latencies.append
    count = 0

    async def worker() -> None:
        nonlocal count
        for value, key in pairs:
            await send(value, key=key)
            count += 1

    async def timed_worker() -> None:
        nonlocal count
        for value, key in pairs:
            start = clock()
            await send(value, key=key)
            note(clock() - start)
            count += 1

    async with anyio.create_task_group() as group:
        for index in range(tasks):
            group.start_soon(worker if index % SAMPLE_TASKS else timed_worker)
            if index % AT_ONCE == AT_ONCE - 1:
                await anyio.lowlevel.checkpoint()
    return count
