"""What follows from answers to Produce requests, and from lost ones: order, retries, splits, expiry, outcomes."""

from __future__ import annotations

import pytest

from aioproducer._core.accumulator.batch import BatchState, ProducerBatch
from aioproducer._core.effects import Disconnect
from aioproducer._core.produce.sequences import MAX_PRODUCER_EPOCH
from aioproducer._core.requests.verdicts import PRODUCE_RULES, UNLISTED_PRODUCE_RULE, Verdict
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer._wire.messages.metadata import MetadataRequest
from aioproducer._wire.messages.produce import (
    BatchIndexAndErrorMessage,
    NodeEndpoint,
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)
from aioproducer.errors import (
    AuthorizationError,
    BrokerError,
    DeliveryTimeoutError,
    ErrorCode,
    InvalidRecordError,
    KafkaConnectionError,
    KafkaError,
    ProtocolError,
    RecordTooLargeError,
    RequestTimeoutError,
    UnsupportedVersionError,
)
from tests.unit._core.harness import TOPIC_ID, Shell, topic_answer

CORRUPT_MESSAGE = 2
NOT_LEADER_OR_FOLLOWER = 6
MESSAGE_TOO_LARGE = 10
NOT_ENOUGH_REPLICAS = 19
OUT_OF_ORDER = 45
UNKNOWN_PRODUCER_ID = 59


def started(**settings: object) -> Shell:
    """Return a shell with topic "t", two partitions on broker 1, of which partition 0 has an acknowledged batch."""
    shell = Shell(**settings).start(topic_answer(leaders=(1, 1)))  # type: ignore[arg-type]
    shell.send()
    shell.acknowledge()
    shell.poll()
    shell.completed.clear()
    return shell


def in_flight(shell: Shell, batch: ProducerBatch, node_id: int = 1) -> bool:
    return any(batch in batches for batches in shell.batches(node_id))


def stamp(batch: ProducerBatch) -> tuple[int, int]:
    return batch.producer_epoch, batch.base_sequence


# ── retries ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 51, 56, 72, 74, 75, 89, 100, 103])
@pytest.mark.parametrize("is_idempotent", [True, False])
def test_a_retriable_code_sends_the_same_batch_again_after_the_backoff(code: int, is_idempotent: bool) -> None:
    shell = started(enable_idempotence=is_idempotent)
    batch = shell.send()
    before = stamp(batch)
    start = shell.now
    shell.refuse(code)
    shell.poll()
    assert not in_flight(shell, batch)
    shell.wait_until(lambda: in_flight(shell, batch), within=0.13)
    assert shell.now - start >= 0.08 - 1e-6
    assert stamp(batch) == before
    shell.acknowledge(offset=9)
    shell.poll()
    assert (batch.base_offset, batch.error) == (9, None)


@pytest.mark.parametrize("code", [3, 5, 6, 9, 13, 56, 72, 74, 100, 103])
def test_a_code_that_doubts_the_metadata_has_the_topic_asked_for(code: int) -> None:
    shell = started()
    shell.now += 1.0
    shell.send()
    shell.refuse(code)
    shell.poll()
    message = shell.request(MetadataRequest).message
    assert isinstance(message, MetadataRequest)
    assert [t.name for t in message.topics or ()] == ["t"]


@pytest.mark.parametrize("code", list(ErrorCode), ids=lambda code: code.name)
def test_the_table_alone_decides_whether_the_metadata_is_refreshed(code: ErrorCode) -> None:
    # INVALID_METADATA has codes that no table of Produce lists (ELECTION_NOT_NEEDED): it has no say.
    rule = PRODUCE_RULES.get(code, UNLISTED_PRODUCE_RULE)
    shell = started()
    shell.now += 1.0
    shell.send()
    shell.refuse(code)
    shell.poll()
    assert shell.has_request(MetadataRequest) is (rule.verdict is Verdict.REFRESH)


@pytest.mark.parametrize("code", [2, 7, 14, 19, 20, 75, 89])
def test_other_retriable_codes_do_not_ask_for_metadata(code: int) -> None:
    shell = started()
    shell.now += 1.0
    shell.send()
    shell.refuse(code)
    shell.poll()
    assert not shell.has_request(MetadataRequest)


