"""Which single requests are both clusters asked, besides the batches of a script? By name, for every version.

Most are wrong in one way; those that change something are carried out by both. What a request is made of that differs
between clusters (names, ids, who the producer is) comes from the scene.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aioproducer._wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from aioproducer._wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from aioproducer._wire.messages.api_versions import ApiVersionsRequest
from aioproducer._wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from aioproducer._wire.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from aioproducer._wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from aioproducer._wire.messages.describe_cluster import DescribeClusterRequest
from aioproducer._wire.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from aioproducer._wire.messages.describe_transactions import DescribeTransactionsRequest
from aioproducer._wire.messages.end_txn import EndTxnRequest
from aioproducer._wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer._wire.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from aioproducer._wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from aioproducer._wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from aioproducer._wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aioproducer._wire.schema import Request

NOWHERE: Final = uuid.UUID(int=7)
"""The id of no topic."""

GROUP_KEY: Final = 0
TRANSACTION_KEY: Final = 1
TOPIC: Final = 2
LONG_METADATA: Final = "m" * 4_097
"""Longer than offset.metadata.max.bytes."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Who and what there is in the cluster that is asked.

    Attributes:
        names: of the topics, by what the script calls them; "unknown" and "new" are no topics.
        topic_ids: by the same.
        producer_id, epoch: of the transactional producer.
    """

    names: Mapping[str, str]
    topic_ids: Mapping[str, uuid.UUID]
    transactional_id: str
    group: str
    producer_id: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Case:
    """A request and the versions in which it can be said.

    Attributes:
        may_change: what other requests find afterwards is not what they would have found.
    """

    request: type[Request]
    make: Callable[[Scene, int], Request]
    since: int
    until: int
    may_change: bool = False


CASES: Final[dict[str, Case]] = {}


def _add(
    name: str,
    make: Callable[[Scene, int], Request],
    request: type[Request],
    since: int | None = None,
    until: int | None = None,
    *,
    may_change: bool = False,
) -> None:
    assert name not in CASES
    lowest = request.min_version if since is None else since
    highest = request.max_version if until is None else until
    CASES[name] = Case(request, make, lowest, highest, may_change)


# ── Metadata, DescribeCluster, ApiVersions ──


def _metadata(*wanted: str, operations: bool = False) -> Callable[[Scene, int], Request]:
    def make(scene: Scene, version: int) -> Request:
        return MetadataRequest(
            topics=[MetadataRequestTopic(name=scene.names.get(name, name)) for name in wanted],
            allow_auto_topic_creation=False,
            include_topic_authorized_operations=operations,
            include_cluster_authorized_operations=operations and version <= 10,
        )

    return make


def _metadata_by_id(topic_id: Callable[[Scene], uuid.UUID]) -> Callable[[Scene, int], Request]:
    return lambda scene, version: MetadataRequest(
        topics=[MetadataRequestTopic(topic_id=topic_id(scene), name=None)], allow_auto_topic_creation=False
    )


_add("Metadata of a topic", _metadata("plain"), MetadataRequest, 4)
_add("Metadata of a topic that is not there", _metadata("unknown"), MetadataRequest, 4)
_add("Metadata of several, some wrong", _metadata("plain", "unknown", "a b", "small"), MetadataRequest, 4)
_add("Metadata of the same topic twice", _metadata("plain", "plain"), MetadataRequest, 4)
_add("Metadata of an empty name", _metadata(""), MetadataRequest, 4)
_add("Metadata of a long name", _metadata("x" * 250), MetadataRequest, 4)
_add("Metadata of two dots", _metadata(".."), MetadataRequest, 4)
_add("Metadata of no topics", _metadata(), MetadataRequest, 4)
_add("Metadata with operations", _metadata("plain", "unknown", operations=True), MetadataRequest, 8)
_add("Metadata by id", _metadata_by_id(lambda scene: scene.topic_ids["plain"]), MetadataRequest, 10)
_add("Metadata by an id of nothing", _metadata_by_id(lambda scene: NOWHERE), MetadataRequest, 10)
_add("Metadata by neither name nor id", _metadata_by_id(lambda scene: uuid.UUID(int=0)), MetadataRequest, 10)
_add("DescribeCluster", lambda scene, version: DescribeClusterRequest(), DescribeClusterRequest)
_add(
    "DescribeCluster with operations",
    lambda scene, version: DescribeClusterRequest(include_cluster_authorized_operations=True),
    DescribeClusterRequest,
)
_add(
    "DescribeCluster of controllers",
    lambda scene, version: DescribeClusterRequest(endpoint_type=2),
    DescribeClusterRequest,
    1,
)
_add(
    "ApiVersions of software without a name",
    lambda scene, version: ApiVersionsRequest(client_software_name="", client_software_version="1"),
    ApiVersionsRequest,
    3,
)
_add(
    "ApiVersions",
    lambda scene, version: ApiVersionsRequest(client_software_name="a", client_software_version="1"),
    ApiVersionsRequest,
)

# ── coordinators ──


def _coordinator(key_type: int, *keys: str) -> Callable[[Scene, int], Request]:
    def make(scene: Scene, version: int) -> Request:
        if version >= 4:
            return FindCoordinatorRequest(key_type=key_type, coordinator_keys=list(keys))
        return FindCoordinatorRequest(key_type=key_type, key=keys[0])

    return make


_add("FindCoordinator of a group", _coordinator(GROUP_KEY, "g"), FindCoordinatorRequest)
_add("FindCoordinator of a transactional id", _coordinator(TRANSACTION_KEY, "t"), FindCoordinatorRequest, 1)
_add("FindCoordinator of several", _coordinator(TRANSACTION_KEY, "t", "u", "t"), FindCoordinatorRequest, 4)
_add("FindCoordinator of an empty transactional id", _coordinator(TRANSACTION_KEY, ""), FindCoordinatorRequest, 1)
_add("FindCoordinator of an empty group", _coordinator(GROUP_KEY, ""), FindCoordinatorRequest)
_add("FindCoordinator of a kind that there is not", _coordinator(7, "k"), FindCoordinatorRequest, 1)
_add("FindCoordinator of a share before there were", _coordinator(2, "k"), FindCoordinatorRequest, 1, 5)
_add("FindCoordinator of a share with a wrong key", _coordinator(2, "k"), FindCoordinatorRequest, 6)
_add(
    "FindCoordinator of nothing",
    lambda scene, version: FindCoordinatorRequest(key_type=GROUP_KEY),
    FindCoordinatorRequest,
    4,
)


# ── InitProducerId ──


def _init(
    transactional_id: str | None = "another", timeout_ms: int = 60_000, producer_id: int = -1, epoch: int = -1
) -> Callable[[Scene, int], Request]:
    def make(scene: Scene, version: int) -> Request:
        name = f"{scene.transactional_id}-{transactional_id}" if transactional_id else transactional_id
        return InitProducerIdRequest(
            transactional_id=name, transaction_timeout_ms=timeout_ms, producer_id=producer_id, producer_epoch=epoch
        )

    return make


def _init_again(producer_id: int = 0, epoch: int = 0) -> Callable[[Scene, int], Request]:
    """KIP-360: the producer asks for its own epoch to be raised; what it says of itself is off by so much."""
    return lambda scene, version: InitProducerIdRequest(
        transactional_id=scene.transactional_id,
        transaction_timeout_ms=60_000,
        producer_id=scene.producer_id + producer_id,
        producer_epoch=scene.epoch + epoch,
    )


_add("InitProducerId", _init(None), InitProducerIdRequest)
_add("InitProducerId of another transactional id", _init(), InitProducerIdRequest)
_add("InitProducerId of an empty transactional id", _init(""), InitProducerIdRequest)
_add("InitProducerId with no timeout", _init(timeout_ms=0), InitProducerIdRequest)
_add("InitProducerId with a negative timeout", _init(timeout_ms=-1), InitProducerIdRequest)
_add("InitProducerId with a long timeout", _init(timeout_ms=900_001), InitProducerIdRequest)
_add("InitProducerId of a producer without a transactional id", _init(None, -1, 5, 3), InitProducerIdRequest, 3)
_add("InitProducerId of an id that is new with an epoch", _init("fresh", 60_000, 5, 3), InitProducerIdRequest, 3)
_add("InitProducerId with a producer id and no epoch", _init("fresh", 60_000, 5, -1), InitProducerIdRequest, 3)
_add("InitProducerId with an epoch and no producer id", _init("fresh", 60_000, -1, 5), InitProducerIdRequest, 3)
_add("InitProducerId again", _init_again(), InitProducerIdRequest, 3, may_change=True)
_add("InitProducerId again of another producer", _init_again(producer_id=1_000_000), InitProducerIdRequest, 3)
_add("InitProducerId again of a later epoch", _init_again(epoch=5), InitProducerIdRequest, 3)


# ── the transaction ──


@dataclass(frozen=True, slots=True)
class _Who:
    """Who a transactional request says that it is, against who the producer is."""

    transactional_id: str | None = None
    producer_id: int = 0
    epoch: int = 0

    def of(self, scene: Scene) -> tuple[str, int, int]:
        name = scene.transactional_id if self.transactional_id is None else self.transactional_id
        return name, scene.producer_id + self.producer_id, scene.epoch + self.epoch


STRANGERS: Final[dict[str, _Who]] = {
    "of an id that is not known": _Who("no such id"),
    "of an empty id": _Who(""),
    "of another producer": _Who(producer_id=1_000_000),
    "of an earlier epoch": _Who(epoch=-1),
    "of a later epoch": _Who(epoch=1),
}


def _end(who: _Who, *, committed: bool) -> Callable[[Scene, int], Request]:
    def make(scene: Scene, version: int) -> Request:
        name, producer_id, epoch = who.of(scene)
        return EndTxnRequest(transactional_id=name, producer_id=producer_id, producer_epoch=epoch, committed=committed)

    return make


def _partitions(
    who: _Who, *wanted: tuple[str, list[int]], verify_only: bool = False
) -> Callable[[Scene, int], Request]:
    def make(scene: Scene, version: int) -> Request:
        name, producer_id, epoch = who.of(scene)
        topics = [
            AddPartitionsToTxnTopic(name=scene.names.get(topic, topic), partitions=indexes) for topic, indexes in wanted
        ]
        if version >= 4:
            one = AddPartitionsToTxnTransaction(
                transactional_id=name,
                producer_id=producer_id,
                producer_epoch=epoch,
                verify_only=verify_only,
                topics=topics,
            )
            return AddPartitionsToTxnRequest(transactions=[one])
        return AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=name,
            v3_and_below_producer_id=producer_id,
            v3_and_below_producer_epoch=epoch,
            v3_and_below_topics=topics,
        )

    return make


def _add_group(who: _Who, group: str | None = None) -> Callable[[Scene, int], Request]:
    def make(scene: Scene, version: int) -> Request:
        name, producer_id, epoch = who.of(scene)
        return AddOffsetsToTxnRequest(
            transactional_id=name,
            producer_id=producer_id,
            producer_epoch=epoch,
            group_id=scene.group if group is None else group,
        )

    return make


def _txn_commit(
    who: _Who, topic: str = "plain", *, group: str | None = None, member: str = "", metadata: str = "", offset: int = 5
) -> Callable[[Scene, int], Request]:
    def make(scene: Scene, version: int) -> Request:
        name, producer_id, epoch = who.of(scene)
        partitions = [
            TxnOffsetCommitRequestPartition(partition_index=index, committed_offset=offset, committed_metadata=text)
            for index, text in ((0, metadata), (7, ""))
        ]
        return TxnOffsetCommitRequest(
            transactional_id=name,
            group_id=scene.group if group is None else group,
            producer_id=producer_id,
            producer_epoch=epoch,
            generation_id=3 if member else -1,
            member_id=member,
            topics=[TxnOffsetCommitRequestTopic(name=scene.names.get(topic, topic), partitions=partitions)],
        )

    return make


for _text, _who in STRANGERS.items():
    _add(f"EndTxn (commit) {_text}", _end(_who, committed=True), EndTxnRequest)
    _add(f"EndTxn (abort) {_text}", _end(_who, committed=False), EndTxnRequest)
    _add(f"AddPartitionsToTxn {_text}", _partitions(_who, ("plain", [0])), AddPartitionsToTxnRequest)
    _add(f"AddOffsetsToTxn {_text}", _add_group(_who), AddOffsetsToTxnRequest)
    _add(f"TxnOffsetCommit {_text}", _txn_commit(_who), TxnOffsetCommitRequest)
_ME: Final = _Who()
_add("AddPartitionsToTxn of no topic", _partitions(_ME, ("unknown", [0])), AddPartitionsToTxnRequest)
_add("AddPartitionsToTxn, one wrong", _partitions(_ME, ("plain", [0, 7])), AddPartitionsToTxnRequest)
_add(
    "AddPartitionsToTxn, only asked",
    _partitions(_ME, ("plain", [0]), ("small", [1]), verify_only=True),
    AddPartitionsToTxnRequest,
    4,
)
_add("TxnOffsetCommit of an empty group", _txn_commit(_ME, group=""), TxnOffsetCommitRequest, 0, 4)
_add("TxnOffsetCommit of a group that was not added", _txn_commit(_ME, group="other"), TxnOffsetCommitRequest, 0, 4)
_add("TxnOffsetCommit of a member", _txn_commit(_ME, member="m"), TxnOffsetCommitRequest, 3, 4)
_add("DescribeTransactions of no id", lambda scene, version: DescribeTransactionsRequest(), DescribeTransactionsRequest)
_add(
    "DescribeTransactions",
    lambda scene, version: DescribeTransactionsRequest(transactional_ids=[scene.transactional_id, "no such id", ""]),
    DescribeTransactionsRequest,
)
_add("AddOffsetsToTxn of an empty group", _add_group(_ME, ""), AddOffsetsToTxnRequest, 0, 3, may_change=True)
WITHIN_V1: Final[dict[str, Case]] = {}
"""What changes a transaction of version 0 or 1: asked within one only."""
WITHIN_V2: Final[dict[str, Case]] = {}
"""Likewise for transaction.version 2."""


def _within(cases: dict[str, Case], name: str, make: Callable[[Scene, int], Request], since: int, until: int) -> None:
    cases[name] = CASES[name] = Case(
        TxnOffsetCommitRequest if name.startswith("Txn") else AddOffsetsToTxnRequest, make, since, until, True
    )


_within(WITHIN_V1, "AddOffsetsToTxn", _add_group(_ME), 0, 3)
_within(WITHIN_V1, "TxnOffsetCommit", _txn_commit(_ME), 0, 4)
_within(WITHIN_V1, "TxnOffsetCommit of no topic", _txn_commit(_ME, "unknown"), 0, 4)
_within(WITHIN_V1, "TxnOffsetCommit with long metadata", _txn_commit(_ME, metadata=LONG_METADATA), 0, 4)
_within(WITHIN_V1, "TxnOffsetCommit of a negative offset", _txn_commit(_ME, offset=-1), 0, 4)
_within(WITHIN_V2, "TxnOffsetCommit (KIP-890)", _txn_commit(_ME), 5, 5)
_within(WITHIN_V2, "TxnOffsetCommit (KIP-890) of no topic", _txn_commit(_ME, "unknown"), 5, 5)
_within(WITHIN_V2, "TxnOffsetCommit (KIP-890) with long metadata", _txn_commit(_ME, metadata=LONG_METADATA), 5, 5)
_within(WITHIN_V2, "TxnOffsetCommit (KIP-890) of a member", _txn_commit(_ME, member="m"), 5, 5)


# ── ListOffsets, Fetch ──


def _list_offsets(
    topic: str = "plain", partition: int = 0, timestamp: int = -1, epoch: int = -1, isolation: int = 0
) -> Callable[[Scene, int], Request]:
    return lambda scene, version: ListOffsetsRequest(
        replica_id=-1,
        isolation_level=isolation if version >= 2 else 0,
        topics=[
            ListOffsetsTopic(
                name=scene.names.get(topic, topic),
                partitions=[
                    ListOffsetsPartition(partition_index=partition, timestamp=timestamp, current_leader_epoch=epoch)
                ],
            )
        ],
    )


_add("ListOffsets of no topic", _list_offsets("unknown"), ListOffsetsRequest)
_add("ListOffsets of a bad name", _list_offsets("a b"), ListOffsetsRequest)
_add("ListOffsets of no partition", _list_offsets(partition=7), ListOffsetsRequest)
_add("ListOffsets of a negative partition", _list_offsets(partition=-1), ListOffsetsRequest)
_add("ListOffsets in a later leader epoch", _list_offsets(epoch=1), ListOffsetsRequest)
_add("ListOffsets in the leader epoch", _list_offsets(epoch=0), ListOffsetsRequest)
for _timestamp in range(-6, 0):
    for _level in (0, 1):
        _since = 2 if _level else None
        _add(
            f"ListOffsets at {_timestamp}, isolation {_level}",
            _list_offsets(timestamp=_timestamp, isolation=_level),
            ListOffsetsRequest,
            _since,
        )
_add("ListOffsets at the beginning of time", _list_offsets(timestamp=0), ListOffsetsRequest)
_add("ListOffsets in the far future", _list_offsets(timestamp=2**62), ListOffsetsRequest)
_add("ListOffsets of an empty topic", _list_offsets("empty", timestamp=0), ListOffsetsRequest)
_add("ListOffsets of the latest time of an empty topic", _list_offsets("empty", timestamp=-3), ListOffsetsRequest)


def _fetch(
    topic: str = "plain",
    partition: int = 0,
    offset: int = 0,
    *others: int,
    epoch: int = -1,
    isolation: int = 0,
    session: tuple[int, int] = (0, -1),
    max_bytes: int = 1 << 20,
    partition_max_bytes: int = 1 << 20,
) -> Callable[[Scene, int], Request]:
    return lambda scene, version: FetchRequest(
        max_wait_ms=0,
        min_bytes=1,
        max_bytes=max_bytes,
        isolation_level=isolation,
        session_id=session[0],
        session_epoch=session[1],
        topics=[
            FetchTopic(
                topic=scene.names.get(topic, topic),
                topic_id=scene.topic_ids.get(topic, NOWHERE),
                partitions=[
                    FetchPartition(
                        partition=index,
                        current_leader_epoch=epoch,
                        fetch_offset=offset,
                        partition_max_bytes=partition_max_bytes,
                    )
                    for index in (partition, *others)
                ],
            )
        ],
    )


_add("Fetch", _fetch(), FetchRequest)
_add("Fetch what is committed", _fetch(isolation=1), FetchRequest)
_add("Fetch from the third record", _fetch(offset=2), FetchRequest)
_add("Fetch of no topic", _fetch("unknown"), FetchRequest)
_add("Fetch of no partition", _fetch(partition=7), FetchRequest)
_add("Fetch beyond the end", _fetch(offset=1_000_000), FetchRequest)
_add("Fetch before the beginning", _fetch(offset=-1), FetchRequest)
_add("Fetch in a later leader epoch", _fetch(epoch=1), FetchRequest)
_add("Fetch in the leader epoch", _fetch(epoch=0), FetchRequest)
_add("Fetch of few bytes", _fetch(partition_max_bytes=1), FetchRequest)
_add("Fetch of few bytes in all", _fetch(max_bytes=1), FetchRequest)
_add("Fetch of no bytes", _fetch(max_bytes=0, partition_max_bytes=0), FetchRequest)
_add("Fetch of two partitions", _fetch("plain", 0, 0, 1), FetchRequest)
_add("Fetch of two partitions, few bytes", _fetch("plain", 0, 0, 1, max_bytes=200), FetchRequest)
_add("Fetch of two partitions, few bytes of each", _fetch("plain", 0, 0, 1, partition_max_bytes=1), FetchRequest)
_add("Fetch of an empty topic", _fetch("empty"), FetchRequest)
_add("Fetch what LogAppendTime made of it", _fetch("stamped"), FetchRequest)
_add("Fetch in a session that there is not", _fetch(session=(5, 2)), FetchRequest, 7)
_add("Fetch in a new session", _fetch("empty", session=(0, 0)), FetchRequest, 7)


# ── groups ──


def _commit(
    topic: str = "plain", *, member: str = "", generation: int = -1, metadata: str = "", group: str | None = None
) -> Callable[[Scene, int], Request]:
    return lambda scene, version: OffsetCommitRequest(
        group_id=f"{scene.group}-plain" if group is None else group,
        generation_id_or_member_epoch=generation,
        member_id=member,
        topics=[
            OffsetCommitRequestTopic(
                name=scene.names.get(topic, topic),
                partitions=[
                    OffsetCommitRequestPartition(partition_index=index, committed_offset=9, committed_metadata=text)
                    for index, text in ((0, metadata), (7, ""))
                ],
            )
        ],
    )


def _committed(
    *wanted: str, group: str | None = None, all_of_it: bool = False, stable: bool = False
) -> Callable[[Scene, int], Request]:
    def make(scene: Scene, version: int) -> Request:
        name = scene.group if group is None else group
        names = [scene.names.get(topic, topic) for topic in wanted]
        if version >= 8:
            topics = [OffsetFetchRequestTopics(name=topic, partition_indexes=[0, 7]) for topic in names]
            one = OffsetFetchRequestGroup(group_id=name, topics=None if all_of_it else topics)
            return OffsetFetchRequest(groups=[one], require_stable=stable)
        old = [OffsetFetchRequestTopic(name=topic, partition_indexes=[0, 7]) for topic in names]
        return OffsetFetchRequest(group_id=name, topics=None if all_of_it else old, require_stable=stable)

    return make


_add("OffsetCommit", _commit(), OffsetCommitRequest)
_add("OffsetCommit of no topic", _commit("unknown"), OffsetCommitRequest)
_add("OffsetCommit with long metadata", _commit(metadata=LONG_METADATA), OffsetCommitRequest)
_add("OffsetCommit of a member", _commit(member="m", generation=1), OffsetCommitRequest)
_add("OffsetCommit of a generation without a member", _commit(generation=1), OffsetCommitRequest)
_add("OffsetCommit of an empty group", _commit(group=""), OffsetCommitRequest)
_add("OffsetFetch", _committed("plain", "unknown"), OffsetFetchRequest)
_add("OffsetFetch of all", _committed(all_of_it=True), OffsetFetchRequest, 2)
_add("OffsetFetch of what is stable", _committed("plain", stable=True), OffsetFetchRequest, 7)
_add("OffsetFetch of a group that there is not", _committed("plain", group="no such group"), OffsetFetchRequest)
_add(
    "OffsetFetch of all of a group that there is not",
    _committed(group="no such group", all_of_it=True),
    OffsetFetchRequest,
    2,
)
_add("OffsetFetch of an empty group", _committed("plain", group=""), OffsetFetchRequest)


# ── topics ──


def _create(
    name: str = "new",
    partitions: int = 1,
    replicas: int = 1,
    config: tuple[str, str] | None = None,
    assignments: dict[int, list[int]] | None = None,
) -> Callable[[Scene, int], Request]:
    return lambda scene, version: CreateTopicsRequest(
        validate_only=True,
        topics=[
            CreatableTopic(
                name=scene.names.get(name, name),
                num_partitions=partitions,
                replication_factor=replicas,
                assignments=[
                    CreatableReplicaAssignment(partition_index=index, broker_ids=ids)
                    for index, ids in (assignments or {}).items()
                ],
                configs=[] if config is None else [CreatableTopicConfig(name=config[0], value=config[1])],
            )
        ],
    )


_add("CreateTopics", _create(), CreateTopicsRequest)
_add("CreateTopics with defaults", _create(partitions=-1, replicas=-1), CreateTopicsRequest, 4)
_add("CreateTopics of a topic that exists", _create("plain"), CreateTopicsRequest)
_add("CreateTopics of a bad name", _create("a b"), CreateTopicsRequest)
_add("CreateTopics of an empty name", _create(""), CreateTopicsRequest)
_add("CreateTopics of no partitions", _create(partitions=0), CreateTopicsRequest)
_add("CreateTopics of fewer", _create(partitions=-2), CreateTopicsRequest)
_add("CreateTopics of no replicas", _create(replicas=0), CreateTopicsRequest)
_add("CreateTopics of many replicas", _create(replicas=9), CreateTopicsRequest)
_add("CreateTopics with a setting", _create(config=("max.message.bytes", "5000")), CreateTopicsRequest)
_add("CreateTopics with no such setting", _create(config=("no.such.setting", "1")), CreateTopicsRequest)
_add("CreateTopics with a bad value", _create(config=("max.message.bytes", "many")), CreateTopicsRequest)
_add("CreateTopics with a value out of range", _create(config=("min.insync.replicas", "0")), CreateTopicsRequest)
_add("CreateTopics with a bad choice", _create(config=("cleanup.policy", "shred")), CreateTopicsRequest)
_add(
    "CreateTopics with an assignment to nobody",
    _create(partitions=-1, replicas=-1, assignments={0: [99]}),
    CreateTopicsRequest,
)
_add(
    "CreateTopics with an assignment and a number",
    _create(partitions=2, replicas=1, assignments={0: [99]}),
    CreateTopicsRequest,
)
_add(
    "CreateTopics with a gap in the assignment",
    _create(partitions=-1, replicas=-1, assignments={1: [99]}),
    CreateTopicsRequest,
)


def _delete(name: str | None, topic_id: uuid.UUID | None = None) -> Callable[[Scene, int], Request]:
    def make(scene: Scene, version: int) -> Request:
        actual = name if name is None else scene.names.get(name, name)
        if version >= 6:
            state = DeleteTopicState(name=actual, topic_id=topic_id or uuid.UUID(int=0))
            return DeleteTopicsRequest(topics=[state], timeout_ms=5_000)
        return DeleteTopicsRequest(topic_names=[actual or ""], timeout_ms=5_000)

    return make


_add("DeleteTopics of no topic", _delete("unknown"), DeleteTopicsRequest)
_add("DeleteTopics of an empty name", _delete(""), DeleteTopicsRequest)
_add("DeleteTopics by an id of nothing", _delete(None, NOWHERE), DeleteTopicsRequest, 6)
_add("DeleteTopics by name and id", _delete("plain", NOWHERE), DeleteTopicsRequest, 6)
_add("DeleteTopics by neither", _delete(None), DeleteTopicsRequest, 6)


def _grow(name: str, count: int) -> Callable[[Scene, int], Request]:
    return lambda scene, version: CreatePartitionsRequest(
        validate_only=True,
        timeout_ms=5_000,
        topics=[CreatePartitionsTopic(name=scene.names.get(name, name), count=count, assignments=None)],
    )


_add("CreatePartitions", _grow("plain", 5), CreatePartitionsRequest)
_add("CreatePartitions of no topic", _grow("unknown", 5), CreatePartitionsRequest)
_add("CreatePartitions to as many", _grow("plain", 2), CreatePartitionsRequest)
_add("CreatePartitions to fewer", _grow("plain", 1), CreatePartitionsRequest)
_add("CreatePartitions to none", _grow("plain", -1), CreatePartitionsRequest)


def _describe(name: str, resource_type: int = TOPIC, keys: list[str] | None = None) -> Callable[[Scene, int], Request]:
    return lambda scene, version: DescribeConfigsRequest(
        resources=[
            DescribeConfigsResource(
                resource_type=resource_type, resource_name=scene.names.get(name, name), configuration_keys=keys
            )
        ]
    )


_add("DescribeConfigs", _describe("small"), DescribeConfigsRequest)
_add("DescribeConfigs of some", _describe("small", keys=["max.message.bytes", "x"]), DescribeConfigsRequest)
_add("DescribeConfigs of none", _describe("small", keys=[]), DescribeConfigsRequest)
_add("DescribeConfigs of no topic", _describe("unknown"), DescribeConfigsRequest)
_add("DescribeConfigs of a bad name", _describe("a b"), DescribeConfigsRequest)
_add("DescribeConfigs of an empty name", _describe(""), DescribeConfigsRequest)
_add("DescribeConfigs of a kind that there is not", _describe("plain", 77), DescribeConfigsRequest)
