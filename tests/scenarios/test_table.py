"""The table of scenarios is complete, and what it names exists.

The `.toml` files beside this one have a row for each behaviour that the tests of two reference clients show: Kafka's
Java producer and librdkafka. A row names the tests here that show the same, or says why it is no concern of this
producer. What is named is looked up in the text of the files; running it is pytest's business.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent

FAMILIES: Final = {
    "K": 40,  # KafkaProducerTest, ProducerConfigTest, ProducerRecordTest, RecordMetadataTest
    "S": 50,  # SenderTest
    "A": 22,  # RecordAccumulatorTest, ProducerBatchTest
    "R": 8,  # MemoryRecordsBuilderTest and what it builds on
    "P": 5,  # the partitioners' tests
    "F": 7,  # BufferPoolTest
    "T": 48,  # TransactionManagerTest
    "N": 19,  # NetworkClientTest and its neighbours
    "M": 15,  # MetadataTest, ProducerMetadataTest
    "I": 3,  # interceptors, metrics
    "G": 28,  # the integration tests with brokers
}
"""How many rows each family of the Java producer's tests has: its ids run from 1 to that number."""

LIBRDKAFKA: Final = (
    "0000 0001 0002 0003 0004 0005 0007 0008 0009 0011 0012 0013 0017 0020 0028 0035 0037 0038 0039 0040 0042 0043"
    " 0044 0046 0047 0048 0052 0053 0055 0057 0058 0060 0062 0063 0064 0065 0066 0068 0070 0072 0073 0074 0075 0076"
    " 0077 0078 0079 0083 0084 0085 0086 0088 0090 0092 0094 0095 0098 0100 0103 0107 0109 0110 0111 0114"
    " 0115 0117 0121 0123 0125 0131 0136 0143 0144 0146 0149 0150 0151 0152 1000 8000"
)
"""The numbers of librdkafka's tests that are about a producer, those about security apart."""

LIBRDKAFKA_0105: Final = 32
"""How many rows its test 0105 has, which is about transactions: their ids run from L0105.1 to that number."""


@dataclass(frozen=True)
class Row:
    """One behaviour.

    Attributes:
        identifier: a letter and a number for the Java producer, L and a number for librdkafka.
        source: the names of the tests that show it there.
        behaviour: what they show.
        tests: "path::name" of ours that show it too.
        reason: why it does not apply, or which part of it does not.
        is_pending: it is about transactions and has no test yet.
    """

    identifier: str
    source: str
    behaviour: str
    tests: tuple[str, ...]
    reason: str
    is_pending: bool


@cache
def rows() -> tuple[Row, ...]:
    """Return the rows of all files."""
    found: list[Row] = []
    for path in sorted(HERE.glob("*.toml")):
        for row in tomllib.loads(path.read_text())["row"]:
            unknown = row.keys() - {"id", "source", "behaviour", "tests", "reason", "pending"}
            assert not unknown, f"{path.name}: {row.get('id')} has {unknown}"
            found.append(
                Row(
                    row["id"],
                    row["source"],
                    row["behaviour"],
                    tuple(row.get("tests", ())),
                    row.get("reason", ""),
                    row.get("pending", False),
                )
            )
    return tuple(found)


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of the tests in a file, "Class::name" for those in a class."""
    names: set[str] = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        members = [(f"{node.name}::", each) for each in node.body] if isinstance(node, ast.ClassDef) else [("", node)]
        for prefix, each in members:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_"):
                names.add(prefix + each.name)
    return frozenset(names)


def test_every_behaviour_has_one_row() -> None:
    expected = [f"{family}{number}" for family, count in FAMILIES.items() for number in range(1, count + 1)]
    expected += [f"L{number}" for number in LIBRDKAFKA.split()]
    expected += [f"L0105.{number}" for number in range(1, LIBRDKAFKA_0105 + 1)]
    assert Counter(row.identifier for row in rows()) == Counter(expected)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.identifier)
def test_the_row_has_tests_that_exist_or_a_reason(row: Row) -> None:
    assert row.source
    assert row.behaviour
    assert row.tests or row.reason or row.is_pending
    assert len(set(row.tests)) == len(row.tests)
    for named in row.tests:
        path, _, name = named.partition("::")
        assert path.startswith("tests/")
        assert path.endswith(".py")
        assert (ROOT / path).is_file(), f"there is no {path}"
        assert name in names_in(path), f"{path} has no {name}"


def test_every_row_about_transactions_is_mapped() -> None:
    pending = [row for row in rows() if row.is_pending]
    assert [row.identifier for row in pending if row.tests or row.reason] == []
    assert [row.identifier for row in pending if not row.identifier.startswith("T")] == []
    if pending:
        pytest.skip(f"{len(pending)} rows about transactions are not mapped yet")  # seen in the summary
