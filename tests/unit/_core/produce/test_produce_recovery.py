"""What becomes of batches when the broker's state, or ours, is lost: longer stories than in test_produce.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._core.produce.sequences import MAX_PRODUCER_EPOCH
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer._wire.messages.metadata import MetadataRequest
from aioproducer._wire.messages.produce import PartitionProduceResponse, ProduceResponse, TopicProduceResponse
from aioproducer.errors import AuthorizationError, DeliveryTimeoutError, KafkaError, ProducerClosedError
from tests.unit._core.harness import TOPIC_ID, Shell, topic_answer

if TYPE_CHECKING:
    from aioproducer._core.accumulator.accumulator import PendingAppend
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.effects import Send

REQUEST_TIMED_OUT = 7
NOT_ENOUGH_REPLICAS = 19
NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20
TOPIC_AUTHORIZATION_FAILED = 29
CLUSTER_AUTHORIZATION_FAILED = 31
INVALID_REQUEST = 42
OUT_OF_ORDER = 45
DUPLICATE_SEQUENCE_NUMBER = 46
UNKNOWN_PRODUCER_ID = 59


def started(epoch: int = 0, *, partitions: int = 1) -> Shell:
    """Return a shell with topic "t" on broker 1, of which each partition has an acknowledged batch."""
    shell = Shell()
    shell.accumulator.wait_for_topic("t", shell.now, shell.now + 60)
    shell.poll()
    shell.answer_metadata(topic_answer(leaders=(1,) * partitions))
    shell.answer_init(epoch=epoch)
    shell.poll()
    for partition in range(partitions):
        shell.send(partition)
        shell.acknowledge()
    shell.poll()
    shell.completed.clear()
    return shell


def in_flight(shell: Shell, batch: ProducerBatch) -> bool:
    return any(batch in batches for batches in shell.batches())


def stamp(batch: ProducerBatch) -> tuple[int, int, int]:
    return batch.producer_id, batch.producer_epoch, batch.base_sequence


@pytest.mark.parametrize("code", [REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS_AFTER_APPEND])
@pytest.mark.parametrize("times", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("last", [0, DUPLICATE_SEQUENCE_NUMBER])
def test_answers_that_doubt_the_write_many_times_end_in_one_record(code: int, times: int, last: int) -> None:
    shell = started()
    batch = shell.send(records=2)
    before = stamp(batch)
    for _ in range(times):
        shell.refuse(code)
        assert batch.possibly_written
        shell.wait_until(lambda: in_flight(shell, batch), within=1.5)
        assert stamp(batch) == before
    shell.refuse(NOT_ENOUGH_REPLICAS)  # of the last attempt it says that nothing was written, of those before nothing
    assert batch.possibly_written
    shell.wait_until(lambda: in_flight(shell, batch), within=1.5)
    shell.refuse(last, base_offset=7 if last == 0 else -1)
    shell.poll()
    assert (batch.error, batch.base_offset) == (None, 7 if last == 0 else -1)
    assert shell.sender.statistics().producer_epoch_bumps == 0
    assert stamp(shell.send()) == (7, 0, 3)


def test_followers_of_a_batch_whose_state_was_lost_are_numbered_anew_once() -> None:
    shell = started()
    batches = [shell.send() for _ in range(3)]
    shell.refuse(UNKNOWN_PRODUCER_ID, log_start_offset=10)
    shell.refuse(UNKNOWN_PRODUCER_ID, log_start_offset=10)
    shell.refuse(OUT_OF_ORDER)
    for batch in batches:
        shell.wait_until(lambda batch=batch: shell.batches() == [[batch]], within=0.5)  # type: ignore[misc]
        shell.acknowledge()
        shell.poll()
    assert [stamp(batch) for batch in batches] == [(7, 1, 0), (7, 1, 1), (7, 1, 2)]
    assert shell.completed == batches
    assert shell.sender.statistics().producer_epoch_bumps == 1


def test_batches_of_the_old_producer_id_are_still_retried_while_a_new_one_is_fetched() -> None:
    shell = started(MAX_PRODUCER_EPOCH, partitions=2)
    failing, other = shell.append(0), shell.append(1)
    shell.poll(after=0.005)
    send = shell.sent[1].pop()
    answer = ProduceResponse(
        responses=[
            TopicProduceResponse(
                topic_id=TOPIC_ID,
                partition_responses=[
                    PartitionProduceResponse(index=0, error_code=INVALID_REQUEST, base_offset=-1),
                    PartitionProduceResponse(index=1, error_code=REQUEST_TIMED_OUT, base_offset=-1),
                ],
            )
        ]
    )
    shell.sender.on_response(1, send.request, answer, shell.now)
    new = shell.send(0)
    assert failing.error is not None
    assert not in_flight(shell, new)
    shell.answer_init(producer_id=8)
    shell.wait_until(lambda: in_flight(shell, other), within=0.5)
    assert stamp(other) == (7, MAX_PRODUCER_EPOCH, 1)
    assert stamp(new) == (8, 0, 0)
    while shell.batches():
        shell.acknowledge()
    shell.poll()
    assert (other.error, new.error) == (None, None)
    assert stamp(shell.send(1)) == (8, 0, 0)


def test_a_forced_end_during_a_change_of_the_producer_id_fails_everything_at_once() -> None:
    shell = started(MAX_PRODUCER_EPOCH)
    shell.send()
    shell.refuse(INVALID_REQUEST)
    waiting = shell.send()
    assert shell.has_request(InitProducerIdRequest)
    closed = ProducerClosedError("closed")
    shell.sender.begin_close(shell.now)
    shell.sender.abort(closed, shell.now)
    shell.poll()
    assert isinstance(waiting.error, ProducerClosedError)
    assert not waiting.error.possibly_written
    assert shell.completed[-1] is waiting
    assert shell.sender.is_drained


def test_a_good_answer_after_a_fatal_error_changes_nothing() -> None:
    shell = started(partitions=2)
    first, second = shell.send(0), shell.send(1)
    late = shell.sent[1][1]
    shell.refuse(CLUSTER_AUTHORIZATION_FAILED)
    answer = ProduceResponse(
        responses=[
            TopicProduceResponse(
                topic_id=TOPIC_ID, partition_responses=[PartitionProduceResponse(index=1, base_offset=5)]
            )
        ]
    )
    shell.sender.poll(shell.now)
    shell.sender.on_response(1, late.request, answer, shell.now)
    shell.poll()
    assert isinstance(shell.sender.fatal_error, AuthorizationError)
    assert isinstance(first.error, AuthorizationError)
    assert isinstance(second.error, AuthorizationError)
    assert not first.error.possibly_written
    assert second.error.possibly_written  # as it was: the answer said so, too late
    statistics = shell.accumulator.statistics()
    assert statistics.buffer_available_bytes == statistics.buffer_total_bytes


@pytest.mark.parametrize("is_expired", [False, True])
def test_in_strict_order_the_new_leader_waits_for_the_answer_of_the_old_one(is_expired: bool) -> None:
    shell = Shell(brokers=(1, 2), max_in_flight_requests_per_connection=1, enable_idempotence=False).start()
    first = shell.send()
    shell.accumulator.wait_for_topic("new", shell.now, shell.now + 60)
    shell.poll(after=1.0)
    shell.answer_metadata(topic_answer("new"), topic_answer(leaders=(2,), epoch=1))
    second = shell.send()
    assert (shell.batches(1), shell.batches(2)) == ([[first]], [])
    if is_expired:
        first.created_at -= 200.0
        shell.poll()
        assert isinstance(first.error, DeliveryTimeoutError)
        assert shell.batches(2) == []
    shell.acknowledge(1)
    shell.poll()
    assert shell.batches(2) == [[second]]
    assert (first.error is None) is not is_expired


def test_after_an_expiry_nothing_is_due_at_once() -> None:
    shell = started()
    batch = shell.send()
    batch.created_at -= 200.0  # throttling stretches the limit of a request, so that a batch may expire in flight
    shell.poll()
    assert isinstance(batch.error, DeliveryTimeoutError)
    due = shell.sender.deadline(shell.now)
    assert due is not None
    assert due - shell.now > 0.4  # when the broker's silence would show
    polls = 0
    while shell.sent.get(1):  # until the request's own limit
        due = shell.sender.deadline(shell.now)
        assert due is not None
        shell.now = max(due, shell.now)
        shell.poll()
        polls += 1
    assert polls <= 3


def test_a_permission_taken_away_fails_records_until_it_is_back() -> None:
    shell = started()
    refused = shell.send()
    shell.refuse(TOPIC_AUTHORIZATION_FAILED)
    shell.poll()
    assert isinstance(refused.error, AuthorizationError)
    assert not refused.error.possibly_written
    after = shell.send()
    assert shell.sender.fatal_error is None
    shell.acknowledge()
    shell.poll()
    assert after.error is None


@pytest.mark.parametrize("code", [TOPIC_AUTHORIZATION_FAILED, 17])
def test_a_known_topic_that_metadata_refuses_is_asked_for_at_its_next_use(code: int) -> None:
    shell = started()
    shell.poll(after=300.0)  # the metadata is old
    shell.answer_metadata(topic_answer(leaders=(), error=code))
    shell.poll()
    entries: list[PendingAppend] = []
    for answer in (topic_answer(leaders=(), error=code), topic_answer()):
        entry = shell.accumulator.enqueue("t", 0, None, b"v", (), 1, shell.now, shell.now + 60.0, accepted=True)
        shell.poll(after=1.0)
        shell.answer_metadata(answer)
        shell.poll(after=0.005)
        entries.append(entry)
    assert isinstance(entries[0].error, KafkaError)
    assert entries[0].error.code == code
    assert entries[1].error is None
    assert len(shell.batches()) == 1


def test_queued_records_outlive_a_refusal_of_the_metadata() -> None:
    shell = started()
    shell.poll(after=300.0)
    assert shell.has_request(MetadataRequest)
    batch = shell.append()
    shell.answer_metadata(topic_answer(leaders=(), error=TOPIC_AUTHORIZATION_FAILED))
    shell.poll()
    start = shell.now
    while not batch.is_done:
        if shell.has_request(MetadataRequest):
            shell.answer_metadata(topic_answer())
            shell.poll()
        if shell.batches():
            shell.acknowledge()
            shell.poll()
            break
        due = shell.sender.deadline(shell.now)
        assert due is not None
        assert due - start < 130.0
        shell.now = max(due, shell.now)
        shell.poll()
    assert batch.error is None
    assert shell.now - start < 5.0


def test_a_topic_that_the_cluster_calls_invalid_fails_each_time_and_others_go_on() -> None:
    shell = started()
    errors: list[object] = []
    for _ in range(2):
        waiting = shell.accumulator.wait_for_topic("bad", shell.now, shell.now + 60)
        shell.poll(after=1.0)
        if shell.has_request(MetadataRequest):
            shell.answer_metadata(topic_answer("bad", (), error=17))
            shell.poll()
        errors.append(waiting.error)
    assert [type(error).__name__ for error in errors] == ["InvalidTopicError"] * 2
    other = shell.send()
    shell.acknowledge()
    shell.poll()
    assert other.error is None


def test_records_wait_while_their_topic_is_unknown_for_a_while() -> None:
    shell = started()
    shell.send()
    shell.refuse(3)  # UNKNOWN_TOPIC_OR_PARTITION: the broker has just restarted, say
    batch = shell.append()
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=0.5)
    shell.answer_metadata(topic_answer(leaders=(), error=3))
    shell.poll()
    assert not batch.is_done
    shell.wait_until(lambda: shell.has_request(MetadataRequest) or in_flight(shell, batch), within=2.0)
    for _ in range(20):
        for sends in list(shell.sent.values()):
            for send in list(sends):
                _answer(shell, send)
        if batch.is_done:
            break
        due = shell.sender.deadline(shell.now)
        assert due is not None
        shell.now = max(due, shell.now)
        shell.poll()
    assert (batch.is_done, batch.error) == (True, None)
    assert [each.error for each in shell.completed] == [None, None]


def _answer(shell: Shell, send: Send) -> None:
    if isinstance(send.message, MetadataRequest):
        shell.answer_metadata(topic_answer())
    elif send.produce is not None:
        shell.acknowledge()
    shell.poll()
