"""A failure tells what its reader needs, and whether the records may be in the log."""

from __future__ import annotations

from aioproducer._core.accumulator.batch import BatchState, ProducerBatch
from aioproducer._core.produce.errors import (
    delivery_timeout,
    record_failures,
    renumbering_failure,
)
from aioproducer._wire.messages.produce import BatchIndexAndErrorMessage
from aioproducer.errors import InvalidRecordError, KafkaConnectionError

LOST = KafkaConnectionError("lost the connection to broker 1 (host1:9092): reset by peer")


def batch(count: int = 1, *, attempts: int = 0, state: BatchState = BatchState.SEALED) -> ProducerBatch:
    made = ProducerBatch("orders", 3, 10.0)
    made.count = count
    made.attempts = attempts
    made.state = state
    return made


def test_a_timeout_of_an_unsent_batch() -> None:
    error = delivery_timeout(batch(), 130.0, 120_000, None)
    assert str(error) == (
        "1 record of topic 'orders' partition 3 not acknowledged within delivery_timeout_ms=120000 (120.0 s since the"
        " batch began; never sent); not written; check that the partition's leader can be reached, or raise"
        " delivery_timeout_ms"
    )
    assert (error.attempts, error.node, error.elapsed, error.possibly_written) == (0, None, 120.0, False)


def test_a_timeout_in_flight_counts_the_attempt_under_way_and_has_the_last_failure_as_its_cause() -> None:
    late = batch(5, attempts=2, state=BatchState.IN_FLIGHT)
    late.last_node = 1
    late.possibly_written = True
    error = delivery_timeout(late, 130.0, 120_000, LOST)
    text = str(error)
    assert text.startswith("5 records of topic 'orders' partition 3")
    assert "sent 3 times, last to broker 1" in text
    assert "possibly written; last failure: lost the connection to broker 1 (host1:9092)" in text
    assert "sending again may duplicate" in text
    assert (error.attempts, error.node, error.possibly_written) == (3, 1, True)
    assert error.__cause__ is LOST


def test_a_timeout_of_a_refused_batch_says_that_it_is_safe_to_send_again() -> None:
    told = str(delivery_timeout(batch(attempts=1), 130.0, 120_000, LOST))
    assert "safe to send again" in told
    assert "sent once)" in told


def test_a_batch_that_can_never_be_confirmed_has_its_last_failure_as_cause() -> None:
    lost = batch(2)
    lost.last_error = LOST
    error = renumbering_failure(lost)
    assert error.possibly_written
    assert error.__cause__ is LOST


def test_record_failures_of_a_batch_in_doubt_are_in_doubt() -> None:
    doubtful = batch(3)
    doubtful.possibly_written = True
    named = [BatchIndexAndErrorMessage(batch_index=1, batch_index_error_message="no key")]
    others, own = record_failures(doubtful, 87, None, named, 1)
    assert others.possibly_written
    assert isinstance(own[1], InvalidRecordError)
    assert own[1].possibly_written
    assert others.__cause__ is own[1]
