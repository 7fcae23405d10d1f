"""Which brokers count as stalled: nothing gets there, whatever metadata says."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from aioproducer._core.cluster.nodes import STALL, Nodes
from aioproducer.errors import KafkaConnectionError
from tests.unit._core.harness import broker, config, versions

if TYPE_CHECKING:
    from typing import Unpack

    from aioproducer._config import ProducerSettings
    from aioproducer._core.cluster.node import InFlight, Node

METADATA = 3
LOST = KafkaConnectionError("reset by peer")


def make(**settings: Unpack[ProducerSettings]) -> tuple[Nodes, Node]:
    """Return nodes that know brokers 1 and 2, and the first, which is connected since 0.0."""
    nodes = Nodes(config(**settings), [("boot", 9092)], random.Random(1))
    nodes.update({1: broker(1), 2: broker(2)}, 0.0)
    connect(nodes, 0.0)
    return nodes, nodes[1]


def connect(nodes: Nodes, now: float) -> None:
    nodes.connect(nodes[1], now)
    nodes.on_connected(nodes[1], versions(), now)


def begin(nodes: Nodes, now: float) -> InFlight:
    return nodes.begin_request(nodes[1], METADATA, 13, None, now)


def test_one_that_was_never_connected_to_has_shown_nothing() -> None:
    nodes, _ = make()
    assert nodes.stalled == frozenset()


def test_a_failed_attempt_stalls_it_until_a_connection_is_there() -> None:
    nodes, _ = make()
    nodes.connect(nodes[2], 0.0)
    nodes.on_connect_failed(nodes[2], LOST, 1.0)
    assert nodes.stalled == {2}
    nodes.connect(nodes[2], 2.0)
    assert nodes.stalled == {2}, "an attempt is no success"
    nodes.on_connected(nodes[2], versions(), 2.1)
    assert nodes.stalled == frozenset()


def test_a_lost_connection_stalls_it_and_one_closed_as_idle_does_not() -> None:
    nodes, node = make(connections_max_idle_ms=1_000)
    nodes.on_disconnected(node, LOST, 0.5)
    assert nodes.stalled == {1}
    connect(nodes, 1.0)
    assert nodes.check(5.0)
    nodes.on_disconnected(node, None, 5.0)
    assert nodes.stalled == frozenset()


def test_silence_stalls_it_and_an_answer_ends_that() -> None:
    nodes, node = make()
    request = begin(nodes, 1.0)
    assert nodes.next_due <= 1.0 + STALL
    assert not nodes.check(1.0 + STALL / 2)
    assert nodes.stalled == frozenset()
    assert not nodes.check(1.0 + STALL)
    assert nodes.stalled == {1}
    nodes.on_response(node, request, 2.0)
    assert nodes.stalled == frozenset()


def test_silence_is_counted_from_the_last_answer() -> None:
    nodes, node = make()
    requests = [begin(nodes, 1.0) for _ in range(3)]
    for count, request in enumerate(requests[:2], start=1):
        nodes.on_response(node, request, 1.0 + count * STALL * 0.8)
        nodes.check(1.0 + count * STALL * 0.8)
    assert nodes.stalled == frozenset(), "it moves, though the last request is older than that"
    nodes.check(1.0 + 2.7 * STALL)
    assert nodes.stalled == {1}


def test_a_second_silence_is_seen_without_another_request() -> None:
    nodes, node = make()
    first, _ = begin(nodes, 1.0), begin(nodes, 1.0)
    nodes.check(2.0)
    nodes.on_response(node, first, 2.0)
    assert nodes.stalled == frozenset()
    assert nodes.next_due <= 2.0 + STALL
    nodes.check(2.0 + STALL)
    assert nodes.stalled == {1}


def test_one_that_is_closed_for_its_silence_stays_stalled() -> None:
    nodes, node = make(request_timeout_ms=2_000)
    begin(nodes, 1.0)
    nodes.check(2.0)
    assert nodes.check(3.0)
    assert nodes.stalled == {1}
    nodes.on_disconnected(node, None, 3.0)
    assert nodes.stalled == {1}


@pytest.mark.parametrize(("timeout_ms", "limit"), [(0, STALL), (100, 0.1), (60_000, STALL)])
def test_partitioner_availability_timeout_may_shorten_the_limit(timeout_ms: int, limit: float) -> None:
    nodes, _ = make(partitioner_availability_timeout_ms=timeout_ms)
    begin(nodes, 1.0)
    nodes.check(1.0 + limit * 0.99)
    assert nodes.stalled == frozenset()
    nodes.check(1.0 + limit)
    assert nodes.stalled == {1}


def test_one_that_has_left_the_cluster_is_not_counted_any_more() -> None:
    nodes, node = make()
    nodes.on_disconnected(node, LOST, 0.5)
    nodes.update({2: broker(2)}, 1.0)
    assert nodes.stalled == frozenset()


def test_another_address_is_another_chance() -> None:
    nodes, node = make()
    nodes.on_disconnected(node, LOST, 0.5)
    nodes.update({1: broker(1, "elsewhere"), 2: broker(2)}, 1.0)
    assert nodes.stalled == frozenset()
