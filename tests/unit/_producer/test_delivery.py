"""delivery.py: what a (batch, index) says, and how it follows its record."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextvars import Context
from typing import Any

import pytest

from aioproducer._core.accumulator.batch import BatchState, ProducerBatch
from aioproducer._core.accumulator.waiting import PendingAppend
from aioproducer._producer.delivery import Delivery, check_callback
from aioproducer._runtime.outcome import follow_split, run_callback
from aioproducer._types import RecordMetadata
from aioproducer.errors import (
    BrokerError,
    ErrorCode,
    IllegalStateError,
    KafkaError,
    MetadataTimeoutError,
)
from aioproducer.errors._fresh import fresh
from aioproducer.errors._from_code import error_for


class FakeFuture:
    """Parks a generator that the test drives by hand."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield self


class FakeBackend:
    """Keeps the calls that it was asked to make soon."""

    name: Any = "asyncio"

    def __init__(self) -> None:
        self.clock: Callable[[], float] = lambda: 0.0
        self.is_here = True
        self.new_waiter: Callable[[], Awaitable[None]] = FakeFuture
        self.seconds_to_resume = 0.0
        self.token: object = "here"
        self.current_token: Callable[[], object] = lambda: "here" if self.is_here else "elsewhere"
        self.soon: list[tuple[Callable[..., object], tuple[object, ...]]] = []

    def is_current(self) -> bool:
        return self.is_here

    def spawn_host(self, main: Callable[[], Any]) -> None:
        raise AssertionError("a delivery starts no task")

    def call_soon(self, function: Callable[..., object], *arguments: object, context: Context | None = None) -> None:
        self.soon.append((function, arguments))

    def is_waiting(self, waiter: Any) -> bool:
        raise AssertionError("a delivery does not ask who waits")

    def wake(self, waiters: Sequence[Any]) -> None:
        raise AssertionError("a delivery wakes nobody")

    def new_wake_up(self) -> Any:
        raise AssertionError("a delivery has no flag")

    def new_poller(self, step: Callable[[], float | None]) -> Any:
        raise AssertionError("a delivery does not poll")

    def tcp_connector(self, send_buffer_bytes: int, receive_buffer_bytes: int) -> Any:
        raise AssertionError("a delivery does not connect")

    async def yield_now(self) -> None:
        raise AssertionError("a delivery does not yield")

    def run_soon(self) -> None:
        calls, self.soon = self.soon, []
        for function, arguments in calls:
            function(*arguments)


def batch_of(count: int, topic: str = "orders", partition: int = 3) -> ProducerBatch:
    batch = ProducerBatch(topic, partition, 0.0)
    for number in range(count):
        batch.append(1_000 + number, None, b"v", None, 10)
    return batch


def finish(batch: ProducerBatch, *, base_offset: int = -1, error: KafkaError | None = None) -> None:
    batch.base_offset = base_offset
    batch.plain_base_offset = base_offset if error is None else -1
    batch.error = error
    batch.state = BatchState.DONE


def pending() -> PendingAppend:
    return PendingAppend(
        "orders", None, None, b"v", None, None, enqueued_at=0.0, deadline=1.0, charge=100, accepted=True
    )


def step(delivery: Delivery) -> Generator[Any, Any, RecordMetadata]:
    """Start awaiting it; it is parked."""
    awaiting = delivery.__await__()
    assert isinstance(next(awaiting), FakeFuture)
    return awaiting


def resume(awaiting: Generator[Any, Any, RecordMetadata]) -> RecordMetadata:
    with pytest.raises(StopIteration) as stopped:
        next(awaiting)
    result: RecordMetadata = stopped.value.value
    return result


def test_each_record_has_an_offset_and_a_timestamp_of_its_own() -> None:
    batch = batch_of(3)
    finish(batch, base_offset=40)
    results = [Delivery(batch, index, FakeBackend()).result() for index in range(3)]
    assert results == [RecordMetadata("orders", 3, 40 + index, 1_000 + index) for index in range(3)]


def test_with_log_append_time_all_records_have_the_brokers_timestamp() -> None:
    batch = batch_of(2)
    batch.log_append_time_ms = 5_000
    finish(batch, base_offset=0)
    assert {Delivery(batch, index, FakeBackend()).result().timestamp_ms for index in (0, 1)} == {5_000}


