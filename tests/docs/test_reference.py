"""The reference pages name everything there is, and say of it what the code does."""

from __future__ import annotations

import re
from typing import Final

import aioproducer
from aioproducer import ErrorCode, KafkaError
from aioproducer._core.requests.verdicts import PRODUCE_RULES
from aioproducer.errors._codes import name_of
from aioproducer.metrics import GAUGES, TOTALS, WINDOWED
from tests.docs.snippets import ROOT

ERRORS: Final = (ROOT / "docs" / "errors.md").read_text()
STATISTICS: Final = (ROOT / "docs" / "statistics.md").read_text()
FAQ: Final = (ROOT / "docs" / "faq.md").read_text()

OF_TRANSACTIONS: Final = {14, 15, 16, 47, 48, 49, 51, 53, 55, 90, 120}
"""Codes that only a transactional producer can meet; docs/transactions.md is about those."""


def rows(page: str) -> list[list[str]]:
    """The cells of all table rows."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]


def names(text: str) -> set[str]:
    return set(re.findall(r"`([A-Z_]+)`", text))


def test_every_error_is_in_the_reference() -> None:
    public = {name: getattr(aioproducer, name) for name in aioproducer.__all__}
    errors = {name for name, value in public.items() if isinstance(value, type) and issubclass(value, KafkaError)}
    assert errors - set(re.findall(r"`(\w+)`", ERRORS)) == set()


def test_the_table_of_codes_is_what_the_producer_does() -> None:
    told: dict[str, tuple[str, bool]] = {}
    for row in rows(ERRORS.partition("## What a broker's answer to Produce leads to")[2])[2:]:
        verdict = row[0].partition("`")[2].partition("`")[0]
        told |= dict.fromkeys(names(row[1]), (verdict, True))
        told |= dict.fromkeys(names(row[2]), (verdict, False))
    assert told == {
        name_of(code): (rule.verdict.name, rule.proves_not_written)
        for code, rule in PRODUCE_RULES.items()
        if code not in OF_TRANSACTIONS
    }
    assert {int(code) for code in ErrorCode} >= OF_TRANSACTIONS


def test_every_figure_is_in_the_reference() -> None:
    told = {name for row in rows(STATISTICS) for name in re.findall(r"`([a-z-]+)`", row[0])}
    assert told == {*TOTALS, *GAUGES, *WINDOWED}


def test_there_are_twenty_five_answers() -> None:
    assert re.findall(r"^(\d+)\. \*\*", FAQ, re.MULTILINE) == [str(number) for number in range(1, 26)]
