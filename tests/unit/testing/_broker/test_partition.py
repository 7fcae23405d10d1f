"""A leader appends what is right and answers the rest as Kafka does."""

from __future__ import annotations

import pytest

from aioproducer._records.compression import Codec
from aioproducer._records.decode import decode_batch, read_header
from aioproducer._records.encode import with_new_crc
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.configs import parse
from aioproducer.testing._broker.partition import NO_LEADER, Partition
from aioproducer.testing._broker.requests import Refused
from tests.unit.testing._broker.helpers import TIMESTAMP, batch

NOW = TIMESTAMP
PRODUCER_ID_OFFSET = 43
BASE_SEQUENCE_OFFSET = 53


def patched(data: bytes, offset: int, new: bytes) -> bytes:
    return with_new_crc(bytearray(data[:offset] + new + data[offset + len(new) :]))


def partition(**settings: str) -> Partition:
    config = parse({name.replace("_", "."): value for name, value in settings.items()})
    return Partition("orders", 0, [0, 1], config, leader=0, leader_epoch=3, isr=[0, 1])


def refused(target: Partition, data: bytes) -> Refused:
    with pytest.raises(Refused) as raised:
        target.append(data, NOW, None)
    assert target.log.end_offset == 0
    return raised.value


def test_batch_gets_its_offset_and_the_leaders_epoch() -> None:
    target = partition()
    target.append(batch([b"0", b"1"]), NOW, None)
    appended = target.append(batch([b"2"]), NOW, None)
    assert (appended.base_offset, appended.log_append_time_ms, appended.log_start_offset) == (2, -1, 0)
    stored = decode_batch(target.log.batches[1].data)
    assert (stored.header.base_offset, stored.header.partition_leader_epoch) == (2, 3)
    assert (stored.records[0].value, stored.records[0].timestamp_ms) == (b"2", TIMESTAMP)
    assert target.high_watermark == 3


def test_log_append_time_replaces_the_timestamps() -> None:
    target = partition(message_timestamp_type="LogAppendTime")
    appended = target.append(batch(), NOW + 77, None)
    assert appended.log_append_time_ms == NOW + 77
    assert decode_batch(target.log.batches[0].data).records[0].timestamp_ms == NOW + 77


def test_duplicate_gets_the_first_answer_again() -> None:
    target = partition()
    data = batch(producer_id=7, epoch=0, sequence=0)
    first = target.append(data, NOW, None)
    target.append(batch(producer_id=7, epoch=0, sequence=1), NOW, None)
    again = target.append(data, NOW + 1000, None)
    assert (again.base_offset, again.is_duplicate) == (first.base_offset, True)
    assert again.log_append_time_ms == TIMESTAMP
    assert target.log.end_offset == 2


def test_producer_is_forgotten_a_day_after_its_last_batch() -> None:
    target = partition()
    day_ms = target.producer_id_expiration_ms
    target.append(batch(producer_id=7, epoch=0, sequence=0), NOW, None)
    with pytest.raises(Refused):
        target.append(batch(producer_id=7, epoch=0, sequence=5), NOW + day_ms - 1, None)
    target.append(batch(producer_id=7, epoch=0, sequence=5), NOW + day_ms, None)
    assert target.log.end_offset == 2


@pytest.mark.parametrize("codec", Codec)
def test_every_codec_is_stored_as_it_came(codec: Codec) -> None:
    target = partition()
    target.append(batch([b"a" * 100] * 9, codec=codec), NOW, None)
    assert [record.value for record in decode_batch(target.log.batches[0].data).records] == [b"a" * 100] * 9


def test_flipped_bit_is_corrupt() -> None:
    data = bytearray(batch())
    data[-1] ^= 1
    assert refused(partition(), bytes(data)).code is ErrorCode.CORRUPT_MESSAGE


def test_truncated_batch_is_corrupt_or_invalid() -> None:
    assert refused(partition(), batch()[:20]).code is ErrorCode.CORRUPT_MESSAGE
    assert refused(partition(), batch()[:-1]).code is ErrorCode.INVALID_RECORD


def test_two_batches_are_invalid() -> None:
    assert refused(partition(), batch() + batch()).code is ErrorCode.INVALID_RECORD


def test_base_offset_must_be_zero() -> None:
    data = (1).to_bytes(8, "big") + batch()[8:]
    assert refused(partition(), data).code is ErrorCode.INVALID_RECORD


