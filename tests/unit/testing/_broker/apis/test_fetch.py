"""Fetch and ListOffsets give what may be read, from the leader only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._records.decode import decode_batch, split_batches
from aioproducer._wire.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from aioproducer._wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.state import Options
from tests.unit.testing._broker.helpers import TIMESTAMP, Client, batch, core

if TYPE_CHECKING:
    from aioproducer.testing._broker import ClusterCore


@pytest.fixture
def cluster() -> ClusterCore:
    made = core(2, Options(replication_factor=2))
    made.state.create_topic("orders")
    return made


def fetch(
    cluster: ClusterCore, offset: int = 0, *, version: int = 12, committed: bool = False, epoch: int = -1, node: int = 0
) -> PartitionData:
    topic = cluster.state.topics["orders"]
    wanted = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1_000_000, current_leader_epoch=epoch)
    request = FetchRequest(
        isolation_level=int(committed), topics=[FetchTopic(topic="orders", topic_id=topic.id, partitions=[wanted])]
    )
    answer = Client(cluster, node).ask(request, version, FetchResponse)
    return answer.responses[0].partitions[0]


def values(data: PartitionData) -> list[bytes | None]:
    assert isinstance(data.records, list)
    return [record.value for chunk in data.records for record in decode_batch(chunk).records]


@pytest.mark.parametrize("version", range(4, 18))
def test_every_version_reads(cluster: ClusterCore, version: int) -> None:
    Client(cluster).produce("orders", batch([b"0", b"1"]))
    Client(cluster).produce("orders", batch([b"2"]))
    data = fetch(cluster, 1, version=version)
    assert values(data) == [b"0", b"1", b"2"]
    assert (data.error_code, data.high_watermark, data.last_stable_offset) == (0, 3, 3)


def test_uncommitted_and_unreplicated_records_are_not_read(cluster: ClusterCore) -> None:
    Client(cluster).produce("orders", batch([b"0"]))
    partition = cluster.state.topics["orders"].partitions[0]
    partition.append(batch([b"1"], producer_id=7, epoch=0, sequence=0, transactional=True), TIMESTAMP, None)
    partition.replication_held = True
    Client(cluster).produce("orders", batch([b"2"]), acks=1)
    assert values(fetch(cluster)) == [b"0", b"1"]
    assert values(fetch(cluster, committed=True)) == [b"0"]


def test_aborted_transactions_are_listed(cluster: ClusterCore) -> None:
    partition = cluster.state.topics["orders"].partitions[0]
    partition.append(batch(producer_id=7, epoch=0, sequence=0, transactional=True), TIMESTAMP, None)
    partition.append_marker(7, 0, commit=False, coordinator_epoch=0, wall_ms=TIMESTAMP)
    data = fetch(cluster, committed=True)
    assert data.aborted_transactions is not None
    assert [(each.producer_id, each.first_offset) for each in data.aborted_transactions] == [(7, 0)]
    assert fetch(cluster).aborted_transactions is None


def test_offset_out_of_range(cluster: ClusterCore) -> None:
    assert fetch(cluster, 1).error_code == ErrorCode.OFFSET_OUT_OF_RANGE
    assert fetch(cluster, 0).error_code == ErrorCode.NONE


def test_only_the_leader_answers_in_its_epoch(cluster: ClusterCore) -> None:
    cluster.state.move_leader("orders", 0, 1)
    refused = fetch(cluster)
    assert refused.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert (refused.current_leader.leader_id, refused.current_leader.leader_epoch) == (1, 1)
    assert fetch(cluster, node=1, epoch=0).error_code == ErrorCode.FENCED_LEADER_EPOCH
    assert fetch(cluster, node=1, epoch=2).error_code == ErrorCode.UNKNOWN_LEADER_EPOCH
    assert fetch(cluster, node=1, epoch=1).error_code == ErrorCode.NONE


def test_unknown_topic_id(cluster: ClusterCore) -> None:
    wanted = FetchTopic(topic="other", partitions=[FetchPartition(partition=0)])
    codes = [
        Client(cluster).ask(FetchRequest(topics=[wanted]), version, FetchResponse).responses[0].partitions[0].error_code
        for version in (12, 13)
    ]
    assert codes == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_ID]


def test_no_session_is_kept(cluster: ClusterCore) -> None:
    answer = Client(cluster).ask(FetchRequest(session_id=5, session_epoch=2), 12, FetchResponse)
    assert answer.error_code == ErrorCode.FETCH_SESSION_ID_NOT_FOUND


def test_response_holds_whole_batches(cluster: ClusterCore) -> None:
    Client(cluster).produce("orders", batch([b"0"]))
    Client(cluster).produce("orders", batch([b"1"]))
    data = fetch(cluster)
    assert isinstance(data.records, list)
    joined = b"".join(bytes(chunk) for chunk in data.records)
    assert len(split_batches(joined)) == 2


@pytest.mark.parametrize(
    ("max_bytes", "partition_max_bytes", "counts"), [(0, 0, [1, 0]), (1, 100, [1, 0]), (1_000, 1, [1, 0])]
)
def test_the_first_batch_is_sent_whatever_the_limits_are(
    max_bytes: int, partition_max_bytes: int, counts: list[int]
) -> None:
    cluster = core()
    cluster.state.create_topic("orders", 2)
    for partition in range(2):
        Client(cluster).produce("orders", batch(), partition=partition)
    wanted = [FetchPartition(partition=index, partition_max_bytes=partition_max_bytes) for index in range(2)]
    request = FetchRequest(max_bytes=max_bytes, topics=[FetchTopic(topic="orders", partitions=wanted)])
    answer = Client(cluster).ask(request, 12, FetchResponse)
    assert [len(values(data)) for data in answer.responses[0].partitions] == counts


@pytest.mark.parametrize(("timestamp", "since"), [(-3, 7), (-4, 8), (-5, 9), (-6, 11)])
def test_times_that_a_version_does_not_know_are_unsupported(cluster: ClusterCore, timestamp: int, since: int) -> None:
    wanted = ListOffsetsTopic(name="orders", partitions=[ListOffsetsPartition(timestamp=timestamp)])
    request = ListOffsetsRequest(replica_id=-1, topics=[wanted])
    for version in range(1, 11):
        answer = Client(cluster).ask(request, version, ListOffsetsResponse).topics[0].partitions[0]
        assert answer.error_code == (0 if version >= since else ErrorCode.UNSUPPORTED_VERSION)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (-1, (-1, 3)),
        (-2, (-1, 0)),
        (-3, (TIMESTAMP + 9, 1)),
        (-4, (-1, 0)),
        (-5, (-1, -1)),
        (TIMESTAMP, (TIMESTAMP, 0)),
        (TIMESTAMP + 1, (TIMESTAMP + 9, 1)),
        (TIMESTAMP + 10, (-1, -1)),
    ],
)
def test_offsets_by_time(cluster: ClusterCore, asked: int, found: tuple[int, int]) -> None:
    Client(cluster).produce("orders", batch([b"0", b"1"], timestamps=[TIMESTAMP, TIMESTAMP + 9]))
    Client(cluster).produce("orders", batch([b"2"], timestamps=[TIMESTAMP + 5]))
    wanted = ListOffsetsTopic(name="orders", partitions=[ListOffsetsPartition(timestamp=asked)])
    request = ListOffsetsRequest(replica_id=-1, topics=[wanted])
    answer = Client(cluster).ask(request, 9, ListOffsetsResponse).topics[0].partitions[0]
    assert (answer.timestamp, answer.offset) == found


def test_offsets_of_what_is_not_there(cluster: ClusterCore) -> None:
    wanted = ListOffsetsTopic(name="orders", partitions=[ListOffsetsPartition(partition_index=4, timestamp=-1)])
    answer = Client(cluster).ask(ListOffsetsRequest(topics=[wanted]), 9, ListOffsetsResponse)
    assert answer.topics[0].partitions[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
