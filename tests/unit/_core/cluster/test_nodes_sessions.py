"""When a broker is authenticated with again on a connection in use (KIP-368), and what becomes of that."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from aioproducer._core.cluster.node import MAX_SESSION, MIN_SESSION_AGE
from aioproducer._core.cluster.nodes import STALL, Nodes
from aioproducer._core.effects import Reauthenticate
from aioproducer.errors import AuthenticationError, KafkaConnectionError, RequestTimeoutError
from tests.unit._core.harness import broker, config, versions

if TYPE_CHECKING:
    from typing import Unpack

    from aioproducer._config import ProducerSettings
    from aioproducer._core.cluster.node import InFlight, Node

METADATA = 3


def make(lifetime: float | None, seed: int = 1, **settings: Unpack[ProducerSettings]) -> tuple[Nodes, Node]:
    """Return nodes that know brokers 1 and 2, and the first, authenticated with at 100.0 for so many seconds."""
    nodes = Nodes(config(**settings), [("boot", 9092)], random.Random(seed))
    nodes.update({1: broker(1), 2: broker(2)}, 0.0)
    nodes.connect(nodes[1], 100.0)
    nodes.on_connected(nodes[1], versions(), 100.5, 100.0, lifetime)
    return nodes, nodes[1]


def begin(nodes: Nodes, now: float) -> InFlight:
    return nodes.begin_request(nodes[1], METADATA, 13, None, now)


def test_a_session_without_an_end_is_never_renewed() -> None:
    nodes, node = make(None)
    assert nodes.can_send(node, 1e9)
    assert not nodes.has_to_renew(node, 1e9)


def test_it_is_due_at_85_to_95_percent_of_its_lifetime_from_when_it_was_asked_for() -> None:
    dues: list[float] = []
    for seed in range(50):
        _, node = make(100.0, seed)
        dues.append(node.renew_at - 100.0)
    assert 85.0 <= min(dues) < 88.0
    assert 92.0 < max(dues) <= 95.0


def test_nothing_is_sent_once_it_is_due_until_it_is_renewed() -> None:
    nodes, node = make(10.0)
    due = node.renew_at
    assert nodes.can_send(node, due - 0.001)
    assert not nodes.can_send(node, due)
    assert nodes.has_to_renew(node, due)
    assert nodes.renew(node, due) == Reauthenticate(1)
    assert not nodes.has_to_renew(node, due), "once"
    assert not nodes.can_send(node, due + 0.01)
    assert nodes.on_reauthenticated(node, due, 10.0, due + 0.02) == pytest.approx(0.02)
    assert nodes.can_send(node, due + 0.02)
    assert node.renew_at > due + 8.0


def test_what_is_in_flight_does_not_hold_it_up() -> None:
    nodes, node = make(10.0, max_in_flight_requests_per_connection=1)
    request = begin(nodes, node.renew_at - 0.1)
    due = node.renew_at
    assert nodes.has_to_renew(node, due)
    nodes.renew(node, due)
    nodes.on_response(node, request, due + 0.01)
    assert nodes.on_reauthenticated(node, due, 10.0, due + 0.02) is not None


def test_an_idle_connection_is_left_alone() -> None:
    nodes, node = make(10.0, connections_max_idle_ms=-1)
    assert nodes.check(10_000.0) == []
    assert nodes.has_to_renew(node, 10_000.0), "late is early enough: brokers take a login that is late"


def test_a_lifetime_that_is_gone_ends_renewal() -> None:
    nodes, node = make(10.0)
    nodes.renew(node, node.renew_at)
    nodes.on_reauthenticated(node, 109.0, None, 109.1)
    assert nodes.can_send(node, 1e9)


@pytest.mark.parametrize("lifetime", [1.5, 1.2, 0.0])
def test_a_session_is_not_renewed_twice_a_second(lifetime: float) -> None:
    nodes, node = make(lifetime)
    if node.is_renewable:
        assert node.renew_at >= 100.0 + MIN_SESSION_AGE
    else:
        assert not nodes.has_to_renew(node, 101.0)


def test_one_that_is_too_short_for_that_is_followed_by_another_connection_when_all_is_answered() -> None:
    nodes, node = make(1.0)
    request = begin(nodes, 100.6)
    assert nodes.check(101.0) == []
    nodes.on_response(node, request, 101.1)
    assert nodes.next_due <= 101.1
    [closed] = nodes.check(101.1)
    assert closed.error is None
    nodes.on_disconnected(node, None, 101.1)
    assert nodes.can_connect(node, 101.1)
    assert nodes.stalled == frozenset()


def test_a_lifetime_of_ages_is_one_of_a_year() -> None:
    _, node = make(1e12)
    assert node.renew_at <= 100.0 + MAX_SESSION


def test_a_renewal_that_is_not_answered_costs_the_connection() -> None:
    nodes, node = make(10.0, request_timeout_ms=2_000)
    due = node.renew_at
    nodes.renew(node, due)
    assert nodes.check(due + STALL) == []
    assert nodes.stalled == {1}
    [closed] = nodes.check(due + 2.0)
    assert isinstance(closed.error, RequestTimeoutError)
    assert "authenticate" in str(closed.error)


def test_a_renewal_that_is_refused_is_a_connection_lost_and_another_is_made_at_once() -> None:
    nodes, node = make(10.0, reconnect_backoff_ms=5_000)
    due = node.renew_at
    nodes.renew(node, due)
    named, _ = nodes.on_disconnected(node, AuthenticationError("cannot change principals", code=58), due + 0.1)
    assert isinstance(named, KafkaConnectionError)
    assert "cannot change principals" in str(named)
    assert nodes.can_connect(node, due + 0.1)
    nodes.connect(node, due + 0.1)
    named = nodes.on_connect_failed(node, AuthenticationError("wrong password", code=58), due + 0.2)
    assert isinstance(named, AuthenticationError), "that it takes us no more at all is told as that"
    assert not nodes.can_connect(node, due + 0.2)


def test_what_comes_of_a_renewal_is_nothing_to_a_connection_that_is_being_closed() -> None:
    nodes, node = make(10.0)
    nodes.renew(node, node.renew_at)
    nodes.disconnect(node, KafkaConnectionError("enough"))
    assert nodes.on_reauthenticated(node, 109.0, 10.0, 109.1) is None


def test_a_throttled_broker_is_asked_when_that_is_over() -> None:
    nodes, node = make(10.0)
    due = node.renew_at
    nodes.throttle(node, 2_000, due - 0.5)
    assert not nodes.has_to_renew(node, due)
    assert nodes.blocked_until(node, due) == due + 1.5
    assert nodes.has_to_renew(node, due + 1.5)


def test_whoever_can_be_asked_by_any_broker_waits_for_the_renewal_rather_than_connect_elsewhere() -> None:
    nodes, node = make(10.0)
    due = node.renew_at
    assert nodes.least_loaded(due) is node
    nodes.renew(node, due)
    assert nodes.least_loaded(due) is node


def test_while_one_is_logged_in_to_no_other_is_for_what_any_broker_can_answer() -> None:
    nodes, node = make(10.0)
    nodes.connect(nodes[2], 100.0)
    nodes.on_connected(nodes[2], versions(), 100.5, 100.0, 10.0)
    due = max(node.renew_at, nodes[2].renew_at)
    nodes.renew(node, due)
    assert all(nodes.least_loaded(due) is node for _ in range(30))