def test_an_offset_that_the_broker_did_not_tell_is_none_for_every_record() -> None:
    batch = batch_of(2)
    finish(batch)
    assert [Delivery(batch, index, FakeBackend()).result().has_offset for index in (0, 1)] == [False, False]


def test_an_error_of_one_record_comes_before_that_of_its_batch() -> None:
    batch = batch_of(2)
    own, others = KafkaError("own"), KafkaError("others")
    batch.record_errors = {1: own}
    finish(batch, error=others)
    assert [Delivery(batch, index, FakeBackend()).exception() for index in (0, 1)] == [others, own]


def test_each_result_raises_an_error_of_its_own_with_the_same_cause() -> None:
    batch = batch_of(1)
    error = error_for(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic="orders")
    error.__cause__ = KeyError("why")
    finish(batch, error=error)
    delivery = Delivery(batch, 0, FakeBackend())
    raised: list[KafkaError] = []
    for _ in range(2):
        with pytest.raises(BrokerError) as caught:
            delivery.result()
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    assert error not in raised
    assert {each.__cause__ for each in raised} == {error.__cause__}
    assert [(each.code, str(each)) for each in raised] == [(error.code, str(error))] * 2
    assert error.__traceback__ is None


def test_before_the_outcome_there_is_neither_result_nor_exception() -> None:
    delivery = Delivery(batch_of(1), 0, FakeBackend())
    assert not delivery.done()
    for ask in (delivery.result, delivery.exception):
        with pytest.raises(IllegalStateError):
            ask()


def test_awaiting_a_done_delivery_does_not_park() -> None:
    batch = batch_of(1)
    finish(batch, base_offset=7)
    assert resume(Delivery(batch, 0, FakeBackend()).__await__()).offset == 7


def test_those_who_wait_are_entered_with_their_record() -> None:
    batch = batch_of(3)
    awaiting = [step(Delivery(batch, index, FakeBackend())) for index in (2, 0)]
    assert [index for index, _ in batch.waiters or ()] == [2, 0]
    finish(batch, base_offset=10)
    assert [resume(each).offset for each in awaiting] == [12, 10]


def test_who_is_woken_too_early_waits_again() -> None:
    batch = batch_of(1)
    awaiting = step(Delivery(batch, 0, FakeBackend()))
    assert isinstance(next(awaiting), FakeFuture)
    finish(batch, base_offset=0)
    assert resume(awaiting).offset == 0


def test_a_delivery_is_refused_in_another_loop_while_it_is_not_done() -> None:
    batch = batch_of(1)
    backend = FakeBackend()
    delivery = Delivery(batch, 0, backend)
    backend.is_here = False
    with pytest.raises(IllegalStateError, match="event loop of its producer"):
        next(delivery.__await__())
    finish(batch, base_offset=0)
    assert resume(delivery.__await__()).offset == 0


def split(batch: ProducerBatch, *sizes: int) -> list[ProducerBatch]:
    children = [batch_of(size) for size in sizes]
    firsts = [sum(sizes[:number]) for number in range(len(sizes))]
    batch.split_into = list(zip(firsts, children, strict=True))
    batch.state = BatchState.DONE
    return children


def test_a_delivery_follows_its_record_through_splits_of_splits() -> None:
    batch = batch_of(5)
    deliveries = [Delivery(batch, index, FakeBackend()) for index in range(5)]
    first, second = split(batch, 2, 3)
    third, fourth = split(second, 1, 2)
    assert [delivery.done() for delivery in deliveries] == [False] * 5
    for child, offset in ((first, 0), (third, 2), (fourth, 3)):
        finish(child, base_offset=offset)
    assert [delivery.result().offset for delivery in deliveries] == [0, 1, 2, 3, 4]
    assert follow_split(batch, 4) == (fourth, 1)


def test_who_waits_while_the_batch_is_split_goes_on_waiting_in_the_new_one() -> None:
    batch = batch_of(2)
    awaiting = step(Delivery(batch, 1, FakeBackend()))
    _, second = split(batch, 1, 1)
    assert isinstance(next(awaiting), FakeFuture)
    assert [index for index, _ in second.waiters or ()] == [0]
    finish(second, base_offset=9)
    assert resume(awaiting).offset == 9


