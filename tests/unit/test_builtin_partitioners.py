"""The partitioners that ship."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aioproducer._builtin_partitioners import RoundRobinPartitioner, make_partitioner
from aioproducer._types import TopicView
from aioproducer.partitioners import PARTITIONERS, fnv1a_partition

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "partitioner_vectors.json").read_text("utf-8")
)["vectors"]

SIX = TopicView("t", 6, (0, 1, 2, 3, 4, 5))


def test_round_robin_spreads_evenly_whatever_the_key() -> None:
    partitioner = RoundRobinPartitioner()
    hits = Counter(partitioner(SIX, b"same", None) for _ in range(60))
    assert hits == dict.fromkeys(range(6), 10)


def test_round_robin_skips_partitions_without_leader_unless_none_has_one() -> None:
    partitioner = RoundRobinPartitioner()
    assert [partitioner(TopicView("a", 4, (1, 3)), None, None) for _ in range(4)] == [1, 3, 1, 3]
    assert [partitioner(TopicView("b", 3, ()), None, None) for _ in range(4)] == [0, 1, 2, 0]


def test_round_robin_counts_each_topic_alone() -> None:
    partitioner = RoundRobinPartitioner()
    other = TopicView("other", 6, SIX.available)
    assert [partitioner(view, None, None) for view in (SIX, other, SIX, other)] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("name", "for_none", "for_empty"),
    [
        ("consistent", 0, 0),
        ("consistent_random", None, None),
        ("murmur2", 3, 3),
        ("murmur2_random", None, 3),
        ("fnv1a", fnv1a_partition(b"", 6), fnv1a_partition(b"", 6)),
        ("fnv1a_random", None, fnv1a_partition(b"", 6)),
    ],
)
def test_missing_and_empty_keys_go_where_librdkafka_sends_them(
    name: Any, for_none: int | None, for_empty: int | None
) -> None:
    partitioner = make_partitioner(name, random.Random(0))
    assert partitioner(SIX, None, b"v") == for_none
    assert partitioner(SIX, b"", b"v") == for_empty


@pytest.mark.parametrize(
    ("name", "column"),
    [(f"{base}{suffix}", base) for base in ("consistent", "murmur2", "fnv1a") for suffix in ("", "_random")],
)
def test_partitioners_by_name_hash_keys_as_librdkafka(name: Any, column: str) -> None:
    partitioner = make_partitioner(name, random.Random(0))
    for row in VECTORS:
        key = bytes.fromhex(row["key_hex"])
        if key:
            # No partition has a leader: hashes count all partitions.
            assert partitioner(TopicView("t", row["partitions"], ()), key, None) == row[column]


def test_random_reaches_every_partition_whatever_the_key() -> None:
    partitioner = make_partitioner("random", random.Random(5))
    assert {partitioner(SIX, b"same", None) for _ in range(200)} == set(range(6))


def test_random_draws_once_more_when_the_first_has_no_leader() -> None:
    partitioner = make_partitioner("random", random.Random(5))
    hits = Counter(partitioner(TopicView("t", 2, (1,)), None, None) for _ in range(4000))
    assert 2800 < hits[1] < 3200  # three quarters: half at once, half of the rest by the second draw


def test_every_name_makes_a_partitioner_that_answers_in_range() -> None:
    for name in PARTITIONERS:
        partition = make_partitioner(name, random.Random(1))(SIX, b"key", b"value")
        assert partition is not None
        assert 0 <= partition < 6


def test_a_callable_is_used_as_it_is() -> None:
    def last(topic: TopicView, key: bytes | None, value: bytes | None, /) -> int:
        return topic.partition_count - 1

    assert make_partitioner(last, random.Random(1)) is last


def test_an_unknown_name_is_refused() -> None:
    name: Any = "murmur3"
    with pytest.raises(ValueError, match="no partitioner 'murmur3'; there are round_robin"):
        make_partitioner(name, random.Random(1))
