"""Every row of the verdict tables; what else follows from a row is tested where it is acted on."""

from __future__ import annotations

import pytest

from aioproducer._core.requests.verdicts import (
    INIT_PRODUCER_ID_VERDICTS,
    METADATA_VERDICTS,
    PRODUCE_RULES,
    SEVERITY,
    TRANSACTION_VERDICTS,
    UNLISTED_PRODUCE_RULE,
    Verdict,
    control_verdict,
)
from aioproducer.errors import ErrorCode
from aioproducer.errors._codes import FATAL, INVALID_METADATA, POSSIBLY_WRITTEN, RETRIABLE

RETRY = {2, 7, 14, 15, 16, 19, 20, 51, 75, 89}
REFRESH = {3, 5, 6, 9, 13, 56, 72, 74, 100, 103}
SPLIT = {10, 18}
FAIL = {-1, 17, 21, 29, 32, 42, 43, 44, 47, 48, 55, 76, 87, 120}
FATAL_CODES = {31, 35, 49, 53, 90}
WRITTEN_OR_UNKNOWN = {-1, 0, 3, 5, 6, 7, 9, 13, 20, 46, 56, 72}


def expected_verdict(code: int) -> Verdict:
    groups = {
        Verdict.RETRY: RETRY,
        Verdict.REFRESH: REFRESH,
        Verdict.SPLIT: SPLIT,
        Verdict.FAIL: FAIL,
        Verdict.FATAL: FATAL_CODES,
        Verdict.DELIVERED: {0, 46},
        Verdict.OUT_OF_ORDER: {45},
        Verdict.UNKNOWN_PRODUCER: {59},
    }
    return next(verdict for verdict, codes in groups.items() if code in codes)


@pytest.mark.parametrize("code", sorted(PRODUCE_RULES))
def test_produce_row(code: int) -> None:
    assert PRODUCE_RULES[code].verdict is expected_verdict(code)
    assert PRODUCE_RULES[code].proves_not_written == (code not in WRITTEN_OR_UNKNOWN)


def test_the_produce_table_agrees_with_the_error_classes() -> None:
    for code, rule in PRODUCE_RULES.items():
        if rule.verdict in {Verdict.RETRY, Verdict.REFRESH}:
            assert code in RETRIABLE, ErrorCode(code).name
        if rule.verdict is Verdict.REFRESH:
            assert code in INVALID_METADATA, ErrorCode(code).name
        if rule.verdict is Verdict.FATAL:
            assert code in FATAL, ErrorCode(code).name
        if code in POSSIBLY_WRITTEN:
            assert not rule.proves_not_written, ErrorCode(code).name


def test_an_unlisted_produce_code_fails_the_batch_as_possibly_written() -> None:
    assert UNLISTED_PRODUCE_RULE.verdict is Verdict.FAIL
    assert not UNLISTED_PRODUCE_RULE.proves_not_written


@pytest.mark.parametrize(("code", "verdict"), [(0, Verdict.DELIVERED), (31, Verdict.FAIL)])
def test_init_producer_id_row(code: int, verdict: Verdict) -> None:
    assert INIT_PRODUCER_ID_VERDICTS[code] is verdict


@pytest.mark.parametrize("code", [7, 13, 14, 15, 16, 51, 89])
def test_init_producer_id_is_repeated(code: int) -> None:
    assert INIT_PRODUCER_ID_VERDICTS[code] is Verdict.RETRY
    assert code in RETRIABLE


def test_the_init_producer_id_rows_are_these() -> None:
    assert set(INIT_PRODUCER_ID_VERDICTS) == {0, 7, 13, 14, 15, 16, 31, 51, 89}


@pytest.mark.parametrize("code", [41, 133])
def test_a_retriable_code_that_the_table_does_not_list_has_a_control_request_repeated(code: int) -> None:
    assert control_verdict(INIT_PRODUCER_ID_VERDICTS, code) is Verdict.RETRY


@pytest.mark.parametrize("code", [-1, 53, 9999])
def test_any_other_code_that_the_table_does_not_list_is_fatal(code: int) -> None:
    assert control_verdict(INIT_PRODUCER_ID_VERDICTS, code) is Verdict.FATAL


def test_every_verdict_on_a_control_request_has_its_place_in_the_order_of_severity() -> None:
    tables = [INIT_PRODUCER_ID_VERDICTS, *TRANSACTION_VERDICTS.values()]
    assert {verdict for table in tables for verdict in table.values()} <= set(SEVERITY)
    assert len(set(SEVERITY)) == len(SEVERITY)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(0, Verdict.DELIVERED), (17, Verdict.FAIL), (29, Verdict.FAIL)]
    + [(code, Verdict.REFRESH) for code in (3, 5, 9, 72, 100)],
)
def test_metadata_row(code: int, verdict: Verdict) -> None:
    assert METADATA_VERDICTS[code] is verdict
    assert set(METADATA_VERDICTS) == {0, 3, 5, 9, 17, 29, 72, 100}
