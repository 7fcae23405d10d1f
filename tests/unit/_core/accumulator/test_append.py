"""How records get into batches: limits, charges, sticky partitions, partitioners."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from aioproducer._core.accumulator.append import full_size
from aioproducer._core.accumulator.batch import BatchState
from aioproducer._hashing import IS_COMPILED, murmur2
from aioproducer._records.encode import encode_records
from aioproducer._records.record_headers import NO_HEADERS, encode_headers
from aioproducer._records.sizes import headers_size, record_upper_bound
from aioproducer.errors import RecordTooLargeError
from tests.unit._core.accumulators import (
    TIMESTAMP,
    accumulator,
    append,
    charge_of,
    cluster,
    drain,
    enqueue,
    free,
)

if TYPE_CHECKING:
    from typing import Unpack

    from aioproducer._config import ProducerSettings
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._types import Headers, TopicView

# ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_records_of_a_partition_share_a_batch_until_it_is_full() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=1000)
    batches = [append(accumulate, value=b"v" * 100) for _ in range(20)]
    first = [batch for batch in batches if batch is batches[0]]
    assert len(first) == 8  # 61 + 8 * 109 = 933; a ninth does not fit
    assert batches[0].size == 61 + len(encode_records(*columns(batches[0])))
    assert batches[0].size <= 1000
    assert [batch.state for batch in dict.fromkeys(batches)] == [BatchState.SEALED, BatchState.SEALED, BatchState.OPEN]


def columns(
    batch: ProducerBatch,
) -> tuple[list[int], list[bytes | None] | None, list[bytes | None], list[bytes] | None]:
    return batch.timestamps, batch.keys, batch.values, batch.headers


def test_the_short_way_and_the_long_way_count_the_same_bytes() -> None:
    rng = random.Random(11)
    accumulate = accumulator({"t": [0]}, batch_size=100_000)
    for _ in range(3000):
        value = b"v" * rng.choice([0, 1, 57, 58, 62, 63, 64, 65, 100, 8159, 8160, 8161, 9000])
        timestamp = TIMESTAMP + rng.choice([0, 0, 0, 63, 64, -64, -65, 8191, 8192, 20_000])
        batch = accumulate.appender.try_append("t", None, None, value, None, timestamp, 0.0)
        assert batch is not None
        assert batch.timestamps[-1] == timestamp
        assert batch.values[-1] == value
    while batches := drain(accumulate):
        for batch in batches:
            assert batch.size == 61 + len(encode_records(*columns(batch)))
            assert batch.size <= 100_000
            assert batch.charged == sum(
                61 + 21 + 1 + 1 + (1 if len(v) < 64 else 2 if len(v) < 8192 else 3) + len(v) + 96
                for v in batch.values
                if v is not None
            )
            accumulate.complete(batch, base_offset=0)
    assert free(accumulate) == 33554432


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_records_with_keys_count_the_same_bytes_whichever_way_they_take(codec: Any) -> None:
    rng = random.Random(12)
    accumulate = accumulator({"t": [0, 0, 0]}, batch_size=50_000, compression_type=codec)
    for _ in range(5000):
        key = rng.randbytes(rng.choice([0, 1, 36, 63, 64]))
        value = b"v" * rng.choice([0, 1, 21, 57, 58, 62, 63, 64, 100, 900, 8095, 8096, 8160])
        timestamp = TIMESTAMP + rng.choice([0, 0, 0, 63, 64, -64, -65, 8191, 8192])
        batch = accumulate.appender.try_append("t", None, key, value, None, timestamp, 0.0)
        assert batch is not None
        assert batch.keys is not None
        assert (batch.timestamps[-1], batch.keys[-1], batch.values[-1]) == (timestamp, key, value)
        assert batch.partition == (murmur2(key) & 0x7FFFFFFF) % 3
    while batches := drain(accumulate):
        for batch in batches:
            assert batch.keys is not None
            assert batch.size == 61 + len(encode_records(*columns(batch)))
            assert batch.charged == sum(
                record_upper_bound(key, value) + 96 for key, value in zip(batch.keys, batch.values, strict=True)
            )
            accumulate.complete(batch, base_offset=0)
    assert free(accumulate) == 33554432


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_records_with_headers_count_the_same_bytes_whichever_way_they_take(codec: Any) -> None:
    rng = random.Random(13)
    accumulate = accumulator({"t": [0, 0, 0]}, batch_size=50_000, compression_type=codec)
    given: dict[ProducerBatch, list[Headers]] = {}
    for _ in range(5000):
        key = rng.choice([None, None, b"", b"key", bytes(63), bytes(64)])
        value = b"v" * rng.choice([0, 1, 21, 57, 58, 62, 63, 64, 100, 900, 8000, 8095, 8096, 8160])
        names = rng.choices(["h", "é", "trace", "long" * 40], k=rng.randrange(5))
        headers = tuple([(name, rng.choice([None, b"", b"x" * 10, bytes(63), bytes(200)])) for name in names])
        timestamp = TIMESTAMP + rng.choice([0, 0, 0, 63, 64, -64, -65, 8191, 8192])
        batch = accumulate.appender.try_append("t", None, key, value, headers, timestamp, 0.0)
        assert batch is not None
        given.setdefault(batch, []).append(headers)
        assert (batch.timestamps[-1], batch.values[-1]) == (timestamp, value)
        assert (None if batch.keys is None else batch.keys[-1]) == key
        assert (NO_HEADERS if batch.headers is None else batch.headers[-1]) == encode_headers(headers)
        assert key is None or batch.partition == (murmur2(key) & 0x7FFFFFFF) % 3
    while batches := drain(accumulate):
        for batch in batches:
            keys = batch.keys or [None] * batch.count
            assert batch.size == 61 + len(encode_records(*columns(batch)))
            assert codec != "none" or batch.size <= batch.limit
            assert batch.charged == sum(
                record_upper_bound(key, value, headers_size(headers)) + 96
                for key, value, headers in zip(keys, batch.values, given[batch], strict=True)
            )
            accumulate.complete(batch, base_offset=0)
    assert free(accumulate) == 33554432


@pytest.mark.skipif(IS_COMPILED, reason="nothing of a compiled module can be replaced")
def test_a_long_key_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def counted(key: bytes) -> int:
        hashed.append(key)
        return murmur2(key)

    monkeypatch.setattr("aioproducer._hashing.murmur2", counted)
    accumulate = accumulator({"t": [0, 0, 0]})
    keys = [bytes([number]) * 200 for number in range(5)]  # longer than what is remembered
    for key in keys:
        accumulate.appender.try_append("t", None, key, b"v", None, TIMESTAMP, 0.0)
    assert hashed == keys


def test_keyless_and_keyed_records_keep_their_places_in_one_batch() -> None:
    accumulate = accumulator({"t": [0]})
    append(accumulate, partition=None, value=b"a")
    append(accumulate, partition=None, value=b"b", key=b"k", headers=(("h", b"x"),))
    batch = append(accumulate, partition=None, value=b"c")
    assert batch.values == [b"a", b"b", b"c"]
    assert batch.keys == [None, b"k", None]
    assert batch.headers == [NO_HEADERS, encode_headers((("h", b"x"),)), NO_HEADERS]


def test_a_record_larger_than_batch_size_has_a_batch_of_its_own_which_does_not_linger() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=1000, linger_ms=1000)
    small = append(accumulate)
    large = append(accumulate, value=b"v" * 5000)
    assert large is not small
    assert (large.count, large.state, small.state) == (1, BatchState.SEALED, BatchState.SEALED)
    assert append(accumulate) is not large
    assert accumulate.ready_nodes(0.0) == [0]


def test_a_large_record_first_in_its_queue_does_not_linger_either() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=1000, linger_ms=1000)
    assert append(accumulate, value=b"v" * 5000).state is BatchState.SEALED
    assert accumulate.ready_nodes(0.0) == [0]


def test_batch_size_zero_gives_each_record_a_batch_which_does_not_linger() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=0, linger_ms=1000)
    batches = [append(accumulate) for _ in range(3)]
    assert len(set(batches)) == 3
    assert all(batch.state is BatchState.SEALED for batch in batches)
    assert accumulate.ready_nodes(0.0) == [0]


def test_a_batch_that_is_exactly_full_is_sealed_at_once() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=61 + 2 * 109)
    assert append(accumulate, value=b"v" * 100).state is BatchState.OPEN
    assert append(accumulate, value=b"v" * 100).state is BatchState.SEALED


def test_needs_wake_is_set_for_a_new_and_for_a_sealed_batch_only() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=61 + 3 * 109)
    seen: list[bool] = []
    for _ in range(3):
        accumulate.needs_wake = False
        append(accumulate, partition=None, value=b"v" * 100)
        seen.append(accumulate.needs_wake)
    assert seen == [True, False, True]
    assert accumulate.appender.closed_batches == 1


def test_compression_lets_a_batch_take_what_the_estimate_promises() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=10_000, compression_type="zstd", linger_ms=1000)
    for _ in range(200):  # the estimate improves by half a percent a batch
        learn(accumulate, 0.2)
    count = 0
    batch = append(accumulate, partition=None, value=b"v" * 100)
    while batch.state is BatchState.OPEN:
        append(accumulate, partition=None, value=b"v" * 100)
        count += 1
    assert batch.size > 40_000
    assert 9_000 < batch.estimated_size <= 10_000


def test_with_compression_the_short_way_keeps_room_for_a_record_that_does_not_compress() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=10_000, compression_type="zstd", linger_ms=1000)
    for _ in range(200):
        learn(accumulate, 0.2)
    rng = random.Random(2)
    crossed = 0
    batch = append(accumulate, partition=None, value=b"v" * 1000)
    for _ in range(5000):
        size, had_room = batch.size, batch.has_room
        value = b"v" * rng.choice([10, 500, 1023])
        record_bytes = batch.next_record_size(TIMESTAMP, None, value, None)
        fits = batch.state is BatchState.OPEN and had_room(record_bytes)
        after = append(accumulate, partition=None, value=value)
        assert (after is batch) == fits, size
        crossed += after is not batch
        batch = after
    assert crossed > 20


def learn(accumulate: Accumulator, ratio: float) -> None:
    batch = append(accumulate)
    drain(accumulate)
    accumulate.on_encoded(batch, 10_000, int(10_000 * ratio))
    accumulate.complete(batch, base_offset=0)


def test_the_estimate_worsens_at_once_and_improves_by_steps() -> None:
    accumulate = accumulator({"t": [0]}, compression_type="zstd")
    learn(accumulate, 0.5)
    assert append(accumulate).size_factor == pytest.approx(0.995 * 1.05)
    drain(accumulate)
    learn(accumulate, 1.5)
    assert append(accumulate).size_factor == pytest.approx(1.5 * 1.05)
    drain(accumulate)
    learn(accumulate, 1.51)
    assert append(accumulate).size_factor == pytest.approx(1.55 * 1.05)


def test_without_compression_nothing_is_estimated() -> None:
    accumulate = accumulator({"t": [0]})
    learn(accumulate, 0.5)
    assert append(accumulate).size_factor == 1.0


def test_full_size_is_batch_size_without_compression() -> None:
    assert full_size(1000, 1.0) == 1000
    assert full_size(1000, 0.5) == 61 + 939 * 2
    assert full_size(10, 0.5) == 10


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_record_is_charged_its_bound_and_a_fixed_amount() -> None:
    accumulate = accumulator({"t": [0]}, buffer_memory=100_000)
    batch = append(accumulate, value=b"12345")
    assert free(accumulate) == 100_000 - charge_of(5)
    assert batch.charged == charge_of(5)


@pytest.mark.parametrize(
    ("key", "value", "headers", "bound"),
    [(None, None, None, 85), (b"k", b"12345", (("h", b"x"), ("n", None)), 98)],
)
def test_the_bound_is_that_of_the_java_producer(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes | None], ...] | None, bound: int
) -> None:
    accumulate = accumulator({"t": [0]})
    assert append(accumulate, value=value, key=key, headers=headers).charged == bound + 96


def test_no_memory_means_waiting() -> None:
    accumulate = accumulator({"t": [0]}, buffer_memory=2 * charge_of(1) + 1, batch_size=100)
    append(accumulate)
    append(accumulate)
    assert accumulate.appender.try_append("t", 0, None, b"v", None, TIMESTAMP, 0.0) is None


def test_the_last_bytes_of_memory_can_be_used_on_the_short_way() -> None:
    accumulate = accumulator({"t": [0]}, buffer_memory=3 * charge_of(1), batch_size=300)
    assert [
        accumulate.appender.try_append("t", None, None, b"v", None, TIMESTAMP, 0.0) is not None for _ in range(4)
    ] == [
        True,
        True,
        True,
        False,
    ]
    assert free(accumulate) == 0


@pytest.mark.parametrize("topic", ["t", "unknown"])
def test_a_record_above_max_request_size_is_refused_known_topic_or_not(topic: str) -> None:
    accumulate = accumulator({"t": [0]}, max_request_size=1000)
    with pytest.raises(
        RecordTooLargeError, match=r"record of 1,086 bytes exceeds max_request_size=1,000 .*topic '"
    ) as e:
        if accumulate.appender.try_append(topic, None, None, b"v" * 1000, None, TIMESTAMP, 0.0) is None:
            enqueue(accumulate, topic, None, b"v" * 1000)
    assert (e.value.size, e.value.limit, e.value.topic) == (1086, 1000, topic)
    assert free(accumulate) == 33554432


def test_a_record_that_never_fits_into_buffer_memory_is_refused() -> None:
    accumulate = accumulator({"t": [0]}, buffer_memory=1000, batch_size=500)
    with pytest.raises(RecordTooLargeError, match=r"exceeds buffer_memory=1,000 \(topic 't', partition 0\); raise"):
        append(accumulate, value=b"v" * 850)
    append(accumulate, value=b"v" * 800)


def test_budgets_above_two_gibibytes_are_counted_exactly() -> None:
    accumulate = accumulator({"t": [0]}, buffer_memory=2**40)
    append(accumulate)
    assert free(accumulate) == 2**40 - charge_of(1)


# ── which partition ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_keys_are_hashed_as_in_java() -> None:
    accumulate = accumulator({"t": [0] * 6})
    found = {key: append(accumulate, partition=None, key=key).partition for key in (b"", b"abc", b"21", b"kafka")}
    assert found == {b"": 3, b"abc": 3, b"21": 0, b"kafka": 4}


def test_ignored_keys_stick_like_records_without() -> None:
    accumulate = accumulator({"t": [0] * 6}, partitioner_ignore_keys=True)
    assert len({append(accumulate, partition=None, key=b"%d" % i).partition for i in range(20)}) == 1


def test_an_unknown_topic_or_partition_means_waiting() -> None:
    accumulate = accumulator({"t": [0, 0]})
    assert accumulate.appender.try_append("other", None, None, b"v", None, TIMESTAMP, 0.0) is None
    assert accumulate.appender.try_append("t", 2, None, b"v", None, TIMESTAMP, 0.0) is None
    assert accumulate.appender.try_append("t", 1, None, b"v", None, TIMESTAMP, 0.0) is not None


def test_a_partitioner_is_asked_with_what_is_known_of_the_topic() -> None:
    asked: list[tuple[TopicView, bytes | None, bytes | None]] = []

    def last(topic: TopicView, key: bytes | None, value: bytes | None) -> int:
        asked.append((topic, key, value))
        return topic.partition_count - 1

    accumulate = accumulator({"t": [0, -1, 2]}, partitioner=last)
    for key in (None, b"k"):
        assert append(accumulate, partition=None, key=key).partition == 2
    assert append(accumulate, partition=1).partition == 1
    assert [(view.available, key, value) for view, key, value in asked] == [
        ((0, 2), None, b"v"),
        ((0, 2), b"k", b"v"),
    ]


@pytest.mark.parametrize("returned", [-1, 3])
def test_a_partition_that_does_not_exist_is_the_partitioners_error(returned: int) -> None:
    def wrong(topic: TopicView, key: bytes | None, value: bytes | None) -> int:
        return returned

    accumulate = accumulator({"t": [0] * 3}, partitioner=wrong)
    with pytest.raises(ValueError, match=f"returned partition {returned} for topic 't', which has 3"):
        append(accumulate, partition=None)
    assert free(accumulate) == 33554432


def test_what_a_partitioner_raises_is_raised() -> None:
    def broken(topic: TopicView, key: bytes | None, value: bytes | None) -> int:
        raise LookupError("no idea")

    accumulate = accumulator({"t": [0]}, partitioner=broken)
    with pytest.raises(LookupError, match="no idea"):
        append(accumulate, partition=None)
    assert free(accumulate) == 33554432


def test_a_partitioner_that_has_no_opinion_leaves_it_to_the_sticky_partition_every_time() -> None:
    answers = iter([None, None, 1, None])

    def sometimes(topic: TopicView, key: bytes | None, value: bytes | None) -> int | None:
        return next(answers)

    accumulate = accumulator({"t": [0] * 3}, seed=4, partitioner=sometimes)
    found = [append(accumulate, partition=None).partition for _ in range(4)]
    assert found[0] == found[1] == found[3]
    assert found[2] == 1


# ── sticky ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def sequence_of_partitions(records: int, value: bytes = b"v" * 100, **settings: Unpack[ProducerSettings]) -> list[int]:
    settings["buffer_memory"] = 2**30
    accumulate = accumulator({"t": [0, 1, 2]}, **settings)
    return [append(accumulate, partition=None, value=value).partition for _ in range(records)]


def runs(partitions: list[int]) -> list[int]:
    """Return how long each stretch of one partition is."""
    lengths: list[int] = []
    for previous, partition in zip([None, *partitions], partitions, strict=False):
        if partition == previous:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return lengths


def test_records_without_a_key_stick_to_a_partition_until_a_batch_ends_after_batch_size_bytes() -> None:
    # A batch takes 9 records (61 + 9 * 109 = 1042 of 1100): less than batch_size, so that a second follows.
    lengths = runs(sequence_of_partitions(1000, batch_size=1100))
    assert {length % 18 for length in lengths[:-1]} == {0}


def test_no_fractions_of_batches_are_left_behind_when_the_batches_end_exactly() -> None:
    accumulate = accumulator({"t": [0, 1, 2]}, batch_size=61 + 10 * 109, linger_ms=10_000)
    batches = dict.fromkeys(append(accumulate, partition=None, value=b"v" * 100) for _ in range(1000))
    assert {batch.count for batch in batches} == {10}
    assert all(batch.state is BatchState.SEALED for batch in batches)


def test_bytes_are_spread_evenly_over_the_partitions() -> None:
    counts = Counter(sequence_of_partitions(60_000, batch_size=1000))
    assert set(counts) == {0, 1, 2}
    assert min(counts.values()) > 0.85 * max(counts.values())


def test_one_partition_is_enough_to_stick_to() -> None:
    accumulate = accumulator({"t": [0]}, batch_size=200)
    assert {append(accumulate, partition=None).partition for _ in range(100)} == {0}


def test_keyed_and_explicit_records_do_not_count_for_the_switch() -> None:
    accumulate = accumulator({"t": [0, 1, 2]}, batch_size=61 + 10 * 109, linger_ms=10_000)
    sticky = append(accumulate, partition=None, value=b"v" * 100).partition
    for _ in range(200):
        append(accumulate, partition=sticky, value=b"v" * 100)
    stretch = [append(accumulate, partition=None, value=b"v" * 100).partition for _ in range(9)]
    assert stretch == [sticky] * 9


def test_a_switch_is_forced_after_twice_batch_size_although_a_batch_is_open() -> None:
    accumulate = accumulator({"t": [0] * 50}, batch_size=1000, linger_ms=10_000)
    found: list[int] = []
    for _ in range(60):
        partition = append(accumulate, partition=None, value=b"v" * 20).partition
        found.append(partition)
        for _ in range(2):  # keeps an open batch in the sticky partition, whatever happens
            append(accumulate, partition=partition, value=b"v" * 20)
    longest = max(runs(found))
    assert 2000 / (29 + 61) < longest <= 2000 / 29 + 1


def test_a_forced_switch_is_not_missed_on_the_short_way() -> None:
    accumulate = accumulator({"t": [0] * 50}, batch_size=1000, linger_ms=10_000)
    found = [append(accumulate, partition=None, value=b"v" * 40).partition]
    for _ in range(30):
        append(accumulate, partition=found[-1], value=b"v" * 500)  # closes the batch before, and is in the next
        found += [append(accumulate, partition=None, value=b"v" * 40).partition for _ in range(8)]
    assert 2000 / (48 + 61) < max(runs(found)) <= 2000 / 48 + 1


def test_the_sticky_partition_is_drawn_anew_when_it_has_lost_its_leader() -> None:
    accumulate = accumulator({"t": [0, 1]}, linger_ms=10_000)
    before = append(accumulate, partition=None).partition
    accumulate.update_topics(cluster({"t": [-1 if before == 0 else 0, -1 if before == 1 else 1]}), 1.0)
    assert append(accumulate, partition=None).partition == 1 - before


def test_the_sticky_partition_stays_when_no_partition_has_a_leader() -> None:
    accumulate = accumulator({"t": [0, 1]}, linger_ms=10_000)
    before = append(accumulate, partition=None).partition
    accumulate.update_topics(cluster({"t": [-1, -1]}), 1.0)
    assert {append(accumulate, partition=None).partition for _ in range(5)} == {before}


def load(*queue_sizes: int, **settings: Unpack[ProducerSettings]) -> Counter[int]:
    """Return where one-record batches of a topic with such queues go."""
    counts: Counter[int] = Counter()
    settings["batch_size"] = 0
    for seed in range(400):
        accumulate = accumulator({"t": list(range(len(queue_sizes)))}, seed, **settings)
        for partition, size in enumerate(queue_sizes):
            batch = append(accumulate, partition=partition)  # every partition has been seen
            drain(accumulate, partition)
            accumulate.complete(batch, base_offset=0)
            for _ in range(size):
                append(accumulate, partition=partition)
        counts[append(accumulate, partition=None).partition] += 1
    return counts


def test_partitions_with_long_queues_get_fewer_records() -> None:
    counts = load(1, 7, 2)  # weights 7, 1, 6
    assert counts[1] < 60
    assert min(counts[0], counts[2]) > 100


def test_load_does_not_matter_when_adaptive_partitioning_is_off() -> None:
    counts = load(1, 7, 2, partitioner_adaptive_partitioning_enable=False)
    assert min(counts.values()) > 80


def test_a_broker_that_lets_data_wait_too_long_gets_no_more() -> None:
    accumulate = accumulator({"t": [0, 1, 1]}, batch_size=0, partitioner_availability_timeout_ms=1000)
    for partition in range(3):
        append(accumulate, partition=partition)
    accumulate.ready_nodes(0.0)
    drain(accumulate, 0, 0.0)
    drain(accumulate, 1, 0.0)
    append(accumulate, partition=1, now=1.0)
    append(accumulate, partition=0, now=1.0)
    accumulate.ready_nodes(5.0)
    drain(accumulate, 0, 5.0)  # broker 1 has been ready for five seconds, and was not drained
    assert {append(accumulate, partition=None, now=5.0).partition for _ in range(50)} == {0}


def test_the_load_of_partitions_without_a_leader_does_not_count() -> None:
    accumulate = accumulator({"t": [0, 1, -1]}, batch_size=0)
    for partition in range(3):
        append(accumulate, partition=partition)
    for _ in range(5):
        append(accumulate, partition=0)
    assert 2 not in {append(accumulate, partition=None).partition for _ in range(50)}


def test_a_topic_known_from_the_metadata_needs_no_lookup_when_it_is_first_used() -> None:
    accumulate = accumulator()
    accumulate.update_topics(cluster({"t": [0]}), 0.0)
    pending = enqueue(accumulate)
    assert pending.is_granted
    assert accumulate.complete_append(pending, 0.0, TIMESTAMP).count == 1
    assert accumulate.take_wanted_topics() == set()
