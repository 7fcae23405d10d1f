"""Brokers that share addresses, or exchange them."""

from __future__ import annotations

import random

from aioproducer._core.cluster.nodes import Nodes
from tests.unit._core.harness import broker, config, versions


def test_two_brokers_that_swap_addresses_are_found_at_the_others() -> None:
    nodes = Nodes(config(), [("boot", 9092)], random.Random(1))
    nodes.update({1: broker(1, "a"), 2: broker(2, "b")}, 0.0)
    for node_id in (1, 2):
        nodes.connect(nodes[node_id], 0.0)
        nodes.on_connected(nodes[node_id], versions(), 0.0)
    nodes.update({1: broker(1, "b"), 2: broker(2, "a")}, 1.0)
    assert sorted(effect.node_id for effect in nodes.check(1.0)) == [1, 2]
    for node_id in (1, 2):
        assert not nodes.can_send(nodes[node_id], 1.0)
        nodes.on_disconnected(nodes[node_id], None, 1.0)
    assert [nodes.connect(nodes[node_id], 1.0).host for node_id in (1, 2)] == ["b", "a"]


def test_two_brokers_at_one_address_have_a_connection_each() -> None:
    nodes = Nodes(config(), [("boot", 9092)], random.Random(1))
    nodes.update({1: broker(1, "a"), 2: broker(2, "a")}, 0.0)
    for node_id in (1, 2):
        assert nodes.connect(nodes[node_id], 0.0).host == "a"
        nodes.on_connected(nodes[node_id], versions(), 0.0)
    nodes.begin_request(nodes[1], 3, 13, "x", 0.0)
    nodes.on_disconnected(nodes[1], None, 1.0)
    assert nodes.can_send(nodes[2], 1.0)
