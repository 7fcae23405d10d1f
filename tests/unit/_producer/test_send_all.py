"""The compact results of send_all."""

from __future__ import annotations

import tracemalloc

import pytest

from aioproducer._producer.send_all import PartlySentRecords, SentRecords
from aioproducer._types import RecordMetadata


def sent(*records: RecordMetadata) -> SentRecords:
    results = SentRecords()
    for metadata in records:
        results.put(results.reserve(), *metadata)
    return results


A, B, C = (RecordMetadata("a", 0, 7, 1000), RecordMetadata("b", 3, -1, 1001), RecordMetadata("a", 1, 2**40, 1002))


def test_results_are_those_that_were_put_in_their_places() -> None:
    results = SentRecords()
    first, second = results.reserve(), results.reserve()
    results.put(second, *B)
    results.put(first, *A)
    assert list(results) == [A, B]


def test_results_are_a_sequence() -> None:
    results = sent(A, B, C)
    assert (len(results), results[-1], results[0:2], results.index(C)) == (3, C, [A, B], 2)
    with pytest.raises(IndexError):
        results[3]


def test_results_do_not_know_the_records_values() -> None:
    assert repr(sent(A, B)) == "<SentRecords of 2 records>"


def test_a_failed_record_is_none_among_the_results() -> None:
    results = PartlySentRecords(sent(A, B, C), {1: ValueError()})
    assert list(results) == [A, None, C]
    assert (results[-2], results[1:]) == (None, [None, C])
    with pytest.raises(IndexError):
        results[3]


def test_a_result_takes_24_bytes() -> None:
    results = SentRecords()
    tracemalloc.start()
    try:
        for _ in range(10_240):
            results.put(results.reserve(), *A)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 24 * 10_240 <= taken < 28 * 10_240
