"""Offsets and group metadata of various consumers, made ours.

Taken as they are: this package's own types; the mappings of aiokafka and kafka-python (their TopicPartition to their
OffsetAndMetadata, or to an int); the lists of confluent-kafka (its TopicPartition with an offset in it), and the bytes
that its consumer_group_metadata() returns; a group id alone.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from aioproducer._core.transactions.requests import OffsetCommit
from aioproducer._types import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition, check_partition, check_topic

_LIBRDKAFKA_MAGIC: Final = b"CGMDv2:"
_LIBRDKAFKA_NO_POSITION: Final = -1001
"""The offset of a partition that the consumer has read nothing of; there is nothing to commit."""


def offset_commit(offsets: object, group: object) -> OffsetCommit:
    """Return what a transaction is to commit for a group.

    Raises:
        TypeError: something is of a type that is not known.
        ValueError: an offset, a partition or the group is out of range.
    """
    return OffsetCommit(group_metadata(group), positions(offsets))


def positions(offsets: object) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return the offset to go on from for each partition."""
    given: Any = offsets
    if isinstance(given, Mapping):
        return {_partition(partition): _position(position) for partition, position in _pairs(given)}
    if isinstance(given, list | tuple | set | frozenset):
        items = _items(given)
        if all(hasattr(item, "topic") and hasattr(item, "offset") for item in items):
            return {_partition(item): _position(item) for item in items if item.offset != _LIBRDKAFKA_NO_POSITION}
    raise TypeError(
        f"offsets is {type(offsets).__name__}; it must be a mapping of TopicPartition to OffsetAndMetadata (or int),"
        " or confluent-kafka's list of TopicPartition"
    )


def _pairs(given: Any) -> list[tuple[Any, Any]]:
    return list(given.items())


def _items(given: Any) -> list[Any]:
    return list(given)


def _partition(given: Any) -> TopicPartition:
    if _is_pair(given):
        topic, partition = _items(given)
    elif hasattr(given, "topic") and hasattr(given, "partition"):
        topic, partition = given.topic, given.partition
    else:
        raise TypeError(f"a partition is given as {type(given).__name__}; it must be a TopicPartition")
    check_topic(topic)
    check_partition(partition)
    return TopicPartition(topic, partition)


def _is_pair(given: Any) -> bool:
    return isinstance(given, tuple) and len(_items(given)) == 2


def _position(given: Any) -> OffsetAndMetadata:
    if isinstance(given, OffsetAndMetadata):
        return given
    if isinstance(given, int) and not isinstance(given, bool):
        return OffsetAndMetadata(given)
    offset: Any = getattr(given, "offset", None)
    if not isinstance(offset, int) or isinstance(offset, bool):
        raise TypeError(f"an offset is given as {type(given).__name__}; it must be an OffsetAndMetadata, or an int")
    epoch: Any = getattr(given, "leader_epoch", None)
    leader_epoch = epoch if isinstance(epoch, int) and epoch >= 0 else None
    return OffsetAndMetadata(offset, getattr(given, "metadata", None) or "", leader_epoch)


def group_metadata(group: object) -> ConsumerGroupMetadata:
    """Return the group and, as far as it was told, the member that the offsets come from."""
    if isinstance(group, ConsumerGroupMetadata):
        return group
    if isinstance(group, str):
        return ConsumerGroupMetadata(group)
    if isinstance(group, bytes):
        return _of_librdkafka(group)
    given: Any = group
    if isinstance(getattr(given, "group_id", None), str):
        return ConsumerGroupMetadata(
            given.group_id,
            getattr(given, "generation_id", -1),
            getattr(given, "member_id", "") or "",
            getattr(given, "group_instance_id", None),
        )
    raise TypeError(
        f"group is {type(group).__name__}; it must be a group id, a ConsumerGroupMetadata, or what the consumer's"
        " group metadata call returns"
    )


def _of_librdkafka(data: bytes) -> ConsumerGroupMetadata:
    """Take apart what rd_kafka_consumer_group_metadata_write has written."""
    try:
        if not data.startswith(_LIBRDKAFKA_MAGIC):
            raise ValueError("it does not begin as it should")
        at = len(_LIBRDKAFKA_MAGIC)
        (generation_id,) = struct.unpack_from("=i", data, at)
        group_id, member_id, rest = data[at + 4 :].split(b"\0", 2)
        instance_id = None if rest[:1] == b"\1" else rest[1:].split(b"\0", 1)[0].decode()
        return ConsumerGroupMetadata(group_id.decode(), generation_id, member_id.decode(), instance_id)
    except (ValueError, struct.error) as error:
        raise ValueError(
            f"the group is given as {len(data)} bytes that are no group metadata of confluent-kafka: {error};"
            " give the group's id as str"
        ) from error
