"""Offsets and group metadata of other clients are taken as they are."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from aiokafka import structs as aiokafka_structs

# The other clients have no types: what they return is Any here.
from confluent_kafka import TopicPartition as ConfluentTopicPartition

from aioproducer import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition
from aioproducer._producer.consumer_offsets import group_metadata, offset_commit, positions
from aioproducer.errors import InvalidTopicError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its own
    from kafka import structs as kafka_structs

T0, T1 = TopicPartition("t", 0), TopicPartition("t", 1)


def test_own_types_are_taken() -> None:
    assert positions({T0: OffsetAndMetadata(1, "m", 2), T1: 5}) == {
        T0: OffsetAndMetadata(1, "m", 2),
        T1: OffsetAndMetadata(5),
    }


def test_those_of_aiokafka_are_taken() -> None:
    theirs: Any = aiokafka_structs
    given = {theirs.TopicPartition("t", 0): theirs.OffsetAndMetadata(7, "m"), theirs.TopicPartition("t", 1): 8}
    assert positions(given) == {T0: OffsetAndMetadata(7, "m"), T1: OffsetAndMetadata(8)}


def test_those_of_kafka_python_are_taken() -> None:
    theirs: Any = kafka_structs
    given = {
        theirs.TopicPartition("t", 0): theirs.OffsetAndMetadata(7, "m", 3),
        theirs.TopicPartition("t", 1): theirs.OffsetAndMetadata(8, None, -1),
    }
    assert positions(given) == {T0: OffsetAndMetadata(7, "m", 3), T1: OffsetAndMetadata(8)}
    metadata = theirs.ConsumerGroupMetadata("g", 4, "member", None, "stable")
    assert group_metadata(metadata) == ConsumerGroupMetadata("g", 4, "member")


def test_those_of_confluent_kafka_are_taken_but_for_partitions_that_were_not_read() -> None:
    theirs: Any = ConfluentTopicPartition
    given = [theirs("t", 0, 7, metadata="m", leader_epoch=3), theirs("t", 1, 8), theirs("t", 2)]
    assert positions(given) == {T0: OffsetAndMetadata(7, "m", 3), T1: OffsetAndMetadata(8)}
    assert positions([]) == {}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"CGMDv2:\xff\xff\xff\xffgr\xc3\xb6up\x00\x00\x01", ConsumerGroupMetadata("gröup")),
        (
            b"CGMDv2:\x05\x00\x00\x00g\x00member\x00\x00inst\x00",
            ConsumerGroupMetadata("g", 5, "member", "inst"),
        ),
    ],
)
def test_group_metadata_of_confluent_kafka_is_taken_apart(data: bytes, expected: ConsumerGroupMetadata) -> None:
    assert group_metadata(data) == expected


@pytest.mark.parametrize(
    "data", [b"", b"group", b"CGMDv2:", b"CGMDv2:\x05\x00\x00\x00g", b"CGMDv2:\x05\x00\x00\x00\xff"]
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no group metadata of confluent-kafka"):
        group_metadata(data)


def test_a_group_id_alone_is_taken() -> None:
    commit = offset_commit({T0: 1}, "g")
    assert commit.group == ConsumerGroupMetadata("g")
    assert commit.offsets == {T0: OffsetAndMetadata(1)}


@pytest.mark.parametrize("offsets", [None, 5, "t", [5], [("t", 0, 5)]])
def test_other_offsets_are_refused(offsets: object) -> None:
    with pytest.raises(TypeError, match="offsets is"):
        positions(offsets)


@pytest.mark.parametrize(
    ("offsets", "error"),
    [
        ({T0: "5"}, TypeError),
        ({T0: True}, TypeError),
        ({T0: -1}, ValueError),
        ({"t": 5}, TypeError),
        ({("t", -1): 5}, ValueError),
        ({("", 0): 5}, InvalidTopicError),
    ],
)
def test_wrong_offsets_are_refused(offsets: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        positions(offsets)


@pytest.mark.parametrize("group", [None, 5, ["g"]])
def test_other_groups_are_refused(group: object) -> None:
    with pytest.raises(TypeError, match="group is"):
        group_metadata(group)


def test_an_empty_group_is_refused() -> None:
    with pytest.raises(ValueError, match="group_id is empty"):
        group_metadata("")