def test_backoff_grows_with_the_attempts() -> None:
    shell = started()
    batch = shell.send()
    waits: list[float] = []
    for _ in range(5):
        shell.refuse(CORRUPT_MESSAGE)
        start = shell.now
        shell.wait_until(lambda: in_flight(shell, batch), within=1.3)
        waits.append(shell.now - start)
    assert waits[0] <= 0.121
    assert 0.159 <= waits[1] <= 0.241
    assert 0.799 <= waits[4] <= 1.001


def test_retries_are_limited_by_the_setting() -> None:
    shell = started(retries=2, enable_idempotence=False)
    batch = shell.send()
    for _ in range(2):
        shell.refuse(NOT_ENOUGH_REPLICAS)
        shell.wait_until(lambda: in_flight(shell, batch), within=0.5)
    shell.refuse(NOT_ENOUGH_REPLICAS)
    shell.poll()
    assert isinstance(batch.error, BrokerError)
    assert batch.error.name == "NOT_ENOUGH_REPLICAS"


def test_a_lost_connection_sends_the_batch_again_and_asks_for_metadata() -> None:
    shell = started()
    batch = shell.send()
    shell.now += 1.0
    shell.break_connection()
    assert batch.state is BatchState.SEALED
    assert isinstance(batch.last_error, KafkaConnectionError)
    assert "broker 1 (host1:9092)" in str(batch.last_error)
    shell.wait_until(lambda: in_flight(shell, batch), within=0.5)
    assert shell.has_request(MetadataRequest)
    assert stamp(batch) == (0, 1)


def test_lost_connections_use_up_the_retries_too() -> None:
    shell = started(retries=0, enable_idempotence=False)
    batch = shell.send()
    shell.break_connection()
    shell.poll()
    assert isinstance(batch.error, KafkaConnectionError)
    assert batch.error.possibly_written
    assert (batch.error.node, batch.error.address) == (1, ("host1", 9092))


def test_with_one_request_in_flight_a_partition_waits_even_when_its_leader_moves() -> None:
    shell = started(max_in_flight_requests_per_connection=1, enable_idempotence=False)
    shell.brokers = (1, 2)
    first, second = shell.send(), shell.send()
    shell.accumulator.wait_for_topic("u", shell.now, shell.now + 60)
    shell.sender.poll(shell.now)
    cluster = shell.sender.cluster
    assert cluster.leader("t", 0) == 1
    assert not in_flight(shell, second)
    shell.refuse(NOT_LEADER_OR_FOLLOWER, leader=(2, 5), endpoints=[NodeEndpoint(node_id=2, host="host2", port=9092)])
    shell.poll()
    assert shell.batches(2) == [[first]]
    shell.acknowledge(2)
    shell.poll()
    assert shell.batches(2) == [[second]]


# ── leader hints ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [6, 74])
def test_a_newer_leader_in_the_answer_is_tried_at_once(code: int) -> None:
    shell = started()
    batch = shell.send()
    shell.refuse(code, leader=(2, 5), endpoints=[NodeEndpoint(node_id=2, host="host2", port=9092)])
    start = shell.now
    shell.poll()
    assert shell.batches(2) == [[batch]]
    assert shell.now == start
    assert stamp(batch) == (0, 1)


def test_a_leader_hint_with_an_old_epoch_backs_off_and_refreshes() -> None:
    shell = started()
    batch = shell.send()
    shell.refuse(6, leader=(2, 0), endpoints=[NodeEndpoint(node_id=2, host="host2", port=9092)])
    shell.poll()
    assert shell.batches(2) == []
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=0.13)
    assert not batch.is_done


def test_a_leader_found_by_a_refresh_ends_the_backoff() -> None:
    shell = started(retry_backoff_ms=900)
    shell.brokers = (1, 2)
    batch = shell.send()
    shell.now += 10.0
    shell.refuse(6)
    shell.poll()
    shell.answer_metadata(topic_answer(leaders=(2, 2), epoch=1))
    start = shell.now
    shell.poll()
    assert shell.batches(2) == [[batch]]
    assert shell.now == start


