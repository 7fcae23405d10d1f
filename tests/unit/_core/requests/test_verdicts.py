"""Every row of the verdict tables; what else follows from a row is tested where it is acted on."""

from __future__ import annotations

import random

import pytest

from aioproducer._core.requests.verdicts import (
    INIT_PRODUCER_ID_RULES,
    METADATA_VERDICTS,
    PRODUCE_RULES,
    UNLISTED_INIT_PRODUCER_ID_RULE,
    UNLISTED_PRODUCE_RULE,
    Verdict,
    exponential_backoff,
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
    assert INIT_PRODUCER_ID_RULES[code].verdict is verdict


@pytest.mark.parametrize("code", [7, 13, 14, 15, 16, 51, 89])
def test_init_producer_id_is_repeated(code: int) -> None:
    assert INIT_PRODUCER_ID_RULES[code].verdict is Verdict.RETRY
    assert code in RETRIABLE


def test_the_init_producer_id_rows_are_these() -> None:
    assert set(INIT_PRODUCER_ID_RULES) == {0, 7, 13, 14, 15, 16, 31, 51, 89}
    assert UNLISTED_INIT_PRODUCER_ID_RULE.verdict is Verdict.FATAL


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(0, Verdict.DELIVERED), (17, Verdict.FAIL), (29, Verdict.FAIL)]
    + [(code, Verdict.REFRESH) for code in (3, 5, 9, 72, 100)],
)
def test_metadata_row(code: int, verdict: Verdict) -> None:
    assert METADATA_VERDICTS[code] is verdict
    assert set(METADATA_VERDICTS) == {0, 3, 5, 9, 17, 29, 72, 100}


def test_backoff_doubles_within_20_percent_and_is_capped_after_the_jitter() -> None:
    rng = random.Random(1)
    for attempts, middle in [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8)]:
        drawn = [exponential_backoff(attempts, 0.1, 1.0, rng) for _ in range(200)]
        assert min(drawn) >= middle * 0.8
        assert max(drawn) <= min(middle * 1.2, 1.0)
        assert max(drawn) - min(drawn) > middle * 0.15
    assert max(exponential_backoff(5, 0.1, 1.0, rng) for _ in range(100)) == 1.0


def test_backoff_survives_any_number_of_attempts() -> None:
    assert exponential_backoff(10**6, 0.1, 1.0, random.Random(1)) == 1.0


def test_backoff_without_room_to_grow_is_constant() -> None:
    assert {exponential_backoff(n, 0.5, 0.5, random.Random(n)) for n in range(20)} == {0.5}
    assert exponential_backoff(3, 0.5, 0.1, random.Random(1)) == 0.5
