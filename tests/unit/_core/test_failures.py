"""What ends the producer, what fails with it, and how a failure says whether records may be written."""

from __future__ import annotations

from aioproducer._core.accumulator.batch import BatchState
from aioproducer.errors import DeliveryTimeoutError, ProducerClosedError
from tests.unit._core.harness import Shell, topic_answer


def test_everything_fails_with_what_ends_the_producer_and_says_what_may_be_written() -> None:
    shell = Shell(linger_ms=0).start(topic_answer(leaders=(1, 1)))
    in_flight = shell.send()
    waiting = shell.append(1)
    shell.sender.abort(ProducerClosedError("closed at once"), shell.now)
    shell.poll()
    assert (in_flight.state, waiting.state) == (BatchState.DONE, BatchState.DONE)
    assert in_flight.error is not None
    assert waiting.error is not None
    assert in_flight.error.possibly_written
    assert not waiting.error.possibly_written


def test_a_late_batch_is_late_as_its_broker_cannot_be_reached() -> None:
    shell = Shell(delivery_timeout_ms=1_000, request_timeout_ms=1_000, linger_ms=0).start()
    batch = shell.append()
    shell.answers_connects = False
    error = shell.expire(batch)
    assert isinstance(error, DeliveryTimeoutError)
    assert error.__cause__ is not None
    assert "broker 1" in str(error.__cause__)