# ── several in flight ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_second_batch_waits_for_the_first_acknowledgement_of_the_partition() -> None:
    shell = Shell().start()
    first, second = shell.send(), shell.send()
    assert shell.batches() == [[first]]
    shell.acknowledge()
    shell.poll()
    assert shell.batches() == [[second]]
    third = shell.send()
    assert shell.batches() == [[second], [third]]
    assert [b.base_sequence for b in (first, second, third)] == [0, 1, 2]


def test_when_the_first_of_several_fails_all_are_sent_again_one_at_a_time_in_order() -> None:
    shell = started()
    batches = [shell.send() for _ in range(3)]
    shell.refuse(NOT_LEADER_OR_FOLLOWER)
    shell.refuse(OUT_OF_ORDER)
    shell.refuse(OUT_OF_ORDER)
    for batch in batches:
        shell.wait_until(lambda batch=batch: shell.batches() == [[batch]], within=0.5)  # type: ignore[misc]
        shell.acknowledge()
        shell.poll()
    assert shell.completed == batches
    assert [b.base_sequence for b in batches] == [1, 2, 3]
    assert shell.sender.statistics().producer_epoch_bumps == 0


def test_new_batches_stay_behind_those_that_are_sent_again() -> None:
    shell = started()
    first = shell.send()
    shell.refuse(NOT_ENOUGH_REPLICAS)
    second = shell.send()
    assert shell.batches() == []
    shell.wait_until(lambda: shell.batches() == [[first], [second]], within=0.5)
    assert [b.base_sequence for b in (first, second)] == [1, 2]


def two_leaders() -> tuple[Shell, ProducerBatch, ProducerBatch]:
    """Return a shell and two batches of a partition: one in flight to its old leader 1, the next to the new, 2."""
    shell = Shell(brokers=(1, 2)).start(topic_answer(leaders=(1, 2)))
    for partition, node_id in ((0, 1), (1, 2)):
        shell.send(partition)
        shell.acknowledge(node_id)
        shell.poll()
    first = shell.send()
    shell.accumulator.wait_for_topic("new", shell.now, shell.now + 60)
    shell.poll(after=1.0)
    shell.answer_metadata(topic_answer("new"), topic_answer(leaders=(2, 2), epoch=1))
    second = shell.send()
    assert (shell.batches(1), shell.batches(2)) == ([[first]], [[second]])
    return shell, first, second


def test_the_second_of_two_leaders_may_answer_first() -> None:
    shell, first, second = two_leaders()
    shell.acknowledge(2, offset=2)
    shell.acknowledge(1, offset=1)
    shell.poll()
    assert [(b.base_offset, b.error) for b in (first, second)] == [(1, None), (2, None)]
    assert stamp(shell.send()) == (0, 3)


def test_out_of_order_from_the_new_leader_waits_for_the_answer_of_the_old_one() -> None:
    shell, first, second = two_leaders()
    shell.refuse(OUT_OF_ORDER, node_id=2)
    shell.poll()
    assert shell.batches(2) == []
    shell.refuse(NOT_LEADER_OR_FOLLOWER, node_id=1)
    shell.poll()
    assert shell.batches(2) == [[first]]
    shell.acknowledge(2, offset=1)
    shell.poll()
    assert shell.batches(2) == [[second]]


def test_a_duplicate_is_a_success_without_an_offset_and_does_not_rewind() -> None:
    shell = started()
    first, second = shell.send(), shell.send()
    shell.acknowledge(offset=1)
    shell.refuse(46)
    shell.poll()
    assert (second.base_offset, second.error) == (-1, None)
    assert first.base_offset == 1
    assert shell.send().base_sequence == 3


# ── gaps and epochs ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_that_fails_for_good_lets_the_next_go_on_in_a_new_epoch() -> None:
    shell = started()
    first, second = shell.send(), shell.send()
    shell.refuse(42)
    shell.refuse(OUT_OF_ORDER)
    shell.poll()
    assert isinstance(first.error, BrokerError)
    assert not first.error.possibly_written
    shell.wait_until(lambda: in_flight(shell, second), within=0.5)
    assert stamp(second) == (1, 0)
    shell.acknowledge()
    shell.poll()
    assert second.error is None


