"""The error codes and their classes of codes, against Kafka's own table."""

from __future__ import annotations

from pathlib import Path

from aioproducer.errors import ErrorCode
from aioproducer.errors._codes import INVALID_METADATA, RETRIABLE, name_of

KAFKA_CODES = Path(__file__).parents[2] / "data" / "error_codes_4.3.1.txt"  # code, name, retriable, invalid metadata


def kafka_codes() -> list[list[str]]:
    return [line.split() for line in KAFKA_CODES.read_text("utf-8").splitlines()]


def test_codes_are_kafkas() -> None:
    assert {int(code): name for code, name, *_ in kafka_codes()} == {int(code): code.name for code in ErrorCode}


def test_retriable_and_invalid_metadata_are_kafkas() -> None:
    rows = kafka_codes()
    assert {int(code) for code, _, retriable, _ in rows if retriable == "true"} == RETRIABLE
    assert {int(code) for code, *_, invalid in rows if invalid == "true"} == INVALID_METADATA


def test_a_code_has_its_name_known_or_not() -> None:
    assert name_of(-1) == "UNKNOWN_SERVER_ERROR"
    assert name_of(4711) == "UNKNOWN_CODE_4711"
