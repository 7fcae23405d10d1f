"""InitProducerId: what it says, when it is sent without a transactional id, and what its answer does then."""

from __future__ import annotations

import math

import pytest

from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer.errors import KafkaError, UnsupportedVersionError
from tests.unit._core.harness import Shell, versions


def connected(**settings: bool) -> Shell:
    """A shell that has learned of its topic; InitProducerId is sent, or is not."""
    shell = Shell(**settings)  # type: ignore[arg-type]
    shell.learn()
    shell.poll()
    return shell


def test_it_is_sent_while_there_is_no_producer_id_and_once() -> None:
    shell = connected()
    assert shell.has_request(InitProducerIdRequest)
    request = shell.sender.requests.times()[-1]
    assert request == math.inf  # in flight
    shell.answer_init(producer_id=5, epoch=2)
    shell.poll(after=100.0)
    assert not shell.has_request(InitProducerIdRequest)
    status = shell.sender.status(shell.now)
    assert (status.producer_id, status.producer_epoch) == (5, 2)


def test_it_is_never_sent_without_idempotence() -> None:
    shell = connected(enable_idempotence=False)
    shell.poll(after=100.0)
    assert not shell.has_request(InitProducerIdRequest)


def test_the_request_asks_for_a_new_id_without_a_transaction() -> None:
    request = connected().request(InitProducerIdRequest).message
    assert isinstance(request, InitProducerIdRequest)
    assert (request.transactional_id, request.producer_id, request.producer_epoch) == (None, -1, -1)
    assert request.transaction_timeout_ms == 2**31 - 1


def test_failures_back_off_exponentially() -> None:
    shell = connected()
    waits: list[float] = []
    for _ in range(7):
        shell.answer_init(error=14)
        start = shell.now
        shell.wait_until(lambda: shell.has_request(InitProducerIdRequest), within=1.1)
        waits.append(shell.now - start)
    assert waits[0] <= 0.121
    assert 0.8 <= waits[-1] <= 1.0 + 1e-9


@pytest.mark.parametrize("code", [53, 9999])
def test_a_code_that_is_no_use_to_repeat_ends_the_producer(code: int) -> None:
    shell = connected()
    shell.answer_init(error=code)
    error = shell.sender.fatal_error
    assert error is not None
    assert error.fatal
    assert "broker 1 answered InitProducerId" in str(error) or "a bootstrap server answered InitProducerId" in str(
        error
    )


def test_a_producer_that_may_not_have_one_fails_what_is_buffered_and_asks_again() -> None:
    shell = connected()
    batch = shell.append()
    shell.answer_init(error=31)
    shell.poll()
    assert isinstance(batch.error, KafkaError)
    assert not batch.error.fatal
    assert shell.sender.fatal_error is None
    shell.wait_until(lambda: shell.has_request(InitProducerIdRequest), within=0.13)


def test_a_broker_without_it_ends_the_producer() -> None:
    shell = Shell()
    shell.versions = versions(init_producer_id=-1)
    shell.poll()
    assert isinstance(shell.sender.fatal_error, UnsupportedVersionError)
