"""ProducerBatch: columns, sizes, states."""

from __future__ import annotations

import random

import pytest

from aioproducer._core.accumulator.batch import (
    MAX_SEQUENCE,
    TRANSITIONS,
    BatchEvent,
    BatchState,
    ProducerBatch,
    sequence_after,
    sequence_distance,
)
from aioproducer._records.encode import encode_records
from aioproducer._records.record_headers import NO_HEADERS, encode_headers
from aioproducer.errors import KafkaError


def filled(*values: bytes | None) -> ProducerBatch:
    batch = ProducerBatch("t", 0, 0.0)
    for value in values:
        batch.append(1000, None, value, None, batch.next_record_size(1000, None, value, None))
    return batch


def test_a_new_batch_has_the_size_of_its_header() -> None:
    batch = ProducerBatch("t", 3, 1.5)
    assert (batch.size, batch.count, batch.state) == (61, 0, BatchState.OPEN)


def test_size_is_exactly_that_of_the_encoded_records() -> None:
    rng = random.Random(7)
    batch = ProducerBatch("t", 0, 0.0)
    for _ in range(300):
        timestamp = 1_700_000_000_000 + rng.randrange(-20_000, 20_000)
        key = rng.choice([None, b"", b"k" * rng.randrange(100)])
        value = rng.choice([None, b"", b"v" * rng.randrange(9000)])
        headers = rng.choice([None, encode_headers((("h", b"x"), ("é", None)))])
        batch.append(timestamp, key, value, headers, batch.next_record_size(timestamp, key, value, headers))
    encoded = encode_records(batch.timestamps, batch.keys, batch.values, batch.headers)
    assert batch.size == 61 + len(encoded)


def test_columns_of_keys_and_headers_are_made_when_the_first_comes() -> None:
    batch = filled(b"a", b"b")
    assert (batch.keys, batch.headers) == (None, None)
    batch.append(1000, b"k", b"c", b"headers", 10)
    batch.append(1000, None, b"d", None, 10)
    assert batch.keys == [None, None, b"k", None]
    assert batch.headers == [NO_HEADERS, NO_HEADERS, b"headers", NO_HEADERS]


def test_the_first_record_always_has_room_and_the_limit_holds_after_it() -> None:
    batch = ProducerBatch("t", 0, 0.0, limit=100)
    assert batch.has_room(1000)
    batch.append(0, None, b"v", None, 30)
    assert batch.has_room(9)
    assert not batch.has_room(10)


def test_a_new_record_counts_uncompressed_and_the_others_compressed() -> None:
    batch = ProducerBatch("t", 0, 0.0, limit=261, size_factor=0.5)  # 100 bytes on the wire beside the header
    batch.append(0, None, b"v", None, 100)  # 50 on the wire
    assert batch.has_room(50)
    assert not batch.has_room(51)
    assert batch.estimated_size == 61 + 50


def test_an_encoded_batch_has_the_size_of_its_bytes() -> None:
    batch = filled(b"v" * 100)
    batch.encoded = b"x" * 77
    assert batch.estimated_size == 77


def test_dropping_the_payload_keeps_timestamps_and_count() -> None:
    batch = filled(b"a", b"b")
    batch.encoded = b"x"
    batch.drop_payload()
    assert not batch.values
    assert [batch.keys, batch.headers, batch.encoded] == [None] * 3
    assert (batch.timestamps, batch.count) == ([1000, 1000], 2)


@pytest.mark.parametrize("state", BatchState)
@pytest.mark.parametrize("event", BatchEvent)
def test_a_batch_moves_as_the_table_says_and_in_no_other_way(state: BatchState, event: BatchEvent) -> None:
    batch = ProducerBatch("t", 0, 0.0)
    batch.state = state
    expected = TRANSITIONS.get((state, event))
    if expected is None:
        with pytest.raises(RuntimeError, match=event.name):
            batch.apply(event)
        assert batch.state is state
    else:
        batch.apply(event)
        assert batch.state is expected


def test_nothing_leaves_the_state_done() -> None:
    assert not [key for key in TRANSITIONS if key[0] is BatchState.DONE]


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [(0, 0, 0), (0, 5, 5), (5, 0, -5), (2**31 - 1, 0, 1), (0, 2**31 - 1, -1), (2**31 - 3, 4, 7), (4, 2**31 - 3, -7)],
)
def test_sequences_are_compared_across_their_wrap(first: int, second: int, distance: int) -> None:
    assert sequence_distance(first, second) == distance


def test_repr_shows_no_payload() -> None:
    assert "secret" not in repr(filled(b"secret"))


def test_an_outcome_is_set_once_and_drops_the_payload() -> None:
    batch = ProducerBatch("t", 0, 0.0)
    batch.append(1, b"k", b"v", None, 10)
    batch.apply(BatchEvent.SEAL)
    batch.complete(7, -1)
    assert (batch.base_offset, batch.plain_base_offset, batch.error, batch.values) == (7, 7, None, [])
    with pytest.raises(RuntimeError):
        batch.fail(KafkaError("late"))
    assert batch.error is None


def test_sequences_wrap_after_the_largest() -> None:
    assert sequence_after(MAX_SEQUENCE, 1) == 0
    assert sequence_after(MAX_SEQUENCE - 1, 3) == 1
    assert sequence_distance(MAX_SEQUENCE, 1) == 2
    assert sequence_distance(1, MAX_SEQUENCE) == -2
