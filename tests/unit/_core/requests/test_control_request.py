"""The course of a control request: success, repetition, another coordinator, refusal; and a request with an owner."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from aioproducer._core.cluster.metadata import Broker
from aioproducer._core.requests.control_request import ControlRequest, OwnedRequest, ResponseError
from aioproducer._core.requests.verdicts import Verdict
from aioproducer._wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from aioproducer.errors import ErrorCode, UnsupportedVersionError
from aioproducer.errors._from_code import error_for
from tests.unit._core.transaction_parts import NODE, Owner, coordinator, timer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aioproducer._core.requests.coordinators import Coordinator

TABLE: Mapping[int, Verdict] = {
    ErrorCode.NONE: Verdict.DELIVERED,
    ErrorCode.NOT_COORDINATOR: Verdict.COORDINATOR,
    ErrorCode.CLUSTER_AUTHORIZATION_FAILED: Verdict.FAIL,
}


class Probe(ControlRequest):
    """A request that notes what follows."""

    request = EndTxnRequest
    verdicts = TABLE

    def __init__(self, of: Coordinator | None = None) -> None:
        super().__init__(timer(), of)
        self.codes = [0]
        self.followed: list[Any] = []

    def build(self, version: int) -> EndTxnRequest:
        return EndTxnRequest()

    def response_errors(self, message: Any) -> list[ResponseError]:
        return [ResponseError(code) for code in self.codes]

    def on_success(self, message: Any, now: float) -> None:
        self.followed.append("success")

    def on_refused(self, verdict: Verdict, error: Any, now: float) -> None:
        self.followed.append((verdict, error.code))

    def answer(self, *codes: int) -> None:
        """Send it, and answer with these codes at time 5."""
        self.codes = list(codes)
        self.retry_timer.begin()
        self.on_response(EndTxnResponse(), NODE, 5.0)


class Owned(OwnedRequest):
    """A request with an owner."""

    request = EndTxnRequest

    def build(self, version: int) -> EndTxnRequest:
        return EndTxnRequest()

    def response_errors(self, message: Any) -> list[ResponseError]:
        return [ResponseError(message.error_code)]


def found() -> Coordinator:
    """One that is on broker 2."""
    of = coordinator()
    of.found(Broker(2, "b", 2))
    return of


def test_success_makes_the_next_one_due_at_once() -> None:
    it = Probe()
    it.answer(0)
    assert it.followed == ["success"]
    assert it.is_due(5.0)


def test_a_retriable_code_is_repeated_after_a_pause_and_nothing_else_follows() -> None:
    it = Probe()
    it.answer(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    assert it.followed == []
    assert 5.08 <= it.next_at() <= 5.12
    assert "broker 4 answered EndTxn with COORDINATOR_LOAD_IN_PROGRESS" in str(it.retry_timer.last_error)


def test_what_helps_in_a_moment_is_repeated_soon() -> None:
    it = Probe()
    error = error_for(ErrorCode.CONCURRENT_TRANSACTIONS)
    assert it.retry(Verdict.RETRY, error, 5.0, is_soon=True)
    assert it.next_at() <= 5.0 + 0.024
    assert not it.retry(Verdict.FAIL, error, 5.0)


def test_a_broker_that_coordinates_no_more_is_forgotten() -> None:
    of = found()
    it = Probe(of)
    assert it.target() == Broker(2, "b", 2)
    it.answer(ErrorCode.NOT_COORDINATOR)
    assert it.target() is None
    assert it.followed == []
    assert not of.lookups.is_due(5.0)


def test_the_gravest_of_several_codes_decides() -> None:
    it = Probe()
    it.answer(0, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.CLUSTER_AUTHORIZATION_FAILED, 0)
    assert it.followed == [(Verdict.FAIL, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)]


def test_an_answer_without_any_code_counts_as_lost() -> None:
    it = Probe()
    it.answer()
    assert it.followed == []
    assert "an empty answer to EndTxnRequest" in str(it.retry_timer.last_error)
    assert not it.is_due(5.0)


def test_while_it_is_in_flight_it_is_not_due() -> None:
    it = Probe()
    assert it.is_due(0.0)
    it.retry_timer.begin()
    assert it.next_at() == math.inf
    assert repr(it) == "<Probe in flight>"


def test_an_owner_decides_what_follows() -> None:
    owner = Owner()
    it = Owned(owner, timer())
    it.on_response(EndTxnResponse(), NODE, 5.0)
    it.on_response(EndTxnResponse(error_code=ErrorCode.INVALID_TXN_STATE), NODE, 5.0)
    it.on_unsupported(UnsupportedVersionError("too old"), 5.0)
    assert [entry[0] for entry in owner.told] == [it, it, it]
    assert owner.told[1][1] is Verdict.FATAL


def test_an_answer_that_the_owner_does_not_want_changes_nothing() -> None:
    class Indifferent(Owner):
        """An owner that has lost its interest."""

        def is_wanted(self, request: ControlRequest) -> bool:
            return False

    owner = Indifferent()
    it = Owned(owner, timer())
    it.retry_timer.begin()
    it.on_response(EndTxnResponse(error_code=ErrorCode.INVALID_TXN_STATE), NODE, 5.0)
    assert owner.told == []
    assert it.next_at() == math.inf
