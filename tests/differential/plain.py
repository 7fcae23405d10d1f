"""What of an answer can be compared? Names, ids, addresses and texts of one cluster become what they stand for."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final, TypeGuard, TypeVar

from aioproducer._records.decode import decode_batch, split_batches
from aioproducer._wire.messages.api_versions import ApiVersionsResponse
from aioproducer._wire.messages.create_topics import CreateTopicsResponse
from aioproducer._wire.messages.describe_configs import DescribeConfigsResponse
from aioproducer._wire.schema import Struct
from aioproducer.testing._broker.configs import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aioproducer._wire.schema import Response
    from aioproducer.errors import ErrorCode
    from tests.differential.catalogue import Scene

LEFT_OUT: Final = frozenset({"throttle_time_ms", "finalized_features_epoch"})
"""Depend on load, and on how often somebody changed a feature."""

NUMBERED: Final = frozenset({"node_id", "leader_id", "controller_id", "broker_id", "port", "finalized_features_epoch"})
"""Which number does not matter, but that there is one."""

TEXTS: Final = frozenset({"host", "cluster_id", "documentation"})
"""Likewise."""

MESSAGES: Final = frozenset({"error_message", "batch_index_error_message"})
COUNTED: Final = frozenset({"replica_nodes", "isr_nodes", "offline_replicas", "replication_factor"})
"""Lists of brokers, by their length."""

NAMES: Final = frozenset({"name", "topic", "transactional_id", "resource_name", "group_id", "key"})
T = TypeVar("T", bound=Struct)
Plain = Any  # a value that can be compared: numbers, texts, dictionaries and lists of them


class Plainer:
    """Makes answers of one cluster comparable with those of another."""

    def __init__(self, scene: Scene, wall_ms: int, others: Mapping[int, str]) -> None:
        self._names = {actual: name for name, actual in scene.names.items()}
        self._ids = {topic_id: name for name, topic_id in scene.topic_ids.items()}
        self._wall_ms = wall_ms
        self._producers = {scene.producer_id: "the transactional one", **others}
        self._own = scene.transactional_id
        self._group = scene.group

    def flat(self, message: Response) -> dict[str, Any]:
        """Every field of an answer by its path: "topics.0.error_code"."""
        if isinstance(message, ApiVersionsResponse):
            return {"error_code": message.error_code}  # what is in it has a test of its own
        found: dict[str, Any] = {}
        _flatten("", self._struct(message), found)
        return found

    def _struct(self, value: Struct) -> dict[str, Plain]:
        found = {name: self._field(name, getattr(value, name)) for name in value.FIELDS if name not in LEFT_OUT}
        if "producer_id" in found and found.get("error_code"):
            found["producer_id"] = getattr(value, "producer_id")  # noqa: B009 - no producer's, but what stands for none
        return found

    def _field(self, name: str, value: Any) -> Plain:
        if name in NUMBERED:
            return "some" if value >= 0 else value
        if name in MESSAGES:
            return {"has": value is not None}
        if name in TEXTS:
            return "some" if value else value
        if name in COUNTED and _is_list(value):
            return len(value)
        if name in NAMES and isinstance(value, str):
            named = self._names.get(value, value)
            return named.replace(self._own, "(the transactional id)").replace(self._group, "(the group)")
        return self._typed(name, value)

    def _typed(self, name: str, value: Any) -> Plain:
        if name == "records":
            return [] if value is None else self._records(value)
        if name.endswith("producer_id") and value >= 0:
            return self._producers.get(value, "another")
        if name in ("timestamp", "log_append_time_ms", "transaction_start_time_ms"):
            return self._time(value)
        if isinstance(value, uuid.UUID):
            return self._ids.get(value, str(value) if value.int in (0, 7) else "another")
        if isinstance(value, Struct):
            return self._struct(value)
        if _is_list(value):
            return self._list(value)
        return value

    def _list(self, value: list[Any]) -> Plain:
        # The order of topics and partitions in an answer means nothing: Kafka groups by hash.
        plain = [self._struct(each) if isinstance(each, Struct) else each for each in value]
        return sorted(plain, key=repr)

    def _time(self, value: int) -> Plain:
        if value < 0:
            return value
        return {0: "0", self._wall_ms: "the batch's"}.get(value, "the broker's")

    def _records(self, data: Any) -> list[Plain]:
        found: list[Plain] = []
        for each in split_batches(bytes(data), allow_partial=True):
            batch = decode_batch(each)
            header = batch.header
            found.append(
                {
                    "base_offset": header.base_offset,
                    "count": header.count,
                    "leader_epoch": header.partition_leader_epoch,
                    "codec": header.codec,
                    "is_control": header.is_control,
                    "is_transactional": header.is_transactional,
                    "producer_epoch": header.producer_epoch,
                    "base_sequence": header.base_sequence,
                    "values": [None if header.is_control else record.value for record in batch.records],
                    "offsets": [record.offset for record in batch.records],
                }
            )
        return found


def relevant(message: Response) -> Response:
    """Without the settings of topics that the embedded cluster does not have; the test names that."""
    if isinstance(message, CreateTopicsResponse):
        return CreateTopicsResponse(topics=[_with_known_configs(topic) for topic in message.topics])
    if not isinstance(message, DescribeConfigsResponse):
        return message
    return DescribeConfigsResponse(results=[_with_known_configs(result) for result in message.results])


def _with_known_configs(holder: T) -> T:
    values = {name: getattr(holder, name) for name in holder.FIELDS}
    known = [config for config in values["configs"] or () if config.name in DEFAULTS]
    return type(holder)(**{**values, "configs": known})


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def has_code(message: Any, codes: frozenset[ErrorCode] | frozenset[int]) -> bool:
    """Whether an error code of the answer, anywhere in it, is one of these."""
    if _is_list(message):
        return any(has_code(each, codes) for each in message)
    if not isinstance(message, Struct):
        return False
    return any(
        getattr(message, name) in codes if name.endswith("error_code") else has_code(getattr(message, name), codes)
        for name in message.FIELDS
    )


KEYS: Final = ("transactional_id", "name", "topic", "resource_name", "group_id", "partition_index", "key")
"""By which of several alike one is told from the others."""


def _keyed(values: list[Any]) -> dict[str, Any]:
    """The elements by their name or number, if each has one of its own, else by their place."""
    for key in KEYS:
        names = [_name_of(each, key) for each in values]
        if all(names) and len(set(names)) == len(names):
            return dict(zip(names, values, strict=True))
    return {str(index): each for index, each in enumerate(values)}


def _name_of(value: Plain, key: str) -> str:
    return str(value.get(key, "")) if _is_dict(value) else ""


def _flatten(path: str, value: Plain, found: dict[str, Any]) -> None:
    inner: dict[str, Any] = {}
    if _is_dict(value):
        inner = value
    elif _is_list(value):
        inner = _keyed(value)
    if not inner:
        found[path] = value
    for name, each in inner.items():
        _flatten(f"{path}.{name}" if path else name, each, found)
