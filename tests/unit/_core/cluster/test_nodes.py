"""Who can take a request, when a connection is closed, and whom to ask what any broker can answer."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from aioproducer._core.cluster.node import MAX_CORRELATION_ID, InFlight, Node, NodeState
from aioproducer._core.cluster.nodes import REFUSED_BACKOFF_MAX, Nodes
from aioproducer._core.effects import Connect, Disconnect
from aioproducer.errors import AuthenticationError, KafkaConnectionError, RequestTimeoutError
from tests.unit._core.harness import broker, config, versions

if TYPE_CHECKING:
    from typing import Unpack

    from aioproducer._config import ProducerSettings

METADATA = 3
LOST = KafkaConnectionError("reset by peer")
REFUSED = AuthenticationError("wrong password", api="SaslAuthenticate", code=58)


def make(*ids: int, **settings: Unpack[ProducerSettings]) -> Nodes:
    """Return nodes that know these brokers (none: only the bootstrap server)."""
    nodes = Nodes(config(**settings), [("boot", 9092)], random.Random(1))
    if ids:
        nodes.update({i: broker(i) for i in ids}, 0.0)
    return nodes


def ready(nodes: Nodes, node_id: int, now: float = 0.0) -> Node:
    node = nodes[node_id]
    nodes.connect(node, now)
    nodes.on_connected(node, versions(), now)
    return node


def begin(nodes: Nodes, node: Node, context: object, now: float = 0.0, *, expects_response: bool = True) -> InFlight:
    return nodes.begin_request(node, METADATA, 13, context, now, expects_response=expects_response)


def test_bootstrap_servers_are_negative_ids() -> None:
    nodes = Nodes(config(), [("a", 1), ("b", 2)], random.Random(1))
    assert [(n.node_id, n.host, n.port) for n in nodes.all()] == [(-1, "a", 1), (-2, "b", 2)]


def test_sending_to_a_broker_that_is_not_ready_is_a_programming_error() -> None:
    nodes = make(1)
    with pytest.raises(AssertionError, match="cannot take a request"):
        begin(nodes, nodes[1], None)


def test_connect_names_the_address_and_how_long_it_may_take() -> None:
    nodes = make(1)
    effect = nodes.connect(nodes[1], 0.0)
    assert isinstance(effect, Connect)
    assert (effect.node_id, effect.host, effect.port) == (1, "host1", 9092)
    assert 8.0 <= effect.timeout <= 12.0
    assert not nodes.can_connect(nodes[1], 0.0)


def test_the_set_up_timeout_grows_with_failures_and_starts_over_after_a_success() -> None:
    nodes = make(1)
    timeouts: list[float] = []
    now = 0.0
    for _ in range(4):
        timeouts.append(nodes.connect(nodes[1], now).timeout)
        nodes.on_connect_failed(nodes[1], LOST, now)
        now += 2.0
    assert timeouts[0] <= 12.0
    assert 16.0 <= timeouts[1] <= 24.0
    assert timeouts[3] <= 30.0
    ready(nodes, 1, now)
    nodes.on_disconnected(nodes[1], LOST, now)
    assert nodes.connect(nodes[1], now + 1.0).timeout <= 12.0


def test_reconnect_backoff_doubles_up_to_its_limit_and_starts_over_after_a_success() -> None:
    nodes = make(1)
    waits: list[float] = []
    now = 0.0
    for _ in range(8):
        nodes.connect(nodes[1], now)
        nodes.on_connect_failed(nodes[1], LOST, now)
        waits.append(nodes.blocked_until(nodes[1], now) - now)
        assert not nodes.can_connect(nodes[1], now)
        now = nodes.blocked_until(nodes[1], now)
        assert nodes.can_connect(nodes[1], now)
    assert 0.04 <= waits[0] <= 0.061
    assert 0.08 <= waits[1] <= 0.121
    assert max(waits) <= 1.0 + 1e-9
    ready(nodes, 1, now)
    nodes.on_disconnected(nodes[1], LOST, now)
    assert nodes.blocked_until(nodes[1], now) - now <= 0.061


def test_a_failed_attempt_names_node_address_and_cause() -> None:
    nodes = make(1)
    nodes.connect(nodes[1], 0.0)
    error = nodes.on_connect_failed(nodes[1], LOST, 0.0)
    assert str(error) == "cannot connect to broker 1 (host1:9092): reset by peer"
    assert error.__cause__ is LOST
    assert isinstance(error, KafkaConnectionError)
    assert (error.node, error.address) == (1, ("host1", 9092))


def _waits(nodes: Nodes, error: KafkaConnectionError | AuthenticationError, attempts: int, now: float) -> list[float]:
    waits: list[float] = []
    for _ in range(attempts):
        nodes.connect(nodes[1], now)
        nodes.on_connect_failed(nodes[1], error, now)
        waits.append(nodes.blocked_until(nodes[1], now) - now)
        now += waits[-1]
    return waits


def test_the_pauses_after_refusals_grow_to_half_a_minute_whatever_the_reconnect_backoff() -> None:
    nodes = make(1, reconnect_backoff_ms=10, reconnect_backoff_max_ms=20)
    waits = _waits(nodes, REFUSED, 14, 0.0)
    assert 0.04 <= waits[0] <= 0.061
    assert 0.08 <= waits[1] <= 0.121
    assert waits[-1] == REFUSED_BACKOFF_MAX
    assert nodes.connect(nodes[1], 1000.0).timeout <= 12.0  # a refusal is an answer: the set-up was quick enough


def test_refusals_are_counted_over_lost_connections_until_the_broker_accepts() -> None:
    nodes = make(1)
    _waits(nodes, REFUSED, 5, 0.0)
    assert _waits(nodes, LOST, 1, 100.0)[0] <= 0.061  # that has its own count
    assert _waits(nodes, REFUSED, 1, 200.0)[0] >= 0.05 * 2**5 * 0.8
    ready(nodes, 1, 300.0)
    nodes.on_disconnected(nodes[1], LOST, 400.0)
    assert _waits(nodes, REFUSED, 1, 500.0)[0] <= 0.061


def test_a_refusal_names_the_broker_and_is_not_fatal_for_a_running_producer() -> None:
    nodes = make(1)
    nodes.connect(nodes[1], 0.0)
    error = nodes.on_connect_failed(nodes[1], REFUSED, 0.0)
    assert isinstance(error, AuthenticationError)
    assert "broker 1 (host1:9092)" in str(error)
    assert "wrong password" in str(error)
    assert (error.node, error.api, error.code, error.name) == (1, "SaslAuthenticate", 58, "SASL_AUTHENTICATION_FAILED")
    assert (error.retriable, error.fatal) == (True, False)
    assert error.__cause__ is REFUSED


def test_a_refusal_counts_more_than_that_we_were_about_to_close() -> None:
    nodes = make(1)
    effect = nodes.connect(nodes[1], 0.0)
    nodes.check(effect.timeout)
    assert isinstance(nodes.on_connect_failed(nodes[1], REFUSED, effect.timeout), AuthenticationError)


def test_a_connection_may_end_in_a_refusal() -> None:
    nodes = make(1)
    ready(nodes, 1)
    error, _ = nodes.on_disconnected(nodes[1], REFUSED, 1.0)
    assert isinstance(error, AuthenticationError)
    assert nodes.blocked_until(nodes[1], 1.0) > 1.04


def test_an_address_is_not_said_twice() -> None:
    nodes = make(1)
    nodes.connect(nodes[1], 0.0)
    error = nodes.on_connect_failed(nodes[1], KafkaConnectionError("cannot connect to host1:9092: refused"), 0.0)
    assert str(error) == "broker 1: cannot connect to host1:9092: refused"


def test_an_attempt_that_takes_too_long_is_closed_once() -> None:
    nodes = make(1)
    effect = nodes.connect(nodes[1], 0.0)
    assert nodes.check(effect.timeout - 0.01) == []
    [closed] = nodes.check(effect.timeout)
    assert isinstance(closed, Disconnect)
    assert "was not connected within" in str(closed.error)
    assert "its first answer included" in str(closed.error)  # a port that accepts and stays silent is here as well
    assert nodes.check(effect.timeout) == []
    named = nodes.on_connect_failed(nodes[1], LOST, effect.timeout)
    assert "was not connected within" in str(named)


def test_a_connection_that_comes_up_while_it_is_being_closed_is_not_used() -> None:
    nodes = make(1)
    effect = nodes.connect(nodes[1], 0.0)
    nodes.check(effect.timeout)
    nodes.on_connected(nodes[1], versions(), effect.timeout)
    assert not nodes.can_send(nodes[1], effect.timeout)
    assert not nodes.is_connected
    nodes.on_disconnected(nodes[1], None, effect.timeout)
    assert nodes[1].state is NodeState.DISCONNECTED


def test_answers_come_in_the_order_of_the_requests() -> None:
    nodes = make(1)
    node = ready(nodes, 1)
    first, second = begin(nodes, node, "a"), begin(nodes, node, "b")
    assert [r.context for r in nodes.on_response(node, first, 0.1)] == ["a"]
    assert [r.context for r in nodes.on_response(node, second, 0.1)] == ["b"]


def test_the_connection_answers_for_the_order_of_the_answers() -> None:
    nodes = make(1)
    node = ready(nodes, 1)
    begin(nodes, node, "a")
    second = begin(nodes, node, "b")
    with pytest.raises(AssertionError, match="out of turn"):
        nodes.on_response(node, second, 0.1)


def test_a_request_without_an_answer_is_complete_when_it_is_written() -> None:
    nodes = make(1)
    node = ready(nodes, 1)
    asked = begin(nodes, node, "a")
    silent = begin(nodes, node, "b", expects_response=False)
    assert not nodes.on_written(node, asked, 0.1)
    assert nodes.on_written(node, silent, 0.1)
    assert not nodes.on_written(node, silent, 0.1)


def test_an_answer_completes_the_silent_requests_before_it() -> None:
    nodes = make(1)
    node = ready(nodes, 1)
    begin(nodes, node, "silent", expects_response=False)
    asked = begin(nodes, node, "asked")
    assert [r.context for r in nodes.on_response(node, asked, 0.1)] == ["silent", "asked"]


def test_the_number_of_requests_in_flight_is_limited() -> None:
    nodes = make(1, max_in_flight_requests_per_connection=2)
    node = ready(nodes, 1)
    first = begin(nodes, node, "a")
    begin(nodes, node, "b")
    assert not nodes.can_send(node, 0.0)
    nodes.on_response(node, first, 0.1)
    assert nodes.can_send(node, 0.1)


def test_a_lost_connection_fails_all_its_requests_once_oldest_first() -> None:
    nodes = make(1)
    node = ready(nodes, 1)
    for context in "abc":
        begin(nodes, node, context)
    error, failed = nodes.on_disconnected(node, LOST, 1.0)
    assert [r.context for r in failed] == ["a", "b", "c"]
    assert str(error) == "lost the connection to broker 1 (host1:9092): reset by peer"
    assert not node.in_flight


def test_a_request_without_an_answer_in_time_closes_the_connection_as_timed_out() -> None:
    nodes = make(1, request_timeout_ms=5000, delivery_timeout_ms=20000)
    node = ready(nodes, 1)
    begin(nodes, node, "a", 1.0)
    begin(nodes, node, "b", 2.0)
    assert nodes.check(5.9) == []
    [closed] = nodes.check(6.0)
    assert isinstance(closed.error, RequestTimeoutError)
    error, failed = nodes.on_disconnected(node, None, 6.0)
    assert "broker 1 (host1:9092) did not answer within request_timeout_ms=5000" in str(error)
    assert [r.context for r in failed] == ["a", "b"]


def test_a_throttled_broker_takes_nothing_until_its_time_is_over() -> None:
    nodes = make(1)
    node = ready(nodes, 1)
    nodes.throttle(node, 500, 1.0)
    assert not nodes.can_send(node, 1.4)
    assert nodes.blocked_until(node, 1.4) == 1.5
    nodes.throttle(node, 10, 1.4)  # never moves back
    assert nodes.blocked_until(node, 1.4) == 1.5
    assert nodes.can_send(node, 1.5)


def test_time_in_which_the_broker_throttles_does_not_count_as_waiting_for_an_answer() -> None:
    nodes = make(1, request_timeout_ms=1000, delivery_timeout_ms=20000)
    node = ready(nodes, 1)
    begin(nodes, node, "a")
    nodes.throttle(node, 5000, 0.5)
    assert nodes.check(5.9) == []
    assert len(nodes.check(6.0)) == 1


def test_an_idle_connection_is_closed_without_an_error_and_can_be_opened_at_once() -> None:
    nodes = make(1, connections_max_idle_ms=60_000)
    node = ready(nodes, 1)
    nodes.on_response(node, begin(nodes, node, "a", 10.0), 11.0)
    assert nodes.check(70.9) == []
    [closed] = nodes.check(71.0)
    assert closed.error is None
    assert nodes.on_disconnected(node, None, 71.0) == (None, [])
    assert nodes.can_connect(node, 71.0)


def test_a_connection_that_the_shell_closes_is_a_failure_only_for_what_was_in_flight(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nodes = make(1, 2)
    idle, busy = ready(nodes, 1), ready(nodes, 2)
    begin(nodes, busy, "a")
    assert nodes.on_disconnected(idle, None, 1.0) == (None, [])
    error, failed = nodes.on_disconnected(busy, None, 1.0)
    assert "closed from this side" in str(error)
    assert [r.context for r in failed] == ["a"]
    assert not [r for r in caplog.records if r.levelname == "WARNING"]  # the producer ends: nothing to look after


def test_a_broker_that_goes_away_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    nodes = make(1)
    nodes.on_disconnected(ready(nodes, 1), LOST, 0.0)
    for now in (10.0, 20.0):
        nodes.connect(nodes[1], now)
        nodes.on_connect_failed(nodes[1], LOST, now)
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "a broker is away, it is tried again: lost the connection to broker 1 (host1:9092): reset by peer"
    ]


def test_a_negative_idle_limit_keeps_connections_open() -> None:
    nodes = make(1, connections_max_idle_ms=-1)
    ready(nodes, 1)
    assert nodes.check(1e9) == []


def test_the_timer_is_never_left_in_the_past() -> None:
    nodes = make(1, 2)
    for node_id in (1, 2):
        begin(nodes, ready(nodes, node_id), "a")
    nodes.check(0.5)
    assert nodes.next_due == 30.0
    nodes.on_response(nodes[1], nodes[1].in_flight[0], 1.0)
    nodes.check(30.0)
    assert nodes.next_due > 30.0


def test_correlation_ids_begin_anew_with_each_connection() -> None:
    nodes = make(1)
    node = ready(nodes, 1)
    assert [begin(nodes, node, "").correlation_id for _ in range(3)] == [1, 2, 3]
    nodes.on_disconnected(node, LOST, 0.0)
    ready(nodes, 1, 1.0)
    assert begin(nodes, node, "", 1.0).correlation_id == 1


def test_correlation_ids_leave_out_those_kept_for_re_authentication() -> None:
    nodes = make(1)
    node = ready(nodes, 1)
    node.last_correlation_id = MAX_CORRELATION_ID - 1
    assert begin(nodes, node, "").correlation_id == MAX_CORRELATION_ID
    assert begin(nodes, node, "").correlation_id == 1


# ── whom to ask ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_least_loaded_is_the_ready_one_with_the_fewest_requests() -> None:
    nodes = make(1, 2, 3)
    for node_id in (1, 2):
        ready(nodes, node_id)
    begin(nodes, nodes[1], "a")
    assert nodes.least_loaded(0.0) is nodes[2]


def test_a_connection_that_is_being_opened_is_waited_for() -> None:
    nodes = make(1, 2, 3)
    nodes.connect(nodes[2], 0.0)
    assert nodes.least_loaded(0.0) is nodes[2]


def test_without_a_connection_the_one_whose_last_attempt_was_longest_ago_is_asked() -> None:
    nodes = make(1, 2)
    nodes.connect(nodes[1], 5.0)
    nodes.on_connect_failed(nodes[1], LOST, 5.0)
    nodes.connect(nodes[2], 6.0)
    nodes.on_connect_failed(nodes[2], LOST, 6.0)
    assert nodes.least_loaded(10.0) is nodes[1]


def test_brokers_that_back_off_or_are_throttled_are_not_asked() -> None:
    nodes = make(1, 2)
    nodes.connect(nodes[1], 0.0)
    nodes.on_connect_failed(nodes[1], LOST, 0.0)
    ready(nodes, 2)
    nodes.throttle(nodes[2], 1000, 0.0)
    assert nodes.least_loaded(0.01) is None
    assert nodes.next_candidate_at(0.01) == nodes.blocked_until(nodes[1], 0.01)
    assert not nodes.is_cut_off()  # the throttled one will answer: no reason to start over


def test_cut_off_means_that_no_candidate_is_connected_or_being_connected() -> None:
    nodes = make(1)
    assert nodes.is_cut_off()
    nodes.connect(nodes[1], 0.0)
    assert not nodes.is_cut_off()


def test_the_bootstrap_servers_are_asked_again_after_starting_over() -> None:
    nodes = make(1)
    nodes.connect(nodes[1], 0.0)
    nodes.on_connect_failed(nodes[1], LOST, 0.0)
    assert nodes.least_loaded(0.0) is None
    nodes.rebootstrap()
    assert nodes.least_loaded(0.0) is nodes[-1]


def test_the_bootstrap_connection_is_closed_once_a_broker_is_connected() -> None:
    nodes = make()
    boot = ready(nodes, -1)
    request = begin(nodes, boot, "metadata")
    nodes.on_response(boot, request, 0.1)
    nodes.update({1: broker(1)}, 0.1)
    assert nodes.check(0.1) == []
    ready(nodes, 1, 0.2)
    [closed] = nodes.check(0.2)
    assert (closed.node_id, closed.error) == (-1, None)
    assert nodes.is_connected


def test_a_connection_that_is_not_needed_any_more_finishes_its_requests_first() -> None:
    nodes = make()
    boot = ready(nodes, -1)
    request = begin(nodes, boot, "a")
    nodes.update({1: broker(1)}, 0.0)
    ready(nodes, 1)
    assert nodes.check(0.1) == []
    nodes.on_response(boot, request, 0.2)
    assert [d.node_id for d in nodes.check(0.2)] == [-1]


def test_a_vanished_broker_is_forgotten_when_its_connection_is_gone() -> None:
    nodes = make(1, 2)
    node = ready(nodes, 2)
    ready(nodes, 1)
    nodes.update({1: broker(1)}, 1.0)
    assert [d.node_id for d in nodes.check(1.0)] == [2]
    nodes.on_disconnected(node, None, 1.0)
    assert nodes.get(2) is None
    assert nodes.get(-1) is not None


def test_a_broker_that_moved_is_connected_to_at_its_new_address() -> None:
    nodes = make(1)
    node = ready(nodes, 1)
    begin(nodes, node, "a")
    nodes.update({1: broker(1, "elsewhere")}, 1.0)
    assert not nodes.can_send(node, 1.0)
    assert [d.node_id for d in nodes.check(1.0)] == [1]
    error, failed = nodes.on_disconnected(node, None, 1.0)
    assert error is not None
    assert len(failed) == 1
    assert nodes.connect(node, 1.0).host == "elsewhere"


def test_a_broker_that_moved_while_disconnected_does_not_wait_for_its_backoff() -> None:
    nodes = make(1)
    nodes.connect(nodes[1], 0.0)
    nodes.on_connect_failed(nodes[1], LOST, 0.0)
    nodes.update({1: broker(1, "elsewhere")}, 0.0)
    assert nodes.can_connect(nodes[1], 0.0)


def test_close_all_closes_what_is_open_or_being_opened() -> None:
    nodes = make(1, 2, 3)
    ready(nodes, 1)
    nodes.connect(nodes[2], 0.0)
    assert [d.node_id for d in nodes.close_all(LOST)] == [1, 2]
    assert not nodes.is_connected


def test_a_poll_with_nothing_due_does_not_look_at_the_nodes() -> None:
    nodes = make(*range(1, 101))
    for node_id in range(1, 101):
        ready(nodes, node_id)
    nodes.check(0.0)
    assert nodes.next_due == 540.0


# ── nobody answers ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_nobody_is_unheard_while_nothing_is_asked() -> None:
    nodes = make(1)
    ready(nodes, 1)
    assert not nodes.is_unheard(10_000.0)


def test_a_request_that_nobody_answers_counts_from_when_it_was_sent() -> None:
    nodes = make(1)
    node = ready(nodes, 1)
    nodes.begin_request(node, METADATA, 13, None, 100.0)
    nodes.on_disconnected(node, LOST, 105.0)
    assert not nodes.is_unheard(109.9)
    assert nodes.is_unheard(110.0)


def test_a_short_request_timeout_is_a_while() -> None:
    nodes = make(1, request_timeout_ms=500, delivery_timeout_ms=1000)
    node = ready(nodes, 1)
    nodes.begin_request(node, METADATA, 13, None, 100.0)
    nodes.on_disconnected(node, LOST, 100.1)
    assert nodes.is_unheard(100.5)


def test_one_broker_that_answers_is_enough_to_be_heard_of() -> None:
    nodes = make(1, 2)
    lost, well = ready(nodes, 1), ready(nodes, 2)
    nodes.begin_request(lost, METADATA, 13, None, 100.0)
    request = nodes.begin_request(well, METADATA, 13, None, 100.0)
    nodes.on_response(well, request, 129.0)
    nodes.on_disconnected(lost, LOST, 130.0)
    assert not nodes.is_unheard(138.9), "counted from the last answer"
    request = nodes.begin_request(well, METADATA, 13, None, 138.0)
    nodes.on_response(well, request, 138.5)
    assert not nodes.is_unheard(10_000.0)


def test_attempts_to_connect_that_fail_count_and_one_that_is_refused_is_an_answer() -> None:
    nodes = make(1)
    node = nodes[1]
    nodes.connect(node, 100.0)
    nodes.on_connect_failed(node, LOST, 110.0)
    assert nodes.is_unheard(110.0)
    nodes.connect(node, 120.0)
    nodes.on_connect_failed(node, REFUSED, 120.1)
    assert not nodes.is_unheard(1_000.0)


def test_bootstrap_servers_are_asked_first_when_nobody_answers() -> None:
    nodes = make(1, 2)
    lost, idle = ready(nodes, 1), ready(nodes, 2)
    nodes.begin_request(lost, METADATA, 13, None, 100.0)
    nodes.on_disconnected(lost, LOST, 130.0)
    assert nodes.least_loaded(130.0) is idle, "they are not to be asked"
    assert nodes.rebootstrap()
    assert not nodes.rebootstrap(), "they were to be asked already"
    assert nodes.least_loaded(130.0) is nodes[-1]
    nodes.connect(nodes[-1], 130.0)
    nodes.on_connect_failed(nodes[-1], LOST, 131.0)
    assert nodes.least_loaded(131.0) is idle, "it has to wait, and nobody else is to wait for it"
