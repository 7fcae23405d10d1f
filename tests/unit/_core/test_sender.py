"""The order of things: connecting, learning, sending, timers, closing. Retries and failures are in test_produce."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from aioproducer._core.accumulator.accumulator import PendingState
from aioproducer._core.effects import Completed, Connect, Disconnect, Send
from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataResponse
from aioproducer._wire.messages.produce import ProduceResponse
from aioproducer._wire.negotiation import ApiVersionRange, BrokerVersions
from aioproducer.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerError,
    DeliveryTimeoutError,
    InvalidTopicError,
    KafkaConnectionError,
    MetadataTimeoutError,
    ProducerClosedError,
    ProtocolError,
    UnsupportedVersionError,
)
from tests.gates.counting import Bytecodes
from tests.unit._core.harness import TOPIC_ID, Shell, metadata_answer, topic_answer, versions

REFUSED = KafkaConnectionError("Connection refused")
NOT_LEADER_OR_FOLLOWER = 6

# ── the beginning ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_poll_connects_to_a_bootstrap_server_and_nothing_else() -> None:
    shell = Shell(bootstrap_servers="a:1,b:2,c:3")
    shell.answers_connects = False
    [effect] = shell.poll()
    assert isinstance(effect, Connect)
    assert effect.node_id in {-1, -2, -3}
    assert not shell.sender.is_connected


def test_metadata_and_producer_id_are_asked_for_over_the_first_connection_together() -> None:
    shell = Shell()
    shell.poll()
    assert shell.sender.is_connected
    assert [type(send.message) for send in shell.sent[-1]] == [MetadataRequest, InitProducerIdRequest]
    assert [send.request.correlation_id for send in shell.sent[-1]] == [1, 2]


def test_both_are_asked_for_one_after_the_other_with_one_request_in_flight() -> None:
    shell = Shell(max_in_flight_requests_per_connection=1)
    shell.poll()
    shell.answer_metadata()
    shell.poll()
    shell.answer_init()
    shell.poll()
    assert shell.sender.status(shell.now).producer_id == 7


def test_without_idempotence_no_producer_id_is_asked_for() -> None:
    shell = Shell(enable_idempotence=False)
    shell.poll()
    assert [type(send.message) for send in shell.sent[-1]] == [MetadataRequest]


def test_polling_again_at_the_same_time_brings_nothing() -> None:
    shell = Shell()
    assert shell.sender.poll(shell.now) != []
    assert shell.sender.poll(shell.now) == []


def test_one_record_is_one_request_and_its_acknowledgement_completes_it() -> None:
    shell = Shell().start()
    batch = shell.send()
    assert shell.batches() == [[batch]]
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (7, 0, 0)
    shell.acknowledge(offset=5)
    effects = shell.poll()
    assert effects == [Completed([batch])]
    assert (batch.base_offset, batch.error) == (5, None)
    assert shell.sender.statistics().requests_in_flight == 0


def test_only_the_broker_that_leads_the_partition_is_connected_to() -> None:
    shell = Shell(brokers=tuple(range(1, 101))).start(topic_answer(leaders=(42,)))
    shell.send()
    assert {e.node_id for e in shell.events if isinstance(e, Connect)} <= {-1, 42}
    assert len(shell.batches(42)) == 1


def test_nothing_is_sent_before_the_producer_id_is_known() -> None:
    shell = Shell()
    shell.learn()
    batch = shell.send()
    assert shell.batches() == []
    shell.answer_init()
    shell.poll()
    assert shell.batches() == [[batch]]


def test_batches_of_several_partitions_go_in_one_request() -> None:
    shell = Shell().start(topic_answer(leaders=(1, 1)))
    first, second = shell.append(0), shell.append(1)
    shell.poll(after=0.005)
    assert shell.batches() == [[first, second]]


def test_a_metadata_request_that_is_under_way_does_not_hold_back_data() -> None:
    shell = Shell().start()
    shell.accumulator.wait_for_topic("other", shell.now, shell.now + 60)
    shell.poll()
    assert shell.has_request(MetadataRequest)
    batch = shell.send()
    assert shell.batches() == [[batch]]


# ── acks and versions ────────────────────────────────────────────────────────────────────────────────────────────────


def test_acks_0_completes_when_written_without_an_offset() -> None:
    shell = Shell(acks=0, enable_idempotence=False).start()
    batch = shell.append()
    shell.now += 0.005
    effects = [e for e in shell.sender.poll(shell.now) if isinstance(e, Connect)]
    for effect in effects:
        shell.sender.on_connected(effect.node_id, versions(), shell.now)
    [send] = [e for e in shell.sender.poll(shell.now) if isinstance(e, Send)]
    assert not send.request.expects_response
    assert send.produce is not None
    assert send.produce.acks == 0
    assert not batch.is_done
    shell.sender.on_written(1, send.request, shell.now)
    assert shell.sender.poll(shell.now) == [Completed([batch])]
    assert (batch.base_offset, batch.error) == (-1, None)


@pytest.mark.parametrize(("acks", "expected"), [("all", -1), (1, 1)])
def test_acks_and_timeout_are_those_of_the_settings(acks: Literal["all", 1], expected: int) -> None:
    shell = Shell(acks=acks, enable_idempotence=acks == "all", request_timeout_ms=12_000).start()
    shell.send()
    plan = shell.sent[1][0].produce
    assert plan is not None
    assert (plan.acks, plan.timeout_ms, plan.transactional_id) == (expected, 12_000, None)


def test_topic_ids_are_used_if_the_broker_and_the_topic_have_them() -> None:
    shell = Shell().start()
    shell.send()
    send = shell.sent[1][0]
    assert send.request.version == 13
    assert send.produce is not None
    assert send.produce.topic_ids["t"] == TOPIC_ID


def test_a_topic_without_an_id_is_produced_to_by_name() -> None:
    shell = Shell()
    shell.versions = versions(metadata=9)
    shell.start()
    batch = shell.send()
    send = shell.sent[1][0]
    assert send.request.version == 12
    assert send.produce is not None
    assert send.produce.topic_ids == {}
    shell.acknowledge()
    shell.poll()
    assert batch.error is None


def test_an_old_broker_is_spoken_to_in_its_version() -> None:
    shell = Shell()
    shell.versions = versions(produce=7, metadata=7, init_producer_id=1)
    shell.start()
    batch = shell.send()
    assert shell.sent[1][0].request.version == 7
    shell.acknowledge()
    shell.poll()
    assert batch.error is None


def test_zstd_on_a_broker_that_is_too_old_fails_the_batch_unsent() -> None:
    shell = Shell(compression_type="zstd")
    shell.versions = versions(produce=6)
    shell.start()
    batch = shell.send()
    assert shell.batches() == []
    assert isinstance(batch.error, BrokerError)
    assert batch.error.name == "UNSUPPORTED_COMPRESSION_TYPE"
    assert not batch.error.possibly_written
    assert shell.accumulator.is_empty


@pytest.mark.parametrize("api", [ApiKey.METADATA, ApiKey.INIT_PRODUCER_ID])
def test_a_broker_without_a_request_that_is_needed_is_fatal(api: ApiKey) -> None:
    shell = Shell()
    apis = {**versions().apis, api: ApiVersionRange(90, 99)}
    shell.versions = BrokerVersions(apis=apis)
    shell.poll()
    assert isinstance(shell.sender.fatal_error, UnsupportedVersionError)


# ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dead_cluster_costs_next_to_nothing() -> None:
    shell = Shell(bootstrap_servers="a:1,b:2,c:3")
    shell.answers_connects = False
    waiting = shell.accumulator.wait_for_topic("t", shell.now, shell.now + 60.0)
    end, polls, attempts = shell.now + 60.0, 0, 0
    while True:
        due = shell.sender.deadline(shell.now)
        assert due is not None
        if due >= end:
            break
        shell.now = max(due, shell.now)
        for effect in shell.sender.poll(shell.now):
            assert isinstance(effect, Connect)
            attempts += 1
            shell.sender.on_connect_failed(effect.node_id, REFUSED, shell.now)
        polls += 1
    assert 60 < attempts < 250
    assert polls < 500
    shell.now = end
    shell.sender.poll(end)
    assert isinstance(waiting.error, MetadataTimeoutError)
    assert isinstance(waiting.error.__cause__, KafkaConnectionError)
    assert "Connection refused" in str(waiting.error)
    assert "bootstrap server" in str(waiting.error)


def test_a_cluster_that_goes_away_with_records_costs_next_to_nothing_and_they_fail_in_time() -> None:
    shell = Shell(brokers=(1, 2, 3), delivery_timeout_ms=60_000).start(topic_answer(leaders=(1, 2, 3)))
    batches = [shell.send(p) for p in range(3)]
    shell.answers_connects = False
    for node_id in (1, 2, 3):
        shell.break_connection(node_id)
    end, polls = shell.now + 60.0, 0
    while not shell.sender.is_drained:
        due = shell.sender.deadline(shell.now)
        assert due is not None
        assert due <= end
        shell.now = max(due, shell.now)
        for effect in shell.sender.poll(shell.now):
            if isinstance(effect, Connect):
                shell.sender.on_connect_failed(effect.node_id, REFUSED, shell.now)
        polls += 1
    assert polls < 1000
    for batch in batches:
        assert isinstance(batch.error, DeliveryTimeoutError)
        assert batch.error.possibly_written
        assert batch.error.attempts == 1
        assert "reset by peer" in str(batch.error)


def test_an_idle_producer_sleeps_until_the_metadata_is_old() -> None:
    shell = Shell(brokers=tuple(range(1, 51))).start(topic_answer(leaders=tuple(range(1, 51))))
    for partition in range(50):
        shell.append(partition)
    shell.poll(after=0.005)
    for node_id in range(1, 51):
        shell.acknowledge(node_id)
    shell.poll()
    polls = shell.wait_until(lambda: shell.has_request(MetadataRequest), within=301.0)
    assert polls < 60  # the request timers of the 50 brokers, each looked at once, and the refresh


def test_a_request_that_is_not_answered_closes_the_connection_and_is_sent_again() -> None:
    shell = Shell().start()
    batch = shell.send()
    shell.wait_until(lambda: any(isinstance(e, Disconnect) and e.error for e in shell.events), within=30.1)
    assert batch.attempts == 1
    assert "did not answer within request_timeout_ms=30000" in str(batch.last_error)
    shell.wait_until(lambda: shell.batches() == [[batch]], within=1.0)
    assert batch.base_sequence == 0


def test_an_answer_of_the_wrong_kind_closes_the_connection_and_loses_nothing() -> None:
    shell = Shell().start()
    batch = shell.send()
    shell.answer(1, metadata_answer())
    [closed, *_] = shell.poll()
    assert isinstance(closed, Disconnect)
    assert isinstance(closed.error, ProtocolError)
    shell.wait_until(lambda: shell.batches() == [[batch]], within=1.0)


def test_an_answer_that_comes_while_the_connection_is_being_closed_is_ignored() -> None:
    shell = Shell().start(topic_answer(leaders=(1, 1)))
    first, second = shell.send(0), shell.send(1)
    later = shell.sent[1][1]
    shell.answer(1, metadata_answer())  # of the wrong kind: it is going to be closed
    shell.sender.on_response(1, later.request, ProduceResponse(), shell.now)
    assert not first.is_done
    assert not second.is_done


def test_an_idle_connection_is_closed_without_anybody_noticing() -> None:
    shell = Shell(connections_max_idle_ms=60_000).start()
    shell.send()
    shell.acknowledge()
    shell.poll()
    shell.wait_until(lambda: not shell.sender.is_connected, within=60.1)
    assert shell.events[-1] == Disconnect(1, None)
    batch = shell.send()
    assert shell.batches() == [[batch]]


def test_a_throttled_broker_is_sent_nothing_until_its_time_is_over_and_others_are() -> None:
    shell = Shell(brokers=(1, 2)).start(topic_answer(leaders=(1, 2)))
    shell.send(0)
    shell.refuse(0, base_offset=0, throttle_time_ms=2000)
    held, free = shell.append(0), shell.append(1)
    shell.poll(after=0.005)
    assert shell.batches(1) == []
    assert shell.batches(2) == [[free]]
    start = shell.now
    shell.wait_until(lambda: shell.batches(1) == [[held]], within=2.1)
    assert shell.now - start == pytest.approx(1.995, abs=0.01)


def test_a_broker_before_kip_219_has_waited_itself() -> None:
    shell = Shell(enable_idempotence=False)
    shell.versions = versions(produce=5)
    shell.start()
    shell.send()
    shell.refuse(0, base_offset=0, throttle_time_ms=2000)
    batch = shell.send()
    assert shell.batches() == [[batch]]


def test_a_broker_with_as_many_requests_as_allowed_gets_the_next_after_an_answer() -> None:
    shell = Shell(max_in_flight_requests_per_connection=2, enable_idempotence=False).start(
        topic_answer(leaders=(1, 1, 1))
    )
    for partition in range(3):
        shell.send(partition)
    assert len(shell.batches()) == 2
    shell.acknowledge()
    shell.poll()
    assert len(shell.batches()) == 2


# ── metadata ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("allowed", [True, False])
def test_topics_are_created_on_demand_if_that_is_allowed(allowed: bool) -> None:
    shell = Shell(allow_auto_create_topics=allowed)
    shell.poll()
    message = shell.request(MetadataRequest).message
    assert isinstance(message, MetadataRequest)
    assert message.allow_auto_topic_creation is allowed


def test_an_unknown_topic_is_asked_for_until_it_appears() -> None:
    shell = Shell().start()
    waiting = shell.accumulator.wait_for_topic("new", shell.now, shell.now + 60)
    shell.poll()
    for _ in range(3):
        shell.answer_metadata(topic_answer("new", (), error=3))
        shell.wait_until(lambda: shell.has_request(MetadataRequest), within=1.0)
    shell.answer_metadata(topic_answer("new"))
    shell.poll()
    assert waiting.done
    assert waiting.error is None


def test_waiting_for_a_topic_that_never_appears_ends_with_what_the_cluster_said() -> None:
    shell = Shell().start()
    waiting = shell.accumulator.wait_for_topic("new", shell.now, shell.now + 5)
    shell.poll()
    while not waiting.done:
        if shell.has_request(MetadataRequest):
            shell.answer_metadata(topic_answer("new", (), error=3))
        shell.wait_until(lambda: waiting.done or shell.has_request(MetadataRequest), within=5.1)
    assert isinstance(waiting.error, MetadataTimeoutError)
    cause = waiting.error.__cause__
    assert isinstance(cause, BrokerError)
    assert cause.name == "UNKNOWN_TOPIC_OR_PARTITION"


@pytest.mark.parametrize(("code", "error"), [(17, InvalidTopicError), (29, AuthorizationError)])
def test_an_invalid_or_forbidden_topic_fails_its_waiters_at_once(code: int, error: type) -> None:
    shell = Shell().start()
    waiting = shell.accumulator.wait_for_topic("new", shell.now, shell.now + 60)
    shell.poll()
    shell.answer_metadata(topic_answer("new", (), error=code))
    shell.poll()
    assert isinstance(waiting.error, error)


def test_a_partition_without_a_leader_waits_while_the_metadata_is_refreshed() -> None:
    shell = Shell(brokers=(1, 2)).start(topic_answer(leaders=(1, -1)))
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=1.0)
    held = shell.send(1)
    other = shell.send(0)
    assert shell.batches(1) == [[other]]
    shell.answer_metadata(topic_answer(leaders=(1, 2), epoch=1))
    shell.poll()
    assert shell.batches(2) == [[held]]


def test_a_partition_that_is_not_known_yet_is_asked_for() -> None:
    shell = Shell().start()
    pending = shell.accumulator.enqueue("t", 1, None, b"v", (), None, shell.now, shell.now + 60, accepted=False)
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=1.0)
    shell.answer_metadata(topic_answer(leaders=(1, 1), epoch=1))
    batch = shell.accumulator.complete_append(pending, shell.now, 0)
    shell.poll(after=0.005)
    assert shell.batches() == [[batch]]


def test_a_retry_that_finds_its_leader_gone_asks_for_metadata_in_the_same_poll() -> None:
    # Asked for one poll later, it would wait for whatever event comes next: nothing else is due.
    shell = Shell(retry_backoff_ms=500, retry_backoff_max_ms=500).start()
    shell.send()
    shell.accumulator.wait_for_topic("u", shell.now, shell.now + 60)
    shell.poll()
    shell.refuse(19)
    shell.answer_metadata(topic_answer(error=29, leaders=()), topic_answer("u"))
    shell.poll(after=0.4)
    assert not shell.has_request(MetadataRequest)
    shell.now += 0.1
    assert [type(e.message) for e in shell.sender.poll(shell.now) if isinstance(e, Send)] == [MetadataRequest]


def test_records_for_a_leaderless_partition_keep_the_refreshes_going() -> None:
    shell = Shell().start(topic_answer(leaders=(1, -1)))
    shell.append(1)
    for _ in range(3):
        shell.wait_until(lambda: shell.has_request(MetadataRequest), within=1.1)
        shell.answer_metadata(topic_answer(leaders=(1, -1)))


def test_an_idle_topic_is_forgotten_and_asked_for_again_on_its_next_use() -> None:
    shell = Shell(metadata_max_idle_ms=5000, metadata_max_age_ms=6000).start()
    shell.send()
    shell.acknowledge()
    shell.poll()
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=6.1)
    shell.answer_metadata(topic_answer())
    assert shell.accumulator.appender.try_append("t", 0, None, b"v", (), 0, shell.now) is None
    shell.accumulator.wait_for_topic("t", shell.now, shell.now + 60)
    shell.poll()
    message = shell.request(MetadataRequest).message
    assert isinstance(message, MetadataRequest)
    assert [t.name for t in message.topics or ()] == ["t"]


def test_a_lost_metadata_request_is_repeated_with_backoff() -> None:
    shell = Shell().start()
    shell.accumulator.wait_for_topic("new", shell.now, shell.now + 60)
    shell.poll()
    node_id = shell.request(MetadataRequest).node_id
    start = shell.now
    shell.break_connection(node_id)
    shell.poll()
    assert not shell.has_request(MetadataRequest)
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=0.2)
    assert shell.now - start >= 0.08


def test_metadata_with_misnumbered_partitions_closes_the_connection() -> None:
    shell = Shell()
    shell.accumulator.wait_for_topic("t", shell.now, shell.now + 60)
    shell.poll()
    bad = topic_answer(leaders=(1, 1))
    bad.partitions[0].partition_index = -1  # type: ignore[misc]
    shell.answer_metadata(bad)
    assert any(isinstance(e, Disconnect) and isinstance(e.error, ProtocolError) for e in shell.poll())
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=0.2)


def test_an_answer_that_makes_no_sense_costs_its_connection_and_no_call_that_waits() -> None:
    shell = Shell().start()
    shell.send()
    waiting = shell.accumulator.enqueue("new", None, None, b"v", (), 1, shell.now, shell.now + 8.0, accepted=False)
    shell.answer(1, MetadataResponse())  # to a Produce request
    assert any(isinstance(e, Disconnect) and isinstance(e.error, ProtocolError) for e in shell.poll())
    assert waiting.error is None
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=1.0)
    shell.answer_metadata(topic_answer(), topic_answer("new"))
    shell.poll()
    assert waiting.state is PendingState.GRANTED
    assert waiting.error is None


def test_starting_over_on_demand_fails_no_call_that_waits() -> None:
    shell = Shell().start()
    waiting = shell.accumulator.enqueue("new", None, None, b"v", (), 1, shell.now, shell.now + 8.0, accepted=False)
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=1.0)
    shell.answer_metadata(error=129)
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=2.0)
    assert waiting.error is None
    shell.answer_metadata(topic_answer(), topic_answer("new"))
    shell.poll()
    assert waiting.error is None
    assert waiting.state is PendingState.GRANTED


def test_all_brokers_being_away_brings_back_the_bootstrap_servers() -> None:
    shell = Shell().start()
    shell.send()
    shell.answers_connects = False
    shell.break_connection(1)
    tried: set[int] = set()
    for _ in range(50):
        due = shell.sender.deadline(shell.now)
        assert due is not None
        shell.now = max(shell.now, due)
        for effect in shell.sender.poll(shell.now):
            assert isinstance(effect, Connect)
            tried.add(effect.node_id)
            shell.sender.on_connect_failed(effect.node_id, REFUSED, shell.now)
    assert tried == {1, -1}


def test_a_refusal_is_known_until_a_broker_accepts_us_and_fails_nobody_at_once() -> None:
    shell = Shell()
    wait = shell.accumulator.wait_for_topic("t", shell.now, shell.now + 60.0)
    [effect] = shell.sender.poll(shell.now)
    assert isinstance(effect, Connect)
    shell.sender.on_connect_failed(effect.node_id, AuthenticationError("wrong password"), shell.now)
    assert isinstance(shell.sender.authentication_error, AuthenticationError)
    assert shell.sender.fatal_error is None
    assert wait.error is None
    shell.wait_until(lambda: shell.sender.is_connected, within=1.0)
    assert shell.sender.authentication_error is None


def test_without_rebootstrap_only_known_brokers_are_tried() -> None:
    shell = Shell(metadata_recovery_strategy="none").start()
    shell.send()
    shell.answers_connects = False
    shell.break_connection(1)
    for _ in range(50):
        due = shell.sender.deadline(shell.now)
        assert due is not None
        shell.now = max(shell.now, due)
        for effect in shell.sender.poll(shell.now):
            assert isinstance(effect, Connect)
            assert effect.node_id == 1
            shell.sender.on_connect_failed(effect.node_id, REFUSED, shell.now)


def test_one_more_topic_costs_the_same_however_many_are_known() -> None:
    counts: set[int] = set()
    for known in (10, 1_000):
        shell = Shell().start(*[topic_answer(f"k{number}") for number in range(known)])
        shell.poll(1.0)
        with Bytecodes() as counted:
            shell.accumulator.wait_for_topic("new", shell.now, shell.now + 60)
            shell.poll()
            shell.answer_metadata(topic_answer("new"))
            shell.poll()
        assert "new" in shell.sender.cluster.topics
        counts.add(counted.count)
    assert len(counts) == 1


def test_silence_asks_the_bootstrap_server_rather_than_a_connection_that_is_there() -> None:
    shell = Shell(brokers=(1, 2)).start(topic_answer(leaders=(1, 2)))
    for partition, node_id in ((0, 1), (1, 2)):
        shell.send(partition)
        shell.acknowledge(node_id)
    shell.send(0)
    shell.answers_connects = False
    opened = len(shell.events)
    shell.wait_until(
        lambda: any(isinstance(event, Connect) and event.node_id == -1 for event in shell.events[opened:]), within=31.0
    )


def test_a_broker_may_ask_to_start_over_from_the_bootstrap_servers() -> None:
    shell = Shell().start()
    batch = shell.send()
    shell.accumulator.wait_for_topic("new", shell.now, shell.now + 60)
    shell.poll()
    shell.sent[1].reverse()  # the metadata request first
    request = shell.sent[1][0]
    shell.sent[1].reverse()
    shell.acknowledge()
    assert request is shell.sent[1][0]
    shell.answer_metadata(error=129)
    shell.poll()
    assert any(isinstance(e, Disconnect) and "REBOOTSTRAP_REQUIRED" in str(e.error) for e in shell.events)
    assert batch.error is None
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=1.0)


def test_metadata_that_does_not_come_for_long_closes_all_connections_and_starts_over() -> None:
    shell = Shell(metadata_recovery_rebootstrap_trigger_ms=20_000, brokers=(1, 2)).start(topic_answer(leaders=(1, 2)))
    for partition, node_id in ((0, 1), (1, 2)):
        shell.send(partition)
        shell.acknowledge(node_id)
    shell.accumulator.wait_for_topic("new", shell.now, shell.now + 600)
    shell.poll()
    start, opened = shell.now, len(shell.events)
    assert not any(isinstance(e, Connect) for e in shell.events[opened:])
    shell.wait_until(lambda: len(shell.events) > opened, within=31.0)  # the request times out, 1 or 2 is asked again
    shell.wait_until(
        lambda: any(isinstance(e, Disconnect) and "rebootstrap_trigger_ms" in str(e.error) for e in shell.events),
        within=31.0,
    )
    assert shell.now - start > 20.0
    shell.wait_until(lambda: Connect in map(type, shell.events[opened:]), within=1.0)


# ── producer id ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_permission_for_a_producer_id_fails_what_is_buffered_and_is_tried_again() -> None:
    shell = Shell()
    shell.learn()
    batch = shell.send()
    shell.answer_init(error=31)
    shell.poll()
    assert isinstance(batch.error, AuthorizationError)
    assert not batch.error.possibly_written
    assert not batch.error.fatal
    assert shell.completed == [batch]
    assert shell.sender.fatal_error is None
    assert not shell.has_request(InitProducerIdRequest)  # not before the backoff
    shell.wait_until(lambda: shell.has_request(InitProducerIdRequest), within=0.2)
    shell.answer_init()
    after = shell.send()
    assert shell.batches() == [[after]]


@pytest.mark.parametrize("code", [7, 14, 15, 16, 51, 89])
def test_a_passing_failure_to_get_a_producer_id_is_retried(code: int) -> None:
    shell = Shell()
    shell.poll()
    shell.answer_metadata()
    shell.answer_init(error=code)
    shell.poll()
    shell.wait_until(lambda: shell.has_request(InitProducerIdRequest), within=0.2)


@pytest.mark.parametrize("code", [35, 42, 47, 53, 90, -1])
def test_other_failures_to_get_a_producer_id_are_fatal(code: int) -> None:
    shell = Shell()
    shell.learn()
    batch = shell.append()
    shell.answer_init(error=code)
    shell.poll()
    assert isinstance(shell.sender.fatal_error, BrokerError)
    assert shell.sender.fatal_error.fatal
    assert str(batch.error) == str(shell.sender.fatal_error)
    assert batch.error is not None
    assert not batch.error.possibly_written  # though an unknown error, which may come after writing, says so


def test_a_lost_request_for_a_producer_id_is_repeated() -> None:
    shell = Shell()
    shell.poll()
    shell.break_connection(-1)
    shell.wait_until(lambda: shell.has_request(InitProducerIdRequest), within=0.5)


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_close_sends_what_is_there_at_once_and_is_drained_with_the_last_outcome() -> None:
    shell = Shell(linger_ms=10_000).start()
    batch = shell.append()
    shell.sender.begin_close(shell.now)
    shell.poll()
    assert shell.batches() == [[batch]]
    assert not shell.sender.is_drained
    shell.acknowledge()
    shell.poll()
    assert shell.sender.is_drained
    assert batch.error is None


def test_close_ends_by_the_delivery_timeout_when_no_broker_answers() -> None:
    shell = Shell(delivery_timeout_ms=40_000).start()
    batch = shell.send()
    shell.sender.begin_close(shell.now)
    shell.wait_until(lambda: shell.sender.is_drained, within=40.1)
    assert isinstance(batch.error, DeliveryTimeoutError)


def test_close_during_a_change_of_the_producer_id_still_delivers() -> None:
    shell = Shell()
    shell.learn()
    batch = shell.append()
    shell.sender.begin_close(shell.now)
    shell.poll()
    shell.answer_init()
    shell.poll()
    shell.acknowledge()
    shell.poll()
    assert shell.sender.is_drained
    assert batch.error is None


def test_abort_fails_what_is_queued_and_what_is_in_flight_at_once_each_with_the_truth() -> None:
    shell = Shell(max_in_flight_requests_per_connection=1).start()
    flying, queued = shell.send(), shell.send()
    shell.sender.abort(ProducerClosedError("closed by force"), shell.now)
    effects = shell.sender.poll(shell.now)
    assert effects == [Completed([flying, queued])]
    assert isinstance(flying.error, ProducerClosedError)
    assert flying.error.possibly_written
    assert queued.error is not None
    assert not queued.error.possibly_written
    assert shell.sender.is_drained


def test_outcomes_come_before_whatever_else_a_poll_asks_for() -> None:
    shell = Shell(max_in_flight_requests_per_connection=1).start()
    first, second = shell.send(), shell.send()
    shell.acknowledge()
    outcome, *others = shell.sender.poll(shell.now)
    assert outcome == Completed([first])  # so that it is told though the shell fails at the rest
    assert [type(effect) for effect in others] == [Send]
    assert not second.is_done


def test_outcomes_can_be_taken_when_no_poll_goes_through_any_more() -> None:
    shell = Shell(max_in_flight_requests_per_connection=1).start()
    flying, queued = shell.send(), shell.send()
    shell.sender.abort(ProducerClosedError("closed by force"), shell.now)
    assert shell.sender.take_completed() == [flying, queued]
    assert shell.sender.take_completed() == []


def test_abort_gives_its_error_to_calls_that_wait_and_to_those_that_come_later() -> None:
    shell = Shell().start()
    error = ProducerClosedError("closed by force")
    waiting = shell.accumulator.wait_for_topic("not-known", shell.now, shell.now + 60)
    shell.sender.abort(error, shell.now)
    assert waiting.error is error
    with pytest.raises(ProducerClosedError, match="closed by force") as caught:
        shell.accumulator.wait_for_topic("not-known", shell.now, shell.now + 60)
    assert caught.value is not error


def test_after_a_fatal_error_everything_fails_with_it_and_nothing_is_sent() -> None:
    shell = Shell(brokers=(1, 2)).start(topic_answer(leaders=(1, 2)))
    first, second = shell.send(0), shell.send(1)
    shell.refuse(31, node_id=1)
    shell.poll()
    fatal = shell.sender.fatal_error
    assert isinstance(fatal, AuthorizationError)
    assert first.error is fatal
    assert second.error is not None
    assert second.error.possibly_written
    assert not fatal.possibly_written
    late = shell.append(0)
    shell.poll()
    assert late.error is fatal
    shell.acknowledge(2)  # late, and harmless
    assert shell.poll() == []
    assert shell.sender.deadline(shell.now) is None or shell.sender.deadline(shell.now) > shell.now  # type: ignore[operator]


# ── answers that need no poll ────────────────────────────────────────────────────────────────────────────────────────


def test_an_acknowledgement_that_nothing_follows_from_needs_no_poll() -> None:
    shell = Shell().start()
    shell.accumulator.take_woken()
    first = shell.send()
    shell.acknowledge(offset=4)
    assert shell.sender.take_delivered() == [first]
    assert first.base_offset == 4
    assert shell.sender.take_delivered() is None
    assert shell.sender.poll(shell.now) == []
    second = shell.send()
    shell.acknowledge(offset=5)
    assert shell.sender.poll(shell.now) == [Completed([second])]
    assert shell.sender.take_delivered() is None


def test_a_connection_that_an_acknowledgement_leaves_idle_is_closed_in_time() -> None:
    shell = Shell(connections_max_idle_ms=1_000, request_timeout_ms=30_000).start()
    shell.accumulator.take_woken()
    shell.send()
    shell.poll(after=1.5)
    remembered = shell.sender.deadline(shell.now)
    shell.acknowledge()
    assert remembered is not None
    assert remembered > shell.now + 1.0
    assert shell.sender.take_delivered() is None
    shell.poll()
    assert shell.sender.deadline(shell.now) == shell.now + 1.0


def _refused(shell: Shell) -> None:
    shell.send()
    shell.refuse(NOT_LEADER_OR_FOLLOWER)


def _lost(shell: Shell) -> None:
    shell.send()
    shell.break_connection()


def _one_more_is_ready(shell: Shell) -> None:
    shell.send()
    shell.send()  # nothing of its partition is acknowledged yet: one at a time
    shell.acknowledge()


def _flush_is_done(shell: Shell) -> None:
    shell.append()
    shell.accumulator.begin_flush(shell.now)
    shell.poll()
    shell.acknowledge()


def _call_waits_for_memory(shell: Shell) -> None:
    shell.send()
    shell.accumulator.enqueue("t", 0, None, bytes(40_000), (), 1, shell.now, shell.now + 9, accepted=False)
    shell.accumulator.needs_wake = False
    shell.acknowledge()


def _late_answer(shell: Shell) -> None:
    shell.expire(shell.send())
    if 1 in shell.sent:
        shell.acknowledge()


def _topic_is_wanted(shell: Shell) -> None:
    shell.send()
    shell.accumulator.wait_for_topic("u", shell.now, shell.now + 9)
    shell.acknowledge()


def _refusal_before_it(shell: Shell) -> None:
    shell.send(0)
    shell.send(1)
    shell.refuse(NOT_LEADER_OR_FOLLOWER)
    shell.acknowledge()


@pytest.mark.parametrize(
    "happens",
    [
        _refused,
        _lost,
        _one_more_is_ready,
        _flush_is_done,
        _call_waits_for_memory,
        _late_answer,
        _topic_is_wanted,
        _refusal_before_it,
    ],
)
def test_whatever_more_happened_is_the_business_of_a_poll(happens: Callable[[Shell], None]) -> None:
    shell = Shell(buffer_memory=40_200).start(topic_answer(leaders=(1, 1)))
    shell.accumulator.take_woken()
    happens(shell)
    assert shell.sender.take_delivered() is None
    assert shell.sender.deadline(shell.now) == shell.now
