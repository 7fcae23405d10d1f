"""_backend/asyncio_.py: waiting on what we make has to be as good as waiting on asyncio's futures."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from aioproducer._backend.asyncio_ import AsyncioBackend, AsyncioPoller


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


async def _park(waiter: Awaitable[None], then: Callable[[], object] = lambda: None) -> str:
    await waiter
    then()
    return "resumed"


async def test_wake_resumes_the_tasks_in_order_before_it_returns() -> None:
    backend = AsyncioBackend()
    order: list[int] = []
    waiters = [backend.new_waiter() for _ in range(3)]
    tasks = [
        asyncio.create_task(_park(waiter, lambda number=number: order.append(number)))  # type: ignore[misc]
        for number, waiter in enumerate(waiters)
    ]
    await asyncio.sleep(0)
    seen: list[list[int]] = []

    def wake_and_look() -> None:
        backend.wake([waiters[2], waiters[0], waiters[1]])
        seen.append(list(order))

    backend.call_soon(wake_and_look)
    await asyncio.wait(tasks)
    assert order == [2, 0, 1]
    assert seen == [[2, 0, 1]]


async def test_a_waiter_that_was_woken_before_it_is_awaited_does_not_wait() -> None:
    backend = AsyncioBackend()
    waiter = backend.new_waiter()
    backend.wake([waiter])
    async with asyncio.timeout(1):
        await waiter


async def test_cancelling_one_task_cancels_no_other_and_wakes_no_cancelled_one() -> None:
    backend = AsyncioBackend()
    first, second = backend.new_waiter(), backend.new_waiter()
    tasks = [asyncio.create_task(_park(waiter)) for waiter in (first, second)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.wait([tasks[0]])
    assert tasks[0].cancelled()
    assert not backend.is_waiting(first)
    assert backend.is_waiting(second)
    backend.call_soon(backend.wake, [first, second])
    assert await tasks[1] == "resumed"


async def test_a_cancellation_keeps_its_message() -> None:
    waiter = AsyncioBackend().new_waiter()
    task = asyncio.create_task(_park(waiter))
    await asyncio.sleep(0)
    task.cancel("why")
    with pytest.raises(asyncio.CancelledError, match="why"):
        await task


async def test_a_scope_of_anyio_knows_its_own_cancellation_however_it_is_nested() -> None:
    backend = AsyncioBackend()
    with anyio.CancelScope() as outer:
        with anyio.move_on_after(0.01) as inner:
            await backend.new_waiter()
        assert inner.cancelled_caught
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.01):
                await backend.new_waiter()
    assert not outer.cancelled_caught


async def test_a_task_cancelled_after_it_was_woken_is_cancelled_at_its_next_step() -> None:
    backend = AsyncioBackend()
    waiter = backend.new_waiter()
    steps: list[str] = []

    async def run() -> None:
        await waiter
        steps.append("resumed")
        await asyncio.sleep(0)
        steps.append("not reached")

    task = asyncio.create_task(run())
    await asyncio.sleep(0)

    def wake_then_cancel() -> None:
        backend.wake([waiter])
        task.cancel()

    backend.call_soon(wake_then_cancel)
    await asyncio.wait([task])
    assert task.cancelled()
    assert steps == ["resumed"]


async def test_a_woken_task_runs_in_its_own_context() -> None:
    backend = AsyncioBackend()
    variable = contextvars.ContextVar[str]("variable")
    seen: list[str] = []

    async def run(name: str, waiter: Awaitable[None]) -> None:
        variable.set(name)
        await waiter
        seen.append(variable.get())

    waiters = [backend.new_waiter(), backend.new_waiter()]
    tasks = [asyncio.create_task(run(name, waiter)) for name, waiter in zip("ab", waiters, strict=True)]
    await asyncio.sleep(0)
    variable.set("mine")
    backend.call_soon(backend.wake, waiters)
    await asyncio.wait(tasks)
    assert seen == ["a", "b"]
    assert variable.get() == "mine"


async def test_what_a_woken_task_raises_stays_in_that_task() -> None:
    backend = AsyncioBackend()
    waiters = [backend.new_waiter(), backend.new_waiter()]

    def fail() -> None:
        raise ZeroDivisionError

    tasks = [asyncio.create_task(_park(waiters[0], fail)), asyncio.create_task(_park(waiters[1]))]
    await asyncio.sleep(0)
    backend.call_soon(backend.wake, waiters)
    await asyncio.wait(tasks)
    assert isinstance(tasks[0].exception(), ZeroDivisionError)
    assert tasks[1].result() == "resumed"


async def test_settling_resumes_the_tasks_in_order_before_it_returns_and_leaves_out_the_cancelled() -> None:
    backend = AsyncioBackend()
    variable = contextvars.ContextVar[int]("variable")
    seen: list[int] = []

    async def run(number: int, future: Awaitable[None]) -> None:
        variable.set(number)
        await future
        seen.append(variable.get())

    futures = [backend.new_waiter() for _ in range(3)]
    tasks = [asyncio.create_task(run(number, future)) for number, future in enumerate(futures)]
    await asyncio.sleep(0)
    tasks[1].cancel("why")
    assert [backend.is_waiting(future) for future in futures] == [True, False, True]
    before_it_returned: list[list[int]] = []

    def settle_and_look() -> None:
        backend.wake([futures[2], futures[1], futures[0]])
        before_it_returned.append(list(seen))

    backend.call_soon(settle_and_look)
    await asyncio.wait(tasks)
    assert before_it_returned == [[2, 0]]
    assert seen == [2, 0]
    with pytest.raises(asyncio.CancelledError, match="why"):
        await tasks[1]


async def test_what_was_settled_before_it_is_awaited_does_not_wait() -> None:
    backend = AsyncioBackend()
    future = backend.new_waiter()
    backend.wake([future])
    assert not backend.is_waiting(future)
    async with asyncio.timeout(1):
        await future


async def test_who_else_watches_a_future_is_told_as_well() -> None:
    backend = AsyncioBackend()
    future = cast("asyncio.Future[None]", backend.new_waiter())
    told: list[object] = []

    async def run() -> None:
        await future
        told.append("task")

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    future.add_done_callback(told.append)
    backend.call_soon(backend.wake, [future])
    await task
    assert told == ["task", future]


async def test_the_end_of_the_program_in_a_task_is_raised_and_the_others_resume_later() -> None:
    backend = AsyncioBackend()
    futures = [backend.new_waiter() for _ in range(3)]
    resumed: list[int] = []

    async def run(number: int) -> None:
        await futures[number]
        resumed.append(number)
        if number == 1:
            raise SystemExit

    tasks = [asyncio.create_task(run(number)) for number in range(3)]
    await asyncio.sleep(0)
    raised: list[BaseException] = []

    def settle() -> None:
        try:
            backend.wake(futures)
        except SystemExit as error:
            raised.append(error)

    backend.call_soon(settle)
    await asyncio.wait(tasks)
    assert resumed == [0, 1, 2]
    assert len(raised) == 1
    assert isinstance(tasks[1].exception(), SystemExit)


async def test_asyncios_own_tools_accept_a_waiting_task() -> None:
    backend = AsyncioBackend()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await backend.new_waiter()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_park(backend.new_waiter()), 0.01)
    waiter = backend.new_waiter()
    gathered = asyncio.gather(_park(waiter), return_exceptions=True)
    await asyncio.sleep(0)
    backend.call_soon(backend.wake, [waiter])
    (result,) = await gathered
    assert result == "resumed"


async def test_a_wake_up_that_is_set_twice_wakes_once() -> None:
    wake_up = AsyncioBackend().new_wake_up()
    wake_up.set()
    wake_up.set()
    await asyncio.wait_for(wake_up.wait_until(None), 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wake_up.wait_until(None), 0.01)


async def test_a_wake_up_ends_at_its_deadline() -> None:
    backend = AsyncioBackend()
    wake_up = backend.new_wake_up()
    started = backend.clock()
    await wake_up.wait_until(started + 0.02)
    assert 0.015 < backend.clock() - started < 0.5
    await wake_up.wait_until(started)  # in the past


async def test_a_wake_up_always_lets_others_run() -> None:
    wake_up = AsyncioBackend().new_wake_up()
    ran: list[int] = []
    asyncio.get_running_loop().call_soon(ran.append, 1)
    wake_up.set()
    await wake_up.wait_until(None)
    assert ran == [1]


async def test_only_the_loops_own_thread_is_current() -> None:
    backend = AsyncioBackend()
    assert backend.is_current()
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(backend.is_current()))
    thread.start()
    thread.join()
    assert answers == [False]


async def test_a_host_is_not_cancelled_with_the_task_that_spawned_it() -> None:
    backend = AsyncioBackend()
    ended = asyncio.Event()

    async def host() -> None:
        await asyncio.sleep(0.01)
        ended.set()

    with anyio.CancelScope() as scope:
        backend.spawn_host(host)
        scope.cancel()
        await anyio.lowlevel.checkpoint()
    await asyncio.wait_for(ended.wait(), 1)


# ── the poller ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Stepped:
    """A step that counts, does what the test says, and wants to be called again when the test says."""

    def __init__(self, deadline: float | None = None) -> None:
        self.count = 0
        self.deadline = deadline
        self.then: Callable[[], object] = lambda: None

    def __call__(self) -> float | None:
        self.count += 1
        self.then()
        return self.deadline


@asynccontextmanager
async def polling(step: Stepped) -> AsyncGenerator[AsyncioPoller]:
    """A poller that has stepped once."""
    poller = AsyncioBackend().new_poller(step)
    task = asyncio.create_task(poller.serve())
    while not step.count:  # noqa: ASYNC110
        await asyncio.sleep(0)
    yield poller
    poller.stop()
    await asyncio.wait_for(task, 1)


async def test_any_number_of_pokes_is_one_step_in_the_next_pass() -> None:
    step = Stepped()
    async with polling(step) as poller:
        poller.wake()
        poller.wake()
        assert step.count == 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert step.count == 2


async def test_a_poke_within_a_step_is_another_step() -> None:
    step = Stepped()
    async with polling(step) as poller:

        def poke_once() -> None:
            if step.count == 2:
                poller.wake()

        step.then = poke_once
        poller.wake()
        for _ in range(5):
            await asyncio.sleep(0)
        assert step.count == 3


async def test_a_callback_of_the_loop_has_it_step_at_once_and_a_task_soon() -> None:
    step = Stepped()
    seen: list[int] = []
    async with polling(step) as poller:

        def callback() -> None:
            poller.wake()
            poller.wake_now()
            seen.append(step.count)

        asyncio.get_running_loop().call_soon(callback)
        for _ in range(5):
            await asyncio.sleep(0)
        assert seen == [2]
        assert step.count == 2  # the wake before was answered by it
        poller.wake_now()  # from this task
        assert step.count == 2
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert step.count == 3


async def test_what_a_step_leads_to_is_answered_at_once_and_then_in_the_next_pass() -> None:
    step = Stepped()
    async with polling(step) as poller:
        order: list[object] = []

        def told() -> None:
            order.append("told")
            poller.wake()

        def lead_on() -> None:
            order.append("step")
            poller.call_after(told)

        step.then = lead_on
        loop = asyncio.get_running_loop()
        loop.call_soon(poller.wake_now)
        loop.call_soon(order.append, "others")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert order[:5] == ["step", "told", "step", "told", "others"]
        step.then = lambda: None
        seen = step.count
        await asyncio.sleep(0)
        assert step.count == seen + 1


async def test_it_steps_by_itself_when_it_is_due_and_not_before() -> None:
    backend = AsyncioBackend()
    step = Stepped(backend.clock() + 0.05)
    async with polling(step):
        step.deadline = None
        assert step.count == 1
        await asyncio.sleep(0.02)
        assert step.count == 1
        await asyncio.sleep(0.1)
        assert step.count == 2


async def test_a_sooner_deadline_takes_the_place_of_a_later_one() -> None:
    backend = AsyncioBackend()
    step = Stepped(backend.clock() + 60)
    async with polling(step) as poller:
        step.deadline = backend.clock() + 0.02
        poller.wake()
        await asyncio.sleep(0.01)
        assert step.count == 2
        step.deadline = None
        await asyncio.sleep(0.1)
        assert step.count == 3


async def test_what_is_put_off_runs_after_the_step_outside_of_any_task() -> None:
    step = Stepped()
    order: list[object] = []
    async with polling(step) as poller:

        def put_off() -> None:
            poller.call_after(lambda: order.append(asyncio.current_task()))
            order.append("step")

        step.then = put_off
        asyncio.get_running_loop().call_soon(poller.wake_now)
        asyncio.get_running_loop().call_soon(order.append, "back")
        for _ in range(3):
            await asyncio.sleep(0)
        assert order == ["step", None, "back"]
        step.then = lambda: None
        poller.call_after(lambda: order.append(asyncio.current_task()))  # no step: in the next pass
        await asyncio.sleep(0)
        assert order[3:] == [None]


async def test_what_a_step_raises_ends_the_serving_after_what_was_put_off() -> None:
    step = Stepped()
    told: list[int] = []
    poller = AsyncioBackend().new_poller(step)

    def fail() -> None:
        poller.call_after(lambda: told.append(1))
        raise ZeroDivisionError

    step.then = fail
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(poller.serve(), 1)
    assert told == [1]
    poller.wake()
    await asyncio.sleep(0.01)
    assert step.count == 1


async def test_a_stopped_or_cancelled_poller_steps_no_more() -> None:
    step = Stepped(AsyncioBackend().clock() + 0.3)
    poller = AsyncioBackend().new_poller(step)
    with anyio.move_on_after(0.05) as scope:
        await poller.serve()
    assert scope.cancelled_caught
    poller.wake()
    await asyncio.sleep(0.35)
    assert step.count == 1


async def test_the_background_has_no_variables_of_whoever_starts_it() -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")
    request.set("the first")
    backend = AsyncioBackend()
    seen: list[str] = []
    done = asyncio.Event()

    async def host() -> None:
        seen.append(request.get())
        done.set()

    backend.spawn_host(host)
    backend.call_soon(lambda: seen.append(request.get()))
    poller = backend.new_poller(lambda: seen.append(request.get()))
    poller.wake()
    await done.wait()
    await asyncio.sleep(0)
    assert seen == ["none"] * 3
    poller.stop()


async def test_callbacks_have_the_variables_that_they_were_given_with() -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")
    backend = AsyncioBackend()
    seen: list[str] = []
    request.set("mine")
    backend.call_soon(lambda: seen.append(request.get()), context=contextvars.copy_context())
    await asyncio.sleep(0)
    assert seen == ["mine"]


async def test_a_clock_that_is_replaced_later_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = AsyncioBackend()
    steps: list[float] = []

    def step() -> float:
        steps.append(backend.clock())
        return backend.clock() + 0.05

    poller = backend.new_poller(step)
    serving = asyncio.create_task(poller.serve())
    await asyncio.sleep(0.01)
    monkeypatch.setattr("time.monotonic", lambda: 0.0)  # as freezegun does it
    wake_up = backend.new_wake_up()
    await wake_up.wait_until(backend.clock() - 1)
    poller.wake()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(steps) == 2  # and not one pass after the other, for a deadline that seems to be over
    monkeypatch.undo()
    poller.stop()
    await serving
