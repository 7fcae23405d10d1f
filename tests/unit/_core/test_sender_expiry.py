"""What does the error of an expired batch name? What is in the way when it expires, not what was before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer.errors import (
    BrokerError,
    DeliveryTimeoutError,
    KafkaConnectionError,
    KafkaError,
    RequestTimeoutError,
)
from tests.unit._core.harness import Shell, topic_answer

if TYPE_CHECKING:
    from aioproducer._core.accumulator.batch import ProducerBatch

NOT_ENOUGH_REPLICAS = 19


def refused_once(shell: Shell) -> ProducerBatch:
    """A batch that a broker has refused, and whose next attempt is under way."""
    batch = shell.send()
    shell.refuse(NOT_ENOUGH_REPLICAS)
    shell.wait_until(shell.batches, within=1)
    return batch


def test_a_broker_that_went_away_is_named_and_not_only_what_it_answered_before() -> None:
    shell = Shell(delivery_timeout_ms=40_000).start()
    batch = refused_once(shell)
    shell.refuse(NOT_ENOUGH_REPLICAS)
    shell.answers_connects = False
    shell.break_connection()
    error = shell.expire(batch)
    assert isinstance(error.__cause__, KafkaConnectionError)
    assert "last failure: cannot connect to broker 1 (host1:9092): Connection refused;" in str(error)
    assert "its last attempt ended with: broker 1 answered Produce" in str(error)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_broker_that_is_silent_is_named_with_the_time(is_first: bool) -> None:
    shell = Shell(delivery_timeout_ms=31_000, request_timeout_ms=30_900, linger_ms=5).start()
    batch = shell.send() if is_first else refused_once(shell)
    batch.created_at -= 20.0
    shell.wait_until(lambda: batch.is_done, within=11.1)
    assert isinstance(batch.error, DeliveryTimeoutError)
    assert isinstance(batch.error.__cause__, RequestTimeoutError)
    assert "last failure: broker 1 (host1:9092) has not answered for 1" in str(batch.error)
    assert ("its last attempt ended with" in str(batch.error)) is not is_first


def test_what_waits_behind_a_silent_request_names_the_silence() -> None:
    shell = Shell(delivery_timeout_ms=31_000, request_timeout_ms=30_900, max_in_flight_requests_per_connection=1).start(
        topic_answer(leaders=(1, 1))
    )
    first, waiting = shell.send(0), shell.send(1)
    for batch in (first, waiting):
        batch.created_at -= 20.0
    shell.wait_until(lambda: waiting.is_done, within=11.1)
    assert waiting.error is not None
    assert "never sent" in str(waiting.error)
    assert "has not answered for" in str(waiting.error)


def test_a_broker_that_answers_and_refuses_is_named_with_its_refusal() -> None:
    shell = Shell(delivery_timeout_ms=40_000).start()
    batch = shell.send()
    while not batch.is_done:
        if shell.batches():
            shell.refuse(NOT_ENOUGH_REPLICAS)
        shell.wait_until(lambda: batch.is_done or shell.batches(), within=30.1)
    assert isinstance(batch.error, KafkaError)
    assert isinstance(batch.error.__cause__, BrokerError)
    assert "its last attempt ended with" not in str(batch.error)


def test_a_silence_of_a_moment_is_told_where_there_is_nothing_else_to_tell() -> None:
    shell = Shell(delivery_timeout_ms=40_000).start()
    batch = shell.send()
    batch.created_at -= 39.9
    shell.wait_until(lambda: batch.is_done, within=0.2)
    assert "last failure: broker 1 (host1:9092) has not answered for 0." in str(batch.error)