def test_out_of_order_on_the_expected_batch_numbers_it_anew() -> None:
    shell = started()
    batch = shell.send()
    shell.refuse(OUT_OF_ORDER)
    shell.wait_until(lambda: in_flight(shell, batch), within=0.5)
    assert stamp(batch) == (1, 0)
    shell.acknowledge()
    shell.poll()
    assert batch.error is None


def test_a_batch_that_may_be_written_fails_rather_than_being_numbered_anew() -> None:
    shell = started()
    batch, later = shell.send(), shell.send()
    shell.break_connection()
    shell.wait_until(lambda: in_flight(shell, batch), within=0.5)
    shell.refuse(OUT_OF_ORDER)
    shell.poll()
    assert batch.error is not None
    assert batch.error.possibly_written
    assert batch.error.__cause__ is not None
    assert "it may have been written" in str(batch.error)
    assert later.error is not None  # it was on the lost connection too
    assert later.error.possibly_written
    fresh = shell.send()
    assert in_flight(shell, fresh)
    assert stamp(fresh) == (1, 0)


def test_lost_state_is_retried_if_the_log_start_is_unknown_and_bumps_otherwise() -> None:
    shell = started()
    batch = shell.send()
    shell.refuse(UNKNOWN_PRODUCER_ID)
    shell.wait_until(lambda: in_flight(shell, batch), within=0.5)
    assert stamp(batch) == (0, 1)
    shell.refuse(UNKNOWN_PRODUCER_ID, log_start_offset=10)
    shell.wait_until(lambda: in_flight(shell, batch), within=0.5)
    assert stamp(batch) == (1, 0)


def test_an_invalid_producer_epoch_fails_the_batch_and_the_next_uses_a_new_one() -> None:
    shell = started()
    batch = shell.send()
    shell.refuse(47)
    shell.poll()
    assert isinstance(batch.error, BrokerError)
    assert batch.error.name == "INVALID_PRODUCER_EPOCH"
    assert stamp(shell.send()) == (1, 0)


def test_after_the_last_epoch_a_new_producer_id_is_fetched() -> None:
    shell = Shell()
    shell.learn()
    shell.answer_init(epoch=MAX_PRODUCER_EPOCH)
    batch = shell.send()
    shell.refuse(42)
    after = shell.send()
    assert batch.error is not None
    assert not in_flight(shell, after)
    assert shell.has_request(InitProducerIdRequest)
    shell.answer_init(producer_id=8)
    shell.poll()
    assert (after.producer_id, *stamp(after)) == (8, 0, 0)


@pytest.mark.parametrize("code", [45, 59])
def test_without_idempotence_sequence_errors_fail_the_batch(code: int) -> None:
    shell = started(enable_idempotence=False)
    batch = shell.send()
    shell.refuse(code)
    shell.poll()
    assert isinstance(batch.error, BrokerError)
    assert batch.error.code == code


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [10, 17, 18, 21, 29, 32, 42, 43, 44, 47, 48, 55, 76, 87, 120])
def test_a_final_code_fails_this_batch_only_as_not_written(code: int) -> None:
    shell = started()
    batch, other = shell.append(0), shell.append(1)
    shell.poll(after=0.005)
    [send] = shell.sent[1]
    shell.sent[1].clear()
    answer = ProduceResponse(
        responses=[
            TopicProduceResponse(
                topic_id=TOPIC_ID,
                partition_responses=[
                    PartitionProduceResponse(index=0, error_code=code, base_offset=-1),
                    PartitionProduceResponse(index=1, base_offset=3),
                ],
            )
        ]
    )
    shell.sender.on_response(1, send.request, answer, shell.now)
    shell.poll()
    assert isinstance(batch.error, BrokerError)
    assert batch.error.code == code
    assert not batch.error.possibly_written
    assert (other.base_offset, other.error) == (3, None)
    assert shell.sender.fatal_error is None


