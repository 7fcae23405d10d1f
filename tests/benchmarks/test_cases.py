"""The cases: named once, chosen by pattern, each one change to the base."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.cases import CASES, Case, brokers_of, chosen
from benchmarks.clients import CLIENTS
from benchmarks.sink import partitions_of


def test_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_patterns_choose_in_the_order_of_the_list() -> None:
    assert [case.name for case in chosen(["zstd", "tasks-1*0"])] == [
        "zstd",
        "tasks-10",
        "tasks-100",
        "tasks-1000",
        "tasks-10000",
    ]


def test_a_pattern_that_names_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="pipelined"):
        chosen(["pipelined", "nothing-*"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_clients_of_a_case_exist(case: Case) -> None:
    assert set(case.clients()) <= set(CLIENTS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_sink_reads_the_partitions_from_the_topic(case: Case) -> None:
    assert partitions_of(case.topic) == case.partitions


def test_an_order_has_what_the_case_says() -> None:
    case = next(case for case in CASES if case.name == "zstd")
    order = case.order("aiokafka", "localhost:1", 0.5)
    same = {field.name for field in dataclasses.fields(order)} & {field.name for field in dataclasses.fields(case)}
    assert {name: getattr(order, name) for name in same} == {name: getattr(case, name) for name in same}
    assert (order.client, order.bootstrap, order.seconds) == ("aiokafka", "localhost:1", 0.5)


def test_brokers_asked_for_win() -> None:
    case = Case("x", "", is_on_sink=True)
    assert brokers_of(case, None) == ["kafka", "sink"]
    assert brokers_of(Case("x", ""), None) == ["kafka"]
    assert brokers_of(case, ["sink"]) == ["sink"]
