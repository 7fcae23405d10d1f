"""When InitProducerId is sent, and what its answer does."""

from __future__ import annotations

import random

import pytest

from aioproducer._core.produce.sequences import Sequences
from aioproducer._core.requests.producer_id import Identity
from aioproducer._core.requests.verdicts import Verdict
from aioproducer._wire.messages.init_producer_id import InitProducerIdResponse
from aioproducer.errors import KafkaConnectionError
from tests.unit._core.harness import config


def make(*, is_enabled: bool = True) -> tuple[Identity, Sequences]:
    sequences = Sequences(is_enabled=is_enabled)
    return Identity(config(), sequences, random.Random(1)), sequences


def test_it_is_due_while_there_is_no_producer_id_and_no_request_under_way() -> None:
    identity, sequences = make()
    assert identity.is_due(0.0)
    identity.begin_request()
    assert not identity.is_due(0.0)
    assert identity.next_at() == float("inf")
    answer = InitProducerIdResponse(producer_id=5, producer_epoch=2)
    assert identity.on_response(answer, 1, 0.0) == (Verdict.DELIVERED, None)
    assert not identity.is_due(0.0)
    assert (sequences.producer_id, sequences.producer_epoch) == (5, 2)


def test_it_is_never_due_without_idempotence() -> None:
    identity, _ = make(is_enabled=False)
    assert not identity.is_due(0.0)
    assert identity.next_at() == float("inf")


def test_the_request_asks_for_a_new_id_without_a_transaction() -> None:
    request = make()[0].begin_request()
    assert (request.transactional_id, request.producer_id, request.producer_epoch) == (None, -1, -1)
    assert request.transaction_timeout_ms == 2**31 - 1


def test_failures_back_off_exponentially() -> None:
    identity, _ = make()
    waits: list[float] = []
    now = 0.0
    for _ in range(7):
        assert identity.is_due(now)
        identity.begin_request()
        identity.fail(KafkaConnectionError("lost"), now)
        assert not identity.is_due(now)
        waits.append(identity.next_at() - now)
        now = identity.next_at()
    assert waits[0] <= 0.121
    assert 0.8 <= waits[-1] <= 1.0 + 1e-9
    assert identity.last_error is not None


@pytest.mark.parametrize(
    ("code", "verdict", "fatal"), [(31, Verdict.FAIL, False), (53, Verdict.FATAL, True), (9999, Verdict.FATAL, True)]
)
def test_a_refusal_says_who_refused_and_whether_it_is_fatal(code: int, verdict: Verdict, fatal: bool) -> None:
    identity, _ = make()
    identity.begin_request()
    answered, error = identity.on_response(InitProducerIdResponse(error_code=code), 4, 0.0)
    assert answered is verdict
    assert error is not None
    assert error.fatal is fatal
    assert "broker 4 answered InitProducerId" in str(error)
