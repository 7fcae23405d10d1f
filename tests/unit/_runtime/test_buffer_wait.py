"""buffer_wait.py: calls that wait for buffer memory without a record."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, cast

from aioproducer._runtime.buffer_wait import BufferWaiters


class FakeAccumulator:
    """So many bytes are free."""

    def __init__(self) -> None:
        self.free = 0
        self.closed_error: Exception | None = None

    def has_free_memory(self, size: int) -> bool:
        return size <= self.free


class Waiter:
    """Parks a coroutine that the test drives."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield self


class FakeBackend:
    """A loop that notes whom it is to wake."""

    new_waiter = Waiter

    def __init__(self) -> None:
        self.woken: list[Any] = []

    def wake(self, waiters: Any) -> None:
        self.woken += waiters

    def call_soon(self, function: Any, *arguments: Any) -> None:
        function(*arguments)


def made() -> tuple[BufferWaiters, FakeAccumulator, FakeBackend]:
    accumulator, backend = FakeAccumulator(), FakeBackend()
    return BufferWaiters(cast("Any", accumulator), cast("Any", backend)), accumulator, backend


def is_over(call: Any) -> bool:
    try:
        call.send(None)
    except StopIteration:
        return True
    return False


def test_where_memory_is_free_nobody_waits() -> None:
    waiters, accumulator, _ = made()
    accumulator.free = 10
    assert is_over(waiters.wait(10))


def test_those_are_woken_for_whom_there_is_memory_now() -> None:
    waiters, accumulator, backend = made()
    small, large = waiters.wait(10), waiters.wait(100)
    assert not is_over(small)
    assert not is_over(large)
    accumulator.free = 50
    waiters.check()
    assert len(backend.woken) == 1
    assert is_over(small)
    large.close()


def test_one_that_is_woken_too_late_waits_again() -> None:
    waiters, accumulator, backend = made()
    call = waiters.wait(10)
    assert not is_over(call)
    accumulator.free = 10
    waiters.check()
    accumulator.free = 0  # somebody was faster
    assert not is_over(call)
    call.close()
    accumulator.free = 10
    waiters.check()
    assert len(backend.woken) == 1, "a cancelled call is not woken"


def test_closing_wakes_everybody() -> None:
    waiters, accumulator, backend = made()
    call = waiters.wait(10)
    assert not is_over(call)
    accumulator.closed_error = RuntimeError()
    waiters.check()
    assert len(backend.woken) == 1
    assert is_over(call)