@pytest.mark.parametrize("code", [-1, 12345])
def test_a_code_that_proves_nothing_fails_the_batch_as_possibly_written(code: int) -> None:
    shell = started()
    batch = shell.send()
    shell.refuse(code)
    shell.poll()
    assert batch.error is not None
    assert batch.error.possibly_written


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (31, AuthorizationError),
        (35, UnsupportedVersionError),
        (49, BrokerError),
        (53, AuthorizationError),
        (90, BrokerError),
    ],
)
def test_a_fatal_code_stops_an_idempotent_producer(code: int, error: type) -> None:
    shell = started()
    batch, waiting = shell.send(), shell.append(1)
    shell.refuse(code)
    shell.poll()
    assert isinstance(shell.sender.fatal_error, error)
    assert batch.error is shell.sender.fatal_error
    assert waiting.error is shell.sender.fatal_error


@pytest.mark.parametrize("code", [31, 35])
def test_a_fatal_code_fails_only_the_batch_without_idempotence(code: int) -> None:
    shell = started(enable_idempotence=False)
    batch = shell.send()
    shell.refuse(code)
    shell.poll()
    assert batch.error is not None
    assert shell.sender.fatal_error is None


def test_the_brokers_own_words_are_in_the_error() -> None:
    shell = started()
    batch = shell.send()
    shell.refuse(44, message="topics of this name are read-only")
    shell.poll()
    assert "topics of this name are read-only" in str(batch.error)
    assert "'t' partition 0" in str(batch.error)


def test_log_append_time_is_passed_on() -> None:
    shell = started()
    batch = shell.send()
    shell.refuse(0, base_offset=4, log_append_time_ms=1234)
    shell.poll()
    assert batch.log_append_time_ms == 1234


def test_the_records_that_the_broker_named_get_its_words_and_the_others_are_told_they_can_be_sent_again() -> None:
    shell = started()
    batch = shell.send(records=3)
    named = [
        BatchIndexAndErrorMessage(batch_index=0, batch_index_error_message="bad key"),
        BatchIndexAndErrorMessage(batch_index=2, batch_index_error_message=None),
    ]
    shell.refuse(87, record_errors=named, message="refused")
    shell.poll()
    assert batch.record_errors is not None
    first, third = batch.record_errors[0], batch.record_errors[2]
    assert isinstance(first, InvalidRecordError)
    assert "bad key" in str(first)
    assert first.record_errors == ((0, "bad key"),)
    assert isinstance(third, InvalidRecordError)
    assert "refused" in str(third)
    assert set(batch.record_errors) == {0, 2}
    assert type(batch.error) is KafkaError
    assert batch.error.retriable
    assert not batch.error.possibly_written
    assert "not written, as the broker refused 2 other records" in str(batch.error)


def test_a_single_named_record_has_the_error_class_of_the_code() -> None:
    shell = started()
    batch = shell.send(records=2)
    shell.refuse(44, record_errors=[BatchIndexAndErrorMessage(batch_index=1, batch_index_error_message="no")])
    shell.poll()
    assert batch.record_errors is not None
    error = batch.record_errors[1]
    assert isinstance(error, BrokerError)
    assert error.name == "POLICY_VIOLATION"


def test_an_answer_about_something_else_closes_the_connection_and_the_batch_is_sent_again() -> None:
    shell = started()
    batch = shell.send()
    send = shell.sent[1].pop()
    stranger = TopicProduceResponse(topic_id=TOPIC_ID, partition_responses=[PartitionProduceResponse(index=7)])
    shell.sender.on_response(1, send.request, ProduceResponse(responses=[stranger]), shell.now)
    shell.poll()
    assert any(isinstance(e, Disconnect) and isinstance(e.error, ProtocolError) for e in shell.events)
    shell.wait_until(lambda: in_flight(shell, batch), within=0.5)


def test_a_partition_that_the_answer_leaves_out_is_sent_again() -> None:
    shell = started()
    batch = shell.send()
    shell.answer(1, ProduceResponse())
    shell.wait_until(lambda: in_flight(shell, batch), within=0.5)
    assert batch.possibly_written


def test_a_topic_made_anew_while_a_request_is_under_way_does_not_confuse_its_answer() -> None:
    shell = started()
    batch = shell.send()
    request = shell.sent[1][0]
    assert request.produce is not None
    shell.refuse(100)
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=0.5)
    assert not batch.is_done