def test_producer_id_needs_a_sequence() -> None:
    data = patched(batch(producer_id=7, epoch=0, sequence=0), BASE_SEQUENCE_OFFSET, b"\xff" * 4)
    assert refused(partition(), data).code is ErrorCode.INVALID_RECORD


def test_transactional_batch_needs_a_producer_id() -> None:
    data = batch(producer_id=7, epoch=0, sequence=0, transactional=True)
    assert refused(partition(), patched(data, PRODUCER_ID_OFFSET, b"\xff" * 14)).code is ErrorCode.INVALID_RECORD


def test_batch_above_max_message_bytes_is_too_large() -> None:
    data = batch()
    assert refused(partition(max_message_bytes=str(len(data) - 1)), data).code is ErrorCode.MESSAGE_TOO_LARGE
    partition(max_message_bytes=str(len(data))).append(data, NOW, None)


def test_compacted_topic_names_the_records_without_a_key() -> None:
    target = partition(cleanup_policy="compact")
    refusal = refused(target, batch([b"0", b"1", b"2"], keys=[b"k", None, b"k"]))
    assert refusal.code is ErrorCode.INVALID_RECORD
    assert [index for index, _ in refusal.record_errors] == [1]
    target.append(batch([b"0"], keys=[b"k"]), NOW, None)


def test_future_timestamps_are_refused_by_record() -> None:
    hour = 3_600_000
    refusal = refused(partition(), batch([b"0", b"1"], timestamps=[NOW, NOW + hour + 1]))
    assert refusal.code is ErrorCode.INVALID_TIMESTAMP
    assert [index for index, _ in refusal.record_errors] == [1]
    partition().append(batch(timestamps=[NOW + hour]), NOW, None)


def test_old_timestamps_are_refused_when_the_topic_says_so() -> None:
    refusal = refused(partition(message_timestamp_before_max_ms="1000"), batch(timestamps=[NOW - 1001]))
    assert refusal.code is ErrorCode.INVALID_TIMESTAMP
    partition().append(batch(timestamps=[0]), NOW, None)


def test_new_leader_lacks_what_was_not_replicated() -> None:
    target = partition()
    target.append(batch(producer_id=7, epoch=0, sequence=0), NOW, None)
    target.replication_held = True
    target.append(batch(producer_id=7, epoch=0, sequence=1), NOW, None)
    assert (target.high_watermark, target.log.end_offset) == (1, 2)
    target.elect(1)
    assert (target.leader, target.leader_epoch, target.log.end_offset) == (1, 4, 1)
    # Its producer state is that of what it has.
    target.append(batch(producer_id=7, epoch=0, sequence=1), NOW, None)


def test_released_replication_catches_up() -> None:
    target = partition()
    target.replication_held = True
    target.append(batch(), NOW, None)
    target.release_replication()
    assert target.high_watermark == 1


def test_same_leader_again_is_no_new_epoch() -> None:
    target = partition()
    target.elect(0)
    assert target.leader_epoch == 3
    target.elect(NO_LEADER)
    assert (target.leader, target.leader_epoch) == (NO_LEADER, 4)


@pytest.mark.parametrize(("isr", "minimum", "enough"), [([0], "2", False), ([0, 1], "2", True), ([0, 1], "3", True)])
def test_enough_replicas(isr: list[int], minimum: str, enough: bool) -> None:
    target = partition(min_insync_replicas=minimum)
    target.isr = isr
    assert target.has_enough_replicas is enough


@pytest.mark.parametrize("commit", [True, False])
def test_marker_ends_a_transaction(commit: bool) -> None:
    target = partition()
    target.append(batch(producer_id=7, epoch=0, sequence=0, transactional=True), NOW, None)
    assert (target.last_stable_offset, target.high_watermark) == (0, 1)
    target.append_marker(7, 0, commit=commit, coordinator_epoch=0, wall_ms=NOW)
    assert target.last_stable_offset == 2
    assert read_header(target.log.batches[1].data).is_control
    assert [(each.first_offset, each.last_offset) for each in target.log.aborted] == ([] if commit else [(0, 1)])


def test_retention_moves_the_start_of_the_log() -> None:
    size = len(batch())
    target = partition(retention_bytes=str(2 * size))
    answers = [target.append(batch(), NOW, None).log_start_offset for _ in range(4)]
    assert answers == [0, 0, 1, 2]
