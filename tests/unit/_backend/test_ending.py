"""What of an exception is the task's own end: a table of classes, running and being cancelled."""

from __future__ import annotations

import asyncio

import anyio
import pytest
import trio

from aioproducer._backend.ending import ends_this_task


@pytest.mark.parametrize("error", [ValueError(), OSError(), anyio.EndOfStream(), TimeoutError()])
def test_an_exception_is_one_more_error(error: Exception) -> None:
    assert not ends_this_task(error)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_the_end_of_the_program_is_the_end_of_each_task(error: BaseException) -> None:
    assert ends_this_task(error)


def test_a_class_that_only_a_library_for_tests_knows_is_one_more_error() -> None:
    class Failed(BaseException):
        pass

    assert not ends_this_task(Failed())


def test_a_cancelled_error_of_somebody_elses_does_not_end_a_task_that_nobody_cancelled() -> None:
    async def body() -> bool:
        return ends_this_task(asyncio.CancelledError())

    assert asyncio.run(body()) is False


def test_a_cancelled_error_ends_the_task_that_is_being_cancelled() -> None:
    seen: list[bool] = []

    async def body() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            seen.append(ends_this_task(error))
            raise

    async def main() -> None:
        task = asyncio.create_task(body())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    assert seen == [True]


def test_a_scope_that_is_cancelled_ends_what_it_holds_on_both_loops() -> None:
    seen: list[bool] = []

    async def main() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.sleep(60)
            except BaseException as error:
                seen.append(ends_this_task(error))
                raise

    anyio.run(main, backend="asyncio")
    anyio.run(main, backend="trio")
    assert seen == [True, True]


def test_a_coroutine_that_is_closed_without_a_loop_is_left() -> None:
    assert ends_this_task(GeneratorExit())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_generators_end_inside_a_running_task_is_one_more_error(backend: str) -> None:
    async def main() -> bool:
        return ends_this_task(GeneratorExit())

    assert anyio.run(main, backend=backend) is False


def test_trios_cancelled_is_known_by_its_class() -> None:
    assert issubclass(trio.Cancelled, BaseException)
    assert not issubclass(trio.Cancelled, Exception)