# ── splitting ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [10, 18])
def test_a_batch_that_is_too_large_is_split_and_its_parts_have_its_numbers(code: int) -> None:
    shell = started()
    batch = shell.send(records=4)
    later = shell.send()
    shell.refuse(code)
    shell.refuse(OUT_OF_ORDER)
    shell.poll()
    assert batch.split_into is not None
    children = [child for _, child in batch.split_into]
    assert len(children) >= 2
    assert sum(child.count for child in children) == 4
    assert shell.batches() == [[children[0]]]
    for child in children:
        shell.wait_until(lambda child=child: in_flight(shell, child), within=0.5)  # type: ignore[misc]
        shell.acknowledge()
    shell.wait_until(lambda: in_flight(shell, later), within=0.5)
    sequences = [child.base_sequence for child in children]
    assert sequences[0] == 1
    assert [b - a for a, b in zip(sequences, [*sequences[1:], later.base_sequence], strict=True)] == [
        child.count for child in children
    ]
    assert [b.error for b in children] == [None] * len(children)
    assert shell.sender.statistics().batch_splits == 1
    assert batch not in shell.completed


def test_a_single_record_that_is_too_large_fails() -> None:
    shell = started()
    batch = shell.send()
    shell.refuse(MESSAGE_TOO_LARGE)
    shell.poll()
    assert isinstance(batch.error, RecordTooLargeError)


def test_parts_of_a_batch_in_doubt_are_in_doubt() -> None:
    shell = started()
    batch = shell.send(records=2)
    shell.break_connection()
    shell.wait_until(lambda: in_flight(shell, batch), within=0.5)
    shell.refuse(MESSAGE_TOO_LARGE)
    assert batch.split_into is not None
    assert all(child.possibly_written for _, child in batch.split_into)


# ── expiry ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_that_was_never_sent_says_so_and_why() -> None:
    shell = Shell(delivery_timeout_ms=40_000).start()
    shell.answers_connects = False
    error = shell.expire(shell.append())
    assert (error.attempts, error.possibly_written, error.topic, error.partition) == (0, False, "t", 0)
    assert error.elapsed == pytest.approx(40.0, abs=0.01)
    text = str(error)
    assert "never sent" in text
    assert "; not written;" in text
    assert "cannot connect to" in text
    assert "Connection refused" in text
    assert "raise delivery_timeout_ms" in text
    assert isinstance(error.__cause__, KafkaConnectionError)
    assert shell.sender.statistics().producer_epoch_bumps == 0


def test_a_batch_expires_in_flight_on_time_as_possibly_written() -> None:
    shell = started(delivery_timeout_ms=35_000, request_timeout_ms=30_000, retries=5)
    batch = shell.send()
    shell.refuse(7)
    shell.wait_until(lambda: batch.is_done, within=35.1)
    error = batch.error
    assert isinstance(error, DeliveryTimeoutError)
    assert shell.now - batch.created_at == pytest.approx(35.0, abs=0.01)
    assert error.possibly_written
    assert error.node == 1
    assert error.attempts >= 2
    assert isinstance(error.__cause__, RequestTimeoutError)  # the second attempt's, the third was in flight


def test_a_batch_that_was_refused_and_expires_is_told_as_not_written() -> None:
    shell = started(delivery_timeout_ms=30_005)
    batch = shell.send()
    while not batch.is_done:
        if in_flight(shell, batch):
            shell.refuse(NOT_ENOUGH_REPLICAS)
        shell.wait_until(lambda: batch.is_done or in_flight(shell, batch), within=30.1)
    assert isinstance(batch.error, DeliveryTimeoutError)
    assert not batch.error.possibly_written
    assert stamp(shell.send()) == (1, 0)


def expire_in_flight(shell: Shell, batch: ProducerBatch) -> None:
    """Let the batch expire while its request has no answer: throttling stretches the request's own limit."""
    batch.created_at -= 200.0
    shell.poll()
    assert isinstance(batch.error, DeliveryTimeoutError)


