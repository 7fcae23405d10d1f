"""Every row of the tables of error codes: where an answer leads, for each request of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._core.requests.verdicts import TRANSACTION_VERDICTS, Verdict, control_verdict
from aioproducer._core.transactions.states import TransactionState
from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from aioproducer._wire.messages.add_partitions_to_txn import AddPartitionsToTxnRequest
from aioproducer._wire.messages.end_txn import EndTxnRequest
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer._wire.messages.txn_offset_commit import TxnOffsetCommitRequest
from aioproducer.errors import ErrorCode, KafkaError, ProducerFencedError
from tests.unit._core.transactional import TransactionalShell

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer._wire.schema import Request

S = TransactionState

ROWS = [(api, code) for api, rows in TRANSACTION_VERDICTS.items() for code in rows if code != 0]
UNLISTED_RETRIABLE = [14, 51]
UNLISTED_FATAL = [-1, 42, 49, 999]


def started(level: int = 0) -> TransactionalShell:
    """A shell whose producer id is there."""
    return TransactionalShell(level).start()


def before_init() -> TransactionalShell:
    """InitProducerId is sent."""
    it = TransactionalShell(0)
    it.poll()
    it.wait_until(lambda: it.has_request(FindCoordinatorRequest), within=1)
    it.find()
    it.poll()
    assert it.has_request(InitProducerIdRequest)
    return it


def before_partitions() -> TransactionalShell:
    """AddPartitionsToTxn is sent."""
    it = started()
    it.begin()
    it.send()
    return it


def before_group() -> TransactionalShell:
    """AddOffsetsToTxn is sent."""
    it = started()
    it.send_offsets(it.begin())
    return it


def before_offsets() -> TransactionalShell:
    """TxnOffsetCommit is sent."""
    it = started()
    it.begin_with_offsets_under_way()
    return it


def before_end() -> TransactionalShell:
    """EndTxn is sent, to commit."""
    it = started()
    it.commit(it.begin_with_a_record())
    return it


def before_lookup() -> TransactionalShell:
    """FindCoordinator is sent, for a group."""
    it = started()
    it.send_offsets(it.begin())
    it.add_offsets()
    it.poll()
    return it


Case = tuple["Callable[[], TransactionalShell]", "type[Request]", "Callable[[TransactionalShell, int], object]"]
CASES: dict[int, Case] = {
    ApiKey.FIND_COORDINATOR: (before_lookup, FindCoordinatorRequest, lambda it, code: it.find(code)),
    ApiKey.INIT_PRODUCER_ID: (before_init, InitProducerIdRequest, lambda it, code: it.init(code)),
    ApiKey.ADD_PARTITIONS_TO_TXN: (
        before_partitions,
        AddPartitionsToTxnRequest,
        lambda it, code: it.add_partitions(code),
    ),
    ApiKey.ADD_OFFSETS_TO_TXN: (before_group, AddOffsetsToTxnRequest, lambda it, code: it.add_offsets(code)),
    ApiKey.TXN_OFFSET_COMMIT: (before_offsets, TxnOffsetCommitRequest, lambda it, code: it.commit_offsets(code)),
    ApiKey.END_TXN: (before_end, EndTxnRequest, lambda it, code: it.end(code)),
}
EVERY = [
    *((api, code) for api, code in ROWS if api in CASES),
    *((api, code) for api in CASES for code in (*UNLISTED_RETRIABLE, *UNLISTED_FATAL)),
]


def verdict_of(api: int, code: int) -> Verdict:
    """What follows from the code."""
    return control_verdict(TRANSACTION_VERDICTS[api], code)


ABORTABLE = [row for row in EVERY if verdict_of(*row) is Verdict.ABORT]


def name(case: object) -> str:
    """A test's id."""
    return ApiKey(case).name if isinstance(case, ApiKey) else str(case)


