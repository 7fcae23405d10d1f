"""How a batch that is too large is cut."""

from __future__ import annotations

import random

import pytest

from aioproducer._core.accumulator.batch import BatchEvent, BatchState, ProducerBatch
from aioproducer._core.accumulator.splitting import split_batch, split_factor
from aioproducer.errors import KafkaError


def in_flight(*values: bytes) -> ProducerBatch:
    """Return a batch in flight, charged as the accumulator does."""
    batch = ProducerBatch("t", 3, 1.0, flush_epoch=4)
    for value in values:
        batch.append(1000, None, value, None, batch.next_record_size(1000, None, value, None))
        batch.charged += 1000 + len(value)
    batch.apply(BatchEvent.SEAL)
    batch.apply(BatchEvent.DRAIN)
    return batch


def test_the_first_split_aims_at_batch_size() -> None:
    parts = split_batch(in_flight(*[b"v" * 100] * 40), 1000, 1.0)
    assert [part.count for part in parts] == [8] * 5
    assert all(part.size <= 1000 for part in parts)


def test_a_batch_no_larger_than_batch_size_is_halved_at_once() -> None:
    assert [part.count for part in split_batch(in_flight(*[b"v" * 100] * 40), 100_000, 1.0)] == [20, 20]


def test_a_split_batch_is_halved_even_if_batch_size_is_less() -> None:
    batch = in_flight(*[b"v" * 100] * 40)
    batch.is_split = True
    assert [part.count for part in split_batch(batch, 1000, 1.0)] == [20, 20]


def test_what_was_split_is_halved_until_single_records_are_left() -> None:
    batches = [in_flight(*[b"v" * 100] * 16)]
    counts: list[list[int]] = []
    while any(batch.count > 1 for batch in batches):
        parts: list[ProducerBatch] = []
        for batch in batches:
            if batch.state is BatchState.SEALED:
                batch.apply(BatchEvent.DRAIN)
            parts += split_batch(batch, 16_384, 1.0)
        batches = parts
        counts.append([batch.count for batch in batches])
    assert counts == [[8, 8], [4] * 4, [2] * 8, [1] * 16]


@pytest.mark.parametrize("values", [(b"x" * 5000, b""), (b"", b"x" * 5000), (b"x" * 5000, b"", b"", b"")])
def test_a_large_record_is_parted_from_tiny_ones_that_would_fit_beside_it(values: tuple[bytes, ...]) -> None:
    batch = in_flight(*values)
    batch.is_split = True
    parts = split_batch(batch, 100, 1.0)
    assert len(parts) >= 2
    assert [value for part in parts for value in part.values] == list(values)


@pytest.mark.parametrize("seed", range(30))
def test_every_split_makes_progress_and_loses_nothing(seed: int) -> None:
    rng = random.Random(seed)
    values = [bytes([i]) * rng.choice([0, 1, 50, 500, 5000]) for i in range(rng.randrange(2, 40))]
    batch = in_flight(*values)
    batch.is_split = rng.random() < 0.5
    charged = batch.charged = 10_000_000
    parts = split_batch(batch, rng.choice([0, 1, 100, 1000, 10**6]), split_factor(rng.random(), is_compressing=True))
    assert len(parts) >= 2
    assert [value for part in parts for value in part.values] == values
    assert sum(part.charged for part in parts) == charged
    assert all(part.charged > 0 for part in parts)


def test_parts_inherit_what_belongs_to_the_records_and_begin_anew_otherwise() -> None:
    batch = in_flight(b"a", b"b", b"c", b"d")
    batch.attempts = 3
    first, second = split_batch(batch, 10**6, 1.0)
    for part in (first, second):
        assert (part.topic, part.partition, part.created_at, part.flush_epoch) == ("t", 3, 1.0, 4)
        assert (part.attempts, part.is_split, part.state) == (0, True, BatchState.SEALED)


def test_parts_have_nothing_of_the_attempts_which_are_for_the_caller_to_give() -> None:
    batch = in_flight(b"a", b"b")
    batch.producer_id, batch.producer_epoch, batch.base_sequence = 7, 2, 5
    batch.possibly_written, batch.last_error, batch.last_node = True, KafkaError("too large"), 1
    for part in split_batch(batch, 10**6, 1.0):
        assert (part.producer_id, part.producer_epoch, part.base_sequence) == (-1, -1, -1)
        assert (part.possibly_written, part.last_error, part.last_node) == (False, None, None)


def test_waiters_and_callbacks_go_with_their_records() -> None:
    batch = in_flight(b"a", b"b", b"c", b"d")
    batch.waiters = [(3, "w3"), (0, "w0"), (2, "w2")]
    batch.callbacks = [(1, "c1")]
    first, second = split_batch(batch, 10**6, 1.0)
    assert (first.waiters, second.waiters) == ([(0, "w0")], [(1, "w3"), (0, "w2")])
    assert (first.callbacks, second.callbacks) == ([(1, "c1")], None)
    assert [batch.waiters, batch.callbacks] == [None, None]


def test_a_split_batch_keeps_its_count_and_no_payload() -> None:
    batch = in_flight(b"a", b"b")
    split_batch(batch, 10**6, 1.0)
    assert (batch.count, batch.values, batch.charged, batch.state) == (2, [], 0, BatchState.DONE)


def test_the_factor_for_parts_is_never_hopeful() -> None:
    assert split_factor(0.2, is_compressing=True) == pytest.approx(1.05)
    assert split_factor(1.4, is_compressing=True) == pytest.approx(1.47)
    assert split_factor(0.2, is_compressing=False) == 1.0
