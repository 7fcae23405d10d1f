"""Blocking calls in threads of their own."""

from __future__ import annotations

import threading
from functools import partial

import anyio
import anyio.to_thread
import pytest

from aioproducer.security._threads import THREAD_NAME, run_in_thread


async def test_it_returns_what_the_call_returns() -> None:
    assert await run_in_thread(lambda: threading.current_thread().name) == THREAD_NAME


async def test_it_raises_what_the_call_raises() -> None:
    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run_in_thread(fails)


async def test_a_full_limiter_of_anyio_does_not_hold_it() -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    held = [object() for _ in range(int(limiter.total_tokens))]
    for borrower in held:
        await limiter.acquire_on_behalf_of(borrower)
    try:
        assert await run_in_thread(lambda: 7) == 7
    finally:
        for borrower in held:
            limiter.release_on_behalf_of(borrower)


async def test_many_run_at_the_same_time() -> None:
    barrier = threading.Barrier(20, timeout=10)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(partial(run_in_thread, barrier.wait))


async def test_when_cancelled_it_aborts_and_does_not_wait() -> None:
    begun, ended = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        assert ended.wait(10)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(run_in_thread, call, abort=ended.set))
        await run_in_thread(begun.wait)
        assert not ended.is_set()
        tasks.cancel_scope.cancel()
    assert ended.is_set()


async def test_a_call_that_has_ended_is_not_aborted() -> None:
    aborted: list[int] = []
    assert await run_in_thread(lambda: 7, abort=lambda: aborted.append(1)) == 7
    assert aborted == []


def test_a_loop_that_ends_first_leaves_no_thread() -> None:
    release = threading.Event()
    threads: list[threading.Thread] = []

    def call() -> None:
        threads.append(threading.current_thread())
        release.wait(10)

    async def main() -> None:
        with anyio.move_on_after(0.01):
            await run_in_thread(call)

    anyio.run(main)
    release.set()
    threads[0].join(10)
    assert not threads[0].is_alive()
