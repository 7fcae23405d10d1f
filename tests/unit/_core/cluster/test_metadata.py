"""The snapshot of the cluster, on its own: leaders, epochs, and which partitions can be written to."""

from __future__ import annotations

from types import MappingProxyType

from aioproducer._core.cluster.metadata import (
    NO_EPOCH,
    NO_LEADER,
    Broker,
    ClusterMetadata,
    PartitionMetadata,
    TopicMetadata,
)

PARTITIONS = (PartitionMetadata(1, 4), PartitionMetadata(9, 2), PartitionMetadata())
CLUSTER = ClusterMetadata(
    brokers=MappingProxyType({1: Broker(1, "a", 9092)}),
    topics=MappingProxyType({"t": TopicMetadata("t", None, PARTITIONS)}),
)


def test_a_leader_is_one_of_the_brokers_or_none() -> None:
    assert [CLUSTER.leader("t", partition) for partition in range(4)] == [1, None, None, None]
    assert CLUSTER.leader("other", 0) is None
    assert PARTITIONS[2].leader == NO_LEADER


def test_an_epoch_is_known_of_what_has_a_leader() -> None:
    assert [CLUSTER.leader_epoch("t", partition) for partition in range(4)] == [4, 2, NO_EPOCH, NO_EPOCH]
    assert CLUSTER.leader_epoch("other", 0) == NO_EPOCH


def test_partitions_are_available_whose_leader_is_known() -> None:
    assert CLUSTER.available("t") == (0,)
    assert CLUSTER.available("other") == ()
    assert CLUSTER.topics["t"].partition_count == 3


def test_before_the_first_answer_nothing_is_known() -> None:
    assert ClusterMetadata().available("t") == ()
    assert ClusterMetadata().brokers == {}