@pytest.mark.parametrize(("api", "code"), EVERY, ids=name)
def test_every_code_leads_where_its_verdict_says(api: ApiKey, code: int) -> None:
    prepare, request, answer = CASES[api]
    it = prepare()
    before = it.state
    answer(it, code)
    it.poll()
    match verdict_of(api, code):
        case Verdict.RETRY:
            assert it.is_in(before)
            assert not it.has_request(request)
            it.wait_until(lambda: it.has_request(request), within=1.5)
        case Verdict.COORDINATOR:
            assert it.is_in(before)
            it.wait_until(lambda: it.has_request(FindCoordinatorRequest), within=1.5)
            it.find()
            it.wait_until(lambda: it.has_request(request), within=1.5)
        case Verdict.ABORT:
            assert it.is_in(S.ABORTING if before is S.COMMITTING else S.ABORTABLE_ERROR)
            assert it.transactions.current is not None
            assert it.transactions.current.cause is not None
        case Verdict.FENCED:
            assert it.is_in(S.FATAL_ERROR)
            assert isinstance(it.sender.fatal_error, ProducerFencedError)
        case Verdict.FATAL:
            assert it.is_in(S.FATAL_ERROR)
            assert it.sender.fatal_error is not None
            assert it.sender.fatal_error.fatal
        case other:
            raise AssertionError(f"{other} is no verdict on a transaction")


@pytest.mark.parametrize(("api", "code"), ABORTABLE, ids=name)
def test_after_an_abortable_answer_an_abort_leads_to_another_transaction(api: ApiKey, code: int) -> None:
    prepare, _, answer = CASES[api]
    it = prepare()
    transaction = it.transactions.current
    assert transaction is not None
    answer(it, code)
    it.poll()
    ticket = it.abort(transaction)
    if it.has_request(EndTxnRequest):
        assert it.end().committed is False
        it.poll()
    assert ticket.done
    assert ticket.error is None
    if it.is_in(S.INITIALIZING):  # version 1: the failure leaves a doubt, which a new epoch ends
        it.init(identity=(7, 1))
        it.poll()
    assert it.begin() is not transaction


@pytest.mark.parametrize("code", [29, 30, 48, 120])
def test_an_abort_that_is_refused_is_fatal_as_it_cannot_be_repeated_for_ever(code: int) -> None:
    it = started()
    ticket = it.abort(it.begin_with_a_record())
    it.end(code)
    it.poll()
    assert it.is_in(S.FATAL_ERROR)
    assert isinstance(ticket.error, KafkaError)
    assert ticket.error.fatal


def test_an_abort_is_repeated_while_the_commit_before_is_not_finished_and_this_one_is_not_begun() -> None:
    it = started(2)
    transaction = it.begin()
    it.send()
    it.refuse(51)
    it.abort(transaction)
    it.end(48)
    it.poll()
    assert it.is_in(S.ABORTING)
    it.wait_until(lambda: it.has_request(EndTxnRequest), within=1)
    it.end()
    it.poll()
    assert it.is_in(S.READY)


@pytest.mark.parametrize("code", [0, 15, 16, 14])
def test_a_description_is_asked_for_until_it_comes(code: int) -> None:
    it = TransactionalShell(0, transaction_timeout_ms=1_000).start()
    transaction = it.begin_with_a_record()
    it.now += 1.5
    it.abort(transaction)
    it.end(90)
    it.poll()
    if code:
        it.describe("", (-1, -1), code)
        it.poll()
        assert it.is_in(S.FENCED_OR_TIMED_OUT)
        if code != ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
            it.wait_until(lambda: it.has_request(FindCoordinatorRequest), within=1.5)
            it.find()
        it.wait_until(lambda: any(send.message for send in it.sent.get(2, [])), within=1.5)
    it.describe("CompleteAbort", (7, 1))
    it.poll()
    assert it.is_in(S.INITIALIZING)


def test_every_request_of_a_transaction_has_its_table() -> None:
    assert set(TRANSACTION_VERDICTS) == {*CASES, ApiKey.DESCRIBE_TRANSACTIONS}


@pytest.mark.parametrize("code", [45, 59, 47, 48, 90, 120, -1])
@pytest.mark.parametrize("level", [0, 2])
def test_a_batch_that_fails_so_fails_the_transaction_and_not_the_producer(code: int, level: int) -> None:
    it = started(level)
    it.begin_with_a_record()
    batch = it.send()
    it.refuse(code)
    it.poll()
    assert batch.error is not None
    assert it.is_in(S.ABORTABLE_ERROR)


@pytest.mark.parametrize("code", [31, 35, 49, 53])
def test_a_batch_that_is_refused_so_is_the_end_of_the_producer(code: int) -> None:
    it = started(2)
    it.begin_with_a_record()
    it.send()
    it.refuse(code)
    it.poll()
    assert it.is_in(S.FATAL_ERROR)
