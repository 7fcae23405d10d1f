"""Which broker coordinates what, and when it is looked up again."""

from __future__ import annotations

import random

from aioproducer._core.cluster.metadata import Broker
from aioproducer._core.requests.coordinators import Coordinators, CoordinatorType
from aioproducer.errors import KafkaError
from tests.unit._core.harness import config

LOST = KafkaError("lost")


def coordinators() -> Coordinators:
    """Of a producer whose pauses are 100 ms to a second."""
    return Coordinators(config(retry_backoff_ms=100, retry_backoff_max_ms=1_000), random.Random(1))


def test_a_group_and_a_transactional_id_of_the_same_name_are_two_keys() -> None:
    them = coordinators()
    group = them.get(CoordinatorType.GROUP, "x")
    assert group is them.get(CoordinatorType.GROUP, "x")
    assert group is not them.get(CoordinatorType.TRANSACTION, "x")


def test_those_on_a_lost_node_are_forgotten_and_no_others() -> None:
    them = coordinators()
    here, there = them.get(CoordinatorType.GROUP, "here"), them.get(CoordinatorType.TRANSACTION, "there")
    here.found(Broker(1, "a", 1))
    there.found(Broker(2, "b", 2))
    them.on_node_lost(1, LOST, 5.0)
    assert here.broker is None
    assert there.broker is not None
    assert not here.lookups.is_due(5.0)
    assert here.lookups.is_due(5.2)


def test_pauses_grow_while_the_same_broker_is_found_and_lost() -> None:
    it = coordinators().get(CoordinatorType.TRANSACTION, "x")
    pauses: list[float] = []
    for _ in range(6):
        it.found(Broker(1, "a", 1))
        it.lose(LOST, 5.0)
        pauses.append(it.lookups.next_at() - 5.0)
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1.0
    it.found(Broker(1, "a", 1))
    it.on_answered()
    it.lose(LOST, 5.0)
    assert it.lookups.next_at() - 5.0 <= 0.12


def test_losing_one_that_is_not_known_does_not_make_its_lookup_wait() -> None:
    it = coordinators().get(CoordinatorType.TRANSACTION, "x")
    it.lose(LOST, 5.0)
    assert it.lookups.is_due(5.0)
