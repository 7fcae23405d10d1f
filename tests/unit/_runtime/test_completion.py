"""_runtime/completion.py: who is told of an outcome, in which order, and for how long in one go."""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from aioproducer._core.accumulator.batch import BatchState, ProducerBatch
from aioproducer._metrics.counters import Counters
from aioproducer._producer.delivery import Delivery
from aioproducer._runtime.completion import CALLBACK_SECONDS, WOKEN_AT_ONCE, Completion
from aioproducer._runtime.undelivered import Undelivered


class FakeBackend:
    """A loop that the test turns by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seconds_per_task = 0.0
        self.seconds_to_resume = 0.0
        self.woken: list[Any] = []
        self.passes: deque[Callable[[], object]] = deque()

    def call_soon(self, function: Callable[..., object], *arguments: object) -> None:
        self.passes.append(lambda: function(*arguments))

    def raise_soon(self, error: BaseException) -> None:
        def raise_it() -> None:
            raise error

        self.call_soon(raise_it)

    def wake(self, waiters: Sequence[int]) -> None:
        """Wake tasks, which are numbers here; it takes each as long as the test says."""
        for number in waiters:
            self.woken.append(number)
            self.now += self.seconds_per_task

    def is_waiting(self, waiter: int) -> bool:
        return True

    def turn(self) -> None:
        """One pass."""
        for _ in range(len(self.passes)):
            self.passes.popleft()()


class Setting:
    """A completion on a loop by hand."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.completion = Completion(
            cast("Any", self.backend),
            Undelivered(),
            (),
            lambda: self.backend.now,
            Counters(),
            self.backend.call_soon,
        )


def batch_of(count: int, first: int = 0) -> ProducerBatch:
    batch = ProducerBatch("orders", 0, 0.0)
    for _ in range(count):
        batch.append(1_000, None, b"v", None, 10)
    batch.waiters = [(number, first + number) for number in range(count)]
    batch.state = BatchState.DONE
    batch.base_offset = 0
    return batch


def delivery_of(batch: ProducerBatch, index: int) -> Delivery:
    return Delivery(batch, index, cast("Any", None))


def test_tasks_are_woken_in_the_order_of_batches_and_records() -> None:
    it = Setting()
    it.completion.schedule([batch_of(100), batch_of(50, 100)])
    it.completion.schedule([batch_of(3, 150)])
    it.backend.turn()
    assert it.backend.woken == list(range(153))
    assert not it.backend.passes


def test_what_takes_long_is_cut_into_passes_of_the_loop() -> None:
    it = Setting()
    it.backend.seconds_per_task = CALLBACK_SECONDS / WOKEN_AT_ONCE / 2
    it.completion.schedule([batch_of(1000)])
    passes = 0
    while it.backend.passes:
        before = it.backend.now
        it.backend.turn()
        passes += 1
        assert it.backend.now - before <= CALLBACK_SECONDS * 1.5
    assert it.backend.woken == list(range(1000))
    assert passes >= 1000 / WOKEN_AT_ONCE / 2 - 1


def test_tasks_that_resume_after_they_were_woken_count_with_what_they_are_to_take() -> None:
    it = Setting()
    it.backend.seconds_to_resume = CALLBACK_SECONDS / WOKEN_AT_ONCE / 2
    it.completion.schedule([batch_of(1000)])
    it.backend.turn()
    assert it.backend.woken == list(range(2 * WOKEN_AT_ONCE))


def test_what_is_told_twice_in_a_moment_shares_the_time_of_one() -> None:
    it = Setting()
    it.backend.seconds_per_task = CALLBACK_SECONDS / WOKEN_AT_ONCE / 4
    it.completion.schedule([batch_of(2 * WOKEN_AT_ONCE)])
    it.backend.turn()
    assert not it.backend.passes
    it.completion.schedule([batch_of(1000)])
    it.backend.turn()
    assert len(it.backend.woken) == 4 * WOKEN_AT_ONCE


def test_a_moment_later_there_is_all_of_the_time_again() -> None:
    it = Setting()
    it.backend.seconds_per_task = CALLBACK_SECONDS / WOKEN_AT_ONCE / 4
    it.completion.schedule([batch_of(2 * WOKEN_AT_ONCE)])
    it.backend.turn()
    it.backend.now += CALLBACK_SECONDS
    it.completion.schedule([batch_of(1000)])
    it.backend.turn()
    assert len(it.backend.woken) == 6 * WOKEN_AT_ONCE


def test_what_is_to_follow_follows_all_that_was_scheduled_before() -> None:
    it = Setting()
    it.backend.seconds_per_task = CALLBACK_SECONDS
    it.completion.schedule([batch_of(200)])
    seen: list[int] = []
    it.completion.then(lambda: seen.append(len(it.backend.woken)))
    it.completion.schedule([batch_of(1, 200)])
    while it.backend.passes:
        it.backend.turn()
    assert seen == [200]
    assert len(it.backend.woken) == 201


def test_in_a_hurry_there_are_no_pauses() -> None:
    it = Setting()
    it.backend.seconds_per_task = CALLBACK_SECONDS
    it.completion.hurry()
    it.completion.schedule([batch_of(200)])
    it.backend.turn()
    assert len(it.backend.woken) == 200


def test_callbacks_come_before_the_tasks_of_their_batch_in_the_order_of_the_records() -> None:
    it = Setting()
    batch = batch_of(3)
    context = contextvars.copy_context()

    def told(delivery: Delivery) -> None:
        it.backend.woken.append(f"callback {delivery.result().offset}")

    batch.callbacks = [(index, (told, delivery_of(batch, index), context)) for index in (2, 0, 1)]
    it.completion.schedule([batch])
    it.backend.turn()
    assert it.backend.woken == ["callback 0", "callback 1", "callback 2", 0, 1, 2]


def test_the_end_of_the_program_in_a_callback_is_raised_when_the_others_were_told() -> None:
    it = Setting()
    batch = batch_of(2)

    def leave(delivery: object) -> None:
        raise SystemExit

    batch.callbacks = [(0, (leave, delivery_of(batch, 0), contextvars.copy_context()))]
    it.completion.schedule([batch])
    with pytest.raises(SystemExit):
        while it.backend.passes:
            it.backend.turn()
    assert it.backend.woken == [0, 1]


def test_the_end_of_the_program_in_what_follows_leaves_those_who_come_later_to_be_told() -> None:
    it = Setting()

    def leave() -> None:
        raise KeyboardInterrupt

    it.completion.then(leave)
    it.completion.schedule([batch_of(1)])
    with pytest.raises(KeyboardInterrupt):
        while it.backend.passes:
            it.backend.turn()
    it.completion.schedule([batch_of(1, 1)])
    while it.backend.passes:
        it.backend.turn()
    assert it.backend.woken == [0, 1]
