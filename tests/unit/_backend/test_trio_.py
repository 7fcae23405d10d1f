"""_backend/trio_.py: parking, waking, the host."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from aioproducer._backend.trio_ import TrioBackend, TrioWaiter


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {}


async def _park(waiter: Awaitable[None] | TrioWaiter, then: Callable[[], object]) -> None:
    await waiter
    then()


async def test_wake_resumes_those_who_wait_and_leaves_out_the_cancelled() -> None:
    backend = TrioBackend()
    resumed: list[int] = []
    waiters = [backend.new_waiter() for _ in range(3)]
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def doomed() -> None:
            with scope:
                await _park(waiters[1], lambda: resumed.append(1))

        nursery.start_soon(_park, waiters[0], lambda: resumed.append(0))
        nursery.start_soon(doomed)
        nursery.start_soon(_park, waiters[2], lambda: resumed.append(2))
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert [backend.is_waiting(waiter) for waiter in waiters] == [True, False, True]
        backend.call_soon(backend.wake, waiters)
    assert sorted(resumed) == [0, 2]


async def test_a_waiter_that_was_woken_before_it_is_awaited_does_not_wait() -> None:
    backend = TrioBackend()
    waiter = backend.new_waiter()
    backend.wake([waiter])
    with trio.fail_after(1):
        await waiter


async def test_a_task_that_was_woken_is_not_cancelled_before_it_resumes() -> None:
    backend = TrioBackend()
    waiter = backend.new_waiter()
    resumed: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_park, waiter, lambda: resumed.append(1))
        await trio.testing.wait_all_tasks_blocked()
        backend.wake([waiter])
        nursery.cancel_scope.cancel()
    assert resumed == [1]


async def test_a_wake_up_that_is_set_twice_wakes_once() -> None:
    wake_up = TrioBackend().new_wake_up()
    wake_up.set()
    wake_up.set()
    with trio.fail_after(1):
        await wake_up.wait_until(None)
    with trio.move_on_after(0.01) as scope:
        await wake_up.wait_until(None)
    assert scope.cancelled_caught


async def test_a_wake_up_ends_at_its_deadline_and_when_it_is_set() -> None:
    backend = TrioBackend()
    wake_up = backend.new_wake_up()
    started = backend.clock()
    await wake_up.wait_until(started + 0.02)
    assert 0.015 < backend.clock() - started < 0.5
    await wake_up.wait_until(started)  # in the past
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wake_up.wait_until, None)
        await trio.testing.wait_all_tasks_blocked()
        wake_up.set()


async def test_a_cancelled_wait_leaves_the_wake_up_usable() -> None:
    wake_up = TrioBackend().new_wake_up()
    with trio.move_on_after(0.01):
        await wake_up.wait_until(None)
    wake_up.set()
    with trio.fail_after(1):
        await wake_up.wait_until(None)


async def test_calls_run_in_order_outside_of_the_callers_task() -> None:
    backend = TrioBackend()
    ran: list[int] = []
    done = anyio.Event()
    for number in range(5):
        backend.call_soon(ran.append, number)
    backend.call_soon(done.set)
    assert ran == []
    await done.wait()
    assert ran == [0, 1, 2, 3, 4]


async def test_only_the_runs_own_thread_is_current() -> None:
    backend = TrioBackend()
    assert backend.is_current()
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(backend.is_current()))
    thread.start()
    thread.join()
    assert answers == [False]


async def test_a_host_is_not_cancelled_with_the_task_that_spawned_it() -> None:
    backend = TrioBackend()
    ended = trio.Event()

    async def host() -> None:
        await trio.sleep(0.01)
        ended.set()

    with trio.CancelScope() as scope:
        backend.spawn_host(host)
        scope.cancel()
        await trio.lowlevel.checkpoint()
    with trio.fail_after(1):
        await ended.wait()


async def test_the_poller_steps_when_poked_when_due_and_until_it_is_stopped() -> None:
    backend = TrioBackend()
    steps: list[float] = []
    deadline: float | None = None

    def step() -> float | None:
        steps.append(backend.clock())
        return deadline

    poller = backend.new_poller(step)
    with trio.fail_after(2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.serve)
            await trio.testing.wait_all_tasks_blocked()
            assert len(steps) == 1
            deadline = backend.clock() + 0.02
            poller.wake()
            poller.wake_now()
            await trio.testing.wait_all_tasks_blocked()
            assert len(steps) == 2
            deadline = None
            await trio.sleep(0.05)
            assert len(steps) == 3
            poller.stop()
    assert len(steps) == 4


async def test_what_a_step_raises_ends_the_serving() -> None:
    def step() -> float | None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await TrioBackend().new_poller(step).serve()
