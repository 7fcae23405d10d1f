"""To which broker a request goes, and what is done when that one cannot take it yet."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from aioproducer._core.cluster.dispatch import Dispatcher
from aioproducer._core.cluster.nodes import Nodes
from aioproducer._core.effects import Connect, Send
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer._wire.messages.metadata import MetadataRequest
from aioproducer.errors import KafkaConnectionError, UnsupportedVersionError
from tests.unit._core.harness import broker, config, versions

if TYPE_CHECKING:
    from aioproducer._core.cluster.node import Node


def dispatcher() -> Dispatcher:
    """One that knows a bootstrap server, which is not connected."""
    return Dispatcher(Nodes(config(), [("boot", 9092)], random.Random(1)))


def connected(it: Dispatcher) -> Node:
    """The bootstrap server, connected."""
    assert it.least_loaded(1.0) is None
    (effect,) = it.take()
    assert isinstance(effect, Connect)
    it.nodes.on_connected(it.nodes[effect.node_id], versions(init_producer_id=3), 1.0)
    return it.nodes[effect.node_id]


def test_a_request_for_any_broker_connects_to_one_and_goes_there() -> None:
    it = dispatcher()
    node = connected(it)
    assert it.least_loaded(1.0) is node
    it.send(node, 13, MetadataRequest(), "whose", 1.0)
    (effect,) = it.take()
    assert isinstance(effect, Send)
    assert (effect.node_id, effect.request.version, effect.request.correlation_id) == (node.node_id, 13, 1)
    assert node.in_flight[0].context == "whose"
    assert it.take() == []


def test_while_all_back_off_it_says_when_one_may_be_tried_again() -> None:
    it = dispatcher()
    assert it.wake_at == math.inf
    it.least_loaded(1.0)
    it.nodes.on_connect_failed(it.nodes[-1], KafkaConnectionError("refused"), 2.0)
    it.take()
    assert it.least_loaded(2.0) is None
    assert it.take() == []
    assert 2.0 < it.wake_at <= 2.0 + 0.06


def test_a_request_for_one_broker_takes_it_in_if_metadata_has_not_told_of_it() -> None:
    it = dispatcher()
    assert it.broker(broker(7), 1.0) is None
    (effect,) = it.take()
    assert isinstance(effect, Connect)
    assert (effect.node_id, effect.host) == (7, "host7")
    it.nodes.on_connected(it.nodes[7], versions(), 1.0)
    assert it.broker(broker(7), 1.0) is it.nodes[7]


def test_the_version_is_the_highest_that_both_speak_and_that_may_be_spoken() -> None:
    it = dispatcher()
    node = connected(it)
    assert it.version_for(node, InitProducerIdRequest) == 3
    assert it.version_for(node, InitProducerIdRequest, 2) == 2
    node.versions = versions(init_producer_id=-1)
    with pytest.raises(UnsupportedVersionError):
        it.version_for(node, InitProducerIdRequest)