def test_a_record_that_waits_for_its_topic_is_done_when_that_fails() -> None:
    home = pending()
    delivery = Delivery(home, 0, FakeBackend())
    assert not delivery.done()
    awaiting = step(delivery)
    home.error = MetadataTimeoutError("unknown topic", topic="orders")
    assert delivery.done()
    with pytest.raises(MetadataTimeoutError, match="unknown topic"):
        next(awaiting)


def test_a_record_that_was_appended_late_is_found_in_its_batch() -> None:
    home, batch = pending(), batch_of(3)
    delivery = Delivery(home, 0, FakeBackend())
    home.batch, home.index = batch, 2
    assert not delivery.done()
    finish(batch, base_offset=5)
    assert delivery.result().offset == 7


def test_callbacks_are_kept_with_their_record_until_the_outcome() -> None:
    batch = batch_of(2)
    told: list[Delivery] = []
    delivery = Delivery(batch, 1, FakeBackend())
    delivery.add_done_callback(told.append)
    delivery.add_done_callback(told.append)
    assert told == []
    assert [index for index, _ in batch.callbacks or ()] == [1, 1]
    for _, (callback, which, context) in batch.callbacks or ():
        run_callback(callback, which, context)
    assert told == [delivery, delivery]


def test_a_callback_of_a_done_delivery_is_called_soon_but_not_now() -> None:
    batch = batch_of(1)
    finish(batch, base_offset=0)
    backend = FakeBackend()
    told: list[Delivery] = []
    delivery = Delivery(batch, 0, backend)
    delivery.add_done_callback(told.append)
    assert told == []
    backend.run_soon()
    assert told == [delivery]


def test_a_callback_runs_in_the_context_in_which_it_was_added() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    backend = FakeBackend()
    batch = batch_of(1)
    finish(batch, base_offset=0)
    seen: list[str] = []

    def add() -> None:
        variable.set("inside")
        Delivery(batch, 0, backend).add_done_callback(lambda _: seen.append(variable.get()))

    contextvars.copy_context().run(add)
    backend.run_soon()
    assert seen == ["inside"]


def test_what_a_callback_raises_is_logged_without_the_record(caplog: pytest.LogCaptureFixture) -> None:
    def fail(delivery: Delivery) -> None:
        raise ZeroDivisionError

    batch = batch_of(1)
    with caplog.at_level(logging.ERROR, "aioproducer"):
        run_callback(fail, Delivery(batch, 0, FakeBackend()), contextvars.copy_context())
    (line,) = caplog.records
    assert line.exc_info is not None
    assert "orders" in line.getMessage()


def test_what_ends_the_program_is_not_held_up_by_a_callback() -> None:
    def interrupt(delivery: Delivery) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_callback(interrupt, Delivery(batch_of(1), 0, FakeBackend()), contextvars.copy_context())


async def _coroutine(delivery: Delivery) -> None:
    raise AssertionError("never called")


@pytest.mark.parametrize("wrong", [None, 5, "text", _coroutine])
def test_what_is_no_plain_function_is_refused_as_callback(wrong: Any) -> None:
    with pytest.raises(TypeError):
        check_callback(wrong)


def test_the_repr_tells_state_and_place_only() -> None:
    batch = batch_of(1)
    delivery = Delivery(batch, 0, FakeBackend())
    assert repr(delivery) == "<Delivery pending topic='orders' partition=3>"
    finish(batch, base_offset=0)
    assert repr(delivery) == "<Delivery delivered topic='orders' partition=3>"
    failed = batch_of(1)
    finish(failed, error=KafkaError("no"))
    assert repr(Delivery(failed, 0, FakeBackend())) == "<Delivery failed topic='orders' partition=3>"


def test_a_fresh_error_keeps_all_its_attributes() -> None:
    error = error_for(ErrorCode.NOT_LEADER_OR_FOLLOWER, node=4, topic="orders", partition=1)
    error.possibly_written = True
    copied = fresh(error)
    assert copied is not error
    assert vars(copied) == vars(error)
    assert (str(copied), type(copied)) == (str(error), type(error))