def test_memory_of_a_batch_that_expired_in_flight_is_kept_until_its_answer_and_freed_once() -> None:
    shell = started()
    free = shell.accumulator.statistics().buffer_available_bytes
    batch = shell.send()
    expire_in_flight(shell, batch)
    assert shell.accumulator.statistics().buffer_available_bytes < free
    shell.acknowledge()
    assert shell.accumulator.statistics().buffer_available_bytes == free
    shell.break_connection()
    assert shell.accumulator.statistics().buffer_available_bytes == free


def test_memory_of_a_batch_that_expired_in_flight_is_freed_when_the_connection_is_lost() -> None:
    shell = started()
    free = shell.accumulator.statistics().buffer_available_bytes
    expire_in_flight(shell, shell.send())
    shell.break_connection()
    assert shell.accumulator.statistics().buffer_available_bytes == free


@pytest.mark.parametrize("code", [0, 6, 10, 42, 45, 46])
def test_a_late_answer_changes_nothing_for_an_expired_batch(code: int) -> None:
    shell = started()
    batch = shell.send(records=2)
    expire_in_flight(shell, batch)
    error = batch.error
    shell.refuse(code)
    shell.poll()
    assert batch.error is error
    assert batch.split_into is None
    assert shell.completed == [batch]
    assert not in_flight(shell, batch)
    assert shell.sender.statistics().late_deliveries == (code in {0, 46})


def test_after_a_first_flight_expiry_the_next_batch_begins_a_new_epoch() -> None:
    shell = started()
    expire_in_flight(shell, shell.send())
    after = shell.send()
    assert in_flight(shell, after)
    assert stamp(after) == (1, 0)


def test_an_expired_batch_followed_by_a_success_was_written_after_all() -> None:
    shell = started()
    first, second = shell.send(), shell.send()
    expire_in_flight(shell, first)
    third = shell.send()
    assert not in_flight(shell, third)
    shell.acknowledge()  # late, of the first
    shell.acknowledge()
    shell.poll()
    assert second.error is None
    assert in_flight(shell, third)
    assert stamp(third) == (0, 3)


def test_an_expired_batch_followed_by_out_of_order_was_not_written() -> None:
    shell = started()
    first, second = shell.send(), shell.send()
    expire_in_flight(shell, first)
    shell.break_connection()  # also of the second, which is in doubt now
    shell.wait_until(lambda: in_flight(shell, second), within=0.5)
    shell.refuse(OUT_OF_ORDER)
    shell.poll()
    assert second.error is not None
    assert second.error.possibly_written


def test_partitions_expire_on_their_own() -> None:
    shell = started()
    first, second = shell.append(0), shell.append(1)
    shell.poll(after=0.005)
    expire_in_flight(shell, first)
    assert second.error is None


def test_with_one_in_flight_the_partition_waits_for_the_answer_to_an_expired_batch() -> None:
    shell = started(max_in_flight_requests_per_connection=1, enable_idempotence=False)
    shell.brokers = (1, 2)
    batch = shell.send()
    expire_in_flight(shell, batch)
    after = shell.send()
    assert not in_flight(shell, after)
    shell.acknowledge()
    shell.poll()
    assert in_flight(shell, after)


# ── what may have been written ───────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_counts_as_possibly_written_from_the_send_effect_on() -> None:
    shell = started()
    batch = shell.append()
    assert not batch.possibly_written
    shell.now += 0.005
    shell.sender.poll(shell.now)
    assert batch.possibly_written


def test_a_refusal_takes_back_the_doubt_of_its_own_attempt_only() -> None:
    shell = started()
    batch = shell.send()
    shell.refuse(NOT_ENOUGH_REPLICAS)
    assert not batch.possibly_written
    shell.wait_until(lambda: in_flight(shell, batch), within=0.5)
    shell.break_connection()
    assert batch.possibly_written
    shell.wait_until(lambda: in_flight(shell, batch), within=0.5)
    shell.refuse(NOT_ENOUGH_REPLICAS)
    assert batch.possibly_written


def test_an_offset_that_no_log_has_costs_the_connection() -> None:
    shell = started()
    batch = shell.send(records=3)
    shell.refuse(0, base_offset=2**63 - 3)
    effects = shell.poll()
    assert any(isinstance(each, Disconnect) and "no log is that long" in str(each.error) for each in effects)
    assert not batch.is_done
